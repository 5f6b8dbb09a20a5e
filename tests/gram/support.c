// A vocabulary and walks over texts for the grammar tests.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
// clang-format on
#include "gram/support.h"

#include <string.h>
#include <cmocka.h>

#include "gguf/gguf.h"

static gram_vocab *vocab;
static tok *tokens;

const tok *test_tok(void)
{
    if (!tokens) {
        gguf *file;
        err e;
        assert_int_equal(gguf_open(&file, IRORI_SOURCE_DIR "/models/irori-tiny-f16.gguf", &e), ST_OK);
        assert_int_equal(tok_open(&tokens, file, &e), ST_OK);
        gguf_close(file);
    }
    return tokens;
}

const gram_vocab *test_vocab(void)
{
    if (!vocab)
        assert_int_equal(gram_vocab_new(&vocab, test_tok(), NULL), ST_OK);
    return vocab;
}

void done_vocab(void)
{
    gram_vocab_free(vocab);
    tok_close(tokens);
    vocab = NULL;
    tokens = NULL;
}

bool fits(gram *g, const char *text, size_t n)
{
    gram_state *s;
    bool ok = true;
    assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
    for (size_t i = 0; i < n && ok; i++)
        ok = gram_state_accept_bytes(s, text + i, 1, NULL) == ST_OK;
    ok = ok && gram_state_may_end(s);
    gram_state_free(s);
    return ok;
}

static bool allowed(const uint32_t *bits, int32_t id)
{
    return bits[id / 32] >> (id % 32) & 1;
}

static int32_t end_token(void)
{
    for (uint32_t id = 0; id < tok_count(test_tok()); id++)
        if (tok_is_eog(test_tok(), (int32_t)id))
            return (int32_t)id;
    fail_msg("the vocabulary has no end token");
    return -1;
}

static bool walk_tokens(gram *g, const int32_t *ids, size_t n)
{
    size_t count = tok_count(test_tok());
    uint32_t *bits = mem_alloc(MEM_OTHER, (count / 32 + 1) * sizeof *bits);
    gram_state *s;
    assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        assert_int_equal(gram_state_mask(s, bits, count, NULL), ST_OK);
        assert_int_equal(allowed(bits, end_token()), gram_state_may_end(s));
        bool may = allowed(bits, ids[i]);
        ok = gram_state_accept(s, ids[i], NULL) == ST_OK;
        assert_int_equal(may, ok);
    }
    if (ok) {
        assert_int_equal(gram_state_mask(s, bits, count, NULL), ST_OK);
        ok = allowed(bits, end_token());
        assert_int_equal(gram_state_accept(s, end_token(), NULL), ok ? ST_OK : ST_INVALID);
    }
    gram_state_free(s);
    mem_free(bits);
    return ok;
}

// Cuts the text at random into tokens: at each place any token that spells the next bytes.
static size_t random_cut(const char *text, size_t n, int32_t *ids, uint64_t *seed)
{
    size_t k = 0;
    for (size_t at = 0; at < n; k++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        size_t most = 1 + (*seed >> 33) % 8;
        int32_t id = -1;
        for (size_t len = MIN(most, n - at); len > 0 && id < 0; len--) {
            id = tok_find(test_tok(), text + at, len);
            if (id >= 0 && (tok_is_control(test_tok(), id) || tok_is_eog(test_tok(), id)))
                id = -1;
            if (id >= 0)
                at += len;
        }
        if (id < 0)
            return 0;
        ids[k] = id;
    }
    return k;
}

bool fits_tokens(gram *g, const char *text, size_t n, uint64_t seed)
{
    int32_t *ids;
    size_t count;
    assert_int_equal(tok_encode(test_tok(), text, n, 0, &ids, &count, NULL), ST_OK);
    bool ok = walk_tokens(g, ids, count);
    mem_free(ids);
    ids = mem_alloc(MEM_OTHER, (n + 1) * sizeof *ids);
    for (int round = 0; round < 2; round++)
        if ((count = random_cut(text, n, ids, &seed)) > 0)
            assert_int_equal(walk_tokens(g, ids, count), ok);
    mem_free(ids);
    return ok;
}

void check_mask(gram_state *s)
{
    size_t count = tok_count(test_tok());
    uint32_t *bits = mem_alloc(MEM_OTHER, (count / 32 + 1) * sizeof *bits);
    assert_int_equal(gram_state_mask(s, bits, count, NULL), ST_OK);
    for (size_t id = 0; id < count; id++) {
        bool ok = gram_state_accept(s, (int32_t)id, NULL) == ST_OK;
        if (ok)
            gram_state_rollback(s, 1);
        if (ok != allowed(bits, (int32_t)id)) {
            size_t k;
            const char *p = tok_piece(test_tok(), (int32_t)id, TOK_SPECIAL, &k);
            fail_msg("token %zu \"%.*s\": mask %d, accepted %d", id, (int)k, p, !ok, ok);
        }
    }
    mem_free(bits);
}

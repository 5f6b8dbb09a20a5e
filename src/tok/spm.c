// SentencePiece BPE (Llama 2, Gemma 1 to 3, Phi-3): characters are merged by the scores of the pieces they
// give; what has no piece falls back to byte tokens.
#include <stdlib.h>
#include <string.h>

#include "tok/own.h"

static const char SCORES[] = "tokenizer.ggml.scores";

struct scored {
    float score;
    int32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

// Best score first; equal scores share a rank, because then the leftmost pair goes first.
static int load_ranks(tok *t, const gguf *g, err *e)
{
    struct scored *order = mem_alloc(MEM_TOKENIZER, t->count * sizeof *order);
    t->rank = mem_alloc(MEM_TOKENIZER, t->count * sizeof *t->rank);
    if (!order || !t->rank) {
        mem_free(order);
        return err_set(e, ST_NOMEM, "no memory for %u scores", t->count);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        float v = 0;
        gguf_array_f32(g, SCORES, i, &v);
        order[i] = (struct scored){v == v ? v : -1e30f, (int32_t)i};
    }
    qsort(order, t->count, sizeof *order, by_score);
    for (uint32_t i = 0, rank = 0; i < t->count; i++) {
        if (i && order[i].score != order[i - 1].score)
            rank = i;
        t->rank[order[i].id] = rank;
    }
    mem_free(order);
    return ST_OK;
}

// Whether no merge can cross from a character to a space after it: then the text may be cut before every run
// of spaces and short words be merged (and remembered) instead of the whole.
static bool merges_stay_in_words(const tok *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        size_t n = 0;
        const char *s = tok_text(t, (int32_t)i, &n);
        if (!tok_is_ordinary(t, (int32_t)i))
            continue;
        for (size_t k = 1; k < n; k++)
            if (s[k] == ' ' && s[k - 1] != ' ')
                return false;
    }
    return true;
}

int tok_spm_load(tok *t, const gguf *g, err *e)
{
    enum gguf_value_type elem;
    uint64_t n = 0;
    if (!gguf_get_array(g, SCORES, &elem, &n) || elem != GGUF_F32)
        return err_set(e, ST_FORMAT, "%s is missing: a SentencePiece vocabulary needs it", SCORES);
    if (n != t->count)
        return err_set(e, ST_FORMAT, "%s has %llu entries, tokenizer.ggml.tokens has %u: they must be equal",
                       SCORES, (unsigned long long)n, t->count);
    t->space_prefix = true;
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
    t->words = merges_stay_in_words(t);
    return load_ranks(t, g, e);
}

struct around {
    const tok *t;
    const char *s;
};

static uint32_t join(const void *ctx, const tok_sym *l, const tok_sym *r, int32_t *joined)
{
    const struct around *a = ctx;
    int32_t id = tok_map_get(a->t, a->s + l->at, (size_t)l->len + r->len);
    if (id < 0)
        return TOK_NO_RANK;
    *joined = id;
    return a->t->rank[id];
}

static int word(tok_enc *c, const char *s, size_t n)
{
    struct tok_word *slot = NULL;
    int rc = ST_OK;
    if (tok_enc_seen(c, s, n, &slot, &rc))
        return rc;
    size_t first = c->out->count;
    if (!tok_merge_start(&c->merge, n))
        return tok_enc_nomem(c);
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t len = utf8_decode(s + i, n - i, &cp);
        len = len ? len : 1;
        tok_merge_add(&c->merge, (uint32_t)i, (uint32_t)len, tok_map_get(c->t, s + i, len));
        i += len;
    }
    const struct around a = {c->t, s};
    if (!tok_merge_run(&c->merge, join, &a))
        return tok_enc_nomem(c);
    rc = tok_enc_merged(c, s);
    if (!rc)
        tok_enc_remember(slot, c, s, n, first);
    return rc;
}

int tok_spm_encode(tok_enc *c, const char *s, size_t n, bool prefix)
{
    // The text itself is used unless it must change: a space before it, or U+2581 in it, which means a space.
    if (prefix || memmem(s, n, "\xE2\x96\x81", 3)) {
        buf_clear(&c->text);
        if (prefix)
            buf_add_char(&c->text, ' ');
        if (!buf_reserve(&c->text, n))
            return tok_enc_nomem(c);
        size_t len = 0;
        tok_vocab_unescape(c->t, s, n, c->text.data + c->text.len, &len);
        s = c->text.data;
        n = c->text.len + len;
        c->epoch++;
    }
    int rc = ST_OK;
    for (size_t i = 0; i < n && !rc;) {
        size_t k = i;
        while (k < n && s[k] == ' ')
            k++;
        while (k < n && (s[k] != ' ' || !c->t->words))
            k++;
        rc = word(c, s + i, k - i);
        i = k;
    }
    return rc;
}

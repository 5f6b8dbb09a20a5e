// Byte-level BPE (GPT-2 and most since): words from the pre-tokenizer, each merged from its bytes. Gemma 4's
// variant merges characters instead and falls back to byte tokens.
//
// Merging looks up pairs of ids, never strings: the merge rules are resolved to (left, right) -> (rank, id)
// once.
#include <string.h>

#include "tok/own.h"

static const char MERGES[] = "tokenizer.ggml.merges";

// Resolves "left right". The separator is the first space after the first byte (a piece may be a lone space).
static int load_merge(tok *t, gguf_str m, uint32_t rank, buf *scratch, err *e)
{
    const char *space = m.n > 2 ? memchr(m.p + 1, ' ', m.n - 2) : NULL;
    if (!space)
        return err_set(e, ST_FORMAT, "%s[%u] is \"%.*s\": two pieces with a space between were expected",
                       MERGES, rank, (int)MIN(m.n, (size_t)60), m.p);
    buf_clear(scratch);
    if (!buf_reserve(scratch, m.n))
        return err_set(e, ST_NOMEM, "no memory for the merges");
    char *p = scratch->data;
    size_t left = 0, right = 0;
    size_t skip = (size_t)(space - m.p);
    if (!tok_vocab_unescape(t, m.p, skip, p, &left) ||
        !tok_vocab_unescape(t, space + 1, m.n - skip - 1, p + left, &right))
        return ST_OK;
    int32_t a = tok_map_get(t, p, left), b = tok_map_get(t, p + left, right);
    int32_t ab = tok_map_get(t, p, left + right);
    if (a >= 0 && b >= 0 && ab >= 0)
        tok_pairs_put(&t->pairs, a, b, rank, ab);
    return ST_OK;
}

int tok_bpe_load(tok *t, const gguf *g, err *e)
{
    enum gguf_value_type elem;
    uint64_t n = 0;
    if (!gguf_get_array(g, MERGES, &elem, &n) || elem != GGUF_STRING)
        return err_set(e, ST_FORMAT, "%s is missing: a byte-level BPE vocabulary needs it", MERGES);
    if (n >= TOK_NO_RANK)
        return err_set(e, ST_LIMIT, "%s has %llu entries, too many", MERGES, (unsigned long long)n);
    if (tok_pairs_init(&t->pairs, n))
        return err_set(e, ST_NOMEM, "no memory for %llu merges", (unsigned long long)n);
    buf scratch;
    buf_init(&scratch);
    int rc = ST_OK;
    for (uint32_t i = 0; i < n && !rc; i++) {
        gguf_str m = {0};
        gguf_array_str(g, MERGES, i, &m);
        rc = load_merge(t, m, i, &scratch, e);
    }
    buf_done(&scratch);
    return rc;
}

static uint32_t join(const void *ctx, const tok_sym *l, const tok_sym *r, int32_t *joined)
{
    const tok *t = ctx;
    const struct tok_pair *p = tok_pairs_get(&t->pairs, l->id, r->id);
    if (!p || l->id < 0 || r->id < 0)
        return TOK_NO_RANK;
    *joined = p->id;
    return p->rank;
}

static void symbols(tok_enc *c, const char *s, size_t n)
{
    const tok *t = c->t;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t len = t->by_char ? utf8_decode(s + i, n - i, &cp) : 1;
        len = len ? len : 1;
        int32_t id = t->by_char ? tok_map_get(t, s + i, len) : t->byte_id[(unsigned char)s[i]];
        tok_merge_add(&c->merge, (uint32_t)i, (uint32_t)len, id);
        i += len;
    }
}

static int word(void *ctx, const char *s, size_t n)
{
    tok_enc *c = ctx;
    struct tok_word *slot = NULL;
    int rc = ST_OK;
    if (tok_enc_seen(c, s, n, &slot, &rc))
        return rc;
    size_t first = c->out->count;
    int32_t whole = c->t->ignore_merges ? tok_map_get(c->t, s, n) : -1;
    if (whole >= 0) {
        rc = tok_enc_id(c, whole);
    } else {
        if (!tok_merge_start(&c->merge, n))
            return tok_enc_nomem(c);
        symbols(c, s, n);
        if (!tok_merge_run(&c->merge, join, c->t))
            return tok_enc_nomem(c);
        rc = tok_enc_merged(c, s);
    }
    if (!rc)
        tok_enc_remember(slot, c, s, n, first);
    return rc;
}

// How many bytes from s on are valid UTF-8.
static size_t valid_run(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint32_t cp = 0;
        size_t len = (unsigned char)s[i] < 0x80 ? 1 : utf8_decode(s + i, n - i, &cp);
        if (!len)
            break;
        i += len;
    }
    return i;
}

int tok_bpe_encode(tok_enc *c, const char *s, size_t n)
{
    int rc = ST_OK;
    for (size_t i = 0; i < n && !rc;) {
        size_t len = valid_run(s + i, n - i);
        if (len)
            rc = tok_pre_split(c->t->pre, &c->run, s + i, len, word, c, c->e);
        else
            rc = tok_enc_bytes(c, s + i, len = 1);  // no expression matches what is no character
        i += len;
    }
    return rc;
}

// Encoding a text: special tokens are cut out first, what lies between goes to the encoder of the
// vocabulary's kind. Also what those encoders share: appending ids, falling back to bytes, and the memory of
// recent words.
//
// A remembered word keeps no ids of its own: it says where in the output they already stand.
#include <string.h>

#include "tok/own.h"

struct tok_word {
    const char *s;
    uint32_t n, hash;
    uint32_t epoch;       // of the call's rewritten text: an older one no longer stands where s points
    size_t first, count;  // its tokens: out->data[first .. first + count)
};

enum {
    WORDS = 4096,       // remembered at once
    WORDS_FROM = 4096,  // bytes of text from which remembering pays for clearing the table
    WORD_LONGEST = 64,  // bytes of a word worth remembering
};

int tok_ids_add(tok_ids *l, const int32_t *ids, size_t n)
{
    if (l->cap - l->count < n) {
        uint64_t need = 0;
        if (!check_add(l->count, n, &need) || need > SIZE_MAX / 8)
            return ST_NOMEM;
        size_t cap = MAX(MAX((size_t)need, l->cap * 2), (size_t)32);
        int32_t *p = mem_realloc(MEM_TOKENIZER, l->data, cap * sizeof *p);
        if (!p)
            return ST_NOMEM;
        l->data = p;
        l->cap = cap;
    }
    if (n)
        memcpy(l->data + l->count, ids, n * sizeof *ids);
    l->count += n;
    return ST_OK;
}

void tok_ids_done(tok_ids *l)
{
    mem_free(l->data);
    *l = (tok_ids){0};
}

int tok_enc_nomem(tok_enc *c)
{
    return err_set(c->e, ST_NOMEM, "no memory to encode a text");
}

int tok_enc_id(tok_enc *c, int32_t id)
{
    return tok_ids_add(c->out, &id, 1) ? tok_enc_nomem(c) : ST_OK;
}

int tok_enc_bytes(tok_enc *c, const char *s, size_t n)
{
    const tok *t = c->t;
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all = all && t->byte_id[(unsigned char)s[i]] >= 0;
    if (!all && t->unk < 0)
        return err_set(c->e, ST_UNSUPPORTED,
                       "the vocabulary has no token for the byte 0x%02X of the text, and no unknown token",
                       (unsigned)(unsigned char)s[0]);
    if (!all)
        return tok_enc_id(c, t->unk);
    int rc = ST_OK;
    for (size_t i = 0; i < n && !rc; i++)
        rc = tok_enc_id(c, t->byte_id[(unsigned char)s[i]]);
    return rc;
}

int tok_enc_merged(tok_enc *c, const char *s)
{
    int rc = ST_OK;
    for (uint32_t i = 0; i != UINT32_MAX && !rc; i = c->merge.syms[i].next) {
        const tok_sym *y = &c->merge.syms[i];
        rc = y->id >= 0 ? tok_enc_id(c, y->id) : tok_enc_bytes(c, s + y->at, y->len);
    }
    return rc;
}

bool tok_enc_seen(tok_enc *c, const char *s, size_t n, struct tok_word **slot, int *rc)
{
    *slot = NULL;
    if (!c->seen || n > WORD_LONGEST)
        return false;
    uint32_t hash = (uint32_t)hash_bytes(s, n);
    struct tok_word *w = &c->seen[hash % WORDS];
    *slot = w;
    if (!w->s || w->epoch != c->epoch || w->hash != hash || w->n != n || memcmp(w->s, s, n) != 0) {
        w->hash = hash;
        w->s = NULL;
        return false;
    }
    tok_ids *out = c->out;
    *rc = ST_OK;
    for (size_t i = 0; i < w->count && !*rc; i++)
        *rc = tok_enc_id(c, out->data[w->first + i]);
    return true;
}

void tok_enc_remember(struct tok_word *slot, const tok_enc *c, const char *s, size_t n, size_t first)
{
    if (!slot)
        return;
    slot->s = s;
    slot->epoch = c->epoch;
    slot->n = (uint32_t)n;
    slot->first = first;
    slot->count = c->out->count - first;
}

// A text without special tokens.
static int encode_plain(tok_enc *c, const char *s, size_t n)
{
    const tok *t = c->t;
    if (n == 0)
        return ST_OK;
    // SentencePiece's space goes where a text begins: at the very start, or after a special token.
    bool prefix = t->space_prefix;
    if (prefix && c->out->count) {
        int32_t last = c->out->data[c->out->count - 1];
        prefix = last >= 0 && (uint32_t)last < t->count &&
                 (tok_is_control(t, last) || t->type[last] == TOK_USER);
    }
    switch (t->kind) {
    case TOK_BPE: return tok_bpe_encode(c, s, n);
    case TOK_SPM: return tok_spm_encode(c, s, n, prefix);
    case TOK_UNIGRAM: return tok_unigram_encode(c, s, n, prefix);
    case TOK_WORDPIECE: return tok_wordpiece_encode(c, s, n);
    }
    return ST_UNSUPPORTED;
}

static bool white(char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

// Where control tokens may be spelled.
typedef struct scope {
    const tok_range *ranges;
    size_t n, bytes;  // ranges, and the bytes they cover
} scope;

static bool allows(const scope *c, size_t at, size_t len)
{
    size_t from = 0;
    for (size_t i = 0; i < c->n && from < at + len; from += c->ranges[i++].n)
        if (from + c->ranges[i].n > at && !c->ranges[i].special)
            return false;
    return true;
}

// The next special token from `from` on. Where a control token is not allowed a user-defined one may still
// stand.
static bool next_special(const tok *t, const char *s, const scope *where, size_t from, size_t *at,
                         size_t *len, int32_t *id)
{
    size_t n = where->bytes;
    for (size_t i = from; i < n; i++) {
        if (!t->special_first[(unsigned char)s[i]])
            continue;
        *id = tok_special_at(t, s + i, n - i, true, len);
        if (*id >= 0 && tok_is_control(t, *id) && !allows(where, i, *len))
            *id = tok_special_at(t, s + i, n - i, false, len);
        *at = i;
        if (*id >= 0)
            return true;
    }
    return false;
}

static int encode_all(tok_enc *c, const char *s, const scope *where, unsigned flags)
{
    const tok *t = c->t;
    size_t n = where->bytes;
    int rc = (flags & TOK_BOS) && tok_adds_bos(t) ? tok_enc_id(c, t->bos) : ST_OK;
    size_t done = 0, at = 0, len = 0;
    int32_t id = -1;
    while (!rc && next_special(t, s, where, done, &at, &len, &id)) {
        rc = encode_plain(c, s + done, at - done);
        if (!rc)
            rc = tok_enc_id(c, id);
        done = at + len;
        while (done < n && (t->mark[id] & TOK_MARK_RSTRIP) && white(s[done]))
            done++;
    }
    if (!rc)
        rc = encode_plain(c, s + done, n - done);
    if (!rc && (flags & TOK_EOS) && tok_adds_eos(t))
        rc = tok_enc_id(c, t->eos);
    return rc;
}

static int encode_scope(const tok *t, tok_ids *out, const char *s, const scope *where, unsigned flags, err *e)
{
    size_t n = where->bytes;
    if (n > INT32_MAX)
        return err_set(e, ST_LIMIT, "a text of %zu bytes is too long to encode at once, at most %d are", n,
                       INT32_MAX);
    tok_enc c = {.t = t, .out = out, .e = e};
    size_t before = out->count;
    if (n >= WORDS_FROM)
        c.seen = mem_calloc(MEM_TOKENIZER, WORDS, sizeof *c.seen);  // without it the work is only slower
    int rc = encode_all(&c, s, where, flags);
    if (rc)
        out->count = before;
    mem_free(c.seen);
    tok_merge_done(&c.merge);
    tok_pre_run_done(&c.run);
    buf_done(&c.text);
    return rc;
}

int tok_encode_append(const tok *t, tok_ids *out, const char *s, size_t n, unsigned flags, err *e)
{
    tok_range all = {n, flags & TOK_SPECIAL};
    return encode_scope(t, out, s, &(scope){&all, 1, n}, flags, e);
}

int tok_encode_ranges(const tok *t, tok_ids *out, const char *s, const tok_range *ranges, size_t n_ranges,
                      err *e)
{
    scope where = {ranges, n_ranges, 0};
    for (size_t i = 0; i < n_ranges; i++)
        where.bytes += ranges[i].n;
    return encode_scope(t, out, s, &where, 0, e);
}

int tok_encode(const tok *t, const char *s, size_t n, unsigned flags, int32_t **ids, size_t *count, err *e)
{
    tok_ids l = {0};
    int rc = tok_encode_append(t, &l, s, n, flags, e);
    if (!rc && !l.data) {
        l.data = mem_alloc(MEM_TOKENIZER, sizeof *l.data);
        if (!l.data)
            rc = err_set(e, ST_NOMEM, "no memory to encode a text");
    }
    if (rc) {
        tok_ids_done(&l);
        return rc;
    }
    *ids = l.data;
    *count = l.count;
    return ST_OK;
}

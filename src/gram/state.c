// States: the public walk along a text.
#include <string.h>

#include "gram/machine.h"

enum { MOST_FORCED = 4096 };

struct gram_state {
    gram *g;
    uint32_t *past;  // [n + 1] configurations: the first is the start
    size_t n, cap;
};

int gram_state_new(gram_state **out, gram *g, err *e)
{
    *out = NULL;
    gram_state *s = mem_calloc(MEM_GRAMMAR, 1, sizeof *s);
    if (!s || !gram_grow(&s->past, &s->cap, 0, sizeof *s->past)) {
        mem_free(s);
        return err_set(e, ST_NOMEM, "no memory for a state of a grammar");
    }
    s->g = gram_ref(g);
    s->past[0] = g->start;
    *out = s;
    return ST_OK;
}

int gram_state_fork(gram_state **out, const gram_state *s, err *e)
{
    int rc = gram_state_new(out, s->g, e);
    if (rc)
        return rc;
    gram_state *f = *out;
    uint32_t *past = mem_realloc(MEM_GRAMMAR, f->past, s->cap * sizeof *past);
    if (!past) {
        gram_state_free(f);
        *out = NULL;
        return err_set(e, ST_NOMEM, "no memory for a state of a grammar");
    }
    f->past = past;
    f->cap = s->cap;
    f->n = s->n;
    memcpy(past, s->past, (s->n + 1) * sizeof *past);
    return ST_OK;
}

void gram_state_free(gram_state *s)
{
    if (!s)
        return;
    gram_free(s->g);
    mem_free(s->past);
    mem_free(s);
}

static int lost(const gram *g, err *e)
{
    if (g->failed == ST_NOMEM)
        return err_set(e, ST_NOMEM, "no memory for a grammar's tables");
    return err_set(e, g->failed, "the grammar's tables are full: it is too ambiguous or counts too far");
}

int gram_state_mask(gram_state *s, uint32_t *bits, size_t n_tokens, err *e)
{
    gram *g = s->g;
    size_t words = (n_tokens + 31) / 32, own = g->vocab->words;
    pthread_mutex_lock(&g->lock);
    const uint32_t *mask = g->failed ? NULL : gram_mask_of(g, s->past[s->n]);
    if (mask)
        memcpy(bits, mask, MIN(words, own) * sizeof *bits);
    int rc = mask ? ST_OK : lost(g, e);
    pthread_mutex_unlock(&g->lock);
    if (!rc && words > own)
        memset(bits + own, 0, (words - own) * sizeof *bits);
    if (!rc && words <= own && n_tokens % 32)
        bits[words - 1] &= ((uint32_t)1 << (n_tokens % 32)) - 1;
    return rc;
}

static int move(gram_state *s, uint32_t to, err *e)
{
    if (!gram_grow(&s->past, &s->cap, s->n + 1, sizeof *s->past))
        return err_set(e, ST_NOMEM, "no memory for a state of a grammar");
    s->past[++s->n] = to;
    return ST_OK;
}

int gram_state_accept_bytes(gram_state *s, const char *p, size_t n, err *e)
{
    gram *g = s->g;
    pthread_mutex_lock(&g->lock);
    uint32_t at = s->past[s->n];
    size_t i = 0;
    while (i < n && at > GRAM_DONE)
        at = gram_step(g, at, (uint8_t)p[i++]);
    int rc = ST_OK;
    if (g->failed)
        rc = lost(g, e);
    else if (n == 0 || at <= GRAM_DONE)
        rc = err_set(e, ST_INVALID, "\"%.*s\" does not fit the grammar here", (int)MIN(n, 60), p);
    pthread_mutex_unlock(&g->lock);
    return rc ? rc : move(s, at, e);
}

static bool ends_text(const gram_vocab *v, int32_t token)
{
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == (uint32_t)token)
            return true;
    return false;
}

int gram_state_accept(gram_state *s, int32_t token, err *e)
{
    const gram_vocab *v = s->g->vocab;
    if (token < 0 || (size_t)token >= v->n)
        return err_set(e, ST_INVALID, "token %d, allowed 0..%zu", token, v->n - 1);
    if (ends_text(v, token)) {
        if (!gram_state_may_end(s))
            return err_set(e, ST_INVALID, "the text may not end here");
        return move(s, GRAM_DONE, e);
    }
    size_t n;
    const char *p = gram_vocab_piece(v, (uint32_t)token, &n);
    return gram_state_accept_bytes(s, p, n, e);
}

void gram_state_rollback(gram_state *s, size_t n)
{
    s->n -= MIN(n, s->n);
}

size_t gram_state_steps(const gram_state *s)
{
    return s->n;
}

bool gram_state_may_end(gram_state *s)
{
    pthread_mutex_lock(&s->g->lock);
    bool may = s->g->config[s->past[s->n]].accepting;
    pthread_mutex_unlock(&s->g->lock);
    return may;
}

// The byte that alone can follow, or -1.
static int only_byte(gram *g, uint32_t config)
{
    int only = -1;
    if (config <= GRAM_DONE || g->config[config].accepting)
        return -1;
    for (int b = 0; b < 256; b++) {
        if (gram_step(g, config, (uint8_t)b) == GRAM_DEAD)
            continue;
        if (only >= 0)
            return -1;
        only = b;
    }
    return only;
}

bool gram_state_must_end(gram_state *s)
{
    gram *g = s->g;
    pthread_mutex_lock(&g->lock);
    uint32_t at = s->past[s->n];
    bool must = g->config[at].accepting;
    for (int c = 0; c < g->rx.n_cls && must && g->config[at].n; c++)
        must = gram_step(g, at, g->rx.member[c]) == GRAM_DEAD;
    pthread_mutex_unlock(&g->lock);
    return must;
}

int gram_state_forced(gram_state *s, buf *out, err *e)
{
    gram *g = s->g;
    pthread_mutex_lock(&g->lock);
    uint32_t at = s->past[s->n];
    // 0xFF begins the name of a control token, which is no text: the mask will leave that token alone.
    for (int i = 0, b; i < MOST_FORCED && (b = only_byte(g, at)) >= 0 && b != 0xFF; i++) {
        buf_add_char(out, (char)b);
        at = gram_step(g, at, (uint8_t)b);
    }
    int rc = g->failed ? lost(g, e) : out->failed ? err_set(e, ST_NOMEM, "no memory for forced text") : ST_OK;
    pthread_mutex_unlock(&g->lock);
    return rc;
}

// A token of plain text: "a", or some byte where the vocabulary knows no letters; -1.
static int32_t plain_token(const tok *t)
{
    int32_t id = tok_find(t, "a", 1);
    size_t n = 0;
    for (uint32_t i = 0; id < 0 && i < tok_count(t); i++)
        if (!tok_is_control(t, (int32_t)i) && tok_piece(t, (int32_t)i, TOK_RAW, &n) && n)
            id = (int32_t)i;
    return id;
}

int gram_state_forced_tokens(gram_state *s, const tok *t, tok_ids *out, size_t room, err *e)
{
    buf text;
    tok_ids list = {0};
    buf_init(&text);
    int rc = gram_state_forced(s, &text, e);
    // Behind other text: at the start of a list SentencePiece would put a blank before it.
    int32_t before = text.len ? plain_token(t) : -1;
    size_t from = before >= 0, steps = 0;
    if (!rc && from && tok_ids_add(&list, &before, 1))
        rc = err_set(e, ST_NOMEM, "no memory for forced text");
    if (!rc && text.len)
        rc = tok_encode_append(t, &list, text.data, text.len, 0, e);
    // The last token is left to the model: what follows might have been written in one with it.
    for (size_t i = from; !rc && i + 1 < list.count && steps < room; i++, steps++)
        if (gram_state_accept(s, list.data[i], NULL))
            break;
    gram_state_rollback(s, steps);
    if (!rc && steps)
        rc = tok_ids_add(out, list.data + from, steps);
    tok_ids_done(&list);
    buf_done(&text);
    return rc;
}

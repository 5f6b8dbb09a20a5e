// One round: intents, rows for them, a second try for what came out too much alike, fall-backs for the rest.
#include <math.h>
#include <string.h>

#include "cand/own.h"

typedef struct making {
    const cand_round *r;
    cand_reply *replies;
    bool have[CAND_MOST];
    cand_row rows[CAND_MOST];
    int of[CAND_MOST];  // which reply a row of the present try makes
} making;

static void tell(const making *m, int index, bool final)
{
    if (m->r->event)
        m->r->event(m->r->ctx, index, &m->replies[index], final);
}

static void settle(making *m, int index, cand_source source)
{
    m->have[index] = true;
    m->replies[index].source = source;
    m->replies[index].seconds = os_seconds() - m->r->started;
    tell(m, index, true);
}

static bool is_taken(making *m, const char *text)
{
    return cand_taken(m->r, m->replies, m->have, m->r->n, text);
}

// After each token of a row: shows what there is, and settles a reply as soon as it is whole.
static void on_token(void *ctx, int row)
{
    making *m = ctx;
    cand_row *w = &m->rows[row];
    cand_reply *reply = &m->replies[m->of[row]];
    if (w->running) {
        size_t n = MIN(w->made.len, sizeof reply->text - 1);
        n -= n ? utf8_incomplete_tail(w->made.data, n) : 0;
        if (n)
            memcpy(reply->text, w->made.data, n);
        reply->text[n] = 0;
        if (n)
            tell(m, m->of[row], false);
        return;
    }
    char clean[sizeof reply->text];
    const char *tag = m->r->profile->axes[w->axis].tag;  // some models write it once more
    if (w->complete && cand_clean(tag, w->text, clean, sizeof clean) && !is_taken(m, clean)) {
        memcpy(reply->text, clean, strlen(clean) + 1);
        settle(m, m->of[row], CAND_MODEL);
    }
}

// What the person does not want becomes less likely from its first token on.
static int first_tokens(const cand_round *r, const tok *t, samp_bias *bias, err *e)
{
    int n = 0;
    for (size_t i = 0; i < r->n_avoid && n < 32; i++) {
        tok_ids ids = {0};
        int rc = tok_encode_append(t, &ids, r->avoid[i], strlen(r->avoid[i]), 0, e);
        if (!rc && ids.count)
            bias[n++] = (samp_bias){ids.data[0], -3};
        tok_ids_done(&ids);
        if (rc)
            return rc;
    }
    return n;
}

static int sampler(const making *m, const engine *x, const tok *t, int index, int attempt, samp **out, err *e)
{
    samp_bias bias[32];
    int n = first_tokens(m->r, t, bias, e);
    if (n < 0)
        return n;
    samp_params p = samp_greedy();
    p.temperature = m->r->temperature;
    p.top_k = 40;
    p.top_p = .95f;
    p.bias = bias;
    p.n_bias = (size_t)n;
    p.seed = m->r->seed + (uint64_t)(index + CAND_MOST * attempt);
    return samp_new(out, x->model.params.vocab, &p, e);
}

// Makes rows for the replies that are missing; their number, or a failure.
static int prepare(making *m, const cand_ahead *a, int attempt, err *e)
{
    int n = 0;
    for (int i = 0; i < m->r->n; i++) {
        if (m->have[i])
            continue;
        cand_row *row = &m->rows[n];
        samp_free(row->samp);
        row->samp = NULL;
        int rc = sampler(m, a->x, a->tok, i, attempt, &row->samp, e);
        if (rc)
            return rc;
        row->axis = m->replies[i].axis;
        row->complete = false;
        m->of[n++] = i;
    }
    return n;
}

static int make(making *m, cand_ahead *a, const kv_seq *prefix, err *e)
{
    const cand_round *r = m->r;
    double deadline = r->deadline;
    int axes[CAND_MOST];
    for (int attempt = 0; attempt < r->tries && os_seconds() < deadline; attempt++) {
        int n = prepare(m, a, attempt, e);
        if (n <= 0)
            return n;
        for (int i = 0; i < n; i++)
            axes[i] = m->rows[i].axis;
        int rc = cand_ahead_run(a, prefix, axes, n, cand_too_late, &deadline, e);
        if (!rc)
            rc = cand_rows_run(a, m->rows, n, r->max_tokens, deadline, on_token, m, e);
        for (int i = 0; i < n; i++)
            if (!m->have[m->of[i]])  // cut off by the deadline, but for whole sentences
                on_token(m, i);
        if (rc)
            return rc == ST_CANCELED ? ST_OK : rc;
    }
    return ST_OK;
}

// The replies there are, moved together; their number.
static int gather(making *m)
{
    int n = 0;
    for (int i = 0; i < m->r->n; i++)
        if (m->have[i]) {
            if (n != i)
                m->replies[n] = m->replies[i];
            n++;
        }
    return n;
}

int cand_round_run(const cand_round *r, cand_ahead *ahead, const kv_seq *prefix, cand_reply *out, err *e)
{
    static const char none[] = "";
    making m = {.r = r, .replies = out};
    char text[CAND_MOST][sizeof out->text];
    int axes[CAND_MOST], rc;
    err unused = {0};
    e = e ? e : &unused;
    cand_pick_axes(r, axes);
    for (int i = 0; i < r->n; i++) {
        out[i] = (cand_reply){.axis = axes[i]};
        m.rows[i].text = text[i];
        memcpy(text[i], none, sizeof none);
        buf_init(&m.rows[i].made);
    }
    if (prefix && !(rc = make(&m, ahead, prefix, e)))
        *e = (err){0};
    for (int i = 0; i < r->n; i++) {
        cand_reply stand_in = {.axis = axes[i]};
        if (m.have[i] || !cand_fall_back(r, out, m.have, &stand_in))
            continue;
        out[i] = stand_in;
        settle(&m, i, stand_in.source);
    }
    for (int i = 0; i < r->n; i++) {
        samp_free(m.rows[i].samp);
        buf_done(&m.rows[i].made);
    }
    return gather(&m);
}

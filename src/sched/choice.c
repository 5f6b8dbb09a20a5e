// From a row of logits to an event: choosing, the text that is certain, stop texts, the end of a choice.
#include <math.h>
#include <string.h>

#include "sched/own.h"

const double sched_bucket_bounds[SCHED_BUCKETS - 1] = {.001, .0025, .005, .01, .025, .05, .1,
                                                       .25,  .5,    1,    2.5, 10,   60};

void sched_count(sched_histogram *h, double seconds)
{
    int i = 0;
    while (i < SCHED_BUCKETS - 1 && seconds > sched_bucket_bounds[i])
        i++;
    h->count[i]++;
    h->sum += seconds;
}

void sched_tell(sched_request *r, sched_event *ev)
{
    double now = os_seconds();
    ev->prompt_tokens = r->n_prompt;
    ev->cached_tokens = r->n_cached;
    ev->completion_tokens = r->n_completion;
    ev->guessed_tokens = r->n_guessed;
    ev->accepted_tokens = r->n_accepted;
    ev->queue_seconds = (r->admitted > 0 ? r->admitted : now) - r->submitted;
    ev->prompt_seconds = r->admitted > 0 ? (r->read > 0 ? r->read : now) - r->admitted : 0;
    ev->first_token_seconds = r->first > 0 ? r->first - r->submitted : 0;
    ev->decode_seconds = r->first > 0 ? r->latest - r->first : 0;
    r->event(r->ctx, ev);
}

// Bytes at the start of the held text that may be shown: all before the first place where a stop text begins or may
// begin. *stop: the stop text that is whole there, or -1.
static size_t certain(const sched_request *r, const buf *held, int *stop)
{
    size_t maybe = held->len;
    *stop = -1;
    for (size_t at = 0; r->n_stops && at < held->len; at++)
        for (int i = 0; i < r->n_stops; i++) {
            size_t n = MIN(r->stop_len[i], held->len - at);
            if (memcmp(held->data + at, r->stop[i], n) != 0)
                continue;
            if (n == r->stop_len[i]) {
                *stop = i;
                return at;
            }
            maybe = MIN(maybe, at);
        }
    return maybe;
}

// log-probability of `token`, and the r->top likeliest into s->top.
static float score(sched *s, int n_top, const float *logits, int32_t token)
{
    int vocab = s->x->model.params.vocab, n = 0;
    float most = -INFINITY;
    for (int i = 0; i < vocab; i++)
        most = logits[i] > most ? logits[i] : most;
    double sum = 0;
    for (int i = 0; i < vocab; i++)
        sum += logits[i] > -INFINITY ? exp((double)logits[i] - most) : 0;
    double log_sum = most + log(sum);
    for (int i = 0; n_top && i < vocab; i++) {
        if (n == n_top && !(logits[i] > s->top[n - 1].logprob))
            continue;
        int at = n < n_top ? n++ : n - 1;
        for (; at > 0 && logits[i] > s->top[at - 1].logprob; at--)
            s->top[at] = s->top[at - 1];
        s->top[at] = (sched_top){i, logits[i]};
    }
    for (int i = 0; i < n; i++)
        s->top[i].logprob = (float)(s->top[i].logprob - log_sum);
    return (float)(logits[token] - log_sum);
}

static void note_time(sched_choice *c, double now)
{
    sched_request *r = c->r;
    sched_stats *x = &r->s->stats;
    if (r->first == 0) {
        r->first = now;
        sched_count(&x->first_token, now - r->submitted);
    }
    if (c->last > 0)
        sched_count(&x->between_tokens, now - c->last);
    c->last = r->latest = now;
}

// The choice's next token among those its grammar allows, which moves on with it; -1 after ending the request.
static int32_t choose(sched_choice *c, const float *logits)
{
    sched *s = c->r->s;
    if (!c->grammar)
        return samp_choose(c->samp, logits, c->tokens, c->n_tokens);
    if (c->n_forced) {
        c->n_forced--;
        return c->tokens[c->n_tokens];
    }
    size_t vocab = (size_t)s->x->model.params.vocab;
    uint32_t any = 0;
    err e = {0};
    int32_t id = -1;
    int rc = gram_state_mask(c->grammar, s->mask, vocab, &e);
    for (size_t i = 0; !rc && i < (vocab + 31) / 32; i++)
        any |= s->mask[i];
    if (!rc && !any)
        rc = err_set(&e, ST_INVALID, "no token of the vocabulary fits the grammar here");
    if (!rc) {
        id = samp_choose_in(c->samp, logits, s->mask, c->tokens, c->n_tokens);
        rc = gram_state_accept(c->grammar, id, &e);
    }
    if (rc)
        sched_request_end(c->r, SCHED_FAILED, rc, e.msg);
    return rc ? -1 : id;
}

// The token is the choice's next: kept and told. logits: NULL where they are not asked for.
static void take(sched_choice *c, int32_t id, const float *logits)
{
    sched_request *r = c->r;
    sched *s = r->s;
    note_time(c, os_seconds());
    c->tokens[c->n_tokens++] = id;
    r->n_completion++;
    s->stats.completion_tokens++;
    if (tok_is_eog(s->tok, id)) {
        sched_choice_end(c, SCHED_STOP, -1);
        return;
    }
    int stop;
    tok_stream_feed(&c->stream, id, &c->held);
    size_t ready = certain(r, &c->held, &stop);
    sched_event ev = {.kind = SCHED_TOKEN,
                      .choice = c->index,
                      .token = id,
                      .text = ready ? c->held.data : "",
                      .bytes = ready,
                      .stop = -1};
    if (r->logprobs) {
        ev.logprob = score(s, r->top, logits, id);
        ev.top = s->top;
        ev.n_top = MIN(r->top, s->x->model.params.vocab);
    }
    bool failed = c->held.failed;
    sched_tell(r, &ev);
    memmove(c->held.data, c->held.data + ready, c->held.len - ready);
    c->held.len -= ready;
    if (stop >= 0)
        buf_clear(&c->held);
    if (failed)
        sched_request_end(r, SCHED_FAILED, ST_NOMEM, "no memory for the text of a token");
    else if (stop >= 0 || (c->grammar && !c->n_forced && gram_state_must_end(c->grammar)))
        sched_choice_end(c, SCHED_STOP, stop);  // nothing may follow: the end token need not be waited for
    else if (c->n_tokens == r->n_prompt + r->max_tokens)
        sched_choice_end(c, SCHED_LENGTH, -1);
}

void sched_choice_take(sched_choice *c, const float *logits)
{
    int32_t id = choose(c, logits);
    if (id >= 0)
        take(c, id, logits);
}

void sched_choice_force(sched_choice *c)
{
    sched_request *r = c->r;
    tok_ids forced = {0};
    err e = {0};
    if (!c->grammar || c->ended || c->n_forced)
        return;
    size_t room = r->n_prompt + r->max_tokens - c->n_tokens;
    int rc = gram_state_forced_tokens(c->grammar, r->s->tok, &forced, room, &e);
    for (size_t i = 0; i < forced.count && !rc; i++)
        rc = gram_state_accept(c->grammar, forced.data[i], &e);
    if (rc) {
        sched_request_end(r, SCHED_FAILED, rc, e.msg);
    } else if (forced.count) {
        memcpy(c->tokens + c->n_tokens, forced.data, forced.count * sizeof *forced.data);
        c->n_forced = forced.count;
    }
    tok_ids_done(&forced);
    while (c->n_forced && !c->ended && !r->logprobs) {  // log-probabilities need the rows: one by one
        c->n_forced--;
        take(c, c->tokens[c->n_tokens], NULL);
    }
}

void sched_choice_end(sched_choice *c, sched_finish why, int stop)
{
    sched_request *r = c->r;
    if (c->ended)
        return;
    c->ended = true;
    c->running = false;
    kv_seq_free(c->seq);
    c->seq = NULL;
    if (stop < 0)
        tok_stream_end(&c->stream, &c->held);
    r->worst = MAX(r->worst, why);
    sched_event ev = {.kind = SCHED_END,
                      .choice = c->index,
                      .token = -1,
                      .text = c->held.len ? c->held.data : "",
                      .bytes = c->held.len,
                      .finish = why,
                      .stop = stop,
                      .code = r->code,
                      .message = r->message};
    sched_tell(r, &ev);
    r->n_ended++;
}

// Serving: irori.h's scheduler and requests over the sched room.
#include <limits.h>

#include "api/own.h"

// Public and inner events, histograms and likeliest tokens have one layout: they are passed on as they are.
#define SAME_PLACE(field, inner) \
    _Static_assert(offsetof(irori_event, field) == offsetof(sched_event, inner), "events have one layout")
_Static_assert(sizeof(irori_event) == sizeof(sched_event), "events have one layout");
SAME_PLACE(kind, kind);
SAME_PLACE(token, token);
SAME_PLACE(logprob, logprob);
SAME_PLACE(top, top);
SAME_PLACE(text, text);
SAME_PLACE(finish, finish);
SAME_PLACE(stop, stop);
SAME_PLACE(message, message);
SAME_PLACE(cached_tokens, cached_tokens);
SAME_PLACE(completion_tokens, completion_tokens);
SAME_PLACE(guessed_tokens, guessed_tokens);
SAME_PLACE(accepted_tokens, accepted_tokens);
SAME_PLACE(decode_seconds, decode_seconds);
_Static_assert((int)IRORI_EVENT_READ == (int)SCHED_READ && (int)IRORI_EVENT_DONE == (int)SCHED_DONE &&
                   (int)IRORI_FINISH_STOP == (int)SCHED_STOP &&
                   (int)IRORI_FINISH_CANCELED == (int)SCHED_CANCELED &&
                   (int)IRORI_FINISH_FAILED == (int)SCHED_FAILED,
               "events mean the same");
_Static_assert(sizeof(irori_top_logprob) == sizeof(sched_top), "one layout");
_Static_assert(sizeof(irori_histogram) == sizeof(sched_histogram) &&
                   (int)IRORI_HISTOGRAM_BUCKETS == (int)SCHED_BUCKETS,
               "one layout");

struct irori_scheduler {
    irori_model *m;
    sched *s;
};

// The public handle is the inner one under another name.
static sched_request *inner(irori_request *r)
{
    return (sched_request *)(void *)r;
}

int irori_scheduler_new(irori_scheduler **out, irori_model *m, const irori_scheduler_options *options,
                        irori_error *error)
{
    static const irori_scheduler_options defaults;
    const irori_scheduler_options *o = options ? options : &defaults;
    err *e = api_err(error);
    *out = NULL;
    int rc = api_need_engine(m, e);
    if (!rc)
        rc = api_need_breakers(m, e);  // now: requests come from any thread
    irori_scheduler *s = rc ? NULL : mem_calloc(MEM_OTHER, 1, sizeof *s);
    if (!rc && !s)
        rc = err_set(e, ST_NOMEM, "no memory for a scheduler");
    sched_options so = {
        .queue = o->queue, .slots = o->slots, .no_guess = o->no_guess, .chunk = o->prompt_chunk};
    if (!rc)
        rc = sched_new(&s->s, &m->engine, m->tok, &so, e);
    if (rc) {
        mem_free(s);
        return rc;
    }
    s->m = m;
    *out = s;
    return ST_OK;
}

void irori_scheduler_free(irori_scheduler *s)
{
    if (!s)
        return;
    sched_free(s->s);
    mem_free(s);
}

// Who is told; lives until DONE.
typedef struct listener {
    irori_event_fn *event;
    void *ctx;
} listener;

static void tell(void *ctx, const sched_event *ev)
{
    listener *l = ctx;
    l->event(l->ctx, (const irori_event *)(const void *)ev);
    if (ev->kind == SCHED_DONE)
        mem_free(l);
}

int irori_request_submit(irori_request **out, irori_scheduler *s, const irori_request_options *options,
                         irori_event_fn *event, void *ctx, irori_error *error)
{
    const irori_request_options *o = options;
    err *e = api_err(error);
    if (out)
        *out = NULL;
    if (o->choices < 0 || o->stop_count > SCHED_STOPS)
        return err_set(e, ST_INVALID, "%d choices and %zu stop texts, allowed 1 and more and up to %d",
                       o->choices, o->stop_count, SCHED_STOPS);
    sched_params p = {
        .prompt = o->prompt,
        .n_prompt = o->prompt_tokens,
        .grammar = o->grammar ? api_grammar_inner(o->grammar) : NULL,
        .max_tokens = o->max_tokens,
        .choices = o->choices ? o->choices : 1,
        .stops = o->stop,
        .n_stops = (int)o->stop_count,
        .special = o->special_text,
        .logprobs = o->logprobs,
        .top = o->top_logprobs,
        .deadline = o->deadline,
        .client = o->client,
        .event = tell,
    };
    int rc = api_need_text(s->m, e);
    if (!rc)
        rc = api_sampling(s->m, o->sampling, &p.samp, e);
    listener *l = rc ? NULL : mem_alloc(MEM_OTHER, sizeof *l);
    if (!rc && !l)
        rc = err_set(e, ST_NOMEM, "no memory for a request");
    sched_request *r = NULL;
    if (!rc) {
        *l = (listener){event, ctx};
        p.ctx = l;
        rc = sched_submit(s->s, &p, out ? &r : NULL, e);
    }
    if (rc)
        mem_free(l);
    if (out)
        *out = (irori_request *)(void *)r;
    return rc;
}

void irori_request_cancel(irori_request *r)
{
    sched_request_cancel(inner(r));
}

void irori_request_pause(irori_request *r, bool paused)
{
    sched_request_pause(inner(r), paused);
}

void irori_request_free(irori_request *r)
{
    sched_request_free(inner(r));
}

typedef struct call {
    void (*fn)(void *ctx, irori_model *m);
    void *ctx;
    irori_model *m;
} call;

static void run_call(void *ctx)
{
    call *c = ctx;
    c->fn(c->ctx, c->m);
}

int irori_scheduler_call(irori_scheduler *s, void (*fn)(void *ctx, irori_model *m), void *ctx)
{
    call c = {fn, ctx, s->m};
    return sched_call(s->s, run_call, &c);
}

int irori_scheduler_call_by(irori_scheduler *s, double seconds, void (*fn)(void *ctx, irori_model *m),
                            void *ctx)
{
    call c = {fn, ctx, s->m};
    return sched_call_by(s->s, os_seconds() + seconds, run_call, &c);
}

void irori_scheduler_set_guesses(irori_scheduler *s, bool on)
{
    sched_set_guesses(s->s, on);
}

bool irori_scheduler_guesses(irori_scheduler *s)
{
    return sched_guesses(s->s);
}

int irori_scheduler_claim(irori_held **out, irori_scheduler *s, size_t tokens, irori_error *error)
{
    sched_held *h = NULL;
    size_t pages = tokens / DEV_PAGE + (tokens % DEV_PAGE != 0);
    int rc = sched_claim(s->s, (int)MIN(pages, INT_MAX), &h, api_err(error));
    *out = (irori_held *)(void *)h;
    return rc;
}

// Another name for the inner one, as with requests.
int irori_scheduler_hold(irori_held **out, irori_scheduler *s, const int32_t *ids, size_t count,
                         irori_error *error)
{
    sched_held *h;
    int rc = sched_hold(s->s, ids, count, &h, api_err(error));
    *out = (irori_held *)(void *)h;
    return rc;
}

int irori_scheduler_hold_file(irori_held **out, irori_scheduler *s, const char *path, irori_error *error)
{
    sched_held *h;
    int rc = sched_hold_file(s->s, path, &h, api_err(error));
    *out = (irori_held *)(void *)h;
    return rc;
}

int irori_held_save(irori_held *h, const char *path, irori_error *error)
{
    return sched_held_save((sched_held *)(void *)h, path, api_err(error));
}

size_t irori_held_tokens(const irori_held *h)
{
    return sched_held_tokens((const sched_held *)(const void *)h);
}

void irori_held_release(irori_held *h)
{
    sched_release((sched_held *)(void *)h);
}

const double *irori_histogram_bounds(void)
{
    return sched_bucket_bounds;
}

static irori_histogram outer_histogram(const sched_histogram *h)
{
    irori_histogram out = {.sum = h->sum};
    for (int i = 0; i < IRORI_HISTOGRAM_BUCKETS; i++)
        out.count[i] = h->count[i];
    return out;
}

void irori_scheduler_get_stats(irori_scheduler *s, irori_scheduler_stats *out)
{
    sched_stats x;
    sched_get_stats(s->s, &x);
    *out = (irori_scheduler_stats){
        .slots = x.slots,
        .queue_limit = x.queue_limit,
        .waiting = x.waiting,
        .reading = x.reading,
        .generating = x.generating,
        .accepted = x.accepted,
        .refused = x.refused,
        .finished = x.finished,
        .canceled = x.canceled,
        .failed = x.failed,
        .prompt_tokens = x.prompt_tokens,
        .cached_tokens = x.cached_tokens,
        .completion_tokens = x.completion_tokens,
        .steps = x.steps,
        .step_tokens = x.step_tokens,
        .guessed_tokens = x.guessed_tokens,
        .accepted_tokens = x.accepted_tokens,
        .kv_promised_bytes = (uint64_t)x.pages_promised * x.kv.page_bytes,
        .kv_bytes = (uint64_t)(x.kv.used - x.kv.idle) * x.kv.page_bytes,
        .kv_idle_bytes = (uint64_t)x.kv.idle * x.kv.page_bytes,
        .kv_shared_bytes = (uint64_t)x.kv.shared * x.kv.page_bytes,
        .kv_total_bytes = (uint64_t)x.pages * x.kv.page_bytes,
        // Until as many requests as wait have gone through the slots.
        .retry_seconds = x.seconds_per_request * (x.waiting + 1) / MAX(x.slots, 1),
        .first_token = outer_histogram(&x.first_token),
        .between_tokens = outer_histogram(&x.between_tokens),
        .queue = outer_histogram(&x.queue),
        .kv = api_kv_stats(&x.kv),
    };
}

// POST /v1/bench: how fast a model answers on this server, run by run, with the settings that stand.
//
// Each run is a request like any other, of tokens drawn anew (so that none is known already), and the next is submitted when
// it is over: other requests wait for it no longer than for any. One bench at a time; it ends when its client leaves.
#include <pthread.h>
#include <stdlib.h>

#include "measure/stats.h"
#include "put.h"
#include "server/ask.h"

enum { MOST_PROMPT = 8192, MOST_GENERATE = 1024, MOST_RUNS = 30 };

typedef struct bench {
    server *s;
    http_request *r;
    const models_open *m;
    int32_t *ids;  // [prompt]
    int64_t prompt, generate, runs;
    int64_t done;    // runs; -1: the first one only warms up
    uint64_t state;  // of the generator of tokens
    irori_logit_bias *bias;
    size_t n_bias;
    samples first, reading, speed;  // ms; tokens a second
    pthread_mutex_t lock;           // of the two below
    irori_request *request;
    bool gone;
} bench;

static void bench_free(bench *b)
{
    if (b->m)
        models_release(b->s->models, b->m);
    irori_request_free(b->request);
    samples_done(&b->first);
    samples_done(&b->reading);
    samples_done(&b->speed);
    mem_free(b->ids);
    mem_free(b->bias);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

// Who has read the end may begin the next.
static void bench_end(bench *b)
{
    atomic_store(&b->s->benching, false);
    http_end(b->r);
    bench_free(b);
}

// ---- Events of the answer ----

static void event_begin(buf *out, json_writer *w, const char *event)
{
    buf_init(out);
    buf_printf(out, "event: %s\ndata: ", event);
    json_begin(w, out);
    json_obj(w);
}

static void event_send(bench *b, buf *out, json_writer *w)
{
    json_end(w);
    buf_add_str(out, "\n\n");
    if (!out->failed)
        http_write(b->r, out->data, out->len);
    buf_done(out);
}

static void put_stats(json_writer *w, const char *name, samples *x)
{
    const stats s = stats_of(x);
    json_key(w, name);
    json_obj(w);
    put_num(w, "median", s.median);
    if (s.n > 1) {  // one sample has no interval
        put_num(w, "low", s.low);
        put_num(w, "high", s.high);
    }
    put_num(w, "min", s.least);
    put_num(w, "max", s.most);
    json_end(w);
}

static void tell_run(bench *b, const irori_event *ev)
{
    buf out;
    json_writer w;
    event_begin(&out, &w, "run");
    put_int(&w, "run", b->done);
    put_num(&w, "ttft_ms", ev->first_token_seconds * 1e3);
    put_num(&w, "prompt_per_second", (double)ev->prompt_tokens / ev->prompt_seconds);
    put_num(&w, "tokens_per_second", (double)(ev->completion_tokens - 1) / ev->decode_seconds);
    event_send(b, &out, &w);
}

static void tell_done(bench *b)
{
    char *kv[2];
    buf out;
    json_writer w;
    event_begin(&out, &w, "done");
    put_str(&w, "model", b->m->name);
    put_str(&w, "quantization", b->m->info.quantization);
    put_int(&w, "prompt", b->prompt);
    put_int(&w, "generate", b->generate);
    put_int(&w, "threads", b->m->info.threads);
    put_str(&w, "device", b->m->info.device);
    put_str(&w, "version", irori_version());
    put_bool(&w, "speculation", irori_scheduler_guesses(b->m->scheduler));
    if (!models_get_kv(b->s->models, b->m, kv, NULL)) {
        put_str(&w, "policy", kv[0]);
        put_str(&w, "budget", kv[1]);
        mem_free(kv[0]);
        mem_free(kv[1]);
    }
    put_stats(&w, "ttft_ms", &b->first);
    put_stats(&w, "prompt_per_second", &b->reading);
    put_stats(&w, "tokens_per_second", &b->speed);
    event_send(b, &out, &w);
}

static void end_wrong(bench *b, const char *why)
{
    buf out;
    json_writer w;
    event_begin(&out, &w, "error");
    put_str(&w, "message", why);
    event_send(b, &out, &w);
    bench_end(b);
}

// ---- Runs, on the scheduler's thread but for the first ----

static void on_event(void *ctx, const irori_event *ev);

// The next run; what it brings may come before this returns.
static int submit(bench *b, err *e)
{
    for (int64_t i = 0; i < b->prompt; i++) {
        b->state = b->state * 6364136223846793005u + 1442695040888963407u;
        b->ids[i] = (int32_t)((b->state >> 33) % (uint64_t)b->m->info.vocabulary);
    }
    const irori_sampling greedy = {.logit_bias = b->bias, .logit_bias_count = b->n_bias};
    const irori_request_options o = {.prompt = b->ids,
                                     .prompt_tokens = (size_t)b->prompt,
                                     .sampling = &greedy,
                                     .max_tokens = (size_t)b->generate,
                                     .client = http_client(b->r)};
    pthread_mutex_lock(&b->lock);
    irori_request_free(b->request);
    b->request = NULL;
    int rc = b->gone ? err_set(e, ST_CANCELED, "the client left")
                     : irori_request_submit(&b->request, b->m->scheduler, &o, on_event, b,
                                            (irori_error *)(void *)e);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

static void on_event(void *ctx, const irori_event *ev)
{
    bench *b = ctx;
    err e;
    if (ev->kind != IRORI_EVENT_DONE)
        return;
    pthread_mutex_lock(&b->lock);  // until submit knows the request
    pthread_mutex_unlock(&b->lock);
    if (ev->finish == IRORI_FINISH_FAILED || ev->finish == IRORI_FINISH_CANCELED) {
        end_wrong(b, ev->finish == IRORI_FINISH_FAILED ? ev->message : "cancelled");
        return;
    }
    if (++b->done > 0) {
        samples_add(&b->first, ev->first_token_seconds * 1e3);
        samples_add(&b->reading, (double)ev->prompt_tokens / ev->prompt_seconds);
        samples_add(&b->speed, (double)(ev->completion_tokens - 1) / ev->decode_seconds);
        tell_run(b, ev);
    }
    if (b->done < b->runs) {
        if (submit(b, &e))
            end_wrong(b, e.msg);
        return;
    }
    tell_done(b);
    bench_end(b);
}

static void on_gone(void *ctx)
{
    bench *b = ctx;
    pthread_mutex_lock(&b->lock);
    b->gone = true;
    if (b->request)
        irori_request_cancel(b->request);
    pthread_mutex_unlock(&b->lock);
}

static void on_slow(void *ctx, bool slow)
{
    (void)ctx;
    (void)slow;  // a line a run: it may wait
}

// ---- The route ----

static int start(bench *b, const char *model, err *e)
{
    double took;
    int rc = models_use(b->s->models, model, NAN, &b->m, &took, e);
    if (!rc && b->prompt + b->generate > b->m->info.context)
        rc = err_set(e, ST_INVALID, "prompt and generate come to %lld tokens, the context of \"%s\" is %d",
                     (long long)(b->prompt + b->generate), b->m->name, b->m->info.context);
    if (!rc)
        rc = ask_forbid_ends(b->m, &b->bias, &b->n_bias, e);
    return rc;
}

void route_bench(incoming *c)
{
    fields f = fields_of(c->body);
    const char *model = fields_text(&f, "model", NULL);
    const int64_t prompt = fields_int(&f, "prompt", 256, 1, MOST_PROMPT);
    const int64_t generate = fields_int(&f, "generate", 64, 2, MOST_GENERATE);
    const int64_t runs = fields_int(&f, "repetitions", 5, 1, MOST_RUNS);
    err e;
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    if (atomic_exchange(&c->s->benching, true)) {
        answer_error(c->r, c->family, 503, NULL, NULL, "a bench runs already; try later");
        return;
    }
    bench *b = mem_calloc(MEM_OTHER, 1, sizeof *b);
    int32_t *ids = mem_alloc(MEM_OTHER, (size_t)prompt * sizeof *ids);
    if (!b || !ids) {
        mem_free(b);
        mem_free(ids);
        atomic_store(&c->s->benching, false);
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
        return;
    }
    *b = (bench){.s = c->s,
                 .r = c->r,
                 .ids = ids,
                 .prompt = prompt,
                 .generate = generate,
                 .runs = runs,
                 .done = -1,
                 .state = os_random_seed()};
    pthread_mutex_init(&b->lock, NULL);
    if (start(b, model, &e)) {
        atomic_store(&c->s->benching, false);
        answer_status(c, &e);
        bench_free(b);
        return;
    }
    http_begin(b->r, 200, "text/event-stream");
    http_watch_client(b->r, &(http_watch){.gone = on_gone, .slow = on_slow, .ctx = b});
    if (submit(b, &e))
        end_wrong(b, e.msg);
}

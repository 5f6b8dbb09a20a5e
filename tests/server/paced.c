// The server over a stand-in for the scheduler, to load what lies between an answer and its client: it makes no tokens, but
// gives each request the next word at an even pace. A word is its number and the time it was told,
// "12:3456789 " (microseconds of the monotonic clock), so that a client sees what is missing and how late it is.
//
//     server_paced MODEL TOKENS_A_SECOND
//
// As in a step of the scheduler all requests get their word at once, on one thread. Everything else is the server's own: the
// model file gives tokenizer and template. Defining all of irori.h's scheduler here keeps the library's out of the program.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/serve.h"

static double pace = 20;

struct irori_request {
    irori_request *next;
    atomic_int refs;
    atomic_bool cancel, paused;
    size_t prompt, made, most;
    bool begun;
    irori_event_fn *event;
    void *ctx;
};

struct irori_scheduler {
    irori_model *m;
    pthread_t thread;
    pthread_mutex_t lock;
    bool quit;                // guarded by lock
    irori_request *incoming;  // guarded by lock
    irori_request *active;    // the thread's own
    atomic_uint_least64_t made;
    atomic_int running;
};

static void unref(irori_request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) == 1)
        free(r);
}

static void tell(irori_request *r, irori_event_kind kind, const char *text, irori_finish finish)
{
    irori_event ev = {.kind = kind,
                      .token = -1,
                      .text = text,
                      .bytes = strlen(text),
                      .stop = -1,
                      .finish = finish,
                      .message = "",
                      .prompt_tokens = r->prompt,
                      .completion_tokens = r->made};
    r->event(r->ctx, &ev);
}

// The request's turn in a step; false when it has ended.
static bool turn(irori_scheduler *s, irori_request *r, bool quit)
{
    char word[48];
    bool cancel = quit || atomic_load(&r->cancel);
    if (!cancel && atomic_load(&r->paused))
        return true;
    if (!cancel && !r->begun) {
        tell(r, IRORI_EVENT_READ, "", IRORI_FINISH_STOP);
        r->begun = true;
    }
    if (!cancel && r->made < r->most) {
        int64_t now = (int64_t)(os_seconds() * 1e6);
        snprintf(word, sizeof word, "%zu:%lld ", r->made, (long long)now);
        r->made++;
        atomic_fetch_add(&s->made, 1);
        tell(r, IRORI_EVENT_TOKEN, word, IRORI_FINISH_STOP);
        return true;
    }
    irori_finish finish = cancel ? IRORI_FINISH_CANCELED : IRORI_FINISH_LENGTH;
    tell(r, IRORI_EVENT_END, "", finish);
    tell(r, IRORI_EVENT_DONE, "", finish);
    unref(r);
    return false;
}

static bool take_incoming(irori_scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    irori_request **last = &s->active;
    while (*last)
        last = &(*last)->next;
    *last = s->incoming;
    s->incoming = NULL;
    bool quit = s->quit;
    pthread_mutex_unlock(&s->lock);
    return quit;
}

static void *run(void *ctx)
{
    irori_scheduler *s = ctx;
    for (double next = os_seconds();; next += 1 / pace) {
        bool quit = take_incoming(s);
        int running = 0;
        for (irori_request **at = &s->active; *at;) {
            irori_request *r = *at, *after = r->next;
            if (turn(s, r, quit)) {
                at = &r->next;
                running++;
            } else {
                *at = after;
            }
        }
        atomic_store(&s->running, running);
        if (quit)
            return NULL;
        double wait = next + 1 / pace - os_seconds();
        struct timespec rest = {.tv_nsec = (long)(1e9 * MAX(wait, 0))};
        nanosleep(&rest, NULL);
    }
}

int irori_scheduler_new(irori_scheduler **out, irori_model *m, const irori_scheduler_options *o,
                        irori_error *error)
{
    (void)o;
    (void)error;
    irori_scheduler *s = calloc(1, sizeof *s);
    if (!s)
        return IRORI_NOMEM;
    s->m = m;
    pthread_mutex_init(&s->lock, NULL);
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort();
    *out = s;
    return IRORI_OK;
}

void irori_scheduler_free(irori_scheduler *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int irori_request_submit(irori_request **out, irori_scheduler *s, const irori_request_options *o,
                         irori_event_fn *event, void *ctx, irori_error *error)
{
    (void)error;
    irori_request *r = calloc(1, sizeof *r);
    if (!r)
        return IRORI_NOMEM;
    *r = (irori_request){
        .refs = 2, .prompt = o->prompt_tokens, .most = o->max_tokens, .event = event, .ctx = ctx};
    *out = r;
    pthread_mutex_lock(&s->lock);
    r->next = s->incoming;
    s->incoming = r;
    pthread_mutex_unlock(&s->lock);
    return IRORI_OK;
}

void irori_request_cancel(irori_request *r)
{
    atomic_store(&r->cancel, true);
}

void irori_request_pause(irori_request *r, bool paused)
{
    atomic_store(&r->paused, paused);
}

void irori_request_free(irori_request *r)
{
    if (r)
        unref(r);
}

int irori_scheduler_call(irori_scheduler *s, void (*fn)(void *ctx, irori_model *m), void *ctx)
{
    fn(ctx, s->m);
    return IRORI_OK;
}

int irori_scheduler_call_by(irori_scheduler *s, double seconds, void (*fn)(void *ctx, irori_model *m),
                            void *ctx)
{
    (void)seconds;
    return irori_scheduler_call(s, fn, ctx);
}

void irori_scheduler_set_guesses(irori_scheduler *s, bool on)
{
    (void)s, (void)on;
}

bool irori_scheduler_guesses(irori_scheduler *s)
{
    (void)s;
    return false;
}

int irori_scheduler_claim(irori_held **out, irori_scheduler *s, size_t tokens, irori_error *error)
{
    (void)s, (void)tokens, (void)error;
    *out = NULL;
    return IRORI_UNSUPPORTED;
}

int irori_scheduler_hold(irori_held **out, irori_scheduler *s, const int32_t *ids, size_t count,
                         irori_error *error)
{
    (void)s;
    (void)ids;
    (void)count;
    (void)error;
    *out = NULL;
    return IRORI_UNSUPPORTED;
}

int irori_scheduler_hold_file(irori_held **out, irori_scheduler *s, const char *path, irori_error *error)
{
    (void)path;
    return irori_scheduler_hold(out, s, NULL, 0, error);
}

int irori_held_save(irori_held *h, const char *path, irori_error *error)
{
    (void)h;
    (void)path;
    (void)error;
    return IRORI_UNSUPPORTED;
}

size_t irori_held_tokens(const irori_held *h)
{
    (void)h;
    return 0;
}

void irori_held_release(irori_held *h)
{
    (void)h;
}

const double *irori_histogram_bounds(void)
{
    static const double bounds[IRORI_HISTOGRAM_BUCKETS - 1];
    return bounds;
}

void irori_scheduler_get_stats(irori_scheduler *s, irori_scheduler_stats *out)
{
    *out = (irori_scheduler_stats){.slots = atomic_load(&s->running), .generating = atomic_load(&s->running)};
    out->completion_tokens = atomic_load(&s->made);
}

int main(int argc, char **argv)
{
    if (argc != 3 || !((pace = strtod(argv[2], NULL)) > 0)) {
        fprintf(stderr, "usage: server_paced MODEL TOKENS_A_SECOND\n");
        return 2;
    }
    const char *paths[] = {argv[1]};
    serve_options o = {.paths = paths,
                       .n_paths = 1,
                       .quiet = true,
                       .models = {.open = {.threads = 1, .context = 64, .sessions = 1}}};
    err e = {0};
    if (serve(&o, &e)) {
        fprintf(stderr, "server_paced: %s\n", e.msg);
        return 1;
    }
    return 0;
}

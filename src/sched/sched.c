// The scheduler's thread, its lists, and what may be called from other threads.
#include <errno.h>
#include <string.h>
#include <time.h>

#include "sched/own.h"

void sched_list_add(sched_list *l, sched_request *r)
{
    r->next = NULL;
    if (l->last)
        l->last->next = r;
    else
        l->first = r;
    l->last = r;
}

void sched_list_remove(sched_list *l, sched_request *r)
{
    sched_request *before = NULL;
    for (sched_request *at = l->first; at != r; at = at->next)
        before = at;
    if (before)
        before->next = r->next;
    else
        l->first = r->next;
    if (l->last == r)
        l->last = before;
    r->next = NULL;
}

static void poke(sched *s)
{
    pthread_mutex_lock(&s->lock);
    s->poked = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

// The soonest deadline of all requests; 0: none.
static double soonest(const sched *s)
{
    double at = 0;
    const sched_request *lists[] = {s->queue.first, s->active.first};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (const sched_request *r = lists[i]; r; r = r->next)
            if (r->deadline > 0 && (at == 0 || r->deadline < at))
                at = r->deadline;
    return at;
}

// What others see of the thread's counters; under the lock. Counting pages takes as long as a small model's token:
// while there is work it is done ten times a second.
static void publish(sched *s, bool busy)
{
    sched_stats *x = &s->stats;
    x->slots = s->slots;
    x->queue_limit = s->queue_limit;
    x->pages_promised = s->promised;
    x->reading = x->generating = 0;
    for (const sched_request *r = s->active.first; r; r = r->next) {
        x->reading += r->read == 0;
        for (int i = 0; i < r->n_choices; i++)
            x->generating += r->choice[i].running;
    }
    double now = os_seconds();
    if (!busy || now - s->counted > .1) {
        kv_get_stats(s->x->kv, &x->kv);
        s->counted = now;
    }
    x->pages = s->pages;
    s->shown = *x;
}

// Waits for work when the last turn had none; takes over what came in. False when the scheduler ends.
static bool wait_for_work(sched *s, bool busy, sched_job **jobs)
{
    double until = busy ? 0 : soonest(s);
    pthread_mutex_lock(&s->lock);
    publish(s, busy);
    while (!busy && !s->poked && !s->quit) {
        if (until == 0) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        struct timespec at = {.tv_sec = (time_t)until};
        at.tv_nsec = (long)((until - (double)at.tv_sec) * 1e9);
        if (pthread_cond_timedwait(&s->wake, &s->lock, &at) == ETIMEDOUT)
            break;
    }
    s->poked = false;
    while (s->incoming.first) {
        sched_request *r = s->incoming.first;
        sched_list_remove(&s->incoming, r);
        sched_list_add(&s->queue, r);
    }
    *jobs = s->jobs;
    for (sched_job *job = s->jobs; job; job = job->next)
        job->begun = true;
    s->jobs = NULL;
    bool go_on = !s->quit;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void run_jobs(sched *s, sched_job *job, int rc)
{
    while (job) {
        sched_job *next = job->next;  // the job lies on its caller's stack
        if (rc == ST_OK)
            job->fn(job->ctx);
        pthread_mutex_lock(&s->lock);
        job->rc = rc;
        job->done = true;
        pthread_cond_broadcast(&s->job_done);
        pthread_mutex_unlock(&s->lock);
        job = next;
    }
}

// Ends what was cancelled or ran out of time.
static void reap(sched *s)
{
    double now = os_seconds();
    sched_list *lists[] = {&s->queue, &s->active};
    sched_finish why;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (sched_request *r = lists[i]->first; r; r = r->next)
            if (sched_request_over(r, now, &why))
                sched_request_end(r, why, ST_OK, "");
    sched_sweep(s);
}

static void *run(void *ctx)
{
    sched *s = ctx;
    sched_job *jobs;
    bool busy = false;
    while (wait_for_work(s, busy, &jobs)) {
        run_jobs(s, jobs, ST_OK);
        s->ended_some = false;
        reap(s);
        sched_admit(s);
        busy = sched_step(s) || s->ended_some;
    }
    run_jobs(s, jobs, ST_CANCELED);
    for (sched_request *r = s->active.first; r; r = r->next)
        sched_request_end(r, SCHED_CANCELED, ST_OK, "");
    for (sched_request *r = s->queue.first; r; r = r->next)
        sched_request_end(r, SCHED_CANCELED, ST_OK, "");
    sched_sweep(s);
    return NULL;
}

static int init_locks(sched *s)
{
    pthread_condattr_t monotonic;
    if (pthread_mutex_init(&s->lock, NULL) != 0)
        return ST_NOMEM;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);  // as os_seconds counts
    pthread_cond_init(&s->wake, &monotonic);
    pthread_cond_init(&s->job_done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return ST_OK;
}

int sched_new(sched **out, engine *x, const tok *t, const sched_options *o, err *e)
{
    static const sched_options defaults;
    o = o ? o : &defaults;
    *out = NULL;
    if (o->queue < 0 || o->queue > 1 << 20)
        return err_set(e, ST_INVALID, "a queue of %d requests, allowed 0..1048576", o->queue);
    if (o->slots < 0 || o->slots > 4096)
        return err_set(e, ST_INVALID, "%d slots, allowed 0..4096", o->slots);
    if (o->chunk < 0 || o->chunk > 8192)
        return err_set(e, ST_INVALID, "prompt pieces of %d tokens, allowed 0..8192", o->chunk);
    sched *s = mem_calloc(MEM_OTHER, 1, sizeof *s);
    if (!s || init_locks(s)) {
        mem_free(s);
        return err_set(e, ST_NOMEM, "no memory for a scheduler");
    }
    s->x = x;
    s->tok = t;
    s->queue_limit = o->queue ? o->queue : 64;
    // 64: two kernel tiles of rows. A step then takes a few times as long as one that only decodes.
    s->chunk = o->chunk ? o->chunk : 64;
    // Half the batch, so that prompts are read however many generate.
    int most = MIN(x->outputs, MAX(1, x->batch / 2));
    s->slots = MIN(o->slots ? o->slots : x->sequences, most);
    s->rows = mem_calloc(MEM_OTHER, (size_t)s->slots, sizeof *s->rows);
    s->row = mem_calloc(MEM_OTHER, (size_t)s->slots, sizeof *s->row);
    s->mask = mem_calloc(MEM_GRAMMAR, ((size_t)x->model.params.vocab + 31) / 32, sizeof *s->mask);
    int rc = s->rows && s->row && s->mask ? ST_OK : err_set(e, ST_NOMEM, "no memory for %d slots", s->slots);
    atomic_init(&s->guesses, !o->no_guess);
    if (!rc)
        rc = spec_memory_new(&s->guessing, e);
    kv_stats store;
    kv_get_stats(x->kv, &store);
    s->pages = store.pages;
    publish(s, false);
    if (!rc && pthread_create(&s->thread, NULL, run, s) != 0)
        rc = err_set(e, ST_IO, "the scheduler's thread could not be started");
    s->started = !rc;
    if (rc) {
        sched_free(s);
        return rc;
    }
    *out = s;
    return ST_OK;
}

void sched_free(sched *s)
{
    if (!s)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->quit = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    sched_release_all(s);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->job_done);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->rows);
    mem_free(s->row);
    mem_free(s->mask);
    spec_memory_free(s->guessing);
    mem_free(s);
}

int sched_submit(sched *s, const sched_params *p, sched_request **out, err *e)
{
    sched_request *r;
    if (out)
        *out = NULL;
    int rc = sched_request_make(&r, s, p, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->lock);
    if (s->quit || s->waiting >= s->queue_limit) {
        s->refused++;
        rc = err_set(e, ST_BUSY, "%d requests are waiting, %d allowed; try again later", s->waiting,
                     s->queue_limit);
    } else {
        s->accepted++;
        s->waiting++;
        s->poked = true;
        if (out)
            atomic_fetch_add(&r->refs, 1);
        sched_list_add(&s->incoming, r);
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc)
        sched_request_unref(r);
    else if (out)
        *out = r;
    return rc;
}

void sched_request_cancel(sched_request *r)
{
    atomic_store(&r->cancel, true);
    if (!atomic_load(&r->ended))
        poke(r->s);
}

void sched_request_pause(sched_request *r, bool paused)
{
    if (atomic_exchange(&r->paused, paused) != paused && !paused && !atomic_load(&r->ended))
        poke(r->s);
}

void sched_request_free(sched_request *r)
{
    if (r)
        sched_request_unref(r);
}

// Under the lock: takes back a job that has not begun.
static void withdraw(sched *s, sched_job *job)
{
    sched_job **at = &s->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->rc = ST_BUSY;
    job->done = true;
}

// deadline 0: none.
static int call(sched *s, double deadline, void (*fn)(void *ctx), void *ctx)
{
    sched_job job = {.fn = fn, .ctx = ctx};
    struct timespec until = {.tv_sec = (time_t)deadline};
    until.tv_nsec = (long)((deadline - (double)until.tv_sec) * 1e9);
    pthread_mutex_lock(&s->lock);
    if (s->quit) {
        pthread_mutex_unlock(&s->lock);
        return ST_CANCELED;
    }
    sched_job **at = &s->jobs;
    while (*at)
        at = &(*at)->next;
    *at = &job;
    s->poked = true;
    pthread_cond_signal(&s->wake);
    while (!job.done)
        if (deadline == 0 || job.begun)
            pthread_cond_wait(&s->job_done, &s->lock);
        else if (pthread_cond_timedwait(&s->job_done, &s->lock, &until) == ETIMEDOUT && !job.begun)
            withdraw(s, &job);
    pthread_mutex_unlock(&s->lock);
    return job.rc;
}

int sched_call(sched *s, void (*fn)(void *ctx), void *ctx)
{
    return call(s, 0, fn, ctx);
}

int sched_call_by(sched *s, double deadline, void (*fn)(void *ctx), void *ctx)
{
    atomic_fetch_add(&s->urgent, 1);
    int rc = call(s, deadline, fn, ctx);
    atomic_fetch_sub(&s->urgent, 1);
    return rc;
}

void sched_set_guesses(sched *s, bool on)
{
    atomic_store(&s->guesses, on);
}

bool sched_guesses(sched *s)
{
    return atomic_load(&s->guesses);
}

void sched_get_stats(sched *s, sched_stats *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->shown;
    out->waiting = s->waiting;
    out->accepted = s->accepted;
    out->refused = s->refused;
    pthread_mutex_unlock(&s->lock);
}

// Pages kept for requests to come: a sequence that nobody runs holds them. And room set aside for sequences that are none of
// the scheduler's.
#include <limits.h>

#include "sched/own.h"

typedef struct hold_job {
    sched *s;
    const char *path;       // of a file that has the pages
    const int32_t *tokens;  // both NULL: `n` pages are set aside
    size_t n;
    sched_held *out;
    int rc;
    err *e;
} hold_job;

static void hold(void *ctx)
{
    hold_job *j = ctx;
    sched *s = j->s;
    sched_held *h = j->out;
    int n = 0;
    if (j->path)
        j->rc = kv_seq_load(s->x->kv, j->path, s->x->context, &h->seq, j->e);
    else
        j->rc = j->tokens ? kv_seq_new(s->x->kv, &h->seq, j->e) : ST_OK;
    if (j->rc)
        return;
    if (j->path)
        n = kv_seq_length(h->seq);
    else if (j->tokens)
        n = kv_seq_match(h->seq, j->tokens, (int)MIN(j->n, INT_MAX), j->e);
    // One request that fills its context always finds room beside what is held.
    int pages = h->seq ? n / DEV_PAGE : (int)j->n, whole = (s->x->context + DEV_PAGE - 1) / DEV_PAGE;
    int most = MAX(MIN(s->pages / 2, s->pages - whole), 0);
    if (n < 0)
        j->rc = n;
    else if (pages > most - s->held)
        j->rc = err_set(
            j->e, ST_LIMIT,
            "%d pages of keys and values to hold beside %d held, %d allowed; more slots allow more", pages,
            s->held, most);
    if (j->rc) {
        kv_seq_free(h->seq);
        return;
    }
    h->n_tokens = (size_t)n;
    h->pages = pages;
    h->next = s->holds;
    s->holds = h;
    s->held += pages;
}

// Event functions are on the scheduler's thread, with no step under way.
static int run(sched *s, void (*fn)(void *ctx), void *ctx)
{
    if (!pthread_equal(pthread_self(), s->thread))
        return sched_call(s, fn, ctx);
    fn(ctx);
    return ST_OK;
}

static int take(hold_job j, sched_held **out)
{
    sched *s = j.s;
    err *e = j.e;
    *out = NULL;
    j.out = mem_calloc(MEM_OTHER, 1, sizeof *j.out);
    if (!j.out)
        return err_set(e, ST_NOMEM, "no memory to hold a prompt");
    j.out->s = s;
    int rc = run(s, hold, &j);
    if (rc)
        err_set(e, rc, "the scheduler has ended");
    else
        rc = j.rc;
    if (rc)
        mem_free(j.out);
    else
        *out = j.out;
    return rc;
}

int sched_hold(sched *s, const int32_t *tokens, size_t n, sched_held **out, err *e)
{
    static const int32_t nothing;
    return take((hold_job){.s = s, .tokens = tokens ? tokens : &nothing, .n = n, .e = e}, out);
}

int sched_claim(sched *s, int pages, sched_held **out, err *e)
{
    return take((hold_job){.s = s, .n = (size_t)pages, .e = e}, out);
}

int sched_hold_file(sched *s, const char *path, sched_held **out, err *e)
{
    return take((hold_job){.s = s, .path = path, .e = e}, out);
}

typedef struct save_job {
    const sched_held *h;
    const char *path;
    int rc;
    err *e;
} save_job;

static void save(void *ctx)
{
    save_job *j = ctx;
    j->rc = kv_seq_save(j->h->seq, j->path, j->e);
}

int sched_held_save(sched_held *h, const char *path, err *e)
{
    save_job j = {.h = h, .path = path, .e = e};
    int rc = run(h->s, save, &j);
    return rc ? err_set(e, rc, "the scheduler has ended") : j.rc;
}

size_t sched_held_tokens(const sched_held *h)
{
    return h->n_tokens;
}

static void let_go(void *ctx)
{
    sched_held *h = ctx;
    sched_held **at = &h->s->holds;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    h->s->held -= h->pages;
    kv_seq_free(h->seq);
    mem_free(h);
}

void sched_release(sched_held *h)
{
    if (h)
        run(h->s, let_go, h);
}

void sched_release_all(sched *s)
{
    while (s->holds)
        let_go(s->holds);
}

// The thread pool: a sense-counting barrier and a generation counter, both with spin-then-sleep waits.
#include "base/pool.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/os.h"

// How long to spin before sleeping: longer than a barrier between balanced steps, far shorter than a scheduler
// tick. By the clock, since one pause instruction takes 10 to 140 cycles depending on the processor.
enum { SPIN_NS = 20000, PAUSES = 16 };

typedef struct worker {
    pool *owner;
    pthread_t thread;
    int index;
} worker;

struct pool {
    int n;        // threads, the caller's included
    int started;  // workers that run
    bool pin;
    worker *workers;  // n - 1
    void (*fn)(void *ctx, int ith, int nth);
    void *ctx;
    bool quit;
    _Alignas(64) _Atomic uint32_t generation;  // grows by one per run: workers wait for it to change
    _Alignas(64) _Atomic uint32_t arrived;     // threads at the present barrier
    _Alignas(64) _Atomic uint32_t passed;      // barriers completed
    _Alignas(64) _Atomic uint32_t sleepers;    // threads asleep on either word
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Returns once *word != old.
static void wait_change(pool *p, _Atomic uint32_t *word, uint32_t old)
{
    uint64_t start = os_nanoseconds();
    do {
        for (int i = 0; i < PAUSES; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old)
                return;
            relax();
        }
    } while (os_nanoseconds() - start < SPIN_NS);
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(word) == old)
        os_wait_word(word, old);
    atomic_fetch_sub(&p->sleepers, 1);
}

// Changes *word and wakes who sleeps on it. Sequential consistency orders the change before the look at
// `sleepers`: a waiter either sees the new value or is counted and woken.
static void announce(pool *p, _Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    if (atomic_load(&p->sleepers))
        os_wake_word(word);
}

void pool_barrier(pool *p)
{
    if (p->n == 1)
        return;
    uint32_t passed = atomic_load_explicit(&p->passed, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) + 1 == (uint32_t)p->n) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        announce(p, &p->passed);
    } else {
        wait_change(p, &p->passed, passed);
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pool *p = w->owner;
    if (p->pin)
        os_pin_thread(w->index);
    for (uint32_t seen = 0;; seen++) {
        wait_change(p, &p->generation, seen);
        if (p->quit)
            return NULL;
        p->fn(p->ctx, w->index, p->n);
        pool_barrier(p);
    }
}

int pool_new(pool **out, int n_threads, bool pin, err *e)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > 1024)
        return err_set(e, ST_INVALID, "threads: %d, allowed 1..1024", n_threads);
    pool *p = mem_pages_alloc(MEM_OTHER, sizeof *p);
    if (!p)
        return err_set(e, ST_NOMEM, "no memory for the thread pool");
    p->n = n_threads;
    p->pin = pin;
    p->workers = mem_calloc(MEM_OTHER, (size_t)n_threads, sizeof *p->workers);
    if (!p->workers) {
        pool_free(p);
        return err_set(e, ST_NOMEM, "no memory for the thread pool");
    }
    for (int i = 1; i < n_threads; i++) {
        worker *w = &p->workers[i - 1];
        *w = (worker){.owner = p, .index = i};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            pool_free(p);
            return err_set(e, ST_IO, "thread %d of %d could not be started; ask for fewer", i + 1, n_threads);
        }
        p->started++;
    }
    *out = p;
    return ST_OK;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    p->quit = true;
    announce(p, &p->generation);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    mem_free(p->workers);
    mem_pages_free(MEM_OTHER, p, sizeof *p);
}

int pool_threads(const pool *p)
{
    return p->n;
}

void pool_run(pool *p, void (*fn)(void *ctx, int ith, int nth), void *ctx)
{
    if (p->n > 1) {
        p->fn = fn;
        p->ctx = ctx;
        announce(p, &p->generation);
    }
    fn(ctx, 0, p->n);
    pool_barrier(p);
}

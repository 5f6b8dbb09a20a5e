// Worker threads that run one function together, step by step.
//
// pool_run wakes the workers once; inside, pool_barrier separates the steps, so that a token costs one wake-up
// and many cheap barriers. Waiting spins a little, then sleeps in the kernel: an idle pool uses no processor.
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"

typedef struct pool pool;

// n_threads >= 1, the caller's own thread included; with `pin`, worker i asks for processor i (thread 0, the
// caller's, is left where it is). ST_NOMEM, ST_IO (a thread could not be started), ST_INVALID.
int pool_new(pool **out, int n_threads, bool pin, err *e);
void pool_free(pool *p);
int pool_threads(const pool *p);

// Runs fn(ctx, i, n) on all n threads (i = 0 is the caller) and returns when all have. One call at a time.
void pool_run(pool *p, void (*fn)(void *ctx, int ith, int nth), void *ctx);

// Inside fn: waits until all n threads are here. What they wrote before is seen by all after.
void pool_barrier(pool *p);

// Shared work of `total` items: gives the next run of at most `chunk` as [*from, *to); false when none is
// left. One counter serves one loop; set it to 0 before the threads arrive.
static inline bool pool_next(atomic_int *next, int total, int chunk, int *from, int *to)
{
    int at = atomic_fetch_add_explicit(next, chunk, memory_order_relaxed);
    if (at >= total)
        return false;
    *from = at;
    *to = at + chunk < total ? at + chunk : total;
    return true;
}

#endif

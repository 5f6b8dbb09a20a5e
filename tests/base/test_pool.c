// The thread pool: every thread runs, barriers order memory, sleeping waits wake up. Also run with the portable
// waits (base_pool_portable) and under ThreadSanitizer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

enum { MOST = 32, ROUNDS = 40 };

typedef struct work {
    pool *p;
    int n;
    long runs[MOST];          // written by thread i only
    int slot[2][MOST];        // plain memory: the barrier must order it
    atomic_int wrong;         // comparisons that failed inside a thread
    atomic_int next;          // shared loop counter
    unsigned char hit[5000];  // items of the shared loop
    int late;                 // the thread that comes late
} work;

static void count_run(void *ctx, int ith, int nth)
{
    work *w = ctx;
    if (nth != w->n || ith < 0 || ith >= nth)
        atomic_fetch_add(&w->wrong, 1);
    w->runs[ith]++;
}

// Each round every thread writes its slot, meets the others, then reads all slots; two sets of slots, so that
// one barrier a round is enough.
static void meet(void *ctx, int ith, int nth)
{
    work *w = ctx;
    for (int r = 0; r < ROUNDS; r++) {
        w->slot[r & 1][ith] = r * 100 + ith;
        pool_barrier(w->p);
        for (int k = 0; k < nth; k++)
            if (w->slot[r & 1][k] != r * 100 + k)
                atomic_fetch_add(&w->wrong, 1);
    }
}

static void share_loop(void *ctx, int ith, int nth)
{
    (void)ith, (void)nth;
    work *w = ctx;
    int from, to;
    while (pool_next(&w->next, (int)sizeof w->hit, 7, &from, &to))
        for (int i = from; i < to; i++)
            w->hit[i]++;
}

// One thread is late by far more than the spinning time, so the others sleep in the kernel.
static void come_late(void *ctx, int ith, int nth)
{
    work *w = ctx;
    if (ith == w->late % nth)
        usleep(3000);
    w->slot[0][ith] = ith + 1;
    pool_barrier(w->p);
    for (int k = 0; k < nth; k++)
        if (w->slot[0][k] != k + 1)
            atomic_fetch_add(&w->wrong, 1);
}

static void drive(int n, int runs, bool pin)
{
    work w = {.n = n};
    err e = {0};
    assert_int_equal(pool_new(&w.p, n, pin, &e), ST_OK);
    assert_int_equal(pool_threads(w.p), n);
    for (int i = 0; i < runs; i++)
        pool_run(w.p, count_run, &w);
    for (int i = 0; i < n; i++)
        assert_int_equal(w.runs[i], runs);
    for (int i = 0; i < runs / 40; i++)
        pool_run(w.p, meet, &w);
    for (int i = 0; i < 3; i++) {
        memset(w.hit, 0, sizeof w.hit);
        atomic_store(&w.next, 0);
        pool_run(w.p, share_loop, &w);
        for (size_t k = 0; k < sizeof w.hit; k++)
            assert_int_equal(w.hit[k], 1);
    }
    for (w.late = 0; w.late < n && w.late < 4; w.late++) {
        memset(w.slot, 0, sizeof w.slot);
        pool_run(w.p, come_late, &w);
    }
    usleep(2000);  // the workers sleep
    pool_run(w.p, count_run, &w);
    for (int i = 0; i < n; i++)
        assert_int_equal(w.runs[i], runs + 1);
    assert_int_equal(atomic_load(&w.wrong), 0);
    pool_free(w.p);
}

static void one_to_eight_threads(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n++)
        drive(n, 2000, false);
}

static void pinned_threads(void **state)
{
    (void)state;
    drive(2, 2000, true);
    drive(5, 400, true);
}

static void more_threads_than_processors(void **state)
{
    (void)state;
    drive(MOST, 200, false);
}

static void pools_come_and_go(void **state)
{
    (void)state;
    mem_stats a, b;
    mem_get_stats(&a);
    for (int i = 0; i < 100; i++) {
        pool *p;
        assert_int_equal(pool_new(&p, i % 4 + 1, false, NULL), ST_OK);
        if (i % 3 == 0) {
            work w = {.p = p, .n = i % 4 + 1};
            pool_run(p, count_run, &w);
            assert_int_equal(w.runs[w.n - 1], 1);
        }
        pool_free(p);
    }
    pool_free(NULL);
    mem_get_stats(&b);
    assert_int_equal(a.bytes, b.bytes);
}

static void bad_counts_and_no_memory(void **state)
{
    (void)state;
    static const int bad[] = {0, -1, 1025, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        pool *p = (pool *)&bad;
        err e = {0};
        assert_int_equal(pool_new(&p, bad[i], false, &e), ST_INVALID);
        assert_null(p);
        assert_non_null(strstr(e.msg, "1..1024"));
    }
    for (uint64_t n = 1; n <= 2; n++) {
        pool *p;
        mem_fail_nth(n);
        assert_int_equal(pool_new(&p, 3, false, NULL), ST_NOMEM);
        assert_null(p);
    }
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_to_eight_threads),         cmocka_unit_test(pinned_threads),
        cmocka_unit_test(more_threads_than_processors), cmocka_unit_test(pools_come_and_go),
        cmocka_unit_test(bad_counts_and_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

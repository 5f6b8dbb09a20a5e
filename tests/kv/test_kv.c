// The KV store: counts of pages, copy on write, truncation, limits, failures.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kv/kv.h"

static const dev_kv_shape small = {.layers = 2, .kv_heads = 1, .head_dim = 16};

static kv *store_of(int pages)
{
    kv *s;
    err e;
    assert_int_equal(kv_new(&s, &small, &(kv_options){.pages = pages, .root = 1}, &e), ST_OK);
    return s;
}

static kv_seq *seq_of(kv *s)
{
    kv_seq *q;
    assert_int_equal(kv_seq_new(s, &q, NULL), ST_OK);
    return q;
}

static uint8_t *byte_at(const kv_seq *q, int pos)
{
    return &kv_seq_view(q).pages[pos / DEV_PAGE]->block[1][DEV_KV_V].plane[DEV_KV_PLANE_F16][pos % DEV_PAGE];
}

// Appends n positions; each has a byte of its page's last block, which becomes `mark`.
static int append(kv_seq *q, int n, uint8_t mark)
{
    int rc = kv_seq_reserve(q, n, NULL);
    if (rc)
        return rc;
    for (int i = 0; i < n; i++) {
        *byte_at(q, kv_seq_length(q)) = mark;
        kv_seq_append(q, &(int32_t){mark}, 1);
    }
    return ST_OK;
}

static uint8_t mark_at(const kv_seq *q, int pos)
{
    return *byte_at(q, pos);
}

static void expect_stats(const kv *s, int used, int shared)
{
    kv_stats st;
    kv_get_stats(s, &st);
    assert_int_equal(st.used, used);
    assert_int_equal(st.shared, shared);
    assert_int_equal(st.page_bytes, dev_kv_page_bytes(&small));
}

static void pages_come_and_go(void **state)
{
    (void)state;
    kv *s = store_of(5);
    kv_seq *q = seq_of(s);
    expect_stats(s, 0, 0);
    assert_int_equal(append(q, 1, 1), ST_OK);
    expect_stats(s, 1, 0);
    assert_int_equal(append(q, 63, 2), ST_OK);
    expect_stats(s, 1, 0);
    assert_int_equal(append(q, 65, 3), ST_OK);
    expect_stats(s, 3, 0);
    assert_int_equal(kv_seq_length(q), 129);
    kv_seq_truncate(q, 129);
    kv_seq_truncate(q, 500);  // nothing to forget
    assert_int_equal(kv_seq_length(q), 129);
    kv_seq_truncate(q, 128);
    expect_stats(s, 2, 0);
    kv_seq_truncate(q, 1);
    expect_stats(s, 1, 0);
    assert_int_equal(mark_at(q, 0), 1);
    kv_seq_truncate(q, 0);
    expect_stats(s, 0, 0);
    kv_seq_free(q);
    kv_seq_free(NULL);
    kv_free(s);
    kv_free(NULL);
}

static void the_last_page_is_copied_before_it_is_written(void **state)
{
    (void)state;
    kv *s = store_of(8);
    kv_seq *a = seq_of(s), *b, *c;
    assert_int_equal(append(a, 70, 7), ST_OK);
    assert_int_equal(kv_seq_fork(a, &b, NULL), ST_OK);
    assert_int_equal(kv_seq_fork(b, &c, NULL), ST_OK);
    expect_stats(s, 2, 2);
    assert_int_equal(append(b, 2, 8), ST_OK);  // its own copy of the half page
    expect_stats(s, 3, 2);
    assert_int_equal(append(a, 2, 9), ST_OK);
    expect_stats(s, 4, 1);
    assert_int_equal(append(c, 2, 10), ST_OK);  // the last holder writes in place
    expect_stats(s, 4, 1);
    for (int pos = 0; pos < 70; pos++) {
        assert_int_equal(mark_at(a, pos), 7);
        assert_int_equal(mark_at(b, pos), 7);
        assert_int_equal(mark_at(c, pos), 7);
    }
    assert_int_equal(mark_at(a, 71), 9);
    assert_int_equal(mark_at(b, 71), 8);
    assert_int_equal(mark_at(c, 71), 10);
    kv_seq_free(a);
    expect_stats(s, 3, 1);
    kv_seq_free(b);
    kv_seq_free(c);
    expect_stats(s, 0, 0);
    kv_free(s);
}

// Cutting a fork back into a shared full page and writing there must not reach the other.
static void truncated_forks_do_not_write_into_each_other(void **state)
{
    (void)state;
    kv *s = store_of(8);
    kv_seq *a = seq_of(s), *b;
    assert_int_equal(append(a, 128, 1), ST_OK);
    assert_int_equal(kv_seq_fork(a, &b, NULL), ST_OK);
    kv_seq_truncate(b, 40);
    assert_int_equal(append(b, 60, 2), ST_OK);
    for (int pos = 0; pos < 128; pos++)
        assert_int_equal(mark_at(a, pos), 1);
    for (int pos = 0; pos < 100; pos++)
        assert_int_equal(mark_at(b, pos), pos < 40 ? 1 : 2);
    kv_seq_free(a);
    kv_seq_free(b);
    kv_free(s);
}

// Pages that were reserved and not written (a run that was cancelled) belong to one sequence only.
static void reserved_pages_are_not_shared_by_a_fork(void **state)
{
    (void)state;
    for (int length = 60; length <= 64; length += 4) {
        kv *s = store_of(16);
        kv_seq *a = seq_of(s), *b;
        assert_int_equal(append(a, length, 1), ST_OK);
        assert_int_equal(kv_seq_reserve(a, 200, NULL), ST_OK);
        assert_int_equal(kv_seq_fork(a, &b, NULL), ST_OK);
        assert_int_equal(append(a, 100, 2), ST_OK);
        assert_int_equal(append(b, 100, 3), ST_OK);
        for (int pos = 0; pos < length + 100; pos++) {
            assert_int_equal(mark_at(a, pos), pos < length ? 1 : 2);
            assert_int_equal(mark_at(b, pos), pos < length ? 1 : 3);
        }
        kv_seq_free(a);
        kv_seq_free(b);
        expect_stats(s, 0, 0);
        kv_free(s);
    }
}

static void a_full_store_says_so_and_changes_nothing(void **state)
{
    (void)state;
    kv *s = store_of(3);
    kv_seq *a = seq_of(s), *b;
    err e;
    assert_int_equal(append(a, 130, 4), ST_OK);
    assert_int_equal(kv_seq_reserve(a, 63, &e), ST_LIMIT);
    assert_non_null(strstr(e.msg, "130"));
    assert_non_null(strstr(e.msg, "63"));
    assert_int_equal(kv_seq_reserve(a, INT32_MAX, &e), ST_LIMIT);
    assert_int_equal(kv_seq_length(a), 130);
    assert_int_equal(kv_seq_reserve(a, 62, &e), ST_OK);
    assert_int_equal(kv_seq_fork(a, &b, &e), ST_OK);
    assert_int_equal(kv_seq_reserve(b, 1, &e), ST_LIMIT);  // no page for the copy
    assert_int_equal(kv_seq_reserve(b, 0, &e), ST_OK);
    assert_int_equal(mark_at(b, 129), 4);
    kv_seq_free(a);
    assert_int_equal(append(b, 62, 5), ST_OK);  // now it is the only holder
    kv_seq_free(b);
    kv_free(s);
}

static void impossible_stores_are_refused(void **state)
{
    (void)state;
    kv *s = (kv *)&state;
    err e;
    assert_int_equal(kv_new(&s, &small, &(kv_options){.pages = 0}, &e), ST_INVALID);
    assert_null(s);
    assert_int_equal(kv_new(&s, &small, &(kv_options){.pages = -1}, &e), ST_INVALID);
    dev_kv_shape vast = {.layers = 4096, .kv_heads = 4096, .head_dim = 512};
    assert_true(kv_new(&s, &vast, &(kv_options){.pages = INT32_MAX}, &e) < 0);
    assert_null(s);
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    mem_stats before, after;
    mem_get_stats(&before);
    int failures = 0, rc = ST_NOMEM;
    for (uint64_t n = 1; rc; n++) {
        kv *s = NULL;
        kv_seq *a = NULL, *b = NULL;
        mem_fail_nth(n);
        rc = kv_new(&s, &small, &(kv_options){.pages = 40, .root = 1, .prefix_tree = true}, NULL);
        if (!rc)
            rc = kv_seq_new(s, &a, NULL);
        if (!rc)
            rc = append(a, 100, 1);
        if (!rc)
            rc = append(a, 1000, 1);  // the page list grows
        if (!rc)
            rc = kv_seq_fork(a, &b, NULL);
        if (!rc)
            rc = append(b, 1, 2);
        mem_fail_nth(0);
        failures += rc == ST_NOMEM;
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        if (a)
            assert_true(kv_seq_length(a) == 0 || kv_seq_length(a) == 100 || kv_seq_length(a) == 1100);
        kv_seq_free(a);
        kv_seq_free(b);
        kv_free(s);
        assert_true(n < 100);
    }
    assert_true(failures >= 9);
    mem_get_stats(&after);
    assert_int_equal(before.bytes, after.bytes);
}

// Random operations on several sequences against plain arrays of marks.
static void random_histories(void **state)
{
    (void)state;
    enum { SEQS = 4, MOST = 300 };
    uint8_t want[SEQS][MOST];
    int length[SEQS] = {0};
    kv *s = store_of(SEQS * 5);
    kv_seq *q[SEQS];
    for (int i = 0; i < SEQS; i++)
        q[i] = seq_of(s);
    uint32_t x = 12345;
    for (int step = 0; step < 3000; step++) {
        x = x * 1664525u + 1013904223u;
        int i = (int)(x >> 28) % SEQS, j = (int)(x >> 24 & 15) % SEQS, n = (int)(x >> 8 & 127);
        uint8_t mark = (uint8_t)(step % 251 + 1);
        int kind = (int)(x >> 16 & 7);
        if (kind < 4 && length[i] + n <= MOST) {
            assert_int_equal(append(q[i], n, mark), ST_OK);
            memset(want[i] + length[i], mark, (size_t)n);
            length[i] += n;
        } else if (kind == 4 && length[i] + n <= MOST) {
            assert_int_equal(kv_seq_reserve(q[i], n, NULL), ST_OK);  // and never written
        } else if (kind == 5) {
            length[i] = length[i] > n ? length[i] - n : 0;
            kv_seq_truncate(q[i], length[i]);
        } else if (kind == 6 && i != j) {
            kv_seq_free(q[j]);
            assert_int_equal(kv_seq_fork(q[i], &q[j], NULL), ST_OK);
            memcpy(want[j], want[i], (size_t)length[i]);
            length[j] = length[i];
        }
        for (int k = 0; k < SEQS; k++) {
            assert_int_equal(kv_seq_length(q[k]), length[k]);
            for (int pos = 0; pos < length[k]; pos++)
                if (mark_at(q[k], pos) != want[k][pos])
                    fail_msg("step %d, sequence %d, position %d", step, k, pos);
        }
    }
    for (int i = 0; i < SEQS; i++)
        kv_seq_free(q[i]);
    expect_stats(s, 0, 0);
    kv_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_come_and_go),
        cmocka_unit_test(the_last_page_is_copied_before_it_is_written),
        cmocka_unit_test(truncated_forks_do_not_write_into_each_other),
        cmocka_unit_test(reserved_pages_are_not_shared_by_a_fork),
        cmocka_unit_test(a_full_store_says_so_and_changes_nothing),
        cmocka_unit_test(impossible_stores_are_refused),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The counted heap.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void counters_follow(void **state)
{
    (void)state;
    mem_stats a, b;
    mem_get_stats(&a);
    char *p = mem_alloc(MEM_KV, 1000);
    char *q = mem_calloc(MEM_SAMPLER, 10, 20);
    for (int i = 0; i < 200; i++)
        assert_int_equal(q[i], 0);
    mem_get_stats(&b);
    assert_int_equal(b.calls - a.calls, 2);
    assert_int_equal(b.bytes - a.bytes, 1200);
    assert_int_equal(b.bytes_by_tag[MEM_KV] - a.bytes_by_tag[MEM_KV], 1000);
    assert_int_equal(b.bytes_by_tag[MEM_SAMPLER] - a.bytes_by_tag[MEM_SAMPLER], 200);
    assert_true(b.peak >= b.bytes);
    memset(p, 'p', 1000);
    p = mem_realloc(MEM_GRAPH, p, 100000);  // moves to the other tag too
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 'p');
    mem_get_stats(&b);
    assert_int_equal(b.bytes - a.bytes, 100200);
    assert_int_equal(b.bytes_by_tag[MEM_KV], a.bytes_by_tag[MEM_KV]);
    assert_int_equal(b.bytes_by_tag[MEM_GRAPH] - a.bytes_by_tag[MEM_GRAPH], 100000);
    mem_free(p);
    mem_free(q);
    mem_free(NULL);
    mem_get_stats(&b);
    assert_int_equal(b.bytes, a.bytes);
    assert_true(b.peak >= a.bytes + 100200);
}

static void sizes_at_the_edges(void **state)
{
    (void)state;
    void *p = mem_alloc(MEM_OTHER, 0);
    assert_non_null(p);
    p = mem_realloc(MEM_OTHER, p, 0);
    assert_non_null(p);
    mem_free(p);
    for (size_t n = 1; n < 100; n++) {
        p = mem_realloc(MEM_OTHER, NULL, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        mem_free(p);
    }
    volatile size_t huge = SIZE_MAX;
    assert_null(mem_alloc(MEM_OTHER, huge));
    assert_null(mem_alloc(MEM_OTHER, huge - 15));
    assert_null(mem_calloc(MEM_OTHER, huge / 2 + 1, 2));
    assert_null(mem_strndup(MEM_OTHER, "x", huge));
    assert_null(mem_pages_alloc(MEM_OTHER, huge));
    char *s = mem_strndup(MEM_OTHER, "hello", 4);
    assert_string_equal(s, "hell");
    assert_null(mem_realloc(MEM_OTHER, s, huge));
    assert_string_equal(s, "hell");  // still ours
    mem_free(s);
    s = mem_strndup(MEM_OTHER, NULL, 0);
    assert_string_equal(s, "");
    mem_free(s);
}

static void the_nth_call_fails_once(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 12; n++) {
        mem_fail_nth(n);
        for (uint64_t i = 1; i <= 12; i++) {
            void *p;
            switch (i % 4) {
            case 0: p = mem_alloc(MEM_OTHER, 8); break;
            case 1: p = mem_calloc(MEM_OTHER, 8, 8); break;
            case 2: p = mem_realloc(MEM_OTHER, NULL, 8); break;
            default: p = mem_pages_alloc(MEM_OTHER, 8); break;
            }
            assert_int_equal(p == NULL, i == n);
            if (i % 4 == 3)
                mem_pages_free(MEM_OTHER, p, 8);
            else
                mem_free(p);
        }
    }
    mem_fail_nth(1);
    mem_fail_nth(0);
    void *p = mem_alloc(MEM_OTHER, 1);
    assert_non_null(p);
    mem_fail_nth(1);
    assert_null(mem_realloc(MEM_OTHER, p, 2));
    mem_free(p);
}

static void pages(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 9 << 20};
    mem_stats a, b;
    mem_get_stats(&a);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t n = sizes[i];
        unsigned char *p = mem_pages_alloc(MEM_WEIGHTS, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (n >= 2 << 20 ? 2 << 20 : 64), 0);
        for (size_t k = 0; k < n; k += 4093) {
            assert_int_equal(p[k], 0);
            p[k] = 1;
        }
        if (n)
            p[n - 1] = 1;
        mem_get_stats(&b);
        assert_true(b.bytes_by_tag[MEM_WEIGHTS] - a.bytes_by_tag[MEM_WEIGHTS] >= n);
        mem_pages_free(MEM_WEIGHTS, p, n);
    }
    mem_pages_free(MEM_WEIGHTS, NULL, 5);
    mem_get_stats(&b);
    assert_int_equal(a.bytes, b.bytes);
}

static void released_pages_read_as_zero(void **state)
{
    (void)state;
    size_t n = 3 << 20;
    uint8_t *p = mem_pages_alloc(MEM_KV, n);
    assert_non_null(p);
    memset(p, 7, n);
    mem_pages_release(p + 100, n - 200);
    assert_int_equal(p[0], 7);  // in a system page that is only partly inside
    assert_int_equal(p[n - 1], 7);
    for (size_t i = 65536; i < n - 65536; i++)
        assert_int_equal(p[i], 0);
    mem_pages_free(MEM_KV, p, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_follow),
        cmocka_unit_test(sizes_at_the_edges),
        cmocka_unit_test(the_nth_call_fails_once),
        cmocka_unit_test(pages),
        cmocka_unit_test(released_pages_read_as_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

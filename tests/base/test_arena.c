// Arenas: alignment, growth, reuse after a reset, failure.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static uint64_t held(void)
{
    mem_stats s;
    mem_get_stats(&s);
    return s.bytes;
}

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    uint64_t before = held();
    arena a;
    arena_init(&a, MEM_GGUF);
    enum { N = 3000 };
    unsigned char *p[N];
    size_t size[N];
    for (size_t i = 0; i < N; i++) {
        size[i] = i * 7 % 301 + 1;
        p[i] = arena_alloc(&a, size[i]);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)(i % 251), size[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < size[i]; k++)
            assert_int_equal(p[i][k], i % 251);
    assert_true(held() - before >= a.used);
    arena_done(&a);
    assert_int_equal(held(), before);
}

static void a_reset_reuses_the_blocks(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, MEM_OTHER);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 1000));
    assert_non_null(arena_alloc(&a, 3 << 20));  // larger than the largest ordinary block
    uint64_t after_first = held();
    void *first = a.first;
    for (int round = 0; round < 10; round++) {
        arena_reset(&a);
        assert_int_equal(a.used, 0);
        for (int i = 0; i < 100; i++)
            assert_non_null(arena_alloc(&a, 1000));
        assert_non_null(arena_alloc(&a, 3 << 20));
        assert_int_equal(held(), after_first);
        assert_ptr_equal(a.first, first);
    }
    arena_done(&a);
}

static void calloc_zeroes_used_memory(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, MEM_OTHER);
    memset(arena_alloc(&a, 900), 0xFF, 900);
    arena_reset(&a);
    const unsigned char *p = arena_calloc(&a, 30, 30);
    for (int i = 0; i < 900; i++)
        assert_int_equal(p[i], 0);
    char *s = arena_strndup(&a, "abcdef", 3);
    assert_string_equal(s, "abc");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_non_null(arena_alloc(&a, 0));
    arena_done(&a);
}

static void failures_leave_the_arena_usable(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, MEM_OTHER);
    mem_fail_nth(1);
    assert_null(arena_alloc(&a, 8));
    assert_non_null(arena_alloc(&a, 8));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 16));
    assert_null(arena_alloc(&a, SIZE_MAX - 40));
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_null(arena_strndup(&a, "x", SIZE_MAX));
    mem_fail_nth(1);
    assert_null(arena_strndup(&a, "a text longer than the first block", 5000));
    mem_fail_nth(0);
    assert_non_null(arena_alloc(&a, 5000));
    arena_done(&a);
    arena_done(&a);  // twice is harmless
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(a_reset_reuses_the_blocks),
        cmocka_unit_test(calloc_zeroes_used_memory),
        cmocka_unit_test(failures_leave_the_arena_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

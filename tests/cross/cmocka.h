// The part of cmocka's interface that the tests of base, quant and kern use, written for cross builds: a foreign
// cmocka is not a package away on every system, and these tests need little of it. Assertions jump out of the
// test as cmocka's do; skipped tests count as passed.
#ifndef CROSS_CMOCKA_H
#define CROSS_CMOCKA_H

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    CMFixtureFunction setup_func, teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(f)     \
    {                           \
#f, f, NULL, NULL, NULL \
    }
#define cmocka_unit_test_setup_teardown(f, up, down) \
    {                                                \
#f, f, up, down, NULL                        \
    }
#define cmocka_unit_test_prestate(f, state) \
    {                                       \
#f, f, NULL, NULL, state            \
    }
#define cmocka_run_group_tests(tests, up, down) cross_run(tests, sizeof(tests) / sizeof((tests)[0]), up, down)
#define cmocka_run_group_tests_name(name, tests, up, down) cmocka_run_group_tests(tests, up, down)

static jmp_buf cross_out;
enum { CROSS_FAILED = 1, CROSS_SKIPPED };

#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define skip() longjmp(cross_out, CROSS_SKIPPED)
#define fail_msg(...) (print_error(__VA_ARGS__), cross_check(0, "fail", __FILE__, __LINE__))
#define fail() fail_msg("failed")

static inline void cross_check(int ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    longjmp(cross_out, CROSS_FAILED);
}

static inline void cross_equal(uint64_t a, uint64_t b, int want, const char *what, const char *file, int line)
{
    if ((a == b) != want)
        fprintf(stderr, "0x%llx and 0x%llx\n", (unsigned long long)a, (unsigned long long)b);
    cross_check((a == b) == want, what, file, line);
}

#define CROSS(ok, what) cross_check(!!(ok), what, __FILE__, __LINE__)
#define CROSS_EQUAL(a, b, want, what) \
    cross_equal((uint64_t)(a), (uint64_t)(b), want, what, __FILE__, __LINE__)
#define assert_true(c) CROSS(c, #c)
#define assert_false(c) CROSS(!(c), "not " #c)
#define assert_null(p) CROSS((p) == NULL, #p " is NULL")
#define assert_non_null(p) CROSS((p) != NULL, #p " is not NULL")
#define assert_int_equal(a, b) CROSS_EQUAL(a, b, 1, #a " == " #b)
#define assert_int_not_equal(a, b) CROSS_EQUAL(a, b, 0, #a " != " #b)
#define assert_ptr_equal(a, b) CROSS_EQUAL((uintptr_t)(a), (uintptr_t)(b), 1, #a " == " #b)
#define assert_ptr_not_equal(a, b) CROSS_EQUAL((uintptr_t)(a), (uintptr_t)(b), 0, #a " != " #b)
#define assert_string_equal(a, b) CROSS(strcmp(a, b) == 0, #a " equals " #b)
#define assert_string_not_equal(a, b) CROSS(strcmp(a, b) != 0, #a " differs from " #b)
#define assert_memory_equal(a, b, n) CROSS(memcmp(a, b, n) == 0, #a " equals " #b)
#define assert_memory_not_equal(a, b, n) CROSS(memcmp(a, b, n) != 0, #a " differs from " #b)
#define assert_in_range(v, lo, hi) \
    CROSS((uint64_t)(v) >= (uint64_t)(lo) && (uint64_t)(v) <= (uint64_t)(hi), #v " in " #lo ".." #hi)
#define assert_float_equal(a, b, eps) CROSS(fabs((double)(a) - (double)(b)) <= (eps), #a " near " #b)
#define assert_return_code(rc, e) CROSS((rc) >= 0, #rc " is no error")

static inline int cross_one(const struct CMUnitTest *t, void *state)
{
    if (t->initial_state)
        state = t->initial_state;
    int why = setjmp(cross_out);
    if (why == 0) {
        if (t->setup_func && t->setup_func(&state) != 0)
            return CROSS_FAILED;
        t->test_func(&state);
        if (t->teardown_func && t->teardown_func(&state) != 0)
            return CROSS_FAILED;
    }
    return why;
}

static inline int cross_run(const struct CMUnitTest *tests, size_t n, CMFixtureFunction up,
                            CMFixtureFunction down)
{
    static void *state;
    int failed = 0;
    if (up && up(&state) != 0)
        return 1;
    for (size_t i = 0; i < n; i++) {
        int why = cross_one(&tests[i], state);
        printf("%s %s\n", why == 0 ? "ok" : why == CROSS_SKIPPED ? "skipped" : "FAILED", tests[i].name);
        failed += why == CROSS_FAILED;
    }
    if (down && down(&state) != 0)
        failed++;
    return failed;
}

#endif

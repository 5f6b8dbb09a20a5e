// Checked arithmetic, status codes, messages and the log hook.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void arithmetic_at_its_edges(void **state)
{
    (void)state;
    static const uint64_t v[] = {0,
                                 1,
                                 2,
                                 3,
                                 0xFFFFFFFF,
                                 0x100000000,
                                 1ull << 62,
                                 1ull << 63,
                                 (1ull << 63) - 1,
                                 UINT64_MAX / 3,
                                 UINT64_MAX - 1,
                                 UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        for (size_t k = 0; k < COUNT_OF(v); k++) {
            uint64_t out = 77, expect = 0;
            bool wraps = __builtin_mul_overflow(v[i], v[k], &expect);
            assert_int_equal(check_mul(v[i], v[k], &out), !wraps);
            assert_int_equal(out, wraps ? 77 : expect);
            out = 77;
            wraps = __builtin_add_overflow(v[i], v[k], &expect);
            assert_int_equal(check_add(v[i], v[k], &out), !wraps);
            assert_int_equal(out, wraps ? 77 : expect);
        }
    }
    assert_int_equal(round_up(0, 32), 0);
    assert_int_equal(round_up(1, 32), 32);
    assert_int_equal(round_up(32, 32), 32);
    assert_int_equal(round_up(33, 7), 35);
}

static void a_message_is_one_clean_line(void **state)
{
    (void)state;
    err e = {0};
    assert_int_equal(
        err_set(&e, ST_FORMAT, "key \"%s\": %d, at most %d", "a\x1b[31m\nb\xff\xc2\x9b\x7f", 5, 4),
        ST_FORMAT);
    assert_int_equal(e.code, ST_FORMAT);
    assert_string_equal(e.msg, "key \"a?[31m?b?\?\??\": 5, at most 4");
    assert_int_equal(err_set(NULL, ST_IO, "%s", "nobody reads this"), ST_IO);
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    char text[2000];
    for (size_t lead = 0; lead < 3; lead++) {
        memset(text, 'x', lead);
        for (size_t at = lead; at + 4 < sizeof text; at += 3)
            memcpy(text + at, "\xE3\x81\x84", 4);
        err e;
        err_set(&e, ST_LIMIT, "%s", text);
        size_t n = strlen(e.msg);
        assert_in_range(n, sizeof e.msg - 4, sizeof e.msg - 1);
        assert_int_equal((n - lead) % 3, 0);
        assert_memory_equal(e.msg, text, n);
        assert_int_equal(err_prefix(&e, "tensor %d", 3), ST_LIMIT);
        assert_memory_equal(e.msg, "tensor 3: ", 10);
        n = strlen(e.msg);
        assert_in_range(n, sizeof e.msg - 4, sizeof e.msg - 1);
        assert_memory_equal(e.msg + 10, text, n - 10);
    }
}

static void a_prefix_goes_before(void **state)
{
    (void)state;
    err e;
    err_set(&e, ST_NOMEM, "inner");
    assert_int_equal(err_prefix(&e, "%s", "outer"), ST_NOMEM);
    assert_string_equal(e.msg, "outer: inner");
    assert_int_equal(err_prefix(NULL, "%s", "outer"), ST_INVALID);
    char whole[600];
    memset(whole, 'p', sizeof whole);
    whole[sizeof whole - 1] = 0;
    err_prefix(&e, "%s", whole);  // leaves no room for the old message
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
}

static void every_status_has_its_own_name(void **state)
{
    (void)state;
    for (int a = 0; a >= ST_BUSY; a--) {
        assert_string_not_equal(status_name(a), "unknown status");
        for (int b = a - 1; b >= ST_BUSY; b--)
            assert_string_not_equal(status_name(a), status_name(b));
    }
    assert_string_equal(status_name(ST_BUSY - 1), "unknown status");
    assert_string_equal(status_name(1), "unknown status");
}

static void keep_line(void *ctx, enum log_level level, const char *line)
{
    buf_printf(ctx, "%d:%s;", level, line);
}

static void the_hook_gets_what_it_asked_for(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    log_msg(LOG_ERROR, "no hook yet");
    log_set(keep_line, &b, LOG_WARN);
    log_msg(LOG_ERROR, "%s\n", "one");
    log_msg(LOG_WARN, "two");
    log_msg(LOG_INFO, "not wanted");
    log_set(NULL, NULL, LOG_DEBUG);
    log_msg(LOG_ERROR, "dropped");
    assert_string_equal(b.data, "0:one?;1:two;");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_at_its_edges),
        cmocka_unit_test(a_message_is_one_clean_line),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_prefix_goes_before),
        cmocka_unit_test(every_status_has_its_own_name),
        cmocka_unit_test(the_hook_gets_what_it_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The growing buffer: appends of every size, formatted text, failed growth.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void appends_add_up(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    static char expect[200000];
    size_t len = 0;
    for (size_t i = 0; len + i < sizeof expect; i++) {
        for (size_t k = 0; k < i; k++)
            expect[len + k] = (char)('a' + (i + k) % 26);
        buf_add(&b, expect + len, i);
        len += i;
        assert_int_equal(b.len, len);
        assert_int_equal(b.data[len], 0);
        assert_true(b.cap > b.len);
    }
    assert_memory_equal(b.data, expect, len);
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buf_done(&b);
    assert_null(b.data);
}

static void printf_at_every_fill(void **state)
{
    (void)state;
    for (size_t fill = 0; fill < 140; fill++) {  // crosses the growth at 64 and 128
        buf b;
        buf_init(&b);
        for (size_t i = 0; i < fill; i++)
            buf_add_char(&b, '.');
        buf_printf(&b, "%s-%d", "seven", 42);
        assert_int_equal(b.len, fill + 8);
        assert_string_equal(b.data + fill, "seven-42");
        buf_done(&b);
    }
}

static void take_empties_and_is_never_null(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    char *p = buf_take(&b);
    assert_string_equal(p, "");
    mem_free(p);
    buf_add_str(&b, "text");
    p = buf_take(&b);
    assert_string_equal(p, "text");
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    mem_free(p);
    buf_done(&b);
}

static void failed_growth_keeps_what_was_there(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    buf_add_str(&b, "kept");
    mem_fail_nth(1);
    char big[100] = {0};
    buf_add(&b, big, sizeof big);
    assert_true(b.failed);
    assert_string_equal(b.data, "kept");
    buf_add_char(&b, '!');  // would fit, but there is a hole before it
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.len, 4);
    assert_null(buf_take(&b));
    buf_clear(&b);
    assert_false(b.failed);
    buf_add_str(&b, "again");
    assert_string_equal(b.data, "again");
    assert_false(buf_reserve(&b, SIZE_MAX / 2));
    assert_true(b.failed);
    buf_done(&b);
    mem_fail_nth(1);
    assert_null(buf_take(&b));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(printf_at_every_fill),
        cmocka_unit_test(take_empties_and_is_never_null),
        cmocka_unit_test(failed_growth_keeps_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The JSON writer, read back by jansson.
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void commas_and_nesting(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    json_writer w;
    json_begin(&w, &b);
    json_obj(&w);
    json_key(&w, "a");
    json_arr(&w);
    json_int(&w, 1);
    json_bool(&w, true);
    json_bool(&w, false);
    json_none(&w);
    json_arr(&w);
    json_end(&w);
    json_obj(&w);
    json_end(&w);
    json_str(&w, "");
    json_end(&w);
    json_key(&w, "b\"");
    json_num(&w, 0.5);
    json_key(&w, "c");
    json_obj(&w);
    json_key(&w, "d");
    json_int(&w, INT64_MIN);
    json_end(&w);
    json_key(&w, "e");
    json_raw(&w, "[1,2]", 5);
    json_end(&w);
    json_end(&w);  // one too many is ignored
    assert_string_equal(b.data, "{\"a\":[1,true,false,null,[],{},\"\"],\"b\\\"\":0.5,"
                                "\"c\":{\"d\":-9223372036854775808},\"e\":[1,2]}");
    buf_done(&b);
}

// Writes one string in an array and gives it as jansson reads it.
static char *round_trip(const char *s, size_t n, size_t *out_n)
{
    buf b;
    buf_init(&b);
    json_writer w;
    json_begin(&w, &b);
    json_arr(&w);
    json_strn(&w, s, n);
    json_end(&w);
    for (size_t i = 0; i < b.len; i++)
        assert_true((unsigned char)b.data[i] >= 0x20 && b.data[i] != 0x7F);
    json_error_t why;
    json_t *root = json_loadb(b.data, b.len, JSON_ALLOW_NUL, &why);
    assert_non_null(root);
    json_t *text = json_array_get(root, 0);
    *out_n = json_string_length(text);
    char *copy = mem_strndup(MEM_OTHER, json_string_value(text), *out_n);
    json_decref(root);
    buf_done(&b);
    return copy;
}

static void strings_round_trip(void **state)
{
    (void)state;
    char all[128];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    size_t n;
    char *back = round_trip(all, sizeof all, &n);
    assert_int_equal(n, sizeof all);
    assert_memory_equal(back, all, n);
    mem_free(back);
    static const char text[] = "d\xC3\xA9j\xC3\xA0 \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80 \xEF\xBF\xBF";
    back = round_trip(text, sizeof text - 1, &n);
    assert_string_equal(back, text);
    mem_free(back);
}

static void invalid_bytes_become_replacements(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\xFFz", "a\xEF\xBF\xBDz"},
        {"\xC3", "\xEF\xBF\xBD"},
        {"\xC3\"", "\xEF\xBF\xBD\""},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF0\x9F\x98", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n;
        char *back = round_trip(cases[i].in, strlen(cases[i].in), &n);
        assert_string_equal(back, cases[i].out);
        mem_free(back);
    }
}

static void expect_number(double v)
{
    buf b;
    buf_init(&b);
    json_writer w;
    json_begin(&w, &b);
    json_arr(&w);
    json_num(&w, v);
    json_end(&w);
    json_t *root = json_loadb(b.data, b.len, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(root);
    assert_true(json_number_value(json_array_get(root, 0)) == v);
    json_decref(root);
    buf_done(&b);
}

static void numbers_round_trip(void **state)
{
    (void)state;
    static const double edges[] = {0,
                                   -0.0,
                                   1,
                                   -1,
                                   0.1,
                                   1.0 / 3,
                                   1e22,
                                   1e23,
                                   5e-324,
                                   2.2250738585072014e-308,
                                   1.7976931348623157e308,
                                   9007199254740993.0};
    for (size_t i = 0; i < COUNT_OF(edges); i++)
        expect_number(edges[i]);
    uint64_t x = 88172645463325252ull;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double v;
        memcpy(&v, &x, sizeof v);
        if (isfinite(v))
            expect_number(v);
    }
    buf b;
    buf_init(&b);
    json_writer w;
    json_begin(&w, &b);
    json_arr(&w);
    json_num(&w, NAN);
    json_num(&w, -INFINITY);
    json_num(&w, 0.1);
    json_num(&w, 100);
    json_end(&w);
    assert_string_equal(b.data, "[null,null,0.1,100]");
    buf_done(&b);
}

static void too_deep_fails_and_stays_in_bounds(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    json_writer w;
    json_begin(&w, &b);
    for (int i = 0; i < 31; i++)
        json_arr(&w);
    assert_false(b.failed);
    for (int i = 0; i < 100; i++)
        json_obj(&w);
    assert_true(b.failed);
    for (int i = 0; i < 200; i++)
        json_end(&w);
    assert_int_equal(w.depth, 0);
    buf_done(&b);
}

static void no_memory_shows_in_the_buffer(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    json_writer w;
    json_begin(&w, &b);
    mem_fail_nth(1);
    json_arr(&w);
    json_str(&w, "lost");
    json_end(&w);
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting),
        cmocka_unit_test(strings_round_trip),
        cmocka_unit_test(invalid_bytes_become_replacements),
        cmocka_unit_test(numbers_round_trip),
        cmocka_unit_test(too_deep_fails_and_stays_in_bounds),
        cmocka_unit_test(no_memory_shows_in_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// UTF-8 against definitions written another way: all code points, all short byte strings.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

// The well-formed byte ranges of the Unicode standard, table 3-7.
static const struct form {
    unsigned char len, lo[4], hi[4];
} forms[] = {
    {1, {0x00}, {0x7F}},
    {2, {0xC2, 0x80}, {0xDF, 0xBF}},
    {3, {0xE0, 0xA0, 0x80}, {0xE0, 0xBF, 0xBF}},
    {3, {0xE1, 0x80, 0x80}, {0xEC, 0xBF, 0xBF}},
    {3, {0xED, 0x80, 0x80}, {0xED, 0x9F, 0xBF}},
    {3, {0xEE, 0x80, 0x80}, {0xEF, 0xBF, 0xBF}},
    {4, {0xF0, 0x90, 0x80, 0x80}, {0xF0, 0xBF, 0xBF, 0xBF}},
    {4, {0xF1, 0x80, 0x80, 0x80}, {0xF3, 0xBF, 0xBF, 0xBF}},
    {4, {0xF4, 0x80, 0x80, 0x80}, {0xF4, 0x8F, 0xBF, 0xBF}},
};

// The form whose first n bytes s can be, or NULL.
static const struct form *fits(const unsigned char *s, size_t n)
{
    for (size_t f = 0; f < COUNT_OF(forms); f++) {
        size_t i = 0;
        while (i < n && i < forms[f].len && s[i] >= forms[f].lo[i] && s[i] <= forms[f].hi[i])
            i++;
        if (i == n)
            return &forms[f];
    }
    return NULL;
}

static size_t expected_length(const unsigned char *s, size_t n)
{
    for (size_t k = 1; k <= 4 && k <= n; k++) {
        const struct form *f = fits(s, k);
        if (f && f->len == k)
            return k;
    }
    return 0;
}

static size_t expected_tail(const unsigned char *s, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const struct form *f = fits(s + n - k, k);
        if (f && f->len > k)
            return k;
    }
    return 0;
}

static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110100; c++) {
        char s[4] = {0};
        size_t n = utf8_encode(c, s);
        if ((c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) {
            assert_int_equal(n, 0);
            continue;
        }
        assert_int_equal(n, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        uint32_t back = 0xFFFFFFFF;
        assert_int_equal(utf8_decode(s, n, &back), n);
        assert_int_equal(back, c);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(utf8_decode(s, cut, &back), 0);
    }
    char s[4];
    assert_int_equal(utf8_encode(UINT32_MAX, s), 0);
}

// All strings of 1..3 bytes, and those of 4 whose last two bytes are at the edges of their ranges.
static void every_short_string(void **state)
{
    (void)state;
    static const unsigned char edge[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0xBF, 0xC2, 0xE0, 0xF0, 0xF4};
    unsigned char s[4];
    uint32_t cp;
    unsigned bad = 0;  // counted, not asserted one by one: there are millions
    for (unsigned x = 0; x < 1u << 24; x++) {
        s[0] = (unsigned char)(x >> 16), s[1] = (unsigned char)(x >> 8), s[2] = (unsigned char)x;
        for (size_t n = 3; n >= 1 && (n == 3 || s[2] == 0) && (n >= 2 || s[1] == 0); n--) {
            bad += utf8_decode((char *)s, n, &cp) != expected_length(s, n);
            bad += utf8_incomplete_tail((char *)s, n) != expected_tail(s, n);
        }
    }
    assert_int_equal(bad, 0);
    for (unsigned x = 0; x < 1u << 16; x++) {
        for (size_t i = 0; i < COUNT_OF(edge) * COUNT_OF(edge); i++) {
            s[0] = (unsigned char)(x >> 8), s[1] = (unsigned char)x;
            s[2] = edge[i / COUNT_OF(edge)], s[3] = edge[i % COUNT_OF(edge)];
            bad += utf8_decode((char *)s, 4, &cp) != expected_length(s, 4);
            bad += utf8_incomplete_tail((char *)s, 4) != expected_tail(s, 4);
        }
    }
    assert_int_equal(bad, 0);
    assert_int_equal(utf8_incomplete_tail("", 0), 0);
    assert_int_equal(utf8_decode("", 0, &cp), 0);
}

static void printable(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"\xE6\x97\xA5", "\xE6\x97\xA5"},
        {"a\tb\r\n", "a?b?\?"},
        {"\x1b]0;x\x07", "?]0;x?"},
        {"\xC2\x80\xC2\xA0", "?\?\xC2\xA0"},
        {"\xFF\xFE", "?\?"},
        {"cut \xE6\x97", "cut "},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char s[32];
        strcpy(s, cases[i][0]);
        utf8_make_printable(s);
        assert_string_equal(s, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_short_string),
        cmocka_unit_test(printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Classes of characters: ranges of code points, escapes, and how a character is written in a JSON string.
#include <stdlib.h>
#include <string.h>

#include "gram/pattern_own.h"

bool pattern_add(pattern_ranges *l, uint32_t lo, uint32_t hi)
{
    if (!gram_grow(&l->r, &l->cap, l->n, sizeof *l->r))
        return false;
    l->r[l->n++] = (pattern_range){lo, hi};
    return true;
}

void pattern_ranges_done(pattern_ranges *l)
{
    mem_free(l->r);
    *l = (pattern_ranges){0};
}

static int compare_ranges(const void *a, const void *b)
{
    uint32_t x = ((const pattern_range *)a)->lo, y = ((const pattern_range *)b)->lo;
    return x < y ? -1 : x > y;
}

void pattern_sort(pattern_ranges *l)
{
    size_t n = 0;
    if (l->n > 1)
        qsort(l->r, l->n, sizeof *l->r, compare_ranges);
    for (size_t i = 0; i < l->n; i++)
        if (n > 0 && l->r[i].lo <= l->r[n - 1].hi + 1)
            l->r[n - 1].hi = MAX(l->r[n - 1].hi, l->r[i].hi);
        else
            l->r[n++] = l->r[i];
    l->n = n;
}

bool pattern_invert(pattern_ranges *l)
{
    pattern_sort(l);
    pattern_ranges out = {0};
    uint32_t from = 0;
    bool ok = true;
    for (size_t i = 0; i < l->n && ok; i++) {
        if (l->r[i].lo > from)
            ok = pattern_add(&out, from, l->r[i].lo - 1);
        from = l->r[i].hi + 1;
    }
    if (ok && from <= 0x10FFFF)
        ok = pattern_add(&out, from, 0x10FFFF);
    pattern_ranges_done(l);
    *l = out;
    return ok;
}

// What \d, \w, \s stand for in ECMA-262.
bool pattern_add_named(pattern_ranges *l, int letter)
{
    static const pattern_range digit[] = {{'0', '9'}};
    static const pattern_range word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const pattern_range space[] = {
        {0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    int lower = letter | 0x20;
    const pattern_range *r = lower == 'd' ? digit : lower == 'w' ? word : space;
    size_t n = lower == 'd' ? COUNT_OF(digit) : lower == 'w' ? COUNT_OF(word) : COUNT_OF(space);
    pattern_ranges own = {0};
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++)
        ok = pattern_add(&own, r[i].lo, r[i].hi);
    if (ok && lower != letter)
        ok = pattern_invert(&own);
    for (size_t i = 0; i < own.n && ok; i++)
        ok = pattern_add(l, own.r[i].lo, own.r[i].hi);
    pattern_ranges_done(&own);
    return ok;
}

// ---- JSON's spelling ------------------------------------------------------------------------------------------
static rx hex_digit(rx_pool *p, int value)
{
    if (value < 10)
        return rx_byte(p, '0' + value);
    return rx_or(p, rx_byte(p, 'a' + value - 10), rx_byte(p, 'A' + value - 10));
}

static rx control_escape(rx_pool *p, uint32_t c)
{
    static const char shorts[] = "btn\0fr";  // U+0008 on; U+000B has none
    if (c >= 8 && c <= 13 && shorts[c - 8])
        return rx_literal(p, (char[]){'\\', shorts[c - 8]}, 2);
    rx low = rx_cat(p, hex_digit(p, (int)(c >> 4)), hex_digit(p, (int)(c & 15)));
    return rx_cat(p, rx_literal(p, "\\u00", 4), low);
}

rx pattern_class(rx_pool *p, const pattern_range *r, size_t n, pattern_form form)
{
    rx out = RX_NONE;
    for (size_t i = 0; i < n; i++) {
        uint32_t lo = r[i].lo, hi = r[i].hi;
        if (form == PATTERN_TEXT) {
            out = rx_or(p, out, rx_char_range(p, lo, hi));
            continue;
        }
        for (; lo < 0x20 && lo <= hi; lo++)
            out = rx_or(p, out, control_escape(p, lo));
        static const uint32_t quoted[] = {'"', '\\'};
        for (int q = 0; q < 2; q++)
            if (lo <= quoted[q] && quoted[q] <= hi) {
                if (lo < quoted[q])
                    out = rx_or(p, out, rx_char_range(p, lo, quoted[q] - 1));
                out = rx_or(p, out, rx_literal(p, (char[]){'\\', (char)quoted[q]}, 2));
                lo = quoted[q] + 1;
            }
        if (lo <= hi)
            out = rx_or(p, out, rx_char_range(p, lo, hi));
    }
    return out;
}

rx pattern_any(rx_pool *p, pattern_form form)
{
    return pattern_class(p, &(pattern_range){0, 0x10FFFF}, 1, form);
}

rx pattern_json_char(rx_pool *p)
{
    rx digit = rx_bytes(p, '0', '9'), hex = RX_NONE;
    for (int v = 10; v < 16; v++)
        hex = rx_or(p, hex, hex_digit(p, v));
    hex = rx_or(p, hex, digit);
    rx u = rx_literal(p, "\\u", 2), d = hex_digit(p, 13), hex2 = rx_cat(p, hex, hex),
       hex3 = rx_cat(p, hex, hex2);
    // \uD800..\uDBFF come only with a \uDC00..\uDFFF behind them.
    rx not_d = rx_or(
        p, rx_or(p, rx_bytes(p, '0', '9'), hex_digit(p, 10)),
        rx_or(p, rx_or(p, hex_digit(p, 11), hex_digit(p, 12)), rx_or(p, hex_digit(p, 14), hex_digit(p, 15))));
    rx high = rx_or(p, rx_bytes(p, '8', '9'), rx_or(p, hex_digit(p, 10), hex_digit(p, 11)));
    rx low = rx_or(p, rx_or(p, hex_digit(p, 12), hex_digit(p, 13)),
                   rx_or(p, hex_digit(p, 14), hex_digit(p, 15)));
    rx single = rx_or(p, rx_cat(p, not_d, hex3), rx_cat(p, d, rx_cat(p, rx_bytes(p, '0', '7'), hex2)));
    rx pair = rx_cat(p, d,
                     rx_cat(p, high, rx_cat(p, hex2, rx_cat(p, u, rx_cat(p, d, rx_cat(p, low, hex2))))));
    rx escape = rx_or(p, rx_cat(p, u, rx_or(p, single, pair)), rx_literal(p, "\\/", 2));
    return rx_or(p, pattern_any(p, PATTERN_JSON), escape);
}

rx pattern_literal(rx_pool *p, const char *s, size_t n, pattern_form form)
{
    rx out = RX_EMPTY;
    while (n > 0 && !p->failed) {
        size_t k = 1;  // the last character's length
        while (k < n && k < 4 && ((unsigned char)s[n - k] & 0xC0) == 0x80)
            k++;
        unsigned char c = (unsigned char)s[n - k];
        rx one;
        if (form == PATTERN_JSON && k == 1 && (c < 0x20 || c == '"' || c == '\\'))
            one = pattern_class(p, &(pattern_range){c, c}, 1, form);
        else
            one = rx_literal(p, s + n - k, k);
        out = rx_cat(p, one, out);
        n -= k;
    }
    return out;
}

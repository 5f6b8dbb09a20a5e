// Numbers: bounds, multiples and equality, exact in decimal.
#include "gram/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 700 };  // of a double written out: 309 before the point, 324 and 17 behind it

// A number written out: sign, digits before and behind the point.
typedef struct decimal {
    bool negative;
    char whole[DIGITS], fraction[DIGITS];
    size_t n_whole, n_fraction;
} decimal;

// The shortest text that reads back as the same double.
static void shortest(double v, char *out, size_t cap)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, cap, "%.*e", digits - 1, v);
        if (strtod(out, NULL) == v)
            return;
    }
}

static void decimal_of(const json_t *v, decimal *d)
{
    char text[64], digits[64];
    size_t n = 0;
    *d = (decimal){0};
    int exponent = 0;
    if (json_is_integer(v)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    } else {
        shortest(json_real_value(v), text, sizeof text);
        char *e = strchr(text, 'e');
        if (e) {
            exponent = (int)strtol(e + 1, NULL, 10);
            *e = 0;
        }
    }
    const char *s = text;
    d->negative = *s == '-';
    s += *s == '-';
    // digits without a point; the point stands behind `point` of them.
    int point = -1;
    for (; *s; s++)
        if (*s == '.')
            point = (int)n;
        else
            digits[n++] = *s;
    point = (point < 0 ? (int)n : point) + exponent;
    for (int i = MIN(point, 0); i < MAX((int)n, point); i++) {
        char c = i >= 0 && i < (int)n ? digits[i] : '0';
        if (i >= point)
            d->fraction[d->n_fraction++] = c;
        else if (c != '0' || d->n_whole)
            d->whole[d->n_whole++] = c;
    }
    if (!d->n_whole)
        d->whole[d->n_whole++] = '0';
    while (d->n_fraction && d->fraction[d->n_fraction - 1] == '0')
        d->n_fraction--;
    if (d->n_whole == 1 && d->whole[0] == '0' && !d->n_fraction)
        d->negative = false;
}

static rx digits_rx(rx_pool *p)
{
    return rx_bytes(p, '0', '9');
}

static rx natural(rx_pool *p)
{
    rx more = rx_repeat(p, digits_rx(p), 0, RX_MANY);
    return rx_or(p, rx_byte(p, '0'), rx_cat(p, rx_bytes(p, '1', '9'), more));
}

static rx optional(rx_pool *p, rx a)
{
    return rx_or(p, RX_EMPTY, a);
}

rx number_integer(rx_pool *p)
{
    return rx_cat(p, optional(p, rx_byte(p, '-')), natural(p));
}

// A point and the fractions of `digit`.
static rx with_fraction(rx_pool *p, rx digit)
{
    rx fraction = rx_cat(p, rx_byte(p, '.'), rx_repeat(p, digit, 1, RX_MANY));
    return rx_cat(p, optional(p, rx_byte(p, '-')), rx_cat(p, natural(p), optional(p, fraction)));
}

rx number_plain(rx_pool *p)
{
    return with_fraction(p, digits_rx(p));
}

rx number_whole(rx_pool *p)
{
    return with_fraction(p, rx_byte(p, '0'));
}

rx number_any(rx_pool *p)
{
    rx e = rx_or(p, rx_byte(p, 'e'), rx_byte(p, 'E')), sign = rx_or(p, rx_byte(p, '-'), rx_byte(p, '+'));
    rx exponent = rx_cat(p, e, rx_cat(p, optional(p, sign), rx_repeat(p, digits_rx(p), 1, RX_MANY)));
    return rx_cat(p, number_plain(p), optional(p, exponent));
}

rx number_compare(rx_pool *p, const json_t *v, int how)
{
    decimal d;
    decimal_of(v, &d);
    bool zero = d.n_whole == 1 && d.whole[0] == '0' && !d.n_fraction;
    // Of the numbers on the bound's own side of zero, the size decides, turned round below zero.
    int sized = how;
    if (d.negative)
        sized = (how & RX_EQUAL) | (how & RX_LESS ? RX_GREATER : 0) | (how & RX_GREATER ? RX_LESS : 0);
    rx same = rx_compare(p, d.whole, d.n_whole, d.fraction, d.n_fraction, sized);
    rx minus = rx_byte(p, '-'), positive = rx_and(p, number_plain(p), rx_not(p, rx_cat(p, minus, RX_ALL)));
    if (zero) {  // -0 is 0
        rx is_zero = rx_compare(p, "0", 1, "", 0, RX_EQUAL), above = rx_compare(p, "0", 1, "", 0, RX_GREATER);
        rx out = rx_cat(p, minus,
                        rx_or(p, how & RX_EQUAL ? is_zero : RX_NONE, how & RX_LESS ? above : RX_NONE));
        return rx_or(p, same, out);
    }
    if (d.negative)
        return rx_or(p, rx_cat(p, minus, same), how & RX_GREATER ? positive : RX_NONE);
    rx is_zero = rx_compare(p, "0", 1, "", 0, RX_EQUAL | RX_GREATER);  // any size
    return rx_or(p, same, how & RX_LESS ? rx_cat(p, minus, is_zero) : RX_NONE);
}

int number_multiple(rx_pool *p, const json_t *v, rx *out)
{
    decimal d;
    decimal_of(v, &d);
    uint64_t m = 0;
    if (d.negative || d.n_fraction > 18)
        return ST_UNSUPPORTED;
    for (size_t i = 0; i < d.n_whole + d.n_fraction; i++) {
        m = m * 10 + (uint64_t)((i < d.n_whole ? d.whole[i] : d.fraction[i - d.n_whole]) - '0');
        if (m > 1000000000)
            return ST_UNSUPPORTED;
    }
    if (!m)
        return ST_UNSUPPORTED;
    rx size = rx_multiple(p, m, (uint32_t)d.n_fraction);
    *out = rx_and(p, number_plain(p), rx_cat(p, optional(p, rx_byte(p, '-')), size));
    return ST_OK;
}

rx number_equal(rx_pool *p, const json_t *v)
{
    decimal d;
    decimal_of(v, &d);
    char text[64];
    rx sign = d.negative ? rx_byte(p, '-') : RX_EMPTY;
    rx fraction = d.n_fraction      ? rx_cat(p, rx_byte(p, '.'), rx_literal(p, d.fraction, d.n_fraction))
                  : json_is_real(v) ? optional(p, rx_literal(p, ".0", 2))
                                    : RX_EMPTY;
    rx out = rx_cat(p, sign, rx_cat(p, rx_literal(p, d.whole, d.n_whole), fraction));
    if (json_is_real(v)) {  // and with an exponent, as most programs write very large and small ones
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, json_real_value(v));
            if (strtod(text, NULL) == json_real_value(v))
                break;
        }
        out = rx_or(p, out, rx_literal(p, text, strlen(text)));
    }
    return out;
}

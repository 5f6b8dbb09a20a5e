// "..." % values: printf-style formatting, by way of the formats of str.format().
#include <stdio.h>
#include <string.h>

#include "tmpl/rt.h"

typedef struct run {
    rt *r;
    const str *f;
    size_t at;
    const args *a;
    size_t next;  // positional argument
    bool named;
} run;

static char peek(const run *p)
{
    return p->at < p->f->n ? p->f->p[p->at] : 0;
}

static value next_arg(run *p)
{
    if (p->next >= p->a->n)
        tmpl_fail(&p->r->h, ST_FORMAT, "not enough arguments for format string");
    return p->a->pos[p->next++];
}

static value named_arg(run *p)
{
    heap *h = &p->r->h;
    size_t from = ++p->at;
    while (peek(p) && peek(p) != ')')
        p->at++;
    if (!peek(p))
        tmpl_fail(h, ST_FORMAT, "incomplete format key");
    const str *key = tmpl_str_part(h, p->f, from, p->at++ - from);
    p->named = true;
    for (size_t i = 0; i < p->a->n_kw; i++)
        if (tmpl_str_eq(p->a->kw[i].name, key))
            return p->a->kw[i].v;
    tmpl_fail(h, ST_FORMAT, "format requires a mapping with the key %s",
              tmpl_str_c(h, tmpl_repr(h, val_str(key))));
}

static int number(run *p)
{
    int n = 0;
    if (peek(p) == '*') {
        p->at++;
        int64_t i = tmpl_arg_int(p->r, next_arg(p), "* in a format");
        n = (int)MIN(MAX(i, (int64_t)-10001), (int64_t)10001);
    }
    for (; peek(p) >= '0' && peek(p) <= '9' && n <= 10000; p->at++)
        n = n * 10 + (peek(p) - '0');
    if (n > 10000 || n < -10000)
        tmpl_fail(&p->r->h, ST_LIMIT, "a width or precision over 10000 in a format");
    return n;
}

typedef struct flags {
    bool left, zero, plus, blank, alternate;
    int width, precision;
} flags;

static flags read_flags(run *p)
{
    flags g = {.precision = -1};
    for (; peek(p) && strchr("-0+ #", peek(p)); p->at++) {
        g.left |= peek(p) == '-';
        g.zero |= peek(p) == '0';
        g.plus |= peek(p) == '+';
        g.blank |= peek(p) == ' ';
        g.alternate |= peek(p) == '#';
    }
    g.width = number(p);
    if (g.width < 0) {
        g.left = true;
        g.width = -g.width;
    }
    if (peek(p) == '.') {
        p->at++;
        int places = number(p);
        g.precision = MAX(places, 0);
    }
    while (peek(p) && strchr("hlL", peek(p)))
        p->at++;
    return g;
}

static const str *convert(run *p, char c, flags g, value v)
{
    heap *h = &p->r->h;
    char spec[64];
    const char *align = g.left ? "<" : ">";
    if (c == 's' || c == 'r') {
        v = val_str(c == 's' ? tmpl_text(h, v) : tmpl_repr(h, v));
        if (g.precision >= 0)
            snprintf(spec, sizeof spec, "%s%d.%d", align, g.width, g.precision);
        else
            snprintf(spec, sizeof spec, "%s%d", align, g.width);
        return tmpl_format_value(p->r, v, tmpl_str_z(h, spec));
    }
    if (v.type == V_UNDEF)
        tmpl_undef_fail(h, v);
    if (!val_is_num(v))
        tmpl_fail(h, ST_FORMAT, "%%%c format: a real number is required, not %s", c, tmpl_type_name(v));
    bool real = strchr("eEfFgG", c) != NULL;
    if (!real && v.type == V_FLOAT) {
        const args none = {0};
        if (c == 'x' || c == 'X' || c == 'o')
            tmpl_fail(h, ST_FORMAT, "%%%c format: an integer is required, not float", c);
        v = tmpl_filter_call(p->r, tmpl_str_z(h, "int"), v, &none);
    }
    if (!real && g.precision >= 0)
        tmpl_fail(h, ST_UNSUPPORTED, "a precision for the integer format %%%c", c);
    int n = snprintf(spec, sizeof spec, "%s%s%s",
                     g.left   ? "<"
                     : g.zero ? "0="
                              : ">",
                     g.plus    ? "+"
                     : g.blank ? " "
                               : "",
                     g.alternate ? "#" : "");
    n += snprintf(spec + n, sizeof spec - (size_t)n, "%d", g.width);
    if (g.precision >= 0)
        n += snprintf(spec + n, sizeof spec - (size_t)n, ".%d", g.precision);
    snprintf(spec + n, sizeof spec - (size_t)n, "%c", c == 'i' || c == 'u' ? 'd' : c);
    return tmpl_format_value(p->r, v, tmpl_str_z(h, spec));
}

value tmpl_percent(rt *r, const str *format, const args *a)
{
    run p = {.r = r, .f = format, .a = a};
    strbuf b = tmpl_sb(&r->h);
    for (; p.at < format->n; p.at++) {
        if (peek(&p) != '%') {
            tmpl_sb_part(&b, format, p.at, 1);
            continue;
        }
        p.at++;
        bool named = peek(&p) == '(';
        value v = named ? named_arg(&p) : (value){0};
        flags g = read_flags(&p);
        char c = peek(&p);
        if (c == '%') {
            tmpl_sb_part(&b, format, p.at, 1);
            continue;
        }
        if (!c || !strchr("srdiuxXoeEfFgG", c))
            tmpl_fail(&r->h, ST_FORMAT, "unsupported format character '%c' at index %zu", c ? c : '?', p.at);
        tmpl_sb_str(&b, convert(&p, c, g, named ? v : next_arg(&p)));
    }
    int only = a->n == 1 ? a->pos[0].type : V_MISSING;  // what has elements may stay unused, as a mapping may
    bool unused_ok = only == V_DICT || only == V_LIST || only == V_RANGE || only == V_UNDEF;
    if (p.next < a->n && !p.named && !unused_ok)
        tmpl_fail(&r->h, ST_FORMAT, "not all arguments converted during string formatting");
    return val_str(tmpl_sb_done(&b));
}

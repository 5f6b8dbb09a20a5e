// str.format(): replacement fields with conversions and format specifications.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tmpl/rt.h"

typedef struct spec {
    const str *fill;  // one character
    char align;       // < > = ^ or 0
    char sign;        // + - blank or 0
    bool alternate;
    char comma;     // , _ or 0
    int width;      // -1: none
    int precision;  // -1: none
    char type;      // 0: none
} spec;

static int spec_number(rt *r, const str *s, size_t *at)
{
    int n = -1;
    for (; *at < s->n && s->p[*at] >= '0' && s->p[*at] <= '9'; (*at)++) {
        n = (n < 0 ? 0 : n) * 10 + (s->p[*at] - '0');
        if (n > 10000)
            tmpl_fail(&r->h, ST_LIMIT, "a width or precision over 10000 in a format");
    }
    return n;
}

static spec spec_parse(rt *r, const str *s)
{
    spec f = {.fill = tmpl_str_z(&r->h, " "), .width = -1, .precision = -1};
    size_t at = 0, next = 0;
    if (s->n)
        tmpl_str_next(s, &next);
    if (next < s->n && strchr("<>=^", s->p[next])) {
        f.fill = tmpl_str_part(&r->h, s, 0, next);
        at = next;
    }
    if (at < s->n && strchr("<>=^", s->p[at]))
        f.align = s->p[at++];
    if (at < s->n && strchr("+- ", s->p[at]))
        f.sign = s->p[at++];
    if (at < s->n && s->p[at] == '#') {
        f.alternate = true;
        at++;
    }
    if (at < s->n && s->p[at] == '0') {
        if (!f.align) {
            f.align = '=';
            f.fill = tmpl_str_z(&r->h, "0");
        }
        at++;
    }
    f.width = spec_number(r, s, &at);
    if (at < s->n && (s->p[at] == ',' || s->p[at] == '_'))
        f.comma = s->p[at++];
    if (at < s->n && s->p[at] == '.') {
        at++;
        f.precision = spec_number(r, s, &at);
        if (f.precision < 0)
            tmpl_fail(&r->h, ST_FORMAT, "Format specifier missing precision");
    }
    if (at < s->n)
        f.type = s->p[at++];
    if (at < s->n)
        tmpl_fail(&r->h, ST_FORMAT, "Invalid format specifier");
    return f;
}

static const str *padded(rt *r, const spec *f, const str *head, const str *body)
{
    heap *h = &r->h;
    int64_t n = (int64_t)(tmpl_str_len(head) + tmpl_str_len(body)), room = f->width > n ? f->width - n : 0;
    int64_t left = f->align == '>' ? room : f->align == '^' ? room / 2 : 0;
    strbuf b = tmpl_sb(h);
    tmpl_sb_str(&b, tmpl_str_repeat(h, f->fill, left));
    tmpl_sb_str(&b, head);
    if (f->align == '=')
        tmpl_sb_str(&b, tmpl_str_repeat(h, f->fill, room));
    tmpl_sb_str(&b, body);
    if (f->align != '=')
        tmpl_sb_str(&b, tmpl_str_repeat(h, f->fill, room - left));
    return tmpl_sb_done(&b);
}

static void digits_of(uint64_t u, unsigned base, bool upper, char out[70])
{
    char back[70];
    int n = 0, k = 0;
    do
        back[n++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
    while ((u /= base) != 0);
    while (n > 0)
        out[k++] = back[--n];
    out[k] = 0;
}

// Digits with a separator every three (four for other bases) in front of the point or exponent.
static const str *grouped(rt *r, const spec *f, const char *digits, int origin)
{
    strbuf b = tmpl_sb(&r->h);
    size_t whole = strspn(digits, "0123456789abcdefABCDEF");
    size_t every = f->type && strchr("xXob", f->type) ? 4 : 3;
    if (f->type != 'x' && f->type != 'X')
        whole = strspn(digits, "0123456789");
    for (size_t i = 0; digits[i]; i++) {
        if (f->comma && i > 0 && i < whole && (whole - i) % every == 0)
            tmpl_sb_add(&b, &f->comma, 1, origin);
        tmpl_sb_add(&b, &digits[i], 1, origin);
    }
    return tmpl_sb_done(&b);
}

static const str *signed_number(rt *r, spec f, bool negative, const char *prefix, const char *digits,
                                int origin)
{
    char head[8];
    snprintf(head, sizeof head, "%s%s",
             negative        ? "-"
             : f.sign == '+' ? "+"
             : f.sign == ' ' ? " "
                             : "",
             f.alternate ? prefix : "");
    if (!f.align)
        f.align = '>';
    return padded(r, &f, tmpl_str(&r->h, head, strlen(head), origin), grouped(r, &f, digits, origin));
}

static const str *format_int(rt *r, const spec *f, value v)
{
    int64_t i = v.type == V_BOOL ? v.b : v.i;
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    char digits[70];
    if (f->type == 'c')
        tmpl_fail(&r->h, ST_UNSUPPORTED, "the format type c");
    unsigned base = f->type == 'x' || f->type == 'X' ? 16 : f->type == 'o' ? 8 : f->type == 'b' ? 2 : 10;
    digits_of(u, base, f->type == 'X', digits);
    const char *prefix = f->type == 'x'   ? "0x"
                         : f->type == 'X' ? "0X"
                         : f->type == 'o' ? "0o"
                         : f->type == 'b' ? "0b"
                                          : "";
    return signed_number(r, *f, i < 0, prefix, digits, v.origin);
}

static const str *format_float(rt *r, const spec *f, value v)
{
    char text[800], kind[] = "%.*f";
    double x = tmpl_to_double(v), size = fabs(x);
    bool percent = f->type == '%';
    int precision = MIN(f->precision < 0 ? 6 : f->precision, 300);
    kind[3] = percent ? 'f' : f->type ? f->type : 'g';
    if (!f->type && f->precision < 0)
        tmpl_float_repr(size, text);
    else
        snprintf(text, sizeof text - 1, kind, precision, percent ? size * 100 : size);
    if (percent)
        memcpy(text + strlen(text), "%", 2);
    return signed_number(r, *f, signbit(x) && !isnan(x), "", text, v.origin);
}

const str *tmpl_format_value(rt *r, value v, const str *text)
{
    if (text->n == 0)
        return tmpl_text(&r->h, v);
    spec f = spec_parse(r, text);
    bool real = f.type && strchr("eEfFgG%", f.type), whole = !f.type || strchr("dxXobcn", f.type);
    if (val_is_num(v) && (real || (v.type == V_FLOAT && !f.type)))
        return format_float(r, &f, v);
    if (val_is_num(v) && v.type != V_FLOAT && whole && f.precision < 0)
        return format_int(r, &f, v);
    if (v.type != V_STR || (f.type && f.type != 's') || f.align == '=' || f.sign || f.comma || f.alternate)
        tmpl_fail(&r->h, ST_FORMAT, "the format '%s' does not fit a value of type '%s'",
                  tmpl_str_c(&r->h, text), tmpl_type_name(v));
    const str *s = v.s;
    if (f.precision >= 0)
        s = tmpl_str_part(&r->h, s, 0, tmpl_str_at(s, (size_t)f.precision));
    if (!f.align)
        f.align = '<';
    return padded(r, &f, tmpl_str_z(&r->h, ""), s);
}

typedef struct fields {
    const args *a;
    size_t next;  // of the automatically numbered
} fields;

static value by_name(rt *r, const args *a, const str *name)
{
    for (size_t i = 0; i < a->n_kw; i++)
        if (tmpl_str_eq(a->kw[i].name, name))
            return a->kw[i].v;
    tmpl_fail(&r->h, ST_FORMAT, "no argument %s for the format",
              tmpl_str_c(&r->h, tmpl_repr(&r->h, val_str(name))));
}

static value by_number(rt *r, const args *a, size_t i)
{
    if (i >= a->n)
        tmpl_fail(&r->h, ST_FORMAT, "Replacement index %zu out of range for positional args tuple", i);
    return a->pos[i];
}

// Digits as a number, or -1.
static int64_t as_index(const str *s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9' || n > 100000)
            return -1;
        n = n * 10 + (s->p[i] - '0');
    }
    return s->n ? n : -1;
}

// NAME, then any number of .attribute and [index].
static value field_value(rt *r, fields *f, const str *name)
{
    heap *h = &r->h;
    size_t end = 0;
    while (end < name->n && name->p[end] != '.' && name->p[end] != '[')
        end++;
    const str *first = tmpl_str_part(h, name, 0, end);
    int64_t number = as_index(first);
    value v = first->n == 0 ? by_number(r, f->a, f->next++)
              : number >= 0 ? by_number(r, f->a, (size_t)number)
                            : by_name(r, f->a, first);
    while (end < name->n) {
        bool index = name->p[end++] == '[';
        size_t from = end;
        while (end < name->n && (index ? name->p[end] != ']' : name->p[end] != '.' && name->p[end] != '['))
            end++;
        const str *part = tmpl_str_part(h, name, from, end - from);
        if (index && end < name->n)
            end++;
        number = as_index(part);
        v = index ? tmpl_getitem(r, v, number >= 0 ? val_int(number) : val_str(part))
                  : tmpl_getattr(r, v, part);
    }
    return v;
}

// What stands between { and }: NAME!CONVERSION:SPEC
static const str *field(rt *r, fields *f, const str *s)
{
    heap *h = &r->h;
    size_t name = 0;
    while (name < s->n && s->p[name] != '!' && s->p[name] != ':')
        name++;
    value v = field_value(r, f, tmpl_str_part(h, s, 0, name));
    size_t at = name;
    if (at + 1 < s->n && s->p[at] == '!') {
        char c = s->p[at + 1];
        if (c != 's' && c != 'r')
            tmpl_fail(h, c == 'a' ? ST_UNSUPPORTED : ST_FORMAT, "the conversion !%c in a format", c);
        v = val_str(c == 's' ? tmpl_text(h, v) : tmpl_repr(h, v));
        at += 2;
    }
    if (at < s->n && s->p[at] != ':')
        tmpl_fail(h, ST_FORMAT, "expected ':' after conversion specifier");
    at += at < s->n;
    const str *text = tmpl_str_part(h, s, at, s->n - at);
    if (tmpl_str_find(text, 0, tmpl_str_z(h, "{")) != STR_NONE)
        tmpl_fail(h, ST_UNSUPPORTED, "a field inside the format of a field");
    return tmpl_format_value(r, v, text);
}

value tmpl_format(rt *r, const str *format, const args *a)
{
    heap *h = &r->h;
    fields f = {.a = a};
    strbuf b = tmpl_sb(h);
    for (size_t i = 0; i < format->n; i++) {
        char c = format->p[i];
        if (c != '{' && c != '}') {
            tmpl_sb_part(&b, format, i, 1);
        } else if (i + 1 < format->n && format->p[i + 1] == c) {
            tmpl_sb_part(&b, format, i++, 1);
        } else if (c == '}') {
            tmpl_fail(h, ST_FORMAT, "Single '}' encountered in format string");
        } else {
            size_t end = i + 1;
            int depth = 1;
            for (; end < format->n; end++) {
                depth += format->p[end] == '{' ? 1 : format->p[end] == '}' ? -1 : 0;
                if (depth == 0)
                    break;
            }
            if (end == format->n)
                tmpl_fail(h, ST_FORMAT, "expected '}' before end of string");
            tmpl_sb_str(&b, field(r, &f, tmpl_str_part(h, format, i + 1, end - i - 1)));
            i = end;
        }
    }
    return val_str(tmpl_sb_done(&b));
}

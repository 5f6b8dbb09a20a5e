// Filters on numbers, and the reading of numbers from text as Python's int() and float() do it.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tmpl/filters.h"

// The text without surrounding blanks and without underscores between digits; false when it is too long or an
// underscore stands elsewhere.
static bool number_text(rt *r, const str *s, char *out, size_t cap)
{
    s = tmpl_str_strip(&r->h, s, NULL, STRIP_BOTH);
    size_t n = 0;
    if (s->n == 0 || s->n >= cap)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i] != '_')
            out[n++] = s->p[i];
        else if (i == 0 || i + 1 == s->n || strchr("+-._", s->p[i - 1]) || strchr("+-._", s->p[i + 1]))
            return false;
    }
    out[n] = 0;
    return n == strlen(out);
}

static bool read_int(rt *r, const str *s, int base, int64_t *out)
{
    char text[80], *end;
    if (!number_text(r, s, text, sizeof text))
        return false;
    errno = 0;
    *out = strtoll(text, &end, base);
    if (errno == ERANGE)
        tmpl_fail(&r->h, ST_LIMIT, "the integer %s does not fit 64 bits", text);
    return *end == 0 && end != text && text[0] != ' ';
}

static bool read_float(rt *r, const str *s, double *out)
{
    char text[400], *end;
    if (!number_text(r, s, text, sizeof text) || strpbrk(text, "xXpP("))
        return false;
    *out = strtod(text, &end);
    return *end == 0 && end != text;
}

static value fallback(value given, value otherwise)
{
    return given.type == V_MISSING ? otherwise : given;
}

static value truncated(rt *r, double f, value otherwise)
{
    if (isnan(f) || isinf(f))
        return otherwise;
    f = trunc(f);
    if (f < -9223372036854775808.0 || f >= 9223372036854775808.0)
        tmpl_fail(&r->h, ST_LIMIT, "the integer %.0f does not fit 64 bits", f);
    return val_int((int64_t)f);
}

value tmpl_filter_int(rt *r, value v, const args *a)
{
    static const char *const names[] = {"default", "base"};
    value arg[2], out;
    tmpl_bind(r, "int", a, 2, names, arg);
    value otherwise = fallback(arg[0], val_int(0));
    int64_t base = arg[1].type == V_MISSING ? 10 : tmpl_arg_int(r, arg[1], "base");
    int64_t i;
    double f;
    if (base < 2 || base > 36)
        tmpl_fail(&r->h, ST_FORMAT, "int() base must be >= 2 and <= 36");
    switch (v.type) {
    case V_UNDEF: tmpl_undef_fail(&r->h, v);
    case V_BOOL: out = val_int(v.b); break;
    case V_INT: return v;
    case V_FLOAT: out = truncated(r, v.f, otherwise); break;
    case V_STR:
        out = read_int(r, v.s, (int)base, &i) ? val_int(i)
              : read_float(r, v.s, &f)        ? truncated(r, f, otherwise)
                                              : otherwise;
        out.origin |= (uint8_t)tmpl_str_origin(v.s);
        return out;
    default: return otherwise;
    }
    out.origin |= v.origin;
    return out;
}

value tmpl_filter_float(rt *r, value v, const args *a)
{
    static const char *const names[] = {"default"};
    value arg;
    double f;
    tmpl_bind(r, "float", a, 1, names, &arg);
    value out = fallback(arg, val_float(0));
    if (v.type == V_UNDEF)
        tmpl_undef_fail(&r->h, v);
    if (val_is_num(v)) {
        out = val_float(tmpl_to_double(v));
        out.origin = v.origin;
    } else if (v.type == V_STR && read_float(r, v.s, &f)) {
        out = val_float(f);
        out.origin = (uint8_t)tmpl_str_origin(v.s);
    }
    return out;
}

static void need_number(rt *r, value v, const char *filter)
{
    if (v.type == V_UNDEF)
        tmpl_undef_fail(&r->h, v);
    if (!val_is_num(v))
        tmpl_fail(&r->h, ST_FORMAT, "%s works on numbers, not on %s", filter, tmpl_type_name(v));
}

value tmpl_filter_abs(rt *r, value v, const args *a)
{
    tmpl_bind(r, "abs", a, 0, NULL, NULL);
    need_number(r, v, "abs");
    return tmpl_to_double(v) < 0 ? tmpl_negate(r, v) : tmpl_positive(r, v);
}

// Python rounds the exact binary value to the nearest decimal, ties to even: what printf does too.
static double round_places(double f, int64_t places)
{
    char text[400];
    if (places >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)MIN(places, (int64_t)50), f);
        return strtod(text, NULL);
    }
    double unit = pow(10, (double)MIN(-places, (int64_t)400));
    return isinf(unit) ? 0 : rint(f / unit) * unit;
}

value tmpl_filter_round(rt *r, value v, const args *a)
{
    static const char *const names[] = {"precision", "method"};
    value arg[2];
    tmpl_bind(r, "round", a, 2, names, arg);
    need_number(r, v, "round");
    int64_t places = arg[0].type == V_MISSING ? 0 : tmpl_arg_int(r, arg[0], "precision");
    const str *how = arg[1].type == V_MISSING ? tmpl_str_z(&r->h, "common")
                                              : tmpl_arg_str(r, arg[1], "method");
    double f = tmpl_to_double(v), unit = pow(10, (double)places);
    value out;
    if (tmpl_str_is(how, "common")) {
        if (v.type != V_FLOAT && places >= 0)
            return tmpl_positive(r, v);
        out = val_float(isinf(f) || isnan(f) ? f : round_places(f, places));
        if (v.type != V_FLOAT)
            out = val_int((int64_t)out.f);
    } else if (tmpl_str_is(how, "ceil") || tmpl_str_is(how, "floor")) {
        out = val_float((tmpl_str_is(how, "ceil") ? ceil(f * unit) : floor(f * unit)) / unit);
    } else {
        tmpl_fail(&r->h, ST_FORMAT, "method must be common, ceil or floor");
    }
    out.origin = v.origin;
    return out;
}

// How values print: Python's str() and repr().
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tmpl/rt.h"
#include "tmpl/str.h"

// The fewest digits that read back as the same number; exponents from 1e16 up and below 1e-4.
size_t tmpl_float_repr(double f, char out[40])
{
    if (isnan(f) || isinf(f))
        return (size_t)snprintf(out, 40, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
    char e[40];
    for (int digits = 0; digits < 17; digits++) {
        snprintf(e, sizeof e, "%.*e", digits, f);
        if (strtod(e, NULL) == f)
            break;
    }
    char *mark = strchr(e, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        *mark = 0;
        return (size_t)snprintf(out, 40, "%se%c%02d", e, exponent < 0 ? '-' : '+', abs(exponent));
    }
    int digits = (int)(mark - e) - (e[0] == '-') - 1;             // behind the first
    int places = digits > 0 ? digits - 1 - exponent : -exponent;  // minus the point itself
    return (size_t)snprintf(out, 40, "%.*f", MAX(places, 1), f);
}

static void repr_char(strbuf *b, uint32_t cp, char quote, int origin)
{
    char x[12];
    if (cp == (uint32_t)quote || cp == '\\')
        snprintf(x, sizeof x, "\\%c", (char)cp);
    else if (cp == '\n' || cp == '\r' || cp == '\t')
        snprintf(x, sizeof x, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
    else if (tmpl_cp_printable(cp)) {
        tmpl_sb_cp(b, cp, origin);
        return;
    } else if (cp < 0x100)
        snprintf(x, sizeof x, "\\x%02x", (unsigned)cp);
    else if (cp < 0x10000)
        snprintf(x, sizeof x, "\\u%04x", (unsigned)cp);
    else
        snprintf(x, sizeof x, "\\U%08x", (unsigned)cp);
    tmpl_sb_add(b, x, strlen(x), origin);
}

static void repr_str(strbuf *b, const str *s)
{
    bool single = s->n && memchr(s->p, '\'', s->n), twice = s->n && memchr(s->p, '"', s->n);
    char quote = single && !twice ? '"' : '\'';
    int origin = tmpl_str_origin(s);
    tmpl_sb_add(b, &quote, 1, origin);
    for (size_t at = 0; at < s->n;) {
        int o = s->o[at];
        repr_char(b, tmpl_str_next(s, &at), quote, o);
    }
    tmpl_sb_add(b, &quote, 1, origin);
}

static void put(strbuf *b, value v, bool repr);

static void put_items(strbuf *b, const char *open, const seq *l, const char *close)
{
    tmpl_sb_puts(b, open);
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            tmpl_sb_puts(b, ", ");
        put(b, l->v[i], true);
    }
    tmpl_sb_puts(b, close);
}

static void put_dict(strbuf *b, const dict *d)
{
    tmpl_sb_puts(b, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i)
            tmpl_sb_puts(b, ", ");
        put(b, d->e[i].key, true);
        tmpl_sb_puts(b, ": ");
        put(b, d->e[i].val, true);
    }
    tmpl_sb_puts(b, "}");
}

static void put_seq(strbuf *b, value v)
{
    char x[100];
    const seq *l = v.l;
    switch (v.type) {
    case V_LIST: put_items(b, "[", l, "]"); break;
    case V_TUPLE: put_items(b, "(", l, l->n == 1 ? ",)" : ")"); break;
    case V_VIEW:
        snprintf(x, sizeof x, "%s([", l->view);
        put_items(b, x, l, "])");
        break;
    case V_RANGE:
        if (l->step == 1)
            snprintf(x, sizeof x, "range(%lld, %lld)", (long long)l->from, (long long)l->to);
        else
            snprintf(x, sizeof x, "range(%lld, %lld, %lld)", (long long)l->from, (long long)l->to,
                     (long long)l->step);
        tmpl_sb_puts(b, x);
        break;
    default: tmpl_sb_puts(b, "<generator object>");
    }
}

static void put_number(strbuf *b, value v)
{
    char x[40];
    if (v.type == V_FLOAT)
        tmpl_float_repr(v.f, x);
    else if (v.type == V_INT)
        snprintf(x, sizeof x, "%lld", (long long)v.i);
    else
        snprintf(x, sizeof x, "%s", v.type == V_NONE ? "None" : v.b ? "True" : "False");
    tmpl_sb_add(b, x, strlen(x), v.origin);
}

static void put_object(strbuf *b, value v)
{
    char x[100];
    if (v.type == V_MACRO)
        snprintf(x, sizeof x, "<Macro '%.60s'>", tmpl_str_c(b->h, v.macro->node->text));
    else if (v.type == V_LOOP)
        snprintf(x, sizeof x, "<LoopContext %zu/%zu>", v.loop->at + 1, v.loop->items->n);
    else
        snprintf(x, sizeof x, "<function %.60s>", v.native->name);
    tmpl_sb_puts(b, x);
}

static void put(strbuf *b, value v, bool repr)
{
    tmpl_enter(b->h);
    switch (v.type) {
    case V_MISSING:
    case V_UNDEF: tmpl_sb_puts(b, repr ? "Undefined" : ""); break;
    case V_STR:
        if (repr)
            repr_str(b, v.s);
        else
            tmpl_sb_str(b, v.s);
        break;
    case V_DICT: put_dict(b, v.d); break;
    case V_NS:
        tmpl_sb_puts(b, "<Namespace ");
        put_dict(b, v.d);
        tmpl_sb_puts(b, ">");
        break;
    case V_LOOP:
    case V_MACRO:
    case V_NATIVE: put_object(b, v); break;
    default:
        if (val_is_seq(v))
            put_seq(b, v);
        else
            put_number(b, v);
    }
    tmpl_leave(b->h);
}

// What is made from a whole structure is data throughout when any of it is: quotes and commas between two
// pieces of data are not worth a segment each, and less trust is the safe side.
static const str *printed(heap *h, value v, bool repr)
{
    strbuf b = tmpl_sb(h);
    put(&b, v, repr);
    const str *s = tmpl_sb_done(&b);
    if (v.type != V_STR && tmpl_str_origin(s) == TMPL_DATA)
        memset(b.o, TMPL_DATA, b.n);
    return s;
}

const str *tmpl_text(heap *h, value v)
{
    return v.type == V_STR ? v.s : printed(h, v, false);
}

const str *tmpl_repr(heap *h, value v)
{
    return printed(h, v, true);
}

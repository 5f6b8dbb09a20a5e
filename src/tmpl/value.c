// Values: names, truth, equality, order; and the heap that bounds a render.
#include "tmpl/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tmpl/str.h"

void tmpl_fail(heap *h, int code, const char *fmt, ...)
{
    char msg[504];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (h->line)
        err_set(h->e, code, "line %d: %s", h->line, msg);
    else
        err_set(h->e, code, "%s", msg);
    longjmp(h->escape, code);
}

void *tmpl_alloc(heap *h, size_t n)
{
    if (n > h->limit || h->arena.used > h->limit - n)
        tmpl_fail(h, ST_LIMIT, "the template needs more than %zu bytes of memory", h->limit);
    void *p = arena_alloc(&h->arena, n);
    if (!p) {
        err_set(h->e, ST_NOMEM, "no memory for %zu bytes of a template", n);
        longjmp(h->escape, ST_NOMEM);
    }
    return p;
}

void *tmpl_array(heap *h, size_t count, size_t size)
{
    uint64_t n;
    if (!check_mul(count, size, &n) || n > SIZE_MAX)
        n = SIZE_MAX;  // refused by the limit
    void *p = tmpl_alloc(h, (size_t)n);
    memset(p, 0, (size_t)n);
    return p;
}

void tmpl_step(heap *h, size_t work)
{
    h->steps += work;
    if (h->steps > HEAP_STEPS_MAX)
        tmpl_fail(h, ST_LIMIT, "the template takes more than %d steps", HEAP_STEPS_MAX);
}

void tmpl_enter(heap *h)
{
    if (++h->depth > HEAP_DEPTH_MAX)
        tmpl_fail(h, ST_LIMIT, "the template nests or recurses more than %d levels deep", HEAP_DEPTH_MAX);
    tmpl_step(h, 1);
}

const char *tmpl_type_name(value v)
{
    static const char *const names[] = {
        [V_MISSING] = "missing", [V_UNDEF] = "Undefined", [V_NONE] = "NoneType",    [V_BOOL] = "bool",
        [V_INT] = "int",         [V_FLOAT] = "float",     [V_STR] = "str",          [V_LIST] = "list",
        [V_TUPLE] = "tuple",     [V_RANGE] = "range",     [V_VIEW] = "dict_items",  [V_ITER] = "generator",
        [V_DICT] = "dict",       [V_NS] = "Namespace",    [V_LOOP] = "LoopContext", [V_MACRO] = "Macro",
        [V_NATIVE] = "function",
    };
    return v.type == V_VIEW ? v.l->view : names[v.type];
}

value tmpl_undef(heap *h, const char *owner, value key)
{
    undef *u = tmpl_alloc(h, sizeof *u);
    *u = (undef){.owner = owner, .key = key};
    return (value){.type = V_UNDEF, .u = u};
}

value tmpl_undef_hint(heap *h, const char *hint)
{
    undef *u = tmpl_alloc(h, sizeof *u);
    *u = (undef){.hint = hint};
    return (value){.type = V_UNDEF, .u = u};
}

void tmpl_undef_fail(heap *h, value v)
{
    const undef *u = v.u;
    if (u->hint)
        tmpl_fail(h, ST_FORMAT, "%s", u->hint);
    const char *key = tmpl_str_c(h, tmpl_repr(h, u->key));
    if (!u->owner)
        tmpl_fail(h, ST_FORMAT, "%s is undefined", key);
    if (u->key.type != V_STR)
        tmpl_fail(h, ST_FORMAT, "%s has no element %s", u->owner, key);
    tmpl_fail(h, ST_FORMAT, "'%s' has no attribute %s", u->owner, key);
}

bool tmpl_truth(value v)
{
    switch (v.type) {
    case V_MISSING:
    case V_UNDEF:
    case V_NONE: return false;
    case V_BOOL: return v.b;
    case V_INT: return v.i != 0;
    case V_FLOAT: return v.f != 0;
    case V_STR: return v.s->n != 0;
    case V_LIST:
    case V_TUPLE:
    case V_RANGE:
    case V_VIEW: return v.l->n != 0;
    case V_DICT: return v.d->n != 0;
    default: return true;
    }
}

double tmpl_to_double(value v)
{
    return v.type == V_FLOAT ? v.f : v.type == V_BOOL ? (double)v.b : (double)v.i;
}

bool tmpl_is_nan(value v)
{
    return v.type == V_FLOAT && isnan(v.f);
}

static int64_t whole(value v)
{
    return v.type == V_BOOL ? v.b : v.i;
}

static int compare_numbers(value a, value b)
{
    if (a.type != V_FLOAT && b.type != V_FLOAT)
        return (whole(a) > whole(b)) - (whole(a) < whole(b));
    double x = tmpl_to_double(a), y = tmpl_to_double(b);
    return (x > y) - (x < y);
}

static bool equal_dicts(heap *h, const dict *a, const dict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        value *other = tmpl_dict_get(h, b, a->e[i].key);
        if (!other || !tmpl_equal(h, a->e[i].val, *other))
            return false;
    }
    return true;
}

static bool equal_seqs(heap *h, const seq *a, const seq *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (!tmpl_equal(h, a->v[i], b->v[i]))
            return false;
    return true;
}

bool tmpl_equal(heap *h, value a, value b)
{
    if (val_is_num(a) && val_is_num(b))
        return !tmpl_is_nan(a) && !tmpl_is_nan(b) && compare_numbers(a, b) == 0;
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case V_UNDEF:
    case V_NONE:
    case V_MISSING: return true;
    case V_STR: tmpl_step(h, a.s->n / 64); return tmpl_str_eq(a.s, b.s);
    case V_LIST:
    case V_TUPLE:
    case V_RANGE: {
        tmpl_enter(h);
        bool same = a.l == b.l || equal_seqs(h, a.l, b.l);
        tmpl_leave(h);
        return same;
    }
    case V_DICT: {
        tmpl_enter(h);
        bool same = a.d == b.d || equal_dicts(h, a.d, b.d);
        tmpl_leave(h);
        return same;
    }
    default: return a.l == b.l;  // one pointer or another: the same object
    }
}

int tmpl_order(heap *h, value a, value b, const char *op)
{
    if (val_is_num(a) && val_is_num(b))
        return compare_numbers(a, b);
    if (a.type == V_UNDEF)
        tmpl_undef_fail(h, a);
    if (b.type == V_UNDEF)
        tmpl_undef_fail(h, b);
    if (a.type == V_STR && b.type == V_STR) {
        tmpl_step(h, a.s->n / 64);
        return tmpl_str_cmp(a.s, b.s);
    }
    if (a.type == b.type && (a.type == V_LIST || a.type == V_TUPLE)) {
        tmpl_enter(h);
        int c = 0;
        for (size_t i = 0; i < a.l->n && i < b.l->n && c == 0; i++)
            if (!tmpl_equal(h, a.l->v[i], b.l->v[i]))
                c = tmpl_order(h, a.l->v[i], b.l->v[i], op);
        tmpl_leave(h);
        return c ? c : (a.l->n > b.l->n) - (a.l->n < b.l->n);
    }
    tmpl_fail(h, ST_FORMAT, "'%s' not supported between instances of '%s' and '%s'", op, tmpl_type_name(a),
              tmpl_type_name(b));
}

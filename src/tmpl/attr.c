// x.name, x[key] and x[from:to:step]: methods, members, elements. A missing one is undefined, not an error.
#include <string.h>

#include "tmpl/rt.h"

static const char *owner_name(value v)
{
    switch (v.type) {
    case V_NONE: return "None";
    case V_BOOL: return "bool object";
    case V_INT: return "int object";
    case V_FLOAT: return "float object";
    case V_STR: return "str object";
    case V_LIST: return "list object";
    case V_TUPLE: return "tuple object";
    case V_DICT: return "dict object";
    case V_RANGE: return "range object";
    case V_NS: return "jinja2.utils.Namespace object";
    case V_LOOP: return "jinja2.runtime.LoopContext object";
    case V_MACRO: return "jinja2.runtime.Macro object";
    default: return "object";
    }
}

static value macro_attr(rt *r, value v, const str *name)
{
    const node *n = v.macro->node;
    if (tmpl_str_is(name, "name"))
        return val_str(n->text);
    if (!tmpl_str_is(name, "arguments"))
        return (value){0};
    seq *l = tmpl_seq_new(&r->h, n->params.n);
    for (size_t i = 0; i < n->params.n; i++)
        tmpl_seq_push(&r->h, l, val_str(r->t->names[n->params.v[i]->id]));
    return val_seq(V_TUPLE, l);
}

static value attribute(rt *r, value v, const str *name)
{
    value *found;
    switch (v.type) {
    case V_UNDEF: tmpl_undef_fail(&r->h, v);
    case V_STR: return tmpl_method_str(r, v, name);
    case V_TUPLE:
        if (v.l->view && (tmpl_str_is(name, "grouper") || tmpl_str_is(name, "list")))
            return v.l->v[name->p[0] == 'l'];
        return tmpl_method_list(r, v, name);
    case V_LIST:
    case V_RANGE: return tmpl_method_list(r, v, name);
    case V_DICT: return tmpl_method_dict(r, v, name);
    case V_NS: found = tmpl_dict_get(&r->h, v.d, val_str(name)); return found ? *found : (value){0};
    case V_LOOP: return tmpl_loop_attr(r, v, name);
    case V_MACRO: return macro_attr(r, v, name);
    default: return (value){0};
    }
}

value tmpl_getattr(rt *r, value v, const str *name)
{
    value a = attribute(r, v, name);
    if (a.type != V_MISSING)
        return a;
    value *found = v.type == V_DICT ? tmpl_dict_get(&r->h, v.d, val_str(name)) : NULL;
    return found ? *found : tmpl_undef(&r->h, owner_name(v), val_str(name));
}

// Python's index: from the end when negative. False when there is no such element.
static bool element(int64_t i, size_t n, size_t *at)
{
    if (i < 0)
        i += (int64_t)n;
    *at = (size_t)i;
    return i >= 0 && (uint64_t)i < n;
}

value tmpl_getitem(rt *r, value v, value key)
{
    heap *h = &r->h;
    size_t at;
    bool number = key.type == V_INT || key.type == V_BOOL;
    int64_t i = key.type == V_BOOL ? key.b : number ? key.i : 0;
    if (v.type == V_UNDEF)
        tmpl_undef_fail(h, v);
    if (v.type == V_DICT) {
        value *found = tmpl_hashable(key) ? tmpl_dict_get(h, v.d, key) : NULL;
        if (found)
            return *found;
    } else if ((v.type == V_LIST || v.type == V_TUPLE || v.type == V_RANGE) && number) {
        if (element(i, v.l->n, &at))
            return v.l->v[at];
    } else if (v.type == V_STR && number) {
        tmpl_step(h, v.s->n / 64);
        if (element(i, tmpl_str_len(v.s), &at)) {
            size_t from = tmpl_str_at(v.s, at), to = from;
            tmpl_str_next(v.s, &to);
            return val_str(tmpl_str_part(h, v.s, from, to - from));
        }
    }
    if (key.type == V_STR) {
        value a = attribute(r, v, key.s);
        if (a.type != V_MISSING)
            return a;
    }
    return tmpl_undef(h, owner_name(v), key);
}

static int64_t bound(rt *r, value v, int64_t n, int64_t fallback, bool down)
{
    if (v.type == V_NONE)
        return fallback;
    if (v.type != V_INT && v.type != V_BOOL)
        tmpl_fail(&r->h, ST_FORMAT, "slice indices must be integers or None, not %s", tmpl_type_name(v));
    int64_t i = v.type == V_BOOL ? v.b : v.i;
    if (i < 0)
        i = i < -n ? -1 : i + n;
    if (i < 0)
        return down ? -1 : 0;
    return i >= n ? (down ? n - 1 : n) : i;
}

static value slice_str(rt *r, const str *s, int64_t from, int64_t to, int64_t step)
{
    if (step == 1) {
        size_t a = tmpl_str_at(s, (size_t)from), b = from < to ? tmpl_str_at(s, (size_t)to) : a;
        return val_str(tmpl_str_part(&r->h, s, a, b - a));
    }
    const seq *chars = tmpl_seq_of(&r->h, val_str(s));
    strbuf b = tmpl_sb(&r->h);
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step) {
        tmpl_sb_str(&b, chars->v[i].s);
        if (step > 0 ? i > to - step : i < to - step)
            break;  // the next would leave the range, and perhaps 64 bits
    }
    return val_str(tmpl_sb_done(&b));
}

value tmpl_slice(rt *r, value v, value from, value to, value step)
{
    heap *h = &r->h;
    if (v.type == V_UNDEF)
        tmpl_undef_fail(h, v);
    if (v.type != V_STR && v.type != V_LIST && v.type != V_TUPLE && v.type != V_RANGE)
        tmpl_fail(h, ST_FORMAT, "'%s' object cannot be sliced", tmpl_type_name(v));
    int64_t by = step.type == V_NONE ? 1 : tmpl_arg_int(r, step, "slice step");
    if (by == 0)
        tmpl_fail(h, ST_FORMAT, "slice step cannot be zero");
    bool down = by < 0;
    int64_t n = (int64_t)(v.type == V_STR ? tmpl_str_len(v.s) : v.l->n);
    tmpl_step(h, (size_t)n / 64);
    by = MIN(MAX(by, -n - 1), n + 1);  // longer steps end the walk just as well
    int64_t a = bound(r, from, n, down ? n - 1 : 0, down), b = bound(r, to, n, down ? -1 : n, down);
    if (v.type == V_STR)
        return slice_str(r, v.s, a, b, by);
    seq *l = tmpl_seq_new(h, 0);
    for (int64_t i = a; down ? i > b : i < b; i += by)
        tmpl_seq_push(h, l, v.l->v[i]);
    return val_seq(v.type == V_TUPLE ? V_TUPLE : V_LIST, l);
}

static bool all_digits(const str *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
    return s->n > 0 && s->n < 10;
}

value tmpl_getpath(rt *r, value v, value path, value missing)
{
    heap *h = &r->h;
    if (path.type == V_INT)
        v = tmpl_getitem(r, v, path);
    if (path.type != V_STR)
        return v.type == V_UNDEF && missing.type != V_MISSING ? missing : v;
    const seq *parts = tmpl_str_split(h, path.s, tmpl_str_z(h, "."), -1);
    for (size_t i = 0; i < parts->n; i++) {
        const str *s = parts->v[i].s;
        int64_t number = 0;
        for (size_t k = 0; all_digits(s) && k < s->n; k++)
            number = number * 10 + (s->p[k] - '0');
        v = tmpl_getitem(r, v, all_digits(s) ? val_int(number) : val_str(s));
        if (v.type == V_UNDEF && missing.type != V_MISSING)
            v = missing;
    }
    return v;
}

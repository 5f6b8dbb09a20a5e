// Evaluates expressions, and finds and sets variables.
//
// Scopes follow Jinja2: loop bodies, macro calls and blocks see the variables outside them but set their own;
// "if" has no scope. A macro sees the variables of the place where it stands as they are when it is called.
#include <string.h>

#include "tmpl/rt.h"

scope *tmpl_scope_push(rt *r, scope *parent)
{
    scope *before = r->scope, *s = tmpl_array(&r->h, 1, sizeof *s);
    s->parent = parent;
    r->scope = s;
    return before;
}

void tmpl_set(rt *r, int id, value v)
{
    scope *s = r->scope;
    if (!s) {
        r->vars[id] = v;
        return;
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].id == id) {
            s->v[i].v = v;
            return;
        }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        var *grown = tmpl_alloc(&r->h, cap * sizeof *grown);
        if (s->n)
            memcpy(grown, s->v, s->n * sizeof *grown);
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n++] = (var){id, v};
}

static value get(rt *r, int id)
{
    for (const scope *s = r->scope; s; s = s->parent)
        for (size_t i = 0; i < s->n; i++)
            if (s->v[i].id == id)
                return s->v[i].v;
    if (r->vars[id].type == V_MISSING)
        return tmpl_undef(&r->h, NULL, val_str(r->t->names[id]));
    return r->vars[id];
}

void tmpl_assign(rt *r, const node *target, value v)
{
    if (target->kind == N_NAME) {
        tmpl_set(r, target->id, v);
    } else if (target->kind == N_ATTR) {
        value ns = get(r, target->a->id);
        if (ns.type != V_NS)
            tmpl_fail(&r->h, ST_FORMAT, "cannot assign attribute on non-namespace object");
        tmpl_dict_put(&r->h, ns.d, val_str(target->text), v);
    } else {
        const seq *l = tmpl_seq_of(&r->h, v);
        if (l->n != target->list.n)
            tmpl_fail(&r->h, ST_FORMAT, "%zu values for %zu variables", l->n, target->list.n);
        for (size_t i = 0; i < target->list.n; i++)
            tmpl_assign(r, target->list.v[i], l->v[i]);
    }
}

static void push_kwarg(rt *r, args *a, size_t cap, const str *name, value v)
{
    if (a->n_kw >= cap)
        tmpl_fail(&r->h, ST_LIMIT, "too many keyword arguments");
    a->kw[a->n_kw++] = (kwarg){name, v};
}

static void spread(rt *r, const node *arg, seq *pos, args *a, size_t *cap)
{
    value v = tmpl_eval(r, arg->a);
    if (arg->op == 1) {
        const seq *l = tmpl_seq_of(&r->h, v);
        for (size_t i = 0; i < l->n; i++)
            tmpl_seq_push(&r->h, pos, l->v[i]);
        return;
    }
    if (v.type != V_DICT)
        tmpl_fail(&r->h, ST_FORMAT, "argument after ** must be a mapping, not %s", tmpl_type_name(v));
    kwarg *kw = tmpl_array(&r->h, *cap + v.d->n, sizeof *kw);
    if (a->n_kw)
        memcpy(kw, a->kw, a->n_kw * sizeof *kw);
    a->kw = kw;
    *cap += v.d->n;
    for (size_t i = 0; i < v.d->n; i++) {
        if (v.d->e[i].key.type != V_STR)
            tmpl_fail(&r->h, ST_FORMAT, "keywords must be strings");
        push_kwarg(r, a, *cap, v.d->e[i].key.s, v.d->e[i].val);
    }
}

static args eval_args(rt *r, const node_list *l)
{
    size_t cap = 0;
    args a = {0};
    seq *pos = tmpl_seq_new(&r->h, l->n);
    for (size_t i = 0; i < l->n; i++)
        cap += l->v[i]->text != NULL;
    if (cap)
        a.kw = tmpl_array(&r->h, cap, sizeof *a.kw);
    for (size_t i = 0; i < l->n; i++) {
        const node *arg = l->v[i];
        if (arg->op)
            spread(r, arg, pos, &a, &cap);
        else if (arg->text)
            push_kwarg(r, &a, cap, arg->text, tmpl_eval(r, arg->a));
        else
            tmpl_seq_push(&r->h, pos, tmpl_eval(r, arg->a));
    }
    a.pos = pos->v;
    a.n = pos->n;
    return a;
}

static value eval_compare(rt *r, const node *n)
{
    value left = tmpl_eval(r, n->a);
    for (size_t i = 0; i < n->list.n; i++) {
        value right = tmpl_eval(r, n->list.v[i]->b);
        if (!tmpl_compare(r, n->list.v[i]->op, left, right))
            return val_bool(false);
        left = right;
    }
    return val_bool(true);
}

static value eval_concat(rt *r, const node *n)
{
    const str *s = tmpl_text(&r->h, tmpl_eval(r, n->list.v[0]));
    for (size_t i = 1; i < n->list.n; i++)
        s = tmpl_str_cat(&r->h, s, tmpl_text(&r->h, tmpl_eval(r, n->list.v[i])));
    return val_str(tmpl_str_safe(&r->h, s, false));
}

static value eval_items(rt *r, const node *n)
{
    seq *l = tmpl_seq_new(&r->h, n->list.n);
    for (size_t i = 0; i < n->list.n; i++)
        tmpl_seq_push(&r->h, l, tmpl_eval(r, n->list.v[i]));
    return val_seq(n->kind == N_LIST ? V_LIST : V_TUPLE, l);
}

static value eval_dict(rt *r, const node *n)
{
    dict *d = tmpl_dict_new(&r->h);
    for (size_t i = 0; i < n->list.n; i += 2) {
        value key = tmpl_eval(r, n->list.v[i]);
        tmpl_dict_put(&r->h, d, key, tmpl_eval(r, n->list.v[i + 1]));
    }
    return val_dict(d);
}

static value eval_cond(rt *r, const node *n)
{
    if (tmpl_truth(tmpl_eval(r, n->a)))
        return tmpl_eval(r, n->b);
    if (n->c)
        return tmpl_eval(r, n->c);
    return tmpl_undef_hint(&r->h,
                           "the inline if-expression evaluated to false and no else section was defined");
}

static value eval_slice(rt *r, const node *n)
{
    value of = tmpl_eval(r, n->a);
    value from = n->b ? tmpl_eval(r, n->b) : VAL_NONE;
    value to = n->c ? tmpl_eval(r, n->c) : VAL_NONE;
    return tmpl_slice(r, of, from, to, n->d ? tmpl_eval(r, n->d) : VAL_NONE);
}

value tmpl_eval_call(rt *r, const node *n, value caller)
{
    value f = tmpl_eval(r, n->a);
    args a = eval_args(r, &n->list);
    r->h.line = n->line;
    if (caller.type != V_MISSING) {
        kwarg *kw = tmpl_array(&r->h, a.n_kw + 1, sizeof *kw);
        if (a.n_kw)
            memcpy(kw, a.kw, a.n_kw * sizeof *kw);
        kw[a.n_kw++] = (kwarg){tmpl_str_z(&r->h, "caller"), caller};
        a.kw = kw;
    }
    return tmpl_call(r, f, &a);
}

static value eval_filter(rt *r, const node *n)
{
    value v = n->a ? tmpl_eval(r, n->a) : r->block;
    args a = eval_args(r, &n->list);
    r->h.line = n->line;
    return tmpl_filter_call(r, n->text, v, &a);
}

static value eval_test(rt *r, const node *n)
{
    value v = tmpl_eval(r, n->a);
    args a = eval_args(r, &n->list);
    r->h.line = n->line;
    return val_bool(tmpl_is(r, n->text, v, &a));
}

static value eval_other(rt *r, const node *n)
{
    value v;
    switch (n->kind) {
    case N_AND: v = tmpl_eval(r, n->a); return tmpl_truth(v) ? tmpl_eval(r, n->b) : v;
    case N_OR: v = tmpl_eval(r, n->a); return tmpl_truth(v) ? v : tmpl_eval(r, n->b);
    case N_NOT: return val_bool(!tmpl_truth(tmpl_eval(r, n->a)));
    case N_NEG: return tmpl_negate(r, tmpl_eval(r, n->a));
    case N_POS: return tmpl_positive(r, tmpl_eval(r, n->a));
    case N_COMPARE: return eval_compare(r, n);
    case N_CONCAT: return eval_concat(r, n);
    case N_COND: return eval_cond(r, n);
    case N_SLICE: return eval_slice(r, n);
    case N_DICT: return eval_dict(r, n);
    default: return eval_items(r, n);
    }
}

value tmpl_eval(rt *r, const node *n)
{
    value v;
    tmpl_enter(&r->h);
    r->h.line = n->line;
    switch (n->kind) {
    case N_CONST: v = n->k; break;
    case N_NAME: v = get(r, n->id); break;
    case N_ATTR: v = tmpl_getattr(r, tmpl_eval(r, n->a), n->text); break;
    case N_ITEM:
        v = tmpl_eval(r, n->a);
        v = tmpl_getitem(r, v, tmpl_eval(r, n->b));
        break;
    case N_CALL: v = tmpl_eval_call(r, n, (value){0}); break;
    case N_FILTER: v = eval_filter(r, n); break;
    case N_TEST: v = eval_test(r, n); break;
    case N_BINARY:
        v = tmpl_eval(r, n->a);
        v = tmpl_binary(r, n->op, v, tmpl_eval(r, n->b));
        break;
    default: v = eval_other(r, n);
    }
    tmpl_leave(&r->h);
    return v;
}

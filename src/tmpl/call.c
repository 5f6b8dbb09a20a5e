// Calls: macros, functions, methods; and taking their arguments apart.
#include <string.h>

#include "tmpl/parse.h"
#include "tmpl/rt.h"

value tmpl_native(rt *r, const char *name, native_fn *fn, value self)
{
    native *n = tmpl_alloc(&r->h, sizeof *n);
    *n = (native){.name = name, .fn = fn, .self = self};
    return (value){.type = V_NATIVE, .native = n};
}

value tmpl_macro_new(rt *r, const node *n)
{
    macro *m = tmpl_alloc(&r->h, sizeof *m);
    *m = (macro){.node = n, .closure = r->scope};
    return (value){.type = V_MACRO, .macro = m};
}

static const kwarg *keyword(const args *a, const str *name)
{
    for (size_t i = 0; i < a->n_kw; i++)
        if (tmpl_str_eq(a->kw[i].name, name))
            return &a->kw[i];
    return NULL;
}

static bool is_param(const rt *r, const node *n, const str *name)
{
    for (size_t i = 0; i < n->params.n; i++)
        if (tmpl_str_eq(r->t->names[n->params.v[i]->id], name))
            return true;
    return false;
}

// Arguments beyond the parameters: gathered for a body that asks for them, refused otherwise.
static void extra_args(rt *r, const node *n, const args *a)
{
    heap *h = &r->h;
    const char *name = tmpl_str_c(h, n->text);
    seq *more = tmpl_seq_new(h, 0);
    for (size_t i = n->params.n; i < a->n; i++)
        tmpl_seq_push(h, more, a->pos[i]);
    if (more->n && !(n->op & USES_VARARGS))
        tmpl_fail(h, ST_FORMAT, "macro '%s' takes not more than %zu argument(s)", name, n->params.n);
    dict *kwargs = tmpl_dict_new(h);
    for (size_t i = 0; i < a->n_kw; i++) {
        const str *key = a->kw[i].name;
        bool caller = (n->op & USES_CALLER) && tmpl_str_is(key, "caller");
        if (caller || (is_param(r, n, key) && a->n < n->params.n))
            continue;
        if (!(n->op & USES_KWARGS))
            tmpl_fail(h, ST_FORMAT, "macro '%s' takes no keyword argument '%s'", name, tmpl_str_c(h, key));
        tmpl_dict_put(h, kwargs, val_str(key), a->kw[i].v);
    }
    if (n->op & USES_VARARGS)
        tmpl_set(r, r->id_varargs, val_seq(V_TUPLE, more));
    if (n->op & USES_KWARGS)
        tmpl_set(r, r->id_kwargs, val_dict(kwargs));
}

static value unprovided(rt *r, const str *name)
{
    strbuf b = tmpl_sb(&r->h);
    tmpl_sb_puts(&b, "parameter '");
    tmpl_sb_str(&b, name);
    tmpl_sb_puts(&b, "' was not provided");
    return tmpl_undef_hint(&r->h, tmpl_str_c(&r->h, tmpl_sb_done(&b)));
}

static void bind_params(rt *r, const node *n, const args *a)
{
    bool caller_param = false;
    for (size_t i = 0; i < n->params.n; i++) {
        const node *p = n->params.v[i];
        const str *name = r->t->names[p->id];
        const kwarg *kw = i < a->n ? NULL : keyword(a, name);
        caller_param = caller_param || p->id == r->id_caller;
        if (i < a->n)
            tmpl_set(r, p->id, a->pos[i]);
        else if (kw)
            tmpl_set(r, p->id, kw->v);
        else
            tmpl_set(r, p->id, p->a ? tmpl_eval(r, p->a) : unprovided(r, name));
    }
    if ((n->op & USES_CALLER) && !caller_param) {
        const kwarg *kw = keyword(a, r->t->names[r->id_caller]);
        tmpl_set(r, r->id_caller, kw ? kw->v : tmpl_undef_hint(&r->h, "No caller defined"));
    }
    extra_args(r, n, a);
}

static value call_macro(rt *r, const macro *m, const args *a)
{
    strbuf b = tmpl_sb(&r->h), *out = r->out;
    scope *before = tmpl_scope_push(r, m->closure);
    bind_params(r, m->node, a);
    r->out = &b;
    tmpl_exec(r, &m->node->list);
    r->out = out;
    r->scope = before;
    return val_str(tmpl_sb_done(&b));
}

value tmpl_call(rt *r, value f, const args *a)
{
    value v;
    tmpl_enter(&r->h);
    switch (f.type) {
    case V_NATIVE:
        if (!f.native->fn)
            tmpl_fail(&r->h, ST_UNSUPPORTED, "the method %s is not supported in chat templates",
                      f.native->name);
        v = f.native->fn(r, f.native->self, a);
        break;
    case V_MACRO: v = call_macro(r, f.macro, a); break;
    case V_LOOP: v = tmpl_loop_call(r, f.loop, a); break;
    case V_UNDEF: tmpl_undef_fail(&r->h, f);
    default: tmpl_fail(&r->h, ST_FORMAT, "'%s' object is not callable", tmpl_type_name(f));
    }
    tmpl_leave(&r->h);
    return v;
}

void tmpl_bind(rt *r, const char *what, const args *a, size_t n, const char *const *names, value *out)
{
    if (a->n > n)
        tmpl_fail(&r->h, ST_FORMAT, "%s takes at most %zu arguments, %zu given", what, n, a->n);
    for (size_t i = 0; i < n; i++)
        out[i] = i < a->n ? a->pos[i] : (value){0};
    for (size_t k = 0; k < a->n_kw; k++) {
        size_t i = 0;
        while (i < n && !tmpl_str_is(a->kw[k].name, names[i]))
            i++;
        if (i == n)
            tmpl_fail(&r->h, ST_FORMAT, "%s takes no keyword argument '%s'", what,
                      tmpl_str_c(&r->h, a->kw[k].name));
        if (out[i].type != V_MISSING)
            tmpl_fail(&r->h, ST_FORMAT, "%s is given %s twice", what, names[i]);
        out[i] = a->kw[k].v;
    }
}

int64_t tmpl_arg_int(rt *r, value v, const char *what)
{
    if (v.type == V_BOOL)
        return v.b;
    if (v.type == V_UNDEF)
        tmpl_undef_fail(&r->h, v);
    if (v.type != V_INT)
        tmpl_fail(&r->h, ST_FORMAT, "%s must be an integer, not %s", what, tmpl_type_name(v));
    return v.i;
}

const str *tmpl_arg_str(rt *r, value v, const char *what)
{
    if (v.type == V_UNDEF)
        tmpl_undef_fail(&r->h, v);
    if (v.type != V_STR)
        tmpl_fail(&r->h, ST_FORMAT, "%s must be a string, not %s", what,
                  v.type == V_MISSING ? "missing" : tmpl_type_name(v));
    return v.s;
}

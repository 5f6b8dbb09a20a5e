// Runs statements. Output goes to rt.out; whatever captures text (macros, {% set %} and {% filter %} blocks)
// puts its own buffer there for a while.
#include "tmpl/rt.h"

// The scope is emptied for each round, as Python reuses one frame for all rounds of a loop.
static enum flow one_round(rt *r, loop *l, value self, value item)
{
    r->scope->n = 0;
    tmpl_assign(r, l->node->a, item);
    if (r->id_loop >= 0)
        tmpl_set(r, r->id_loop, self);
    return tmpl_exec(r, &l->node->list);
}

static seq *filtered(rt *r, const node *n, const seq *all)
{
    seq *l = tmpl_seq_new(&r->h, 0);
    scope *before = tmpl_scope_push(r, r->scope);
    for (size_t i = 0; i < all->n; i++) {
        r->scope->n = 0;
        tmpl_assign(r, n->a, all->v[i]);
        if (tmpl_truth(tmpl_eval(r, n->c)))
            tmpl_seq_push(&r->h, l, all->v[i]);
    }
    r->scope = before;
    return l;
}

// Runs the loop `n` over v; its scopes hang below r->scope.
static void run_loop(rt *r, const node *n, value v, int depth0)
{
    loop *l = tmpl_array(&r->h, 1, sizeof *l);
    *l = (loop){.node = n, .items = tmpl_seq_of(&r->h, v), .depth0 = depth0, .outer = r->scope};
    if (n->c)
        l->items = filtered(r, n, l->items);
    value self = {.type = V_LOOP, .loop = l};
    scope *before = tmpl_scope_push(r, r->scope);
    enum flow f = FLOW_NEXT;
    bool whole = false;  // some round ran to its end; only that keeps Jinja2 from the else branch
    for (; l->at < l->items->n && f != FLOW_BREAK; l->at++) {  // the list may grow meanwhile
        tmpl_step(&r->h, 1);
        f = one_round(r, l, self, l->items->v[l->at]);
        whole = whole || f == FLOW_NEXT;
    }
    r->scope->n = 0;
    if (!whole)
        tmpl_exec(r, &n->orelse);
    r->scope = before;
}

value tmpl_loop_call(rt *r, const loop *up, const args *a)
{
    if (!up->node->op)
        tmpl_fail(&r->h, ST_FORMAT, "the loop is not marked \"recursive\"");
    static const char *const names[] = {"iterable"};
    value v;
    tmpl_bind(r, "loop", a, 1, names, &v);
    if (v.type == V_MISSING)
        tmpl_fail(&r->h, ST_FORMAT, "loop() needs what to iterate over");
    strbuf b = tmpl_sb(&r->h), *out = r->out;
    scope *before = r->scope;
    r->out = &b;
    r->scope = up->outer;
    run_loop(r, up->node, v, up->depth0 + 1);
    r->out = out;
    r->scope = before;
    return val_str(tmpl_sb_done(&b));
}

static const str *capture(rt *r, const node_list *l)
{
    strbuf b = tmpl_sb(&r->h), *out = r->out;
    scope *before = tmpl_scope_push(r, r->scope);
    r->out = &b;
    tmpl_exec(r, l);
    r->out = out;
    r->scope = before;
    return tmpl_sb_done(&b);
}

static value filter_text(rt *r, const node *filters, const str *text)
{
    if (!filters)
        return val_str(text);
    value before = r->block;
    r->block = val_str(text);
    value v = tmpl_eval(r, filters);
    r->block = before;
    return v;
}

static void print(rt *r, value v)
{
    tmpl_sb_str(r->out, tmpl_text(&r->h, v));
}

static void run_call_block(rt *r, const node *n)
{
    print(r, tmpl_eval_call(r, n->a, tmpl_macro_new(r, n)));
}

static enum flow run_scope(rt *r, const node *n)
{
    value *v = tmpl_array(&r->h, n->params.n, sizeof *v);
    for (size_t i = 0; i < n->params.n; i++)
        v[i] = tmpl_eval(r, n->params.v[i]->a);
    scope *before = tmpl_scope_push(r, r->scope);
    for (size_t i = 0; i < n->params.n; i++)
        tmpl_set(r, n->params.v[i]->id, v[i]);
    enum flow f = tmpl_exec(r, &n->list);
    r->scope = before;
    return f;
}

static enum flow run(rt *r, const node *n)
{
    switch (n->kind) {
    case N_DATA: tmpl_sb_str(r->out, n->k.s); break;
    case N_OUTPUT: print(r, tmpl_eval(r, n->a)); break;
    case N_IF: return tmpl_exec(r, tmpl_truth(tmpl_eval(r, n->a)) ? &n->list : &n->orelse);
    case N_FOR: run_loop(r, n, tmpl_eval(r, n->b), 0); break;
    case N_SET: tmpl_assign(r, n->a, tmpl_eval(r, n->b)); break;
    case N_SETBLOCK: tmpl_assign(r, n->a, filter_text(r, n->b, capture(r, &n->list))); break;
    case N_MACRO: tmpl_set(r, n->id, tmpl_macro_new(r, n)); break;
    case N_CALLBLOCK: run_call_block(r, n); break;
    case N_FILTERBLOCK: print(r, filter_text(r, n->b, capture(r, &n->list))); break;
    case N_SCOPE: return run_scope(r, n);
    case N_BREAK: return FLOW_BREAK;
    case N_CONTINUE: return FLOW_CONTINUE;
    }
    return FLOW_NEXT;
}

enum flow tmpl_exec(rt *r, const node_list *l)
{
    enum flow f = FLOW_NEXT;
    tmpl_enter(&r->h);
    for (size_t i = 0; i < l->n && f == FLOW_NEXT; i++) {
        r->h.line = l->v[i]->line;
        tmpl_step(&r->h, 1);
        f = run(r, l->v[i]);
    }
    tmpl_leave(&r->h);
    return f;
}

// A render under way: variables, output, and the parts of the interpreter that call each other.
#ifndef TMPL_RT_H
#define TMPL_RT_H

#include "tmpl/ast.h"
#include "tmpl/str.h"

typedef struct var {
    int id;
    value v;
} var;

// Variables of a loop body, macro call or block; the template's own level is rt.vars.
typedef struct scope {
    struct scope *parent;  // NULL: the template's own level
    var *v;
    size_t n, cap;
} scope;

typedef struct macro {
    const node *node;  // N_MACRO or N_CALLBLOCK
    scope *closure;
} macro;

typedef struct loop {
    const node *node;  // N_FOR
    seq *items;
    size_t at;
    int depth0;
    scope *outer;  // where the loop stands, for recursion
    value last;    // what changed() saw
} loop;

typedef struct rt {
    heap h;
    const struct tmpl *t;
    const tmpl_input *in;
    value *vars;  // by name id; V_MISSING when unset
    scope *scope;
    strbuf *out;
    value block;                                    // the text a filter block hands to its filters
    int id_loop, id_caller, id_kwargs, id_varargs;  // -1: the template does not use the name
} rt;

// eval.c
value tmpl_eval(rt *r, const node *n);
value tmpl_eval_call(rt *r, const node *n, value caller);  // N_CALL; caller: a {% call %} block, or V_MISSING
void tmpl_assign(rt *r, const node *target, value v);
void tmpl_set(rt *r, int id, value v);
scope *tmpl_scope_push(rt *r, scope *parent);  // becomes current; gives the one before

// ops.c
value tmpl_binary(rt *r, int op, value a, value b);
value tmpl_negate(rt *r, value v);
value tmpl_positive(rt *r, value v);
bool tmpl_compare(rt *r, int op, value a, value b);
bool tmpl_contains(rt *r, value in, value what);
value tmpl_percent(rt *r, const str *format,
                   const args *a);  // format % a; a keyword's name stands for %(name)s

// attr.c
value tmpl_getattr(rt *r, value v, const str *name);
value tmpl_getitem(rt *r, value v, value key);
value tmpl_slice(rt *r, value v, value from, value to, value step);
value tmpl_getpath(rt *r, value v, value path, value missing);  // "a.b.0" as map(attribute=...) takes it

// call.c
value tmpl_call(rt *r, value f, const args *a);
value tmpl_macro_new(rt *r, const node *n);
value tmpl_native(rt *r, const char *name, native_fn *fn, value self);
void tmpl_bind(rt *r, const char *what, const args *a, size_t n, const char *const *names, value *out);
int64_t tmpl_arg_int(rt *r, value v, const char *what);
const str *tmpl_arg_str(rt *r, value v, const char *what);

// exec.c
enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };
enum flow tmpl_exec(rt *r, const node_list *l);
value tmpl_loop_call(rt *r, const loop *up, const args *a);

// global.c, filters.c, is.c, methods.c, loop.c
void tmpl_globals(rt *r);
typedef value filter_fn(rt *r, value v, const args *a);
filter_fn *tmpl_filter_find(const str *name);
value tmpl_filter_call(rt *r, const str *name, value v, const args *a);
bool tmpl_is(rt *r, const str *name, value v, const args *a);
value tmpl_method_str(rt *r, value v, const str *name);  // V_MISSING: no such method
value tmpl_method_list(rt *r, value v, const str *name);
value tmpl_method_dict(rt *r, value v, const str *name);
value tmpl_loop_attr(rt *r, value v, const str *name);

// format.c, time.c
value tmpl_format(rt *r, const str *format, const args *a);  // str.format
const str *tmpl_format_value(rt *r, value v, const str *spec);
const str *tmpl_strftime(rt *r, const str *format, int64_t now);

#endif

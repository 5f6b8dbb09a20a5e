// The variable `loop` inside {% for %}.
#include "tmpl/rt.h"

static value cycle(rt *r, value self, const args *a)
{
    if (a->n == 0)
        tmpl_fail(&r->h, ST_FORMAT, "no items for cycling given");
    return a->pos[self.loop->at % a->n];
}

static value changed(rt *r, value self, const args *a)
{
    seq *now = tmpl_seq_new(&r->h, a->n);
    for (size_t i = 0; i < a->n; i++)
        tmpl_seq_push(&r->h, now, a->pos[i]);
    value tuple = val_seq(V_TUPLE, now);
    bool same = self.loop->last.type == V_TUPLE && tmpl_equal(&r->h, self.loop->last, tuple);
    self.loop->last = tuple;
    return val_bool(!same);
}

value tmpl_loop_attr(rt *r, value v, const str *name)
{
    loop *l = v.loop;
    int64_t at = (int64_t)l->at, n = (int64_t)l->items->n;
    const struct {
        const char *name;
        value v;
    } fixed[] = {
        {"index", val_int(at + 1)},     {"index0", val_int(at)},
        {"revindex", val_int(n - at)},  {"revindex0", val_int(n - at - 1)},
        {"first", val_bool(at == 0)},   {"last", val_bool(at + 1 == n)},
        {"length", val_int(n)},         {"depth", val_int(l->depth0 + 1)},
        {"depth0", val_int(l->depth0)},
    };
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        if (tmpl_str_is(name, fixed[i].name))
            return fixed[i].v;
    if (tmpl_str_is(name, "previtem"))
        return at > 0 ? l->items->v[at - 1] : tmpl_undef_hint(&r->h, "there is no previous item");
    if (tmpl_str_is(name, "nextitem"))
        return at + 1 < n ? l->items->v[at + 1] : tmpl_undef_hint(&r->h, "there is no next item");
    if (tmpl_str_is(name, "cycle"))
        return tmpl_native(r, "cycle", cycle, v);
    if (tmpl_str_is(name, "changed"))
        return tmpl_native(r, "changed", changed, v);
    return (value){0};
}

// The functions every template can call: range, namespace, dict, joiner, cycler, raise_exception, strftime_now.
#include "tmpl/rt.h"

enum { RANGE_MAX = 100000 };  // as in Jinja2's sandbox

static value range(rt *r, value self, const args *a)
{
    (void)self;
    if (a->n < 1 || a->n > 3 || a->n_kw)
        tmpl_fail(&r->h, ST_FORMAT, "range expects 1 to 3 arguments, got %zu", a->n + a->n_kw);
    int64_t from = a->n > 1 ? tmpl_arg_int(r, a->pos[0], "range") : 0;
    int64_t to = tmpl_arg_int(r, a->pos[a->n > 1], "range");
    int64_t step = a->n > 2 ? tmpl_arg_int(r, a->pos[2], "range") : 1;
    if (step == 0)
        tmpl_fail(&r->h, ST_FORMAT, "range() arg 3 must not be zero");
    seq *l = tmpl_seq_new(&r->h, 0);
    l->from = from;
    l->to = to;
    l->step = step;
    for (int64_t i = from; step > 0 ? i < to : i > to; i += step) {
        if (l->n == RANGE_MAX)
            tmpl_fail(&r->h, ST_LIMIT, "range() of more than %d numbers", RANGE_MAX);
        tmpl_seq_push(&r->h, l, val_int(i));
        if (step > 0 ? i > INT64_MAX - step : i < INT64_MIN - step)
            break;
    }
    return val_seq(V_RANGE, l);
}

static void put_pairs(rt *r, dict *d, const args *a)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->pos[i].type == V_DICT) {
            const dict *from = a->pos[i].d;
            for (size_t k = 0; k < from->n; k++)
                tmpl_dict_put(&r->h, d, from->e[k].key, from->e[k].val);
            continue;
        }
        const seq *l = tmpl_seq_of(&r->h, a->pos[i]);
        for (size_t k = 0; k < l->n; k++) {
            const seq *pair = tmpl_seq_of(&r->h, l->v[k]);
            if (pair->n != 2)
                tmpl_fail(&r->h, ST_FORMAT, "a mapping is made from pairs, not from %zu values", pair->n);
            tmpl_dict_put(&r->h, d, pair->v[0], pair->v[1]);
        }
    }
    for (size_t i = 0; i < a->n_kw; i++)
        tmpl_dict_put(&r->h, d, val_str(a->kw[i].name), a->kw[i].v);
}

static value dict_fn(rt *r, value self, const args *a)
{
    (void)self;
    dict *d = tmpl_dict_new(&r->h);
    put_pairs(r, d, a);
    return val_dict(d);
}

static value namespace(rt *r, value self, const args *a)
{
    value v = dict_fn(r, self, a);
    v.type = V_NS;
    return v;
}

// joiner() gives "" the first time and its separator ever after; the state is a mapping behind the function.
static value join_next(rt *r, value self, const args *a)
{
    if (a->n || a->n_kw)
        tmpl_fail(&r->h, ST_FORMAT, "a joiner takes no arguments");
    value *used = tmpl_dict_name(&r->h, self.d, "used");
    bool first = !tmpl_truth(*used);
    *used = val_bool(true);
    return first ? tmpl_strv(&r->h, "") : *tmpl_dict_name(&r->h, self.d, "sep");
}

static value joiner(rt *r, value self, const args *a)
{
    (void)self;
    static const char *const names[] = {"sep"};
    value sep;
    tmpl_bind(r, "joiner", a, 1, names, &sep);
    dict *d = tmpl_dict_new(&r->h);
    tmpl_dict_put(&r->h, d, tmpl_strv(&r->h, "used"), val_bool(false));
    tmpl_dict_put(&r->h, d, tmpl_strv(&r->h, "sep"), sep.type == V_MISSING ? tmpl_strv(&r->h, ", ") : sep);
    return tmpl_native(r, "joiner", join_next, val_dict(d));
}

static value raise_exception(rt *r, value self, const args *a)
{
    (void)self;
    static const char *const names[] = {"message"};
    value message;
    tmpl_bind(r, "raise_exception", a, 1, names, &message);
    r->h.line = 0;  // the template's own words, nothing else
    tmpl_fail(&r->h, ST_INVALID, "%s", tmpl_str_c(&r->h, tmpl_text(&r->h, message)));
}

static value strftime_now(rt *r, value self, const args *a)
{
    (void)self;
    static const char *const names[] = {"format"};
    value format;
    tmpl_bind(r, "strftime_now", a, 1, names, &format);
    return val_str(tmpl_strftime(r, tmpl_arg_str(r, format, "strftime_now"), r->in->now));
}

void tmpl_globals(rt *r)
{
    static const struct {
        const char *name;
        native_fn *fn;
    } all[] = {
        {"range", range},
        {"namespace", namespace},
        {"dict", dict_fn},
        {"joiner", joiner},
        {"raise_exception", raise_exception},
        {"strftime_now", strftime_now},
    };
    for (int id = 0; id < r->t->n_names; id++)
        for (size_t i = 0; i < COUNT_OF(all); i++)
            if (tmpl_str_is(r->t->names[id], all[i].name))
                r->vars[id] = tmpl_native(r, all[i].name, all[i].fn, VAL_NONE);
}

// Filters on sequences and mappings.
#include "tmpl/filters.h"

value tmpl_filter_length(rt *r, value v, const args *a)
{
    tmpl_bind(r, "length", a, 0, NULL, NULL);
    switch (v.type) {
    case V_UNDEF: return val_int(0);
    case V_STR: tmpl_step(&r->h, v.s->n / 64); return val_int((int64_t)tmpl_str_len(v.s));
    case V_DICT: return val_int((int64_t)v.d->n);
    case V_LOOP: return val_int((int64_t)v.loop->items->n);
    case V_LIST:
    case V_TUPLE:
    case V_RANGE:
    case V_VIEW: return val_int((int64_t)v.l->n);
    default: tmpl_fail(&r->h, ST_FORMAT, "object of type '%s' has no len()", tmpl_type_name(v));
    }
}

value tmpl_filter_list(rt *r, value v, const args *a)
{
    tmpl_bind(r, "list", a, 0, NULL, NULL);
    return val_seq(V_LIST, tmpl_seq_copy(&r->h, v));
}

value tmpl_filter_first(rt *r, value v, const args *a)
{
    tmpl_bind(r, "first", a, 0, NULL, NULL);
    if (v.type == V_ITER && v.l->pos < v.l->n)
        return v.l->v[v.l->pos++];
    const seq *l = tmpl_seq_of(&r->h, v);
    return l->n ? l->v[0] : tmpl_undef_hint(&r->h, "No first item, sequence was empty.");
}

value tmpl_filter_last(rt *r, value v, const args *a)
{
    tmpl_bind(r, "last", a, 0, NULL, NULL);
    if (v.type == V_ITER)
        tmpl_fail(&r->h, ST_FORMAT, "'generator' object is not reversible");
    const seq *l = tmpl_seq_of(&r->h, v);
    return l->n ? l->v[l->n - 1] : tmpl_undef_hint(&r->h, "No last item, sequence was empty.");
}

value tmpl_filter_items(rt *r, value v, const args *a)
{
    tmpl_bind(r, "items", a, 0, NULL, NULL);
    if (v.type == V_UNDEF)
        return val_seq(V_ITER, tmpl_seq_new(&r->h, 0));
    if (v.type != V_DICT)
        tmpl_fail(&r->h, ST_FORMAT, "Can only get item pairs from a mapping.");
    return val_seq(V_ITER, tmpl_dict_items(&r->h, v.d));
}

value tmpl_filter_join(rt *r, value v, const args *a)
{
    static const char *const names[] = {"d", "attribute"};
    value arg[2];
    tmpl_bind(r, "join", a, 2, names, arg);
    const str *between = arg[0].type == V_MISSING ? tmpl_str_z(&r->h, "") : tmpl_text(&r->h, arg[0]);
    bool attribute = arg[1].type != V_MISSING && arg[1].type != V_NONE;
    const seq *l = tmpl_seq_of(&r->h, v);
    strbuf b = tmpl_sb(&r->h);
    for (size_t i = 0; i < l->n; i++) {
        value item = attribute ? tmpl_getpath(r, l->v[i], arg[1], (value){0}) : l->v[i];
        if (i)
            tmpl_sb_str(&b, between);
        tmpl_sb_str(&b, tmpl_text(&r->h, item));
    }
    return val_str(tmpl_sb_done(&b));
}

value tmpl_filter_reverse(rt *r, value v, const args *a)
{
    tmpl_bind(r, "reverse", a, 0, NULL, NULL);
    const seq *from = tmpl_seq_of(&r->h, v);
    seq *l = tmpl_seq_new(&r->h, from->n);
    for (size_t i = from->n; i-- > 0;)
        tmpl_seq_push(&r->h, l, from->v[i]);
    if (v.type != V_STR)
        return val_seq(V_ITER, l);
    strbuf b = tmpl_sb(&r->h);
    for (size_t i = 0; i < l->n; i++)
        tmpl_sb_str(&b, l->v[i].s);
    return val_str(tmpl_sb_done(&b));
}

value tmpl_filter_sum(rt *r, value v, const args *a)
{
    static const char *const names[] = {"attribute", "start"};
    value arg[2];
    tmpl_bind(r, "sum", a, 2, names, arg);
    bool attribute = arg[0].type != V_MISSING && arg[0].type != V_NONE;
    value sum = arg[1].type == V_MISSING ? val_int(0) : arg[1];
    const seq *l = tmpl_seq_of(&r->h, v);
    tmpl_step(&r->h, l->n);
    for (size_t i = 0; i < l->n; i++)
        sum = tmpl_binary(r, OP_ADD, sum, attribute ? tmpl_getpath(r, l->v[i], arg[0], (value){0}) : l->v[i]);
    return sum;
}

static void portion_args(rt *r, const char *what, const args *a, int64_t *n, value *fill)
{
    const char *const names[] = {what[0] == 'b' ? "linecount" : "slices", "fill_with"};
    value arg[2];
    tmpl_bind(r, what, a, 2, names, arg);
    *n = tmpl_arg_int(r, arg[0], what);
    *fill = arg[1].type == V_MISSING ? VAL_NONE : arg[1];
    if (*n < 1 || *n > 1000000)
        tmpl_fail(&r->h, ST_FORMAT, "%s of %lld (allowed 1 to 1000000)", what, (long long)*n);
}

value tmpl_filter_batch(rt *r, value v, const args *a)
{
    int64_t size;
    value fill;
    portion_args(r, "batch", a, &size, &fill);
    const seq *from = tmpl_seq_of(&r->h, v);
    seq *all = tmpl_seq_new(&r->h, 0), *row = NULL;
    for (size_t i = 0; i < from->n; i++) {
        if (i % (size_t)size == 0) {
            row = tmpl_seq_new(&r->h, 0);
            tmpl_seq_push(&r->h, all, val_seq(V_LIST, row));
        }
        tmpl_seq_push(&r->h, row, from->v[i]);
    }
    while (row && fill.type != V_NONE && row->n < (size_t)size)
        tmpl_seq_push(&r->h, row, fill);
    return val_seq(V_ITER, all);
}

value tmpl_filter_slice(rt *r, value v, const args *a)
{
    int64_t n;
    value fill;
    portion_args(r, "slice", a, &n, &fill);
    const seq *from = tmpl_seq_of(&r->h, v);
    size_t each = from->n / (size_t)n, longer = from->n % (size_t)n, at = 0;
    seq *all = tmpl_seq_new(&r->h, 0);
    for (size_t k = 0; k < (size_t)n; k++) {
        seq *part = tmpl_seq_new(&r->h, 0);
        for (size_t i = 0; i < each + (k < longer); i++)
            tmpl_seq_push(&r->h, part, from->v[at++]);
        if (fill.type != V_NONE && k >= longer)
            tmpl_seq_push(&r->h, part, fill);
        tmpl_seq_push(&r->h, all, val_seq(V_LIST, part));
    }
    return val_seq(V_ITER, all);
}

// What is left of the arguments behind the first n.
static args behind(const args *a, size_t n)
{
    args left = *a;
    if (n) {
        left.pos += n;
        left.n -= n;
    }
    return left;
}

value tmpl_filter_map(rt *r, value v, const args *a)
{
    static const char *const names[] = {"attribute", "default"};
    seq *l = tmpl_seq_new(&r->h, 0);
    if (!tmpl_truth(v))  // None and 0 give nothing
        return val_seq(V_ITER, l);
    const seq *from = tmpl_seq_of(&r->h, v);
    value arg[2] = {0};
    args left = *a;
    const str *filter = NULL;
    if (a->n == 0) {
        tmpl_bind(r, "map", a, 2, names, arg);
        if (arg[0].type == V_MISSING)
            tmpl_fail(&r->h, ST_FORMAT, "map requires a filter argument");
    } else {
        filter = tmpl_arg_str(r, a->pos[0], "map's filter");
        left = behind(a, 1);
    }
    for (size_t i = 0; i < from->n; i++)
        tmpl_seq_push(&r->h, l,
                      filter ? tmpl_filter_call(r, filter, from->v[i], &left)
                             : tmpl_getpath(r, from->v[i], arg[0], arg[1]));
    return val_seq(V_ITER, l);
}

// Those items whose own truth, or whose attribute's, or the test of it, is `keep`.
static value chosen(rt *r, value v, const args *a, bool attribute, bool keep)
{
    seq *l = tmpl_seq_new(&r->h, 0);
    if (!tmpl_truth(v))
        return val_seq(V_ITER, l);
    const seq *from = tmpl_seq_of(&r->h, v);
    if (attribute && a->n == 0)
        tmpl_fail(&r->h, ST_FORMAT, "Missing parameter for attribute name");
    size_t test = attribute ? 1 : 0;
    const str *name = a->n > test ? tmpl_arg_str(r, a->pos[test], "a test's name") : NULL;
    args left = behind(a, name ? test + 1 : test);
    for (size_t i = 0; i < from->n; i++) {
        value item = attribute ? tmpl_getpath(r, from->v[i], a->pos[0], (value){0}) : from->v[i];
        tmpl_step(&r->h, 1);
        if ((name ? tmpl_is(r, name, item, &left) : tmpl_truth(item)) == keep)
            tmpl_seq_push(&r->h, l, from->v[i]);
    }
    return val_seq(V_ITER, l);
}

value tmpl_filter_select(rt *r, value v, const args *a)
{
    return chosen(r, v, a, false, true);
}

value tmpl_filter_reject(rt *r, value v, const args *a)
{
    return chosen(r, v, a, false, false);
}

value tmpl_filter_selectattr(rt *r, value v, const args *a)
{
    return chosen(r, v, a, true, true);
}

value tmpl_filter_rejectattr(rt *r, value v, const args *a)
{
    return chosen(r, v, a, true, false);
}

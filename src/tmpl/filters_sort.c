// Filters that order: sort, dictsort, unique, groupby, min, max. Text compares without case unless asked.
#include <string.h>

#include "tmpl/filters.h"

typedef struct keyed {
    value key, item;
} keyed;

static value sort_key(rt *r, value v, bool case_sensitive)
{
    return v.type == V_STR && !case_sensitive ? val_str(tmpl_str_lower(&r->h, v.s)) : v;
}

// By the item itself when attribute is V_MISSING or None.
static value key_of(rt *r, value item, value attribute, bool case_sensitive)
{
    bool self = attribute.type == V_MISSING || attribute.type == V_NONE;
    return sort_key(r, self ? item : tmpl_getpath(r, item, attribute, (value){0}), case_sensitive);
}

// The sort filter's key: attribute "a,b" orders by a, then b. Always a list, in which two things undefined are
// equal and need no order.
static value keys_of(rt *r, value item, value attribute, bool case_sensitive)
{
    heap *h = &r->h;
    if (attribute.type != V_STR)
        return key_of(r, item, attribute, case_sensitive);
    const seq *parts = tmpl_str_split(h, attribute.s, tmpl_str_z(h, ","), -1);
    seq *keys = tmpl_seq_new(h, parts->n);
    for (size_t i = 0; i < parts->n; i++)
        tmpl_seq_push(h, keys, key_of(r, item, parts->v[i], case_sensitive));
    return val_seq(V_LIST, keys);
}

static keyed *with_keys(rt *r, const seq *l, value attribute, bool case_sensitive)
{
    keyed *k = tmpl_array(&r->h, l->n, sizeof *k);
    for (size_t i = 0; i < l->n; i++)
        k[i] = (keyed){key_of(r, l->v[i], attribute, case_sensitive), l->v[i]};
    return k;
}

// Stable merge sort, also when reversed: equal items keep their order.
static void sort(rt *r, keyed *k, size_t n, bool reverse)
{
    keyed *from = k, *to = tmpl_array(&r->h, n, sizeof *to);
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * run) {
            size_t mid = MIN(lo + run, n), hi = MIN(lo + 2 * run, n), i = lo, j = mid;
            for (size_t at = lo; at < hi; at++) {
                bool right = i == mid;
                if (!right && j < hi)
                    right = reverse ? tmpl_order(&r->h, from[i].key, from[j].key, "<") < 0
                                    : tmpl_order(&r->h, from[j].key, from[i].key, "<") < 0;
                to[at] = from[right ? j++ : i++];
            }
        }
        tmpl_step(&r->h, n);
        keyed *other = from;
        from = to;
        to = other;
    }
    if (from != k)
        memcpy(k, from, n * sizeof *k);
}

static seq *items_of(rt *r, const keyed *k, size_t n)
{
    seq *l = tmpl_seq_new(&r->h, n);
    for (size_t i = 0; i < n; i++)
        tmpl_seq_push(&r->h, l, k[i].item);
    return l;
}

value tmpl_filter_sort(rt *r, value v, const args *a)
{
    static const char *const names[] = {"reverse", "case_sensitive", "attribute"};
    value arg[3];
    tmpl_bind(r, "sort", a, 3, names, arg);
    const seq *l = tmpl_seq_of(&r->h, v);
    size_t n = l->n;
    keyed *k = tmpl_array(&r->h, n, sizeof *k);
    for (size_t i = 0; i < n; i++)
        k[i] = (keyed){keys_of(r, l->v[i], arg[2], tmpl_truth(arg[1])), l->v[i]};
    sort(r, k, n, tmpl_truth(arg[0]));
    return val_seq(V_LIST, items_of(r, k, n));
}

value tmpl_filter_dictsort(rt *r, value v, const args *a)
{
    static const char *const names[] = {"case_sensitive", "by", "reverse"};
    value arg[3];
    tmpl_bind(r, "dictsort", a, 3, names, arg);
    if (v.type == V_UNDEF)
        tmpl_undef_fail(&r->h, v);
    if (v.type != V_DICT)
        tmpl_fail(&r->h, ST_FORMAT, "'%s object' has no attribute 'items'", tmpl_type_name(v));
    int64_t by = 0;
    if (arg[1].type != V_MISSING && !(arg[1].type == V_STR && tmpl_str_is(arg[1].s, "key"))) {
        if (arg[1].type != V_STR || !tmpl_str_is(arg[1].s, "value"))
            tmpl_fail(&r->h, ST_FORMAT, "You can only sort by either \"key\" or \"value\"");
        by = 1;
    }
    const seq *l = tmpl_dict_items(&r->h, v.d);
    keyed *k = with_keys(r, l, val_int(by), tmpl_truth(arg[0]));
    sort(r, k, l->n, tmpl_truth(arg[2]));
    return val_seq(V_LIST, items_of(r, k, l->n));
}

value tmpl_filter_unique(rt *r, value v, const args *a)
{
    static const char *const names[] = {"case_sensitive", "attribute"};
    value arg[2];
    tmpl_bind(r, "unique", a, 2, names, arg);
    const seq *l = tmpl_seq_of(&r->h, v);
    seq *out = tmpl_seq_new(&r->h, 0);
    dict *seen = tmpl_dict_new(&r->h);
    for (size_t i = 0; i < l->n; i++) {
        value key = key_of(r, l->v[i], arg[1], tmpl_truth(arg[0]));
        if (tmpl_dict_get(&r->h, seen, key))
            continue;
        tmpl_dict_put(&r->h, seen, key, VAL_NONE);
        tmpl_seq_push(&r->h, out, l->v[i]);
    }
    return val_seq(V_ITER, out);
}

static value extreme(rt *r, value v, const args *a, bool most)
{
    static const char *const names[] = {"case_sensitive", "attribute"};
    value arg[2];
    tmpl_bind(r, most ? "max" : "min", a, 2, names, arg);
    const seq *l = tmpl_seq_of(&r->h, v);
    if (l->n == 0)
        return tmpl_undef_hint(&r->h, "No aggregated item, sequence was empty.");
    const keyed *k = with_keys(r, l, arg[1], tmpl_truth(arg[0]));
    size_t best = 0;
    for (size_t i = 1; i < l->n; i++) {
        int c = tmpl_order(&r->h, k[i].key, k[best].key, most ? ">" : "<");
        if (most ? c > 0 : c < 0)
            best = i;
    }
    return k[best].item;
}

value tmpl_filter_max(rt *r, value v, const args *a)
{
    return extreme(r, v, a, true);
}

value tmpl_filter_min(rt *r, value v, const args *a)
{
    return extreme(r, v, a, false);
}

value tmpl_filter_groupby(rt *r, value v, const args *a)
{
    static const char *const names[] = {"attribute", "default", "case_sensitive"};
    value arg[3];
    heap *h = &r->h;
    tmpl_bind(r, "groupby", a, 3, names, arg);
    if (arg[0].type != V_STR && arg[0].type != V_INT)
        tmpl_fail(h, ST_FORMAT, "groupby needs an attribute");
    const seq *l = tmpl_seq_of(h, v);
    keyed *k = tmpl_array(h, l->n, sizeof *k);
    for (size_t i = 0; i < l->n; i++) {
        value key = tmpl_getpath(r, l->v[i], arg[0], arg[1]);
        k[i] = (keyed){sort_key(r, key, tmpl_truth(arg[2])), l->v[i]};
    }
    sort(r, k, l->n, false);
    seq *out = tmpl_seq_new(h, 0);
    for (size_t i = 0; i < l->n;) {
        seq *group = tmpl_seq_new(h, 0), *pair = tmpl_seq_new(h, 2);
        value key = tmpl_getpath(r, k[i].item, arg[0], arg[1]), same = k[i].key;
        for (; i < l->n && tmpl_equal(h, k[i].key, same); i++)
            tmpl_seq_push(h, group, k[i].item);
        tmpl_seq_push(h, pair, key);
        tmpl_seq_push(h, pair, val_seq(V_LIST, group));
        pair->view = "group";
        tmpl_seq_push(h, out, val_seq(V_TUPLE, pair));
    }
    return val_seq(V_LIST, out);
}

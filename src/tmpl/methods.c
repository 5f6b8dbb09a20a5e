// Methods of mappings and lists, and the table lookup that all methods share.
#include "tmpl/methods.h"

value tmpl_method_find(rt *r, const method *table, size_t n, value self, const str *name)
{
    for (size_t i = 0; i < n; i++)
        if (tmpl_str_is(name, table[i].name))
            return tmpl_native(r, table[i].name, table[i].fn, self);
    return (value){0};
}

static value list_append(rt *r, value self, const args *a)
{
    static const char *const names[] = {"object"};
    value v;
    tmpl_bind(r, "append", a, 1, names, &v);
    if (v.type == V_MISSING)
        tmpl_fail(&r->h, ST_FORMAT, "append takes one argument");
    tmpl_seq_push(&r->h, self.l, v);
    return VAL_NONE;
}

static value list_extend(rt *r, value self, const args *a)
{
    static const char *const names[] = {"iterable"};
    value v;
    tmpl_bind(r, "extend", a, 1, names, &v);
    const seq *more = tmpl_seq_of(&r->h, v);
    for (size_t i = 0, n = more->n; i < n; i++)
        tmpl_seq_push(&r->h, self.l, more->v[i]);
    return VAL_NONE;
}

// Where list.insert(i) puts: clipped to the ends.
static size_t clip(int64_t i, size_t n)
{
    if (i < 0)
        i = i < -(int64_t)n ? 0 : i + (int64_t)n;
    return (uint64_t)i > n ? n : (size_t)i;
}

static value list_insert(rt *r, value self, const args *a)
{
    static const char *const names[] = {"index", "object"};
    value v[2];
    tmpl_bind(r, "insert", a, 2, names, v);
    seq *l = self.l;
    size_t at = clip(tmpl_arg_int(r, v[0], "insert"), l->n);
    tmpl_seq_push(&r->h, l, v[1]);
    tmpl_step(&r->h, l->n / 8);
    for (size_t i = l->n - 1; i > at; i--)
        l->v[i] = l->v[i - 1];
    l->v[at] = v[1];
    return VAL_NONE;
}

static value list_pop(rt *r, value self, const args *a)
{
    static const char *const names[] = {"index"};
    value v;
    seq *l = self.l;
    tmpl_bind(r, "pop", a, 1, names, &v);
    int64_t i = v.type == V_MISSING ? -1 : tmpl_arg_int(r, v, "pop");
    if (l->n == 0)
        tmpl_fail(&r->h, ST_FORMAT, "pop from empty list");
    i += i < 0 ? (int64_t)l->n : 0;
    if (i < 0 || (uint64_t)i >= l->n)
        tmpl_fail(&r->h, ST_FORMAT, "pop index out of range");
    value out = l->v[i];
    for (size_t k = (size_t)i + 1; k < l->n; k++)
        l->v[k - 1] = l->v[k];
    l->n--;
    tmpl_step(&r->h, l->n / 8);
    return out;
}

static value list_reverse(rt *r, value self, const args *a)
{
    tmpl_bind(r, "reverse", a, 0, NULL, NULL);
    tmpl_step(&r->h, self.l->n);
    for (size_t i = 0, j = self.l->n; i + 1 < j; i++) {
        value v = self.l->v[i];
        self.l->v[i] = self.l->v[--j];
        self.l->v[j] = v;
    }
    return VAL_NONE;
}

static value list_clear(rt *r, value self, const args *a)
{
    tmpl_bind(r, "clear", a, 0, NULL, NULL);
    self.l->n = 0;
    return VAL_NONE;
}

static value list_copy(rt *r, value self, const args *a)
{
    tmpl_bind(r, "copy", a, 0, NULL, NULL);
    return val_seq(V_LIST, tmpl_seq_copy(&r->h, self));
}

static value seq_index(rt *r, value self, const args *a)
{
    static const char *const names[] = {"value"};
    value v;
    tmpl_bind(r, "index", a, 1, names, &v);
    tmpl_step(&r->h, self.l->n);
    for (size_t i = 0; i < self.l->n; i++)
        if (tmpl_equal(&r->h, self.l->v[i], v))
            return val_int((int64_t)i);
    tmpl_fail(&r->h, ST_FORMAT, "%s is not in list", tmpl_str_c(&r->h, tmpl_repr(&r->h, v)));
}

static value seq_count(rt *r, value self, const args *a)
{
    static const char *const names[] = {"value"};
    value v;
    int64_t n = 0;
    tmpl_bind(r, "count", a, 1, names, &v);
    tmpl_step(&r->h, self.l->n);
    for (size_t i = 0; i < self.l->n; i++)
        n += tmpl_equal(&r->h, self.l->v[i], v);
    return val_int(n);
}

static value list_remove(rt *r, value self, const args *a)
{
    value at = seq_index(r, self, a);
    const args pop = {.pos = &at, .n = 1};
    list_pop(r, self, &pop);
    return VAL_NONE;
}

value tmpl_method_list(rt *r, value v, const str *name)
{
    static const method both[] = {{"index", seq_index}, {"count", seq_count}};
    static const method table[] = {
        {"append", list_append}, {"extend", list_extend}, {"insert", list_insert},
        {"pop", list_pop},       {"remove", list_remove}, {"reverse", list_reverse},
        {"clear", list_clear},   {"copy", list_copy},     {"sort", NULL},
    };
    value m = tmpl_method_find(r, both, COUNT_OF(both), v, name);
    if (m.type == V_MISSING && v.type == V_LIST)
        m = tmpl_method_find(r, table, COUNT_OF(table), v, name);
    return m;
}

seq *tmpl_dict_items(heap *h, const dict *d)
{
    seq *l = tmpl_seq_new(h, d->n);
    for (size_t i = 0; i < d->n; i++) {
        seq *pair = tmpl_seq_new(h, 2);
        tmpl_seq_push(h, pair, d->e[i].key);
        tmpl_seq_push(h, pair, d->e[i].val);
        tmpl_seq_push(h, l, val_seq(V_TUPLE, pair));
    }
    return l;
}

static value dict_items(rt *r, value self, const args *a)
{
    tmpl_bind(r, "items", a, 0, NULL, NULL);
    seq *l = tmpl_dict_items(&r->h, self.d);
    l->view = "dict_items";
    return val_seq(V_VIEW, l);
}

static value dict_keys(rt *r, value self, const args *a)
{
    tmpl_bind(r, "keys", a, 0, NULL, NULL);
    seq *l = tmpl_seq_of(&r->h, self);
    l->view = "dict_keys";
    return val_seq(V_VIEW, l);
}

static value dict_values(rt *r, value self, const args *a)
{
    tmpl_bind(r, "values", a, 0, NULL, NULL);
    seq *l = tmpl_seq_new(&r->h, self.d->n);
    for (size_t i = 0; i < self.d->n; i++)
        tmpl_seq_push(&r->h, l, self.d->e[i].val);
    l->view = "dict_values";
    return val_seq(V_VIEW, l);
}

static void key_and_default(rt *r, const char *what, const args *a, value out[2])
{
    static const char *const names[] = {"key", "default"};
    tmpl_bind(r, what, a, 2, names, out);
    if (out[0].type == V_MISSING)
        tmpl_fail(&r->h, ST_FORMAT, "%s needs a key", what);
}

static value dict_get(rt *r, value self, const args *a)
{
    value v[2];
    key_and_default(r, "get", a, v);
    value *found = tmpl_dict_get(&r->h, self.d, v[0]);
    return found ? *found : v[1].type == V_MISSING ? VAL_NONE : v[1];
}

static value dict_pop(rt *r, value self, const args *a)
{
    value v[2], out;
    key_and_default(r, "pop", a, v);
    if (tmpl_dict_remove(&r->h, self.d, v[0], &out))
        return out;
    if (v[1].type == V_MISSING)
        tmpl_fail(&r->h, ST_FORMAT, "no key %s to pop", tmpl_str_c(&r->h, tmpl_repr(&r->h, v[0])));
    return v[1];
}

static value dict_setdefault(rt *r, value self, const args *a)
{
    value v[2];
    key_and_default(r, "setdefault", a, v);
    value *found = tmpl_dict_get(&r->h, self.d, v[0]);
    if (found)
        return *found;
    if (v[1].type == V_MISSING)
        v[1] = VAL_NONE;
    tmpl_dict_put(&r->h, self.d, v[0], v[1]);
    return v[1];
}

static value dict_update(rt *r, value self, const args *a)
{
    if (a->n > 1 || (a->n == 1 && a->pos[0].type != V_DICT))
        tmpl_fail(&r->h, ST_FORMAT, "update takes a mapping");
    for (size_t i = 0; a->n && i < a->pos[0].d->n; i++)
        tmpl_dict_put(&r->h, self.d, a->pos[0].d->e[i].key, a->pos[0].d->e[i].val);
    for (size_t i = 0; i < a->n_kw; i++)
        tmpl_dict_put(&r->h, self.d, val_str(a->kw[i].name), a->kw[i].v);
    return VAL_NONE;
}

static value dict_copy(rt *r, value self, const args *a)
{
    tmpl_bind(r, "copy", a, 0, NULL, NULL);
    dict *d = tmpl_dict_new(&r->h);
    for (size_t i = 0; i < self.d->n; i++)
        tmpl_dict_put(&r->h, d, self.d->e[i].key, self.d->e[i].val);
    return val_dict(d);
}

static value dict_clear(rt *r, value self, const args *a)
{
    tmpl_bind(r, "clear", a, 0, NULL, NULL);
    self.d->n = 0;
    self.d->index = NULL;
    return VAL_NONE;
}

value tmpl_method_dict(rt *r, value v, const str *name)
{
    static const method table[] = {
        {"items", dict_items},   {"keys", dict_keys},
        {"values", dict_values}, {"get", dict_get},
        {"pop", dict_pop},       {"update", dict_update},
        {"copy", dict_copy},     {"setdefault", dict_setdefault},
        {"clear", dict_clear},   {"popitem", NULL},
        {"fromkeys", NULL},
    };
    return tmpl_method_find(r, table, COUNT_OF(table), v, name);
}

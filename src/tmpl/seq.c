// Sequences and mappings: growing, iterating, hashing.
#include <math.h>
#include <string.h>

#include "tmpl/str.h"
#include "tmpl/value.h"

enum { SMALL_DICT = 8 };  // searched from the front; larger ones get an index

seq *tmpl_seq_new(heap *h, size_t cap)
{
    seq *l = tmpl_array(h, 1, sizeof *l);
    if (cap)
        l->v = tmpl_array(h, cap, sizeof *l->v);
    l->cap = cap;
    return l;
}

void tmpl_seq_push(heap *h, seq *l, value v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        value *grown = tmpl_array(h, cap, sizeof *grown);
        if (l->n)
            memcpy(grown, l->v, l->n * sizeof *grown);
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    tmpl_step(h, 1);
}

bool tmpl_seq_iterable(value v)
{
    return val_is_seq(v) || v.type == V_STR || v.type == V_DICT || v.type == V_UNDEF || v.type == V_LOOP;
}

static seq *characters(heap *h, const str *s)
{
    seq *l = tmpl_seq_new(h, tmpl_str_len(s));
    for (size_t at = 0; at < s->n;) {
        size_t from = at;
        tmpl_str_next(s, &at);
        tmpl_seq_push(h, l, val_str(tmpl_str_part(h, s, from, at - from)));
    }
    return l;
}

static seq *rest(heap *h, seq *l)
{
    seq *left = tmpl_seq_new(h, l->n - l->pos);
    while (l->pos < l->n)
        tmpl_seq_push(h, left, l->v[l->pos++]);
    return left;
}

seq *tmpl_seq_of(heap *h, value v)
{
    if (v.type == V_ITER)
        return rest(h, v.l);
    if (val_is_seq(v))
        return v.l;
    if (v.type == V_STR)
        return characters(h, v.s);
    if (v.type == V_UNDEF)
        return tmpl_seq_new(h, 0);
    if (v.type != V_DICT)
        tmpl_fail(h, ST_FORMAT, "'%s' object is not iterable", tmpl_type_name(v));
    seq *l = tmpl_seq_new(h, v.d->n);
    for (size_t i = 0; i < v.d->n; i++)
        tmpl_seq_push(h, l, v.d->e[i].key);
    return l;
}

seq *tmpl_seq_copy(heap *h, value v)
{
    seq *l = tmpl_seq_of(h, v);
    if (!val_is_seq(v) || v.type == V_ITER)
        return l;
    seq *copy = tmpl_seq_new(h, l->n);
    if (l->n)
        memcpy(copy->v, l->v, l->n * sizeof *l->v);
    copy->n = l->n;
    tmpl_step(h, l->n);
    return copy;
}

bool tmpl_hashable(value v)
{
    if (v.type == V_TUPLE) {
        for (size_t i = 0; i < v.l->n; i++)
            if (!tmpl_hashable(v.l->v[i]))
                return false;
        return true;
    }
    return v.type != V_LIST && v.type != V_DICT && v.type != V_VIEW;
}

static uint64_t hash_of(heap *h, value v)
{
    double f;
    switch (v.type) {
    case V_BOOL:
    case V_INT:
    case V_FLOAT:
        f = tmpl_to_double(v);
        if (f == 0)
            f = 0;                        // -0.0 too
        return hash_bytes(&f, sizeof f);  // 1, 1.0 and True are one key
    case V_STR: tmpl_step(h, v.s->n / 64); return hash_bytes(v.s->n ? v.s->p : "", v.s->n);
    case V_TUPLE: {
        uint64_t x = v.l->n;
        for (size_t i = 0; i < v.l->n; i++) {
            uint64_t item = hash_of(h, v.l->v[i]);
            x = hash_combine(x, &item, sizeof item);
        }
        return x;
    }
    case V_LIST:
    case V_DICT:
    case V_VIEW: tmpl_fail(h, ST_FORMAT, "unhashable type: '%s'", tmpl_type_name(v));
    default: return v.type;
    }
}

dict *tmpl_dict_new(heap *h)
{
    return tmpl_array(h, 1, sizeof(dict));
}

// Position in d->e, or -1.
static int64_t find(heap *h, const dict *d, value key, uint64_t hash)
{
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++)
            if (d->e[i].hash == hash && tmpl_equal(h, d->e[i].key, key))
                return (int64_t)i;
        return -1;
    }
    for (size_t slot = hash & (d->n_index - 1);; slot = (slot + 1) & (d->n_index - 1)) {
        int32_t i = d->index[slot];
        tmpl_step(h, 1);
        if (i < 0)
            return -1;
        if (d->e[i].hash == hash && tmpl_equal(h, d->e[i].key, key))
            return i;
    }
}

static void index_add(dict *d, size_t i)
{
    size_t slot = d->e[i].hash & (d->n_index - 1);
    while (d->index[slot] >= 0)
        slot = (slot + 1) & (d->n_index - 1);
    d->index[slot] = (int32_t)i;
}

static void index_build(heap *h, dict *d)
{
    if (d->n <= SMALL_DICT) {
        d->index = NULL;
        return;
    }
    size_t want = 32;
    while (want < d->cap * 2)
        want *= 2;
    if (!d->index || d->n_index < want)
        d->index = tmpl_alloc(h, want * sizeof *d->index);
    d->n_index = want;
    memset(d->index, 0xFF, want * sizeof *d->index);
    for (size_t i = 0; i < d->n; i++)
        index_add(d, i);
}

void tmpl_dict_put(heap *h, dict *d, value key, value v)
{
    uint64_t hash = hash_of(h, key);
    int64_t at = find(h, d, key, hash);
    tmpl_step(h, 1);
    if (at >= 0) {
        d->e[at].val = v;
        return;
    }
    bool grown = d->n == d->cap;
    if (grown) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        dict_entry *e = tmpl_array(h, cap, sizeof *e);
        if (d->n)
            memcpy(e, d->e, d->n * sizeof *e);
        d->e = e;
        d->cap = cap;
    }
    d->e[d->n++] = (dict_entry){key, v, hash};
    if (grown || (!d->index && d->n > SMALL_DICT))
        index_build(h, d);
    else if (d->index)
        index_add(d, d->n - 1);
}

value *tmpl_dict_get(heap *h, const dict *d, value key)
{
    int64_t at = find(h, d, key, hash_of(h, key));
    return at < 0 ? NULL : &d->e[at].val;
}

value *tmpl_dict_name(heap *h, const dict *d, const char *key)
{
    const str s = {.p = key, .n = strlen(key)};
    return tmpl_dict_get(h, d, val_str(&s));
}

bool tmpl_dict_remove(heap *h, dict *d, value key, value *out)
{
    int64_t at = find(h, d, key, hash_of(h, key));
    if (at < 0)
        return false;
    *out = d->e[at].val;
    memmove(d->e + at, d->e + at + 1, (d->n - (size_t)at - 1) * sizeof *d->e);
    d->n--;
    tmpl_step(h, d->n);
    index_build(h, d);
    return true;
}

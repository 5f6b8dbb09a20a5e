// JSON in (jansson) and out (as Python's json.dumps writes it).
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tmpl/str.h"

static value from_json(heap *h, const json_t *j)
{
    value v = {.origin = TMPL_DATA};
    tmpl_enter(h);
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        v = val_dict(tmpl_dict_new(h));
        json_t *o = (json_t *)(uintptr_t)j;  // iterating wants a mutable object, but does not change it
        for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
            const str *key = tmpl_str(h, json_object_iter_key(it), json_object_iter_key_len(it), TMPL_DATA);
            tmpl_dict_put(h, v.d, val_str(key), from_json(h, json_object_iter_value(it)));
        }
        break;
    }
    case JSON_ARRAY:
        v = val_seq(V_LIST, tmpl_seq_new(h, json_array_size(j)));
        for (size_t i = 0; i < json_array_size(j); i++)
            tmpl_seq_push(h, v.l, from_json(h, json_array_get(j, i)));
        break;
    case JSON_STRING: v = val_str(tmpl_str(h, json_string_value(j), json_string_length(j), TMPL_DATA)); break;
    case JSON_INTEGER:
        v.type = V_INT;
        v.i = json_integer_value(j);
        break;
    case JSON_REAL:
        v.type = V_FLOAT;
        v.f = json_real_value(j);
        break;
    case JSON_NULL: v.type = V_NONE; break;
    default: v.type = V_BOOL; v.b = json_is_true(j);
    }
    tmpl_leave(h);
    return v;
}

value tmpl_json_load(heap *h, const char *text, size_t n, int code, const char *what)
{
    json_error_t at;
    h->json = json_loadb(n ? text : "", n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);
    if (!h->json && json_error_code(&at) == json_error_out_of_memory)
        tmpl_fail(h, ST_NOMEM, "%s: no memory to read JSON", what);
    if (!h->json)
        tmpl_fail(h, code, "%s is not JSON: line %d, column %d: %s", what, at.line, at.column, at.text);
    tmpl_step(h, n / 8);
    value v = from_json(h, h->json);
    json_decref(h->json);
    h->json = NULL;
    return v;
}

typedef struct dump {
    strbuf b;
    bool ascii, sort;
    const str *indent, *comma, *colon;
    int depth;
} dump;

static void escaped_unit(strbuf *b, uint16_t unit, int origin)
{
    char x[8];
    snprintf(x, sizeof x, "\\u%04x", unit);
    tmpl_sb_add(b, x, 6, origin);
}

static void dump_str(dump *d, const str *s)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    int origin = tmpl_str_origin(s);
    tmpl_sb_add(&d->b, "\"", 1, origin);
    for (size_t at = 0; at < s->n;) {
        int o = s->o[at];
        uint32_t cp = tmpl_str_next(s, &at);
        const char *simple = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL;
        if (simple) {
            tmpl_sb_add(&d->b, "\\", 1, o);
            tmpl_sb_add(&d->b, &to[simple - from], 1, o);
        } else if (cp < 0x20 || (d->ascii && cp >= 0x7F && cp < 0x10000)) {
            escaped_unit(&d->b, (uint16_t)cp, o);
        } else if (d->ascii && cp >= 0x10000) {
            escaped_unit(&d->b, (uint16_t)(0xD7C0 + (cp >> 10)), o);
            escaped_unit(&d->b, (uint16_t)(0xDC00 + (cp & 0x3FF)), o);
        } else {
            tmpl_sb_cp(&d->b, cp, o);
        }
    }
    tmpl_sb_add(&d->b, "\"", 1, origin);
}

static void dump_scalar(dump *d, value v, bool key)
{
    char x[40];
    switch (v.type) {
    case V_STR: dump_str(d, v.s); return;
    case V_NONE:
    case V_BOOL: snprintf(x, sizeof x, "%s", v.type == V_NONE ? "null" : v.b ? "true" : "false"); break;
    case V_INT: snprintf(x, sizeof x, "%lld", (long long)v.i); break;
    case V_FLOAT:
        if (isfinite(v.f))
            tmpl_float_repr(v.f, x);
        else
            snprintf(x, sizeof x, "%s", isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
        break;
    default:
        if (key)
            tmpl_fail(d->b.h, ST_FORMAT, "keys must be str, int, float, bool or None, not %s",
                      tmpl_type_name(v));
        tmpl_fail(d->b.h, ST_FORMAT, "Object of type %s is not JSON serializable", tmpl_type_name(v));
    }
    if (key)
        tmpl_sb_add(&d->b, "\"", 1, v.origin);
    tmpl_sb_add(&d->b, x, strlen(x), v.origin);
    if (key)
        tmpl_sb_add(&d->b, "\"", 1, v.origin);
}

static void new_line(dump *d)
{
    if (!d->indent)
        return;
    tmpl_sb_puts(&d->b, "\n");
    for (int i = 0; i < d->depth; i++)
        tmpl_sb_str(&d->b, d->indent);
}

static void dump_value(dump *d, value v);

static void dump_list(dump *d, const seq *l)
{
    tmpl_sb_puts(&d->b, "[");
    d->depth++;
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            tmpl_sb_str(&d->b, d->comma);
        new_line(d);
        dump_value(d, l->v[i]);
    }
    d->depth--;
    if (l->n)
        new_line(d);
    tmpl_sb_puts(&d->b, "]");
}

// The entries of m in the order to be written: by key when asked.
static const dict_entry **in_order(dump *d, const dict *m)
{
    heap *h = d->b.h;
    const dict_entry **e = tmpl_array(h, m->n, sizeof *e);
    for (size_t i = 0; i < m->n; i++) {
        size_t at = i;
        for (; d->sort && at > 0 && tmpl_order(h, m->e[i].key, e[at - 1]->key, "<") < 0; at--)
            e[at] = e[at - 1];
        tmpl_step(h, 1 + (i - at));
        e[at] = &m->e[i];
    }
    return e;
}

static void dump_dict(dump *d, const dict *m)
{
    const dict_entry **e = in_order(d, m);
    tmpl_sb_puts(&d->b, "{");
    d->depth++;
    for (size_t i = 0; i < m->n; i++) {
        if (i)
            tmpl_sb_str(&d->b, d->comma);
        new_line(d);
        dump_scalar(d, e[i]->key, true);
        tmpl_sb_str(&d->b, d->colon);
        dump_value(d, e[i]->val);
    }
    d->depth--;
    if (m->n)
        new_line(d);
    tmpl_sb_puts(&d->b, "}");
}

static void dump_value(dump *d, value v)
{
    tmpl_enter(d->b.h);
    if (v.type == V_LIST || v.type == V_TUPLE)
        dump_list(d, v.l);
    else if (v.type == V_DICT)
        dump_dict(d, v.d);
    else
        dump_scalar(d, v, false);
    tmpl_leave(d->b.h);
}

// Data throughout when any of it is (as in text.c): less trust is the safe side.
const str *tmpl_json_dump(heap *h, value v, bool ascii, bool sort, const str *indent, const str *comma,
                          const str *colon)
{
    dump d = {
        .b = tmpl_sb(h), .ascii = ascii, .sort = sort, .indent = indent, .comma = comma, .colon = colon};
    dump_value(&d, v);
    const str *s = tmpl_sb_done(&d.b);
    if (tmpl_str_origin(s) == TMPL_DATA)
        memset(d.b.o, TMPL_DATA, d.b.n);
    return s;
}

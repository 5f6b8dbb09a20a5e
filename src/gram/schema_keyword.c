// Keywords of a JSON schema as constraints of a case: what each asks when it is met, and when it must not be.
#include <string.h>

#include "gram/schema_case.h"

static int no_memory(schema *s)
{
    return err_set(s->e, ST_NOMEM, "no memory for a JSON schema");
}

// ---- Values ----------------------------------------------------------------------------------------------------
// The schema of an object or array that is this value.
static const json_t *value_schema(schema *s, const json_t *v)
{
    json_t *out, *kid, *parts = json_is_object(v) ? json_object() : json_array(), *keys = json_array();
    const char *key;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, kid)
        {
            json_object_set_new(parts, key, json_pack("{s:O}", "const", kid));
            json_array_append_new(keys, json_string(key));
        }
        out = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", parts, "required", keys,
                        "additionalProperties", 0);
    } else {
        json_array_foreach((json_t *)v, i, kid)
            json_array_append_new(parts, json_pack("{s:O}", "const", kid));
        json_decref(keys);
        out = json_pack("{s:s, s:o, s:b, s:I}", "type", "array", "prefixItems", parts, "items", 0, "minItems",
                        (json_int_t)json_array_size(v));
    }
    return schema_keep(s, out);
}

// The scalars among values narrow the case; the others are branches.
static int values(schema_expander *x, schema_work *w, const json_t *list)
{
    schema *s = x->s;
    rx_pool *p = &s->g->rx;
    unsigned types = 0;
    size_t n = json_array_size(list), n_text = 0, whole = 0;
    rx *texts = mem_alloc(MEM_GRAMMAR, (n + 1) * sizeof *texts), numbers = RX_NONE;
    if (!texts)
        return no_memory(s);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        switch (json_typeof(v)) {
        case JSON_NULL: types |= TYPE_NULL; break;
        case JSON_TRUE: types |= TYPE_TRUE; break;
        case JSON_FALSE: types |= TYPE_FALSE; break;
        case JSON_INTEGER:
        case JSON_REAL:
            types |= TYPE_NUMBER;
            numbers = rx_or(p, numbers, number_equal(p, v));
            break;
        case JSON_STRING:
            types |= TYPE_STRING;
            texts[n_text++] = pattern_literal(p, json_string_value(v), json_string_length(v), PATTERN_JSON);
            break;
        default: whole++;
        }
    }
    unsigned before = w->c.types;
    w->c.types &= types;
    w->c.number = rx_and(p, w->c.number, numbers);
    rx text = rx_or_all(p, texts, n_text), old_string = w->c.string;
    mem_free(texts);
    bool old_open = w->c.string_open;
    w->c.string = rx_and(p, w->c.string, text);
    w->c.string_open = false;
    if (!whole || !(before & (TYPE_OBJECT | TYPE_ARRAY)))
        return ST_OK;
    int rc = w->c.types ? schema_case_branch(x, w, NULL, 0, TYPE_ANY) : ST_OK;
    w->c.string = old_string;
    w->c.string_open = old_open;
    w->c.types = before;
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *v = json_array_get(list, i);
        unsigned type = json_is_object(v) ? TYPE_OBJECT : TYPE_ARRAY;
        if ((!json_is_object(v) && !json_is_array(v)) || !(before & type))
            continue;
        const json_t *made = value_schema(s, v);
        rc = made ? schema_case_branch(x, w, &(schema_literal){made, false}, 1, type) : no_memory(s);
    }
    w->c.types = 0;  // all is said in the branches
    return rc;
}

static int other_than(schema_expander *x, schema_work *w, const json_t *v)
{
    schema *s = x->s;
    rx_pool *p = &s->g->rx;
    schema_case *c = &w->c;
    switch (json_typeof(v)) {
    case JSON_NULL: c->types &= ~(unsigned)TYPE_NULL; return ST_OK;
    case JSON_TRUE: c->types &= ~(unsigned)TYPE_TRUE; return ST_OK;
    case JSON_FALSE: c->types &= ~(unsigned)TYPE_FALSE; return ST_OK;
    case JSON_INTEGER:
    case JSON_REAL:
        c->number = rx_and(p, c->number,
                           rx_and(p, number_plain(p), rx_not(p, number_compare(p, v, RX_EQUAL))));
        return ST_OK;
    case JSON_STRING: {
        rx text = pattern_literal(p, json_string_value(v), json_string_length(v), PATTERN_JSON);
        c->string_open = c->string_open || c->string == RX_ALL;
        c->string = rx_and(p, c->string, rx_not(p, text));
        return ST_OK;
    }
    default: break;
    }
    if (!(c->types & (json_is_object(v) ? TYPE_OBJECT : TYPE_ARRAY)))
        return ST_OK;
    const json_t *made = value_schema(s, v);
    return made ? schema_case_push(x, w, made, true) : no_memory(s);
}

// ---- Keywords --------------------------------------------------------------------------------------------------
// A count: an integer >= 0, also written 2.0.
static int count_of(schema *s, const json_t *at, const char *keyword, const json_t *v, uint32_t *out)
{
    double d = json_is_number(v) ? json_number_value(v) : -1;
    if (!(d >= 0) || d != (double)(uint64_t)MIN(d, 1e18))
        return schema_fail(s, ST_FORMAT, at, keyword, "is no whole number from 0 on");
    *out = d >= (double)(RX_MANY - 1) ? RX_MANY - 1 : (uint32_t)d;
    return ST_OK;
}

// minimum, maximum and the exclusive ones; draft 4 writes "exclusiveMinimum": true.
int schema_keyword_bound(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                         bool negative)
{
    schema *s = x->s;
    const json_t *b = json_object_get(v, keyword);
    bool lower = strstr(keyword, "inimum") != NULL, exclusive = keyword[0] == 'e';
    if (json_is_boolean(b) && exclusive)
        return ST_OK;  // read with minimum
    if (!json_is_number(b))
        return schema_fail(s, ST_FORMAT, v, keyword, "is no number");
    if (!exclusive)
        exclusive = json_is_true(json_object_get(v, lower ? "exclusiveMinimum" : "exclusiveMaximum"));
    int how = (lower ? RX_GREATER : RX_LESS) | (exclusive ? 0 : RX_EQUAL);
    if (negative) {
        how = (RX_LESS | RX_EQUAL | RX_GREATER) & ~how;
        w->c.types &= TYPE_NUMBER;
    }
    w->c.number = rx_and(&s->g->rx, w->c.number, number_compare(&s->g->rx, b, how));
    return ST_OK;
}

int schema_keyword_multiple(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    schema *s = x->s;
    rx_pool *p = &s->g->rx;
    const json_t *m = json_object_get(v, "multipleOf");
    rx all;
    if (!json_is_number(m) || !(json_number_value(m) > 0))
        return schema_fail(s, ST_FORMAT, v, "multipleOf", "is no number above 0");
    if (number_multiple(p, m, &all))
        return schema_fail(s, ST_UNSUPPORTED, v, "multipleOf",
                           "has more than nine digits or 18 decimal places");
    if (negative)
        w->c.types &= TYPE_NUMBER;
    w->c.number = rx_and(p, w->c.number, negative ? rx_and(p, number_plain(p), rx_not(p, all)) : all);
    return ST_OK;
}

int schema_keyword_text(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                        bool negative)
{
    schema *s = x->s;
    rx_pool *p = &s->g->rx;
    const char *what = json_string_value(json_object_get(v, keyword));
    rx all = RX_ALL;
    if (!what)
        return schema_fail(s, ST_FORMAT, v, keyword, "is no text");
    int rc = strcmp(keyword, "format") == 0 ? schema_format(s, v, what, &all)
                                            : schema_pattern(s, v, keyword, what, &all);
    if (rc)
        return rc;
    if (negative) {
        w->c.types &= all == RX_ALL ? 0 : TYPE_STRING;
        w->c.string_open = w->c.string_open || w->c.string == RX_ALL;
        w->c.string = rx_and(p, w->c.string, rx_not(p, all));
        return ST_OK;
    }
    if (all != RX_ALL)
        w->c.string_open = false;
    w->c.string = rx_and(p, w->c.string, all);
    return ST_OK;
}

// min... and max... of lengths, items and members.
int schema_keyword_size(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                        bool negative)
{
    uint32_t n = 0;
    int rc = count_of(x->s, v, keyword, json_object_get(v, keyword), &n);
    if (rc)
        return rc;
    bool lower = keyword[1] == 'i', length = strstr(keyword, "Length"), items = strstr(keyword, "Items");
    uint32_t *least = length ? &w->c.min_length : items ? &w->c.min_items : &w->c.min_members;
    uint32_t *most = length ? &w->c.max_length : items ? &w->c.max_items : &w->c.max_members;
    if (negative) {
        w->c.types &= length ? TYPE_STRING : items ? TYPE_ARRAY : TYPE_OBJECT;
        if (lower && n == 0)
            w->c.types = 0;
        n = lower ? n - 1 : n + 1;
        lower = !lower;
    }
    if (lower)
        *least = MAX(*least, n);
    else
        *most = MIN(*most, n);
    if (*least > *most)
        w->c.types &= length  ? ~(unsigned)TYPE_STRING
                      : items ? ~(unsigned)TYPE_ARRAY
                              : ~(unsigned)TYPE_OBJECT;
    return ST_OK;
}

static int require(schema_expander *x, schema_work *w, const json_t *at, const json_t *name)
{
    if (!json_is_string(name))
        return schema_fail(x->s, ST_FORMAT, at, "required", "holds what is no text");
    for (size_t i = 0; i < w->c.n_required; i++)
        if (json_equal(w->c.required[i], name))
            return ST_OK;
    if (!gram_grow(&w->c.required, &w->c.required_cap, w->c.n_required, sizeof *w->c.required))
        return no_memory(x->s);
    w->c.required[w->c.n_required++] = name;
    return ST_OK;
}

// A schema that a key is not there; takes a borrowed name.
static const json_t *without(schema *s, const char *key)
{
    return schema_keep(s, json_pack("{s:s, s:{s:b}}", "type", "object", "properties", key, 0));
}

static const json_t *with(schema *s, const char *key)
{
    return schema_keep(s, json_pack("{s:s, s:[s]}", "type", "object", "required", key));
}

int schema_keyword_required(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    const json_t *list = json_object_get(v, "required");
    int rc = ST_OK;
    if (!json_is_array(list))
        return schema_fail(x->s, ST_FORMAT, v, "required", "is no array");
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const json_t *name = json_array_get(list, i);
        if (!negative) {
            rc = require(x, w, v, name);
        } else if (json_is_string(name)) {
            const json_t *made = without(x->s, json_string_value(name));
            rc = made ? schema_case_branch(x, w, &(schema_literal){made, false}, 1, TYPE_OBJECT)
                      : no_memory(x->s);
        }
    }
    if (negative)
        w->c.types = 0;
    return rc;
}

// Not all of some schemas: one of them is not met; or not any: none is.
int schema_keyword_all_of(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                          bool negative)
{
    const json_t *list = json_object_get(v, keyword);
    int rc = ST_OK;
    if (!json_is_array(list) || !json_array_size(list))
        return schema_fail(x->s, ST_FORMAT, v, keyword, "is no array of schemas");
    bool each = (strcmp(keyword, "allOf") == 0) != negative;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const json_t *one = json_array_get(list, i);
        if (!json_is_object(one) && !json_is_boolean(one))
            return schema_fail(x->s, ST_FORMAT, v, keyword, "holds what is no schema");
        rc = each ? schema_case_push(x, w, one, negative)
                  : schema_case_branch(x, w, &(schema_literal){one, negative}, 1, TYPE_ANY);
    }
    if (!each)
        w->c.types = 0;
    return rc;
}

int schema_keyword_one_of(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    schema *s = x->s;
    const json_t *list = json_object_get(v, "oneOf");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || !n)
        return schema_fail(s, ST_FORMAT, v, "oneOf", "is no array of schemas");
    for (size_t i = 0; i < n; i++)
        if (!json_is_object(json_array_get(list, i)) && !json_is_boolean(json_array_get(list, i)))
            return schema_fail(s, ST_FORMAT, v, "oneOf", "holds what is no schema");
    schema_literal *more = mem_alloc(MEM_GRAMMAR, (n + 2) * sizeof *more);
    int rc = more ? ST_OK : no_memory(s);
    for (size_t i = 0; i < n && !rc; i++) {
        // Exactly this one; or, to fail, this one and a later one.
        size_t k = 0;
        for (size_t j = 0; j < n && !negative; j++)
            if (j != i && !schema_disjoint(s, json_array_get(list, i), json_array_get(list, j)))
                more[k++] = (schema_literal){json_array_get(list, j), true};
        more[k++] = (schema_literal){json_array_get(list, i), false};
        if (!negative)
            rc = schema_case_branch(x, w, more, k, TYPE_ANY);
        for (size_t j = i + 1; j < n && negative && !rc; j++) {
            if (schema_disjoint(s, json_array_get(list, i), json_array_get(list, j)))
                continue;
            more[1] = (schema_literal){json_array_get(list, j), false};
            rc = schema_case_branch(x, w, more, 2, TYPE_ANY);
        }
    }
    for (size_t i = 0; i < n && negative && !rc; i++)
        more[i] = (schema_literal){json_array_get(list, i), true};
    if (negative && !rc)
        rc = schema_case_branch(x, w, more, n, TYPE_ANY);
    mem_free(more);
    w->c.types = 0;
    return rc;
}

int schema_keyword_if_then(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    const json_t *cond = json_object_get(v, "if"), *yes = json_object_get(v, "then");
    const json_t *no = json_object_get(v, "else");
    if (!yes && !no) {
        w->c.types = negative ? 0 : w->c.types;
        return ST_OK;
    }
    schema_literal met[2] = {{yes, negative}, {cond, false}}, unmet[2] = {{no, negative}, {cond, true}};
    int rc = ST_OK;
    if (yes || !negative)
        rc = schema_case_branch(x, w, met + !yes, yes ? 2 : 1, TYPE_ANY);
    if (!rc && (no || !negative))
        rc = schema_case_branch(x, w, unmet + !no, no ? 2 : 1, TYPE_ANY);
    w->c.types = 0;
    return rc;
}

// dependencies, dependentRequired, dependentSchemas: a key that is there asks for more.
int schema_keyword_dependent(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                             bool negative)
{
    schema *s = x->s;
    const json_t *all = json_object_get(v, keyword);
    const char *key;
    json_t *what;
    int rc = ST_OK;
    if (!json_is_object(all))
        return schema_fail(s, ST_FORMAT, v, keyword, "is no object");
    json_object_foreach((json_t *)all, key, what)
    {
        json_t *then = json_is_array(what) ? json_pack("{s:O}", "required", what) : json_incref(what);
        // "if" the key is there: an object, for other types are not asked.
        const json_t *made = schema_keep(
            s, json_pack("{s:{s:s, s:[s]}, s:o}", "if", "type", "object", "required", key, "then", then));
        if (!made)
            return no_memory(s);
        rc = negative ? schema_case_branch(x, w, &(schema_literal){made, true}, 1, TYPE_OBJECT)
                      : schema_case_push(x, w, made, false);
        if (rc)
            return rc;
    }
    if (negative)
        w->c.types = 0;
    return rc;
}

// Not what properties ask for: one of them is there with another value.
int schema_keyword_not_properties(schema_expander *x, schema_work *w, const json_t *v)
{
    schema *s = x->s;
    const json_t *all = json_object_get(v, "properties");
    const json_t *rest = json_object_get(v, "additionalProperties");
    const char *key;
    json_t *value;
    int rc = ST_OK;
    if (!(w->c.types & TYPE_OBJECT))
        return ST_OK;
    json_object_foreach((json_t *)all, key, value)
    {
        const json_t *there = with(s, key);
        const json_t *other = schema_keep(s, json_pack("{s:{s:{s:O}}}", "properties", key, "not", value));
        if (!there || !other)
            return no_memory(s);
        rc = schema_case_branch(x, w, (schema_literal[]){{there, false}, {other, false}}, 2, TYPE_OBJECT);
        if (rc)
            return rc;
    }
    if (json_object_size(json_object_get(v, "patternProperties")))
        return schema_fail(s, ST_UNSUPPORTED, v, "patternProperties",
                           "stands under a \"not\" or an overlapping \"oneOf\"");
    if (rest && !json_is_true(rest) && !(json_is_object(rest) && !json_object_size(rest)))
        return schema_fail(s, ST_UNSUPPORTED, v, "additionalProperties",
                           "stands under a \"not\" or an overlapping \"oneOf\"");
    return rc;
}

static bool has_tuple(const json_t *v)
{
    return json_is_array(json_object_get(v, "items")) || json_object_get(v, "prefixItems");
}

int schema_keyword_not_items(schema_expander *x, schema_work *w, const json_t *v)
{
    schema *s = x->s;
    if (!(w->c.types & TYPE_ARRAY))
        return ST_OK;
    const json_t *items = json_object_get(v, "items");
    if (has_tuple(v) || !items)
        return schema_fail(s, ST_UNSUPPORTED, v, has_tuple(v) ? "prefixItems" : "additionalItems",
                           "stands under a \"not\" or an overlapping \"oneOf\"");
    const json_t *made = schema_keep(s, json_pack("{s:{s:O}}", "contains", "not", items));
    return made ? schema_case_branch(x, w, &(schema_literal){made, false}, 1, TYPE_ARRAY) : no_memory(s);
}

int schema_keyword_contains(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    schema *s = x->s;
    if (!(w->c.types & TYPE_ARRAY)) {
        w->c.types = negative ? 0 : w->c.types;
        return ST_OK;
    }
    if (negative) {
        if (json_object_get(v, "minContains") || json_object_get(v, "maxContains"))
            return schema_fail(s, ST_UNSUPPORTED, v, "minContains", "stands under a \"not\"");
        const json_t *made = schema_keep(
            s, json_pack("{s:{s:O}}", "items", "not", json_object_get(v, "contains")));
        w->c.types &= TYPE_ARRAY;
        return made ? schema_case_push(x, w, made, false) : no_memory(s);
    }
    if (w->c.contains && w->c.contains != v)
        return schema_fail(s, ST_UNSUPPORTED, v, "contains", "holds beside another \"contains\"");
    w->c.contains = v;
    return ST_OK;
}

// Without in-place schemas beside it, what is not evaluated is what is additional.
int schema_keyword_unevaluated(schema_expander *x, schema_work *w, const json_t *v, const char *keyword,
                               bool negative)
{
    schema *s = x->s;
    static const char *const beside[] = {
        "$ref",        "allOf",        "anyOf",   "oneOf", "if", "not", "dependentSchemas",
        "$dynamicRef", "dependencies", "contains"};
    bool objects = keyword[11] == 'P';
    const json_t *rule = json_object_get(v, keyword);
    if (json_is_true(rule)) {
        w->c.types = negative ? 0 : w->c.types;
        return ST_OK;
    }
    for (size_t i = 0; i < COUNT_OF(beside); i++)
        if (json_object_get(v, beside[i]) && !(objects && strcmp(beside[i], "contains") == 0))
            return schema_fail(s, ST_UNSUPPORTED, v, keyword, "stands beside schemas that may evaluate more");
    if (json_object_get(v, objects ? "additionalProperties" : "additionalItems") ||
        (!objects && json_object_get(v, "items") && !json_is_array(json_object_get(v, "items"))))
        return negative ? schema_fail(s, ST_UNSUPPORTED, v, keyword, "stands under a \"not\"") : ST_OK;
    json_t *made = json_object();
    static const char *const object_keys[] = {"properties", "patternProperties"};
    static const char *const array_keys[] = {"prefixItems", "items"};
    for (int i = 0; i < 2; i++) {
        const char *key = objects ? object_keys[i] : array_keys[i];
        json_t *part = json_object_get(v, key);
        if (part)
            json_object_set(made, json_is_array(part) && !objects ? "prefixItems" : key, part);
    }
    json_object_set(made, objects ? "additionalProperties" : "items", (json_t *)rule);
    const json_t *kept = schema_keep(s, made);
    return kept ? schema_case_push(x, w, kept, negative) : no_memory(s);
}

int schema_keyword_types(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    bool integer;
    rx_pool *p = &x->s->g->rx;
    const json_t *t = json_object_get(v, "type");
    unsigned all = schema_types(t, &integer);
    if (!all)
        return schema_fail(x->s, ST_FORMAT, v, "type", "names no type of JSON");
    if (!negative) {
        w->c.types &= all;
        w->c.integer |= integer;
        return ST_OK;
    }
    if (integer) {
        w->c.number = rx_and(p, w->c.number, rx_and(p, number_plain(p), rx_not(p, number_whole(p))));
        all &= ~(unsigned)TYPE_NUMBER;
    }
    w->c.types &= ~all;
    return ST_OK;
}

int schema_keyword_unique(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    const json_t *u = json_object_get(v, "uniqueItems");
    if (negative)
        w->c.types &= json_is_true(u) ? TYPE_ARRAY : 0;
    if (!json_is_true(u) || !(w->c.types & TYPE_ARRAY))
        return ST_OK;
    const json_t *most = json_object_get(v, "maxItems");
    if (!negative && json_is_number(most) && json_number_value(most) <= 1)
        return ST_OK;
    return schema_fail(x->s, ST_UNSUPPORTED, v, "uniqueItems", "is not supported");
}

int schema_keyword_names(schema_expander *x, schema_work *w, const json_t *v, bool negative)
{
    const json_t *n = json_object_get(v, "propertyNames");
    if (!json_is_object(n) && !json_is_boolean(n))
        return schema_fail(x->s, ST_FORMAT, v, "propertyNames", "is no schema");
    if (negative && (w->c.types & TYPE_OBJECT))
        return schema_fail(x->s, ST_UNSUPPORTED, v, "propertyNames", "stands under a \"not\"");
    if (negative)
        w->c.types = 0;
    return negative ? ST_OK : schema_case_keep(x, &w->c.names, n);
}

int schema_keyword_values(schema_expander *x, schema_work *w, const json_t *v, const char *name,
                          bool negative)
{
    const json_t *own = json_object_get(v, name);
    bool single = name[0] == 'c';
    if (!single && !json_is_array(own))
        return schema_fail(x->s, ST_FORMAT, v, name, "is no array");
    const json_t *list = own;
    if (single && !(list = schema_keep(x->s, json_pack("[O]", own))))
        return no_memory(x->s);
    if (!negative)
        return values(x, w, list);
    int rc = ST_OK;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = other_than(x, w, json_array_get(list, i));
    return rc;
}

// When two schemas plainly exclude each other, so that "one of" needs no complements.
#include <string.h>

#include "gram/schema.h"

unsigned schema_types(const json_t *v, bool *integer)
{
    static const struct {
        const char *name;
        unsigned types;
    } names[] = {{"null", TYPE_NULL},     {"boolean", TYPE_FALSE | TYPE_TRUE},
                 {"number", TYPE_NUMBER}, {"integer", TYPE_NUMBER},
                 {"string", TYPE_STRING}, {"object", TYPE_OBJECT},
                 {"array", TYPE_ARRAY}};
    unsigned out = 0;
    bool whole = false, any = false;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
        unsigned one = 0;
        for (size_t k = 0; name && k < COUNT_OF(names); k++)
            if (strcmp(name, names[k].name) == 0)
                one = names[k].types;
        if (!one)
            return 0;
        whole |= strcmp(name, "integer") == 0;
        any |= strcmp(name, "number") == 0;
        out |= one;
    }
    *integer = whole && !any;
    return out;
}

static unsigned type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL: return TYPE_NULL;
    case JSON_FALSE: return TYPE_FALSE;
    case JSON_TRUE: return TYPE_TRUE;
    case JSON_INTEGER:
    case JSON_REAL: return TYPE_NUMBER;
    case JSON_STRING: return TYPE_STRING;
    case JSON_OBJECT: return TYPE_OBJECT;
    default: return TYPE_ARRAY;
    }
}

static const json_t *resolve(schema *s, const json_t *v)
{
    for (int i = 0; i < 8 && json_is_object(v) && json_object_get(v, "$ref"); i++) {
        if (json_object_size(v) > 1 && s->siblings)
            return v;
        const json_t *to;
        if (schema_follow(s, v, json_object_get(v, "$ref"), &to))
            return v;
        v = to;
    }
    return v;
}

// The values of enum or const; *n of them, through get.
static size_t value_count(const json_t *v)
{
    const json_t *e = json_object_get(v, "enum");
    return json_object_get(v, "const") ? 1 : json_is_array(e) ? json_array_size(e) : 0;
}

static const json_t *value_at(const json_t *v, size_t i)
{
    const json_t *c = json_object_get(v, "const");
    return c ? c : json_array_get(json_object_get(v, "enum"), i);
}

static unsigned types_of(const json_t *v)
{
    bool integer;
    const json_t *t = json_object_get(v, "type");
    unsigned types = t ? schema_types(t, &integer) : TYPE_ANY;
    if (!types)
        types = TYPE_ANY;
    unsigned values = 0;
    for (size_t i = 0; i < value_count(v); i++)
        values |= type_of(value_at(v, i));
    return values ? types & values : types;
}

static bool values_apart(const json_t *a, const json_t *b)
{
    size_t n = value_count(a), m = value_count(b);
    if (!n || !m || n * m > 10000)
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < m; k++) {
            const json_t *x = value_at(a, i), *y = value_at(b, k);
            bool numbers = json_is_number(x) && json_is_number(y);
            if (numbers ? json_number_value(x) == json_number_value(y) : json_equal(x, y))
                return false;
        }
    return true;
}

// Whether an object that meets v cannot have this key.
static bool excludes(const json_t *v, const char *key)
{
    const json_t *own = json_object_get(json_object_get(v, "properties"), key);
    if (own)
        return json_is_false(own);
    return json_is_false(json_object_get(v, "additionalProperties")) &&
           !json_object_get(v, "patternProperties");
}

static bool objects_apart(schema *s, const json_t *a, const json_t *b)
{
    const json_t *list = json_object_get(a, "required");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *key = json_string_value(json_array_get(list, i));
        if (!key)
            continue;
        if (excludes(b, key))
            return true;
        const json_t *x = json_object_get(json_object_get(a, "properties"), key);
        const json_t *y = json_object_get(json_object_get(b, "properties"), key);
        if (!x || !y)
            continue;
        x = resolve(s, x);
        y = resolve(s, y);
        // a has the key; b, if it has it, another value. When b need not have it, it still cannot be a's document.
        if (json_is_object(x) && json_is_object(y) &&
            (values_apart(x, y) || (types_of(x) & types_of(y)) == 0))
            return true;
    }
    return false;
}

bool schema_disjoint(schema *s, const json_t *a, const json_t *b)
{
    a = resolve(s, a);
    b = resolve(s, b);
    if (json_is_false(a) || json_is_false(b))
        return true;
    if (!json_is_object(a) || !json_is_object(b))
        return false;
    unsigned both = types_of(a) & types_of(b);
    if (!both || values_apart(a, b))
        return true;
    return both == TYPE_OBJECT && (objects_apart(s, a, b) || objects_apart(s, b, a));
}

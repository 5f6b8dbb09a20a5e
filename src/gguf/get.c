// Reading an open model's metadata: lookups and conversions. Nothing here can run past the mapping: what open
// checked is what is read.
#include <float.h>
#include <math.h>
#include <string.h>

#include "gguf/internal.h"

// A number of any stored type. Integers below 0 use i, others u; `real` says that f holds it.
typedef struct number {
    bool real, negative;
    uint64_t u;
    int64_t i;
    double f;
} number;

static number from_int(int64_t v)
{
    return (number){.negative = v < 0, .u = (uint64_t)v, .i = v, .f = (double)v};
}

static double load_f32(const uint8_t *p)
{
    uint32_t bits = gguf_load_u32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double load_f64(const uint8_t *p)
{
    uint64_t bits = gguf_load_u64(p);
    double f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

// False for bools, strings and arrays: those are no numbers.
static bool load_number(uint32_t type, const uint8_t *p, number *out)
{
    switch (type) {
    case GGUF_U8: *out = from_int(p[0]); return true;
    case GGUF_I8: *out = from_int((int8_t)p[0]); return true;
    case GGUF_U16: *out = from_int(p[0] | p[1] << 8); return true;
    case GGUF_I16: *out = from_int((int16_t)(p[0] | p[1] << 8)); return true;
    case GGUF_U32: *out = from_int(gguf_load_u32(p)); return true;
    case GGUF_I32: *out = from_int((int32_t)gguf_load_u32(p)); return true;
    case GGUF_I64: *out = from_int((int64_t)gguf_load_u64(p)); return true;
    case GGUF_U64:
        *out = (number){.u = gguf_load_u64(p), .i = (int64_t)MIN(gguf_load_u64(p), INT64_MAX)};
        out->f = (double)out->u;
        return true;
    case GGUF_F32: *out = (number){.real = true, .f = load_f32(p)}; return true;
    case GGUF_F64: *out = (number){.real = true, .f = load_f64(p)}; return true;
    default: return false;
    }
}

static bool number_u64(const number *v, uint64_t *out)
{
    if (v->real || v->negative)
        return false;
    *out = v->u;
    return true;
}

static bool number_i32(const number *v, int32_t *out)
{
    if (v->real || v->i < INT32_MIN || v->i > INT32_MAX)
        return false;
    *out = (int32_t)v->i;
    return true;
}

// Integers count when a float holds them exactly; doubles round, unless they leave the range.
static bool number_f32(const number *v, float *out)
{
    if (isfinite(v->f) && fabs(v->f) > (double)FLT_MAX)
        return false;
    if (!v->real && fabs(v->f) > 16777216.0)
        return false;
    *out = (float)v->f;
    return true;
}

bool gguf_get_value_u64(const uint8_t *value, uint64_t *out)
{
    number v;
    return load_number(gguf_load_u32(value), value + 4, &v) && number_u64(&v, out);
}

// The value of a key, at its type field; NULL when absent.
static const uint8_t *find(const gguf *g, const char *key)
{
    size_t i = gguf_index_find(&g->key_index, g->keys, sizeof *g->keys, key);
    return i == SIZE_MAX ? NULL : g->keys[i].value;
}

static bool find_number(const gguf *g, const char *key, number *v)
{
    const uint8_t *value = find(g, key);
    return value && load_number(gguf_load_u32(value), value + 4, v);
}

size_t gguf_key_count(const gguf *g)
{
    return g->n_keys;
}

const char *gguf_key_at(const gguf *g, size_t i, enum gguf_value_type *type)
{
    if (i >= g->n_keys)
        return NULL;
    if (type)
        *type = (enum gguf_value_type)gguf_load_u32(g->keys[i].value);
    return g->keys[i].name;
}

bool gguf_has(const gguf *g, const char *key)
{
    return find(g, key) != NULL;
}

bool gguf_get_u64(const gguf *g, const char *key, uint64_t *out)
{
    number v;
    return find_number(g, key, &v) && number_u64(&v, out);
}

bool gguf_get_u32(const gguf *g, const char *key, uint32_t *out)
{
    uint64_t wide;
    if (!gguf_get_u64(g, key, &wide) || wide > UINT32_MAX)
        return false;
    *out = (uint32_t)wide;
    return true;
}

bool gguf_get_i32(const gguf *g, const char *key, int32_t *out)
{
    number v;
    return find_number(g, key, &v) && number_i32(&v, out);
}

bool gguf_get_f32(const gguf *g, const char *key, float *out)
{
    number v;
    return find_number(g, key, &v) && number_f32(&v, out);
}

bool gguf_get_bool(const gguf *g, const char *key, bool *out)
{
    const uint8_t *value = find(g, key);
    if (!value || gguf_load_u32(value) != GGUF_BOOL)
        return false;
    *out = value[4] != 0;
    return true;
}

bool gguf_get_str(const gguf *g, const char *key, gguf_str *out)
{
    const uint8_t *value = find(g, key);
    if (!value || gguf_load_u32(value) != GGUF_STRING)
        return false;
    *out = (gguf_str){(const char *)value + 12, (size_t)gguf_load_u64(value + 4)};
    return true;
}

bool gguf_get_array(const gguf *g, const char *key, enum gguf_value_type *elem, uint64_t *count)
{
    const uint8_t *value = find(g, key);
    if (!value || gguf_load_u32(value) != GGUF_ARRAY)
        return false;
    *elem = (enum gguf_value_type)gguf_load_u32(value + 4);
    *count = gguf_load_u64(value + 8);
    return true;
}

// The string offsets of the array that is key number `key`; there is one for each array of strings.
static const uint32_t *string_offsets(const gguf *g, size_t key)
{
    size_t lo = 0, hi = g->n_arrays;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (g->arrays[mid].key <= key)
            lo = mid;
        else
            hi = mid;
    }
    return g->arrays[lo].at;
}

bool gguf_array_str(const gguf *g, const char *key, uint64_t i, gguf_str *out)
{
    size_t k = gguf_index_find(&g->key_index, g->keys, sizeof *g->keys, key);
    if (k == SIZE_MAX)
        return false;
    const uint8_t *value = g->keys[k].value;
    if (gguf_load_u32(value) != GGUF_ARRAY || gguf_load_u32(value + 4) != GGUF_STRING ||
        i >= gguf_load_u64(value + 8))
        return false;
    const uint8_t *p = value + 16 + string_offsets(g, k)[i];
    *out = (gguf_str){(const char *)p + 8, (size_t)gguf_load_u64(p)};
    return true;
}

// Element i of an array of fixed-size values; NULL for other keys and past the end.
static const uint8_t *find_element(const gguf *g, const char *key, uint64_t i, uint32_t *elem)
{
    const uint8_t *value = find(g, key);
    if (!value || gguf_load_u32(value) != GGUF_ARRAY || i >= gguf_load_u64(value + 8))
        return NULL;
    *elem = gguf_load_u32(value + 4);
    return value + 16 + i * gguf_scan_type_size(*elem);
}

bool gguf_array_i32(const gguf *g, const char *key, uint64_t i, int32_t *out)
{
    number v;
    uint32_t elem = GGUF_STRING;
    const uint8_t *p = find_element(g, key, i, &elem);
    if (p && elem == GGUF_BOOL) {
        *out = p[0];
        return true;
    }
    return p && load_number(elem, p, &v) && number_i32(&v, out);
}

bool gguf_array_f32(const gguf *g, const char *key, uint64_t i, float *out)
{
    number v;
    uint32_t elem = GGUF_STRING;
    const uint8_t *p = find_element(g, key, i, &elem);
    return p && load_number(elem, p, &v) && number_f32(&v, out);
}

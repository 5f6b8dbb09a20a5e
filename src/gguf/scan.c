// The checking walk over one file: header, keys, tensor descriptions, data bounds. Allocates nothing; every
// number that it lets through is safe to use without a check afterwards.
//
// Who changes the file while it is open breaks this promise; nobody can keep it then.
#include <string.h>

#include "gguf/internal.h"

typedef struct cursor {
    const uint8_t *base;
    uint64_t at, size;
} cursor;

static const struct {
    const char *name;
    uint32_t size;
} value_types[] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

uint32_t gguf_scan_type_size(uint32_t type)
{
    return type < COUNT_OF(value_types) ? value_types[type].size : 0;
}

const char *gguf_scan_type_name(uint32_t type)
{
    return type < COUNT_OF(value_types) ? value_types[type].name : "unknown";
}

int gguf_scan_shown(const char *name, size_t n)
{
    size_t shown = MIN(n, 100);
    return (int)(shown - utf8_incomplete_tail(name, shown));
}

// Passes over n bytes. `what` names them in the message when the file ends before.
static int skip(cursor *c, uint64_t n, const char *what, err *e)
{
    uint64_t left = c->size - c->at;
    if (n > left)
        return err_set(e, ST_FORMAT, "%s at byte %llu needs %llu bytes, the file has %llu left", what,
                       (unsigned long long)c->at, (unsigned long long)n, (unsigned long long)left);
    c->at += n;
    return ST_OK;
}

static int read_u32(cursor *c, uint32_t *out, const char *what, err *e)
{
    int rc = skip(c, 4, what, e);
    if (!rc)
        *out = gguf_load_u32(c->base + c->at - 4);
    return rc;
}

static int read_u64(cursor *c, uint64_t *out, const char *what, err *e)
{
    int rc = skip(c, 8, what, e);
    if (!rc)
        *out = gguf_load_u64(c->base + c->at - 8);
    return rc;
}

// `count` things of at least `least` bytes each are to come: refused at once when the file is too short.
static int expect(const cursor *c, uint64_t count, uint64_t least, const char *what, err *e)
{
    uint64_t need, left = c->size - c->at;
    if (check_mul(count, least, &need) && need <= left)
        return ST_OK;
    return err_set(e, ST_FORMAT, "%llu %s at byte %llu, but the file's %llu bytes left hold at most %llu",
                   (unsigned long long)count, what, (unsigned long long)c->at, (unsigned long long)left,
                   (unsigned long long)(left / least));
}

// A name becomes a C string and part of messages: valid UTF-8, no control characters, 1..most bytes.
static int read_name(cursor *c, uint64_t most, const char *what, const char **name, uint64_t *n, err *e)
{
    uint64_t at = c->at;
    int rc = read_u64(c, n, what, e);
    if (rc)
        return rc;
    if (*n < 1 || *n > most)
        return err_set(e, ST_FORMAT, "%s at byte %llu has %llu bytes, 1 to %llu allowed", what,
                       (unsigned long long)at, (unsigned long long)*n, (unsigned long long)most);
    rc = skip(c, *n, what, e);
    if (rc)
        return rc;
    *name = (const char *)c->base + at + 8;
    for (size_t i = 0, k; i < *n; i += k) {
        uint32_t cp;
        k = utf8_decode(*name + i, (size_t)*n - i, &cp);
        if (k == 0 || cp < 0x20 || cp == 0x7f)
            return err_set(e, ST_FORMAT, "%s at byte %llu has byte 0x%02x at %llu, printable text needed",
                           what, (unsigned long long)at, (unsigned char)(*name)[i],
                           (unsigned long long)(at + 8 + i));
    }
    return ST_OK;
}

static int scan_bools(const cursor *c, uint64_t from, err *e)
{
    for (uint64_t at = from; at < c->at; at++)
        if (c->base[at] > 1)
            return err_set(e, ST_FORMAT, "bool at byte %llu is %u, 0 or 1 allowed", (unsigned long long)at,
                           c->base[at]);
    return ST_OK;
}

static int scan_value(cursor *c, uint32_t type, int depth, err *e);

static int scan_array(cursor *c, int depth, err *e)
{
    uint64_t at = c->at, count;
    uint32_t elem;
    int rc = read_u32(c, &elem, "array element type", e);
    if (!rc)
        rc = read_u64(c, &count, "array length", e);
    if (rc)
        return rc;
    if (elem >= COUNT_OF(value_types))
        return err_set(e, ST_FORMAT, "array at byte %llu has element type %u, 0 to %zu are known",
                       (unsigned long long)at, elem, COUNT_OF(value_types) - 1);
    if (depth >= GGUF_MAX_NESTING)
        return err_set(e, ST_FORMAT, "array at byte %llu is nested %d deep, at most %d allowed",
                       (unsigned long long)at, depth + 1, GGUF_MAX_NESTING);
    uint32_t size = gguf_scan_type_size(elem);
    rc = expect(c, count, size ? size : elem == GGUF_STRING ? 8 : 12, "array elements", e);
    if (rc)
        return rc;
    if (size) {
        uint64_t from = c->at;
        c->at += count * size;
        return elem == GGUF_BOOL ? scan_bools(c, from, e) : ST_OK;
    }
    uint64_t first = c->at;
    for (uint64_t i = 0; i < count && !rc; i++)
        rc = scan_value(c, elem, depth + 1, e);
    if (!rc && elem == GGUF_STRING && c->at - first > UINT32_MAX)
        rc = err_set(e, ST_LIMIT, "array of strings at byte %llu has %llu bytes, at most %u allowed",
                     (unsigned long long)at, (unsigned long long)(c->at - first), UINT32_MAX);
    return rc;
}

static int scan_value(cursor *c, uint32_t type, int depth, err *e)
{
    uint64_t n, from = c->at;
    int rc;
    if (type == GGUF_ARRAY)
        return scan_array(c, depth, e);
    if (type == GGUF_STRING) {
        rc = read_u64(c, &n, "string length", e);
        return rc ? rc : skip(c, n, "string", e);
    }
    rc = skip(c, gguf_scan_type_size(type), "value", e);
    return !rc && type == GGUF_BOOL ? scan_bools(c, from, e) : rc;
}

static bool is_key(const char *name, uint64_t n, const char *key)
{
    return n == strlen(key) && memcmp(name, key, (size_t)n) == 0;
}

static int scan_alignment(gguf_part *p, uint64_t v, err *e)
{
    if (v < 8 || v > GGUF_MAX_ALIGNMENT || (v & (v - 1)) != 0)
        return err_set(e, ST_FORMAT, "key general.alignment is %llu, a power of two from 8 to %d allowed",
                       (unsigned long long)v, GGUF_MAX_ALIGNMENT);
    p->alignment = v;
    return ST_OK;
}

// The few keys that the walk itself needs. keys.c has made sure that they are integers.
static int note_key(gguf_part *p, const char *name, uint64_t n, const uint8_t *value, err *e)
{
    uint64_t v = 0;
    if (is_key(name, n, "general.alignment") && gguf_get_value_u64(value, &v))
        return scan_alignment(p, v, e);
    if (is_key(name, n, "split.no") && gguf_get_value_u64(value, &v))
        p->split_no = v;
    if (is_key(name, n, "split.tensors.count") && gguf_get_value_u64(value, &v))
        p->split_tensors = v;
    if (is_key(name, n, "split.count") && gguf_get_value_u64(value, &v)) {
        p->split_count = v;
        p->has_split = true;
    }
    return ST_OK;
}

static int scan_key(gguf_part *p, cursor *c, uint64_t i, err *e)
{
    const char *name = NULL;
    uint64_t n = 0;
    uint32_t type = 0;
    int rc = read_name(c, GGUF_MAX_KEY_NAME, "key name", &name, &n, e);
    if (rc) {
        err_prefix(e, "key %llu of %llu", (unsigned long long)i + 1, (unsigned long long)p->n_keys);
        return rc;
    }
    const uint8_t *value = c->base + c->at;
    rc = read_u32(c, &type, "value type", e);
    if (!rc && type >= COUNT_OF(value_types))
        rc = err_set(e, ST_FORMAT, "value type %u at byte %llu, 0 to %zu are known", type,
                     (unsigned long long)c->at - 4, COUNT_OF(value_types) - 1);
    if (!rc)
        rc = scan_value(c, type, 0, e);
    if (rc) {
        err_prefix(e, "key %.*s", gguf_scan_shown(name, n), name);
        return rc;
    }
    rc = gguf_keys_check(name, (size_t)n, value, e);
    if (rc)
        return rc;
    p->key_name_bytes += n + 1;
    if (type == GGUF_ARRAY && gguf_load_u32(value + 4) == GGUF_STRING) {
        p->n_string_arrays++;
        p->n_strings += gguf_load_u64(value + 8);
    }
    return note_key(p, name, n, value, e);
}

// Checks the shape; gives the bytes of the tensor.
static int scan_shape(cursor *c, uint64_t *bytes, err *e)
{
    uint32_t n_dims = 0, type = 0;
    uint64_t dims[GGUF_MAX_DIMS] = {1, 1, 1, 1}, rows = 1, at = c->at;
    int rc = read_u32(c, &n_dims, "number of dimensions", e);
    if (!rc && (n_dims < 1 || n_dims > GGUF_MAX_DIMS))
        return err_set(e, ST_FORMAT, "%u dimensions at byte %llu, 1 to %d allowed", n_dims,
                       (unsigned long long)at, GGUF_MAX_DIMS);
    for (uint32_t d = 0; d < n_dims && !rc; d++) {
        rc = read_u64(c, &dims[d], "dimension", e);
        if (!rc && dims[d] < 1)
            rc = err_set(e, ST_FORMAT, "dimension %u at byte %llu is 0, at least 1 needed", d,
                         (unsigned long long)c->at - 8);
    }
    if (!rc)
        rc = read_u32(c, &type, "tensor type", e);
    if (rc)
        return rc;
    const quant_info *info = type <= INT32_MAX ? quant_type_info((int)type) : NULL;
    if (!info)
        return err_set(e, ST_UNSUPPORTED, "tensor type %u at byte %llu, known types are in 0 to %d", type,
                       (unsigned long long)c->at - 4, QT_COUNT - 1);
    if (dims[0] % info->block_elems != 0)
        return err_set(e, ST_FORMAT, "rows of %llu values do not divide into %s blocks of %u",
                       (unsigned long long)dims[0], info->name, info->block_elems);
    if (!check_mul(dims[0] / info->block_elems, info->block_bytes, bytes) ||
        !check_mul(dims[1], dims[2], &rows) || !check_mul(rows, dims[3], &rows) ||
        !check_mul(*bytes, rows, bytes) || *bytes > INT64_MAX)
        return err_set(e, ST_FORMAT, "size %llu x %llu x %llu x %llu of type %s is past 2^63 bytes",
                       (unsigned long long)dims[0], (unsigned long long)dims[1], (unsigned long long)dims[2],
                       (unsigned long long)dims[3], info->name);
    return ST_OK;
}

// What the tensors seen so far ask of the data section, whose place is known only after the last description.
typedef struct demand {
    uint64_t all;       // bytes of all together, with padding
    uint64_t furthest;  // where the last one ends
    const char *name;   // which that is
    uint64_t n;
} demand;

// Adds a tensor's bytes; false when it cannot be in a file of this size wherever the data begins.
static bool demand_add(demand *d, const gguf_part *p, const char *name, uint64_t n, uint64_t offset,
                       uint64_t bytes)
{
    uint64_t end;
    if (!check_add(offset, bytes, &end) || end > p->map.size ||
        !check_add(d->all, round_up(bytes, p->alignment), &d->all))
        return false;
    if (end > d->furthest)
        *d = (demand){d->all, end, name, n};
    return true;
}

static int scan_tensor(gguf_part *p, cursor *c, uint64_t i, demand *d, err *e)
{
    const char *name = NULL;
    uint64_t n = 0, bytes = 0, offset = 0;
    int rc = read_name(c, GGUF_MAX_TENSOR_NAME, "tensor name", &name, &n, e);
    if (rc) {
        err_prefix(e, "tensor %llu of %llu", (unsigned long long)i + 1, (unsigned long long)p->n_tensors);
        return rc;
    }
    rc = scan_shape(c, &bytes, e);
    if (!rc)
        rc = read_u64(c, &offset, "data offset", e);
    if (!rc && offset % p->alignment != 0)
        rc = err_set(e, ST_FORMAT, "data offset %llu is no multiple of the alignment %llu",
                     (unsigned long long)offset, (unsigned long long)p->alignment);
    if (!rc && !demand_add(d, p, name, n, offset, bytes))
        rc = err_set(e, ST_FORMAT, "data of %llu bytes at offset %llu, the file has %zu bytes",
                     (unsigned long long)bytes, (unsigned long long)offset, p->map.size);
    if (rc) {
        err_prefix(e, "tensor %.*s", gguf_scan_shown(name, n), name);
        return rc;
    }
    p->tensor_name_bytes += n + 1;
    return ST_OK;
}

static int scan_tensors(gguf_part *p, cursor *c, err *e)
{
    demand d = {0};
    p->tensors_at = c->at;
    // name length, one character, dimensions, one dimension, type, offset
    int rc = expect(c, p->n_tensors, 8 + 1 + 4 + 8 + 4 + 8, "tensors", e);
    for (uint64_t i = 0; i < p->n_tensors && !rc; i++)
        rc = scan_tensor(p, c, i, &d, e);
    if (rc)
        return rc;
    p->data_at = c->at;
    if (p->n_tensors == 0)
        return ST_OK;
    p->data_at = round_up(c->at, p->alignment);
    uint64_t data = p->data_at < c->size ? c->size - p->data_at : 0;
    if (d.furthest > data)
        return err_set(e, ST_FORMAT, "tensor %.*s: data ends at byte %llu, the file has %llu bytes",
                       gguf_scan_shown(d.name, d.n), d.name, (unsigned long long)(p->data_at + d.furthest),
                       (unsigned long long)c->size);
    if (d.all > data + p->alignment - 1)  // each is within bounds, but together they cannot be: some overlap
        return err_set(e, ST_FORMAT, "tensors need %llu bytes of data, the file has %llu",
                       (unsigned long long)d.all, (unsigned long long)data);
    return ST_OK;
}

static int scan_header(gguf_part *p, cursor *c, err *e)
{
    uint32_t magic = 0;
    int rc = read_u32(c, &magic, "magic number", e);
    if (rc)
        return rc;
    if (memcmp(c->base, "GGUF", 4) != 0)
        return err_set(e, ST_FORMAT, "starts with %02x %02x %02x %02x, a GGUF file starts with 47 47 55 46",
                       c->base[0], c->base[1], c->base[2], c->base[3]);
    rc = read_u32(c, &p->version, "version", e);
    if (rc)
        return rc;
    if (p->version != 0 && (p->version & 0xffff) == 0)
        return err_set(e, ST_UNSUPPORTED, "version field 0x%08x is of a big-endian file; convert it",
                       p->version);
    if (p->version < 2 || p->version > 3)
        return err_set(e, ST_UNSUPPORTED, "GGUF version %u, versions 2 and 3 are read", p->version);
    rc = read_u64(c, &p->n_tensors, "tensor count", e);
    if (!rc)
        rc = read_u64(c, &p->n_keys, "key count", e);
    if (!rc && p->n_keys > GGUF_MAX_KEYS)
        rc = err_set(e, ST_FORMAT, "%llu keys at byte 16, at most %d allowed", (unsigned long long)p->n_keys,
                     GGUF_MAX_KEYS);
    if (!rc && p->n_tensors > GGUF_MAX_TENSORS)
        rc = err_set(e, ST_FORMAT, "%llu tensors at byte 8, at most %d allowed",
                     (unsigned long long)p->n_tensors, GGUF_MAX_TENSORS);
    return rc ? rc : expect(c, p->n_keys, 8 + 1 + 4 + 1, "keys", e);
}

int gguf_scan(gguf_part *p, err *e)
{
    cursor c = {p->map.data, 0, p->map.size};
    if (c.size == 0)
        return err_set(e, ST_FORMAT, "the file is empty (0 bytes), a GGUF file has at least 24");
    p->alignment = 32;
    p->split_count = 1;
    int rc = scan_header(p, &c, e);
    p->keys_at = c.at;
    for (uint64_t i = 0; i < p->n_keys && !rc; i++)
        rc = scan_key(p, &c, i, e);
    return rc ? rc : scan_tensors(p, &c, e);
}

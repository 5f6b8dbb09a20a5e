// Reading the header of a safetensors file. See convert.h.
#include <jansson.h>
#include <string.h>

#include "convert/convert.h"

enum { MOST_HEADER = 100 << 20 };  // the format's own bound

static const struct {
    const char *name;
    enum convert_dtype dtype;
    int bytes;
} dtypes[] = {
    {"F32", CONVERT_F32, 4}, {"F16", CONVERT_F16, 2}, {"BF16", CONVERT_BF16, 2},
    {"F64", CONVERT_F64, 8}, {"I32", CONVERT_I32, 4}, {"I64", CONVERT_I64, 8},
    {"U8", CONVERT_U8, 1},   {"I8", CONVERT_U8, 1},   {"BOOL", CONVERT_U8, 1},
};

static int read_shape(convert_tensor *t, const json_t *shape, uint64_t each, uint64_t *bytes)
{
    *bytes = each;
    for (int d = 0; d < 4; d++)
        t->dims[d] = 1;
    if (!json_is_array(shape) || json_array_size(shape) > 4)
        return ST_FORMAT;
    t->n_dims = (int)json_array_size(shape);
    for (int d = 0; d < t->n_dims; d++) {
        const json_t *v = json_array_get(shape, (size_t)d);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return ST_FORMAT;
        t->dims[d] = (uint64_t)json_integer_value(v);
        if (!check_mul(*bytes, t->dims[d], bytes))
            return ST_FORMAT;
    }
    return ST_OK;
}

static int read_tensor(convert_tensor *t, const json_t *v, const uint8_t *data, uint64_t size,
                       const char *path, err *e)
{
    const char *dtype = json_string_value(json_object_get(v, "dtype"));
    const json_t *at = json_object_get(v, "data_offsets"), *from = json_array_get(at, 0),
                 *to = json_array_get(at, 1);
    int known = -1;
    for (size_t i = 0; dtype && i < COUNT_OF(dtypes); i++)
        if (strcmp(dtypes[i].name, dtype) == 0)
            known = (int)i;
    if (known < 0)
        return err_set(e, dtype ? ST_UNSUPPORTED : ST_FORMAT,
                       "%s: tensor %s has type \"%s\", allowed F64, F32, F16, BF16", path, t->name,
                       dtype ? dtype : "");
    uint64_t bytes;
    t->dtype = dtypes[known].dtype;
    if (read_shape(t, json_object_get(v, "shape"), (uint64_t)dtypes[known].bytes, &bytes))
        return err_set(e, ST_FORMAT, "%s: tensor %s has a shape that is not up to four sizes", path, t->name);
    json_int_t a = json_integer_value(from), b = json_integer_value(to);
    if (!json_is_integer(from) || !json_is_integer(to) || a < 0 || b < a || (uint64_t)b > size)
        return err_set(e, ST_FORMAT, "%s: tensor %s claims bytes %lld to %lld of %llu", path, t->name,
                       (long long)a, (long long)b, (unsigned long long)size);
    if ((uint64_t)(b - a) != bytes)
        return err_set(e, ST_FORMAT, "%s: tensor %s has %lld bytes, its shape needs %llu", path, t->name,
                       (long long)(b - a), (unsigned long long)bytes);
    t->data = data + a;
    t->bytes = (size_t)bytes;
    return ST_OK;
}

int convert_safetensors(const uint8_t *data, size_t size, const char *path, arena *strings,
                        int (*add)(void *ctx, const convert_tensor *t, err *e), void *ctx, err *e)
{
    uint64_t head = 0;
    for (int i = 7; i >= 0 && size >= 8; i--)
        head = head << 8 | data[i];
    if (size < 8 || head > MOST_HEADER || head > size - 8)
        return err_set(e, ST_FORMAT, "%s: claims a header of %llu bytes, the file has %zu", path,
                       (unsigned long long)head, size);
    json_error_t why;
    json_t *all = json_loadb((const char *)data + 8, (size_t)head, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(all)) {
        json_decref(all);
        return err_set(e, ST_FORMAT, "%s: its header is no JSON object: %s", path,
                       all ? "another value" : why.text);
    }
    const char *name;
    json_t *v;
    int rc = ST_OK;
    json_object_foreach(all, name, v)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        convert_tensor t = {.name = arena_strndup(strings, name, strlen(name))};
        rc = t.name ? read_tensor(&t, v, data + 8 + head, size - 8 - head, path, e)
                    : err_set(e, ST_NOMEM, "%s: no memory for its names", path);
        if (!rc)
            rc = add(ctx, &t, e);
        if (rc)
            break;
    }
    json_decref(all);
    return rc;
}

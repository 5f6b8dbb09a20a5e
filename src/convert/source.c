// The folder of a model: its JSON files, and the tensors of all its safetensors files by name.
#include <stdio.h>
#include <string.h>

#include "convert/own.h"

enum { MOST_JSON = 256 << 20, MOST_FILES = 10000 };

double convert_number(const json_t *object, const char *names, double otherwise)
{
    for (const char *at = names; at;) {
        const char *end = strchr(at, '|');
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(end ? (size_t)(end - at) : strlen(at)), at);
        const json_t *v = json_object_get(object, name);
        if (json_is_number(v))
            return json_number_value(v);
        at = end ? end + 1 : NULL;
    }
    return otherwise;
}

bool convert_has(const json_t *object, const char *names)
{
    return convert_number(object, names, -1.5) != -1.5;
}

const char *convert_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool convert_flag(const json_t *object, const char *name, bool otherwise)
{
    const json_t *v = json_object_get(object, name);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

int convert_source_json(const convert_source *s, const char *name, json_t **out, err *e)
{
    buf path;
    char *text = NULL;
    size_t n;
    *out = NULL;
    buf_init(&path);
    buf_printf(&path, "%s/%s", s->dir, name);
    int rc = path.failed ? err_set(e, ST_NOMEM, "no memory for a path")
                         : os_read_file(path.data, MOST_JSON, &text, &n, e);
    if (!rc) {
        json_error_t why;
        // tokenizer_config.json says "no limit" with integers past 64 bits; nothing else there is a number.
        size_t reals = strcmp(name, "tokenizer_config.json") == 0 ? JSON_DECODE_INT_AS_REAL : 0;
        *out = json_loadb(text, n, JSON_ALLOW_NUL | reals, &why);
        if (!json_is_object(*out)) {
            rc = err_set(e, ST_FORMAT, "%s: no JSON object: line %d: %s", path.data, *out ? 1 : why.line,
                         *out ? "another value" : why.text);
            json_decref(*out);
            *out = NULL;
        }
    }
    mem_free(text);
    buf_done(&path);
    return rc == ST_NOTFOUND ? ST_OK : rc;
}

static int add_tensor(void *ctx, const convert_tensor *t, err *e)
{
    convert_source *s = ctx;
    if (hash_map_get(&s->index, t->name, strlen(t->name)) >= 0)
        return err_set(e, ST_FORMAT, "%s: tensor %s is there twice", s->dir, t->name);
    buf_add(&s->tensors, t, sizeof *t);
    if (s->tensors.failed ||
        hash_map_put(&s->index, t->name, strlen(t->name), (int32_t)(convert_source_count(s) - 1)))
        return err_set(e, ST_NOMEM, "%s: no memory for its tensors", s->dir);
    return ST_OK;
}

static int open_file(convert_source *s, const char *name, err *e)
{
    if (strchr(name, '/'))
        return err_set(e, ST_FORMAT, "%s: the index names \"%s\"; files must lie in the folder itself",
                       s->dir, name);
    buf path;
    buf_init(&path);
    buf_printf(&path, "%s/%s", s->dir, name);
    os_map *map = &s->maps[s->n_maps];
    int rc = path.failed ? err_set(e, ST_NOMEM, "no memory for a path") : os_map_file(map, path.data, e);
    if (!rc) {
        s->n_maps++;
        rc = convert_safetensors(map->data, map->size, path.data, &s->mem, add_tensor, s, e);
    }
    buf_done(&path);
    return rc;
}

// The files that an index names, each once.
static int open_shards(convert_source *s, const json_t *index, err *e)
{
    const json_t *where = json_object_get(index, "weight_map");
    const char *tensor;
    json_t *file;
    json_t *seen = json_object();
    int rc = json_is_object(where) && seen ? ST_OK
                                           : err_set(e, ST_FORMAT, "%s: the index has no weight_map", s->dir);
    json_object_foreach((json_t *)(uintptr_t)where, tensor, file)
    {
        const char *name = json_string_value(file);
        if (!name)
            rc = err_set(e, ST_FORMAT, "%s: the index gives no file for %s", s->dir, tensor);
        else if (!json_object_get(seen, name)) {
            json_object_set_new(seen, name, json_true());
            rc = json_object_size(seen) > MOST_FILES ? err_set(e, ST_LIMIT, "%s: too many files", s->dir)
                                                     : ST_OK;
        }
        if (rc)
            break;
    }
    s->maps = mem_calloc(MEM_OTHER, json_object_size(seen) + 1, sizeof *s->maps);
    if (!rc && !s->maps)
        rc = err_set(e, ST_NOMEM, "%s: no memory for its files", s->dir);
    const char *name;
    json_t *v;
    if (!rc)
        json_object_foreach(seen, name, v)
        {
            rc = open_file(s, name, e);
            if (rc)
                break;
        }
    // What the index promises must be there.
    if (!rc)
        json_object_foreach((json_t *)(uintptr_t)where, tensor,
                            file) if (!convert_source_find(s, "%s", tensor))
        {
            rc = err_set(e, ST_FORMAT, "%s: tensor %s is in the index but not in %s", s->dir, tensor,
                         json_string_value(file));
            break;
        }
    json_decref(seen);
    return rc;
}

static int open_tensors(convert_source *s, err *e)
{
    json_t *index;
    int rc = convert_source_json(s, "model.safetensors.index.json", &index, e);
    if (rc)
        return rc;
    if (index) {
        rc = open_shards(s, index, e);
        json_decref(index);
        return rc;
    }
    s->maps = mem_calloc(MEM_OTHER, 1, sizeof *s->maps);
    return s->maps ? open_file(s, "model.safetensors", e) : err_set(e, ST_NOMEM, "%s: no memory", s->dir);
}

int convert_source_open(convert_source *s, const char *dir, err *e)
{
    *s = (convert_source){.dir = dir};
    arena_init(&s->mem, MEM_OTHER);
    buf_init(&s->tensors);
    int rc = hash_map_init(&s->index, MEM_OTHER, 1024);
    if (rc)
        return err_set(e, rc, "no memory for a model");
    rc = convert_source_json(s, "config.json", &s->config, e);
    if (!rc && !s->config)
        rc = err_set(e, ST_NOTFOUND, "%s: no config.json in it; a folder of a Hugging Face model is needed",
                     dir);
    if (!rc)
        rc = convert_source_json(s, "tokenizer.json", &s->tokenizer, e);
    if (!rc)
        rc = convert_source_json(s, "tokenizer_config.json", &s->tokenizer_config, e);
    return rc ? rc : open_tensors(s, e);
}

void convert_source_close(convert_source *s)
{
    for (size_t i = 0; i < s->n_maps; i++)
        os_unmap(&s->maps[i]);
    mem_free(s->maps);
    json_decref(s->config);
    json_decref(s->tokenizer);
    json_decref(s->tokenizer_config);
    hash_map_done(&s->index);
    buf_done(&s->tensors);
    arena_done(&s->mem);
}

size_t convert_source_count(const convert_source *s)
{
    return s->tensors.len / sizeof(convert_tensor);
}

const convert_tensor *convert_source_at(const convert_source *s, size_t i)
{
    return (const convert_tensor *)(const void *)s->tensors.data + i;
}

const convert_tensor *convert_source_find(const convert_source *s, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    int32_t at = n > 0 && (size_t)n < sizeof name ? hash_map_get(&s->index, name, (size_t)n) : -1;
    return at >= 0 ? convert_source_at(s, (size_t)at) : NULL;
}

uint64_t convert_elements(const convert_tensor *t)
{
    return t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
}

static float value_at(const convert_tensor *t, uint64_t i)
{
    uint16_t half;
    float f;
    double d;
    int32_t w;
    int64_t l;
    switch (t->dtype) {
    case CONVERT_F32: memcpy(&f, t->data + 4 * i, sizeof f); return f;
    case CONVERT_F16:
    case CONVERT_BF16:
        memcpy(&half, t->data + 2 * i, sizeof half);
        return t->dtype == CONVERT_F16 ? quant_f16_to_f32(half) : quant_bf16_to_f32(half);
    case CONVERT_F64: memcpy(&d, t->data + 8 * i, sizeof d); return (float)d;
    case CONVERT_I32: memcpy(&w, t->data + 4 * i, sizeof w); return (float)w;
    case CONVERT_I64: memcpy(&l, t->data + 8 * i, sizeof l); return (float)l;
    default: return t->data[i];
    }
}

void convert_values(const convert_tensor *t, uint64_t first, uint64_t stride, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = value_at(t, first + i * stride);
}

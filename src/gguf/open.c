// Opening and closing, and what is asked of the whole: sizes, hash, tensors.
#include <string.h>

#include "gguf/internal.h"

enum { SAMPLE = 4096 };  // bytes of a tensor's start and end that go into the hash

static int new_model(gguf **out, const char *path, err *e)
{
    gguf *g = mem_calloc(MEM_GGUF, 1, sizeof *g);
    if (g) {
        g->path = mem_strndup(MEM_GGUF, path, strlen(path));
        g->parts = mem_calloc(MEM_GGUF, 1, sizeof *g->parts);
    }
    if (!g || !g->path || !g->parts) {
        gguf_close(g);
        return err_set(e, ST_NOMEM, "%s: no memory", path);
    }
    *out = g;
    return ST_OK;
}

// Scans the first part, finds the others, builds the tables. Every message begins with a file's name.
static int open_parts(gguf *g, bool splits, err *e)
{
    int rc = gguf_scan(&g->parts[0], e);
    if (rc) {
        err_prefix(e, "%s", g->path);
        return rc;
    }
    rc = splits ? gguf_split_open(g, e) : ST_OK;
    if (rc)
        return rc;
    rc = gguf_parse(g, e);
    if (rc)
        err_prefix(e, "%s", g->path);
    return rc;
}

int gguf_open(gguf **out, const char *path, err *e)
{
    gguf *g = NULL;
    *out = NULL;
    int rc = new_model(&g, path, e);
    if (rc)
        return rc;
    rc = os_map_file(&g->parts[0].map, path, e);
    if (!rc) {
        g->parts[0].mapped = true;
        g->n_parts = 1;
        rc = open_parts(g, true, e);
    }
    if (rc)
        gguf_close(g);
    else
        *out = g;
    return rc;
}

int gguf_open_memory(gguf **out, const void *data, size_t size, err *e)
{
    gguf *g = NULL;
    *out = NULL;
    int rc = new_model(&g, "(memory)", e);
    if (rc)
        return rc;
    g->parts[0].map = (os_map){data, size};
    g->n_parts = 1;
    rc = open_parts(g, false, e);
    if (rc)
        gguf_close(g);
    else
        *out = g;
    return rc;
}

void gguf_close(gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_parts; i++)
        if (g->parts[i].mapped)
            os_unmap(&g->parts[i].map);
    mem_free(g->key_index.slots);
    mem_free(g->tensor_index.slots);
    mem_free(g->names);
    mem_free(g->keys);
    mem_free(g->arrays);
    mem_free(g->string_at);
    mem_free(g->tensors);
    mem_free(g->parts);
    mem_free(g->path);
    mem_free(g);
}

const char *gguf_path(const gguf *g)
{
    return g->path;
}

uint32_t gguf_version(const gguf *g)
{
    return g->parts[0].version;
}

uint64_t gguf_file_bytes(const gguf *g)
{
    uint64_t n = 0;
    for (size_t i = 0; i < g->n_parts; i++)
        n += g->parts[i].map.size;
    return n;
}

uint64_t gguf_model_hash(const gguf *g)
{
    uint64_t h = 0;
    for (size_t i = 0; i < g->n_parts; i++)
        h = hash_combine(h, g->parts[i].map.data, (size_t)g->parts[i].data_at);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const gguf_tensor *t = &g->tensors[i];
        h = hash_combine(h, t->data, MIN(t->size, SAMPLE));
        if (t->size > SAMPLE)
            h = hash_combine(h, t->data + t->size - SAMPLE, SAMPLE);
        // A page read brings in its neighbours, up to 2 MiB of them: of 310 tensors, hundreds of MiB resident.
        if (g->parts[0].mapped)
            os_map_dontneed(t->data, t->size);
    }
    return h;
}

size_t gguf_tensor_count(const gguf *g)
{
    return g->n_tensors;
}

const gguf_tensor *gguf_tensor_at(const gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const gguf_tensor *gguf_tensor_find(const gguf *g, const char *name)
{
    size_t i = gguf_index_find(&g->tensor_index, g->tensors, sizeof *g->tensors, name);
    return i == SIZE_MAX ? NULL : &g->tensors[i];
}

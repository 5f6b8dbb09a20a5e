// Importance files, read and written. The layout is llama.cpp's, so that either program's files serve the other.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quantize/own.h"

int quantize_imatrix_open(quantize_imatrix *m, const char *path, err *e)
{
    *m = (quantize_imatrix){0};
    int rc = gguf_open(&m->file, path, e);
    if (rc)
        return rc;
    gguf_str type;
    if (!gguf_get_str(m->file, "general.type", &type) || type.n != 7 || memcmp(type.p, "imatrix", 7) != 0) {
        quantize_imatrix_close(m);
        return err_set(e, ST_FORMAT, "%s: not an importance matrix; `irori imatrix` makes one", path);
    }
    for (size_t i = 0; i < gguf_tensor_count(m->file); i++) {
        const gguf_tensor *t = gguf_tensor_at(m->file, i);
        m->hash = hash_combine(m->hash, t->data, t->size);
        if (t->type == QT_F32)
            continue;
        rc = err_set(e, ST_FORMAT, "%s: tensor %s is %s, needed F32", path, t->name,
                     quant_type_info(t->type)->name);
        quantize_imatrix_close(m);
        return rc;
    }
    return ST_OK;
}

void quantize_imatrix_close(quantize_imatrix *m)
{
    gguf_close(m->file);
    *m = (quantize_imatrix){0};
}

static const gguf_tensor *find(const quantize_imatrix *m, const gguf_tensor *t, const char *what)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", t->name, what);
    return gguf_tensor_find(m->file, name);
}

int quantize_imatrix_get(const quantize_imatrix *m, const gguf_tensor *t, float **means, err *e)
{
    *means = NULL;
    const gguf_tensor *sum2 = m->file ? find(m, t, "in_sum2") : NULL,
                      *counts = sum2 ? find(m, t, "counts") : NULL;
    if (!counts)
        return ST_OK;
    uint64_t columns = t->dims[0], matrices = t->dims[2] * t->dims[3];
    if (sum2->dims[0] != columns || quantize_row_count(sum2) != matrices ||
        counts->dims[0] * quantize_row_count(counts) != matrices)
        return err_set(e, ST_FORMAT, "%s: %s is %llu x %llu, but tensor %s has %llu columns in %llu matrices",
                       gguf_path(m->file), sum2->name, (unsigned long long)sum2->dims[0],
                       (unsigned long long)quantize_row_count(sum2), t->name, (unsigned long long)columns,
                       (unsigned long long)matrices);
    float *v = mem_alloc(MEM_OTHER, sum2->size);
    if (!v)
        return err_set(e, ST_NOMEM, "no memory for the importance of %s", t->name);
    memcpy(v, sum2->data, sum2->size);
    for (uint64_t k = 0; k < matrices; k++) {
        float count;
        memcpy(&count, counts->data + k * sizeof count, sizeof count);
        for (uint64_t i = 0; i < columns; i++) {
            float *at = &v[k * columns + i];
            *at = count > 0 ? *at / count : 1;  // an expert that was never asked: all columns alike
            if (!isfinite(*at) || *at < 0) {
                mem_free(v);
                return err_set(e, ST_FORMAT, "%s: %s holds values that are no mean squares",
                               gguf_path(m->file), sum2->name);
            }
        }
    }
    *means = v;
    return ST_OK;
}

static int fill_sum2(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    const quantize_sums *s = ctx;
    float *out = dst;  // pieces are multiples of 4 bytes
    for (size_t i = 0; i < n / sizeof *out; i++)
        out[i] = (float)s->sum2[offset / sizeof *out + i];
    return ST_OK;
}

static int fill_count(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    const quantize_sums *s = ctx;
    float *out = dst;
    for (size_t i = 0; i < n / sizeof *out; i++)
        out[i] = (float)s->count[offset / sizeof *out + i];
    return ST_OK;
}

int quantize_imatrix_save(const quantize_sums *sums, size_t n, const char *source, uint32_t chunks,
                          uint32_t chunk_tokens, const char *path, err *e)
{
    gguf_writer *w;
    if (gguf_writer_new(&w))
        return err_set(e, ST_NOMEM, "%s: no memory", path);
    gguf_str from = {source, strlen(source)};
    gguf_writer_str(w, "general.type", "imatrix", 7);
    gguf_writer_array_str(w, "imatrix.datasets", &from, 1);
    gguf_writer_u32(w, "imatrix.chunk_count", chunks);
    gguf_writer_u32(w, "imatrix.chunk_size", chunk_tokens);
    for (size_t i = 0; i < n; i++) {
        char name[96];
        uint64_t shape[2] = {(uint64_t)sums[i].columns, (uint64_t)sums[i].matrices},
                 counts[2] = {1, shape[1]};
        snprintf(name, sizeof name, "%s.in_sum2", sums[i].name);
        gguf_writer_tensor(w, name, QT_F32, 2, shape, fill_sum2, (void *)(uintptr_t)&sums[i]);
        snprintf(name, sizeof name, "%s.counts", sums[i].name);
        gguf_writer_tensor(w, name, QT_F32, 2, counts, fill_count, (void *)(uintptr_t)&sums[i]);
    }
    int rc = gguf_writer_save(w, path, e);
    gguf_writer_free(w);
    return rc;
}

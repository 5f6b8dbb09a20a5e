// Writing: metadata and tensor descriptions gather in two buffers, the data comes from the callers' fill
// functions at save time, so that a model never has to fit in memory.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gguf/internal.h"

enum { ALIGNMENT = 32, PIECE = 1 << 20 };

typedef struct pending {
    char name[GGUF_MAX_TENSOR_NAME + 1];
    uint64_t offset, size;
    gguf_fill_fn *fill;
    void *ctx;
} pending;

struct gguf_writer {
    buf keys, tensors;  // as they will stand in the file
    buf pending;        // an array of struct pending
    uint64_t n_keys, n_tensors;
    uint64_t data_bytes;
    err failed;  // the first failure; code 0 while there is none
};

static void put_u32(buf *b, uint32_t v)
{
    uint8_t p[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_add(b, p, sizeof p);
}

static void put_u64(buf *b, uint64_t v)
{
    put_u32(b, (uint32_t)v);
    put_u32(b, (uint32_t)(v >> 32));
}

static void put_f32(buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_u32(b, bits);
}

static void put_str(buf *b, const char *s, size_t n)
{
    put_u64(b, n);
    buf_add(b, s, n);
}

int gguf_writer_new(gguf_writer **out)
{
    gguf_writer *w = mem_calloc(MEM_GGUF, 1, sizeof *w);
    *out = w;
    if (!w)
        return ST_NOMEM;
    buf_init(&w->keys);
    buf_init(&w->tensors);
    buf_init(&w->pending);
    return ST_OK;
}

void gguf_writer_free(gguf_writer *w)
{
    if (!w)
        return;
    buf_done(&w->keys);
    buf_done(&w->tensors);
    buf_done(&w->pending);
    mem_free(w);
}

static buf *begin_key(gguf_writer *w, const char *key, enum gguf_value_type type)
{
    size_t n = strlen(key);
    if ((n < 1 || n > GGUF_MAX_KEY_NAME) && !w->failed.code)
        err_set(&w->failed, ST_INVALID, "a key has %zu bytes, 1 to %d allowed", n, GGUF_MAX_KEY_NAME);
    put_str(&w->keys, key, n);
    put_u32(&w->keys, type);
    w->n_keys++;
    return &w->keys;
}

static buf *begin_array(gguf_writer *w, const char *key, enum gguf_value_type elem, size_t n)
{
    buf *b = begin_key(w, key, GGUF_ARRAY);
    put_u32(b, elem);
    put_u64(b, n);
    return b;
}

void gguf_writer_u32(gguf_writer *w, const char *key, uint32_t v)
{
    put_u32(begin_key(w, key, GGUF_U32), v);
}

void gguf_writer_i32(gguf_writer *w, const char *key, int32_t v)
{
    put_u32(begin_key(w, key, GGUF_I32), (uint32_t)v);
}

void gguf_writer_u64(gguf_writer *w, const char *key, uint64_t v)
{
    put_u64(begin_key(w, key, GGUF_U64), v);
}

void gguf_writer_f32(gguf_writer *w, const char *key, float v)
{
    put_f32(begin_key(w, key, GGUF_F32), v);
}

void gguf_writer_bool(gguf_writer *w, const char *key, bool v)
{
    buf_add_char(begin_key(w, key, GGUF_BOOL), (char)v);
}

void gguf_writer_str(gguf_writer *w, const char *key, const char *s, size_t n)
{
    put_str(begin_key(w, key, GGUF_STRING), s, n);
}

void gguf_writer_array_str(gguf_writer *w, const char *key, const gguf_str *v, size_t n)
{
    buf *b = begin_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_str(b, v[i].p, v[i].n);
}

void gguf_writer_array_u8(gguf_writer *w, const char *key, const uint8_t *v, size_t n)
{
    buf_add(begin_array(w, key, GGUF_U8, n), v, n);
}

void gguf_writer_array_i32(gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    buf *b = begin_array(w, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        put_u32(b, (uint32_t)v[i]);
}

void gguf_writer_array_u32(gguf_writer *w, const char *key, const uint32_t *v, size_t n)
{
    buf *b = begin_array(w, key, GGUF_U32, n);
    for (size_t i = 0; i < n; i++)
        put_u32(b, v[i]);
}

void gguf_writer_array_f32(gguf_writer *w, const char *key, const float *v, size_t n)
{
    buf *b = begin_array(w, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        put_f32(b, v[i]);
}

void gguf_writer_copy(gguf_writer *w, const gguf *g, size_t i)
{
    if (i >= g->n_keys)
        return;
    const uint8_t *value = g->keys[i].value;
    uint32_t type = gguf_load_u32(value);
    const uint8_t *end = gguf_parse_skip(type, value + 4);
    buf_add(begin_key(w, g->keys[i].name, (enum gguf_value_type)type), value + 4, (size_t)(end - value - 4));
}

// Bytes of the tensor, or 0 when a reader would refuse its shape.
static uint64_t shape_bytes(int type, uint32_t n_dims, const uint64_t *dims)
{
    if (n_dims < 1 || n_dims > GGUF_MAX_DIMS || dims[0] < 1)
        return 0;
    uint64_t bytes = quant_row_bytes(type, dims[0]);
    for (uint32_t d = 1; d < n_dims; d++)
        if (!check_mul(bytes, dims[d], &bytes))
            return 0;
    return bytes <= INT64_MAX / 2 ? bytes : 0;
}

void gguf_writer_tensor(gguf_writer *w, const char *name, int type, uint32_t n_dims, const uint64_t *dims,
                        gguf_fill_fn *fill, void *ctx)
{
    size_t n = strlen(name);
    pending t = {.offset = round_up(w->data_bytes, ALIGNMENT), .fill = fill, .ctx = ctx};
    t.size = shape_bytes(type, n_dims, dims);
    if (n < 1 || n > GGUF_MAX_TENSOR_NAME || t.size == 0 || t.size > INT64_MAX - t.offset) {
        if (!w->failed.code)
            err_set(
                &w->failed, ST_INVALID,
                "tensor %.*s: needs a name of 1 to %d bytes (has %zu) and a valid shape (type %d, %u dims)",
                gguf_scan_shown(name, n), name, GGUF_MAX_TENSOR_NAME, n, type, n_dims);
        return;
    }
    memcpy(t.name, name, n + 1);
    buf_add(&w->pending, &t, sizeof t);
    put_str(&w->tensors, name, n);
    put_u32(&w->tensors, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        put_u64(&w->tensors, dims[d]);
    put_u32(&w->tensors, (uint32_t)type);
    put_u64(&w->tensors, t.offset);
    w->n_tensors++;
    w->data_bytes = t.offset + t.size;
}

static int put(FILE *f, const void *p, size_t n, const char *path, err *e)
{
    if (n == 0 || fwrite(p, 1, n, f) == n)
        return ST_OK;
    return err_set(e, ST_IO, "%s: writing %zu bytes: %s", path, n, strerror(errno));
}

static int put_padding(FILE *f, uint64_t at, const char *path, err *e)
{
    static const char zeros[ALIGNMENT];
    return put(f, zeros, (size_t)(round_up(at, ALIGNMENT) - at), path, e);
}

static int put_tensor(FILE *f, const pending *t, void *piece, const char *path, err *e)
{
    int rc = ST_OK;
    for (uint64_t at = 0; at < t->size && !rc; at += PIECE) {
        size_t n = (size_t)MIN(t->size - at, PIECE);
        rc = t->fill(t->ctx, t->name, at, piece, n);
        if (rc)
            return err_set(e, rc, "%s: tensor %s: no data for bytes %llu to %llu: %s", path, t->name,
                           (unsigned long long)at, (unsigned long long)(at + n), status_name(rc));
        rc = put(f, piece, n, path, e);
    }
    return rc ? rc : put_padding(f, t->size, path, e);
}

static int check(const gguf_writer *w, err *e)
{
    if (w->keys.failed || w->tensors.failed || w->pending.failed)
        return err_set(e, ST_NOMEM, "no memory for the metadata");
    return w->failed.code ? err_set(e, w->failed.code, "%s", w->failed.msg) : ST_OK;
}

int gguf_writer_head(const gguf_writer *w, buf *head, uint64_t *file_bytes, err *e)
{
    static const char zeros[ALIGNMENT];
    int rc = check(w, e);
    if (rc)
        return rc;
    size_t from = head->len;
    buf_add(head, "GGUF", 4);
    put_u32(head, 3);
    put_u64(head, w->n_tensors);
    put_u64(head, w->n_keys);
    if (w->keys.len)
        buf_add(head, w->keys.data, w->keys.len);
    if (w->tensors.len)
        buf_add(head, w->tensors.data, w->tensors.len);
    buf_add(head, zeros, (size_t)(round_up(head->len - from, ALIGNMENT) - (head->len - from)));
    *file_bytes = head->len - from + round_up(w->data_bytes, ALIGNMENT);
    return head->failed ? err_set(e, ST_NOMEM, "no memory for the metadata") : ST_OK;
}

uint64_t gguf_writer_offset(const gguf_writer *w, size_t i)
{
    return i < w->n_tensors ? ((const pending *)(const void *)w->pending.data)[i].offset : 0;
}

static int put_all(gguf_writer *w, FILE *f, void *piece, const char *path, err *e)
{
    buf head;
    buf_init(&head);
    uint64_t bytes;
    int rc = gguf_writer_head(w, &head, &bytes, e);
    if (!rc)
        rc = put(f, head.data, head.len, path, e);
    buf_done(&head);
    for (uint64_t i = 0; i < w->n_tensors && !rc; i++)
        rc = put_tensor(f, (const pending *)(const void *)w->pending.data + i, piece, path, e);
    return rc;
}

// Creates `partial`, writes everything and makes sure that it is on the disk.
static int save_as(gguf_writer *w, const char *partial, void *piece, err *e)
{
    FILE *f = fopen(partial, "wb");
    if (!f)
        return err_set(e, ST_IO, "%s: %s", partial, strerror(errno));
    int rc = put_all(w, f, piece, partial, e);
    if (!rc && (fflush(f) != 0 || fsync(fileno(f)) != 0))
        rc = err_set(e, ST_IO, "%s: %s", partial, strerror(errno));
    if (fclose(f) != 0 && !rc)
        rc = err_set(e, ST_IO, "%s: %s", partial, strerror(errno));
    return rc;
}

int gguf_writer_save(gguf_writer *w, const char *path, err *e)
{
    err why;
    int rc = check(w, &why);
    if (rc)
        return err_set(e, rc, "%s: %s", path, why.msg);
    buf partial;
    buf_init(&partial);
    buf_printf(&partial, "%s.partial", path);
    void *piece = mem_alloc(MEM_GGUF, PIECE);
    if (partial.failed || !piece)
        rc = err_set(e, ST_NOMEM, "%s: no memory to write", path);
    else
        rc = save_as(w, partial.data, piece, e);
    if (!rc && rename(partial.data, path) != 0)
        rc = err_set(e, ST_IO, "%s: cannot rename %s to it: %s", path, partial.data, strerror(errno));
    if (rc && partial.data && !partial.failed)
        remove(partial.data);
    mem_free(piece);
    buf_done(&partial);
    return rc;
}

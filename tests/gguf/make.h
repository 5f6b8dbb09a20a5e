// Builds GGUF files in memory, good or bad: nothing here checks anything, so a test can write what it likes.
//
//   make m;
//   make_init(&m);
//   make_str(&m, "general.architecture", "llama");
//   make_tensor(&m, "output_norm.weight", QT_F32, 1, (uint64_t[]){64}, NULL);
//   const buf *file = make_finish(&m);      // file->data, file->len; owned by m
//   make_done(&m);
#ifndef TESTS_GGUF_MAKE_H
#define TESTS_GGUF_MAKE_H

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "gguf/gguf.h"

typedef struct make {
    buf keys, tensors, data, out;
    uint32_t version;
    uint64_t n_keys, n_tensors;  // what the header will claim; raised by the functions below
    uint64_t alignment;          // of the data; the key general.alignment is the caller's business
} make;

static inline void make_init(make *m)
{
    memset(m, 0, sizeof *m);
    m->version = 3;
    m->alignment = 32;
}

static inline void make_done(make *m)
{
    buf_done(&m->keys);
    buf_done(&m->tensors);
    buf_done(&m->data);
    buf_done(&m->out);
}

// The n low bytes of v, little-endian.
static inline void make_int(buf *b, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_add_char(b, (char)(uint8_t)(v >> 8 * i));
}

static inline void make_text(buf *b, const char *s)
{
    make_int(b, strlen(s), 8);
    buf_add_str(b, s);
}

static inline void make_float(buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    make_int(b, bits, 4);
}

// Begins a key; the caller appends the value to what this returns.
static inline buf *make_key(make *m, const char *key, uint32_t type)
{
    make_text(&m->keys, key);
    make_int(&m->keys, type, 4);
    m->n_keys++;
    return &m->keys;
}

// Begins a key with an array; the caller appends n elements.
static inline buf *make_array(make *m, const char *key, uint32_t elem, uint64_t n)
{
    buf *b = make_key(m, key, GGUF_ARRAY);
    make_int(b, elem, 4);
    make_int(b, n, 8);
    return b;
}

static inline void make_str(make *m, const char *key, const char *value)
{
    make_text(make_key(m, key, GGUF_STRING), value);
}

static inline void make_u32(make *m, const char *key, uint32_t v)
{
    make_int(make_key(m, key, GGUF_U32), v, 4);
}

static inline void make_f32(make *m, const char *key, float v)
{
    make_float(make_key(m, key, GGUF_F32), v);
}

static inline void make_bool(make *m, const char *key, bool v)
{
    make_int(make_key(m, key, GGUF_BOOL), v, 1);
}

static inline void make_strs(make *m, const char *key, const char *const *v, size_t n)
{
    buf *b = make_array(m, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        make_text(b, v[i]);
}

static inline void make_i32s(make *m, const char *key, const int32_t *v, size_t n)
{
    buf *b = make_array(m, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        make_int(b, (uint32_t)v[i], 4);
}

static inline void make_f32s(make *m, const char *key, const float *v, size_t n)
{
    buf *b = make_array(m, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        make_float(b, v[i]);
}

// A description alone: any type, any offset, no data.
static inline void make_tensor_info(make *m, const char *name, uint32_t type, uint32_t n_dims,
                                    const uint64_t *dims, uint64_t offset)
{
    make_text(&m->tensors, name);
    make_int(&m->tensors, n_dims, 4);
    for (uint32_t d = 0; d < n_dims; d++)
        make_int(&m->tensors, dims[d], 8);
    make_int(&m->tensors, type, 4);
    make_int(&m->tensors, offset, 8);
    m->n_tensors++;
}

// A tensor with its data; NULL gives zeros. The type and shape must be valid.
static inline void make_tensor(make *m, const char *name, int type, uint32_t n_dims, const uint64_t *dims,
                               const void *data)
{
    uint64_t bytes = quant_row_bytes(type, dims[0]);
    for (uint32_t d = 1; d < n_dims; d++)
        bytes *= dims[d];
    while (m->data.len % m->alignment)
        buf_add_char(&m->data, 0);
    make_tensor_info(m, name, (uint32_t)type, n_dims, dims, m->data.len);
    for (uint64_t i = 0; i < bytes; i++)
        buf_add_char(&m->data, data ? ((const char *)data)[i] : 0);
}

static inline const buf *make_finish(make *m)
{
    buf_clear(&m->out);
    buf_add_str(&m->out, "GGUF");
    make_int(&m->out, m->version, 4);
    make_int(&m->out, m->n_tensors, 8);
    make_int(&m->out, m->n_keys, 8);
    buf_add(&m->out, m->keys.data, m->keys.len);
    buf_add(&m->out, m->tensors.data, m->tensors.len);
    while (m->data.len && m->out.len % m->alignment)
        buf_add_char(&m->out, 0);
    buf_add(&m->out, m->data.data, m->data.len);
    return &m->out;
}

// Writes the finished file; false when the system refuses.
static inline bool make_save(make *m, const char *path)
{
    const buf *b = make_finish(m);
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool ok = fwrite(b->data, 1, b->len, f) == b->len;
    return fclose(f) == 0 && ok;
}

#endif

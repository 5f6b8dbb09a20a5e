// See requant.h.
#include "api/requant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

typedef struct source {
    const gguf_tensor *t;
    int type;
    bool decoded;
} source;

static bool changes(const gguf_tensor *t, int type)
{
    // Routers stay as they are, here and in published files: another rounding would choose other experts.
    return t->n_dims >= 2 && !strstr(t->name, "ffn_gate_inp") && quant_row_bytes(type, t->dims[0]) > 0;
}

// The whole tensor in its new form, handed out piece by piece.
static int fill(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    const source *s = ctx;
    const gguf_tensor *t = s->t;
    if (!changes(t, s->type)) {
        memcpy(dst, t->data + offset, n);
        return 0;
    }
    size_t k = (size_t)t->dims[0], row = quant_row_bytes(s->type, k),
           rows = t->size / quant_row_bytes(t->type, k);
    size_t each = s->decoded ? k * sizeof(float) : row;
    uint8_t *all = malloc(each * rows), *codes = malloc(row);
    float *v = malloc(k * sizeof *v);
    for (size_t r = 0; r < rows; r++) {
        quant_type_info(t->type)->decode(t->data + r * quant_row_bytes(t->type, k), v, k);
        quant_type_info(s->type)->encode(v, codes, k);
        if (s->decoded)
            quant_type_info(s->type)->decode(codes, v, k);
        memcpy(all + r * each, s->decoded ? (const void *)v : codes, each);
    }
    memcpy(dst, all + offset, n);
    free(all);
    free(codes);
    free(v);
    return 0;
}

static void copy_array(gguf_writer *w, const gguf *g, const char *key, enum gguf_value_type elem, size_t n)
{
    gguf_str *text = calloc(n + 1, sizeof *text);
    int32_t *whole = calloc(n + 1, sizeof *whole);
    float *real = calloc(n + 1, sizeof *real);
    for (size_t i = 0; i < n; i++) {
        gguf_array_str(g, key, i, &text[i]);
        gguf_array_i32(g, key, i, &whole[i]);
        gguf_array_f32(g, key, i, &real[i]);
    }
    if (elem == GGUF_STRING)
        gguf_writer_array_str(w, key, text, n);
    else if (elem == GGUF_F32)
        gguf_writer_array_f32(w, key, real, n);
    else
        gguf_writer_array_i32(w, key, whole, n);
    free(text);
    free(whole);
    free(real);
}

static void copy_key(gguf_writer *w, const gguf *g, const char *key, enum gguf_value_type type)
{
    gguf_str s;
    enum gguf_value_type elem;
    uint64_t n;
    uint32_t u;
    float f;
    bool b;
    if (type == GGUF_STRING && gguf_get_str(g, key, &s))
        gguf_writer_str(w, key, s.p, s.n);
    else if (type == GGUF_ARRAY && gguf_get_array(g, key, &elem, &n))
        copy_array(w, g, key, elem, (size_t)n);
    else if (type == GGUF_BOOL && gguf_get_bool(g, key, &b))
        gguf_writer_bool(w, key, b);
    else if (type == GGUF_F32 && gguf_get_f32(g, key, &f))
        gguf_writer_f32(w, key, f);
    else if (gguf_get_u32(g, key, &u))
        gguf_writer_u32(w, key, u);
}

int requant(const char *from, const char *path, int type, bool decoded)
{
    gguf *g;
    gguf_writer *w;
    if (gguf_open(&g, from, NULL))
        return ST_IO;
    gguf_writer_new(&w);
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        enum gguf_value_type kind;
        const char *key = gguf_key_at(g, i, &kind);
        if (strcmp(key, "general.file_type") != 0 && strcmp(key, "general.alignment") != 0)
            copy_key(w, g, key, kind);
    }
    source *s = calloc(gguf_tensor_count(g), sizeof *s);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        s[i] = (source){t, type, decoded};
        int to = !changes(t, type) ? t->type : decoded ? QT_F32 : type;
        gguf_writer_tensor(w, t->name, to, t->n_dims, t->dims, fill, &s[i]);
    }
    int rc = gguf_writer_save(w, path, NULL);
    gguf_writer_free(w);
    free(s);
    gguf_close(g);
    return rc;
}

// Fetching keys and tensors, each checked as it is fetched.
#include "model/build.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int build_fail(build *b, int code, const char *fmt, ...)
{
    if (b->rc)
        return b->rc;
    char msg[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return b->rc = err_set(b->e, code, "%s: %s", gguf_path(b->g), msg);
}

typedef char key_text[96];

static const char *full_key(const build *b, const char *key, key_text out)
{
    snprintf(out, sizeof(key_text), "%s.%s", b->m->arch->name, key);
    return out;
}

uint32_t build_u32_or(build *b, const char *key, uint32_t otherwise, uint32_t least, uint32_t most)
{
    key_text name;
    uint32_t v = otherwise;
    if (b->rc)
        return otherwise;
    if (!gguf_get_u32(b->g, full_key(b, key, name), &v)) {
        if (gguf_has(b->g, name))
            build_fail(b, ST_UNSUPPORTED, "%s is not one whole number of 32 bits", name);
        return otherwise;
    }
    if (v < least || v > most) {
        build_fail(b, ST_FORMAT, "%s is %u, allowed %u..%u", name, v, least, most);
        return otherwise;
    }
    return v;
}

uint32_t build_u32(build *b, const char *key, uint32_t least, uint32_t most)
{
    key_text name;
    if (!b->rc && !gguf_has(b->g, full_key(b, key, name)))
        build_fail(b, ST_FORMAT, "key %s is missing; the file is not a complete %s model", name,
                   b->m->arch->name);
    return build_u32_or(b, key, least, least, most);
}

float build_f32_or(build *b, const char *key, float otherwise)
{
    key_text name;
    float v = otherwise;
    if (b->rc)
        return otherwise;
    if (!gguf_get_f32(b->g, full_key(b, key, name), &v)) {
        if (gguf_has(b->g, name))
            build_fail(b, ST_UNSUPPORTED, "%s is not one number", name);
        return otherwise;
    }
    if (!isfinite(v)) {
        build_fail(b, ST_FORMAT, "%s is not a finite number", name);
        return otherwise;
    }
    return v;
}

float build_f32(build *b, const char *key)
{
    key_text name;
    if (!b->rc && !gguf_has(b->g, full_key(b, key, name)))
        build_fail(b, ST_FORMAT, "key %s is missing; the file is not a complete %s model", name,
                   b->m->arch->name);
    return build_f32_or(b, key, 0);
}

void build_common_params(build *b)
{
    model_params *p = &b->m->params;
    p->layers = (int)build_u32(b, "block_count", 1, 4096);
    p->width = (int)build_u32(b, "embedding_length", 16, 1 << 17);
    p->heads = (int)build_u32(b, "attention.head_count", 1, 1 << 12);
    p->kv_heads = (int)build_u32_or(b, "attention.head_count_kv", (uint32_t)p->heads, 1, (uint32_t)p->heads);
    p->ff = (int)build_u32(b, "feed_forward_length", 16, 1 << 20);
    p->context = (int)build_u32(b, "context_length", 1, 1 << 28);
    p->head_dim = (int)build_u32_or(b, "attention.key_length", (uint32_t)(p->width / p->heads), 16, 512);
    int value_dim = (int)build_u32_or(b, "attention.value_length", (uint32_t)p->head_dim, 16, 512);
    key_text center;
    bool centered = gguf_has(b->g, full_key(b, "attention.layer_norm_epsilon", center));
    p->norm_eps = build_f32(b,
                            centered ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon");
    p->rope_dims = (int)build_u32_or(b, "rope.dimension_count", (uint32_t)p->head_dim, 0,
                                     (uint32_t)p->head_dim);
    p->rope_base = build_f32_or(b, "rope.freq_base", 10000);
    p->window = (int)build_u32_or(b, "attention.sliding_window", 0, 0, 1 << 28);
    if (p->heads % p->kv_heads)
        build_fail(b, ST_FORMAT, "%d heads are no multiple of %d KV heads", p->heads, p->kv_heads);
    if (p->head_dim < 16 || p->head_dim > 512)  // also when it follows from the width
        build_fail(b, ST_UNSUPPORTED, "head size %d, allowed 16..512", p->head_dim);
    if (p->head_dim % 16 || p->rope_dims % 2)
        build_fail(b, ST_UNSUPPORTED, "head size %d (rotary %d); a multiple of 16 (2) is needed", p->head_dim,
                   p->rope_dims);
    if (value_dim != p->head_dim)
        build_fail(b, ST_UNSUPPORTED, "value heads of %d beside key heads of %d; equal sizes are needed",
                   value_dim, p->head_dim);
    if (p->norm_eps < 0 || p->rope_base <= 0)
        build_fail(b, ST_FORMAT, "norm epsilon %g or rope base %g is out of range", (double)p->norm_eps,
                   (double)p->rope_base);
}

bool build_layer_slides(build *b, int layer, int period)
{
    key_text name;
    enum gguf_value_type elem;
    uint64_t count;
    int32_t slides = 0;
    if (gguf_get_array(b->g, full_key(b, "attention.sliding_window_pattern", name), &elem, &count)) {
        if (!gguf_array_i32(b->g, name, (uint64_t)layer, &slides))
            build_fail(b, ST_FORMAT, "%s holds no flag for layer %d", name, layer);
        return slides != 0;
    }
    int n = (int)build_u32_or(b, "attention.sliding_window_pattern", (uint32_t)period, 1, 4096);
    return (layer + 1) % n != 0;
}

typedef char tensor_name[80];

static const gguf_tensor *find(build *b, bool optional, tensor_name name, const char *fmt, va_list ap)
{
    if (b->rc)
        return NULL;
    vsnprintf(name, sizeof(tensor_name), fmt, ap);
    const gguf_tensor *t = gguf_tensor_find(b->g, name);
    if (!t && !optional)
        build_fail(b, ST_FORMAT, "tensor %s is missing", name);
    return t;
}

static bool shape_is(build *b, const gguf_tensor *t, int parts, int n, int k)
{
    if (t->dims[0] == (uint64_t)k && t->dims[1] == (uint64_t)n && t->dims[2] == (uint64_t)parts &&
        t->dims[3] == 1)
        return true;
    build_fail(b, ST_FORMAT, "tensor %s is %llu x %llu x %llu x %llu, needed %d x %d x %d", t->name,
               (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], (unsigned long long)t->dims[2],
               (unsigned long long)t->dims[3], k, n, parts);
    return false;
}

static bool type_is_read(build *b, const gguf_tensor *t)
{
    const quant_info *info = quant_type_info(t->type);
    if (info && info->decode)
        return true;
    build_fail(b, ST_UNSUPPORTED, "tensor %s has type %d, which irori does not read", t->name, t->type);
    return false;
}

// Rows [row0, row0 + n) of the `total` x k that the tensor must be.
static int add_rows(build *b, const gguf_tensor *t, int row0, int n, int total, int k, bool lookup_only)
{
    if (!t || !shape_is(b, t, 1, total, k) || !type_is_read(b, t))
        return 0;
    const uint8_t *at = t->data + (size_t)row0 * quant_row_bytes(t->type, (uint64_t)k);
    return graph_add_weight(&b->m->graph, (graph_weight){.name = t->name,
                                                         .type = t->type,
                                                         .n = n,
                                                         .k = k,
                                                         .data = at,
                                                         .row0 = row0,
                                                         .lookup_only = lookup_only});
}

int build_matrix(build *b, int n, int k, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, false, name, fmt, ap);
    va_end(ap);
    return add_rows(b, t, 0, n, n, k, false);
}

int build_rows(build *b, int row0, int n, int total, int k, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, false, name, fmt, ap);
    va_end(ap);
    return add_rows(b, t, row0, n, total, k, false);
}

uint64_t build_row_count(const build *b, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    const gguf_tensor *t = gguf_tensor_find(b->g, name);
    return t ? t->dims[1] : 0;
}

int build_experts(build *b, int parts, int n, int k, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, false, name, fmt, ap);
    va_end(ap);
    if (!t || !shape_is(b, t, parts, n, k) || !type_is_read(b, t))
        return 0;
    return graph_add_weight(
        &b->m->graph,
        (graph_weight){.name = t->name, .type = t->type, .n = n, .k = k, .data = t->data, .parts = parts});
}

int build_table(build *b, int n, int k, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, false, name, fmt, ap);
    va_end(ap);
    return add_rows(b, t, 0, n, n, k, true);
}

static const float *add_vectors(build *b, const gguf_tensor *t, int rows, int n)
{
    if (!t || !shape_is(b, t, 1, rows, n) || !type_is_read(b, t))
        return NULL;
    size_t count = (size_t)rows * (size_t)n;
    float *v = arena_alloc(&b->m->graph.mem, count * sizeof *v);
    if (!v) {
        build_fail(b, ST_NOMEM, "no memory for tensor %s", t->name);
        return NULL;
    }
    quant_type_info(t->type)->decode(t->data, v, count);
    return v;
}

const float *build_vector(build *b, int n, bool optional, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, optional, name, fmt, ap);
    va_end(ap);
    return add_vectors(b, t, 1, n);
}

const float *build_vectors(build *b, int rows, int n, bool optional, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, optional, name, fmt, ap);
    va_end(ap);
    return add_vectors(b, t, rows, n);
}

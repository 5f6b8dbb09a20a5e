// Fetching checked keys and tensors, and the blocks that most transformers share.
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
    p->norm_eps = build_f32(b, "attention.layer_norm_rms_epsilon");
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

static bool shape_is(build *b, const gguf_tensor *t, int n, int k)
{
    if (t->dims[0] == (uint64_t)k && t->dims[1] == (uint64_t)n && t->dims[2] == 1 && t->dims[3] == 1)
        return true;
    build_fail(b, ST_FORMAT, "tensor %s is %llu x %llu x %llu x %llu, needed %d x %d", t->name,
               (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], (unsigned long long)t->dims[2],
               (unsigned long long)t->dims[3], k, n);
    return false;
}

static int add_matrix(build *b, const gguf_tensor *t, int n, int k, bool lookup_only)
{
    if (!t || !shape_is(b, t, n, k))
        return 0;
    const quant_info *info = quant_type_info(t->type);
    if (!info || !info->decode) {
        build_fail(b, ST_UNSUPPORTED, "tensor %s has type %d, which irori does not read", t->name, t->type);
        return 0;
    }
    return graph_add_weight(&b->m->graph, (graph_weight){t->name, t->type, n, k, t->data, lookup_only});
}

int build_matrix(build *b, int n, int k, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, false, name, fmt, ap);
    va_end(ap);
    return add_matrix(b, t, n, k, false);
}

int build_table(build *b, int n, int k, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, false, name, fmt, ap);
    va_end(ap);
    return add_matrix(b, t, n, k, true);
}

const float *build_vector(build *b, int n, bool optional, const char *fmt, ...)
{
    tensor_name name;
    va_list ap;
    va_start(ap, fmt);
    const gguf_tensor *t = find(b, optional, name, fmt, ap);
    va_end(ap);
    if (!t || !shape_is(b, t, 1, n))
        return NULL;
    const quant_info *info = quant_type_info(t->type);
    if (!info || !info->decode) {
        build_fail(b, ST_UNSUPPORTED, "tensor %s has type %d, which irori does not read", t->name, t->type);
        return NULL;
    }
    float *v = arena_alloc(&b->m->graph.mem, (size_t)n * sizeof *v);
    if (!v) {
        build_fail(b, ST_NOMEM, "no memory for tensor %s", t->name);
        return NULL;
    }
    info->decode(t->data, v, (size_t)n);
    return v;
}

int build_attention_block(build *b, int layer, int x, int add, const build_attention *o)
{
    const model_params *p = &b->m->params;
    int qn = p->heads * p->head_dim, kn = p->kv_heads * p->head_dim;
    int w[3] = {build_matrix(b, qn, p->width, "blk.%d.attn_q.weight", layer),
                build_matrix(b, kn, p->width, "blk.%d.attn_k.weight", layer),
                build_matrix(b, kn, p->width, "blk.%d.attn_v.weight", layer)};
    const float *bias[3] = {NULL, NULL, NULL};
    if (o->biases) {
        bias[0] = build_vector(b, qn, true, "blk.%d.attn_q.bias", layer);
        bias[1] = build_vector(b, kn, true, "blk.%d.attn_k.bias", layer);
        bias[2] = build_vector(b, kn, true, "blk.%d.attn_v.bias", layer);
    }
    const float *norm = build_vector(b, p->width, false, "blk.%d.attn_norm.weight", layer);
    const float *q_norm = NULL, *k_norm = NULL;
    if (o->head_norms) {
        q_norm = build_vector(b, p->head_dim, false, "blk.%d.attn_q_norm.weight", layer);
        k_norm = build_vector(b, p->head_dim, false, "blk.%d.attn_k_norm.weight", layer);
    }
    int wo = build_matrix(b, p->width, qn, "blk.%d.attn_output.weight", layer);
    const float *bias_o = o->biases ? build_vector(b, p->width, true, "blk.%d.attn_output.bias", layer)
                                    : NULL;
    if (b->rc)
        return 0;
    graph *g = &b->m->graph;
    graph_attention att = {.layer = layer,
                           .heads = p->heads,
                           .kv_heads = p->kv_heads,
                           .head_dim = p->head_dim,
                           .rope = o->rope,
                           .window = o->window,
                           .scale = 1 / sqrtf((float)p->head_dim),
                           .eps = p->norm_eps};
    int qkv[3], out;
    graph_matmul(g, graph_norm(g, x, add, norm, p->norm_eps), w, bias, 3, qkv);
    graph_store(g, qkv[0], qkv[1], qkv[2], q_norm, k_norm, att);
    graph_matmul(g, graph_attend(g, qkv[0], att), &wo, &bias_o, 1, &out);
    return out;
}

int build_swiglu_block(build *b, int layer, int x, int add)
{
    const model_params *p = &b->m->params;
    const float *norm = build_vector(b, p->width, false, "blk.%d.ffn_norm.weight", layer);
    int w[2] = {build_matrix(b, p->ff, p->width, "blk.%d.ffn_gate.weight", layer),
                build_matrix(b, p->ff, p->width, "blk.%d.ffn_up.weight", layer)};
    int down = build_matrix(b, p->width, p->ff, "blk.%d.ffn_down.weight", layer);
    if (b->rc)
        return 0;
    graph *g = &b->m->graph;
    int gate_up[2], out;
    graph_matmul(g, graph_norm(g, x, add, norm, p->norm_eps), w, NULL, 2, gate_up);
    graph_matmul(g, graph_glu(g, gate_up[0], gate_up[1]), &down, NULL, 1, &out);
    return out;
}

int build_head(build *b, int x, int add)
{
    const model_params *p = &b->m->params;
    const float *norm = build_vector(b, p->width, false, "output_norm.weight");
    bool tied = !gguf_tensor_find(b->g, "output.weight");
    int head = build_matrix(b, p->vocab, p->width, "%s", tied ? "token_embd.weight" : "output.weight");
    if (b->rc)
        return 0;
    int logits;
    graph_matmul(&b->m->graph, graph_norm(&b->m->graph, x, add, norm, p->norm_eps), &head, NULL, 1, &logits);
    return logits;
}

void build_decoder(build *b, const build_attention *o)
{
    const model_params *p = &b->m->params;
    graph *g = &b->m->graph;
    int table = build_table(b, p->vocab, p->width, "token_embd.weight");
    if (b->rc)
        return;
    int x = graph_embed(g, table, 1), add = GRAPH_NONE;
    for (int layer = 0; layer < p->layers && !b->rc; layer++) {
        add = build_attention_block(b, layer, x, add, o);
        if (b->rc)
            return;
        if (layer == p->layers - 1) {  // what follows the last attention matters only where logits are wanted
            x = graph_pick(g, x, add);
            add = GRAPH_NONE;
        }
        add = build_swiglu_block(b, layer, x, add);
    }
    int logits = build_head(b, x, add);
    if (!b->rc)
        g->logits = logits;
}

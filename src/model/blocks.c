// The blocks that most transformers share, as lists of graph operations.
//
// A block begins with a norm, which also adds what the block before it left, and leaves its own result to be added.
#include <math.h>

#include "model/build.h"

// A vector of the norm `name`, a layer's or (layer < 0) the model's.
static const float *norm_vector(build *b, int layer, bool optional, const char *name, const char *part)
{
    int n = b->m->params.width;
    return layer < 0 ? build_vector(b, n, optional, "%s.%s", name, part)
                     : build_vector(b, n, optional, "blk.%d.%s.%s", layer, name, part);
}

int build_norm(build *b, int layer, const char *name, build_stream *x, const build_style *s)
{
    graph_rule rule = {.center = s->layer_norm, .eps = b->m->params.norm_eps};
    rule.weight = norm_vector(b, layer, false, name, "weight");
    rule.bias = s->layer_norm ? norm_vector(b, layer, true, name, "bias") : NULL;  // ModernBERT has none
    if (b->rc)
        return 0;
    int y = graph_norm(&b->m->graph, x->x, x->add, rule);
    x->add = (graph_addend){.value = GRAPH_NONE};
    return y;
}

// Leaves `value` to be added, by way of the norm `name` where the style has one.
static void leave(build *b, int layer, const char *name, build_stream *x, const build_style *s, int value)
{
    x->add = (graph_addend){.value = value};
    if (s->post_norms)
        x->add.rms = norm_vector(b, layer, false, name, "weight");
}

// What marks a token as one of the first segment, which all are; NULL where a model has no such marks.
static const float *segment_of(build *b)
{
    enum { MOST_SEGMENTS = 1024 };
    uint64_t rows = build_row_count(b, "token_types.weight");
    if (rows > MOST_SEGMENTS)
        build_fail(b, ST_FORMAT, "token_types.weight has %llu rows, allowed 1..%d", (unsigned long long)rows,
                   MOST_SEGMENTS);
    return rows ? build_vectors(b, (int)rows, b->m->params.width, false, "token_types.weight") : NULL;
}

build_stream build_embedding(build *b, const build_style *s)
{
    const model_params *p = &b->m->params;
    build_stream x = {.add = {.value = GRAPH_NONE}};
    int table = build_table(b, p->vocab, p->width, "token_embd.weight"), places = GRAPH_NONE;
    if (s->positions)
        places = build_table(b, p->context, p->width, "position_embd.weight");
    const float *segment = s->segments ? segment_of(b) : NULL;
    if (!b->rc)
        x.x = graph_embed(&b->m->graph, table, places, segment,
                          s->embedding_scale > 0 ? s->embedding_scale : 1);
    if (s->embedding_norm)
        x.x = build_norm(b, -1, "token_embd_norm", &x, s);
    return x;
}

// Q, K and V with their biases.
static void project_qkv(build *b, int layer, int x, const build_style *s, int *qkv)
{
    static const char *const names[3] = {"attn_q", "attn_k", "attn_v"};
    const model_params *p = &b->m->params;
    const int kn = p->kv_heads * p->head_dim, n[3] = {p->heads * p->head_dim, kn, kn}, total = n[0] + 2 * kn;
    const bool fused = build_row_count(b, "blk.%d.attn_qkv.weight", layer) > 0;
    const float *fused_bias = fused ? build_vector(b, total, !s->biases, "blk.%d.attn_qkv.bias", layer)
                                    : NULL;
    const float *bias[3] = {NULL, NULL, NULL};
    int w[3];
    for (int i = 0, row = 0; i < 3; row += n[i++])
        if (fused) {
            w[i] = build_rows(b, row, n[i], total, p->width, "blk.%d.attn_qkv.weight", layer);
            bias[i] = fused_bias ? fused_bias + row : NULL;
        } else {
            w[i] = build_matrix(b, n[i], p->width, "blk.%d.%s.weight", layer, names[i]);
            bias[i] = build_vector(b, n[i], !s->biases, "blk.%d.%s.bias", layer, names[i]);
        }
    if (!b->rc)
        graph_matmul(&b->m->graph, x, w, bias, 3, qkv);
}

// x times one matrix, with its bias where the file has it.
static int project(build *b, int layer, const char *name, int x, int n, int k)
{
    int w = build_matrix(b, n, k, "blk.%d.%s.weight", layer, name), out = 0;
    const float *bias = build_vector(b, n, true, "blk.%d.%s.bias", layer, name);
    if (!b->rc)
        graph_matmul(&b->m->graph, x, &w, &bias, 1, &out);
    return out;
}

void build_attention_block(build *b, int layer, build_stream *x, const build_style *s)
{
    const model_params *p = &b->m->params;
    graph_attention att = {
        .layer = p->both_ways ? 0 : layer,  // nothing is kept: each layer writes over the last
        .both_ways = p->both_ways,
        .heads = p->heads,
        .kv_heads = p->kv_heads,
        .head_dim = p->head_dim,
        .rope = s->rope,
        .window = s->window,
        .softcap = s->attention_cap,
        .scale = s->attention_scale > 0 ? s->attention_scale : 1 / sqrtf((float)p->head_dim),
        .eps = p->norm_eps};
    int qkv[3] = {0};
    const bool plain = s->norm_after || s->no_norm;
    project_qkv(b, layer, plain ? x->x : build_norm(b, layer, "attn_norm", x, s), s, qkv);
    const float *q_norm = NULL, *k_norm = NULL;
    if (s->head_norms) {
        q_norm = build_vector(b, p->head_dim, false, "blk.%d.attn_q_norm.weight", layer);
        k_norm = build_vector(b, p->head_dim, false, "blk.%d.attn_k_norm.weight", layer);
    }
    if (s->sinks)
        att.sinks = build_vector(b, p->heads, false, "blk.%d.attn_sinks.weight", layer);
    if (b->rc)
        return;
    graph_store(&b->m->graph, qkv[0], qkv[1], qkv[2], q_norm, k_norm, att);
    int seen = graph_attend(&b->m->graph, qkv[0], att);
    int out = project(b, layer, "attn_output", seen, p->width, p->heads * p->head_dim);
    leave(b, layer, "post_attention_norm", x, s, out);
}

// Gate and up; one matrix may hold both, the gate first.
static void project_gate(build *b, int layer, int x, int *gate_up)
{
    const model_params *p = &b->m->params;
    const bool fused = build_row_count(b, "blk.%d.ffn_up.weight", layer) == 2 * (uint64_t)p->ff;
    const float *fused_bias = fused ? build_vector(b, 2 * p->ff, true, "blk.%d.ffn_up.bias", layer) : NULL;
    const float *bias[2] = {fused_bias, fused_bias ? fused_bias + p->ff : NULL};
    int w[2];
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "ffn_up" : "ffn_gate";
        if (fused) {
            w[i] = build_rows(b, i * p->ff, p->ff, 2 * p->ff, p->width, "blk.%d.ffn_up.weight", layer);
        } else {
            w[i] = build_matrix(b, p->ff, p->width, "blk.%d.%s.weight", layer, name);
            bias[i] = build_vector(b, p->ff, true, "blk.%d.%s.bias", layer, name);
        }
    }
    if (!b->rc)
        graph_matmul(&b->m->graph, x, w, bias, 2, gate_up);
}

void build_ff_block(build *b, int layer, build_stream *x, const build_style *s)
{
    const model_params *p = &b->m->params;
    const char *norm = s->ff_norm ? s->ff_norm : "ffn_norm";
    int h = s->norm_after ? x->x : build_norm(b, layer, norm, x, s), gate_up[2] = {0, GRAPH_NONE};
    if (s->no_gate)
        gate_up[0] = project(b, layer, "ffn_up", h, p->ff, p->width);
    else
        project_gate(b, layer, h, gate_up);
    if (b->rc)
        return;
    int inner = graph_glu(&b->m->graph, s->gate, gate_up[0], gate_up[1]);
    leave(b, layer, "post_ffw_norm", x, s, project(b, layer, "ffn_down", inner, p->width, p->ff));
}

void build_layer(build *b, int layer, build_stream *x, const build_style *s)
{
    const model_params *p = &b->m->params;
    build_attention_block(b, layer, x, s);
    if (!b->rc && layer == p->layers - 1 && p->pooling != MODEL_POOL_MEAN) {
        x->x = graph_pick(&b->m->graph, x->x, x->add, p->norm_eps);
        x->add = (graph_addend){.value = GRAPH_NONE};
    }
    if (s->norm_after)
        x->x = build_norm(b, layer, "attn_output_norm", x, s);
    if (p->experts)
        build_experts_block(b, layer, x, s);
    else
        build_ff_block(b, layer, x, s);
    if (s->norm_after)
        x->x = build_norm(b, layer, "layer_output_norm", x, s);
}

void build_head(build *b, build_stream *x, const build_style *s)
{
    const model_params *p = &b->m->params;
    bool tied = build_row_count(b, "output.weight") == 0;
    int h = build_norm(b, -1, "output_norm", x, s);
    if (p->pooling != MODEL_POOL_NONE) {
        build_pooled(b, h, GRAPH_GELU, s);
        return;
    }
    int w = build_matrix(b, p->vocab, p->width, "%s", tied ? "token_embd.weight" : "output.weight");
    if (!b->rc)
        b->m->graph.logits = graph_head(&b->m->graph, h, w, s->logit_cap);
}

void build_decoder(build *b, const build_style *s)
{
    build_stream x = build_embedding(b, s);
    for (int layer = 0; layer < b->m->params.layers && !b->rc; layer++)
        build_layer(b, layer, &x, s);
    build_head(b, &x, s);
}

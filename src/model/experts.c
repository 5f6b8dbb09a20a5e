// The feed-forward block of models with experts (Shazeer et al. 2017, arXiv 1701.06538): a router scores the experts for
// each token, the best few of them answer, and their answers are summed by weight.
#include "model/build.h"

#include <stdio.h>

void build_expert_params(build *b, bool required)
{
    enum { MOST_EXPERTS = 4096 };
    model_params *p = &b->m->params;
    p->experts = (int)(required ? build_u32(b, "expert_count", 1, MOST_EXPERTS)
                                : build_u32_or(b, "expert_count", 0, 0, MOST_EXPERTS));
    if (p->experts == 0)
        return;
    p->experts_used = (int)build_u32(b, "expert_used_count", 1, (uint32_t)p->experts);
    p->expert_ff = (int)build_u32_or(b, "expert_feed_forward_length", (uint32_t)p->ff, 16, 1 << 20);
    // Without the key the weights of those used sum to 1, as in all models these architectures were made for.
    char key[96];
    bool norm = true;
    snprintf(key, sizeof key, "%s.expert_weights_norm", b->m->arch->name);
    gguf_get_bool(b->g, key, &norm);
    p->experts_over_all = !norm;
}

// Biases of all experts, [experts][n]; NULL where the file has none.
static const float *expert_biases(build *b, int layer, const char *name, int n)
{
    return build_vectors(b, b->m->params.experts, n, true, "blk.%d.%s.bias", layer, name);
}

void build_experts_block(build *b, int layer, build_stream *x, const build_style *s)
{
    static const char *const names[2] = {"ffn_gate_exps", "ffn_up_exps"};
    const model_params *p = &b->m->params;
    int h = build_norm(b, layer, s->ff_norm ? s->ff_norm : "ffn_norm", x, s), w[2], scores, sorted,
        gate_up[2], out;
    const float *bias[2];
    int router = build_matrix(b, p->experts, p->width, "blk.%d.ffn_gate_inp.weight", layer);
    const float *router_bias = build_vector(b, p->experts, true, "blk.%d.ffn_gate_inp.bias", layer);
    for (int i = 0; i < 2; i++) {
        w[i] = build_experts(b, p->experts, p->expert_ff, p->width, "blk.%d.%s.weight", layer, names[i]);
        bias[i] = expert_biases(b, layer, names[i], p->expert_ff);
    }
    int down = build_experts(b, p->experts, p->width, p->expert_ff, "blk.%d.ffn_down_exps.weight", layer);
    const float *down_bias = expert_biases(b, layer, "ffn_down_exps", p->width);
    if (b->rc)
        return;
    graph *g = &b->m->graph;
    graph_matmul(g, h, &router, &router_bias, 1, &scores);
    graph_choice how = {.experts = p->experts, .used = p->experts_used, .over_all = p->experts_over_all};
    int choice = graph_route(g, scores, h, how, &sorted);
    graph_expert_matmul(g, sorted, choice, w, bias, 2, gate_up);
    int inner = graph_glu(g, s->gate, gate_up[0], gate_up[1]);
    graph_expert_matmul(g, inner, choice, &down, &down_bias, 1, &out);
    x->add = (graph_addend){.value = graph_blend(g, out, choice)};
}

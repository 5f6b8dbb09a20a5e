// Models that give an embedding or a score for a text instead of the next token: how the last hidden states are pooled, and
// the head of those that rank.
#include <stdio.h>

#include "model/build.h"

void build_pooling_params(build *b)
{
    model_params *p = &b->m->params;
    bool ranks = build_row_count(b, "cls.output.weight") > 0, causal = !p->both_ways;
    uint32_t otherwise = ranks ? MODEL_POOL_RANK : MODEL_POOL_NONE;
    p->pooling = (enum model_pooling)build_u32_or(b, "pooling_type", otherwise, 0, MODEL_POOL_RANK);
    p->pools_first = p->pooling == MODEL_POOL_CLS || (p->pooling == MODEL_POOL_RANK && p->both_ways);
    char key[96];
    snprintf(key, sizeof key, "%s.attention.causal", b->m->arch->name);
    gguf_get_bool(b->g, key, &causal);
    if (causal == p->both_ways)
        build_fail(b, ST_UNSUPPORTED, "%s is %s, which irori does not do with this architecture", key,
                   causal ? "true" : "false");
    if (p->both_ways && p->pooling == MODEL_POOL_NONE)
        build_fail(b, ST_FORMAT, "key %s.pooling_type is missing or 0; an encoder needs it",
                   b->m->arch->name);
    if (!p->both_ways && (p->pooling == MODEL_POOL_MEAN || p->pooling == MODEL_POOL_CLS))
        build_fail(b, ST_UNSUPPORTED, "%s.pooling_type is %d; a decoder's is 3 (last) or 4 (rank)",
                   b->m->arch->name, p->pooling);
    if (p->pooling == MODEL_POOL_RANK && p->both_ways && build_row_count(b, "token_types.weight") > 1)
        build_fail(b, ST_UNSUPPORTED,
                   "a ranker that tells query and document apart by token_types is not supported");
    if (p->pooling == MODEL_POOL_RANK && !ranks)
        build_fail(b, ST_FORMAT, "tensor cls.output.weight is missing, which a model that ranks needs");
}

// The first matrix of a head and what follows it, where there is one.
static int dense_of(build *b, int x, enum graph_gate gate, const build_style *s)
{
    int width = b->m->params.width, w = build_matrix(b, width, width, "cls.weight"), h;
    const float *bias = build_vector(b, width, true, "cls.bias");
    if (b->rc)
        return x;
    graph_matmul(&b->m->graph, x, &w, &bias, 1, &h);
    build_stream y = {.x = graph_glu(&b->m->graph, gate, h, GRAPH_NONE), .add = {.value = GRAPH_NONE}};
    return build_row_count(b, "cls.norm.weight") ? build_norm(b, -1, "cls.norm", &y, s) : y.x;
}

void build_pooled(build *b, int x, enum graph_gate gate, const build_style *s)
{
    const model_params *p = &b->m->params;
    graph *g = &b->m->graph;
    if (b->rc)
        return;
    if (p->pooling == MODEL_POOL_MEAN)
        x = graph_mean(g, x);
    if (p->pooling == MODEL_POOL_RANK) {
        uint64_t scores = build_row_count(b, "cls.output.weight");
        if (scores < 1 || scores > 2)
            build_fail(b, ST_UNSUPPORTED, "cls.output.weight gives %llu scores, 1 or 2 are understood",
                       (unsigned long long)scores);
        if (build_row_count(b, "cls.weight"))
            x = dense_of(b, x, gate, s);
        int w = build_matrix(b, (int)scores, p->width, "cls.output.weight");
        const float *bias = build_vector(b, (int)scores, true, "cls.output.bias");
        if (!b->rc)
            graph_matmul(g, x, &w, &bias, 1, &x);
    }
    g->logits = x;
}

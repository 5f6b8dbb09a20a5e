// BERT (arXiv 1810.04805) and XLM-RoBERTa (1911.02116), whose converter leaves its unused first positions out: encoders with
// learned positions that normalise after each block. Embeddings by BGE, E5 and their like; scores by BGE's rerankers.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.both_ways = true;
    b->m->params.rope_dims = 0;
    b->m->params.window = 0;
}

static void graph_of(build *b)
{
    build_style s = {.layer_norm = true,
                     .norm_after = true,
                     .embedding_norm = true,
                     .positions = true,
                     .segments = true,
                     .no_gate = true,
                     .gate = GRAPH_GELU,
                     .rope = build_rope(b)};
    build_stream x = build_embedding(b, &s);
    for (int layer = 0; layer < b->m->params.layers && !b->rc; layer++)
        build_layer(b, layer, &x, &s);
    build_pooled(b, x.x, GRAPH_TANH, &s);
}

const model_arch model_arch_bert = {"bert", params, graph_of};

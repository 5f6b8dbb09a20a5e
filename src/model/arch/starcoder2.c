// StarCoder 2: LayerNorm, biases everywhere, GELU without a gate, rotary positions, grouped queries. arXiv 2402.19173.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.rope_neox = true;
}

static void graph_of(build *b)
{
    build_style s = {.layer_norm = true,
                     .biases = true,
                     .no_gate = true,
                     .gate = GRAPH_GELU_TANH,
                     .window = b->m->params.window,
                     .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_starcoder2 = {"starcoder2", params, graph_of};

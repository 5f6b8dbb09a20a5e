// GPT-2: LayerNorm, learned positions, biases everywhere, GELU without a gate. Radford et al. 2019.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.rope_dims = 0;
}

static void graph_of(build *b)
{
    build_style s = {.layer_norm = true,
                     .biases = true,
                     .no_gate = true,
                     .positions = true,
                     .gate = GRAPH_GELU_TANH,
                     .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_gpt2 = {"gpt2", params, graph_of};

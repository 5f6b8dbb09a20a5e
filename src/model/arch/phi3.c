// Phi-3, 3.5, 4 and 4-mini: Llama's shape with Q, K and V in one matrix, gate and up in another, rotary pairs half the
// turned part apart (4-mini turns three quarters of a head), LongRoPE. arXiv 2404.14219, 2412.08905, 2503.01743.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.rope_neox = true;
}

static void graph_of(build *b)
{
    build_style s = {.window = b->m->params.window, .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_phi3 = {"phi3", params, graph_of};

// Qwen 2 and 2.5 (also Coder): Llama's shape with biases on Q, K and V, and rotary pairs half a head apart.
// arXiv 2407.10671, 2412.15115.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.rope_neox = true;
    b->m->params.window = 0;  // the key is present in some files, the models do not use it
}

static void graph_of(build *b)
{
    build_style s = {.biases = true, .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_qwen2 = {"qwen2", params, graph_of};

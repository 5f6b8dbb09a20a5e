// Qwen 3 (dense): like Llama, with an RMS norm on every query and key head and rotary pairs half a head apart.
// arXiv 2505.09388.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.rope_neox = true;
    b->m->params.window = 0;  // the key is present in some files, the models do not use it
}

static void graph_of(build *b)
{
    build_style s = {.head_norms = true, .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_qwen3 = {"qwen3", params, graph_of};

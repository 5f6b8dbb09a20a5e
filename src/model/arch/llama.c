// Llama 2 and 3 and what shares their shape (Mistral, TinyLlama, ...): RMS norms, grouped queries, rotary
// positions on neighbouring pairs (the converter permutes Q and K so), gated SiLU. arXiv 2302.13971, 2407.21783.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.rope_neox = false;
}

static void graph_of(build *b)
{
    build_style s = {.window = b->m->params.window, .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_llama = {"llama", params, graph_of};

// Llama 2 and 3 and what shares their shape (Mistral, Mixtral, TinyLlama, ...): RMS norms, grouped queries, rotary
// positions on neighbouring pairs (the converter permutes Q and K so), gated SiLU. With experts it is Mixtral.
// arXiv 2302.13971, 2407.21783, 2401.04088.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    build_expert_params(b, false);
    b->m->params.rope_neox = false;
}

static void graph_of(build *b)
{
    build_style s = {.window = b->m->params.window, .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_llama = {"llama", params, graph_of};

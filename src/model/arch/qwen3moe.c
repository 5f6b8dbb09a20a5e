// Qwen 3 with experts (30B-A3B, 235B-A22B): attention as in Qwen 3, every feed-forward a choice among experts.
// arXiv 2505.09388.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    build_expert_params(b, true);
    b->m->params.rope_neox = true;
    b->m->params.window = 0;  // as in qwen3.c
}

static void graph_of(build *b)
{
    build_style s = {.head_norms = true, .rope = build_rope(b)};
    build_decoder(b, &s);
}

const model_arch model_arch_qwen3moe = {"qwen3moe", params, graph_of};

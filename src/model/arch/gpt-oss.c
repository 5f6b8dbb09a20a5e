// gpt-oss: experts with biases and a clamped gate, attention with sinks, YaRN; the first layer and every second after it
// attend within a window. OpenAI 2025, arXiv 2508.10925.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    build_expert_params(b, true);
    b->m->params.rope_neox = true;
    b->m->params.yarn_smooth = true;
}

static void graph_of(build *b)
{
    build_style s = {.biases = true,
                     .sinks = true,
                     .ff_norm = "post_attention_norm",
                     .gate = GRAPH_CLAMPED,
                     .rope = build_rope(b)};
    build_stream x = build_embedding(b, &s);
    for (int layer = 0; layer < b->m->params.layers && !b->rc; layer++) {
        s.window = layer % 2 ? 0 : b->m->params.window;
        build_layer(b, layer, &x, &s);
    }
    build_head(b, &x, &s);
}

const model_arch model_arch_gpt_oss = {"gpt-oss", params, graph_of};

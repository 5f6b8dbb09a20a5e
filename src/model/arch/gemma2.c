// Gemma 2: norms before and after each block, gated GELU, capped scores and logits; every other layer attends within
// a window. arXiv 2408.00118.
#include <math.h>

#include "model/build.h"

enum { WINDOW = 4096, LAYERS_27B = 46 };

static void params(build *b)
{
    model_params *p = &b->m->params;
    build_common_params(b);
    p->rope_neox = true;
    p->window = (int)build_u32_or(b, "attention.sliding_window", WINDOW, 1, 1 << 28);
}

static void graph_of(build *b)
{
    const model_params *p = &b->m->params;
    // Files do not tell the scale; the 27B model alone divides by the width of a head's share of the stream.
    int scaled_by = p->layers == LAYERS_27B ? p->width / p->heads : p->head_dim;
    build_style s = {.post_norms = true,
                     .gate = GRAPH_GELU_TANH,
                     .rope = build_rope(b),
                     .embedding_scale = sqrtf((float)p->width),
                     .attention_scale = build_f32_or(b, "attention.scale", 1 / sqrtf((float)scaled_by)),
                     .attention_cap = build_f32_or(b, "attn_logit_softcapping", 50),
                     .logit_cap = build_f32_or(b, "final_logit_softcapping", 30)};
    build_stream x = build_embedding(b, &s);
    for (int layer = 0; layer < p->layers && !b->rc; layer++) {
        s.window = build_layer_slides(b, layer, 2) ? p->window : 0;
        build_layer(b, layer, &x, &s);
    }
    build_head(b, &x, &s);
}

const model_arch model_arch_gemma2 = {"gemma2", params, graph_of};

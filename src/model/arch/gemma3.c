// Gemma 3 (text): Gemma 2 with norms of heads in place of the cap on scores; five layers within a window, with rotary
// positions of their own base, to one that sees everything. arXiv 2503.19786.
#include <math.h>

#include "model/build.h"

enum { WINDOW = 1024, LAYERS_27B = 62 };

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
    int scaled_by = p->layers == LAYERS_27B ? p->width / p->heads : p->head_dim;  // as in Gemma 2
    build_style s = {.head_norms = true,
                     .post_norms = true,
                     .gate = GRAPH_GELU_TANH,
                     .embedding_scale = sqrtf((float)p->width),
                     .attention_scale = build_f32_or(b, "attention.scale", 1 / sqrtf((float)scaled_by)),
                     .logit_cap = build_f32_or(b, "final_logit_softcapping", 0)};
    int far = build_rope(b), near = build_rope_unscaled(b, build_f32_or(b, "rope.freq_base_swa", 10000));
    build_stream x = build_embedding(b, &s);
    for (int layer = 0; layer < p->layers && !b->rc; layer++) {
        bool slides = build_layer_slides(b, layer, 6);
        s.window = slides ? p->window : 0;
        s.rope = slides ? near : far;
        build_layer(b, layer, &x, &s);
    }
    build_head(b, &x, &s);
}

const model_arch model_arch_gemma3 = {"gemma3", params, graph_of};

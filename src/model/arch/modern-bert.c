// ModernBERT (arXiv 2412.13663; ruri-v3): an encoder with rotary positions and gated GELU. Every third layer, from the first
// on, sees the whole text; the others a window, with rotary waves of their own.
#include "model/build.h"

static void params(build *b)
{
    build_common_params(b);
    b->m->params.both_ways = true;
    b->m->params.rope_neox = true;
}

static void graph_of(build *b)
{
    enum { WHOLE_EVERY = 3 };
    const model_params *p = &b->m->params;
    int whole = build_rope(b), near = build_rope_unscaled(b, build_f32_or(b, "rope.freq_base_swa", 10000));
    build_style s = {.layer_norm = true, .embedding_norm = true, .gate = GRAPH_GELU};
    build_stream x = build_embedding(b, &s);
    for (int layer = 0; layer < p->layers && !b->rc; layer++) {
        bool slides = layer % WHOLE_EVERY != 0;
        s.no_norm = layer == 0;  // the embeddings are normalised already
        s.rope = slides ? near : whole;
        s.window = slides ? p->window : 0;
        build_layer(b, layer, &x, &s);
    }
    build_head(b, &x, &s);
}

const model_arch model_arch_modern_bert = {"modern-bert", params, graph_of};

// Rotary position embedding: how fast each pair turns, with the ways models stretch their context.
//
// RoPE: Su et al. 2021 (arXiv 2104.09864). Linear interpolation: Chen et al. 2023 (2306.15595). YaRN: Peng et al.
// 2023 (2309.00071). LongRoPE: Ding et al. 2024 (2402.13753). Llama 3's own factors come as a tensor.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/build.h"

// The pair index at which a wave makes `turns` turns over the original context.
static double pair_at_turns(double turns, int dims, double base, double context)
{
    return dims * log(context / (turns * 2 * 3.14159265358979323846)) / (2 * log(base));
}

// YaRN: fast pairs keep their speed, slow ones are slowed by the factor, with a ramp between.
static void yarn(build *b, float *inv_freq, float *scale, float factor, float original)
{
    const model_params *p = &b->m->params;
    float fast = build_f32_or(b, "rope.scaling.yarn_beta_fast", 32),
          slow = build_f32_or(b, "rope.scaling.yarn_beta_slow", 1);
    double low = pair_at_turns(fast, p->rope_dims, p->rope_base, original);
    double high = pair_at_turns(slow, p->rope_dims, p->rope_base, original);
    low = MAX(p->yarn_smooth ? low : floor(low), 0);
    high = MIN(p->yarn_smooth ? high : ceil(high), p->rope_dims - 1);
    for (int i = 0; i < p->rope_dims / 2; i++) {
        double ramp = (i - low) / MAX(high - low, 0.001);
        double keep = 1 - MAX(0.0, MIN(1.0, ramp));
        inv_freq[i] = (float)(inv_freq[i] * (keep + (1 - keep) / factor));
    }
    *scale = build_f32_or(b, "rope.scaling.attn_factor", 1) * (1 + 0.1f * logf(factor));
}

// Divides by a factor a pair, from a tensor; false when the file has none of that name.
static bool divide_by_tensor(build *b, float *inv_freq, const char *name)
{
    int half = b->m->params.rope_dims / 2;
    const float *factor = build_vector(b, half, true, "%s", name);
    if (!factor)
        return false;
    for (int i = 0; i < half; i++) {
        if (!(factor[i] > 0)) {
            build_fail(b, ST_FORMAT, "tensor %s: factor %d is %g, must be above 0", name, i,
                       (double)factor[i]);
            return true;
        }
        inv_freq[i] /= factor[i];
    }
    return true;
}

static bool scaling_is(build *b, const char *kind)
{
    char key[96];
    gguf_str s;
    snprintf(key, sizeof key, "%s.rope.scaling.type", b->m->arch->name);
    if (!gguf_get_str(b->g, key, &s))
        return strcmp(kind, "linear") == 0;  // files older than the key have a bare factor
    return s.n == strlen(kind) && memcmp(s.p, kind, s.n) == 0;
}

// The speeds of a base, unscaled; NULL after a failure.
static float *speeds(build *b, float base)
{
    int dims = b->m->params.rope_dims;
    float *inv_freq = b->rc ? NULL : arena_calloc(&b->m->graph.mem, (size_t)dims / 2 + 1, sizeof *inv_freq);
    if (!inv_freq) {
        build_fail(b, ST_NOMEM, "no memory for the rotary table");
        return NULL;
    }
    for (int i = 0; i < dims / 2; i++)
        inv_freq[i] = (float)pow(base, -2.0 * i / dims);
    return inv_freq;
}

static int add_rope(build *b, const float *inv_freq, float scale)
{
    const model_params *p = &b->m->params;
    return graph_add_rope(
        &b->m->graph,
        (graph_rope){.half = p->rope_dims / 2, .neox = p->rope_neox, .inv_freq = inv_freq, .scale = scale});
}

int build_rope_unscaled(build *b, float base)
{
    const float *inv_freq = speeds(b, base);
    return inv_freq ? add_rope(b, inv_freq, 1) : 0;
}

int build_rope(build *b)
{
    const model_params *p = &b->m->params;
    int half = p->rope_dims / 2;
    float *inv_freq = speeds(b, p->rope_base), scale = 1;
    if (!inv_freq)
        return 0;
    float factor = build_f32_or(b, "rope.scaling.factor", build_f32_or(b, "rope.scale_linear", 1));
    float original = (float)build_u32_or(b, "rope.scaling.original_context_length", (uint32_t)p->context, 1,
                                         1u << 28);
    if (!(factor >= 1 && factor <= 1e6f))
        build_fail(b, ST_FORMAT, "rope scaling factor is %g, allowed 1..1e6", (double)factor);
    if (scaling_is(b, "yarn")) {
        yarn(b, inv_freq, &scale, factor, original);
    } else if (scaling_is(b, "longrope")) {
        // The long factors serve sequences longer than the original context; a model turns the same way for all of
        // a sequence, so the most it may hold decides. The scale belongs to the model.
        bool beyond = (float)p->positions > original, stretched = (float)p->context > original;
        divide_by_tensor(b, inv_freq, beyond ? "rope_factors_long.weight" : "rope_factors_short.weight");
        float usual = stretched ? sqrtf(1 + logf((float)p->context / original) / logf(original)) : 1;
        scale = build_f32_or(b, "rope.scaling.attn_factor", usual);
    } else if (scaling_is(b, "none") || scaling_is(b, "linear")) {
        if (!divide_by_tensor(b, inv_freq, "rope_freqs.weight") && scaling_is(b, "linear"))
            for (int i = 0; i < half; i++)
                inv_freq[i] /= factor;
    } else {
        build_fail(b, ST_UNSUPPORTED, "rope.scaling.type is none of none, linear, yarn, longrope");
    }
    return add_rope(b, inv_freq, scale);
}

// Attention over a page whose keys or values are quantized, in plain C: the numbers that every instruction set
// must give. kv.h states the steps.
#include <string.h>

#include "kern/kv.h"

// e^x in the steps of x86/math_avx2.h, which explains them.
static float exp_of(float x)
{
    if (x < -87.3f)
        return 0.0f;
    x = x < 88.3f ? x : 88.3f;
    float n = rintf(x * 1.44269504f);
    float r = fmaf(-n, 0.693359375f, x);
    r = fmaf(-n, -2.12194440e-4f, r);
    float p = 0.00138146128f;
    p = fmaf(p, r, 0.00836871006f);
    p = fmaf(p, r, 0.041668389f);
    p = fmaf(p, r, 0.166665211f);
    p = fmaf(p, r, 0.49999994f);
    p = fmaf(r * r, p, r) + 1.0f;
    uint32_t bits = (uint32_t)((int)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static float tanh_of(float x)
{
    return 1.0f - 2.0f / (exp_of(x + x) + 1.0f);
}

// A row vector made ready for a quantized side.
typedef struct factors {
    int16_t q[KERN_KV_TERMS];
    float scale, base;
} factors;

static void prepare(const kern_kv *x, const float *w, factors *f)
{
    float y[KERN_KV_TERMS], lanes[16] = {0}, top = 0.0f;
    for (int r = 0; r < x->terms; r++) {
        float step = quant_f16_to_f32(x->scales[x->terms + r]) * kern_kv_width(x->level);
        float middle = quant_f16_to_f32(x->scales[r]) + 0.5f * step;
        y[r] = w[r] * step;
        top = fmaxf(top, fabsf(y[r]));
        lanes[r % 16] = fmaf(w[r], middle, lanes[r % 16]);
    }
    float inverse = kern_kv_scale(&top);
    for (int r = 0; r < x->terms; r++)
        f->q[r] = (int16_t)lrintf(y[r] * inverse);
    f->scale = top / KERN_KV_TOP;
    f->base = kern_kv_sum16(lanes);
}

static float product(const kern_kv *x, const factors *f, int n, float start)
{
    int32_t sum = 0;
    for (int r = 0; r < x->terms; r++)
        sum += f->q[r] * kern_kv_code(x, r, n);
    return fmaf(f->scale, (float)sum, start + f->base);
}

// score[64] of a row.
static void scores(const kern_attn *a, int row, float *s)
{
    const float *q = a->q + row * a->hd;
    factors f;
    if (a->kq->level != KERN_KV_F16)
        prepare(a->kq, q, &f);
    for (int t = 0; t < KERN_PAGE; t++)
        if (a->kq->level != KERN_KV_F16) {
            s[t] = product(a->kq, &f, t, 0.0f);
        } else {
            s[t] = 0.0f;
            for (int i = 0; i < a->hd; i++)
                s[t] = fmaf(q[i], quant_f16_to_f32(a->kq->f16[i * KERN_PAGE + t]), s[t]);
        }
}

// Scores of keys [from, to) become weights, those of the others 0; m, l and o move to the new maximum. False when
// there is none.
static bool soften(const kern_attn *a, int row, int from, int to, float *s)
{
    float m = a->m[row], lanes[16] = {0}, *o = a->o + row * a->hd;
    for (int t = from; t < to; t++) {
        if (a->softcap > 0.0f)
            s[t] = a->softcap * tanh_of(s[t] / a->softcap);
        m = fmaxf(m, s[t]);
    }
    if (m == -INFINITY)
        return false;
    m += 0.0f;  // no -0, whose bits would depend on the order of comparisons
    for (int t = 0; t < KERN_PAGE; t++) {
        s[t] = t >= from && t < to && s[t] - m >= KERN_KV_LEAST ? exp_of(s[t] - m) : 0.0f;
        lanes[t % 16] += s[t];
    }
    float shrink = exp_of(a->m[row] - m);
    a->l[row] = fmaf(a->l[row], shrink, kern_kv_sum16(lanes));
    a->m[row] = m;
    for (int i = 0; i < a->hd; i++)
        o[i] *= shrink;
    return true;
}

static void values(const kern_attn *a, int row, int from, int to, const float *w)
{
    float *o = a->o + row * a->hd;
    factors f;
    if (a->vq->level != KERN_KV_F16)
        prepare(a->vq, w, &f);
    for (int i = 0; i < a->hd; i++)
        if (a->vq->level != KERN_KV_F16) {
            o[i] = product(a->vq, &f, i, o[i]);
        } else {
            for (int t = from; t < to; t++)
                o[i] = fmaf(w[t], quant_f16_to_f32(a->vq->f16[t * a->hd + i]), o[i]);
        }
}

void kern_kv_attn_scalar(const kern_attn *a)
{
    float s[KERN_PAGE];
    for (int row = 0; row < a->rows; row++) {
        int from = kern_attn_first(a, row), to = a->visible[row];
        if (from >= to)
            continue;
        scores(a, row, s);
        if (soften(a, row, from, to, s))
            values(a, row, from, to, s);
    }
}

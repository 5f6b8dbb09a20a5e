// Everything but the matrix products in plain C: quantization of activations, norm, rotation, gate, attention.
#include <float.h>
#include <math.h>

#include "kern/kv.h"
#include "kern/overlay.h"
#include "kern/types.h"

// q = x * (127 / max), rounded to nearest even as the hardware conversions do; returns max / 127.
static float quantize_run(const float *x, int n, int8_t *q)
{
    float max = 0.0f;
    for (int i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    float inverse = max > 0.0f ? 127.0f / max : 0.0f;
    if (!(inverse <= FLT_MAX))  // max is subnormal: the block is as good as zero
        inverse = max = 0.0f;
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)lrintf(x[i] * inverse);
    return max / 127.0f;
}

static int16_t sum_run(const int8_t *q, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += q[i];
    return (int16_t)sum;
}

static void quantize_q8_32(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += 32) {
        d[i / 32] = quantize_run(x + i, 32, q + i);
        sum[i / 32] = sum_run(q + i, 32);
    }
}

static void quantize_q8_256(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += KERN_SUPER) {
        d[i / KERN_SUPER] = quantize_run(x + i, KERN_SUPER, q + i);
        for (int j = i; j < i + KERN_SUPER; j += 16)
            sum[j / 16] = sum_run(q + j, 16);
    }
}

static void rms_norm(const float *x, const float *w, int n, float eps, float *y)
{
    double squares = 0.0;
    for (int i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    float scale = (float)(1.0 / sqrt(squares / n + (double)eps));
    for (int i = 0; i < n; i++)
        y[i] = x[i] * scale * (w ? w[i] : 1.0f);
}

static void rope(float *x, const float *cos, const float *sin, int half, bool neox)
{
    int step = neox ? 1 : 2, other = neox ? half : 1;
    for (int i = 0; i < half; i++) {
        float *p = x + i * step;
        float a = p[0], b = p[other];
        p[0] = a * cos[i] - b * sin[i];
        p[other] = a * sin[i] + b * cos[i];
    }
}

static void center(const float *x, int n, float *y)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i];
    float mean = (float)(sum / n);
    for (int i = 0; i < n; i++)
        y[i] = x[i] - mean;
}

static float gate_of(enum kern_gate f, float x)
{
    switch (f) {
    case KERN_GELU: return 0.5f * x * erfcf(-0.70710678f * x);
    case KERN_GELU_TANH: {
        float z = 1.59576912f * x * (1.0f + 0.044715f * x * x);  // tanh z = 2 / (1 + e^-2z) - 1
        return x / (1.0f + expf(-z));
    }
    case KERN_TANH: return tanhf(x);
    case KERN_CLAMPED: {
        float g = fminf(x, KERN_CLAMP);
        return g / (1.0f + expf(-KERN_STEEP * g));
    }
    default: return x / (1.0f + expf(-x));
    }
}

static float up_of(enum kern_gate f, float u)
{
    return f == KERN_CLAMPED ? fmaxf(-KERN_CLAMP, fminf(u, KERN_CLAMP)) + 1.0f : u;
}

static void glu(enum kern_gate f, const float *gate, const float *up, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = gate_of(f, gate[i]) * (up ? up_of(f, up[i]) : 1.0f);
}

static void softcap(const float *x, int n, float cap, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = cap * tanhf(x[i] / cap);
}

static void add(const float *a, const float *b, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void f16_to_f32(const uint16_t *x, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = quant_f16_to_f32(x[i]);
}

static void f32_to_f16(const float *x, int n, uint16_t *y)
{
    for (int i = 0; i < n; i++)
        y[i] = quant_f32_to_f16(x[i]);
}

static void put_k_f16(const float *x, int hd, uint16_t *page, int slot)
{
    for (int i = 0; i < hd; i++)
        page[i * KERN_PAGE + slot] = quant_f32_to_f16(x[i]);
}

// Scores of keys [from, to) into s; returns the greatest.
static float attn_scores(const kern_attn *a, int row, int from, int to, float *s)
{
    float max = -INFINITY;
    for (int t = from; t < to; t++) {
        float dot = 0.0f;
        for (int i = 0; i < a->hd; i++)
            dot = fmaf(a->q[row * a->hd + i], quant_f16_to_f32(a->k[i * KERN_PAGE + t]), dot);
        s[t] = a->softcap > 0.0f ? a->softcap * tanhf(dot / a->softcap) : dot;
        max = fmaxf(max, s[t]);
    }
    return max;
}

static void attn_row(const kern_attn *a, int row)
{
    int from = a->first ? a->first[row] : 0, to = a->visible[row];
    float s[KERN_PAGE];
    if (from >= to)
        return;
    float m = fmaxf(a->m[row], attn_scores(a, row, from, to, s));
    if (m == -INFINITY)
        return;
    float *o = a->o + row * a->hd, shrink = expf(a->m[row] - m), l = a->l[row] * shrink;
    for (int i = 0; i < a->hd; i++)
        o[i] *= shrink;
    for (int t = from; t < to; t++) {
        float p = expf(s[t] - m);
        l += p;
        for (int i = 0; i < a->hd; i++)
            o[i] = fmaf(p, quant_f16_to_f32(a->v[t * a->hd + i]), o[i]);
    }
    a->m[row] = m;
    a->l[row] = l;
}

static void attn_f16(const kern_attn *a)
{
    for (int row = 0; row < a->rows; row++)
        attn_row(a, row);
}

void kern_fill_scalar_ops(kern_table *t)
{
    t->attn_f16 = attn_f16;
    t->attn_kv = kern_kv_attn_scalar;
    t->kv_encode = kern_kv_encode_scalar;
    t->kv_measure = kern_kv_measure_scalar;
    t->quantize_q8_32 = quantize_q8_32;
    t->quantize_q8_256 = quantize_q8_256;
    t->rms_norm = rms_norm;
    t->rope = rope;
    t->center = center;
    t->glu = glu;
    t->softcap = softcap;
    t->add = add;
    t->f32_to_f16 = f32_to_f16;
    t->f16_to_f32 = f16_to_f32;
    t->put_k_f16 = put_k_f16;
}

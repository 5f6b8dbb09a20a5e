// Quantization, norm, rotation, gate and conversions on NEON. Where a value's bits depend on the instructions used,
// tails go through the same ones in a padded line: its place in the vector changes nothing.
#include <float.h>
#include <math.h>

#include "kern/arm/math_neon.h"
#include "kern/arm/neon.h"

// Runs of n values (32 or 256) become bytes; returns the scale. The arithmetic is that of the scalar kernel.
KERN_INLINE float quantize_run(const float *x, int n, int8_t *q)
{
    float32x4_t most = vdupq_n_f32(0.0f);
    for (int i = 0; i < n; i += 4)
        most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + i)));
    float max = vmaxvq_f32(most), inverse = max > 0.0f ? 127.0f / max : 0.0f;
    if (!(inverse <= FLT_MAX))
        inverse = max = 0.0f;
    for (int i = 0; i < n; i += 8) {
        int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse));
        int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i + 4), inverse));
        vst1_s8(q + i, vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b))));
    }
    return max / 127.0f;
}

static void quantize_q8_32(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += 32) {
        d[i / 32] = quantize_run(x + i, 32, q + i);
        sum[i / 32] = (int16_t)(vaddlvq_s8(vld1q_s8(q + i)) + vaddlvq_s8(vld1q_s8(q + i + 16)));
    }
}

static void quantize_q8_256(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += KERN_SUPER) {
        d[i / KERN_SUPER] = quantize_run(x + i, KERN_SUPER, q + i);
        for (int j = i; j < i + KERN_SUPER; j += 16)
            sum[j / 16] = vaddlvq_s8(vld1q_s8(q + j));
    }
}

// Squares add up in doubles: the sum is then good to the last bit of a float at any length.
static void rms_norm(const float *x, const float *w, int n, float eps, float *y)
{
    float64x2_t a = vdupq_n_f64(0.0), b = a;
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t v = vld1q_f32(x + i);
        float64x2_t lo = vcvt_f64_f32(vget_low_f32(v)), hi = vcvt_high_f64_f32(v);
        a = vfmaq_f64(a, lo, lo);
        b = vfmaq_f64(b, hi, hi);
    }
    double squares = vaddvq_f64(vaddq_f64(a, b));
    for (; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    float scale = (float)(1.0 / sqrt(squares / n + (double)eps));
    for (i = 0; i + 4 <= n; i += 4) {
        float32x4_t v = vmulq_n_f32(vld1q_f32(x + i), scale);
        vst1q_f32(y + i, w ? vmulq_f32(v, vld1q_f32(w + i)) : v);
    }
    for (; i < n; i++)
        y[i] = x[i] * scale * (w ? w[i] : 1.0f);
}

static void rope_neox(float *x, const float *cos, const float *sin, int half)
{
    int i = 0;
    for (; i + 4 <= half; i += 4) {
        float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + half + i), c = vld1q_f32(cos + i),
                    s = vld1q_f32(sin + i);
        vst1q_f32(x + i, vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s)));
        vst1q_f32(x + half + i, vaddq_f32(vmulq_f32(a, s), vmulq_f32(b, c)));
    }
    for (; i < half; i++) {
        float a = x[i], b = x[half + i];
        x[i] = a * cos[i] - b * sin[i];
        x[half + i] = a * sin[i] + b * cos[i];
    }
}

static void rope_pairs(float *x, const float *cos, const float *sin, int half)
{
    int i = 0;
    for (; i + 4 <= half; i += 4) {
        float32x4x2_t v = vld2q_f32(x + 2 * i);
        float32x4_t c = vld1q_f32(cos + i), s = vld1q_f32(sin + i), a = v.val[0], b = v.val[1];
        v.val[0] = vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s));
        v.val[1] = vaddq_f32(vmulq_f32(a, s), vmulq_f32(b, c));
        vst2q_f32(x + 2 * i, v);
    }
    for (; i < half; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cos[i] - b * sin[i];
        x[2 * i + 1] = a * sin[i] + b * cos[i];
    }
}

static void rope(float *x, const float *cos, const float *sin, int half, bool neox)
{
    if (neox)
        rope_neox(x, cos, sin, half);
    else
        rope_pairs(x, cos, sin, half);
}

static void center(const float *x, int n, float *y)
{
    float64x2_t a = vdupq_n_f64(0.0), b = a;
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t v = vld1q_f32(x + i);
        a = vaddq_f64(a, vcvt_f64_f32(vget_low_f32(v)));
        b = vaddq_f64(b, vcvt_high_f64_f32(v));
    }
    double sum = vaddvq_f64(vaddq_f64(a, b));
    for (; i < n; i++)
        sum += (double)x[i];
    float mean = (float)(sum / n);
    for (i = 0; i < n; i++)
        y[i] = x[i] - mean;
}

KERN_INLINE float32x4_t gate_of(enum kern_gate f, float32x4_t x)
{
    switch (f) {
    case KERN_GELU: return kern_gelu_neon(x);
    case KERN_GELU_TANH: return kern_gelu_tanh_neon(x);
    case KERN_TANH: return kern_tanh_neon(x);
    case KERN_CLAMPED: {
        float32x4_t g = vminq_f32(x, vdupq_n_f32(KERN_CLAMP)), a = vdupq_n_f32(KERN_STEEP);
        return vdivq_f32(kern_silu_neon(vmulq_f32(g, a)), a);
    }
    default: return kern_silu_neon(x);
    }
}

KERN_INLINE float32x4_t up_of(enum kern_gate f, float32x4_t u)
{
    const float32x4_t most = vdupq_n_f32(KERN_CLAMP), least = vdupq_n_f32(-KERN_CLAMP);
    return f == KERN_CLAMPED ? vaddq_f32(vmaxq_f32(least, vminq_f32(u, most)), vdupq_n_f32(1.0f)) : u;
}

static void glu(enum kern_gate f, const float *gate, const float *up, int n, float *y)
{
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t g = gate_of(f, vld1q_f32(gate + i));
        vst1q_f32(y + i, up ? vmulq_f32(g, up_of(f, vld1q_f32(up + i))) : g);
    }
    float g[4] = {0}, u[4] = {0};
    for (int j = i; j < n; j++) {
        g[j - i] = gate[j];
        u[j - i] = up ? up[j] : 0.0f;
    }
    float32x4_t last = gate_of(f, vld1q_f32(g));
    vst1q_f32(g, up ? vmulq_f32(last, up_of(f, vld1q_f32(u))) : last);
    for (int j = i; j < n; j++)
        y[j] = g[j - i];
}

static float32x4_t capped(float32x4_t x, float cap)
{
    return vmulq_n_f32(kern_tanh_neon(vdivq_f32(x, vdupq_n_f32(cap))), cap);
}

static void softcap(const float *x, int n, float cap, float *y)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(y + i, capped(vld1q_f32(x + i), cap));
    float last[4] = {0};
    for (int j = i; j < n; j++)
        last[j - i] = x[j];
    vst1q_f32(last, capped(vld1q_f32(last), cap));
    for (int j = i; j < n; j++)
        y[j] = last[j - i];
}

static void add(const float *a, const float *b, int n, float *y)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(y + i, vaddq_f32(vld1q_f32(a + i), vld1q_f32(b + i)));
    for (; i < n; i++)
        y[i] = a[i] + b[i];
}

static void f16_to_f32(const uint16_t *x, int n, float *y)
{
    for (int i = 0; i < n; i += 4)
        vst1q_f32(y + i, kern_f16x4_neon(x + i));
}

static void f32_to_f16(const float *x, int n, uint16_t *y)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    for (; i < n; i++)
        y[i] = quant_f32_to_f16(x[i]);
}

static void put_k_f16(const float *x, int hd, uint16_t *page, int slot)
{
    for (int i = 0; i < hd; i += 4) {
        uint16_t line[4];
        f32_to_f16(x + i, 4, line);
        for (int j = 0; j < 4; j++)
            page[(i + j) * KERN_PAGE + slot] = line[j];
    }
}

void kern_neon_fill_ops(kern_table *t)
{
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

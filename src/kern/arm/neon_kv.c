// Attention over quantized pages on NEON: kv.h states the steps. Factors of 15 bits are two signed bytes, high and low,
// each multiplied with signed codes (sdot); those of 8 bits are taken 128 lower, which is made good at the end.
#include <math.h>

#include "kern/arm/math_neon.h"
#include "kern/arm/neon.h"
#include "kern/kv.h"

enum { ROWS = 4 };

// Row vectors ready for a quantized side: four factors of a group are 32 bits.
typedef struct factors {
    int8_t high[ROWS][KERN_KV_TERMS], low[ROWS][KERN_KV_TERMS];
    int32_t sum[ROWS];  // of the factors
    float scale[ROWS], base[ROWS];
} factors;

static float sum16(const float32x4_t x[4])
{
    float32x4_t s = vaddq_f32(vaddq_f32(x[0], x[2]), vaddq_f32(x[1], x[3]));
    float32x2_t h = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}

static void prepare(const kern_kv *x, const float *w, factors *f, int row)
{
    float y[KERN_KV_TERMS];
    const float width = kern_kv_width(x->level);
    float32x4_t lanes[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    float32x4_t most = lanes[0];
    for (int r = 0; r < x->terms; r += 4) {
        const float32x4_t v = vld1q_f32(w + r), min = kern_f16x4_neon(x->scales + r);
        const float32x4_t step = vmulq_n_f32(kern_f16x4_neon(x->scales + x->terms + r), width);
        const float32x4_t product = vmulq_f32(v, step);
        most = vmaxq_f32(most, vabsq_f32(product));
        lanes[r / 4 % 4] = vfmaq_f32(lanes[r / 4 % 4], v, vfmaq_n_f32(min, step, 0.5f));
        vst1q_f32(y + r, product);
    }
    float top = vmaxvq_f32(most);
    const float inverse = kern_kv_scale(&top);
    int32x4_t sum = vdupq_n_s32(0);
    for (int r = 0; r < x->terms; r += 8) {
        const int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(y + r), inverse));
        const int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(y + r + 4), inverse));
        const int16x8_t v = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
        vst1_s8(f->high[row] + r, vshrn_n_s16(vaddq_s16(v, vdupq_n_s16(128)), 8));
        vst1_s8(f->low[row] + r, vmovn_s16(v));
        sum = vaddq_s32(sum, vaddq_s32(a, b));
    }
    f->sum[row] = vaddvq_s32(sum);
    f->scale[row] = top / KERN_KV_TOP;
    f->base[row] = sum16(lanes);
}

KERN_INLINE int groups_of(enum kern_kv_level level)
{
    return level == KERN_KV_Q2 ? 4 : 2;
}

// How much lower than the codes those of line_codes are.
KERN_INLINE int lowered(enum kern_kv_level level)
{
    return level == KERN_KV_Q8 ? 128 : 0;
}

// The codes of 4 outs, byte `at` of a plane on, of the groups of one line.
KERN_INLINE void line_codes(enum kern_kv_level level, const kern_kv *x, size_t at, int8x16_t *c)
{
    const uint8x16_t nibble = vdupq_n_u8(15), pair = vdupq_n_u8(3), flip = vdupq_n_u8(128);
    if (level == KERN_KV_Q2) {
        const uint8x16_t v = vld1q_u8(x->two + at);
        c[0] = vreinterpretq_s8_u8(vandq_u8(v, pair));
        c[1] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(v, 2), pair));
        c[2] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(v, 4), pair));
        c[3] = vreinterpretq_s8_u8(vshrq_n_u8(v, 6));
        return;
    }
    const uint8x16_t high = vld1q_u8(x->high + at);
    if (level == KERN_KV_Q4) {
        c[0] = vreinterpretq_s8_u8(vandq_u8(high, nibble));
        c[1] = vreinterpretq_s8_u8(vshrq_n_u8(high, 4));
        return;
    }
    const uint8x16_t low = vld1q_u8(x->low + at);
    c[0] = vreinterpretq_s8_u8(veorq_u8(vsliq_n_u8(low, high, 4), flip));
    c[1] = vreinterpretq_s8_u8(veorq_u8(vsriq_n_u8(high, low, 4), flip));
}

KERN_INLINE int8x16_t four(const int8_t *q)
{
    int32_t v;
    memcpy(&v, q, sizeof v);
    return vreinterpretq_s8_s32(vdupq_n_s32(v));
}

// U times 4 outs from out n on, for T rows: y = scale * I + (y + base), or without y when `add` is false.
KERN_INLINE void product(enum kern_kv_level level, int T, int U, const kern_kv *x, const factors *f, int n,
                         bool add, float *y, int ldy)
{
    const int G = groups_of(level), lines = x->terms / 4 / G;
    const size_t stride = (size_t)x->outs * 4;
    int32x4_t high[ROWS][4], low[ROWS][4];
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        KERN_UNROLL
    for (int u = 0; u < U; u++)
        high[t][u] = low[t][u] = vdupq_n_s32(0);
    size_t at = (size_t)n * 4;
    for (int i = 0; i < lines; i++, at += stride) {
        int8x16_t c[4][4];
        KERN_UNROLL
        for (int u = 0; u < U; u++)
            line_codes(level, x, at + 16 * (size_t)u, c[u]);
        KERN_UNROLL
        for (int g = 0; g < G; g++)
            KERN_UNROLL
        for (int t = 0; t < T; t++) {
            const int8x16_t h = four(f->high[t] + 4 * (i * G + g)), l = four(f->low[t] + 4 * (i * G + g));
            KERN_UNROLL
            for (int u = 0; u < U; u++) {
                high[t][u] = vdotq_s32(high[t][u], c[u][g], h);
                low[t][u] = vdotq_s32(low[t][u], c[u][g], l);
            }
        }
    }
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        KERN_UNROLL
    for (int u = 0; u < U; u++) {
        float *out = y + t * ldy + n + 4 * u;
        int32x4_t sum = vaddq_s32(vshlq_n_s32(high[t][u], 8), low[t][u]);
        sum = vmlaq_n_s32(sum, vdupq_n_s32(f->sum[t]), lowered(level));
        const float32x4_t from = add ? vld1q_f32(out) : vdupq_n_f32(0.0f);
        vst1q_f32(out,
                  vfmaq_n_f32(vaddq_f32(from, vdupq_n_f32(f->base[t])), vcvtq_f32_s32(sum), f->scale[t]));
    }
}

// All outs for T rows: 16 registers of sums.
KERN_INLINE void product_rows(enum kern_kv_level level, int T, const kern_kv *x, const factors *f, bool add,
                              float *y, int ldy)
{
    const int U = T <= 2 ? 4 : 2;
    for (int n = 0; n < x->outs; n += 4 * U)
        product(level, T, U, x, f, n, add, y, ldy);
}

#define PRODUCT(name, level)                                                                    \
    static void name(int rows, const kern_kv *x, const factors *f, bool add, float *y, int ldy) \
    {                                                                                           \
        switch (rows) {                                                                         \
        case 1: product_rows(level, 1, x, f, add, y, ldy); break;                               \
        case 2: product_rows(level, 2, x, f, add, y, ldy); break;                               \
        case 3: product_rows(level, 3, x, f, add, y, ldy); break;                               \
        default: product_rows(level, 4, x, f, add, y, ldy); break;                              \
        }                                                                                       \
    }

PRODUCT(product_q8, KERN_KV_Q8)
PRODUCT(product_q4, KERN_KV_Q4)
PRODUCT(product_q2, KERN_KV_Q2)

static void multiply(const kern_kv *x, const kern_kv *ahead, int rows, const float *w, int ldw, bool add,
                     float *y, int ldy)
{
    (void)ahead;
    factors f;
    for (int t = 0; t < rows; t++)
        prepare(x, w + t * ldw, &f, t);
    if (x->level == KERN_KV_Q8)
        product_q8(rows, x, &f, add, y, ldy);
    else if (x->level == KERN_KV_Q4)
        product_q4(rows, x, &f, add, y, ldy);
    else
        product_q2(rows, x, &f, add, y, ldy);
}

static void multiply_f16(const kern_kv *x, const float *w, int from, int to, float *y)
{
    for (int n = 0; n < x->outs; n += 4) {
        float32x4_t sum = vld1q_f32(y + n);
        for (int r = from; r < to; r++)
            sum = vfmaq_n_f32(sum, kern_f16x4_neon(x->f16 + r * x->outs + n), w[r]);
        vst1q_f32(y + n, sum);
    }
}

static void soften(const kern_attn *a, int row, int from, int to, float *s)
{
    for (int t = 0; t < KERN_PAGE; t++)
        if (t < from || t >= to)
            s[t] = -INFINITY;
    float32x4_t most = vdupq_n_f32(-INFINITY);
    for (int t = 0; t < KERN_PAGE; t += 4) {
        float32x4_t v = vld1q_f32(s + t);
        if (a->softcap > 0.0f) {
            const uint32x4_t none = vceqq_f32(v, vdupq_n_f32(-INFINITY));
            const float32x4_t capped = kern_tanh_neon(vdivq_f32(v, vdupq_n_f32(a->softcap)));
            v = vbslq_f32(none, v, vmulq_n_f32(capped, a->softcap));
        }
        most = vmaxq_f32(most, v);
        vst1q_f32(s + t, v);
    }
    const float m = fmaxf(a->m[row], vmaxvq_f32(most)) + 0.0f;
    if (m == -INFINITY) {
        memset(s, 0, KERN_PAGE * sizeof *s);
        return;
    }
    float32x4_t sum[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    for (int t = 0; t < KERN_PAGE; t += 4) {
        const float32x4_t x = vsubq_f32(vld1q_f32(s + t), vdupq_n_f32(m));
        const uint32x4_t some = vcgeq_f32(x, vdupq_n_f32(KERN_KV_LEAST));
        const float32x4_t e = vreinterpretq_f32_u32(vandq_u32(some, vreinterpretq_u32_f32(kern_exp_neon(x))));
        sum[t / 4 % 4] = vaddq_f32(sum[t / 4 % 4], e);
        vst1q_f32(s + t, e);
    }
    const float shrink = vgetq_lane_f32(kern_exp_neon(vdupq_n_f32(a->m[row] - m)), 0);
    a->l[row] = fmaf(a->l[row], shrink, sum16(sum));
    if (a->m[row] != m)
        for (float *o = a->o + row * a->hd, *end = o + a->hd; o < end; o += 4)
            vst1q_f32(o, vmulq_n_f32(vld1q_f32(o), shrink));
    a->m[row] = m;
}

static void attn_kv(const kern_attn *a)
{
    static const kern_kv_steps steps = {ROWS, multiply, multiply_f16, soften};
    kern_kv_attend(a, &steps);
}

void kern_neon_fill_kv(kern_table *t)
{
    t->attn_kv = attn_kv;
}

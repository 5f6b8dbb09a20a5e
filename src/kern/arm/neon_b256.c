// Matrix products with super-blocks of 256 columns, on NEON with sdot: those of neon_b32.c, with a multiplication by
// the sub-block's integer scale after each. Scales and mins, widened to 32 bits, are prepared once a block.
#include "kern/arm/neon.h"

enum { T = 4 };  // tokens a tile, as in neon_b32.c

// A block made ready: [sub][row].
typedef struct scales {
    int32_t scale[16][KERN_PANEL];
    int32_t min[16][KERN_PANEL];
} scales;

KERN_INLINE void widen(int8x16_t x, int32_t *out)
{
    int16x8_t a = vmovl_s8(vget_low_s8(x)), b = vmovl_high_s8(x);
    vst1q_s32(out, vmovl_s16(vget_low_s16(a)));
    vst1q_s32(out + 4, vmovl_high_s16(a));
    vst1q_s32(out + 8, vmovl_s16(vget_low_s16(b)));
    vst1q_s32(out + 12, vmovl_high_s16(b));
}

KERN_INLINE void prepare(int type, const uint8_t *p, scales *r)
{
    KERN_UNROLL
    for (int i = 0; i < KERN_SUPER / kern_sub_columns(type); i++) {
        widen(kern_scales_neon(type, p, i), r->scale[i]);
        if (kern_has_min(type))
            widen(kern_mins_neon(type, p, i), r->min[i]);
    }
}

typedef struct token {
    const int8_t *q;
    const int16_t *sum;
    float d;
} token;

KERN_INLINE token token_at(const kern_act *a, int t, int b)
{
    size_t at = (size_t)t * (size_t)(a->k / KERN_SUPER) + (size_t)b;
    return (token){a->q + (size_t)t * a->ldq + KERN_SUPER * (size_t)b, a->sum + 16 * at, a->d[at]};
}

// Sum of the activations of sub-block i.
KERN_INLINE int sum_of(int type, token in, int i)
{
    return kern_sub_columns(type) == 16 ? in.sum[i] : in.sum[2 * i] + in.sum[2 * i + 1];
}

// The integer sums of rows 4r..4r+3 become part of the float sums.
KERN_INLINE void fold(int type, int32x4_t total, const uint8_t *p, const scales *ready, int r, token in,
                      float *sums)
{
    float32x4_t acc = vld1q_f32(sums + 4 * r);
    acc = vfmaq_f32(acc, vcvtq_f32_s32(total), vmulq_n_f32(kern_d_neon(type, p, r), in.d));
    if (kern_has_min(type)) {
        int32x4_t mins = vdupq_n_s32(0);
        KERN_UNROLL
        for (int i = 0; i < KERN_SUPER / kern_sub_columns(type); i++)
            mins = vmlaq_n_s32(mins, vld1q_s32(ready->min[i] + 4 * r), sum_of(type, in, i));
        acc = vfmsq_f32(acc, vcvtq_f32_s32(mins), vmulq_n_f32(kern_m_neon(type, p, r), in.d));
    }
    vst1q_f32(sums + 4 * r, acc);
}

// 32 columns of 4 rows: codes go from the packed block straight into the products.
KERN_INLINE int32x4_t piece_one(int type, const uint8_t *p, const scales *ready, int s, int r, token in,
                                int32x4_t total)
{
    const int sub = kern_sub_columns(type), offset = kern_offset_neon(type);
    int8x16_t q[2] = {vld1q_s8(in.q + 32 * s), vld1q_s8(in.q + 32 * s + 16)};
    int32x4_t dot = vdupq_n_s32(0);
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        int i = (32 * s + 4 * g) / sub;
        if (4 * g % sub == 0)
            dot = vdupq_n_s32(offset ? -offset * sum_of(type, in, i) : 0);
        dot = kern_dot_neon(dot, kern_codes_b256_neon(type, p, s, g, r), q[g / 4], g % 4);
        if (4 * (g + 1) % sub == 0)
            total = vmlaq_s32(total, dot, vld1q_s32(ready->scale[i] + 4 * r));
    }
    return total;
}

KERN_INLINE void panel_one(int type, const kern_weight *w, const kern_act *a, int panel, int t, float *y)
{
    float sums[KERN_PANEL] = {0};
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type)) {
        token in = token_at(a, t, b);
        scales ready;
        prepare(type, p, &ready);
        for (int r = 0; r < 4; r++) {
            int32x4_t total = vdupq_n_s32(0);
            // Pieces 4 apart differ only in addresses: in a loop of 4 every shift is a constant.
            for (int s = 0; s < 8; s += 4)
                KERN_UNROLL
            for (int i = 0; i < 4; i++)
                total = piece_one(type, p, &ready, s + i, r, in, total);
            fold(type, total, p, &ready, r, in, sums);
        }
    }
    kern_store_panel(y, w->n - panel * KERN_PANEL, sums);
}

// 16 columns of flat codes times 8 rows times a tile of tokens.
KERN_INLINE void dot_16(const int8_t *codes, int r, const token *in, int column, int32x4_t (*dot)[2])
{
    int8x16_t q[T];
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        q[t] = vld1q_s8(in[t].q + column);
    KERN_UNROLL
    for (int g = 0; g < 4; g++) {
        int8x16_t w0 = vld1q_s8(codes + 16 * column + 64 * g + 16 * r);
        int8x16_t w1 = vld1q_s8(codes + 16 * column + 64 * g + 16 * r + 16);
        KERN_UNROLL
        for (int t = 0; t < T; t++) {
            dot[t][0] = kern_dot_neon(dot[t][0], w0, q[t], g);
            dot[t][1] = kern_dot_neon(dot[t][1], w1, q[t], g);
        }
    }
}

// One unpacked block [64 groups][64] against a tile of tokens, 8 rows at a time.
KERN_INLINE void flat_tile(int type, const int8_t *codes, const uint8_t *p, const scales *ready,
                           const token *in, float (*sums)[KERN_PANEL])
{
    const int sub = kern_sub_columns(type), offset = kern_offset_neon(type);
    for (int r = 0; r < 4; r += 2) {
        int32x4_t total[T][2];
        KERN_UNROLL
        for (int t = 0; t < T; t++)
            total[t][0] = total[t][1] = vdupq_n_s32(0);
        for (int i = 0; i < KERN_SUPER / sub; i++) {
            int32x4_t dot[T][2];
            KERN_UNROLL
            for (int t = 0; t < T; t++)
                dot[t][0] = dot[t][1] = vdupq_n_s32(offset ? -offset * sum_of(type, in[t], i) : 0);
            dot_16(codes, r, in, i * sub, dot);
            if (sub == 32)
                dot_16(codes, r, in, i * sub + 16, dot);
            int32x4_t s0 = vld1q_s32(ready->scale[i] + 4 * r), s1 = vld1q_s32(ready->scale[i] + 4 * r + 4);
            KERN_UNROLL
            for (int t = 0; t < T; t++) {
                total[t][0] = vmlaq_s32(total[t][0], dot[t][0], s0);
                total[t][1] = vmlaq_s32(total[t][1], dot[t][1], s1);
            }
        }
        for (int i = 0; i < 2; i++)
            KERN_UNROLL
        for (int t = 0; t < T; t++)
            fold(type, total[t][i], p, ready, r + i, in[t], sums[t]);
    }
}

// Many tokens: a block's codes are unpacked once into L1. A tile that lacks tokens repeats the last one, into sums
// no one reads.
KERN_INLINE void panel_many(int type, const kern_weight *w, const kern_act *a, int panel, int t0, int tokens,
                            float *y, size_t ldy)
{
    float sums[KERN_NEON_BATCH + T][KERN_PANEL];
    int8_t codes[4096];
    memset(sums, 0, (size_t)(tokens + T) * sizeof sums[0]);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type)) {
        scales ready;
        prepare(type, p, &ready);
        for (int s = 0; s < 8; s += 4)
            for (int j = 0; j < 32; j++)
                KERN_UNROLL
        for (int i = 0; i < 4; i++)
            vst1q_s8(codes + 512 * (s + i) + 16 * j, kern_codes_b256_neon(type, p, s + i, j / 4, j % 4));
        for (int t = 0; t < tokens; t += T) {
            token in[T];
            KERN_UNROLL
            for (int i = 0; i < T; i++)
                in[i] = token_at(a, t0 + (t + i < tokens ? t + i : tokens - 1), b);
            flat_tile(type, codes, p, &ready, in, sums + t);
        }
    }
    for (int t = 0; t < tokens; t++)
        kern_store_panel(y + (size_t)t * ldy, w->n - panel * KERN_PANEL, sums[t]);
}

KERN_INLINE void matmul(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1,
                        float *y, size_t ldy)
{
    for (int p = p0; p < p1; p++)
        for (int t = t0; t < t1; t += KERN_NEON_BATCH) {
            int tokens = t1 - t < KERN_NEON_BATCH ? t1 - t : KERN_NEON_BATCH;
            float *out = y + (size_t)t * ldy + (size_t)p * KERN_PANEL;
            if (tokens == 1)
                panel_one(type, w, a, p, t, out);
            else
                panel_many(type, w, a, p, t, tokens, out, ldy);
        }
}

#define MATMUL(name, type)                                                                             \
    static void matmul_##name(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, \
                              float *y, size_t ldy)                                                    \
    {                                                                                                  \
        matmul(type, w, a, t0, t1, p0, p1, y, ldy);                                                    \
    }
MATMUL(q2_k, QT_Q2_K)
MATMUL(q3_k, QT_Q3_K)
MATMUL(q4_k, QT_Q4_K)
MATMUL(q5_k, QT_Q5_K)
MATMUL(q6_k, QT_Q6_K)
MATMUL(iq4_xs, QT_IQ4_XS)
MATMUL(iq3_xxs, QT_IQ3_XXS)
MATMUL(iq3_s, QT_IQ3_S)
MATMUL(iq2, QT_IQ2_S)
MATMUL(iq1, QT_IQ1_M)

void kern_neon_fill_b256(kern_table *t)
{
    t->matmul[QT_Q2_K] = matmul_q2_k;
    t->matmul[QT_Q3_K] = matmul_q3_k;
    t->matmul[QT_Q4_K] = matmul_q4_k;
    t->matmul[QT_Q5_K] = matmul_q5_k;
    t->matmul[QT_Q6_K] = matmul_q6_k;
    t->matmul[QT_IQ4_XS] = matmul_iq4_xs;
    t->matmul[QT_IQ3_XXS] = matmul_iq3_xxs;
    t->matmul[QT_IQ3_S] = matmul_iq3_s;
    t->matmul[QT_IQ2_S] = matmul_iq2;
    t->matmul[QT_IQ1_M] = matmul_iq1;
}

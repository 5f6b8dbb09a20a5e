// Matrix products with weights in blocks of 32 columns, on NEON with sdot.
//
// One register holds 4 columns of 4 rows; sdot multiplies them by one lane of the activations, 4 columns of a token,
// and adds into 32 bits. Code offsets cost nothing: a sum starts at -offset times the block's sum of activations.
#include "kern/arm/neon.h"

enum { T = 4 };  // tokens a tile: 8 sums, 8 registers of activations and 2 of codes fit in 32

typedef struct token {
    const int8_t *q;
    float d;
    int sum;
} token;

KERN_INLINE token token_at(const kern_act *a, int t, int b)
{
    size_t at = (size_t)t * (size_t)(a->k / 32) + (size_t)b;
    return (token){a->q + (size_t)t * a->ldq + 32 * (size_t)b, a->d[at], a->sum[at]};
}

// The integer sums of 4 rows become part of the float sums.
KERN_INLINE void fold(int type, int32x4_t dot, float32x4_t d, float32x4_t m, token in, float *sums)
{
    float32x4_t acc = vfmaq_f32(vld1q_f32(sums), vcvtq_f32_s32(dot), vmulq_n_f32(d, in.d));
    if (kern_has_min(type))
        acc = vfmaq_f32(acc, vdupq_n_f32((float)in.sum), vmulq_n_f32(m, in.d));
    vst1q_f32(sums, acc);
}

// One token: codes go from the packed block straight into the products.
KERN_INLINE void panel_one(int type, const kern_weight *w, const kern_act *a, int panel, int t, float *y)
{
    float sums[KERN_PANEL] = {0};
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / 32; b++, p += kern_packed_block_bytes(type)) {
        token in = token_at(a, t, b);
        int8x16_t q[2] = {vld1q_s8(in.q), vld1q_s8(in.q + 16)};
        for (int r = 0; r < 4; r++) {
            int32x4_t dot = vdupq_n_s32(-kern_offset_neon(type) * in.sum);
            KERN_UNROLL
            for (int g = 0; g < 8; g++)
                dot = kern_dot_neon(dot, kern_codes_b32_neon(type, p, g, r), q[g / 4], g % 4);
            fold(type, dot, kern_d_neon(type, p, r), kern_m_neon(type, p, r), in, sums + 4 * r);
        }
    }
    kern_store_panel(y, w->n - panel * KERN_PANEL, sums);
}

// One unpacked block [group][64] against a tile of tokens, 8 rows at a time.
KERN_INLINE void flat_tile(int type, const int8_t *codes, const uint8_t *p, const token *in,
                           float (*sums)[KERN_PANEL])
{
    for (int r = 0; r < 4; r += 2) {
        int32x4_t dot[T][2];
        KERN_UNROLL
        for (int t = 0; t < T; t++)
            dot[t][0] = dot[t][1] = vdupq_n_s32(-kern_offset_neon(type) * in[t].sum);
        KERN_UNROLL
        for (int half = 0; half < 2; half++) {
            int8x16_t q[T];
            KERN_UNROLL
            for (int t = 0; t < T; t++)
                q[t] = vld1q_s8(in[t].q + 16 * half);
            KERN_UNROLL
            for (int g = 0; g < 4; g++) {
                int8x16_t w0 = vld1q_s8(codes + 64 * (4 * half + g) + 16 * r);
                int8x16_t w1 = vld1q_s8(codes + 64 * (4 * half + g) + 16 * r + 16);
                KERN_UNROLL
                for (int t = 0; t < T; t++) {
                    dot[t][0] = kern_dot_neon(dot[t][0], w0, q[t], g);
                    dot[t][1] = kern_dot_neon(dot[t][1], w1, q[t], g);
                }
            }
        }
        KERN_UNROLL
        for (int i = 0; i < 2; i++) {
            float32x4_t d = kern_d_neon(type, p, r + i), m = kern_m_neon(type, p, r + i);
            KERN_UNROLL
            for (int t = 0; t < T; t++)
                fold(type, dot[t][i], d, m, in[t], sums[t] + 4 * (r + i));
        }
    }
}

// Many tokens: a block's codes are unpacked once into L1. A tile that lacks tokens repeats the last one, into sums
// no one reads.
KERN_INLINE void panel_many(int type, const kern_weight *w, const kern_act *a, int panel, int t0, int tokens,
                            float *y, size_t ldy)
{
    float sums[KERN_NEON_BATCH + T][KERN_PANEL];
    int8_t codes[512];
    memset(sums, 0, (size_t)(tokens + T) * sizeof sums[0]);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / 32; b++, p += kern_packed_block_bytes(type)) {
        for (int r = 0; r < 4; r++)
            KERN_UNROLL
        for (int g = 0; g < 8; g++)
            vst1q_s8(codes + 64 * g + 16 * r, kern_codes_b32_neon(type, p, g, r));
        for (int t = 0; t < tokens; t += T) {
            token in[T];
            KERN_UNROLL
            for (int i = 0; i < T; i++)
                in[i] = token_at(a, t0 + (t + i < tokens ? t + i : tokens - 1), b);
            flat_tile(type, codes, p, in, sums + t);
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
MATMUL(q4_0, QT_Q4_0)
MATMUL(q4_1, QT_Q4_1)
MATMUL(q5_0, QT_Q5_0)
MATMUL(q5_1, QT_Q5_1)
MATMUL(q8_0, QT_Q8_0)
MATMUL(iq4_nl, QT_IQ4_NL)
MATMUL(mxfp4, QT_MXFP4)

void kern_neon_fill_b32(kern_table *t)
{
    t->matmul[QT_Q4_0] = matmul_q4_0;
    t->matmul[QT_Q4_1] = matmul_q4_1;
    t->matmul[QT_Q5_0] = matmul_q5_0;
    t->matmul[QT_Q5_1] = matmul_q5_1;
    t->matmul[QT_Q8_0] = matmul_q8_0;
    t->matmul[QT_IQ4_NL] = matmul_iq4_nl;
    t->matmul[QT_MXFP4] = matmul_mxfp4;
}

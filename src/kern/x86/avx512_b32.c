// Matrix products with blocks of 32 columns and a float scale each. Up to FEW tokens the codes go from the
// packed block through registers into the dot products; for more, eight blocks of a panel at a time are
// unpacked into a scratch that stays in L1 and serves all tokens.
//
// I = dot(u, q) - off * sum(q) is exact, the dot product starting from -off * sum(q); then one float step a
// block.
#include "kern/x86/avx512_codes.h"

enum {
    FEW = 4,     // tokens of the register path
    TILE = 8,    // tokens of one register tile of the scratch path
    BATCH = 64,  // tokens that share one unpacking: few enough for their activations to stay in L2
    SPAN = 8
};  // blocks unpacked at a time

// acc += dw*da * I + m*da * sum, rounded as the contract says.
KERN_INLINE __m512 fold(int type, __m512 acc, __m512i I, __m512 dw, __m512 m, float da, int sum)
{
    const __m512 d = _mm512_set1_ps(da);
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(I), _mm512_mul_ps(dw, d), acc);
    if (kern_has_min(type))
        acc = _mm512_fmadd_ps(_mm512_set1_ps((float)sum), _mm512_mul_ps(m, d), acc);
    return acc;
}

KERN_INLINE __m512i start(int type, int sum)
{
    return kern_code_offset(type) ? _mm512_set1_epi32(-kern_code_offset(type) * sum) : _mm512_setzero_si512();
}

// One token's place in the activations.
typedef struct token {
    const int8_t *q;
    const int16_t *sum;
    const float *d;
} token;

KERN_INLINE token token_at(const kern_act *a, int t)
{
    size_t blocks = (size_t)(a->k / 32);
    return (token){a->q + (size_t)t * a->ldq, a->sum + (size_t)t * blocks, a->d + (size_t)t * blocks};
}

// W panels, the first p, the second `other`: memory delivers two streams faster than one.
KERN_INLINE void few_panel(int type, int W, int T, const kern_weight *w, const kern_act *a, int t0, int p,
                           int other, float *y, size_t ldy)
{
    const __m512i table = avx512_table_b32(type);
    const int panel[2] = {p, other};
    const uint8_t *block[2];
    token x[FEW];
    __m512 acc[2][FEW];
    for (int t = 0; t < T; t++)
        x[t] = token_at(a, t0 + t);
    for (int i = 0; i < W; i++) {
        block[i] = w->data + (size_t)panel[i] * w->panel_bytes;
        for (int t = 0; t < T; t++)
            acc[i][t] = _mm512_setzero_ps();
    }
    for (int b = 0; b < w->k / 32; b++) {
        __m512i dot[2][FEW];
#pragma GCC unroll 2
        for (int i = 0; i < W; i++) {
            kern_prefetch_stream(block[i], kern_packed_block_bytes(type));
#pragma GCC unroll 4
            for (int t = 0; t < T; t++)
                dot[i][t] = start(type, x[t].sum[b]);
        }
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++)
#pragma GCC unroll 2
            for (int i = 0; i < W; i++) {
                __m512i u = avx512_codes_b32(type, block[i], g, table);
#pragma GCC unroll 4
                for (int t = 0; t < T; t++)
                    dot[i][t] = _mm512_dpbusd_epi32(dot[i][t], u, avx512_four(x[t].q + 32 * b + 4 * g));
            }
#pragma GCC unroll 2
        for (int i = 0; i < W; i++) {
            const __m512 dw = avx512_scales_b32(type, block[i]),
                         m = kern_has_min(type) ? avx512_load_f16(block[i] + 32) : dw;
#pragma GCC unroll 4
            for (int t = 0; t < T; t++)
                acc[i][t] = fold(type, acc[i][t], dot[i][t], dw, m, x[t].d[b], x[t].sum[b]);
            block[i] += kern_packed_block_bytes(type);
        }
    }
    for (int i = 0; i < W; i++)
        for (int t = 0; t < T; t++)
            _mm512_mask_storeu_ps(y + (size_t)(t0 + t) * ldy + panel[i] * KERN_PANEL,
                                  avx512_rows(w, panel[i]), acc[i][t]);
}

// Blocks of a panel, unpacked for all tokens.
typedef struct scratch {
    _Alignas(64) uint8_t u[SPAN][8][64];
    __m512 dw[SPAN], m[SPAN];
} scratch;

KERN_INLINE void unpack(int type, const uint8_t *block, int n, __m512i table, scratch *u)
{
    for (int i = 0; i < n; i++, block += kern_packed_block_bytes(type)) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++)
            _mm512_store_si512(u->u[i][g], avx512_codes_b32(type, block, g, table));
        u->dw[i] = avx512_scales_b32(type, block);
        u->m[i] = kern_has_min(type) ? avx512_load_f16(block + 32) : u->dw[i];
    }
}

// Adds n blocks from b to the sums of T tokens from t0.
KERN_INLINE void tile(int type, int T, const scratch *u, const kern_act *a, int t0, int b, int n,
                      float (*sums)[16])
{
    token x[TILE];
    __m512 acc[TILE];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
        x[t] = token_at(a, t0 + t);
        acc[t] = _mm512_load_ps(sums[t]);
    }
    for (int i = 0; i < n; i++) {
        __m512i dot[TILE];
#pragma GCC unroll 8
        for (int t = 0; t < T; t++)
            dot[t] = start(type, x[t].sum[b + i]);
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++) {
            __m512i v = _mm512_load_si512(u->u[i][g]);
#pragma GCC unroll 8
            for (int t = 0; t < T; t++)
                dot[t] = _mm512_dpbusd_epi32(dot[t], v, avx512_four(x[t].q + 32 * (b + i) + 4 * g));
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; t++)
            acc[t] = fold(type, acc[t], dot[t], u->dw[i], u->m[i], x[t].d[b + i], x[t].sum[b + i]);
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; t++)
        _mm512_store_ps(sums[t], acc[t]);
}

KERN_INLINE void many_panel(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p,
                            float *y, size_t ldy)
{
    const __m512i table = avx512_table_b32(type);
    const uint8_t *block = w->data + (size_t)p * w->panel_bytes;
    _Alignas(64) float acc[BATCH][16];
    const int n = t1 - t0, blocks = w->k / 32;
    memset(acc, 0, sizeof acc[0] * (size_t)n);
    for (int b = 0; b < blocks; b += SPAN, block += SPAN * kern_packed_block_bytes(type)) {
        const int span = blocks - b < SPAN ? blocks - b : SPAN;
        scratch u;
        unpack(type, block, span, table, &u);
        int t = 0;
        for (; t + TILE <= n; t += TILE)
            tile(type, TILE, &u, a, t0 + t, b, span, acc + t);
        if (t + 4 <= n) {
            tile(type, 4, &u, a, t0 + t, b, span, acc + t);
            t += 4;
        }
        if (t + 2 <= n) {
            tile(type, 2, &u, a, t0 + t, b, span, acc + t);
            t += 2;
        }
        if (t < n)
            tile(type, 1, &u, a, t0 + t, b, span, acc + t);
    }
    for (int t = 0; t < n; t++)
        _mm512_mask_storeu_ps(y + (size_t)(t0 + t) * ldy + p * KERN_PANEL, avx512_rows(w, p),
                              _mm512_load_ps(acc[t]));
}

// One token times panels [p0, p1): both halves of them at once.
KERN_INLINE void single(int type, const kern_weight *w, const kern_act *a, int t, int p0, int p1, float *y,
                        size_t ldy)
{
    const int half = (p1 - p0) / 2;
    for (int p = p0; p < p0 + half; p++)
        few_panel(type, 2, 1, w, a, t, p, p + half, y, ldy);
    if (p0 + 2 * half < p1)
        few_panel(type, 1, 1, w, a, t, p1 - 1, p1 - 1, y, ldy);
}

KERN_INLINE void matmul(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1,
                        float *y, size_t ldy)
{
    for (int t = t0; t < t1; t += BATCH) {
        const int n = t1 - t < BATCH ? t1 - t : BATCH;
        if (n == 1) {
            single(type, w, a, t, p0, p1, y, ldy);
            continue;
        }
        for (int p = p0; p < p1; p++)
            switch (n) {
            case 2: few_panel(type, 1, 2, w, a, t, p, p, y, ldy); break;
            case 3: few_panel(type, 1, 3, w, a, t, p, p, y, ldy); break;
            case 4: few_panel(type, 1, 4, w, a, t, p, p, y, ldy); break;
            default: many_panel(type, w, a, t, t + n, p, y, ldy); break;
            }
    }
}

AVX512_MATMUL(matmul_q4_0, QT_Q4_0, matmul)
AVX512_MATMUL(matmul_q4_1, QT_Q4_1, matmul)
AVX512_MATMUL(matmul_q5_0, QT_Q5_0, matmul)
AVX512_MATMUL(matmul_q5_1, QT_Q5_1, matmul)
AVX512_MATMUL(matmul_q8_0, QT_Q8_0, matmul)
AVX512_MATMUL(matmul_iq4_nl, QT_IQ4_NL, matmul)
AVX512_MATMUL(matmul_mxfp4, QT_MXFP4, matmul)

void kern_avx512_b32(kern_table *t)
{
    t->matmul[QT_Q4_0] = matmul_q4_0;
    t->matmul[QT_Q4_1] = matmul_q4_1;
    t->matmul[QT_Q5_0] = matmul_q5_0;
    t->matmul[QT_Q5_1] = matmul_q5_1;
    t->matmul[QT_Q8_0] = matmul_q8_0;
    t->matmul[QT_IQ4_NL] = matmul_iq4_nl;
    t->matmul[QT_MXFP4] = matmul_mxfp4;
}

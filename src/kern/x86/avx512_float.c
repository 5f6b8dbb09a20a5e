// Matrix products with F32, F16, BF16 weights, all in F32. Every output is one chain of fused multiply-adds
// over the columns in order, so speed comes from many chains at once: PANELS panels side by side for a token
// or two, TILE tokens over two panels for more.
#include "kern/x86/avx512.h"

enum {
    PANELS = 4,  // chains (and memory streams) of the few-token path; a chain alone waits 4 cycles a step
    FEW = 2,
    TILE = 12
};  // 2 panels x 12 tokens: 24 sums, 2 weights, in 32 registers

// Sixteen weights of column c.
KERN_INLINE __m512 column(int type, const uint8_t *panel, int c)
{
    if (type == QT_F16)
        return avx512_load_f16(panel + 32 * (size_t)c);
    if (type == QT_BF16) {
        __m256i h = _mm256_loadu_si256((const __m256i *)(panel + 32 * (size_t)c));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
    }
    return _mm512_loadu_ps(panel + 64 * (size_t)c);
}

// P panels from p0, T tokens from t0.
KERN_INLINE void tile(int type, int P, int T, const kern_weight *w, const kern_act *a, int t0, int p0,
                      float *y, size_t ldy)
{
    const float *x = a->x + (size_t)t0 * a->ldx;
    const uint8_t *panel[PANELS];
    __m512 sum[PANELS * TILE / 2];
#pragma GCC unroll 4
    for (int p = 0; p < P; p++)
        panel[p] = w->data + (size_t)(p0 + p) * w->panel_bytes;
#pragma GCC unroll 24
    for (int i = 0; i < P * T; i++)
        sum[i] = _mm512_setzero_ps();
    for (int c = 0; c < w->k; c++) {
#pragma GCC unroll 4
        for (int p = 0; p < P; p++) {
            if (T == 1 && c % 2 == 0)  // two columns are a cache line of 16-bit weights
                kern_prefetch_stream(panel[p] + (type == QT_F32 ? 64 : 32) * (size_t)c,
                                     type == QT_F32 ? 128 : 64);
            __m512 v = column(type, panel[p], c);
#pragma GCC unroll 12
            for (int t = 0; t < T; t++)
                sum[p * T + t] = _mm512_fmadd_ps(v, _mm512_set1_ps(x[(size_t)t * a->ldx + (size_t)c]),
                                                 sum[p * T + t]);
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; p++)
#pragma GCC unroll 12
        for (int t = 0; t < T; t++)
            _mm512_mask_storeu_ps(y + (size_t)(t0 + t) * ldy + (p0 + p) * KERN_PANEL, avx512_rows(w, p0 + p),
                                  sum[p * T + t]);
}

// Tokens from t on, T at a time, with one panel or two; returns the first token left over.
KERN_INLINE int tiles(int type, int P, int T, const kern_weight *w, const kern_act *a, int t, int t1, int p,
                      float *y, size_t ldy)
{
    for (; t + T <= t1; t += T)
        tile(type, P, T, w, a, t, p, y, ldy);
    return t;
}

KERN_INLINE void all_tokens(int type, int P, const kern_weight *w, const kern_act *a, int t0, int t1, int p,
                            float *y, size_t ldy)
{
    int t = tiles(type, P, TILE, w, a, t0, t1, p, y, ldy);
    t = tiles(type, P, 4, w, a, t, t1, p, y, ldy);
    tiles(type, P, 1, w, a, t, t1, p, y, ldy);
}

KERN_INLINE void matmul(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1,
                        float *y, size_t ldy)
{
    int p = p0;
    for (; t1 - t0 <= FEW && p + PANELS <= p1; p += PANELS)
        tiles(type, PANELS, 1, w, a, t0, t1, p, y, ldy);
    for (; p + 2 <= p1; p += 2)
        all_tokens(type, 2, w, a, t0, t1, p, y, ldy);
    if (p < p1)
        all_tokens(type, 1, w, a, t0, t1, p, y, ldy);
}

AVX512_MATMUL(matmul_f32, QT_F32, matmul)
AVX512_MATMUL(matmul_f16, QT_F16, matmul)
AVX512_MATMUL(matmul_bf16, QT_BF16, matmul)

void kern_avx512_float(kern_table *t)
{
    t->matmul[QT_F32] = matmul_f32;
    t->matmul[QT_F16] = matmul_f16;
    t->matmul[QT_BF16] = matmul_bf16;
}

// Matrix products with F32, F16, BF16 weights, and with types that are decoded on the fly, all in F32. Every
// output is one chain of fused multiply-adds over the columns in order, so speed comes from many chains at once:
// PANELS panels side by side for a token or two, TILE tokens over two panels for more.
#include "kern/overlay.h"
#include "kern/x86/avx512.h"

enum { PANELS = 4,  // chains (and memory streams) of the few-token path; a chain alone waits 4 cycles a step
       FEW = 2,
       TILE = 12 };  // 2 panels x 12 tokens: 24 sums, 2 weights, in 32 registers

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

// P panels from p0, T tokens from t0. first..last: columns; the sums go on from y when first is not 0.
KERN_INLINE void block(int type, int P, int T, const uint8_t *const *panel, const float *x, size_t ldx, int cols,
                       __m512 *acc)
{
    __m512 sum[24];
#pragma GCC unroll 24
    for (int i = 0; i < P * T; i++)
        sum[i] = acc[i];
    for (int c = 0; c < cols; c++) {
#pragma GCC unroll 4
        for (int p = 0; p < P; p++) {
            __m512 v = column(type, panel[p], c);
#pragma GCC unroll 12
            for (int t = 0; t < T; t++)
                sum[p * T + t] = _mm512_fmadd_ps(v, _mm512_set1_ps(x[(size_t)t * ldx + (size_t)c]), sum[p * T + t]);
        }
    }
#pragma GCC unroll 24
    for (int i = 0; i < P * T; i++)
        acc[i] = sum[i];
}

KERN_INLINE void tile(int type, int P, int T, const kern_weight *w, const kern_act *a, int t0, int p0, float *y,
                      size_t ldy)
{
    const float *x = a->x + (size_t)t0 * a->ldx;
    __m512 acc[24];
    for (int i = 0; i < P * T; i++)
        acc[i] = _mm512_setzero_ps();
    if (type >= 0) {
        const uint8_t *panel[PANELS];
        for (int p = 0; p < P; p++)
            panel[p] = w->data + (size_t)(p0 + p) * w->panel_bytes;
        block(type, P, T, panel, x, a->ldx, w->k, acc);
    } else {
        _Alignas(64) float columns[PANELS][KERN_SUPER * KERN_PANEL];
        const uint8_t *panel[PANELS];
        for (int p = 0; p < P; p++)
            panel[p] = (const uint8_t *)columns[p];
        for (int c = 0; c < w->k; c += KERN_SUPER) {
            int cols = w->k - c < KERN_SUPER ? w->k - c : KERN_SUPER;
            for (int p = 0; p < P; p++)
                kern_decode_panel(w, p0 + p, c, cols, columns[p]);
            block(QT_F32, P, T, panel, x + c, a->ldx, cols, acc);
        }
    }
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++)
            _mm512_mask_storeu_ps(y + (size_t)(t0 + t) * ldy + (p0 + p) * KERN_PANEL, avx512_rows(w, p0 + p),
                                  acc[p * T + t]);
}

// type < 0: decoded on the fly.
KERN_INLINE void matmul(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1,
                        float *y, size_t ldy)
{
    int p = p0;
    for (; t1 - t0 <= FEW && p + PANELS <= p1; p += PANELS)
        for (int t = t0; t < t1; t++)
            tile(type, PANELS, 1, w, a, t, p, y, ldy);
    for (; p < p1; p++) {
        int pair = p + 1 < p1, t = t0;
        for (; t + TILE <= t1; t += TILE)
            if (pair)
                tile(type, 2, TILE, w, a, t, p, y, ldy);
            else
                tile(type, 1, TILE, w, a, t, p, y, ldy);
        for (; t + 4 <= t1; t += 4)
            if (pair)
                tile(type, 2, 4, w, a, t, p, y, ldy);
            else
                tile(type, 1, 4, w, a, t, p, y, ldy);
        for (; t < t1; t++)
            if (pair)
                tile(type, 2, 1, w, a, t, p, y, ldy);
            else
                tile(type, 1, 1, w, a, t, p, y, ldy);
        p += pair;
    }
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

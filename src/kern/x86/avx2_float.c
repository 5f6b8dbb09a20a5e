// Matrix products with float weights on AVX2: panels of [column][16] values, each widened to F32 as it is loaded, and
// rows of any other type decoded to such panels 256 columns at a time. A sum is one chain of fused additions over
// the columns, so only more tokens or more panels at once can hide the latency: a tile has 8 to 12 chains.
#include "kern/overlay.h"
#include "kern/x86/avx2.h"

// A tile of 6 tokens x 16 rows has 12 sums, which with the weights and the activation fill the 16 registers; fewer
// tokens leave room for more panels.
enum { TOKENS = 6, PANELS = 4 };

// How far ahead of their turn three and more tokens ask for weights. Fewer read so fast that the processor's own
// prefetchers do as well: kern_bench --type F16 on a Zen 2, 3 and 4 tokens 2150 and 2970 us without, 1910 and 2090 with, 1 and
// 2 tokens the same; 4096 bytes alike, 1024 a tenth slower.
enum { AHEAD = 2048 };

KERN_INLINE __m256 value_at(int type, const uint8_t *p, size_t i)
{
    switch (type) {
    case QT_F16: return _mm256_cvtph_ps(kern_load128(p + 2 * i));
    case QT_BF16:
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(kern_load128(p + 2 * i)), 16));
    default: return _mm256_loadu_ps((const float *)(const void *)(p + 4 * i));
    }
}

// sums[panel][token] += `cols` columns; panels lie `stride` bytes apart, or in L1 if that is 0.
KERN_INLINE void tile(int type, const uint8_t *p, size_t stride, int panels, const float *const *x,
                      int tokens, int cols, __m256 (*sums)[2])
{
    __m256 acc[TOKENS][2];
    KERN_UNROLL
    for (int i = 0; i < panels * tokens; i++) {
        acc[i][0] = sums[i][0];
        acc[i][1] = sums[i][1];
    }
    const size_t column = KERN_PANEL * (type == QT_F32 ? 4 : 2);
    for (int c = 0; c < cols; c++)
        KERN_UNROLL
    for (int i = 0; i < panels; i++) {
        const uint8_t *at = p + (size_t)i * stride + (size_t)c * column;
        __m256 w0 = value_at(type, at, 0), w1 = value_at(type, at, 8);
        if (stride && tokens > 2)
            _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
        if (type != QT_F32 && panels * tokens == TOKENS)
            KERN_HERE();  // so that activations are read again for each panel: no register is left to keep them in
        KERN_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m256 b = _mm256_broadcast_ss(x[t] + c);
            acc[i * tokens + t][0] = _mm256_fmadd_ps(w0, b, acc[i * tokens + t][0]);
            acc[i * tokens + t][1] = _mm256_fmadd_ps(w1, b, acc[i * tokens + t][1]);
        }
    }
    KERN_UNROLL
    for (int i = 0; i < panels * tokens; i++) {
        sums[i][0] = acc[i][0];
        sums[i][1] = acc[i][1];
    }
}

// Panels [p, p + panels) times tokens [t, t + tokens), all columns.
KERN_INLINE void product(int type, const kern_weight *w, const kern_act *a, int p, int panels, int t,
                         int tokens, float *y, size_t ldy)
{
    __m256 sums[TOKENS][2];
    const float *x[TOKENS];
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < tokens; i++)
        x[i] = a->x + (size_t)(t + i) * a->ldx;
    tile(type, w->data + (size_t)p * w->panel_bytes, w->panel_bytes, panels, x, tokens, w->k, sums);
    for (int i = 0; i < panels; i++)
        for (int j = 0; j < tokens; j++)
            kern_store_panel(y + (size_t)(t + j) * ldy + (size_t)(p + i) * KERN_PANEL,
                             w->n - (p + i) * KERN_PANEL, sums[i * tokens + j][0], sums[i * tokens + j][1]);
}

// Panels [p0, p1) times a tile of tokens: as many panels at once as the registers hold.
KERN_INLINE void products(int type, const kern_weight *w, const kern_act *a, int p0, int p1, int t,
                          int tokens, float *y, size_t ldy)
{
    const int panels = tokens == 1 ? PANELS : tokens <= 3 ? 2 : 1;
    int p = p0;
    for (; p + panels <= p1; p += panels)
        product(type, w, a, p, panels, t, tokens, y, ldy);
    for (; p < p1; p++)
        product(type, w, a, p, 1, t, tokens, y, ldy);
}

KERN_INLINE void matmul_panels(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0,
                               int p1, float *y, size_t ldy)
{
    for (int p = p0; p < p1; p += PANELS) {
        int last = p + PANELS < p1 ? p + PANELS : p1;
        for (int t = t0; t < t1; t += TOKENS)
            switch (t1 - t) {
            case 1: products(type, w, a, p, last, t, 1, y, ldy); break;
            case 2: products(type, w, a, p, last, t, 2, y, ldy); break;
            case 3: products(type, w, a, p, last, t, 3, y, ldy); break;
            case 4: products(type, w, a, p, last, t, 4, y, ldy); break;
            case 5: products(type, w, a, p, last, t, 5, y, ldy); break;
            default: products(type, w, a, p, last, t, TOKENS, y, ldy); break;
            }
    }
}

static void matmul_f32(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                       size_t ldy)
{
    matmul_panels(QT_F32, w, a, t0, t1, p0, p1, y, ldy);
}

static void matmul_f16(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                       size_t ldy)
{
    matmul_panels(QT_F16, w, a, t0, t1, p0, p1, y, ldy);
}

static void matmul_bf16(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                        size_t ldy)
{
    matmul_panels(QT_BF16, w, a, t0, t1, p0, p1, y, ldy);
}

// Decoded columns meet a batch of tokens, TOKENS at a time; missing tokens repeat the last, into sums no one reads.
static void decoded_columns(const kern_weight *w, const kern_act *a, int p, int c0, int t0, int tokens,
                            __m256 (*sums)[2])
{
    _Alignas(32) float columns[KERN_SUPER * KERN_PANEL];
    int cols = w->k - c0 < KERN_SUPER ? w->k - c0 : KERN_SUPER;
    kern_decode_panel(w, p, c0, cols, columns);
    for (int t = 0; t < tokens; t += TOKENS) {
        const float *x[TOKENS];
        for (int i = 0; i < TOKENS; i++)
            x[i] = a->x + (size_t)(t0 + (t + i < tokens ? t + i : tokens - 1)) * a->ldx + c0;
        if (tokens - t == 1)
            tile(QT_F32, (const uint8_t *)columns, 0, 1, x, 1, cols, sums + t);
        else
            tile(QT_F32, (const uint8_t *)columns, 0, 1, x, TOKENS, cols, sums + t);
    }
}

static void matmul_decode(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                          size_t ldy)
{
    for (int p = p0; p < p1; p++)
        for (int t = t0; t < t1; t += KERN_AVX2_BATCH) {
            int tokens = t1 - t < KERN_AVX2_BATCH ? t1 - t : KERN_AVX2_BATCH;
            __m256 sums[KERN_AVX2_BATCH + TOKENS][2];
            memset(sums, 0, sizeof sums);
            for (int c = 0; c < w->k; c += KERN_SUPER)
                decoded_columns(w, a, p, c, t, tokens, sums);
            for (int i = 0; i < tokens; i++)
                kern_store_panel(y + (size_t)(t + i) * ldy + (size_t)p * KERN_PANEL, w->n - p * KERN_PANEL,
                                 sums[i][0], sums[i][1]);
        }
}

void kern_avx2_fill_float(kern_table *t)
{
    for (int type = 0; type < QT_COUNT; type++)
        if (t->matmul[type] && kern_family_of(type) == KERN_DECODE)
            t->matmul[type] = matmul_decode;
    t->matmul_decode = matmul_decode;
    t->matmul[QT_F32] = matmul_f32;
    t->matmul[QT_F16] = matmul_f16;
    t->matmul[QT_BF16] = matmul_bf16;
}

// Matrix products with float weights on NEON: panels of [column][16] values, each widened to F32 as it is loaded, and
// rows of any other type decoded to such panels 256 columns at a time. A sum is one chain of fused additions over
// the columns; a tile has 16 or 20 chains to hide their latency.
#include "kern/arm/neon.h"
#include "kern/overlay.h"

enum { TOKENS = 5, PANELS = 4 };  // 20 sums, 4 weights, and a lane of each token: 32 registers

KERN_INLINE float32x4_t value_at(int type, const uint8_t *p, size_t i)
{
    switch (type) {
    case QT_F16: return kern_f16x4_neon(p + 2 * i);
    case QT_BF16: return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p + 2 * i)), 16));
    default: return vreinterpretq_f32_u8(vld1q_u8(p + 4 * i));
    }
}

// sums[panel][token] += `cols` columns; panels lie `stride` bytes apart.
KERN_INLINE void tile(int type, const uint8_t *p, size_t stride, int panels, const float *const *x,
                      int tokens, int cols, float (*sums)[KERN_PANEL])
{
    float32x4_t acc[TOKENS][4];
    KERN_UNROLL
    for (int i = 0; i < panels * tokens; i++)
        KERN_UNROLL
    for (int r = 0; r < 4; r++)
        acc[i][r] = vld1q_f32(sums[i] + 4 * r);
    for (int c = 0; c < cols; c++)
        KERN_UNROLL
    for (int i = 0; i < panels; i++)
        KERN_UNROLL
    for (int r = 0; r < 4; r++) {
        float32x4_t w = value_at(type, p + (size_t)i * stride, (size_t)(c * KERN_PANEL + 4 * r));
        KERN_UNROLL
        for (int t = 0; t < tokens; t++)
            acc[i * tokens + t][r] = vfmaq_n_f32(acc[i * tokens + t][r], w, x[t][c]);
    }
    KERN_UNROLL
    for (int i = 0; i < panels * tokens; i++)
        KERN_UNROLL
    for (int r = 0; r < 4; r++)
        vst1q_f32(sums[i] + 4 * r, acc[i][r]);
}

// Panels [p, p + panels) times tokens [t, t + tokens), all columns.
KERN_INLINE void product(int type, const kern_weight *w, const kern_act *a, int p, int panels, int t,
                         int tokens, float *y, size_t ldy)
{
    float sums[TOKENS][KERN_PANEL] = {{0}};
    const float *x[TOKENS];
    for (int i = 0; i < tokens; i++)
        x[i] = a->x + (size_t)(t + i) * a->ldx;
    tile(type, w->data + (size_t)p * w->panel_bytes, w->panel_bytes, panels, x, tokens, w->k, sums);
    for (int i = 0; i < panels; i++)
        for (int j = 0; j < tokens; j++)
            kern_store_panel(y + (size_t)(t + j) * ldy + (size_t)(p + i) * KERN_PANEL,
                             w->n - (p + i) * KERN_PANEL, sums[i * tokens + j]);
}

KERN_INLINE void matmul_panels(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0,
                               int p1, float *y, size_t ldy)
{
    int p = p0;
    if (t1 - t0 == 1)
        for (; p + PANELS <= p1; p += PANELS)
            product(type, w, a, p, PANELS, t0, 1, y, ldy);
    for (; p < p1; p++) {
        int t = t0;
        for (; t + TOKENS <= t1; t += TOKENS)
            product(type, w, a, p, 1, t, TOKENS, y, ldy);
        for (; t < t1; t++)
            product(type, w, a, p, 1, t, 1, y, ldy);
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
                            float (*sums)[KERN_PANEL])
{
    float columns[KERN_SUPER * KERN_PANEL];
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
        for (int t = t0; t < t1; t += KERN_NEON_BATCH) {
            int tokens = t1 - t < KERN_NEON_BATCH ? t1 - t : KERN_NEON_BATCH;
            float sums[KERN_NEON_BATCH + TOKENS][KERN_PANEL];
            memset(sums, 0, sizeof sums);
            for (int c = 0; c < w->k; c += KERN_SUPER)
                decoded_columns(w, a, p, c, t, tokens, sums);
            for (int i = 0; i < tokens; i++)
                kern_store_panel(y + (size_t)(t + i) * ldy + (size_t)p * KERN_PANEL, w->n - p * KERN_PANEL,
                                 sums[i]);
        }
}

void kern_neon_fill_float(kern_table *t)
{
    for (int type = 0; type < QT_COUNT; type++)
        if (t->matmul[type] && kern_family_of(type) == KERN_DECODE)
            t->matmul[type] = matmul_decode;
    t->matmul_decode = matmul_decode;
    t->matmul[QT_F32] = matmul_f32;
    t->matmul[QT_F16] = matmul_f16;
    t->matmul[QT_BF16] = matmul_bf16;
}

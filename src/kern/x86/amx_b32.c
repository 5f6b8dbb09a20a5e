// AMX products with blocks of 32 columns and a float scale each. Codes minus their offset are signed bytes; a
// multiply over 32 columns gives the exact sums of one block, which are folded to float eight blocks (256
// columns) at a time: the rows' scales of eight blocks then stay in registers while the tokens go by.
#include "kern/x86/amx.h"

enum {
    SMALLEST = 9,  // tokens from which tiles pay: at 8 both ways are even
    SPAN = 8
};  // blocks folded at a time

typedef struct span {
    _Alignas(64) int8_t b[SPAN][8][64];
    __m512 dw[SPAN], m[SPAN];
} span;

typedef int32_t result[AMX_TOKENS][KERN_PANEL];

KERN_INLINE void build(int type, const uint8_t *block, int n, __m512i table, span *s)
{
    const __m512i off = _mm512_set1_epi8((char)kern_code_offset(type));
    for (int i = 0; i < n; i++, block += kern_packed_block_bytes(type)) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++) {
            __m512i u = avx512_codes_b32(type, block, g, table);
            _mm512_store_si512(s->b[i][g], kern_code_offset(type) ? _mm512_sub_epi8(u, off) : u);
        }
        s->dw[i] = avx512_scales_b32(type, block);
        s->m[i] = kern_has_min(type) ? avx512_load_f16(block + 32) : s->dw[i];
    }
}

// Block i into C, while the block before, in E, is stored.
#define STEP(C, A, E, i)                   \
    do {                                   \
        _tile_loadd(A, q + 32 * (i), ldq); \
        _tile_loadd(6, s->b[i], 64);       \
        _tile_zero(C);                     \
        _tile_dpbssd(C, A, 6);             \
        if ((i) > 0)                       \
            _tile_stored(E, r[(i)-1], 64); \
    } while (0)

KERN_INLINE void multiply(const span *s, const int8_t *q, size_t ldq, result *r)
{
    STEP(0, 4, 3, 0);
    STEP(1, 5, 0, 1);
    STEP(2, 4, 1, 2);
    STEP(3, 5, 2, 3);
    STEP(0, 4, 3, 4);
    STEP(1, 5, 0, 5);
    STEP(2, 4, 1, 6);
    STEP(3, 5, 2, 7);
    _tile_stored(3, r[7], 64);
}

// The n < SPAN blocks at the end of a row.
KERN_INLINE void multiply_some(const span *s, const int8_t *q, size_t ldq, int n, result *r)
{
    for (int i = 0; i < n; i++) {
        _tile_loadd(4, q + 32 * i, ldq);
        _tile_loadd(6, s->b[i], 64);
        _tile_zero(0);
        _tile_dpbssd(0, 4, 6);
        _tile_stored(0, r[i], 64);
    }
}

// Adds the results of one tile, n blocks from b, to the sums.
KERN_INLINE void fold(int type, const amx_pass *x, const span *s, int t0, int b, int n, result *r,
                      float (*sums)[KERN_PANEL])
{
    const size_t blocks = (size_t)(x->w->k / 32);
    const float *d = x->a->d + (size_t)t0 * blocks + b;
    const int16_t *sum = x->a->sum + (size_t)t0 * blocks + b;
    for (int t = 0; t < x->m; t++, d += blocks, sum += blocks) {
        __m512 acc = _mm512_load_ps(sums[t]);
#pragma GCC unroll 8
        for (int i = 0; i < SPAN; i++) {
            if (i >= n)
                break;
            const __m512 da = _mm512_set1_ps(d[i]);
            acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(avx512_load(r[i][t])), _mm512_mul_ps(s->dw[i], da), acc);
            if (kern_has_min(type))
                acc = _mm512_fmadd_ps(_mm512_set1_ps((float)sum[i]), _mm512_mul_ps(s->m[i], da), acc);
        }
        _mm512_store_ps(sums[t], acc);
    }
}

KERN_INLINE void panel(int type, const amx_pass *x, int p)
{
    const __m512i table = avx512_table_b32(type);
    _Alignas(64) amx_sums sums[AMX_PAIRS];
    _Alignas(64) result r[2][SPAN];
    span s;
    const uint8_t *data = x->w->data + (size_t)p * x->w->panel_bytes;
    const size_t ldq = x->a->ldq;
    kern_amx_load(x, p, sums);
    for (int b = x->c0 / 32; b < x->c1 / 32; b += SPAN) {
        const int n = x->c1 / 32 - b < SPAN ? x->c1 / 32 - b : SPAN;
        build(type, data + (size_t)b * (size_t)kern_packed_block_bytes(type), n, table, &s);
        amx_written();
        for (int i = 0; i <= 2 * x->pairs; i++) {
            const int8_t *q = x->a->q + (size_t)amx_token(x, i / 2, i % 2) * ldq + 32 * (size_t)b;
            if (i < 2 * x->pairs && n == SPAN)
                multiply(&s, q, ldq, r[i & 1]);
            else if (i < 2 * x->pairs)
                multiply_some(&s, q, ldq, n, r[i & 1]);
            if (i > 0 && n == SPAN)
                fold(type, x, &s, amx_token(x, (i - 1) / 2, (i - 1) % 2), b, SPAN, r[(i - 1) & 1],
                     sums[(i - 1) / 2][(i - 1) % 2]);
            else if (i > 0)
                fold(type, x, &s, amx_token(x, (i - 1) / 2, (i - 1) % 2), b, n, r[(i - 1) & 1],
                     sums[(i - 1) / 2][(i - 1) % 2]);
        }
    }
    kern_amx_store(x, p, sums);
}

// What AVX-512 does with few tokens.
static kern_matmul_fn *few[QT_COUNT];

#define MATMUL(name, type)                                                                              \
    static void name##_panel(const amx_pass *x, int p)                                                  \
    {                                                                                                   \
        panel(type, x, p);                                                                              \
    }                                                                                                   \
    static void name(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y, \
                     size_t ldy)                                                                        \
    {                                                                                                   \
        if (t1 - t0 < SMALLEST)                                                                         \
            few[type](w, a, t0, t1, p0, p1, y, ldy);                                                    \
        else                                                                                            \
            kern_amx_drive(name##_panel, NULL, 32, w, a, t0, t1, p0, p1, y, ldy);                       \
    }

MATMUL(matmul_q4_0, QT_Q4_0)
MATMUL(matmul_q4_1, QT_Q4_1)
MATMUL(matmul_q5_0, QT_Q5_0)
MATMUL(matmul_q5_1, QT_Q5_1)
MATMUL(matmul_q8_0, QT_Q8_0)
MATMUL(matmul_iq4_nl, QT_IQ4_NL)
MATMUL(matmul_mxfp4, QT_MXFP4)

void kern_amx_b32(kern_table *t)
{
    memcpy(few, t->matmul, sizeof few);
    t->matmul[QT_Q4_0] = matmul_q4_0;
    t->matmul[QT_Q4_1] = matmul_q4_1;
    t->matmul[QT_Q5_0] = matmul_q5_0;
    t->matmul[QT_Q5_1] = matmul_q5_1;
    t->matmul[QT_Q8_0] = matmul_q8_0;
    t->matmul[QT_IQ4_NL] = matmul_iq4_nl;
    t->matmul[QT_MXFP4] = matmul_mxfp4;
}

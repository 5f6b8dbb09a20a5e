// AMX products with blocks of 32 columns and a float scale each. Codes minus their offset are signed bytes; a
// multiply over 32 columns gives the exact sums of one block, which are folded to float eight blocks (256
// columns) at a time: the rows' scales of eight blocks then stay in registers while the tokens go by.
#include "kern/x86/amx.h"

enum { SMALLEST = 9,  // tokens from which tiles pay: at 8 both ways are even
       SPAN = 8 };    // blocks folded at a time

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

// Adds the results of tokens [from, to) of one tile, n blocks from b, to the sums.
KERN_INLINE void fold(int type, const amx_pass *x, const span *s, int t0, int b, int n, int from, int to,
                      result *r, float (*sums)[KERN_PANEL])
{
    const size_t blocks = (size_t)(x->w->k / 32);
    const float *d = x->a->d + (size_t)(t0 + from) * blocks + b;
    const int16_t *sum = x->a->sum + (size_t)(t0 + from) * blocks + b;
    for (int t = from; t < to; t++, d += blocks, sum += blocks) {
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

// What is folded while a tile is multiplied: the tile before.
typedef struct earlier {
    int t0, b, each;  // its first token, first block, tokens folded at each of the SPAN steps
    result *r;
    float (*sums)[KERN_PANEL];
} earlier;

// Block i into C, while the block before, in E, is stored and some tokens of the tile before are folded.
#define STEP(C, A, E, i)                                                                                         \
    do {                                                                                                         \
        _tile_loadd(A, q + 32 * (i), ldq);                                                                       \
        _tile_loadd(6, s->b[i], 64);                                                                             \
        _tile_zero(C);                                                                                           \
        _tile_dpbssd(C, A, 6);                                                                                   \
        if ((i) > 0)                                                                                             \
            _tile_stored(E, r[(i) - 1], 64);                                                                     \
        if (e)                                                                                                   \
            fold_step(type, x, s, e, i);                                                                         \
    } while (0)

KERN_INLINE void fold_step(int type, const amx_pass *x, const span *s, const earlier *e, int i)
{
    const int from = i * e->each, to = from + e->each < x->m ? from + e->each : x->m;
    fold(type, x, s, e->t0, e->b, SPAN, from, to, e->r, e->sums);
}

KERN_INLINE void multiply(int type, const amx_pass *x, const span *s, const int8_t *q, result *r, const earlier *e)
{
    const size_t ldq = x->a->ldq;
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

// Eight blocks of a panel meet all tiles of the pass.
KERN_INLINE void whole_span(int type, const amx_pass *x, const span *s, int b, amx_sums *sums)
{
    _Alignas(64) result r[2][SPAN];
    earlier e = {.b = b, .each = (x->m + SPAN - 1) / SPAN};
    for (int i = 0; i < 2 * x->pairs; i++) {
        const int t = amx_token(x, i / 2, i % 2);
        const int8_t *q = x->a->q + (size_t)t * x->a->ldq + 32 * (size_t)b;
        multiply(type, x, s, q, r[i & 1], i > 0 ? &e : NULL);
        e.t0 = t;
        e.r = r[i & 1];
        e.sums = sums[i / 2][i % 2];
    }
    fold(type, x, s, e.t0, b, SPAN, 0, x->m, e.r, e.sums);
}

// The n < SPAN blocks at the end of a row.
KERN_INLINE void part_span(int type, const amx_pass *x, const span *s, int b, int n, amx_sums *sums)
{
    _Alignas(64) result r[SPAN];
    for (int i = 0; i < 2 * x->pairs; i++) {
        const int t = amx_token(x, i / 2, i % 2);
        const int8_t *q = x->a->q + (size_t)t * x->a->ldq + 32 * (size_t)b;
        for (int j = 0; j < n; j++) {
            _tile_loadd(4, q + 32 * j, x->a->ldq);
            _tile_loadd(6, s->b[j], 64);
            _tile_zero(0);
            _tile_dpbssd(0, 4, 6);
            _tile_stored(0, r[j], 64);
        }
        fold(type, x, s, t, b, n, 0, x->m, r, sums[i / 2][i % 2]);
    }
}

KERN_INLINE void panel(int type, const amx_pass *x, int p)
{
    const __m512i table = avx512_table_b32(type);
    _Alignas(64) amx_sums sums[AMX_PAIRS];
    span s;
    const uint8_t *data = x->w->data + (size_t)p * x->w->panel_bytes;
    kern_amx_load(x, p, sums);
    for (int b = x->c0 / 32; b < x->c1 / 32; b += SPAN) {
        const int n = x->c1 / 32 - b < SPAN ? x->c1 / 32 - b : SPAN;
        build(type, data + (size_t)b * (size_t)kern_packed_block_bytes(type), n, table, &s);
        amx_written();
        if (n == SPAN)
            whole_span(type, x, &s, b, sums);
        else
            part_span(type, x, &s, b, n, sums);
    }
    kern_amx_store(x, p, sums);
}

// What AVX-512 does with few tokens.
static kern_matmul_fn *few[QT_COUNT];

#define MATMUL(name, type)                                                                                       \
    static void name##_panel(const amx_pass *x, int p)                                                           \
    {                                                                                                            \
        panel(type, x, p);                                                                                       \
    }                                                                                                            \
    static void name(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,          \
                     size_t ldy)                                                                                 \
    {                                                                                                            \
        if (t1 - t0 < SMALLEST)                                                                                  \
            few[type](w, a, t0, t1, p0, p1, y, ldy);                                                             \
        else                                                                                                     \
            kern_amx_drive(name##_panel, NULL, 32, w, a, t0, t1, p0, p1, y, ldy);                                      \
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

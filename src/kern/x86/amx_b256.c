// AMX products with super-blocks of 256 columns. Codes and sub-scales are multiplied first, exactly, into one or
// two planes of bytes, so that a whole super-block adds up inside the tiles and is folded to float once:
//   Q2_K          sc * u <= 45: one unsigned plane
//   Q3_K          -sc * (u - 4) in -128..124: one signed plane, the sign turned back in the fold
//   Q4_K, Q5_K    u * (sc & 7) and u * (sc >> 3), both below 256, so that 16-bit multiplies do two codes at
//                 once without a carry; I = first + 8 * second
//   Q6_K, IQ4_XS  sc * (u - off) in 16 bits, low byte unsigned and high byte signed; I = first + 256 * second
// Planes are built once per panel and super-block and meet all tokens of the pass.
#include "kern/x86/amx.h"

enum { SMALLEST = 8 };  // tokens from which building planes pays

typedef struct planes {
    _Alignas(64) uint8_t b[2][KERN_SUPER / KERN_GROUP][64];
    __m512i mn[8];  // by 32 columns: a pair for each sum of 16
    __m512 dw, dmin;
} planes;

typedef int32_t result[AMX_TOKENS][KERN_PANEL];

KERN_INLINE int plane_count(int type)
{
    return type == QT_Q2_K || type == QT_Q3_K ? 1 : 2;
}

// 16 bytes to both 16-bit halves of 16 lanes.
KERN_INLINE __m512i both_halves(__m512i lanes)
{
    return _mm512_or_si512(_mm512_slli_epi32(lanes, 16), _mm512_and_si512(lanes, _mm512_set1_epi32(0xffff)));
}

// The planes of one vector of codes; sc holds the sub-scales of the 16 rows in 16-bit halves.
KERN_INLINE void multiply_codes(int type, __m512i u, __m512i sc, uint8_t *first, uint8_t *second)
{
    const __m512i low = _mm512_set1_epi16(0x00ff);
    switch (type) {
    case QT_Q2_K:
        avx512_put(first, _mm512_mullo_epi16(u, sc));
        return;
    case QT_Q4_K: case QT_Q5_K:
        avx512_put(first, _mm512_mullo_epi16(u, _mm512_and_si512(sc, _mm512_set1_epi16(7))));
        avx512_put(second, _mm512_mullo_epi16(u, _mm512_srli_epi16(sc, 3)));
        return;
    default:
        break;
    }
    // Even and odd bytes apart, each with its offset taken off.
    __m512i v = _mm512_sub_epi8(u, _mm512_set1_epi8((char)kern_code_offset(type)));
    __m512i even = _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8), odd = _mm512_srai_epi16(v, 8);
    even = _mm512_mullo_epi16(even, sc);
    odd = _mm512_mullo_epi16(odd, sc);
    // low ? even : odd << 8, bit by bit
    avx512_put(first, _mm512_ternarylogic_epi32(low, even, _mm512_slli_epi16(odd, 8), 0xca));
    if (plane_count(type) == 2)
        avx512_put(second, _mm512_ternarylogic_epi32(low, _mm512_srli_epi16(even, 8), odd, 0xca));
}

KERN_INLINE void build(int type, const uint8_t *block, __m512i table, planes *x)
{
    const int P = avx512_chunk(type), wide = kern_sub_columns(type) == 32;
    avx512_scales s;
    avx512_take_scales(type, block, &s);
    for (int c = 0; c < 8 / P; c++)
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            __m512i sc[4];
#pragma GCC unroll 4
            for (int p = 0; p < P; p++) {
                sc[p] = both_halves(avx512_scale32(&s, wide ? c * P + p : 2 * (c * P + p) + h));
                if (type == QT_Q3_K)
                    sc[p] = _mm512_sub_epi16(_mm512_setzero_si512(), sc[p]);
            }
#pragma GCC unroll 4
            for (int g = 4 * h; g < 4 * h + 4; g++)
#pragma GCC unroll 4
                for (int p = 0; p < P; p++) {
                    int at = 8 * (c * P + p) + g;
                    __m512i u = avx512_codes_b256(type, block, c, p, g, table);
                    multiply_codes(type, u, sc[p], x->b[0][at], x->b[1][at]);
                }
        }
    if (kern_has_min(type))
        for (int i = 0; i < 8; i++)
            x->mn[i] = avx512_min_pair(type, &s, i);
    x->dw = avx512_load_f16(block);
    x->dmin = kern_has_min(type) ? avx512_load_f16(block + 32) : x->dw;
}

// Where a pair of tiles stands while a super-block is multiplied: the activations, and the pair before, whose
// results are folded meanwhile.
typedef struct pair {
    const int8_t *q0, *q1;
    size_t ldq;
} pair;

// Four multiplies: both tiles of tokens with two tiles of weights. Two planes: those of columns 64i..64i+63. One
// plane: that of columns 64i.. and that of columns 128 + 64i...
KERN_INLINE void step(int type, const planes *w, const pair *x, int i)
{
    const int other = plane_count(type) == 1 ? i + 2 : i;
    const uint8_t *b0 = w->b[0][16 * i], *b1 = plane_count(type) == 1 ? w->b[0][16 * other] : w->b[1][16 * i];
    _tile_loadd(4, x->q0 + 64 * i, x->ldq);
    _tile_loadd(6, b0, 64);
    _tile_loadd(7, b1, 64);
    if (type == QT_Q3_K)
        _tile_dpbssd(0, 4, 6);
    else
        _tile_dpbsud(0, 4, 6);
    if (other != i)
        _tile_loadd(4, x->q0 + 64 * other, x->ldq);
    if (type == QT_Q3_K || type == QT_Q6_K || type == QT_IQ4_XS)
        _tile_dpbssd(1, 4, 7);
    else
        _tile_dpbsud(1, 4, 7);
    _tile_loadd(5, x->q1 + 64 * i, x->ldq);
    if (type == QT_Q3_K)
        _tile_dpbssd(2, 5, 6);
    else
        _tile_dpbsud(2, 5, 6);
    if (other != i)
        _tile_loadd(5, x->q1 + 64 * other, x->ldq);
    if (type == QT_Q3_K || type == QT_Q6_K || type == QT_IQ4_XS)
        _tile_dpbssd(3, 5, 7);
    else
        _tile_dpbsud(3, 5, 7);
}

// Adds the results of tokens [from, to) of one tile, super-block b, to the sums.
KERN_INLINE void fold(int type, const amx_pass *x, const planes *w, int t0, int b, int from, int to, result *r,
                      float (*sums)[KERN_PANEL])
{
    const size_t blocks = (size_t)(x->w->k / KERN_SUPER);
    const float *d = x->a->d + (size_t)(t0 + from) * blocks + b;
    const int16_t *sum = x->a->sum + ((size_t)(t0 + from) * blocks + (size_t)b) * 16;
    for (int t = from; t < to; t++, d += blocks, sum += blocks * 16) {
        __m512i I = avx512_load(r[1][t]);
        if (type == QT_Q4_K || type == QT_Q5_K)
            I = _mm512_slli_epi32(I, 3);
        else if (plane_count(type) == 2)
            I = _mm512_slli_epi32(I, 8);
        I = _mm512_add_epi32(I, avx512_load(r[0][t]));
        const __m512 da = _mm512_set1_ps(*d), scale = _mm512_mul_ps(w->dw, da);
        __m512 acc = _mm512_load_ps(sums[t]), value = _mm512_cvtepi32_ps(I);
        acc = type == QT_Q3_K ? _mm512_fnmadd_ps(value, scale, acc) : _mm512_fmadd_ps(value, scale, acc);
        if (kern_has_min(type)) {
            __m512i M = _mm512_setzero_si512();
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
                int32_t two;
                memcpy(&two, sum + 2 * i, sizeof two);
                M = _mm512_dpwssd_epi32(M, w->mn[i], _mm512_set1_epi32(two));
            }
            acc = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(M), _mm512_mul_ps(w->dmin, da), acc);
        }
        _mm512_store_ps(sums[t], acc);
    }
}

// Part i of n of folding pair j.
KERN_INLINE void fold_part(int type, const amx_pass *x, const planes *w, int b, int j, int i, int n,
                           result (*r)[2], amx_sums *sums)
{
    const int h = 2 * i / n, each = (x->m + n / 2 - 1) / (n / 2), from = (i % (n / 2)) * each;
    const int to = from + each < x->m ? from + each : x->m;
    fold(type, x, w, amx_token(x, j, h), b, from, to, r[h], sums[j][h]);
}

// One super-block of a panel meets all tiles of the pass. While a pair is multiplied the one before is folded, in
// parts between the multiplies: the processor looks ahead some 500 steps, less than either takes.
KERN_INLINE void super_block(int type, const amx_pass *x, const planes *w, int b, amx_sums *sums)
{
    _Alignas(64) result r[2][2][2];
    const int8_t *q = x->a->q + KERN_SUPER * (size_t)b;
    const int steps = plane_count(type) == 1 ? 2 : 4;
    for (int j = 0; j <= x->pairs; j++) {
        const pair at = {q + (size_t)amx_token(x, j, 0) * x->a->ldq, q + (size_t)amx_token(x, j, 1) * x->a->ldq,
                         x->a->ldq};
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
#pragma GCC unroll 4
        for (int i = 0; i < steps; i++) {
            if (j < x->pairs)
                step(type, w, &at, i);
            if (j > 0)
                fold_part(type, x, w, b, j - 1, i, steps, r[(j - 1) & 1], sums);
        }
        _tile_stored(0, r[j & 1][0][0], 64);
        _tile_stored(1, r[j & 1][0][1], 64);
        _tile_stored(2, r[j & 1][1][0], 64);
        _tile_stored(3, r[j & 1][1][1], 64);
    }
}

KERN_INLINE void panel(int type, const amx_pass *x, int p)
{
    const __m512i table = type == QT_IQ4_XS ? avx512_code_table(type) : _mm512_setzero_si512();
    _Alignas(64) amx_sums sums[AMX_PAIRS];
    planes w;
    const uint8_t *block = x->w->data + (size_t)p * x->w->panel_bytes;
    kern_amx_load(x, p, sums);
    for (int b = x->c0 / KERN_SUPER; b < x->c1 / KERN_SUPER; b++) {
        build(type, block + (size_t)b * (size_t)kern_packed_block_bytes(type), table, &w);
        amx_written();
        super_block(type, x, &w, b, sums);
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
            kern_amx_drive(name##_panel, 64, w, a, t0, t1, p0, p1, y, ldy);                                      \
    }

MATMUL(matmul_q2_k, QT_Q2_K)
MATMUL(matmul_q3_k, QT_Q3_K)
MATMUL(matmul_q4_k, QT_Q4_K)
MATMUL(matmul_q5_k, QT_Q5_K)
MATMUL(matmul_q6_k, QT_Q6_K)
MATMUL(matmul_iq4_xs, QT_IQ4_XS)

void kern_amx_b256(kern_table *t)
{
    memcpy(few, t->matmul, sizeof few);
    t->matmul[QT_Q2_K] = matmul_q2_k;
    t->matmul[QT_Q3_K] = matmul_q3_k;
    t->matmul[QT_Q4_K] = matmul_q4_k;
    t->matmul[QT_Q5_K] = matmul_q5_k;
    t->matmul[QT_Q6_K] = matmul_q6_k;
    t->matmul[QT_IQ4_XS] = matmul_iq4_xs;
}

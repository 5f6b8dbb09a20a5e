// AMX products with super-blocks of 256 columns. Codes and sub-scales are multiplied first, exactly, into one
// or two planes of bytes, so that a whole super-block adds up inside the tiles and is folded to float once:
//   Q2_K          sc * u <= 45: one unsigned plane
//   Q3_K          -sc * (u - 4) in -128..124: one signed plane, the sign turned back in the fold
//   Q4_K, Q5_K    u * (sc & 7) and u * (sc >> 3), both below 256, so that 16-bit multiplies do two codes at
//                 once without a carry; I = first + 8 * second
//   Q6_K, IQ4_XS  sc * (u - off) in 16 bits, low byte unsigned and high byte signed; I = first + 256 * second
// Planes are built once per panel and super-block and meet all tokens of the pass.
//
// Mins meet the sums of 16 activations in tiles too, as BF16: a sum is a multiple of 16 plus 0..15, both
// exact in 8 bits, and the products add up to exact whole numbers below 2^24. All this keeps work away from
// the vector units, which do little while tiles multiply: folding a token is what limits speed.
#include "kern/x86/amx.h"

enum {
    SMALLEST = 9
};  // tokens from which building planes pays: at 8 both ways are even (Q2_K and Q3_K win earlier)

typedef struct planes {
    _Alignas(64) uint8_t b[2][KERN_SUPER / KERN_GROUP][64];
    __m512i mn[16];  // BF16, twice each: a row for every sum of 16
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
    case QT_Q2_K: avx512_put(first, _mm512_mullo_epi16(u, sc)); return;
    case QT_Q4_K:
    case QT_Q5_K:
        avx512_put(first, _mm512_mullo_epi16(u, _mm512_and_si512(sc, _mm512_set1_epi16(7))));
        avx512_put(second, _mm512_mullo_epi16(u, _mm512_srli_epi16(sc, 3)));
        return;
    default: break;
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
        for (int i = 0; i < 16; i++) {
            const uint8_t *mn = s.mn + 16 * (wide ? i / 2 : i);
            __m512i f = _mm512_castps_si512(
                _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)mn))));
            x->mn[i] = _mm512_or_si512(f, _mm512_srli_epi32(f, 16));
        }
    x->dw = avx512_load_f16(block);
    x->dmin = kern_has_min(type) ? avx512_load_f16(block + 32) : x->dw;
}

// Where a pair of tiles finds its activations.
typedef struct pair {
    const int8_t *q[2];
    const uint16_t *sum[2];
    size_t ldq;
} pair;

// The results of a pair: products (two to be added up) and mins.
typedef struct results {
    _Alignas(64) result I[2][2];
    float M[2][AMX_TOKENS][KERN_PANEL];
} results;

// C += activations in A times weights in B, where `high` says whether the weights are those of the second
// plane.
#define DOT(C, A, B, high)                                                         \
    do {                                                                           \
        if (type == QT_Q3_K || ((type == QT_Q6_K || type == QT_IQ4_XS) && (high))) \
            _tile_dpbssd(C, A, B);                                                 \
        else                                                                       \
            _tile_dpbsud(C, A, B);                                                 \
    } while (0)

// What a tile holds is stored right before it is needed again, so that the store hides behind the multiplies
// on the other three.
#define TURN(C, before)              \
    do {                             \
        _tile_stored(C, before, 64); \
        _tile_zero(C);               \
    } while (0)

// Four multiplies: both tiles of tokens with two tiles of weights. Two planes: those of columns 64i..64i+63.
// One plane: that of columns 64i.. and that of columns 128 + 64i...
KERN_INLINE void step(int type, const planes *w, const pair *x, int i, results *before)
{
    const int one = plane_count(type) == 1, other = one ? i + 2 : i, mins = kern_has_min(type);
    _tile_loadd(4, x->q[0] + 64 * i, x->ldq);
    _tile_loadd(6, w->b[0][16 * i], 64);
    if (i == 0)
        TURN(0, mins ? (void *)before->M[0] : (void *)before->I[0][0]);
    DOT(0, 4, 6, false);
    _tile_loadd(7, w->b[!one][16 * other], 64);
    if (one)
        _tile_loadd(4, x->q[0] + 64 * other, x->ldq);
    if (i == 0)
        TURN(1, before->I[0][1]);
    DOT(1, 4, 7, true);
    _tile_loadd(5, x->q[1] + 64 * i, x->ldq);
    if (i == 0)
        TURN(2, mins ? (void *)before->M[1] : (void *)before->I[1][0]);
    DOT(2, 5, 6, false);
    if (one)
        _tile_loadd(5, x->q[1] + 64 * other, x->ldq);
    if (i == 0)
        TURN(3, before->I[1][1]);
    DOT(3, 5, 7, true);
}

// The mins of a pair, after its products; they take two of the tiles.
KERN_INLINE void step_mins(const planes *w, const pair *x, results *r)
{
    _tile_loadd(4, x->sum[0], sizeof(amx_mins));
    _tile_loadd(6, w->mn, 64);
    TURN(0, r->I[0][0]);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, x->sum[1], sizeof(amx_mins));
    TURN(2, r->I[1][0]);
    _tile_dpbf16ps(2, 5, 6);
}

KERN_INLINE __m512 join(int type, result *r, int t)
{
    __m512i high = avx512_load(r[1][t]);
    if (type == QT_Q4_K || type == QT_Q5_K)
        high = _mm512_slli_epi32(high, 3);
    else if (plane_count(type) == 2)
        high = _mm512_slli_epi32(high, 8);
    return _mm512_cvtepi32_ps(_mm512_add_epi32(high, avx512_load(r[0][t])));
}

// Adds the results of tokens [from, to) of half h of pair j, super-block b, to the sums.
KERN_INLINE void fold(int type, const amx_pass *x, const planes *w, int b, int j, int h, int from, int to,
                      results *r, float (*sums)[KERN_PANEL])
{
    const size_t blocks = (size_t)(x->w->k / KERN_SUPER);
    const float *d = x->a->d + (size_t)(amx_token(x, j, h) + from) * blocks + b;
    for (int t = from; t < to; t++, d += blocks) {
        const __m512 da = _mm512_set1_ps(*d), scale = _mm512_mul_ps(w->dw, da), I = join(type, r->I[h], t);
        __m512 acc = _mm512_load_ps(sums[t]);
        acc = type == QT_Q3_K ? _mm512_fnmadd_ps(I, scale, acc) : _mm512_fmadd_ps(I, scale, acc);
        if (kern_has_min(type))
            acc = _mm512_fnmadd_ps(_mm512_load_ps(r->M[h][t]), _mm512_mul_ps(w->dmin, da), acc);
        _mm512_store_ps(sums[t], acc);
    }
}

// Part i of n of folding pair j.
KERN_INLINE void fold_part(int type, const amx_pass *x, const planes *w, int b, int j, int i, int n,
                           results *r, amx_sums *sums)
{
    const int h = 2 * i / n, each = (x->m + n / 2 - 1) / (n / 2), from = (i % (n / 2)) * each;
    fold(type, x, w, b, j, h, from, from + each < x->m ? from + each : x->m, r, sums[j][h]);
}

// One super-block of a panel meets all tiles of the pass. While a pair is multiplied the one before is
// folded, in parts between the multiplies: the processor looks ahead some 500 steps, less than either takes.
KERN_INLINE void super_block(int type, const amx_pass *x, const planes *w, int b, amx_sums *sums)
{
    results r;
    const kern_act *a = x->a;
    const int steps = plane_count(type) == 1 ? 2 : 4;
    for (int j = 0; j < x->pairs; j++) {
        pair at = {.ldq = a->ldq};
        for (int h = 0; h < 2; h++) {
            at.q[h] = a->q + (size_t)amx_token(x, j, h) * a->ldq + KERN_SUPER * (size_t)b;
            if (kern_has_min(type))
                at.sum[h] = x->mins[amx_token(x, j, h) - x->t0][b - x->c0 / KERN_SUPER];
        }
#pragma GCC unroll 4
        for (int i = 0; i < steps; i++) {
            step(type, w, &at, i, &r);
            if (j > 0)
                fold_part(type, x, w, b, j - 1, i, steps, &r, sums);
        }
        if (kern_has_min(type))
            step_mins(w, &at, &r);
    }
    _tile_stored(0, kern_has_min(type) ? (void *)r.M[0] : (void *)r.I[0][0], 64);
    _tile_stored(1, r.I[0][1], 64);
    _tile_stored(2, kern_has_min(type) ? (void *)r.M[1] : (void *)r.I[1][0], 64);
    _tile_stored(3, r.I[1][1], 64);
    for (int i = 0; i < steps; i++)
        fold_part(type, x, w, b, x->pairs - 1, i, steps, &r, sums);
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

// The sums of the pass as BF16: of each the multiple of 16 and the rest.
static void prepare_mins(const amx_pass *x, amx_mins *mins)
{
    for (int t = 0; t < x->tokens; t++)
        for (int c = x->c0; c < x->c1; c += KERN_SUPER) {
            const int16_t *sum = x->a->sum + (size_t)(x->t0 + t) * (size_t)(x->a->k / 16) + c / 16;
            __m512i s = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)sum));
            __m512i rest = _mm512_and_si512(s, _mm512_set1_epi32(15));
            __m512i high = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_sub_epi32(s, rest)));
            __m512i low = _mm512_castps_si512(_mm512_cvtepi32_ps(rest));
            avx512_put(mins[t][(c - x->c0) / KERN_SUPER], _mm512_or_si512(high, _mm512_srli_epi32(low, 16)));
        }
}

// What AVX-512 does with few tokens.
static kern_matmul_fn *few[QT_COUNT];

#define MATMUL(name, type)                                                                                   \
    static void name##_panel(const amx_pass *x, int p)                                                       \
    {                                                                                                        \
        panel(type, x, p);                                                                                   \
    }                                                                                                        \
    static void name(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,      \
                     size_t ldy)                                                                             \
    {                                                                                                        \
        if (t1 - t0 < SMALLEST)                                                                              \
            few[type](w, a, t0, t1, p0, p1, y, ldy);                                                         \
        else                                                                                                 \
            kern_amx_drive(name##_panel, kern_has_min(type) ? prepare_mins : NULL, 64, w, a, t0, t1, p0, p1, \
                           y, ldy);                                                                          \
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

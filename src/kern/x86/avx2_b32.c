// Matrix products with weights in blocks of 32 columns, on AVX2.
//
// One vector holds 4 columns of 8 rows; vpmaddubsw multiplies its unsigned codes by the token's 4 activations,
// spread to all lanes, and adds pairs into int16. Codes of at most 63 leave room to add several groups of columns
// before widening: `groups` below. Codes of 8 bits (Q8_0, IQ4_NL) do not: a token alone takes them signed
// (|w| times q with w's sign), many tokens take them as two planes of 4 bits, which is one instruction less.
#include "kern/x86/avx2.h"

enum { T = 4 };  // tokens a tile: 8 sums, 2 registers of codes, an activation and a product fit in 16

// Tokens too few for a tile go alone, up to this many: in kern_bench --isa avx2 --tokens 1,4 on a Xeon of 2023 a tile
// of 4 costs as much as 2.9 single tokens of Q4_0, 2.5 of Q5_0, 3.2 of Q8_0, 4.3 of IQ4_NL.
KERN_INLINE int alone(int type)
{
    return kern_code_max(type) > 63 ? 3 : 2;
}

// How many groups of 4 columns may be summed in int16: 2 * 127 * max * groups <= 32767.
KERN_INLINE int groups_of(int max)
{
    return max <= 15 ? 8 : max <= 31 ? 4 : 2;
}

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

// The integer sums of 8 rows become part of the float sum.
KERN_INLINE __m256 fold(int type, __m256i dot, int offset, __m256 d, __m256 m, token in, __m256 acc)
{
    __m256 da = _mm256_set1_ps(in.d);
    if (offset)
        dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(offset * in.sum));
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(d, da), acc);
    if (kern_has_min(type))
        acc = _mm256_fmadd_ps(_mm256_set1_ps((float)in.sum), _mm256_mul_ps(m, da), acc);
    return acc;
}

KERN_INLINE __m256 min_at(int type, const uint8_t *p, int h)
{
    return kern_has_min(type) ? kern_m_avx2(p, h) : _mm256_setzero_ps();
}

// One token: codes go from the packed block straight into the products.
KERN_INLINE __m256 block_one(int type, const uint8_t *p, int h, token in, __m256 acc)
{
    const int groups = groups_of(kern_code_max(type));
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i dot = _mm256_setzero_si256(), part = dot;
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u = kern_codes_b32_avx2(type, p, g, h), q = kern_spread32(in.q + 4 * g);
        if (kern_code_max(type) > 63) {
            u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
            __m256i x = _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(q, u));
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(x, ones));
            continue;
        }
        __m256i x = _mm256_maddubs_epi16(u, q);
        part = g % groups == 0 ? x : _mm256_add_epi16(part, x);
        if ((g + 1) % groups == 0)
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(part, ones));
    }
    int offset = kern_code_max(type) > 63 ? 0 : kern_code_offset(type);
    return fold(type, dot, offset, kern_d_avx2(type, p, h), min_at(type, p, h), in, acc);
}

KERN_INLINE void panel_one(int type, const kern_weight *w, const kern_act *a, int panel, int t, float *y)
{
    __m256 acc0 = _mm256_setzero_ps(), acc1 = acc0;
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / 32; b++, p += kern_packed_block_bytes(type)) {
        kern_prefetch_stream(p, kern_packed_block_bytes(type));
        token in = token_at(a, t, b);
        acc0 = block_one(type, p, 0, in, acc0);
        acc1 = block_one(type, p, 1, in, acc1);
    }
    kern_store_panel(y, w->n - panel * KERN_PANEL, acc0, acc1);
}

// Unpacks a block's codes to [plane][group][64]: one plane, or for 8-bit codes their low and high nibbles as two.
KERN_INLINE void flatten(int type, const uint8_t *p, uint8_t *out)
{
    const __m256i low = _mm256_set1_epi8(15);
    for (int h = 0; h < 2; h++)
        KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u = kern_codes_b32_avx2(type, p, g, h);
        uint8_t *to = out + 64 * g + 32 * h;
        if (kern_code_max(type) > 63) {
            _mm256_store_si256((void *)(to + 512), _mm256_and_si256(_mm256_srli_epi16(u, 4), low));
            u = _mm256_and_si256(u, low);
        }
        _mm256_store_si256((void *)to, u);
    }
}

// dot[t][h] += one plane of flat codes times activations, `times` each. Both halves of the rows together, so that
// spreading an activation serves two products.
KERN_INLINE void dot_plane(const uint8_t *codes, int groups, int times, const token *in, __m256i (*dot)[2])
{
    const __m256i by = _mm256_set1_epi16((short)times);
    __m256i part[T][2];
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u[2] = {kern_load256(codes + 64 * g), kern_load256(codes + 64 * g + 32)};
        KERN_UNROLL
        for (int t = 0; t < T; t++) {
            __m256i q = kern_spread32(in[t].q + 4 * g);
            KERN_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i x = _mm256_maddubs_epi16(u[h], q);
                part[t][h] = g % groups == 0 ? x : _mm256_add_epi16(part[t][h], x);
                KERN_PIN(part[t][h]);
                if ((g + 1) % groups == 0)
                    dot[t][h] = _mm256_add_epi32(dot[t][h], _mm256_madd_epi16(part[t][h], by));
            }
        }
    }
}

// One flat block against a tile of tokens.
KERN_INLINE void flat_tile(int type, const uint8_t *codes, const __m256 *d, const __m256 *m, const token *in,
                           float (*sums)[KERN_PANEL])
{
    const bool planes = kern_code_max(type) > 63;
    const int groups = groups_of(planes ? 15 : kern_code_max(type));
    __m256i dot[T][2];
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        dot[t][0] = dot[t][1] = _mm256_setzero_si256();
    dot_plane(codes, groups, 1, in, dot);
    if (planes)
        dot_plane(codes + 512, groups, 16, in, dot);
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        float *sum = sums[t] + 8 * h;
        _mm256_store_ps(
            sum, fold(type, dot[t][h], kern_code_offset(type), d[h], m[h], in[t], _mm256_load_ps(sum)));
    }
}

// Many tokens: a block's codes are unpacked once into L1. A tile that lacks tokens repeats the last one, into sums
// no one reads.
KERN_INLINE void panel_many(int type, const kern_weight *w, const kern_act *a, int panel, int t0, int tokens,
                            float *y, size_t ldy)
{
    _Alignas(32) float sums[KERN_AVX2_BATCH + T][KERN_PANEL];
    _Alignas(32) uint8_t codes[2 * 512];
    memset(sums, 0, (size_t)(tokens + T) * sizeof sums[0]);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / 32; b++, p += kern_packed_block_bytes(type)) {
        __m256 d[2] = {kern_d_avx2(type, p, 0), kern_d_avx2(type, p, 1)};
        __m256 m[2] = {min_at(type, p, 0), min_at(type, p, 1)};
        flatten(type, p, codes);
        for (int t = 0; t < tokens; t += T) {
            token in[T];
            KERN_UNROLL
            for (int i = 0; i < T; i++)
                in[i] = token_at(a, t0 + (t + i < tokens ? t + i : tokens - 1), b);
            flat_tile(type, codes, d, m, in, sums + t);
        }
    }
    for (int t = 0; t < tokens; t++)
        kern_store_panel(y + (size_t)t * ldy, w->n - panel * KERN_PANEL, _mm256_load_ps(sums[t]),
                         _mm256_load_ps(sums[t] + 8));
}

KERN_INLINE void matmul(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1,
                        float *y, size_t ldy)
{
    for (int p = p0; p < p1; p++)
        for (int t = t0; t < t1; t += KERN_AVX2_BATCH) {
            int tokens = t1 - t < KERN_AVX2_BATCH ? t1 - t : KERN_AVX2_BATCH;
            float *out = y + (size_t)t * ldy + (size_t)p * KERN_PANEL;
            int rest = tokens % T <= alone(type) ? tokens % T : 0;
            if (tokens > rest)
                panel_many(type, w, a, p, t, tokens - rest, out, ldy);
            for (int i = tokens - rest; i < tokens; i++)
                panel_one(type, w, a, p, t + i, out + (size_t)i * ldy);
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

void kern_avx2_fill_b32(kern_table *t)
{
    t->matmul[QT_Q4_0] = matmul_q4_0;
    t->matmul[QT_Q4_1] = matmul_q4_1;
    t->matmul[QT_Q5_0] = matmul_q5_0;
    t->matmul[QT_Q5_1] = matmul_q5_1;
    t->matmul[QT_Q8_0] = matmul_q8_0;
    t->matmul[QT_IQ4_NL] = matmul_iq4_nl;
    t->matmul[QT_MXFP4] = matmul_mxfp4;
}

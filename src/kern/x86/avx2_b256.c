// Matrix products with super-blocks of 256 columns, on AVX2: the products of avx2_b32.c, with the integer scale
// of each sub-block taking the place of the ones that widen int16 to int32. What is the same for all tokens (the
// scales, laid out for vpmaddwd) is prepared once a block; mins and code offsets become one more small product,
// with the sums of the activations.
#include "kern/x86/avx2.h"

enum { T = 4 };  // tokens a tile, as in avx2_b32.c

// Tokens too few for a tile go alone, up to this many: in kern_bench --isa avx2 --tokens 1,4 on a Xeon of 2023 a tile
// of 4 costs as much as 1.9 single tokens of Q4_K, 1.6 of Q6_K and Q3_K, 2.9 of IQ4_XS.
KERN_INLINE int alone(int type)
{
    return kern_code_max(type) > 63 ? 2 : 1;
}

KERN_INLINE int groups_of(int type)
{
    int max = kern_code_max(type) > 63 ? 15 : kern_code_max(type);  // 8-bit codes go as two planes of 4 bits
    int fit = max <= 15 ? 8 : max <= 31 ? 4 : 2, sub = kern_sub_columns(type) / 4;
    return fit < sub ? fit : sub;
}

// A block made ready.
typedef struct ready {
    __m256i scale[16][2];   // [sub][rows 8h..8h+7]: the scale twice
    __m256i scale16[8][2];  // IQ4_XS: 16 times that, for the high plane
    __m256i pair[8][2];  // coefficients of sub-sums 2i and 2i+1: mins, or scales where codes have an offset
    __m256 d[2], m[2];
} ready;

KERN_INLINE __m256i widen(__m128i a, __m128i b, int h)
{
    return _mm256_cvtepi8_epi16(h ? _mm_unpackhi_epi8(a, b) : _mm_unpacklo_epi8(a, b));
}

KERN_INLINE bool corrected(int type, bool flat)
{
    return kern_has_min(type) || (kern_code_offset(type) && (flat || kern_code_max(type) <= 63));
}

KERN_INLINE void prepare(int type, bool flat, const uint8_t *p, ready *r)
{
    const int subs = KERN_SUPER / kern_sub_columns(type);
    KERN_UNROLL
    for (int i = 0; i < subs; i += 2) {
        __m128i a = kern_scales_avx2(type, p, i), b = kern_scales_avx2(type, p, i + 1);
        __m128i ca = kern_has_min(type) ? kern_mins_avx2(type, p, i) : a;
        __m128i cb = kern_has_min(type) ? kern_mins_avx2(type, p, i + 1) : b;
        KERN_UNROLL
        for (int h = 0; h < 2; h++) {
            r->scale[i][h] = widen(a, a, h);
            r->scale[i + 1][h] = widen(b, b, h);
            if (corrected(type, flat))
                r->pair[i / 2][h] = widen(ca, cb, h);
            if (flat && kern_code_max(type) > 63) {
                r->scale16[i][h] = _mm256_slli_epi16(r->scale[i][h], 4);
                r->scale16[i + 1][h] = _mm256_slli_epi16(r->scale[i + 1][h], 4);
            }
        }
    }
    KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        r->d[h] = kern_d_avx2(type, p, h);
        r->m[h] = kern_has_min(type) ? kern_m_avx2(p, h) : _mm256_setzero_ps();
    }
}

// A token's block; pairs: 8 or 4 pairs of sub-block sums.
typedef struct token {
    const int8_t *q;
    const int16_t *pairs;
    float d;
} token;

// Sums of 16 columns as they are, or added up to sums of 32 in `wide`.
KERN_INLINE token token_at(int type, const kern_act *a, int t, int b, int16_t *wide)
{
    size_t at = (size_t)t * (size_t)(a->k / KERN_SUPER) + (size_t)b;
    token in = {a->q + (size_t)t * a->ldq + KERN_SUPER * (size_t)b, a->sum + 16 * at, a->d[at]};
    if (kern_sub_columns(type) == 32) {
        __m128i s = _mm_hadd_epi16(kern_load128(in.pairs), kern_load128(in.pairs + 8));
        _mm_store_si128((void *)wide, s);
        in.pairs = wide;
    }
    return in;
}

// The integer sums of 8 rows become part of the float sum.
KERN_INLINE __m256 fold(int type, bool flat, __m256i dot, const ready *r, int h, token in, __m256 acc)
{
    const int pairs = KERN_SUPER / kern_sub_columns(type) / 2, offset = kern_code_offset(type);
    __m256i extra = _mm256_setzero_si256();
    __m256 da = _mm256_set1_ps(in.d);
    if (corrected(type, flat)) {
        KERN_UNROLL
        for (int i = 0; i < pairs; i++)
            extra = _mm256_add_epi32(extra,
                                     _mm256_madd_epi16(r->pair[i][h], kern_spread32(in.pairs + 2 * i)));
        if (offset)
            dot = _mm256_sub_epi32(dot, _mm256_mullo_epi32(extra, _mm256_set1_epi32(offset)));
    }
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(r->d[h], da), acc);
    if (kern_has_min(type))
        acc = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(extra), _mm256_mul_ps(r->m[h], da), acc);
    return acc;
}

// One token, 32 columns: codes go from the packed block straight into the products.
KERN_INLINE __m256i piece_one(int type, const uint8_t *p, int s, int h, const ready *r, const int8_t *q,
                              __m256i dot)
{
    const int groups = groups_of(type), sub = kern_sub_columns(type);
    __m256i part = _mm256_setzero_si256();
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u = kern_codes_b256_avx2(type, p, s, g, h), x = kern_spread32(q + 32 * s + 4 * g);
        __m256i scale = r->scale[(32 * s + 4 * g) / sub][h];
        if (kern_code_max(type) > 63) {
            u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
            x = _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(x, u));
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(x, scale));
            continue;
        }
        x = _mm256_maddubs_epi16(u, x);
        part = g % groups == 0 ? x : _mm256_add_epi16(part, x);
        if ((g + 1) % groups == 0)
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(part, scale));
    }
    return dot;
}

KERN_INLINE void panel_one(int type, const kern_weight *w, const kern_act *a, int panel, int t, float *y)
{
    __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type)) {
        kern_prefetch_stream(p, kern_packed_block_bytes(type));
        _Alignas(16) int16_t wide[8];
        token in = token_at(type, a, t, b, wide);
        ready r;
        prepare(type, false, p, &r);
        for (int h = 0; h < 2; h++) {
            __m256i dot = _mm256_setzero_si256();
            // Pieces 4 apart differ only in addresses: in a loop of 4 every shift is a constant.
            for (int s = 0; s < 8; s += 4)
                KERN_UNROLL
            for (int i = 0; i < 4; i++)
                dot = piece_one(type, p, s + i, h, &r, in.q, dot);
            acc[h] = fold(type, false, dot, &r, h, in, acc[h]);
        }
    }
    kern_store_panel(y, w->n - panel * KERN_PANEL, acc[0], acc[1]);
}

// Unpacks a block's codes to [plane][64 groups][64].
KERN_INLINE void flatten(int type, const uint8_t *p, uint8_t *out)
{
    const __m256i low = _mm256_set1_epi8(15);
    for (int s = 0; s < 8; s += 4)
        for (int g = 0; g < 8; g++)
            for (int h = 0; h < 2; h++)
                KERN_UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i u = kern_codes_b256_avx2(type, p, s + i, g, h);
        uint8_t *to = out + 512 * (s + i) + 64 * g + 32 * h;
        if (kern_code_max(type) > 63) {
            _mm256_store_si256((void *)(to + 4096), _mm256_and_si256(_mm256_srli_epi16(u, 4), low));
            u = _mm256_and_si256(u, low);
        }
        _mm256_store_si256((void *)to, u);
    }
}

// dot[t][h] += 32 columns of flat codes times activations times the scales of their sub-blocks. Both halves of the
// rows together, so that spreading an activation serves two products.
KERN_INLINE void dot_plane(int type, const uint8_t *codes, int s, const __m256i (*scale)[2], const token *in,
                           __m256i (*dot)[2])
{
    const int groups = groups_of(type), sub = kern_sub_columns(type);
    __m256i part[T][2];
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        const uint8_t *at = codes + 512 * s + 64 * g;
        __m256i u[2] = {kern_load256(at), kern_load256(at + 32)};
        KERN_UNROLL
        for (int t = 0; t < T; t++) {
            __m256i q = kern_spread32(in[t].q + 32 * s + 4 * g);
            KERN_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i x = _mm256_maddubs_epi16(u[h], q);
                part[t][h] = g % groups == 0 ? x : _mm256_add_epi16(part[t][h], x);
                KERN_PIN(part[t][h]);
                if ((g + 1) % groups == 0)
                    dot[t][h] = _mm256_add_epi32(
                        dot[t][h], _mm256_madd_epi16(part[t][h], scale[32 / sub * s + 4 * g / sub][h]));
            }
        }
    }
}

// One flat block against a tile of tokens.
KERN_INLINE void flat_tile(int type, const uint8_t *codes, const ready *r, const token *in,
                           float (*sums)[KERN_PANEL])
{
    __m256i dot[T][2];
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        dot[t][0] = dot[t][1] = _mm256_setzero_si256();
    for (int s = 0; s < 8; s++) {
        dot_plane(type, codes, s, r->scale, in, dot);
        if (kern_code_max(type) > 63)
            dot_plane(type, codes + 4096, s, r->scale16, in, dot);
    }
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        float *sum = sums[t] + 8 * h;
        _mm256_store_ps(sum, fold(type, true, dot[t][h], r, h, in[t], _mm256_load_ps(sum)));
    }
}

// Many tokens: a block's codes are unpacked once into L1. A tile that lacks tokens repeats the last one, into sums
// no one reads.
KERN_INLINE void panel_many(int type, const kern_weight *w, const kern_act *a, int panel, int t0, int tokens,
                            float *y, size_t ldy)
{
    _Alignas(32) float sums[KERN_AVX2_BATCH + T][KERN_PANEL];
    _Alignas(32) uint8_t codes[2 * 4096];
    memset(sums, 0, (size_t)(tokens + T) * sizeof sums[0]);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type)) {
        ready r;
        prepare(type, true, p, &r);
        flatten(type, p, codes);
        for (int t = 0; t < tokens; t += T) {
            _Alignas(16) int16_t wide[T][8];
            token in[T];
            KERN_UNROLL
            for (int i = 0; i < T; i++)
                in[i] = token_at(type, a, t0 + (t + i < tokens ? t + i : tokens - 1), b, wide[i]);
            flat_tile(type, codes, &r, in, sums + t);
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
MATMUL(q2_k, QT_Q2_K)
MATMUL(q3_k, QT_Q3_K)
MATMUL(q4_k, QT_Q4_K)
MATMUL(q5_k, QT_Q5_K)
MATMUL(q6_k, QT_Q6_K)
MATMUL(iq4_xs, QT_IQ4_XS)

void kern_avx2_fill_b256(kern_table *t)
{
    t->matmul[QT_Q2_K] = matmul_q2_k;
    t->matmul[QT_Q3_K] = matmul_q3_k;
    t->matmul[QT_Q4_K] = matmul_q4_k;
    t->matmul[QT_Q5_K] = matmul_q5_k;
    t->matmul[QT_Q6_K] = matmul_q6_k;
    t->matmul[QT_IQ4_XS] = matmul_iq4_xs;
}

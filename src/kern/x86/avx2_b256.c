// Matrix products with super-blocks of 256 columns, on AVX2: the products of avx2_tile.h, with the integer scale of each
// sub-block as the factor that widens int16 to int32. What is the same for all tokens (the scales, laid out for
// vpmaddwd) is prepared once a block; mins become one more small product, with the sums of the activations.
#include "kern/x86/avx2.h"

enum { T = KERN_AVX2_TILE, AHEAD = 3072 };

// Up to so many tokens meet codes as they come from the packed block; more, codes that were unpacked once into L1. By
// kern_bench --tokens 2,3,4,5,6,8,12 on a Zen 2.
KERN_INLINE int few_most(int type)
{
    return kern_signed_avx2(type)                                  ? KERN_AVX2_BATCH
           : type == QT_Q4_K || type == QT_Q5_K || type == QT_Q2_K ? 6
                                                                   : 3;
}

// A block made ready.
typedef struct ready {
    __m256i scale[16][2];  // [sub][rows 8h..8h+7]: the scale twice
    __m256i min[8][2];     // mins of sub-blocks 2i and 2i+1
    __m256 d[2], m[2];
} ready;

KERN_INLINE __m256i widen(__m128i a, __m128i b, int h)
{
    return _mm256_cvtepi8_epi16(h ? _mm_unpackhi_epi8(a, b) : _mm_unpacklo_epi8(a, b));
}

KERN_INLINE void prepare(int type, const uint8_t *p, ready *r)
{
    const int subs = KERN_SUPER / kern_sub_columns(type);
    KERN_UNROLL
    for (int i = 0; i < subs; i++) {
        __m128i a = kern_scales_avx2(type, p, i);
        KERN_UNROLL
        for (int h = 0; h < 2; h++) {
            r->scale[i][h] = widen(a, a, h);
            if (kern_has_min(type) && i % 2 == 0)
                r->min[i / 2][h] = widen(kern_mins_avx2(type, p, i), kern_mins_avx2(type, p, i + 1), h);
        }
    }
    KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        r->d[h] = kern_d_avx2(type, p, h);
        r->m[h] = kern_has_min(type) ? kern_m_avx2(p, h) : _mm256_setzero_ps();
    }
}

// The integer sums of 8 rows become part of the float sum. sums: of the sub-blocks, where there is a min.
KERN_INLINE __m256 fold(int type, __m256i dot, const ready *r, int h, float scale, const int16_t *sums,
                        __m256 acc)
{
    const int pairs = KERN_SUPER / kern_sub_columns(type) / 2;
    __m256 d = _mm256_set1_ps(scale);
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(r->d[h], d), acc);
    if (!kern_has_min(type))
        return acc;
    __m256i min = _mm256_madd_epi16(r->min[0][h], kern_spread32(sums));
    KERN_UNROLL
    for (int i = 1; i < pairs; i++)
        min = _mm256_add_epi32(min, _mm256_madd_epi16(r->min[i][h], kern_spread32(sums + 2 * i)));
    return _mm256_fnmadd_ps(_mm256_cvtepi32_ps(min), _mm256_mul_ps(r->m[h], d), acc);
}

// A token's sums of the sub-blocks of block b: of 16 columns as they are, or added up to those of 32 in `wide`.
KERN_INLINE const int16_t *sums_of(int type, const kern_act *a, int t, int b, int16_t *wide)
{
    const int16_t *sum = a->sum + 16 * ((size_t)t * (size_t)(a->k / KERN_SUPER) + (size_t)b);
    if (kern_sub_columns(type) == 16)
        return sum;
    _mm_store_si128((void *)wide, _mm_hadd_epi16(kern_load128(sum), kern_load128(sum + 8)));
    return wide;
}

// ---- A token alone -----------------------------------------------------------------------------------------

// dot += four pieces of 32 columns from s on: their codes lie in the same bytes, and go from there straight into the
// products. `bias` as in kern_avx2_acts, for one token.
KERN_INLINE void dot_alone(int type, const uint8_t *p, int s, const ready *r, const int8_t *q,
                           const int32_t *bias, __m256i *dot)
{
    const int groups = kern_span_groups(type), sub = kern_sub_columns(type) / 4;
    __m256i part[4][2];
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        kern_prefetch_part(p, (size_t)kern_packed_block_bytes(type), 2 * s + g, 16);
        KERN_HERE();
        KERN_UNROLL
        for (int i = 0; i < 4; i++) {
            __m256i x = kern_spread32(q + 32 * (s + i) + 4 * g);
            KERN_UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i u = kern_codes_b256_avx2(type, p, s + i, g, h);
                __m256i by = r->scale[8 * (s + i) / sub + g / sub][h];
                if (kern_signed_avx2(type)) {
                    u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
                    __m256i z = _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(x, u));
                    dot[h] = _mm256_add_epi32(dot[h], _mm256_madd_epi16(z, by));
                    continue;
                }
                __m256i z = _mm256_maddubs_epi16(u, x);
                if (kern_has_bias(type) && g % groups == 0)
                    part[i][h] = _mm256_add_epi16(_mm256_set1_epi32(bias[4 * (s + i) + g / 2]), z);
                else
                    part[i][h] = g % groups == 0 ? z : _mm256_add_epi16(part[i][h], z);
                KERN_PIN(part[i][h]);
                if ((g + 1) % groups == 0)
                    dot[h] = _mm256_add_epi32(dot[h], _mm256_madd_epi16(part[i][h], by));
            }
        }
    }
}

// One token times a few panels, `apart` from one another, a block of each in turn: memory delivers several streams faster
// than one.
KERN_INLINE void panels_alone(int type, const kern_weight *w, const kern_act *a, int panel, int panels,
                              int apart, int t, float *y)
{
    __m256 acc[KERN_AVX2_STREAMS][2];
    for (int i = 0; i < panels; i++)
        acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    const int8_t *q = a->q + (size_t)t * a->ldq;
    const float *d = a->d + (size_t)t * (size_t)(a->k / KERN_SUPER);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type), q += KERN_SUPER) {
        _Alignas(16) int16_t wide[8];
        int32_t bias[KERN_SUPER / 8];
        const int16_t *sums = sums_of(type, a, t, b, wide);
        if (kern_has_bias(type))
            for (int s = 0; s < 8; s++)
                kern_put_bias_avx2(type, kern_load256(q + 32 * s), bias + 4 * s);
        for (int i = 0; i < panels; i++) {
            const uint8_t *block = p + (size_t)i * (size_t)apart * w->panel_bytes;
            __m256i dot[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
            ready r;
            prepare(type, block, &r);
            KERN_UNROLL
            for (int s = 0; s < 8; s += 4)
                dot_alone(type, block, s, &r, q, bias, dot);
            acc[i][0] = fold(type, dot[0], &r, 0, d[b], sums, acc[i][0]);
            acc[i][1] = fold(type, dot[1], &r, 1, d[b], sums, acc[i][1]);
        }
    }
    for (int i = 0; i < panels; i++)
        kern_store_panel(y + i * apart * KERN_PANEL, w->n - (panel + i * apart) * KERN_PANEL, acc[i][0],
                         acc[i][1]);
}

// ---- A few tokens ------------------------------------------------------------------------------------------

// What the products of a block want of a few tokens.
typedef struct few {
    const int8_t *q[T];
    int32_t bias[T][KERN_SUPER / 8];  // as in kern_avx2_acts
    _Alignas(16) int16_t wide[T][8];
    const int16_t *sums[T];
    float d[T];
} few;

KERN_INLINE void few_of(int type, int tokens, const kern_act *a, int t0, int b, few *out)
{
    KERN_UNROLL
    for (int t = 0; t < tokens; t++) {
        out->q[t] = a->q + (size_t)(t0 + t) * a->ldq + KERN_SUPER * (size_t)b;
        out->d[t] = a->d[(size_t)(t0 + t) * (size_t)(a->k / KERN_SUPER) + (size_t)b];
        out->sums[t] = kern_has_min(type) ? sums_of(type, a, t0 + t, b, out->wide[t]) : NULL;
        if (kern_has_bias(type))
            for (int s = 0; s < 8; s++)
                kern_put_bias_avx2(type, kern_load256(out->q[t] + 32 * s), out->bias[t] + 4 * s);
    }
}

// dot += 32 columns of 8 rows times each token. Codes come from the packed block once for all of them.
KERN_INLINE void dot_few(int type, int tokens, const uint8_t *p, int s, int h, const ready *r, const few *in,
                         __m256i *dot)
{
    const int groups = kern_span_groups(type), sub = kern_sub_columns(type) / 4;
    __m256i part[T];
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u = kern_codes_b256_avx2(type, p, s, g, h), size = u;
        const __m256i by = r->scale[8 * s / sub + g / sub][h];
        if (kern_signed_avx2(type)) {
            u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
            size = _mm256_abs_epi8(u);
        }
        KERN_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m256i x = kern_spread32(in->q[t] + 32 * s + 4 * g);
            if (kern_signed_avx2(type)) {
                __m256i z = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, u));
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(z, by));
                KERN_PIN(dot[t]);
                continue;
            }
            __m256i z = _mm256_maddubs_epi16(size, x);
            if (kern_has_bias(type) && g % groups == 0)
                part[t] = _mm256_add_epi16(_mm256_set1_epi32(in->bias[t][4 * s + g / 2]), z);
            else
                part[t] = g % groups == 0 ? z : _mm256_add_epi16(part[t], z);
            KERN_PIN(part[t]);
            if ((g + 1) % groups == 0) {
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(part[t], by));
                KERN_PIN(dot[t]);
            }
        }
    }
}

KERN_INLINE void few_tokens(int type, int tokens, const kern_weight *w, const kern_act *a, int panel, int t0,
                            float *y, size_t ldy)
{
    __m256 acc[T][2];
    KERN_UNROLL
    for (int t = 0; t < tokens; t++)
        acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type)) {
        few in;
        ready r;
        few_of(type, tokens, a, t0, b, &in);
        prepare(type, p, &r);
        KERN_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i dot[T];
            KERN_UNROLL
            for (int t = 0; t < tokens; t++)
                dot[t] = _mm256_setzero_si256();
            for (int s = 0; s < 8; s += 4)
                KERN_UNROLL
            for (int i = 0; i < 4; i++) {
                kern_prefetch_part(p, (size_t)kern_packed_block_bytes(type), 8 * h + s + i, 16);
                dot_few(type, tokens, p, s + i, h, &r, &in, dot);
            }
            KERN_UNROLL
            for (int t = 0; t < tokens; t++)
                acc[t][h] = fold(type, dot[t], &r, h, in.d[t], in.sums[t], acc[t][h]);
        }
    }
    KERN_UNROLL
    for (int t = 0; t < tokens; t++)
        kern_store_panel(y + (size_t)t * ldy, w->n - panel * KERN_PANEL, acc[t][0], acc[t][1]);
}

KERN_INLINE void panel_few(int type, int tokens, const kern_weight *w, const kern_act *a, int panel, int t0,
                           float *y, size_t ldy)
{
    switch (tokens) {
    case 2: few_tokens(type, 2, w, a, panel, t0, y, ldy); break;
    case 3: few_tokens(type, 3, w, a, panel, t0, y, ldy); break;
    default: few_tokens(type, 4, w, a, panel, t0, y, ldy); break;
    }
}

// ---- Many tokens -------------------------------------------------------------------------------------------

// A block of some panels' activations: kern_avx2_acts, and what only super-blocks need.
typedef struct batch {
    kern_avx2_acts acts;
    _Alignas(16) int16_t sums[KERN_AVX2_BATCH][16];
    float d[KERN_AVX2_BATCH];
} batch;

KERN_INLINE void gather(int type, const kern_act *a, int t0, int tokens, int b, batch *out)
{
    kern_gather_acts(type, a, t0, tokens, KERN_SUPER * b, KERN_SUPER, &out->acts);
    for (int i = 0; i < KERN_ROUND_TILE(tokens); i++) {
        const int t = t0 + MIN(i, tokens - 1);
        out->d[i] = a->d[(size_t)t * (size_t)(a->k / KERN_SUPER) + (size_t)b];
        if (kern_has_min(type)) {
            const int16_t *sums = sums_of(type, a, t, b, out->sums[i]);
            if (sums != out->sums[i])
                memcpy(out->sums[i], sums, sizeof out->sums[i]);
        }
    }
}

// One flat block against a tile of tokens, the first of which is t.
KERN_INLINE void flat_tile(int type, const uint8_t *codes, const ready *r, const batch *in, int t,
                           float (*sums)[KERN_PANEL])
{
    const int sub = 32 / kern_sub_columns(type);
    const int16_t(*bias)[T][2] = in->acts.bias[t / T];
    __m256i dot[T][2];
    KERN_UNROLL
    for (int i = 0; i < T; i++)
        dot[i][0] = dot[i][1] = _mm256_setzero_si256();
    for (int s = 0; s < 8; s++)
        kern_dot_flat(type, codes + 512 * s, in->acts.q[t / T][s], bias + 4 * s, r->scale + sub * s, dot);
    KERN_UNROLL
    for (int i = 0; i < T; i++)
        KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        float *sum = sums[t + i] + 8 * h;
        _mm256_store_ps(sum, fold(type, dot[i][h], r, h, in->d[t + i], in->sums[t + i], _mm256_load_ps(sum)));
    }
}

// Up to KERN_AVX2_PANELS panels from `panel` on.
KERN_INLINE void panels_many(int type, const kern_weight *w, const kern_act *a, int panel, int panels, int t0,
                             int tokens, float *y, size_t ldy)
{
    _Alignas(32) float sums[KERN_AVX2_PANELS][KERN_AVX2_BATCH][KERN_PANEL];
    _Alignas(32) uint8_t codes[4096];
    batch in;
    memset(sums, 0, (size_t)panels * sizeof sums[0]);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / KERN_SUPER; b++, p += kern_packed_block_bytes(type)) {
        gather(type, a, t0, tokens, b, &in);
        for (int i = 0; i < panels; i++) {
            const uint8_t *block = p + (size_t)i * w->panel_bytes,
                          *next = i + 1 < panels ? block + w->panel_bytes : p + kern_packed_block_bytes(type);
            ready r;
            prepare(type, block, &r);
            for (int s = 0; s < 8; s += 4)
                KERN_UNROLL
            for (int j = 0; j < 4; j++) {
                kern_prefetch_part(next - AHEAD, (size_t)kern_packed_block_bytes(type), s + j, 8);
                kern_flatten(type, block, s + j, codes + 512 * (s + j));
                KERN_HERE();
            }
            for (int t = 0; t < tokens; t += T)
                flat_tile(type, codes, &r, &in, t, sums[i]);
        }
    }
    kern_store_panels(w, panel, panels, tokens, sums, y, ldy);
}

KERN_AVX2_MATMUL(q2_k, QT_Q2_K)
KERN_AVX2_MATMUL(q3_k, QT_Q3_K)
KERN_AVX2_MATMUL(q4_k, QT_Q4_K)
KERN_AVX2_MATMUL(q5_k, QT_Q5_K)
KERN_AVX2_MATMUL(q6_k, QT_Q6_K)
KERN_AVX2_MATMUL(iq4_xs, QT_IQ4_XS)
KERN_AVX2_MATMUL(iq3_xxs, QT_IQ3_XXS)
KERN_AVX2_MATMUL(iq3_s, QT_IQ3_S)
KERN_AVX2_MATMUL(iq2, QT_IQ2_S)
KERN_AVX2_MATMUL(iq1, QT_IQ1_M)

void kern_avx2_fill_b256(kern_table *t)
{
    t->matmul[QT_Q2_K] = matmul_q2_k;
    t->matmul[QT_Q3_K] = matmul_q3_k;
    t->matmul[QT_Q4_K] = matmul_q4_k;
    t->matmul[QT_Q5_K] = matmul_q5_k;
    t->matmul[QT_Q6_K] = matmul_q6_k;
    t->matmul[QT_IQ4_XS] = matmul_iq4_xs;
    t->matmul[QT_IQ3_XXS] = matmul_iq3_xxs;
    t->matmul[QT_IQ3_S] = matmul_iq3_s;
    t->matmul[QT_IQ2_S] = matmul_iq2;
    t->matmul[QT_IQ1_M] = matmul_iq1;
}

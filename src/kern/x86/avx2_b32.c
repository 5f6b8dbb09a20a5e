// Matrix products with weights in blocks of 32 columns, on AVX2: the products of avx2_tile.h. Each block has scales of its
// own, so its integer sums become part of the float sums at once.
#include "kern/x86/avx2.h"

enum { T = KERN_AVX2_TILE };

// Up to so many tokens meet codes as they come from the packed block; more, codes that were unpacked once into L1. By
// kern_bench --tokens 2,3,4,5,6,8,12 on a Zen 2.
KERN_INLINE int few_most(int type)
{
    return kern_signed_avx2(type) ? KERN_AVX2_BATCH : 3;
}

// The scales of a block.
typedef struct ready {
    __m256 d[2], m[2];
} ready;

KERN_INLINE ready prepare(int type, const uint8_t *p)
{
    ready r;
    KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        r.d[h] = kern_d_avx2(type, p, h);
        r.m[h] = kern_has_min(type) ? kern_m_avx2(p, h) : _mm256_setzero_ps();
    }
    return r;
}

// The integer sums of 8 rows become part of the float sum. sum: of the activations.
KERN_INLINE __m256 fold(int type, __m256i dot, const ready *r, int h, float scale, float sum, __m256 acc)
{
    __m256 d = _mm256_set1_ps(scale);
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(r->d[h], d), acc);
    if (kern_has_min(type))
        acc = _mm256_fmadd_ps(_mm256_set1_ps(sum), _mm256_mul_ps(r->m[h], d), acc);
    return acc;
}

// ---- A token alone -----------------------------------------------------------------------------------------

// Codes go from the packed block straight into the products.
KERN_INLINE void dot_alone(int type, const uint8_t *p, const int8_t *q, __m256i bias, __m256i *dot)
{
    const int groups = kern_span_groups(type);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i part[2];
    dot[0] = dot[1] = _mm256_setzero_si256();
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i x = kern_spread32(q + 4 * g);
        KERN_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i u = kern_codes_b32_avx2(type, p, g, h);
            if (kern_signed_avx2(type)) {
                u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
                __m256i z = _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(x, u));
                dot[h] = _mm256_add_epi32(dot[h], _mm256_madd_epi16(z, ones));
                continue;
            }
            __m256i z = _mm256_maddubs_epi16(u, x);
            if (kern_has_bias(type) && g == 0)
                part[h] = _mm256_add_epi16(bias, z);
            else
                part[h] = g % groups == 0 ? z : _mm256_add_epi16(part[h], z);
            KERN_PIN(part[h]);
            if ((g + 1) % groups == 0)
                dot[h] = _mm256_add_epi32(dot[h], _mm256_madd_epi16(part[h], ones));
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
    const size_t at = (size_t)t * (size_t)(a->k / 32);
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int b = 0; b < w->k / 32; b++, p += kern_packed_block_bytes(type), q += 32) {
        const float d = a->d[at + (size_t)b], sum = (float)a->sum[at + (size_t)b];
        __m256i bias = _mm256_setzero_si256();
        if (kern_has_bias(type))
            bias = kern_first32(kern_bias_avx2(type, kern_load256(q)));
        for (int i = 0; i < panels; i++) {
            const uint8_t *block = p + (size_t)i * (size_t)apart * w->panel_bytes;
            const ready r = prepare(type, block);
            __m256i dot[2];
            kern_prefetch_stream(block, kern_packed_block_bytes(type));
            dot_alone(type, block, q, bias, dot);
            acc[i][0] = fold(type, dot[0], &r, 0, d, sum, acc[i][0]);
            acc[i][1] = fold(type, dot[1], &r, 1, d, sum, acc[i][1]);
        }
    }
    for (int i = 0; i < panels; i++)
        kern_store_panel(y + i * apart * KERN_PANEL, w->n - (panel + i * apart) * KERN_PANEL, acc[i][0],
                         acc[i][1]);
}

// ---- A few tokens ------------------------------------------------------------------------------------------

// One block of 8 rows times each token, whose activations are at q[t]. Codes come from the packed block once for all.
KERN_INLINE void dot_few(int type, int tokens, const uint8_t *p, int h, const int8_t *const *q,
                         const int32_t *bias, __m256i *dot)
{
    const int groups = kern_span_groups(type);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i part[T];
    KERN_UNROLL
    for (int t = 0; t < tokens; t++) {
        dot[t] = _mm256_setzero_si256();
        part[t] = kern_has_bias(type) ? _mm256_set1_epi32(bias[t]) : dot[t];
    }
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i u = kern_codes_b32_avx2(type, p, g, h), size = u;
        if (kern_signed_avx2(type)) {
            u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
            size = _mm256_abs_epi8(u);
        }
        KERN_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m256i x = kern_spread32(q[t] + 4 * g);
            if (kern_signed_avx2(type)) {
                __m256i z = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, u));
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(z, ones));
                KERN_PIN(dot[t]);
                continue;
            }
            part[t] = _mm256_add_epi16(part[t], _mm256_maddubs_epi16(size, x));
            KERN_PIN(part[t]);
            if ((g + 1) % groups == 0) {
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(part[t], ones));
                part[t] = _mm256_setzero_si256();
            }
        }
    }
}

KERN_INLINE void few_tokens(int type, int tokens, const kern_weight *w, const kern_act *a, int panel, int t0,
                            float *y, size_t ldy)
{
    const size_t blocks = (size_t)(a->k / 32);
    __m256 acc[T][2];
    const int8_t *q[T];
    KERN_UNROLL
    for (int t = 0; t < tokens; t++) {
        acc[t][0] = acc[t][1] = _mm256_setzero_ps();
        q[t] = a->q + (size_t)(t0 + t) * a->ldq;
    }
    const float *d = a->d + (size_t)t0 * blocks;
    const int16_t *sum = a->sum + (size_t)t0 * blocks;
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (size_t b = 0; b < blocks; b++, p += kern_packed_block_bytes(type)) {
        const ready r = prepare(type, p);
        int32_t bias[T];
        kern_prefetch_stream(p, (size_t)kern_packed_block_bytes(type));
        KERN_UNROLL
        for (int t = 0; t < tokens; t++)
            if (kern_has_bias(type))
                bias[t] = _mm256_extract_epi32(kern_bias_avx2(type, kern_load256(q[t])), 0);
        KERN_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i dot[T];
            dot_few(type, tokens, p, h, q, bias, dot);
            KERN_UNROLL
            for (int t = 0; t < tokens; t++)
                acc[t][h] = fold(type, dot[t], &r, h, d[(size_t)t * blocks + b],
                                 (float)sum[(size_t)t * blocks + b], acc[t][h]);
        }
        KERN_UNROLL
        for (int t = 0; t < tokens; t++)
            q[t] += 32;
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

// Up to 8 blocks of some panels' activations: kern_avx2_acts, and what only blocks of 32 need.
typedef struct batch {
    kern_avx2_acts acts;
    float d[8][KERN_AVX2_BATCH], sum[8][KERN_AVX2_BATCH];
} batch;

KERN_INLINE void gather(int type, const kern_act *a, int t0, int tokens, int b, int blocks, batch *out)
{
    kern_gather_acts(type, a, t0, tokens, 32 * b, 32 * blocks, &out->acts);
    for (int i = 0; i < KERN_ROUND_TILE(tokens); i++) {
        const size_t at = (size_t)(t0 + MIN(i, tokens - 1)) * (size_t)(a->k / 32) + (size_t)b;
        for (int s = 0; s < blocks; s++) {
            out->d[s][i] = a->d[at + (size_t)s];
            out->sum[s][i] = (float)a->sum[at + (size_t)s];
        }
    }
}

// One flat block, the s-th of the batch, against a tile of tokens, the first of which is t.
KERN_INLINE void flat_tile(int type, const uint8_t *codes, const ready *r, const batch *in, int s, int t,
                           float (*sums)[KERN_PANEL])
{
    const __m256i by[1][2] = {{_mm256_set1_epi16(1), _mm256_set1_epi16(1)}};
    __m256i dot[T][2];
    KERN_UNROLL
    for (int i = 0; i < T; i++)
        dot[i][0] = dot[i][1] = _mm256_setzero_si256();
    kern_dot_flat(type, codes, in->acts.q[t / T][s], in->acts.bias[t / T] + 4 * s, by, dot);
    KERN_UNROLL
    for (int i = 0; i < T; i++)
        KERN_UNROLL
    for (int h = 0; h < 2; h++) {
        float *sum = sums[t + i] + 8 * h;
        _mm256_store_ps(sum,
                        fold(type, dot[i][h], r, h, in->d[s][t + i], in->sum[s][t + i], _mm256_load_ps(sum)));
    }
}

// Up to KERN_AVX2_PANELS panels from `panel` on.
KERN_INLINE void panels_many(int type, const kern_weight *w, const kern_act *a, int panel, int panels, int t0,
                             int tokens, float *y, size_t ldy)
{
    _Alignas(32) float sums[KERN_AVX2_PANELS][KERN_AVX2_BATCH][KERN_PANEL];
    _Alignas(32) uint8_t codes[512];
    batch in;
    memset(sums, 0, (size_t)panels * sizeof sums[0]);
    for (int b = 0; b < w->k / 32; b += 8) {
        const int blocks = MIN(8, w->k / 32 - b);
        gather(type, a, t0, tokens, b, blocks, &in);
        for (int i = 0; i < panels; i++) {
            const uint8_t *p = w->data + (size_t)(panel + i) * w->panel_bytes +
                               (size_t)b * (size_t)kern_packed_block_bytes(type);
            for (int s = 0; s < blocks; s++, p += kern_packed_block_bytes(type)) {
                const ready r = prepare(type, p);
                kern_prefetch_stream(p, (size_t)kern_packed_block_bytes(type));
                kern_flatten(type, p, 0, codes);
                for (int t = 0; t < tokens; t += T)
                    flat_tile(type, codes, &r, &in, s, t, sums[i]);
            }
        }
    }
    kern_store_panels(w, panel, panels, tokens, sums, y, ldy);
}

KERN_AVX2_MATMUL(q4_0, QT_Q4_0)
KERN_AVX2_MATMUL(q4_1, QT_Q4_1)
KERN_AVX2_MATMUL(q5_0, QT_Q5_0)
KERN_AVX2_MATMUL(q5_1, QT_Q5_1)
KERN_AVX2_MATMUL(q8_0, QT_Q8_0)
KERN_AVX2_MATMUL(iq4_nl, QT_IQ4_NL)
KERN_AVX2_MATMUL(mxfp4, QT_MXFP4)

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

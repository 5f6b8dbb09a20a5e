// Matrix products with weights in blocks of 32 columns, on AVX2: the products of avx2_tile.h. Each block has scales of its
// own, so its integer sums become part of the float sums at once. Codes of 8 bits (Q8_0, IQ4_NL) a token alone takes
// signed (|w| times q with w's sign), many tokens take them as two planes of 4 bits, which is one instruction less.
#include "kern/x86/avx2.h"

enum { T = KERN_AVX2_TILE };

// Tokens too few for a tile go alone, up to this many: in kern_bench --isa avx2 --tokens 1,4 on a Zen 2 a tile of 4 costs
// as much as 3.4 single tokens of Q4_0, 3.6 of Q4_1, 2.3 of Q5_0, 2.9 of MXFP4, 4.5 of Q8_0.
KERN_INLINE int alone(int type)
{
    return kern_code_max(type) > 15 && kern_planes(type) == 1 ? 2 : 3;
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
    const int groups = kern_plane_groups(type);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i part[2];
    dot[0] = dot[1] = _mm256_setzero_si256();
    KERN_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i x = kern_spread32(q + 4 * g);
        KERN_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i u = kern_codes_b32_avx2(type, p, g, h);
            if (kern_planes(type) == 2) {
                u = _mm256_xor_si256(u, _mm256_set1_epi8((char)0x80));
                __m256i z = _mm256_maddubs_epi16(_mm256_abs_epi8(u), _mm256_sign_epi8(x, u));
                dot[h] = _mm256_add_epi32(dot[h], _mm256_madd_epi16(z, ones));
                continue;
            }
            __m256i z = _mm256_maddubs_epi16(u, x);
            if (kern_code_offset(type) && g == 0)
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
        if (kern_code_offset(type) && kern_planes(type) == 1)
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
    const __m256i by[2][2] = {{_mm256_set1_epi16(1), _mm256_set1_epi16(1)},
                              {_mm256_set1_epi16(16), _mm256_set1_epi16(16)}};
    const int offset = kern_code_offset(type), planes = kern_planes(type);
    const int16_t(*bias)[T][2] = in->acts.bias[t / T] + 4 * s;
    const int8_t *q = in->acts.q[t / T][s];
    __m256i dot[T][2];
    KERN_UNROLL
    for (int i = 0; i < T; i++)
        dot[i][0] = dot[i][1] = _mm256_setzero_si256();
    kern_dot_plane(type, codes, q, offset && planes == 1 ? bias : NULL, by, dot);
    if (planes == 2)
        kern_dot_plane(type, codes + 512, q, offset ? bias : NULL, by + 1, dot);
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
    _Alignas(32) uint8_t codes[2 * 512];
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
                kern_flatten(type, p, 0, codes, 512);
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

// Matrix products with super-blocks of 256 columns and integer sub-scales. Up to FEW tokens the codes go from
// the packed block through registers straight into the dot products, at the speed memory delivers them; for
// more, each super-block of a panel is unpacked once into a scratch that stays in L1 and serves all tokens.
//
// Exact integers until the end: I = sum over subs of sc * (dot(u, q) - off * sum(q)), then one float step per
// super-block. The offset costs nothing, as the dot product starts from -off * sum(q).
#include "kern/x86/avx512_codes.h"

enum {
    FEW = 4,     // tokens of the register path
    TILE = 8,    // tokens of one register tile of the scratch path: 8 sums and 8 dot products
    BATCH = 64,  // tokens that share one unpacking: few enough for their activations to stay in L2
    GROUPS = KERN_SUPER / KERN_GROUP
};

// -off * sum(q) for each sub-block of a token, to be broadcast.
typedef struct starts {
    _Alignas(64) int32_t v[16];
} starts;

KERN_INLINE void take_starts(int type, const int16_t *sum, starts *s)
{
    __m512i x = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)sum));
    if (kern_sub_columns(type) == 32)  // both halves of a pair hold the pair's sum
        x = _mm512_add_epi32(x, _mm512_shuffle_epi32(x, 0xb1));
    avx512_put(s->v, _mm512_mullo_epi32(x, _mm512_set1_epi32(-kern_code_offset(type))));
}

// The dot products' starting value for half h of piece p (half: 16 columns).
KERN_INLINE __m512i start(int type, const starts *s, int piece, int h)
{
    return kern_code_offset(type) ? _mm512_set1_epi32(s->v[2 * piece + h]) : _mm512_setzero_si512();
}

// acc += dw*da * I - dmin*da * M, rounded as the contract says.
KERN_INLINE __m512 fold(int type, __m512 acc, __m512i I, __m512i M, __m512 dw, __m512 dmin, float da)
{
    const __m512 d = _mm512_set1_ps(da);
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(I), _mm512_mul_ps(dw, d), acc);
    if (kern_has_min(type))
        acc = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(M), _mm512_mul_ps(dmin, d), acc);
    return acc;
}

KERN_INLINE __m512i add_mins(__m512i M, __m512i pair, const int16_t *sum)
{
    int32_t two;
    memcpy(&two, sum, sizeof two);
    return _mm512_dpwssd_epi32(M, pair, _mm512_set1_epi32(two));
}

// One token's place in the activations.
typedef struct token {
    const int8_t *q;
    const int16_t *sum;
    const float *d;
} token;

KERN_INLINE token token_at(const kern_act *a, int t)
{
    return (token){a->q + (size_t)t * a->ldq, a->sum + (size_t)t * (size_t)(a->k / 16),
                   a->d + (size_t)t * (size_t)(a->k / KERN_SUPER)};
}

// ---- Few tokens ------------------------------------------------------------------------------------------

// I of T tokens for a super-block of each of W panels.
KERN_INLINE void few_dots(int type, int W, int T, const uint8_t *const *block, const avx512_scales *s,
                          const token *x, const starts *st, int b, __m512i table, __m512i I[][FEW])
{
    const int P = avx512_chunk(type), wide = kern_sub_columns(type) == 32;
    for (int c = 0; c < 8 / P; c++) {
        __m512i dot[2][FEW][4];
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
#pragma GCC unroll 4
            for (int p = 0; p < P; p++)
#pragma GCC unroll 4
                for (int t = 0; t < T; t++)
#pragma GCC unroll 2
                    for (int w = 0; w < W; w++)
                        if (h == 0 || !wide)
                            dot[w][t][p] = start(type, &st[t], c * P + p, h);
#pragma GCC unroll 4
            for (int g = 4 * h; g < 4 * h + 4; g++) {
#pragma GCC unroll 2
                for (int w = 0; w < W; w++)
                    kern_prefetch_part(block[w], kern_packed_block_bytes(type), 8 * c + g, 64 / P);
#pragma GCC unroll 4
                for (int p = 0; p < P; p++) {
                    __m512i u[2];
#pragma GCC unroll 2
                    for (int w = 0; w < W; w++)
                        u[w] = avx512_codes_b256(type, block[w], c, p, g, table);
#pragma GCC unroll 4
                    for (int t = 0; t < T; t++) {
                        const __m512i q = avx512_four(x[t].q + KERN_SUPER * b + 32 * (c * P + p) + 4 * g);
#pragma GCC unroll 2
                        for (int w = 0; w < W; w++)
                            dot[w][t][p] = _mm512_dpbusd_epi32(dot[w][t][p], u[w], q);
                    }
                }
            }
            if (h == 0 && wide)
                continue;
#pragma GCC unroll 4
            for (int p = 0; p < P; p++)
#pragma GCC unroll 2
                for (int w = 0; w < W; w++) {
                    __m512i sc = avx512_scale32(&s[w], wide ? c * P + p : 2 * (c * P + p) + h);
#pragma GCC unroll 4
                    for (int t = 0; t < T; t++)
                        I[w][t] = _mm512_add_epi32(I[w][t], _mm512_mullo_epi32(sc, dot[w][t][p]));
                }
        }
    }
}

// W panels, the first p, the second `other`: memory delivers two streams faster than one.
KERN_INLINE void few_panel(int type, int W, int T, const kern_weight *w, const kern_act *a, int t0, int p,
                           int other, float *y, size_t ldy)
{
    const __m512i table = type == QT_IQ4_XS ? avx512_code_table(type) : _mm512_setzero_si512();
    const int panel[2] = {p, other};
    const uint8_t *block[2];
    token x[FEW];
    __m512 acc[2][FEW];
    for (int t = 0; t < T; t++)
        x[t] = token_at(a, t0 + t);
    for (int i = 0; i < W; i++) {
        block[i] = w->data + (size_t)panel[i] * w->panel_bytes;
        for (int t = 0; t < T; t++)
            acc[i][t] = _mm512_setzero_ps();
    }
    for (int b = 0; b < w->k / KERN_SUPER; b++) {
        avx512_scales s[2];
        starts st[FEW];
        __m512i I[2][FEW], M[2][FEW];
        for (int i = 0; i < W; i++) {
            avx512_take_scales(type, block[i], &s[i]);
            for (int t = 0; t < T; t++)
                I[i][t] = M[i][t] = _mm512_setzero_si512();
        }
        if (kern_code_offset(type))
            for (int t = 0; t < T; t++)
                take_starts(type, x[t].sum + 16 * b, &st[t]);
        few_dots(type, W, T, block, s, x, st, b, table, I);
#pragma GCC unroll 2
        for (int i = 0; i < W; i++) {
            if (kern_has_min(type))
                for (int j = 0; j < 8; j++) {
                    __m512i pair = avx512_min_pair(type, &s[i], j);
                    for (int t = 0; t < T; t++)
                        M[i][t] = add_mins(M[i][t], pair, x[t].sum + 16 * b + 2 * j);
                }
            const __m512 dw = avx512_load_f16(block[i]);
            const __m512 dmin = kern_has_min(type) ? avx512_load_f16(block[i] + 32) : dw;
            for (int t = 0; t < T; t++)
                acc[i][t] = fold(type, acc[i][t], I[i][t], M[i][t], dw, dmin, x[t].d[b]);
            block[i] += kern_packed_block_bytes(type);
        }
    }
    for (int i = 0; i < W; i++)
        for (int t = 0; t < T; t++)
            _mm512_mask_storeu_ps(y + (size_t)(t0 + t) * ldy + panel[i] * KERN_PANEL,
                                  avx512_rows(w, panel[i]), acc[i][t]);
}

// ---- Many tokens -----------------------------------------------------------------------------------------

// One super-block of a panel, unpacked for all tokens.
typedef struct scratch {
    _Alignas(64) uint8_t u[GROUPS][64];
    __m512i sc[16];  // by sub-block
    __m512i mn[8];   // by 32 columns, a pair for each sum of 16
    __m512 dw, dmin;
} scratch;

KERN_INLINE void unpack(int type, const uint8_t *block, __m512i table, scratch *u)
{
    const int P = avx512_chunk(type), subs = KERN_SUPER / kern_sub_columns(type);
    avx512_scales s;
    avx512_take_scales(type, block, &s);
    for (int c = 0; c < 8 / P; c++)
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++)
#pragma GCC unroll 4
            for (int p = 0; p < P; p++)
                avx512_put(u->u[8 * (c * P + p) + g], avx512_codes_b256(type, block, c, p, g, table));
    for (int i = 0; i < subs; i++)
        u->sc[i] = avx512_scale32(&s, i);
    if (kern_has_min(type))
        for (int i = 0; i < 8; i++)
            u->mn[i] = avx512_min_pair(type, &s, i);
    u->dw = avx512_load_f16(block);
    u->dmin = kern_has_min(type) ? avx512_load_f16(block + 32) : u->dw;
}

// Adds super-block b to the sums of T tokens from t.
KERN_INLINE void tile(int type, int T, const scratch *u, const kern_act *a, int t0, int b, float (*acc)[16])
{
    const int sub = kern_sub_columns(type), G = sub / KERN_GROUP;
    token x[TILE];
    starts st[TILE];
    __m512i I[TILE], M[TILE];
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
        x[t] = token_at(a, t0 + t);
        I[t] = M[t] = _mm512_setzero_si512();
        if (kern_code_offset(type))
            take_starts(type, x[t].sum + 16 * b, &st[t]);
    }
    for (int i = 0; i < KERN_SUPER / sub; i++) {
        __m512i dot[TILE];
#pragma GCC unroll 8
        for (int t = 0; t < T; t++)
            dot[t] = kern_code_offset(type) ? _mm512_set1_epi32(st[t].v[sub == 32 ? 2 * i : i])
                                            : _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int g = 0; g < G; g++) {
            __m512i v = avx512_load(u->u[G * i + g]);
#pragma GCC unroll 8
            for (int t = 0; t < T; t++)
                dot[t] = _mm512_dpbusd_epi32(dot[t], v,
                                             avx512_four(x[t].q + KERN_SUPER * b + sub * i + 4 * g));
        }
#pragma GCC unroll 8
        for (int t = 0; t < T; t++)
            I[t] = _mm512_add_epi32(I[t], _mm512_mullo_epi32(u->sc[i], dot[t]));
    }
    if (kern_has_min(type))
        for (int i = 0; i < 8; i++)
#pragma GCC unroll 8
            for (int t = 0; t < T; t++)
                M[t] = add_mins(M[t], u->mn[i], x[t].sum + 16 * b + 2 * i);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++)
        _mm512_store_ps(acc[t], fold(type, _mm512_load_ps(acc[t]), I[t], M[t], u->dw, u->dmin, x[t].d[b]));
}

KERN_INLINE void many_panel(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p,
                            float *y, size_t ldy)
{
    const __m512i table = type == QT_IQ4_XS ? avx512_code_table(type) : _mm512_setzero_si512();
    const uint8_t *block = w->data + (size_t)p * w->panel_bytes;
    _Alignas(64) float acc[BATCH][16];
    const int n = t1 - t0;
    memset(acc, 0, sizeof acc[0] * (size_t)n);
    for (int b = 0; b < w->k / KERN_SUPER; b++, block += kern_packed_block_bytes(type)) {
        scratch u;
        unpack(type, block, table, &u);
        int t = 0;
        for (; t + TILE <= n; t += TILE)
            tile(type, TILE, &u, a, t0 + t, b, acc + t);
        if (t + 4 <= n) {
            tile(type, 4, &u, a, t0 + t, b, acc + t);
            t += 4;
        }
        if (t + 2 <= n) {
            tile(type, 2, &u, a, t0 + t, b, acc + t);
            t += 2;
        }
        if (t < n)
            tile(type, 1, &u, a, t0 + t, b, acc + t);
    }
    for (int t = 0; t < n; t++)
        _mm512_mask_storeu_ps(y + (size_t)(t0 + t) * ldy + p * KERN_PANEL, avx512_rows(w, p),
                              _mm512_load_ps(acc[t]));
}

// One token times panels [p0, p1): both halves of them at once.
KERN_INLINE void single(int type, const kern_weight *w, const kern_act *a, int t, int p0, int p1, float *y,
                        size_t ldy)
{
    const int half = (p1 - p0) / 2;
    for (int p = p0; p < p0 + half; p++)
        few_panel(type, 2, 1, w, a, t, p, p + half, y, ldy);
    if (p0 + 2 * half < p1)
        few_panel(type, 1, 1, w, a, t, p1 - 1, p1 - 1, y, ldy);
}

KERN_INLINE void matmul(int type, const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1,
                        float *y, size_t ldy)
{
    for (int t = t0; t < t1; t += BATCH) {
        const int n = t1 - t < BATCH ? t1 - t : BATCH;
        if (n == 1) {
            single(type, w, a, t, p0, p1, y, ldy);
            continue;
        }
        for (int p = p0; p < p1; p++)
            switch (n) {
            case 2: few_panel(type, 1, 2, w, a, t, p, p, y, ldy); break;
            case 3: few_panel(type, 1, 3, w, a, t, p, p, y, ldy); break;
            case 4: few_panel(type, 1, 4, w, a, t, p, p, y, ldy); break;
            default: many_panel(type, w, a, t, t + n, p, y, ldy); break;
            }
    }
}

AVX512_MATMUL(matmul_q2_k, QT_Q2_K, matmul)
AVX512_MATMUL(matmul_q3_k, QT_Q3_K, matmul)
AVX512_MATMUL(matmul_q4_k, QT_Q4_K, matmul)
AVX512_MATMUL(matmul_q5_k, QT_Q5_K, matmul)
AVX512_MATMUL(matmul_q6_k, QT_Q6_K, matmul)
AVX512_MATMUL(matmul_iq4_xs, QT_IQ4_XS, matmul)

void kern_avx512_b256(kern_table *t)
{
    t->matmul[QT_Q2_K] = matmul_q2_k;
    t->matmul[QT_Q3_K] = matmul_q3_k;
    t->matmul[QT_Q4_K] = matmul_q4_k;
    t->matmul[QT_Q5_K] = matmul_q5_k;
    t->matmul[QT_Q6_K] = matmul_q6_k;
    t->matmul[QT_IQ4_XS] = matmul_iq4_xs;
}

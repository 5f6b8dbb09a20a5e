// Attention over quantized pages, AVX-512: kv.h states the steps. Factors of 15 bits are two signed bytes, high and
// low, each multiplied with the unsigned codes; lines of nibbles or bit pairs come apart in registers on their way
// from memory, once for up to four rows.
#include <math.h>

#include "kern/kv.h"
#include "kern/x86/avx512_math.h"

enum { ROWS = 4, VECTORS = KERN_PAGE / 16 };

// Row vectors ready for a quantized side: four factors of a group are 32 bits.
typedef struct factors {
    _Alignas(64) int8_t high[ROWS][KERN_KV_TERMS], low[ROWS][KERN_KV_TERMS];
    float scale[ROWS], base[ROWS];
} factors;

static float sum16(__m512 x)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static void prepare(const kern_kv *x, const float *w, factors *f, int row)
{
    _Alignas(64) float y[KERN_KV_TERMS];
    const __m512 width = _mm512_set1_ps(kern_kv_width(x->level)), half = _mm512_set1_ps(0.5f);
    __m512 lanes = _mm512_setzero_ps(), most = lanes;
    for (int r = 0; r < x->terms; r += 16) {
        const __m512 v = _mm512_loadu_ps(w + r), min = avx512_load_f16(x->scales + r);
        const __m512 step = _mm512_mul_ps(avx512_load_f16(x->scales + x->terms + r), width);
        const __m512 product = _mm512_mul_ps(v, step);
        most = _mm512_max_ps(most, _mm512_abs_ps(product));
        lanes = _mm512_fmadd_ps(v, _mm512_fmadd_ps(half, step, min), lanes);
        _mm512_store_ps(y + r, product);
    }
    float top = _mm512_reduce_max_ps(most);
    const __m512 inverse = _mm512_set1_ps(kern_kv_scale(&top));
    for (int r = 0; r < x->terms; r += 16) {
        const __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(y + r), inverse));
        const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8);
        _mm_store_si128((__m128i *)(f->high[row] + r), _mm512_cvtepi32_epi8(high));
        _mm_store_si128((__m128i *)(f->low[row] + r), _mm512_cvtepi32_epi8(v));
    }
    f->scale[row] = top / KERN_KV_TOP;
    f->base[row] = sum16(lanes);
}

KERN_INLINE int groups_of(enum kern_kv_level level)
{
    return level == KERN_KV_Q2 ? 4 : 2;
}

// The codes of the groups of one line.
KERN_INLINE void line_codes(enum kern_kv_level level, const kern_kv *x, size_t at, __m512i *c)
{
    const __m512i nibble = _mm512_set1_epi8(15), pair = _mm512_set1_epi8(3);
    if (level == KERN_KV_Q2) {
        const __m512i v = _mm512_load_si512(x->two + at);
        c[0] = _mm512_and_si512(v, pair);
        c[1] = _mm512_and_si512(_mm512_srli_epi16(v, 2), pair);
        c[2] = _mm512_and_si512(_mm512_srli_epi16(v, 4), pair);
        c[3] = _mm512_and_si512(_mm512_srli_epi16(v, 6), pair);
        return;
    }
    const __m512i high = _mm512_load_si512(x->high + at);
    if (level == KERN_KV_Q4) {
        c[0] = _mm512_and_si512(high, nibble);
        c[1] = _mm512_and_si512(_mm512_srli_epi16(high, 4), nibble);
        return;
    }
    // 0xca: bits of the second where the first has ones, of the third elsewhere.
    const __m512i low = _mm512_load_si512(x->low + at);
    c[0] = _mm512_ternarylogic_epi64(nibble, low, _mm512_slli_epi16(high, 4), 0xca);
    c[1] = _mm512_ternarylogic_epi64(nibble, _mm512_srli_epi16(low, 4), high, 0xca);
}

// B blocks of outs from block b on, for T rows: y = scale * I + (y + base), or without y when `add` is false.
KERN_INLINE void product(enum kern_kv_level level, int T, int B, const kern_kv *x, const factors *f, int b,
                         bool add, float *y, int ldy)
{
    const int G = groups_of(level), lines = x->terms / 4 / G;
    const size_t stride = (size_t)(x->outs / 16) * 64;
    __m512i high[ROWS][4], low[ROWS][4];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++)
#pragma GCC unroll 4
        for (int v = 0; v < B; v++)
            high[t][v] = low[t][v] = _mm512_setzero_si512();
    size_t at = (size_t)b * 64;
    for (int i = 0; i < lines; i++, at += stride) {
        __m512i c[4][4];
#pragma GCC unroll 4
        for (int v = 0; v < B; v++)
            line_codes(level, x, at + 64 * (size_t)v, c[v]);
#pragma GCC unroll 4
        for (int g = 0; g < G; g++)
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) {
                const __m512i h = avx512_four(f->high[t] + 4 * (i * G + g)),
                              l = avx512_four(f->low[t] + 4 * (i * G + g));
#pragma GCC unroll 4
                for (int v = 0; v < B; v++) {
                    high[t][v] = _mm512_dpbusd_epi32(high[t][v], c[v][g], h);
                    low[t][v] = _mm512_dpbusd_epi32(low[t][v], c[v][g], l);
                }
            }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++)
#pragma GCC unroll 4
        for (int v = 0; v < B; v++) {
            float *out = y + t * ldy + 16 * (b + v);
            const __m512 sum = _mm512_cvtepi32_ps(
                _mm512_add_epi32(_mm512_slli_epi32(high[t][v], 8), low[t][v]));
            const __m512 from = add ? _mm512_loadu_ps(out) : _mm512_setzero_ps();
            _mm512_storeu_ps(out, _mm512_fmadd_ps(_mm512_set1_ps(f->scale[t]), sum,
                                                  _mm512_add_ps(from, _mm512_set1_ps(f->base[t]))));
        }
}

// All outs for T rows.
KERN_INLINE void product_rows(enum kern_kv_level level, int T, const kern_kv *x, const factors *f, bool add,
                              float *y, int ldy)
{
    const int B = T <= 3 ? 4 : 2;
    int b = 0;
    for (; b + B <= x->outs / 16; b += B)
        product(level, T, B, x, f, b, add, y, ldy);
    for (; b < x->outs / 16; b++)
        product(level, T, 1, x, f, b, add, y, ldy);
}

#define PRODUCT(name, level)                                                                    \
    static void name(int rows, const kern_kv *x, const factors *f, bool add, float *y, int ldy) \
    {                                                                                           \
        switch (rows) {                                                                         \
        case 1: product_rows(level, 1, x, f, add, y, ldy); break;                               \
        case 2: product_rows(level, 2, x, f, add, y, ldy); break;                               \
        case 3: product_rows(level, 3, x, f, add, y, ldy); break;                               \
        default: product_rows(level, 4, x, f, add, y, ldy); break;                              \
        }                                                                                       \
    }

PRODUCT(product_q8, KERN_KV_Q8)
PRODUCT(product_q4, KERN_KV_Q4)
PRODUCT(product_q2, KERN_KV_Q2)

static void multiply(const kern_kv *x, int rows, const float *w, int ldw, bool add, float *y, int ldy)
{
    factors f;
    for (int t = 0; t < rows; t++)
        prepare(x, w + t * ldw, &f, t);
    if (x->level == KERN_KV_Q8)
        product_q8(rows, x, &f, add, y, ldy);
    else if (x->level == KERN_KV_Q4)
        product_q4(rows, x, &f, add, y, ldy);
    else
        product_q2(rows, x, &f, add, y, ldy);
}

static void multiply_f16(const kern_kv *x, const float *w, int from, int to, float *y)
{
    for (int b = 0; b < x->outs; b += 16) {
        __m512 sum = _mm512_loadu_ps(y + b);
        for (int r = from; r < to; r++)
            sum = _mm512_fmadd_ps(_mm512_set1_ps(w[r]), avx512_load_f16(x->f16 + r * x->outs + b), sum);
        _mm512_storeu_ps(y + b, sum);
    }
}

// e^x and tanh in the steps of math_avx2.h.
KERN_INLINE __m512 exp16(__m512 x)
{
    const __mmask16 tiny = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3f), _CMP_LT_OQ);
    x = _mm512_min_ps(_mm512_set1_ps(88.3f), x);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(0.00138146128f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.00836871006f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.041668389f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.166665211f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.49999994f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r);
    p = _mm512_add_ps(p, _mm512_set1_ps(1.0f));
    const __m512i scale = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)),
                                            23);
    return _mm512_maskz_mul_ps((__mmask16)~tiny, p, _mm512_castsi512_ps(scale));
}

KERN_INLINE __m512 tanh16(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f), e = exp16(_mm512_add_ps(x, x));
    return _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.0f), _mm512_add_ps(e, one)));
}

static void soften(const kern_attn *a, int row, int from, int to, float *s)
{
    const uint64_t below = to >= KERN_PAGE ? ~0ull : (1ull << to) - 1, seen = below & (~0ull << from);
    const __m512 cap = _mm512_set1_ps(a->softcap), none = _mm512_set1_ps(-INFINITY);
    __m512 v[VECTORS], most = none, sum = _mm512_setzero_ps();
    for (int i = 0; i < VECTORS; i++) {
        v[i] = _mm512_load_ps(s + 16 * i);
        if (a->softcap > 0.0f)
            v[i] = _mm512_mul_ps(cap, tanh16(_mm512_div_ps(v[i], cap)));
        v[i] = _mm512_mask_mov_ps(none, (__mmask16)(seen >> 16 * i), v[i]);
        most = _mm512_max_ps(most, v[i]);
    }
    const float m = fmaxf(a->m[row], _mm512_reduce_max_ps(most)) + 0.0f;
    if (m == -INFINITY) {
        memset(s, 0, KERN_PAGE * sizeof *s);
        return;
    }
    for (int i = 0; i < VECTORS; i++) {
        const __m512 x = _mm512_sub_ps(v[i], _mm512_set1_ps(m));
        const __mmask16 some = _mm512_cmp_ps_mask(x, _mm512_set1_ps(KERN_KV_LEAST), _CMP_GE_OQ);
        const __m512 e = _mm512_maskz_mov_ps(some, exp16(x));
        sum = _mm512_add_ps(sum, e);
        _mm512_store_ps(s + 16 * i, e);
    }
    const __m512 shrink = exp16(_mm512_set1_ps(a->m[row] - m));
    a->l[row] = fmaf(a->l[row], _mm512_cvtss_f32(shrink), sum16(sum));
    if (a->m[row] != m)
        for (float *o = a->o + row * a->hd, *end = o + a->hd; o < end; o += 16)
            _mm512_storeu_ps(o, _mm512_mul_ps(_mm512_loadu_ps(o), shrink));
    a->m[row] = m;
}

static void attn_kv(const kern_attn *a)
{
    static const kern_kv_steps steps = {ROWS, multiply, multiply_f16, soften};
    kern_kv_attend(a, &steps);
}

void kern_avx512_kv(kern_table *t)
{
    t->attn_kv = attn_kv;
}

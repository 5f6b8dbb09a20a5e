// Attention over quantized pages, AVX-512: kv.h states the steps. Factors of 15 bits are two signed bytes, high and
// low, each multiplied with the unsigned codes; lines of nibbles or bit pairs come apart in registers on their way
// from memory, once for up to four rows.
#include "kern/x86/avx512_kv.h"
#include "kern/x86/kv_prefetch.h"

enum { ROWS = 4, VECTORS = KERN_PAGE / 16 };

// Row vectors ready for a quantized side: four factors of a group are 32 bits.
typedef struct factors {
    _Alignas(64) int8_t high[ROWS][KERN_KV_TERMS], low[ROWS][KERN_KV_TERMS];
    float scale[ROWS], base[ROWS];
} factors;

// B blocks of outs from block b on, for T rows: y = scale * I + (y + base), or without y when `add` is false.
KERN_INLINE void product(enum kern_kv_level level, kern_kv_stream ahead, int T, int B, const kern_kv *x,
                         const factors *f, int b, bool add, float *y, int ldy)
{
    const int G = avx512_kv_groups(level), lines = x->terms / 4 / G;
    const size_t stride = (size_t)(x->outs / 16) * 64;
    __m512i high[ROWS][4], low[ROWS][4];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++)
#pragma GCC unroll 4
        for (int v = 0; v < B; v++)
            high[t][v] = low[t][v] = _mm512_setzero_si512();
    size_t at = (size_t)b * 64;
    for (int i = 0; i < lines; i++, at += stride) {
        kern_kv_prefetch(ahead, at, 64 * B);
        __m512i c[4][4];
#pragma GCC unroll 4
        for (int v = 0; v < B; v++)
            avx512_kv_codes(level, x, at + 64 * (size_t)v, c[v]);
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
        for (int v = 0; v < B; v++)
            avx512_kv_fold(high[t][v], low[t][v], f->scale[t], f->base[t], add, y + t * ldy + 16 * (b + v));
}

// All outs for T rows.
KERN_INLINE void product_rows(enum kern_kv_level level, kern_kv_stream ahead, int T, const kern_kv *x,
                              const factors *f, bool add, float *y, int ldy)
{
    const int B = T <= 3 ? 4 : 2;
    int b = 0;
    for (; b + B <= x->outs / 16; b += B)
        product(level, ahead, T, B, x, f, b, add, y, ldy);
    for (; b < x->outs / 16; b++)
        product(level, ahead, T, 1, x, f, b, add, y, ldy);
}

#define PRODUCT(name, level)                                                                                 \
    static void name(kern_kv_stream ahead, int rows, const kern_kv *x, const factors *f, bool add, float *y, \
                     int ldy)                                                                                \
    {                                                                                                        \
        switch (rows) {                                                                                      \
        case 1: product_rows(level, ahead, 1, x, f, add, y, ldy); break;                                     \
        case 2: product_rows(level, ahead, 2, x, f, add, y, ldy); break;                                     \
        case 3: product_rows(level, ahead, 3, x, f, add, y, ldy); break;                                     \
        default: product_rows(level, ahead, 4, x, f, add, y, ldy); break;                                    \
        }                                                                                                    \
    }

PRODUCT(product_q8, KERN_KV_Q8)
PRODUCT(product_q4, KERN_KV_Q4)
PRODUCT(product_q2, KERN_KV_Q2)

static void multiply(const kern_kv *x, const kern_kv *ahead, int rows, const float *w, int ldw, bool add,
                     float *y, int ldy)
{
    const kern_kv_stream stream = kern_kv_stream_of(ahead ? ahead : x);
    avx512_grid g;
    factors f;
    avx512_grid_of(x, &g);
    for (int t = 0; t < rows; t++)
        avx512_factors(&g, x->terms, w + t * ldw, f.high[t], f.low[t], &f.scale[t], &f.base[t]);
    if (x->level == KERN_KV_Q8)
        product_q8(stream, rows, x, &f, add, y, ldy);
    else if (x->level == KERN_KV_Q4)
        product_q4(stream, rows, x, &f, add, y, ldy);
    else
        product_q2(stream, rows, x, &f, add, y, ldy);
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

// e^x in the steps of math_avx2.h, for -87.3 <= x <= 88.3.
KERN_INLINE __m512 exp16(__m512 x)
{
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
    return _mm512_scalef_ps(_mm512_add_ps(p, _mm512_set1_ps(1.0f)), n);
}

// e^x, 0 below `least` (-87.3 or more).
KERN_INLINE __m512 exp16_from(float least, __m512 x)
{
    const __mmask16 some = _mm512_cmp_ps_mask(x, _mm512_set1_ps(least), _CMP_GE_OQ);
    return _mm512_maskz_mov_ps(some, exp16(x));
}

KERN_INLINE __m512 tanh16(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 e = exp16_from(-87.3f, _mm512_min_ps(_mm512_set1_ps(88.3f), _mm512_add_ps(x, x)));
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
        const __m512 e = exp16_from(KERN_KV_LEAST, _mm512_sub_ps(v[i], _mm512_set1_ps(m)));
        sum = _mm512_add_ps(sum, e);
        _mm512_store_ps(s + 16 * i, e);
    }
    const __m512 shrink = exp16_from(-87.3f, _mm512_set1_ps(a->m[row] - m));
    a->l[row] = fmaf(a->l[row], _mm512_cvtss_f32(shrink), avx512_sum16(sum));
    if (a->m[row] != m)
        for (float *o = a->o + row * a->hd, *end = o + a->hd; o < end; o += 16)
            _mm512_storeu_ps(o, _mm512_mul_ps(_mm512_loadu_ps(o), shrink));
    a->m[row] = m;
}

const kern_kv_steps kern_avx512_kv_steps = {ROWS, multiply, multiply_f16, soften};

static void attn_kv(const kern_attn *a)
{
    kern_kv_attend(a, &kern_avx512_kv_steps);
}

void kern_avx512_kv(kern_table *t)
{
    t->attn_kv = attn_kv;
}

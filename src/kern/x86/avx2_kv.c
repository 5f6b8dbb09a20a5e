// Attention over quantized pages, AVX2: kv.h states the steps. Codes widened to 16 bits are multiplied with factors of
// 15 bits in pairs (vpmaddwd): of a group's four terms, 0 with 2 and 1 with 3, which a mask and a shift bring out.
#include <math.h>

#include "kern/kv.h"
#include "kern/x86/avx2.h"
#include "kern/x86/kv_prefetch.h"
#include "kern/x86/math_avx2.h"

enum { ROWS = 4, GROUPS = KERN_KV_TERMS / 4 };

// Row vectors ready for a quantized side: of each group the factors of terms 0 and 2, then those of 1 and 3.
typedef struct factors {
    int32_t q[ROWS][GROUPS][2];
    float scale[ROWS], base[ROWS];
} factors;

static float sum16(__m256 low, __m256 high)
{
    return kern_sum_avx2(_mm256_add_ps(low, high));
}

// Of T rows; what does not depend on the row is converted once.
KERN_INLINE void prepare(int T, const kern_kv *x, const float *w, int ldw, factors *f)
{
    float y[ROWS][KERN_KV_TERMS];
    const __m256 width = _mm256_set1_ps(kern_kv_width(x->level)), half = _mm256_set1_ps(0.5f),
                 sign = _mm256_set1_ps(-0.0f);
    __m256 lanes[ROWS][2], most[ROWS];
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        lanes[t][0] = lanes[t][1] = most[t] = _mm256_setzero_ps();
    for (int r = 0; r < x->terms; r += 16)
        KERN_UNROLL
    for (int i = 0; i < 2; i++) {
        const int at = r + 8 * i;
        const __m256 min = _mm256_cvtph_ps(kern_load128(x->scales + at));
        const __m256 step = _mm256_mul_ps(_mm256_cvtph_ps(kern_load128(x->scales + x->terms + at)), width);
        const __m256 middle = _mm256_fmadd_ps(half, step, min);
        KERN_UNROLL
        for (int t = 0; t < T; t++) {
            const __m256 v = _mm256_loadu_ps(w + t * ldw + at), product = _mm256_mul_ps(v, step);
            most[t] = _mm256_max_ps(most[t], _mm256_andnot_ps(sign, product));
            lanes[t][i] = _mm256_fmadd_ps(v, middle, lanes[t][i]);
            _mm256_storeu_ps(y[t] + at, product);
        }
    }
    KERN_UNROLL
    for (int t = 0; t < T; t++) {
        float top = kern_max_avx2(most[t]);
        const __m256 inverse = _mm256_set1_ps(kern_kv_scale(&top));
        for (int r = 0; r < x->terms; r += 8) {
            __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(y[t] + r), inverse));
            v = _mm256_shuffle_epi32(v, _MM_SHUFFLE(3, 1, 2, 0));
            v = _mm256_permute4x64_epi64(_mm256_packs_epi32(v, v), _MM_SHUFFLE(0, 0, 2, 0));
            _mm_storeu_si128((__m128i *)f->q[t][r / 4], _mm256_castsi256_si128(v));
        }
        f->scale[t] = top / KERN_KV_TOP;
        f->base[t] = sum16(lanes[t][0], lanes[t][1]);
    }
}

KERN_INLINE int groups_of(enum kern_kv_level level)
{
    return level == KERN_KV_Q2 ? 4 : 2;
}

// The codes of 8 outs, byte `at` of a plane on, of the groups of one line.
KERN_INLINE void line_codes(enum kern_kv_level level, const kern_kv *x, size_t at, __m256i *c)
{
    const __m256i low4 = _mm256_set1_epi8(15), high4 = _mm256_set1_epi8((char)0xf0),
                  pair = _mm256_set1_epi8(3);
    if (level == KERN_KV_Q2) {
        const __m256i v = _mm256_load_si256((const __m256i *)(x->two + at));
        c[0] = _mm256_and_si256(v, pair);
        c[1] = _mm256_and_si256(_mm256_srli_epi16(v, 2), pair);
        c[2] = _mm256_and_si256(_mm256_srli_epi16(v, 4), pair);
        c[3] = _mm256_and_si256(_mm256_srli_epi16(v, 6), pair);
        return;
    }
    const __m256i high = _mm256_load_si256((const __m256i *)(x->high + at));
    if (level == KERN_KV_Q4) {
        c[0] = _mm256_and_si256(high, low4);
        c[1] = _mm256_and_si256(_mm256_srli_epi16(high, 4), low4);
        return;
    }
    const __m256i low = _mm256_load_si256((const __m256i *)(x->low + at));
    c[0] = _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi16(high, 4), high4), _mm256_and_si256(low, low4));
    c[1] = _mm256_or_si256(_mm256_and_si256(high, high4), _mm256_and_si256(_mm256_srli_epi16(low, 4), low4));
}

// U times 8 outs from out n on, for T rows: y = scale * I + (y + base), or without y when `add` is false. The side that
// comes next is asked for in the order of memory, not of the products: Q8 of one or two rows takes a fifth to a third less time (docs/SPEED.md).
KERN_INLINE void product(enum kern_kv_level level, kern_kv_stream ahead, int T, int U, const kern_kv *x,
                         const factors *f, int n, bool add, float *y, int ldy)
{
    const int G = groups_of(level), lines = x->terms / 4 / G;
    const size_t stride = (size_t)x->outs * 4;
    const __m256i even = _mm256_set1_epi16(255);
    __m256i sum[ROWS][4];
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        KERN_UNROLL
    for (int u = 0; u < U; u++)
        sum[t][u] = _mm256_setzero_si256();
    size_t at = (size_t)n * 4;
    for (int i = 0; i < lines; i++, at += stride) {
        kern_kv_prefetch(ahead, (size_t)(n * 4 * lines + i * 32 * U), 32 * U);
        __m256i c[4][4];
        KERN_UNROLL
        for (int u = 0; u < U; u++)
            line_codes(level, x, at + 32 * (size_t)u, c[u]);
        KERN_UNROLL
        for (int g = 0; g < G; g++) {
            __m256i pair[4][2];
            KERN_UNROLL
            for (int u = 0; u < U; u++) {
                pair[u][0] = _mm256_and_si256(c[u][g], even);
                pair[u][1] = _mm256_srli_epi16(c[u][g], 8);
            }
            KERN_UNROLL
            for (int t = 0; t < T; t++)
                KERN_UNROLL
            for (int j = 0; j < 2; j++) {
                const __m256i q = _mm256_set1_epi32(f->q[t][i * G + g][j]);
                KERN_UNROLL
                for (int u = 0; u < U; u++) {
                    sum[t][u] = _mm256_add_epi32(sum[t][u], _mm256_madd_epi16(pair[u][j], q));
                    KERN_PIN(sum[t][u]);
                }
            }
        }
    }
    KERN_UNROLL
    for (int t = 0; t < T; t++)
        KERN_UNROLL
    for (int u = 0; u < U; u++) {
        float *out = y + t * ldy + n + 8 * u;
        const __m256 from = add ? _mm256_loadu_ps(out) : _mm256_setzero_ps();
        _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_set1_ps(f->scale[t]), _mm256_cvtepi32_ps(sum[t][u]),
                                              _mm256_add_ps(from, _mm256_set1_ps(f->base[t]))));
    }
}

// All outs for T rows.
KERN_INLINE void product_rows(enum kern_kv_level level, kern_kv_stream ahead, int T, const kern_kv *x,
                              const float *w, int ldw, bool add, float *y, int ldy)
{
    const int U = T == 1 ? 4 : 2;
    int n = 0;
    factors f;
    prepare(T, x, w, ldw, &f);
    for (; n + 8 * U <= x->outs; n += 8 * U)
        product(level, ahead, T, U, x, &f, n, add, y, ldy);
    for (; n < x->outs; n += 16)
        product(level, ahead, T, 2, x, &f, n, add, y, ldy);
}

#define PRODUCT(name, level)                                                                              \
    static void name(kern_kv_stream ahead, int rows, const kern_kv *x, const float *w, int ldw, bool add, \
                     float *y, int ldy)                                                                   \
    {                                                                                                     \
        switch (rows) {                                                                                   \
        case 1: product_rows(level, ahead, 1, x, w, ldw, add, y, ldy); break;                             \
        case 2: product_rows(level, ahead, 2, x, w, ldw, add, y, ldy); break;                             \
        case 3: product_rows(level, ahead, 3, x, w, ldw, add, y, ldy); break;                             \
        default: product_rows(level, ahead, 4, x, w, ldw, add, y, ldy); break;                            \
        }                                                                                                 \
    }

PRODUCT(product_q8, KERN_KV_Q8)
PRODUCT(product_q4, KERN_KV_Q4)
PRODUCT(product_q2, KERN_KV_Q2)

static void multiply(const kern_kv *x, const kern_kv *ahead, int rows, const float *w, int ldw, bool add,
                     float *y, int ldy)
{
    const kern_kv_stream stream = kern_kv_stream_of(ahead ? ahead : x);
    if (ahead && ahead->level != KERN_KV_F16)
        for (int i = 0; i < 2 * ahead->terms; i += 32)  // scales, 64 bytes at a time
            _mm_prefetch((const char *)(ahead->scales + i), _MM_HINT_T0);
    if (x->level == KERN_KV_Q8)
        product_q8(stream, rows, x, w, ldw, add, y, ldy);
    else if (x->level == KERN_KV_Q4)
        product_q4(stream, rows, x, w, ldw, add, y, ldy);
    else
        product_q2(stream, rows, x, w, ldw, add, y, ldy);
}

static void multiply_f16(const kern_kv *x, const float *w, int from, int to, float *y)
{
    for (int n = 0; n < x->outs; n += 8) {
        __m256 sum = _mm256_loadu_ps(y + n);
        for (int r = from; r < to; r++)
            sum = _mm256_fmadd_ps(_mm256_set1_ps(w[r]),
                                  _mm256_cvtph_ps(kern_load128(x->f16 + r * x->outs + n)), sum);
        _mm256_storeu_ps(y + n, sum);
    }
}

static void soften(const kern_attn *a, int row, int from, int to, float *s)
{
    const __m256 none = _mm256_set1_ps(-INFINITY), cap = _mm256_set1_ps(a->softcap);
    __m256 most = none, sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int t = 0; t < KERN_PAGE; t += 8) {
        __m256 v = _mm256_loadu_ps(s + t);
        const __m256i seen = _mm256_andnot_si256(kern_lanes_avx2(from - t), kern_lanes_avx2(to - t));
        if (a->softcap > 0.0f)
            v = _mm256_mul_ps(cap, kern_tanh_avx2(_mm256_div_ps(v, cap)));
        v = _mm256_blendv_ps(none, v, _mm256_castsi256_ps(seen));
        most = _mm256_max_ps(most, v);
        _mm256_storeu_ps(s + t, v);
    }
    const float m = fmaxf(a->m[row], kern_max_avx2(most)) + 0.0f;
    if (m == -INFINITY) {
        memset(s, 0, KERN_PAGE * sizeof *s);
        return;
    }
    for (int t = 0; t < KERN_PAGE; t += 8) {
        const __m256 x = _mm256_sub_ps(_mm256_loadu_ps(s + t), _mm256_set1_ps(m));
        const __m256 some = _mm256_cmp_ps(x, _mm256_set1_ps(KERN_KV_LEAST), _CMP_GE_OQ);
        const __m256 e = _mm256_and_ps(some, kern_exp_avx2(x));
        sum[t / 8 % 2] = _mm256_add_ps(sum[t / 8 % 2], e);
        _mm256_storeu_ps(s + t, e);
    }
    const __m256 shrink = kern_exp_avx2(_mm256_set1_ps(a->m[row] - m));
    a->l[row] = fmaf(a->l[row], _mm256_cvtss_f32(shrink), sum16(sum[0], sum[1]));
    if (a->m[row] != m)
        for (float *o = a->o + row * a->hd, *end = o + a->hd; o < end; o += 8)
            _mm256_storeu_ps(o, _mm256_mul_ps(_mm256_loadu_ps(o), shrink));
    a->m[row] = m;
}

static void attn_kv(const kern_attn *a)
{
    static const kern_kv_steps steps = {ROWS, multiply, multiply_f16, soften};
    kern_kv_attend(a, &steps);
}

void kern_avx2_fill_kv(kern_table *t)
{
    t->attn_kv = attn_kv;
}

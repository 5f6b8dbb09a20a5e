// Attention over a page on AVX2. Rows that share the page's keys are taken four at a time, so that a key or value
// widened from F16 serves four of them. Whatever the tile, a score is one chain of fused additions over the head,
// an output value one chain over the visible keys: a row gets the same bits alone and in company.
#include <math.h>

#include "kern/x86/avx2.h"
#include "kern/x86/math_avx2.h"

enum { ROWS = 4 };  // rows a tile

// Scores of `vectors` * 8 keys from t on, for rows [row, row + rows), into s.
KERN_INLINE void scores_tile(const kern_attn *a, int row, int rows, int t, int vectors, float (*s)[KERN_PAGE])
{
    __m256 acc[8];
    KERN_UNROLL
    for (int i = 0; i < rows * vectors; i++)
        acc[i] = _mm256_setzero_ps();
    for (int i = 0; i < a->hd; i++) {
        const uint16_t *k = a->k + i * KERN_PAGE + t;
        __m256 q[ROWS];
        KERN_UNROLL
        for (int r = 0; r < rows; r++)
            q[r] = _mm256_broadcast_ss(a->q + (row + r) * a->hd + i);
        KERN_UNROLL
        for (int v = 0; v < vectors; v++) {
            __m256 key = _mm256_cvtph_ps(kern_load128(k + 8 * v));
            KERN_UNROLL
            for (int r = 0; r < rows; r++)
                acc[v * rows + r] = _mm256_fmadd_ps(q[r], key, acc[v * rows + r]);
        }
    }
    KERN_UNROLL
    for (int v = 0; v < vectors; v++)
        KERN_UNROLL
    for (int r = 0; r < rows; r++)
        _mm256_storeu_ps(s[row + r] + t + 8 * v, acc[v * rows + r]);
}

// Scores become weights e^(s - m) in place, 0 for keys the row does not see; m, l and o move to the new maximum.
// False when the row sees nothing here.
static bool soften(const kern_attn *a, int row, int from, int to, float *s)
{
    const __m256 none = _mm256_set1_ps(-INFINITY);
    __m256 most = none;
    for (int t = 0; t < KERN_PAGE; t += 8) {
        __m256 v = _mm256_loadu_ps(s + t);
        __m256i seen = _mm256_andnot_si256(kern_lanes_avx2(from - t), kern_lanes_avx2(to - t));
        if (a->softcap > 0.0f) {
            __m256 cap = _mm256_set1_ps(a->softcap);
            v = _mm256_mul_ps(cap, kern_tanh_avx2(_mm256_div_ps(v, cap)));
        }
        v = _mm256_blendv_ps(none, v, _mm256_castsi256_ps(seen));
        most = _mm256_max_ps(most, v);
        _mm256_storeu_ps(s + t, v);
    }
    float m = fmaxf(a->m[row], kern_max_avx2(most));
    if (m == -INFINITY)
        return false;
    __m256 sum = _mm256_setzero_ps(), max = _mm256_set1_ps(m);
    for (int t = 0; t < KERN_PAGE; t += 8) {
        __m256 p = kern_exp_avx2(_mm256_sub_ps(_mm256_loadu_ps(s + t), max));
        sum = _mm256_add_ps(sum, p);
        _mm256_storeu_ps(s + t, p);
    }
    __m256 shrink = kern_exp_avx2(_mm256_set1_ps(a->m[row] - m));
    a->l[row] = a->l[row] * _mm256_cvtss_f32(shrink) + kern_sum_avx2(sum);
    if (a->m[row] != m)
        for (int i = 0; i < a->hd; i += 8)
            _mm256_storeu_ps(a->o + row * a->hd + i,
                             _mm256_mul_ps(_mm256_loadu_ps(a->o + row * a->hd + i), shrink));
    a->m[row] = m;
    return true;
}

// o of rows [row, row + rows) += weights times values of keys [from, to), for `vectors` * 8 places from i on.
KERN_INLINE void values_tile(const kern_attn *a, const float (*s)[KERN_PAGE], int row, int rows, int from,
                             int to, int i, int vectors)
{
    __m256 acc[8];
    KERN_UNROLL
    for (int r = 0; r < rows; r++)
        KERN_UNROLL
    for (int v = 0; v < vectors; v++)
        acc[r * vectors + v] = _mm256_loadu_ps(a->o + (row + r) * a->hd + i + 8 * v);
    for (int t = from; t < to; t++) {
        const uint16_t *value = a->v + t * a->hd + i;
        __m256 wide[8];
        KERN_UNROLL
        for (int v = 0; v < vectors; v++)
            wide[v] = _mm256_cvtph_ps(kern_load128(value + 8 * v));
        KERN_UNROLL
        for (int r = 0; r < rows; r++) {
            __m256 p = _mm256_broadcast_ss(s[row + r] + t);
            KERN_UNROLL
            for (int v = 0; v < vectors; v++)
                acc[r * vectors + v] = _mm256_fmadd_ps(p, wide[v], acc[r * vectors + v]);
        }
    }
    KERN_UNROLL
    for (int r = 0; r < rows; r++)
        KERN_UNROLL
    for (int v = 0; v < vectors; v++)
        _mm256_storeu_ps(a->o + (row + r) * a->hd + i + 8 * v, acc[r * vectors + v]);
}

static void values_one(const kern_attn *a, const float (*s)[KERN_PAGE], int row, int from, int to)
{
    int i = 0;
    for (; i + 64 <= a->hd; i += 64)
        values_tile(a, s, row, 1, from, to, i, 8);
    for (; i < a->hd; i += 16)
        values_tile(a, s, row, 1, from, to, i, 2);
}

// Keys all four rows see go together; what one sees before and after them goes alone, in order.
static void values_four(const kern_attn *a, const float (*s)[KERN_PAGE], int row, const int *from,
                        const int *to)
{
    int lo = from[0], hi = to[0];
    for (int r = 1; r < ROWS; r++) {
        lo = from[r] > lo ? from[r] : lo;
        hi = to[r] < hi ? to[r] : hi;
    }
    hi = hi > lo ? hi : lo;
    for (int r = 0; r < ROWS; r++)
        values_one(a, s, row + r, from[r], to[r] < lo ? to[r] : lo);
    for (int i = 0; i < a->hd; i += 16)
        values_tile(a, s, row, ROWS, lo, hi, i, 2);
    for (int r = 0; r < ROWS; r++)
        values_one(a, s, row + r, from[r] > hi ? from[r] : hi, to[r]);
}

// The keys each row adds; a row that sees none gets an empty range.
static void soften_rows(const kern_attn *a, float (*s)[KERN_PAGE], int *from, int *to)
{
    for (int r = 0; r < a->rows; r++) {
        from[r] = a->first ? a->first[r] : 0;
        to[r] = a->visible[r];
        if (from[r] >= to[r] || !soften(a, r, from[r], to[r], s[r]))
            from[r] = to[r] = 0;
    }
}

static void attn_f16(const kern_attn *a)
{
    float s[KERN_ATTN_ROWS][KERN_PAGE];
    int from[KERN_ATTN_ROWS], to[KERN_ATTN_ROWS], last = 0, row = 0;
    for (int r = 0; r < a->rows; r++)
        last = a->visible[r] > last ? a->visible[r] : last;
    memset(s, 0, (size_t)a->rows * sizeof s[0]);
    for (; row + ROWS <= a->rows; row += ROWS)
        for (int t = 0; t < last; t += 16)
            scores_tile(a, row, ROWS, t, 2, s);
    for (; row < a->rows; row++) {
        int t = 0;
        for (; last - t > 32; t += 64)
            scores_tile(a, row, 1, t, 8, s);
        for (; t < last; t += 16)
            scores_tile(a, row, 1, t, 2, s);
    }
    soften_rows(a, s, from, to);
    for (row = 0; row + ROWS <= a->rows; row += ROWS)
        values_four(a, (const float(*)[KERN_PAGE])s, row, from + row, to + row);
    for (; row < a->rows; row++)
        values_one(a, (const float(*)[KERN_PAGE])s, row, from[row], to[row]);
}

void kern_avx2_fill_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
}

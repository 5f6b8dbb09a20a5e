// Attention over a page on AVX2, F16 keys and values, F32 sums. Scores and weighted values are the same product: a row of
// factors (the query; the weights of the keys) times the terms of a matrix (channels of K, tokens of V), for a tile of up
// to six rows that share each load and its conversion, which hides behind the additions.
//
// Whatever the tile, a score is one chain of fused additions over the head, an output value one chain over the keys; keys
// that a row does not see have the weight 0. So a row gets the same bits alone and in company.
#include <math.h>

#include "base/check.h"
#include "kern/x86/avx2.h"
#include "kern/x86/math_avx2.h"

enum {
    ROWS = 6,     // rows a tile: with 16 columns 12 sums, enough for two fused additions a cycle of latency 5
    COLUMN = 16,  // keys or values that a tile of that many rows takes
};

// What a tile multiplies: `terms` lines of `outs` values.
typedef struct side {
    const uint16_t *x;
    int terms, outs;
    const char *ahead;  // as many bytes as x that are read next; or NULL
} side;

// sum[r][v] += w[r][i] * x[i][8 v, 8) for a line x of a side. Three rows and four vectors leave no register for a factor
// beside the line, so there the factors stay and the line passes.
KERN_INLINE void line(int R, int V, const uint16_t *x, const float *w, int ldw, __m256 (*sum)[8])
{
    __m256 wide[8], factor[ROWS];
    if (R == 3) {
        KERN_UNROLL
        for (int r = 0; r < R; r++)
            factor[r] = _mm256_broadcast_ss(w + r * ldw);
        KERN_UNROLL
        for (int v = 0; v < V; v++) {
            wide[v] = _mm256_cvtph_ps(kern_load128(x + 8 * v));
            KERN_UNROLL
            for (int r = 0; r < R; r++) {
                sum[r][v] = _mm256_fmadd_ps(factor[r], wide[v], sum[r][v]);
                KERN_PIN(sum[r][v]);
            }
        }
        return;
    }
    KERN_UNROLL
    for (int v = 0; v < V; v++)
        wide[v] = _mm256_cvtph_ps(kern_load128(x + 8 * v));
    KERN_UNROLL
    for (int r = 0; r < R; r++) {
        factor[r] = _mm256_broadcast_ss(w + r * ldw);
        KERN_UNROLL
        for (int v = 0; v < V; v++)
            sum[r][v] = _mm256_fmadd_ps(factor[r], wide[v], sum[r][v]);
    }
}

// y[r][0, 8 V) = sum of w[r][i] * x[i][from column on, 8 V) over terms [from, to), or y += that. What is read next is asked
// for a line of either half at a time: a second stream brings a tenth to a seventh more from memory (docs/SPEED.md).
KERN_INLINE void tile(int R, int V, bool add, const side *m, int column, const float *w, int ldw, int from,
                      int to, float *y, int ldy)
{
    __m256 sum[ROWS][8];
    KERN_UNROLL
    for (int r = 0; r < R; r++)
        KERN_UNROLL
    for (int v = 0; v < V; v++)
        sum[r][v] = add ? _mm256_loadu_ps(y + r * ldy + column + 8 * v) : _mm256_setzero_ps();
    const int half = m->terms * m->outs;  // bytes
    const char *ahead = m->ahead ? m->ahead + column * m->terms : NULL;
    for (int i = from; i < to; i++) {
        if (ahead && i % (8 / V) == 0) {
            _mm_prefetch(ahead + 8 * V * i, _MM_HINT_T0);
            _mm_prefetch(ahead + half + 8 * V * i, _MM_HINT_T0);
        }
        line(R, V, m->x + i * m->outs + column, w + i, ldw, sum);
    }
    KERN_UNROLL
    for (int r = 0; r < R; r++)
        KERN_UNROLL
    for (int v = 0; v < V; v++)
        _mm256_storeu_ps(y + r * ldy + column + 8 * v, sum[r][v]);
}

// R rows, all columns, as many at once as the registers hold.
KERN_INLINE void rows_tile(int R, bool add, const side *m, const float *w, int ldw, int from, int to,
                           float *y, int ldy)
{
    const int V = R == 1 ? 8 : R <= 3 ? 4 : 2;
    int column = 0;
    for (; V > 2 && column + 8 * V <= m->outs; column += 8 * V)
        tile(R, V, add, m, column, w, ldw, from, to, y, ldy);
    for (; column < m->outs; column += COLUMN)
        tile(R, 2, add, m, column, w, ldw, from, to, y, ldy);
}

KERN_INLINE void product(int rows, bool add, const side *m, const float *w, int ldw, int from, int to,
                         float *y, int ldy)
{
    switch (rows) {
    case 1: rows_tile(1, add, m, w, ldw, from, to, y, ldy); break;
    case 2: rows_tile(2, add, m, w, ldw, from, to, y, ldy); break;
    case 3: rows_tile(3, add, m, w, ldw, from, to, y, ldy); break;
    case 4: rows_tile(4, add, m, w, ldw, from, to, y, ldy); break;
    case 5: rows_tile(5, add, m, w, ldw, from, to, y, ldy); break;
    default: rows_tile(6, add, m, w, ldw, from, to, y, ldy); break;
    }
}

// Rows of the next tile when `left` are left: six, or what comes out even.
static int tile_rows(int left)
{
    return left >= 2 * ROWS ? ROWS : left > ROWS ? (left + 1) / 2 : left;
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

// The keys each row adds; a row that sees none gets an empty range, and weights of 0.
static void soften_rows(const kern_attn *a, float (*s)[KERN_PAGE], int *from, int *to)
{
    for (int r = 0; r < a->rows; r++) {
        from[r] = a->first ? a->first[r] : 0;
        to[r] = a->visible[r];
        if (from[r] < to[r] && soften(a, r, from[r], to[r], s[r]))
            continue;
        from[r] = to[r] = 0;
        memset(s[r], 0, sizeof s[r]);
    }
}

// o of rows [row, row + rows) += weights times values, over the keys that any of them sees. What lies between the keys of
// one and those of another may be no number: then they go alone.
KERN_INLINE void values(const kern_attn *a, const side *v, float (*s)[KERN_PAGE], int row, int rows,
                        const int *from, const int *to)
{
    int lo = from[row], hi = to[row];
    for (int r = row + 1; r < row + rows; r++) {
        if (MAX(lo, from[r]) > MIN(hi, to[r])) {
            for (r = row; r < row + rows; r++)
                product(1, true, v, s[r], KERN_PAGE, from[r], to[r], a->o + r * a->hd, a->hd);
            return;
        }
        lo = MIN(lo, from[r]);
        hi = MAX(hi, to[r]);
    }
    product(rows, true, v, s[row], KERN_PAGE, lo, hi, a->o + row * a->hd, a->hd);
}

static void attn_f16(const kern_attn *a)
{
    _Alignas(32) float s[KERN_ATTN_ROWS][KERN_PAGE];
    int from[KERN_ATTN_ROWS], to[KERN_ATTN_ROWS];
    side k = {a->k, a->hd, KERN_PAGE, (const char *)a->v};
    side v = {a->v, KERN_PAGE, a->hd, (const char *)a->next};
    for (int row = 0, rows; row < a->rows; row += rows, k.ahead = NULL) {
        rows = tile_rows(a->rows - row);
        product(rows, false, &k, a->q + row * a->hd, a->hd, 0, a->hd, s[row], KERN_PAGE);
    }
    soften_rows(a, s, from, to);
    for (int row = 0, rows; row < a->rows; row += rows, v.ahead = NULL) {
        rows = tile_rows(a->rows - row);
        values(a, &v, s, row, rows, from, to);
    }
}

void kern_avx2_fill_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
}

// Attention over a page on AVX2, F16 keys and values, F32 sums. Scores and weighted values are the same product: a row of
// factors (the query; the weights of the keys) times the terms of a matrix (channels of K, tokens of V), for a tile of up
// to six rows that share each load. Many rows share one conversion of the page to F32 too, in columns of 16: what a
// tile walks through stays in L1. Conversion is exact, so rows get the same numbers either way.
//
// Whatever the tile, a score is one chain of fused additions over the head, an output value one chain over the keys; keys
// that a row does not see have the weight 0. So a row gets the same bits alone and in company.
#include <math.h>

#include "base/check.h"
#include "kern/x86/avx2.h"
#include "kern/x86/math_avx2.h"

enum {
    ROWS = 6,     // rows a tile: with 16 columns 12 sums, enough for two fused additions a cycle of latency 5
    COLUMN = 16,  // keys or values of a converted page that lie together
    WIDE_HD = 256,  // largest head that is converted: 64 KiB of stack
};

// What a tile multiplies: `terms` lines of a page's side, `stride` apart.
typedef struct side {
    const void *x;  // F16 as it lies in the page, or `wide`: F32 in columns of 16
    int terms, outs, stride;
    const char *ahead;  // as many bytes as x that are read next; or NULL
} side;

// y[r][0, 8 V) = sum of w[r][i] * x[i][from column on, 8 V) over terms [from, to), or y += that.
KERN_INLINE void tile(int R, int V, bool wide, bool add, const side *m, int column, const float *w, int ldw,
                      int from, int to, float *y, int ldy)
{
    __m256 sum[ROWS][8];
    KERN_UNROLL
    for (int r = 0; r < R; r++)
        KERN_UNROLL
    for (int v = 0; v < V; v++)
        sum[r][v] = add ? _mm256_loadu_ps(y + r * ldy + column + 8 * v) : _mm256_setzero_ps();
    const float *f32 = (const float *)m->x + column * m->terms;
    const uint16_t *f16 = (const uint16_t *)m->x + column;
    const char *ahead = m->ahead ? m->ahead + column * m->terms * 2 : NULL;
    for (int i = from; i < to; i++) {
        __m256 x[8];
        if (!wide && ahead && (V > 2 || i % 2 == 0)) {
            _mm_prefetch(ahead + 16 * V * i, _MM_HINT_T0);
            if (V > 4)
                _mm_prefetch(ahead + 16 * V * i + 64, _MM_HINT_T0);
        }
        KERN_UNROLL
        for (int v = 0; v < V; v++)
            x[v] = wide ? _mm256_load_ps(f32 + i * COLUMN + 8 * v)
                        : _mm256_cvtph_ps(kern_load128(f16 + i * m->stride + 8 * v));
        KERN_UNROLL
        for (int r = 0; r < R; r++) {
            const __m256 factor = _mm256_broadcast_ss(w + r * ldw + i);
            KERN_UNROLL
            for (int v = 0; v < V; v++)
                sum[r][v] = _mm256_fmadd_ps(factor, x[v], sum[r][v]);
        }
    }
    KERN_UNROLL
    for (int r = 0; r < R; r++)
        KERN_UNROLL
    for (int v = 0; v < V; v++)
        _mm256_storeu_ps(y + r * ldy + column + 8 * v, sum[r][v]);
}

// R rows, columns [column, end): a converted page's 16, else as many at once as the registers hold.
KERN_INLINE void rows_tile(int R, bool wide, bool add, const side *m, int column, int end, const float *w,
                           int ldw, int from, int to, float *y, int ldy)
{
    const int V = R == 1 ? 8 : R <= 3 ? 4 : 2;
    for (; !wide && V > 2 && column + 8 * V <= end; column += 8 * V)
        tile(R, V, wide, add, m, column, w, ldw, from, to, y, ldy);
    for (; column < end; column += COLUMN)
        tile(R, 2, wide, add, m, column, w, ldw, from, to, y, ldy);
}

KERN_INLINE void product(int rows, bool wide, bool add, const side *m, int column, int end, const float *w,
                         int ldw, int from, int to, float *y, int ldy)
{
    switch (rows) {
    case 1: rows_tile(1, wide, add, m, column, end, w, ldw, from, to, y, ldy); break;
    case 2: rows_tile(2, wide, add, m, column, end, w, ldw, from, to, y, ldy); break;
    case 3: rows_tile(3, wide, add, m, column, end, w, ldw, from, to, y, ldy); break;
    case 4: rows_tile(4, wide, add, m, column, end, w, ldw, from, to, y, ldy); break;
    case 5: rows_tile(5, wide, add, m, column, end, w, ldw, from, to, y, ldy); break;
    default: rows_tile(6, wide, add, m, column, end, w, ldw, from, to, y, ldy); break;
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
KERN_INLINE void values(const kern_attn *a, bool wide, const side *v, int column, int end,
                        float (*s)[KERN_PAGE], int row, int rows, const int *from, const int *to)
{
    int lo = from[row], hi = to[row];
    for (int r = row + 1; r < row + rows; r++) {
        if (MAX(lo, from[r]) > MIN(hi, to[r])) {
            for (r = row; r < row + rows; r++)
                product(1, wide, true, v, column, end, s[r], KERN_PAGE, from[r], to[r], a->o + r * a->hd,
                        a->hd);
            return;
        }
        lo = MIN(lo, from[r]);
        hi = MAX(hi, to[r]);
    }
    product(rows, wide, true, v, column, end, s[row], KERN_PAGE, lo, hi, a->o + row * a->hd, a->hd);
}

// F16 as it lies in the page.
static void attend_few(const kern_attn *a, float (*s)[KERN_PAGE], int *from, int *to)
{
    side k = {a->k, a->hd, KERN_PAGE, KERN_PAGE, (const char *)a->v};
    side v = {a->v, KERN_PAGE, a->hd, a->hd, (const char *)a->next};
    for (int row = 0, rows; row < a->rows; row += rows, k.ahead = NULL) {
        rows = tile_rows(a->rows - row);
        product(rows, false, false, &k, 0, KERN_PAGE, a->q + row * a->hd, a->hd, 0, a->hd, s[row], KERN_PAGE);
    }
    soften_rows(a, s, from, to);
    for (int row = 0, rows; row < a->rows; row += rows, v.ahead = NULL) {
        rows = tile_rows(a->rows - row);
        values(a, false, &v, 0, a->hd, s, row, rows, from, to);
    }
}

// A side to F32, column of 16 by column.
static void widen(const uint16_t *x, int terms, int outs, float *y)
{
    for (int c = 0; c < outs; c += COLUMN)
        for (int i = 0; i < terms; i++, y += COLUMN) {
            _mm256_store_ps(y, _mm256_cvtph_ps(kern_load128(x + i * outs + c)));
            _mm256_store_ps(y + 8, _mm256_cvtph_ps(kern_load128(x + i * outs + c + 8)));
        }
}

// Rows enough to pay for the conversion; keys and values take turns in `page`.
static void attend_many(const kern_attn *a, float (*s)[KERN_PAGE], int *from, int *to)
{
    _Alignas(64) float page[WIDE_HD * KERN_PAGE];
    const side k = {page, a->hd, KERN_PAGE, COLUMN, NULL}, v = {page, KERN_PAGE, a->hd, COLUMN, NULL};
    widen(a->k, a->hd, KERN_PAGE, page);
    for (int c = 0; c < KERN_PAGE; c += COLUMN)
        for (int row = 0, rows; row < a->rows; row += rows) {
            rows = tile_rows(a->rows - row);
            product(rows, true, false, &k, c, c + COLUMN, a->q + row * a->hd, a->hd, 0, a->hd, s[row],
                    KERN_PAGE);
        }
    soften_rows(a, s, from, to);
    widen(a->v, KERN_PAGE, a->hd, page);
    for (int c = 0; c < a->hd; c += COLUMN)
        for (int row = 0, rows; row < a->rows; row += rows) {
            rows = tile_rows(a->rows - row);
            values(a, true, &v, c, c + COLUMN, s, row, rows, from, to);
        }
}

static void attn_f16(const kern_attn *a)
{
    _Alignas(32) float s[KERN_ATTN_ROWS][KERN_PAGE];
    int from[KERN_ATTN_ROWS], to[KERN_ATTN_ROWS];
    if (a->rows > ROWS && a->hd <= WIDE_HD)
        attend_many(a, s, from, to);
    else
        attend_few(a, s, from, to);
}

void kern_avx2_fill_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
}

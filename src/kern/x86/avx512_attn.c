// Attention of up to 16 query rows over one page of 64 keys, F16 keys and values, F32 sums: scores, online
// softmax, values, for at most six rows at a time (6 rows x 64 keys: 24 registers of sums).
//
// A row's numbers do not depend on its company: every sum runs over head or keys in order, in a register of
// its own, and rows that see different parts of the page share only the keys that all of them see.
#include <math.h>

#include "kern/x86/avx512_math.h"

enum { ROWS = 6, VECTORS = KERN_PAGE / 16 };

// What rows of a block see of the page, and how much their running sums shrink.
typedef struct block {
    _Alignas(64) float p[ROWS][KERN_PAGE];  // scores, then exp(score - max)
    int from[ROWS], to[ROWS];
} block;

KERN_INLINE void scores(int R, const kern_attn *a, int row0, block *b)
{
    const float *q = a->q + row0 * a->hd;
    const uint16_t *k = a->k;
    __m512 s[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            s[r][v] = _mm512_setzero_ps();
    for (int i = 0; i < a->hd; i++, k += KERN_PAGE) {
        __m512 key[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            key[v] = avx512_load_f16(k + 16 * v);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            const __m512 x = _mm512_set1_ps(q[r * a->hd + i]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                s[r][v] = _mm512_fmadd_ps(x, key[v], s[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            _mm512_store_ps(b->p[r] + 16 * v, s[r][v]);
}

// Scores to weights, the row's m and l moved on, o shrunk to the new m. An unseen row is left as it is.
static void softmax(const kern_attn *a, int row, float *p, int from, int to)
{
    const uint64_t below = to >= KERN_PAGE ? ~0ull : (1ull << to) - 1, seen = below & (~0ull << from);
    const __m512 cap = _mm512_set1_ps(a->softcap), none = _mm512_set1_ps(-INFINITY);
    __m512 s[VECTORS], top = none;
    for (int v = 0; v < VECTORS; v++) {
        s[v] = _mm512_load_ps(p + 16 * v);
        if (a->softcap > 0.0f)
            s[v] = _mm512_mul_ps(cap, avx512_tanh(_mm512_div_ps(s[v], cap)));
        s[v] = _mm512_mask_mov_ps(none, (__mmask16)(seen >> 16 * v), s[v]);
        top = _mm512_max_ps(top, s[v]);
    }
    const float m = fmaxf(a->m[row], _mm512_reduce_max_ps(top));
    __m512 sum = _mm512_setzero_ps();
    for (int v = 0; v < VECTORS; v++) {
        __m512 e = avx512_exp(_mm512_sub_ps(s[v], _mm512_set1_ps(m)));
        e = _mm512_maskz_mov_ps((__mmask16)(seen >> 16 * v), e);
        sum = _mm512_add_ps(sum, e);
        _mm512_store_ps(p + 16 * v, e);
    }
    const float shrink = _mm512_cvtss_f32(avx512_exp(_mm512_set1_ps(a->m[row] - m)));
    a->l[row] = fmaf(a->l[row], shrink, _mm512_reduce_add_ps(sum));
    a->m[row] = m;
    float *o = a->o + row * a->hd;
    for (int i = 0; i < a->hd; i += 16)
        _mm512_storeu_ps(o + i, _mm512_mul_ps(_mm512_loadu_ps(o + i), _mm512_set1_ps(shrink)));
}

// o += weights * values of keys [from, to), for 16*C columns of R rows.
KERN_INLINE void values_columns(int R, int C, const kern_attn *a, int row0, float (*p)[KERN_PAGE], int from,
                                int to, int column)
{
    float *o = a->o + row0 * a->hd + column;
    const uint16_t *v = a->v + from * a->hd + column;
    __m512 sum[ROWS][4];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int c = 0; c < C; c++)
            sum[r][c] = _mm512_loadu_ps(o + r * a->hd + 16 * c);
    for (int t = from; t < to; t++, v += a->hd) {
        __m512 x[4];
#pragma GCC unroll 4
        for (int c = 0; c < C; c++)
            x[c] = avx512_load_f16(v + 16 * c);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            const __m512 weight = _mm512_set1_ps(p[r][t]);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++)
                sum[r][c] = _mm512_fmadd_ps(weight, x[c], sum[r][c]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int c = 0; c < C; c++)
            _mm512_storeu_ps(o + r * a->hd + 16 * c, sum[r][c]);
}

KERN_INLINE void values(int R, const kern_attn *a, int row0, float (*p)[KERN_PAGE], int from, int to)
{
    int c = 0;
    if (from >= to)
        return;
    for (; c + 64 <= a->hd; c += 64)
        values_columns(R, 4, a, row0, p, from, to, c);
    for (; c < a->hd; c += 16)
        values_columns(R, 1, a, row0, p, from, to, c);
}

// A row alone, for the keys that not all rows of its block see.
static void values_one(const kern_attn *a, int row, float (*p)[KERN_PAGE], int from, int to)
{
    values(1, a, row, p, from, to);
}

KERN_INLINE void attend(int R, const kern_attn *a, int row0)
{
    block b;
    int from = 0, to = KERN_PAGE;  // seen by all
    scores(R, a, row0, &b);
    for (int r = 0; r < R; r++) {
        b.from[r] = a->first ? a->first[row0 + r] : 0;
        b.to[r] = a->visible[row0 + r];
        if (b.from[r] < b.to[r])
            softmax(a, row0 + r, b.p[r], b.from[r], b.to[r]);
        from = b.from[r] > from ? b.from[r] : from;
        to = b.to[r] < to ? b.to[r] : to;
    }
    if (from >= to) {
        for (int r = 0; r < R; r++)
            values_one(a, row0 + r, b.p + r, b.from[r], b.to[r]);
        return;
    }
    for (int r = 0; r < R; r++)
        values_one(a, row0 + r, b.p + r, b.from[r], from);
    values(R, a, row0, b.p, from, to);
    for (int r = 0; r < R; r++)
        values_one(a, row0 + r, b.p + r, to, b.to[r]);
}

static void attn_f16(const kern_attn *a)
{
    int row = 0;
    for (; row + ROWS <= a->rows; row += ROWS)
        attend(ROWS, a, row);
    switch (a->rows - row) {
    case 5: attend(5, a, row); break;
    case 4: attend(4, a, row); break;
    case 3: attend(3, a, row); break;
    case 2: attend(2, a, row); break;
    case 1: attend(1, a, row); break;
    default: break;
    }
}

void kern_avx512_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
}

// Attention of query rows over one page of 64 keys, F16 keys and values, F32 sums: scores, online softmax,
// values, for at most six rows at a time (6 rows x 64 keys: 24 registers of sums).
//
// Many rows share one conversion of the page to F32: a conversion takes the ports that also multiply and add.
// It is exact, so rows get the same numbers either way.
//
// A row's numbers do not depend on its company: every sum runs over head or keys in order, in a register of
// its own, and rows that see different parts of the page share only the keys that all of them see.
#include "kern/x86/avx512_softmax.h"

enum {
    ROWS = 6,
    VECTORS = AVX512_PAGE,
    FEW = 3 * ROWS,  // rows up to which F16 is read as it lies; converted, 8 lose 15 %, 32 gain 6 %
    WIDE_HD = 256,   // largest head that is converted: 64 KiB of stack
};

// Sixteen keys or values: F16 as they lie in the page, or already F32.
KERN_INLINE __m512 load(bool wide, const void *page, int i)
{
    return wide ? _mm512_loadu_ps((const float *)page + i) : avx512_load_f16((const uint16_t *)page + i);
}

// Scores of R rows from row0, for all keys of the page.
KERN_INLINE void scores(int R, bool wide, const kern_attn *a, int row0, const void *k, float (*p)[KERN_PAGE])
{
    const float *q = a->q + row0 * a->hd;
    __m512 s[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            s[r][v] = _mm512_setzero_ps();
    for (int i = 0; i < a->hd; i++) {
        __m512 key[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            key[v] = load(wide, k, i * KERN_PAGE + 16 * v);
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
            _mm512_store_ps(p[r] + 16 * v, s[r][v]);
}

// o += weights * values of keys [from, to), for 16*C columns of R rows.
KERN_INLINE void values_columns(int R, int C, bool wide, const kern_attn *a, int row0, const void *v,
                                float (*p)[KERN_PAGE], int from, int to, int column)
{
    float *o = a->o + row0 * a->hd + column;
    __m512 sum[ROWS][4];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int c = 0; c < C; c++)
            sum[r][c] = _mm512_loadu_ps(o + r * a->hd + 16 * c);
    for (int t = from; t < to; t++) {
        __m512 x[4];
#pragma GCC unroll 4
        for (int c = 0; c < C; c++)
            x[c] = load(wide, v, t * a->hd + column + 16 * c);
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

KERN_INLINE void values_span(int R, bool wide, const kern_attn *a, int row0, const void *v,
                             float (*p)[KERN_PAGE], int from, int to)
{
    int c = 0;
    if (from >= to)
        return;
    for (; c + 64 <= a->hd; c += 64)
        values_columns(R, 4, wide, a, row0, v, p, from, to, c);
    for (; c < a->hd; c += 16)
        values_columns(R, 1, wide, a, row0, v, p, from, to, c);
}

// A row alone, for the keys that not all rows of its block see.
static void values_one(bool wide, const kern_attn *a, int row, const void *v, float (*p)[KERN_PAGE], int from,
                       int to)
{
    if (wide)
        values_span(1, true, a, row, v, p, from, to);
    else
        values_span(1, false, a, row, v, p, from, to);
}

// Weighted values of R rows from row0.
KERN_INLINE void values(int R, bool wide, const kern_attn *a, int row0, const void *v, float (*p)[KERN_PAGE])
{
    int from = 0, to = KERN_PAGE;  // seen by all
    for (int r = row0; r < row0 + R; r++) {
        from = avx512_first(a, r) > from ? avx512_first(a, r) : from;
        to = a->visible[r] < to ? a->visible[r] : to;
    }
    bool shared = from < to;
    for (int r = 0; r < R; r++)
        values_one(wide, a, row0 + r, v, p + r, avx512_first(a, row0 + r),
                   shared ? from : a->visible[row0 + r]);
    if (!shared)
        return;
    values_span(R, wide, a, row0, v, p, from, to);
    for (int r = 0; r < R; r++)
        values_one(wide, a, row0 + r, v, p + r, to, a->visible[row0 + r]);
}

// `step` (scores or values) of all rows, in blocks of as many as fit the registers.
#define ROW_BLOCKS(step, wide, a, page, p)                     \
    do {                                                       \
        int row = 0;                                           \
        for (; row + ROWS <= (a)->rows; row += ROWS)           \
            step(ROWS, wide, a, row, page, (p) + row);         \
        switch ((a)->rows - row) {                             \
        case 5: step(5, wide, a, row, page, (p) + row); break; \
        case 4: step(4, wide, a, row, page, (p) + row); break; \
        case 3: step(3, wide, a, row, page, (p) + row); break; \
        case 2: step(2, wide, a, row, page, (p) + row); break; \
        case 1: step(1, wide, a, row, page, (p) + row); break; \
        default: break;                                        \
        }                                                      \
    } while (0)

static void all_softmax(const kern_attn *a, float (*p)[KERN_PAGE])
{
    for (int r = 0; r < a->rows; r++) {
        __m512 e[VECTORS];
        if (avx512_first(a, r) >= a->visible[r])
            continue;
        avx512_softmax(a, r, p[r], e);
        for (int v = 0; v < VECTORS; v++)
            _mm512_store_ps(p[r] + 16 * v, e[v]);
    }
}

static void widen(const uint16_t *x, int n, float *y)
{
    for (int i = 0; i < n; i += 16)
        _mm512_store_ps(y + i, avx512_load_f16(x + i));
}

// Rows enough to pay for the conversion. Keys and values take turns in `page`, which stays in L1 at a
// head size of 128.
static void attend_many(const kern_attn *a)
{
    _Alignas(64) float p[KERN_ATTN_ROWS][KERN_PAGE], page[WIDE_HD * KERN_PAGE];
    widen(a->k, a->hd * KERN_PAGE, page);
    ROW_BLOCKS(scores, true, a, page, p);
    all_softmax(a, p);
    widen(a->v, a->hd * KERN_PAGE, page);
    ROW_BLOCKS(values, true, a, page, p);
}

static void attend_few(const kern_attn *a)
{
    _Alignas(64) float p[KERN_ATTN_ROWS][KERN_PAGE];
    ROW_BLOCKS(scores, false, a, a->k, p);
    all_softmax(a, p);
    ROW_BLOCKS(values, false, a, a->v, p);
}

static void attn_f16(const kern_attn *a)
{
    if (a->rows > FEW && a->hd <= WIDE_HD)
        attend_many(a);
    else
        attend_few(a);
}

void kern_avx512_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
}

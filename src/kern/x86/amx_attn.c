// Attention over a page on AMX tiles, for any number of rows.
//
// Tiles multiply BF16. An F16 value is the sum of two BF16 values exactly: 8 and 3 of its 11 significant bits.
// Queries and weights are F32 and keep 16 bits as two BF16 parts. Of the four products of parts the one of the two low
// parts is left out: it is of the size of what the 16 bits dropped (2^-17 of the product).
//
// A tile's rows do not touch each other, and one row goes the same way as many: so a row gets the same bits alone
// and in company. (A one-row kernel without tiles would have to round as they do, and converting takes less time than
// fetching the page.)
#include "kern/x86/amx.h"
#include "kern/x86/avx512_softmax.h"

enum {
    ROWS = 16,  // of a tile
    STEP = 32,  // head places (scores) or keys (values) a multiply adds up, two neighbours a pair
};

typedef uint32_t tile[ROWS][16];  // pairs of BF16
typedef struct parts {            // what stands right of the multiplication sign
    tile high, low;
} parts;
typedef uint32_t left_row[2][16];  // a step of a row of the left side: high, low parts

// Two F32 vectors to pairs of BF16: their upper halves.
KERN_INLINE __m512i pair(__m512 even, __m512 odd)
{
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even), 16),
                  keep = _mm512_set1_epi32((int)0xffff0000);
    return _mm512_ternarylogic_epi32(low, _mm512_castps_si512(odd), keep, 0xf8);  // low | (odd & keep)
}

KERN_INLINE __m512 upper(__m512 x)
{
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32((int)0xffff0000)));
}

KERN_INLINE __m512 half_up(__m512 x)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000)));
}

// Values that came from F16: both parts are exact.
KERN_INLINE void split_exact(__m512 even, __m512 odd, void *high, void *low)
{
    _mm512_store_si512(high, pair(even, odd));
    _mm512_store_si512(low, pair(_mm512_sub_ps(even, upper(even)), _mm512_sub_ps(odd, upper(odd))));
}

// Any 32 values that follow each other: both parts are rounded to the nearest, half away from zero.
KERN_INLINE void split_rounded(__m512 first, __m512 second, left_row *out)
{
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0),
                  odds = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512 even = _mm512_permutex2var_ps(first, evens, second),
                 odd = _mm512_permutex2var_ps(first, odds, second);
    const __m512 e = upper(half_up(even)), o = upper(half_up(odd));
    _mm512_store_si512((*out)[0], pair(e, o));
    _mm512_store_si512((*out)[1], pair(half_up(_mm512_sub_ps(even, e)), half_up(_mm512_sub_ps(odd, o))));
}

// A page's keys or values, as what stands right: `rows` rows of `columns` F16 values, `ld` apart, the reduction going
// down the rows. Rows outside [from, to) count as 0.
typedef struct right_side {
    const uint16_t *x;
    int ld, rows, columns, from, to;
    const uint8_t *ahead;  // bytes to ask for meanwhile, as many as this side has; or NULL
} right_side;

// 32 rows x 64 columns of a right side, the units going down the rows first.
enum { UNIT_TILES = 4, UNIT_COLUMNS = UNIT_TILES * 16, UNIT_BYTES = STEP * UNIT_COLUMNS * 2 };
typedef parts unit[UNIT_TILES];

KERN_INLINE int steps_of(const right_side *x)
{
    return (x->rows + STEP - 1) / STEP;
}

KERN_INLINE int strips_of(const right_side *x)
{
    return (x->columns + UNIT_COLUMNS - 1) / UNIT_COLUMNS;
}

KERN_INLINE int tiles_of(const right_side *x, int strip)
{
    const int left = (x->columns - strip * UNIT_COLUMNS) / 16;
    return left < UNIT_TILES ? left : UNIT_TILES;
}

// One unit's part of a right side; rows are counted in it.
typedef struct source {
    const uint16_t *x;
    int ld, from, to;
    const uint8_t *ahead;
} source;

KERN_INLINE source source_of(const right_side *x, int strip, int step)
{
    const int row = step * STEP, u = strip * steps_of(x) + step;
    return (source){x->x + (ptrdiff_t)row * x->ld + strip * UNIT_COLUMNS, x->ld, x->from - row, x->to - row,
                    x->ahead ? x->ahead + u * UNIT_BYTES : NULL};
}

// Rows 2k and 2k + 1 of a unit, for k in [k0, k1).
KERN_INLINE void split_rows(source x, int tiles, int k0, int k1, unit *out)
{
    static const uint16_t nothing[UNIT_COLUMNS];
    enum { ASKED = UNIT_BYTES / ROWS };
    for (int k = k0; k < k1; k++) {
        const int even = 2 * k, odd = even + 1;
        const uint16_t *a = even >= x.from && even < x.to ? x.x + even * x.ld : nothing,
                       *b = odd >= x.from && odd < x.to ? x.x + odd * x.ld : nothing;
        for (int n = 0; n < tiles; n++)
            split_exact(avx512_load_f16(a + 16 * n), avx512_load_f16(b + 16 * n), (*out)[n].high[k],
                        (*out)[n].low[k]);
        for (int i = 0; x.ahead && i < ASKED; i += 64)
            _mm_prefetch((const char *)x.ahead + k * ASKED + i, _MM_HINT_T1);
    }
    amx_written();
}

// Sums t and t1 of a row of tiles: += tile `left` times `part` of the unit.
#define TWO(t, t1, left, part, right)            \
    do {                                         \
        _tile_loadd(6, (*(right))[t].part, 64);  \
        _tile_dpbf16ps(t, left, 6);              \
        _tile_loadd(7, (*(right))[t1].part, 64); \
        _tile_dpbf16ps(t1, left, 7);             \
    } while (0)
#define ONE(t, right)                           \
    do {                                        \
        _tile_loadd(6, (*(right))[t].high, 64); \
        _tile_dpbf16ps(t, 4, 6);                \
        _tile_loadd(7, (*(right))[t].low, 64);  \
        _tile_dpbf16ps(t, 4, 7);                \
        _tile_dpbf16ps(t, 5, 6);                \
    } while (0)

// Sums of a unit's columns from memory to tiles 0-3, and back.
KERN_INLINE void load_sums(int tiles, const float *sums, size_t ld)
{
    _tile_loadd(0, sums, ld);
    if (tiles > 1)
        _tile_loadd(1, sums + 16, ld);
    if (tiles > 2)
        _tile_loadd(2, sums + 32, ld);
    if (tiles > 3)
        _tile_loadd(3, sums + 48, ld);
}

KERN_INLINE void store_sums(int tiles, float *sums, size_t ld)
{
    _tile_stored(0, sums, ld);
    if (tiles > 1)
        _tile_stored(1, sums + 16, ld);
    if (tiles > 2)
        _tile_stored(2, sums + 32, ld);
    if (tiles > 3)
        _tile_stored(3, sums + 48, ld);
}

// The sums in tiles 0-3 += left (tiles 4 and 5) x unit. Every sum meets the three products in the same order.
KERN_INLINE void multiply_unit(int tiles, const unit *right)
{
    if (tiles == UNIT_TILES) {
        TWO(0, 1, 4, high, right);
        TWO(2, 3, 4, high, right);
        TWO(0, 1, 4, low, right);
        TWO(2, 3, 4, low, right);
        TWO(0, 1, 5, high, right);
        TWO(2, 3, 5, high, right);
        return;
    }
    ONE(0, right);
    if (tiles > 1)
        ONE(1, right);
    if (tiles > 2)
        ONE(2, right);
}

// As multiply_unit for four tiles, while `next` is split into `into`: multiplies leave the vector units idle.
KERN_INLINE void multiply_and_split(const unit *right, source next, unit *into)
{
    TWO(0, 1, 4, high, right);
    split_rows(next, UNIT_TILES, 0, 3, into);
    TWO(2, 3, 4, high, right);
    split_rows(next, UNIT_TILES, 3, 6, into);
    TWO(0, 1, 4, low, right);
    split_rows(next, UNIT_TILES, 6, 9, into);
    TWO(2, 3, 4, low, right);
    split_rows(next, UNIT_TILES, 9, 12, into);
    TWO(0, 1, 5, high, right);
    split_rows(next, UNIT_TILES, 12, 14, into);
    TWO(2, 3, 5, high, right);
    split_rows(next, UNIT_TILES, 14, 16, into);
}

// What a product goes through: sums[rows][columns of x, distance ld] += left[rows][distance left_ld] x right side.
typedef struct product {
    int rows;
    const left_row *left;
    int left_ld;
    right_side x;
    float *sums;
    int ld;
} product;

// The tile of rows from `row` on meets a unit: `begin` takes its sums from memory, `end` puts them back. While it
// does, `next` is split into `into`, unless that is NULL.
KERN_INLINE void meet(const product *p, int row, int strip, int step, bool begin, bool end, const unit *right,
                      const source *next, unit *into)
{
    const size_t left_ld = (size_t)p->left_ld * sizeof *p->left, ld = (size_t)p->ld * sizeof *p->sums;
    const int tiles = tiles_of(&p->x, strip);
    const left_row *left = p->left + (ptrdiff_t)row * p->left_ld + step;
    float *sums = p->sums + (ptrdiff_t)row * p->ld + strip * UNIT_COLUMNS;
    if (begin)
        load_sums(tiles, sums, ld);
    _tile_loadd(4, (*left)[0], left_ld);
    _tile_loadd(5, (*left)[1], left_ld);
    if (into)
        multiply_and_split(right, *next, into);
    else
        multiply_unit(tiles, right);
    if (end)
        store_sums(tiles, sums, ld);
}

// Each unit, while it is in L1, meets tiles of 16 rows, then one of what is left; the first of them covers the
// splitting of the next unit. A tile of rows alone keeps its sums.
static void multiply(const product *p)
{
    _Alignas(64) unit units[2];
    const right_side *x = &p->x;
    const int strips = strips_of(x), steps = steps_of(x), first = p->rows < ROWS ? p->rows : ROWS;
    const bool alone = p->rows <= ROWS;
    split_rows(source_of(x, 0, 0), tiles_of(x, 0), 0, ROWS, &units[0]);
    kern_amx_configure(first, 64);
    for (int strip = 0, u = 0; strip < strips; strip++)
        for (int step = 0; step < steps; step++, u ^= 1) {
            const bool last = step == steps - 1;
            const int next_tiles = !last                ? tiles_of(x, strip)
                                   : strip + 1 < strips ? tiles_of(x, strip + 1)
                                                        : 0;
            const source next = source_of(x, strip + last, last ? 0 : step + 1);
            const bool both = tiles_of(x, strip) == UNIT_TILES && next_tiles == UNIT_TILES;
            meet(p, 0, strip, step, !alone || step == 0, !alone || last, &units[u], &next,
                 both ? &units[u ^ 1] : NULL);
            for (int row = ROWS; row < p->rows; row += ROWS) {
                if (p->rows - row < ROWS)
                    kern_amx_configure(p->rows - row, 64);
                meet(p, row, strip, step, true, true, &units[u], NULL, NULL);
            }
            if (p->rows > ROWS && p->rows % ROWS)
                kern_amx_configure(ROWS, 64);
            if (!both && next_tiles)
                split_rows(next, next_tiles, 0, ROWS, &units[u ^ 1]);
        }
    amx_written();
}

// Queries to [rows][round_up(hd, STEP) / STEP] left rows.
static void attn_form(const float *q, int rows, int hd, void *form)
{
    left_row *out = form;
    for (int r = 0; r < rows; r++, q += hd)
        for (int i = 0; i < hd; i += STEP)
            split_rounded(_mm512_loadu_ps(q + i),
                          i + ROWS < hd ? _mm512_loadu_ps(q + i + ROWS) : _mm512_setzero_ps(), out++);
}

// The weights of a row take the place of its scores, in two steps of 32 keys; zeros where it sees none.
static void split_weights(const kern_attn *a, int row, left_row *p)
{
    __m512 e[AVX512_PAGE];
    if (avx512_first(a, row) >= a->visible[row]) {
        memset(p, 0, 2 * sizeof *p);
        return;
    }
    avx512_softmax(a, row, (const float *)p, e);
    split_rounded(e[0], e[1], &p[0]);
    split_rounded(e[2], e[3], &p[1]);
}

// Keys that any row sees: [*from, *to).
static void seen_by_any(const kern_attn *a, int *from, int *to)
{
    *from = KERN_PAGE;
    *to = 0;
    for (int r = 0; r < a->rows; r++)
        if (avx512_first(a, r) < a->visible[r]) {
            *from = avx512_first(a, r) < *from ? avx512_first(a, r) : *from;
            *to = a->visible[r] > *to ? a->visible[r] : *to;
        }
}

static void attn_f16(const kern_attn *a)
{
    _Alignas(64) union {
        float score[KERN_PAGE];
        left_row weight[KERN_PAGE / STEP];
    } p[KERN_ATTN_ROWS];
    int from, to;
    seen_by_any(a, &from, &to);
    memset(p, 0, (size_t)a->rows * sizeof p[0]);
    multiply(&(product){.rows = a->rows,
                        .left = a->form,
                        .left_ld = (a->hd + STEP - 1) / STEP,
                        .x = {a->k, KERN_PAGE, a->hd, KERN_PAGE, 0, a->hd, (const uint8_t *)a->v},
                        .sums = p[0].score,
                        .ld = KERN_PAGE});
    for (int r = 0; r < a->rows; r++)
        split_weights(a, r, p[r].weight);
    multiply(&(product){.rows = a->rows,
                        .left = p[0].weight,
                        .left_ld = KERN_PAGE / STEP,
                        .x = {a->v, a->hd, KERN_PAGE, a->hd, from, to, (const uint8_t *)a->next},
                        .sums = a->o,
                        .ld = a->hd});
    _tile_release();
}

void kern_amx_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
    t->attn_form = attn_form;
}

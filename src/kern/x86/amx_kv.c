// Attention over quantized pages on AMX tiles, for many rows; kv.h states the steps. A line of codes taken apart is a
// row of a tile as it stands. Factors are two signed bytes, each a tile of its own: four sums take turns, those of
// high and low bytes for two blocks of outs.
#include "kern/x86/amx.h"
#include "kern/x86/avx512_kv.h"
#include "kern/x86/kv_prefetch.h"

enum {
    LEAST = 6,  // rows from which tiles pay
    DEPTH = 64  // terms of a multiply
};

typedef struct scratch {
    _Alignas(64)
        uint8_t codes[KERN_KV_TERMS * KERN_PAGE];  // [blocks][terms / 4][64], the terms rounded up to DEPTH
    _Alignas(64) int8_t high[KERN_ATTN_ROWS * KERN_KV_TERMS], low[KERN_ATTN_ROWS * KERN_KV_TERMS];
    _Alignas(64) int32_t sum[4][AMX_TOKENS][16];
    float scale[KERN_ATTN_ROWS], base[KERN_ATTN_ROWS];
    avx512_grid grid;
} scratch;

KERN_INLINE void unpack(enum kern_kv_level level, const kern_kv *x, kern_kv_stream ahead, int terms,
                        uint8_t *codes)
{
    const int G = avx512_kv_groups(level), blocks = x->outs / 16, lines = x->terms / 4 / G;
    for (int b = 0; b < blocks; b++, codes += 16 * terms) {
        for (int i = 0; i < lines; i++) {
            __m512i c[4];
            const size_t at = ((size_t)i * (size_t)blocks + (size_t)b) * 64;
            kern_kv_prefetch(ahead, at, 64);
            avx512_kv_codes(level, x, at, c);
            for (int g = 0; g < G; g++)
                _mm512_store_si512(codes + 64 * (i * G + g), c[g]);
        }
        memset(codes + 16 * x->terms, 0, (size_t)(16 * (terms - x->terms)));
    }
}

static void unpack_level(const kern_kv *x, kern_kv_stream ahead, int terms, uint8_t *codes)
{
    if (x->level == KERN_KV_Q8)
        unpack(KERN_KV_Q8, x, ahead, terms, codes);
    else if (x->level == KERN_KV_Q4)
        unpack(KERN_KV_Q4, x, ahead, terms, codes);
    else
        unpack(KERN_KV_Q2, x, ahead, terms, codes);
}

// Sums of the rows from row0 that a tile holds, for the blocks at `codes` and `codes` + `next` (0: only one).
static void multiply_tile(scratch *s, int terms, int row0, const uint8_t *codes, int next)
{
    const int8_t *high = s->high + row0 * terms, *low = s->low + row0 * terms;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int r = 0; r < terms; r += DEPTH) {
        _tile_loadd(4, high + r, terms);
        _tile_loadd(5, low + r, terms);
        _tile_loadd(6, codes + 16 * r, 64);
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 5, 6);
        if (!next)
            continue;
        _tile_loadd(7, codes + next + 16 * r, 64);
        _tile_dpbsud(2, 4, 7);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, s->sum[0], 64);
    _tile_stored(1, s->sum[1], 64);
    if (next) {
        _tile_stored(2, s->sum[2], 64);
        _tile_stored(3, s->sum[3], 64);
    }
    amx_written();
}

// Rows [from, end) of the tile that begins at row0: the last reaches back over rows of the one before rather than past
// the end.
static void multiply_rows(scratch *s, int terms, int row0, int from, int end, int blocks, bool add, float *y,
                          int ldy)
{
    for (int b = 0; b < blocks; b += 2) {
        const bool two = b + 1 < blocks;
        multiply_tile(s, terms, row0, s->codes + 16 * terms * b, two ? 16 * terms : 0);
        for (int t = from, i = from - row0; t < end; t++, i++)
            for (int j = 0; j < 1 + two; j++)
                avx512_kv_fold(avx512_load(s->sum[2 * j][i]), avx512_load(s->sum[2 * j + 1][i]), s->scale[t],
                               s->base[t], add, y + t * ldy + 16 * (b + j));
    }
}

static void multiply(const kern_kv *x, const kern_kv *ahead, int rows, const float *w, int ldw, bool add,
                     float *y, int ldy)
{
    const kern_kv_steps *few = &kern_avx512_kv_steps;
    if (rows < LEAST) {
        for (int t = 0; t < rows; t += few->rows)
            few->multiply(x, ahead, rows - t < few->rows ? rows - t : few->rows, w + t * ldw, ldw, add,
                          y + t * ldy, ldy);
        return;
    }
    const int terms = (x->terms + DEPTH - 1) / DEPTH * DEPTH, tiles = (rows + AMX_TOKENS - 1) / AMX_TOKENS,
              m = (rows + tiles - 1) / tiles;
    scratch s;
    unpack_level(x, kern_kv_stream_of(ahead ? ahead : x), terms, s.codes);
    avx512_grid_of(x, &s.grid);
    for (int t = 0; t < rows; t++)
        avx512_factors(&s.grid, x->terms, w + t * ldw, s.high + t * terms, s.low + t * terms, &s.scale[t],
                       &s.base[t]);
    amx_written();
    kern_amx_configure(m, DEPTH);
    for (int t = 0; t < rows; t += m) {
        const int end = t + m < rows ? t + m : rows;
        multiply_rows(&s, terms, end - m, t, end, x->outs / 16, add, y, ldy);
    }
    _tile_release();
}

static void attn_kv(const kern_attn *a)
{
    const kern_kv_steps steps = {KERN_ATTN_ROWS, multiply, kern_avx512_kv_steps.multiply_f16,
                                 kern_avx512_kv_steps.soften};
    kern_kv_attend(a, &steps);
}

void kern_amx_kv(kern_table *t)
{
    t->attn_kv = attn_kv;
}

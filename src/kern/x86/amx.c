// The AMX overlay, and the way through a matrix that its kernels share: batches of tokens, chunks of columns,
// panels.
#include "kern/x86/amx.h"

#include "kern/overlay.h"

// The memory form of the tile configuration (palette 1).
typedef struct tile_config {
    uint8_t palette, start_row, zero[14];
    uint16_t colsb[16];
    uint8_t rows[16];
} tile_config;

void kern_amx_configure(int tokens, int step)
{
    tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.colsb[i] = (uint16_t)(i == 4 || i == 5 ? step : 64);
        c.rows[i] = (uint8_t)(i < 6 ? tokens : step / KERN_GROUP);
    }
    amx_written();
    _tile_loadconfig(&c);
}

void kern_amx_load(const amx_pass *x, int p, amx_sums *sums)
{
    if (x->c0 == 0) {
        memset(sums, 0, sizeof *sums * (size_t)x->pairs);
        return;
    }
    for (int i = 0; i < 2 * x->pairs; i++)
        for (int t = 0; t < x->m; t++) {
            const float *y = x->y + (size_t)(amx_token(x, i / 2, i % 2) + t) * x->ldy + p * KERN_PANEL;
            _mm512_store_ps(sums[i / 2][i % 2][t], _mm512_maskz_loadu_ps(avx512_rows(x->w, p), y));
        }
}

void kern_amx_store(const amx_pass *x, int p, amx_sums *sums)
{
    for (int i = 0; i < 2 * x->pairs; i++)
        for (int t = 0; t < x->m; t++) {
            float *y = x->y + (size_t)(amx_token(x, i / 2, i % 2) + t) * x->ldy + p * KERN_PANEL;
            _mm512_mask_storeu_ps(y, avx512_rows(x->w, p), _mm512_load_ps(sums[i / 2][i % 2][t]));
        }
}

void kern_amx_drive(amx_panel_fn *panel, amx_prepare_fn *prepare, int step, const kern_weight *w,
                    const kern_act *a, int t0, int t1, int p0, int p1, float *y, size_t ldy)
{
    const int batches = (t1 - t0 + AMX_BATCH - 1) / AMX_BATCH, most = (t1 - t0 + batches - 1) / batches;
    _Alignas(64) amx_mins mins[AMX_BATCH];
    for (int t = t0; t < t1; t += most) {
        amx_pass x = {.w = w,
                      .a = a,
                      .t0 = t,
                      .tokens = t1 - t < most ? t1 - t : most,
                      .mins = mins,
                      .y = y,
                      .ldy = ldy};
        x.pairs = (x.tokens + 2 * AMX_TOKENS - 1) / (2 * AMX_TOKENS);
        x.m = (x.tokens + 2 * x.pairs - 1) / (2 * x.pairs);
        kern_amx_configure(x.m, step);
        for (x.c0 = 0; x.c0 < w->k; x.c0 = x.c1) {
            x.c1 = w->k - x.c0 < AMX_CHUNK ? w->k : x.c0 + AMX_CHUNK;
            if (prepare)
                prepare(&x, mins);
            amx_written();
            for (int p = p0; p < p1; p++)
                panel(&x, p);
        }
    }
    _tile_release();
}

void kern_overlay_amx(kern_table *t)
{
    kern_amx_b32(t);
    kern_amx_b256(t);
    kern_amx_attn(t);
    kern_amx_kv(t);
}

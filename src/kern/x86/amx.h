// Inside of the AMX overlay: what its files share. A tile multiply takes 16 cycles for 16 tokens x 64 columns
// x 16 rows whatever the columns, and fewer with fewer tokens; so tokens are cut into equal tiles of at most
// 16. Its result is there after 52 cycles, so four sums take turns: tiles of tokens come in pairs.
#ifndef KERN_X86_AMX_H
#define KERN_X86_AMX_H

#include "kern/x86/avx512_codes.h"

enum {
    AMX_TOKENS = 16,  // most tokens of a tile
    AMX_BATCH = 256,  // most tokens of a pass: many share the building of weight tiles, while their sums and
    // activations (AMX_BATCH x AMX_CHUNK bytes) stay in L2 and all scratch is 100 KiB of stack
    AMX_PAIRS = AMX_BATCH / (2 * AMX_TOKENS),
    AMX_CHUNK = 1024
};  // columns of a pass; the float sums wait in y between passes

// A token's sums of 16 activations over a pass, in the form that tiles take (amx_b256.c).
typedef uint16_t amx_mins[AMX_CHUNK / KERN_SUPER][32];

// One pass: panels meet a batch of tokens over columns [c0, c1).
typedef struct amx_pass {
    const kern_weight *w;
    const kern_act *a;
    int t0, tokens;        // the batch
    int m, pairs;          // tokens of a tile, pairs of tiles in the batch
    int c0, c1;            // c0 a multiple of 256
    const amx_mins *mins;  // [tokens], for types that have mins
    float *y;
    size_t ldy;
} amx_pass;

typedef float amx_sums[2][AMX_TOKENS][KERN_PANEL];  // of a pair
typedef void amx_panel_fn(const amx_pass *x, int p);
typedef void amx_prepare_fn(const amx_pass *x, amx_mins *mins);

// Shapes the tiles: 0-3 sums of `tokens` rows, 4 and 5 the left side, `tokens` rows of `step` bytes, 6 and 7 the right.
void kern_amx_configure(int tokens, int step);

// Runs `panel` over all passes, each prepared by `prepare` if not NULL, with tiles shaped for `step` columns
// a multiply (32 or 64): 0-3 hold results, 4 and 5 activations, 6 and 7 weights.
void kern_amx_drive(amx_panel_fn *panel, amx_prepare_fn *prepare, int step, const kern_weight *w,
                    const kern_act *a, int t0, int t1, int p0, int p1, float *y, size_t ldy);

// First token of half h of pair i. The last tiles reach back over tokens of those before rather than past the
// end: both compute the same sums for them.
KERN_INLINE int amx_token(const amx_pass *x, int i, int h)
{
    int t = (2 * i + h) * x->m, last = x->tokens - x->m;
    return x->t0 + (t < last ? t : last);
}

// The sums of panel p so far, from y; and back.
void kern_amx_load(const amx_pass *x, int p, amx_sums *sums);
void kern_amx_store(const amx_pass *x, int p, amx_sums *sums);

// gcc's tile loads do not tell the compiler that they read memory.
KERN_INLINE void amx_written(void)
{
    __asm__ volatile("" ::: "memory");
}

// Each writes its entries into the table.
void kern_amx_b32(kern_table *t);
void kern_amx_b256(kern_table *t);
void kern_amx_attn(kern_table *t);
void kern_amx_kv(kern_table *t);

#endif

// Between the NEON files: what each writes into the table, and the pieces they share.
#ifndef KERN_ARM_NEON_H
#define KERN_ARM_NEON_H

#include "kern/arm/unpack_neon.h"

void kern_neon_fill_b32(kern_table *t);
void kern_neon_fill_b256(kern_table *t);
void kern_neon_fill_float(kern_table *t);
void kern_neon_fill_ops(kern_table *t);
void kern_neon_fill_attn(kern_table *t);
void kern_neon_fill_kv(kern_table *t);
void kern_neon_fill_kv_encode(kern_table *t);

// Tokens whose running sums wait in L1 while a block's codes, unpacked once, meet them all; as on AVX2, not measured
// on ARM hardware.
enum { KERN_NEON_BATCH = 64 };

// Writes up to 16 sums of one token into y, of a panel that has `rows` rows.
KERN_INLINE void kern_store_panel(float *y, int rows, const float sums[KERN_PANEL])
{
    memcpy(y, sums, (size_t)(rows < KERN_PANEL ? rows : KERN_PANEL) * sizeof(float));
}

#endif

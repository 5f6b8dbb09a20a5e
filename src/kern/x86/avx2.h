// Between the AVX2 files: what each writes into the table, and the pieces they share.
#ifndef KERN_X86_AVX2_H
#define KERN_X86_AVX2_H

#include "kern/x86/avx2_tile.h"
#include "kern/x86/prefetch.h"

void kern_avx2_fill_b32(kern_table *t);
void kern_avx2_fill_b256(kern_table *t);
void kern_avx2_fill_float(kern_table *t);
void kern_avx2_fill_ops(kern_table *t);
void kern_avx2_fill_attn(kern_table *t);
void kern_avx2_fill_kv(kern_table *t);
void kern_avx2_fill_kv_encode(kern_table *t);

#endif

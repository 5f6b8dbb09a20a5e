// Between the AVX2 files: what each writes into the table, and the pieces they share.
#ifndef KERN_X86_AVX2_H
#define KERN_X86_AVX2_H

#include "kern/x86/prefetch.h"
#include "kern/x86/unpack_avx2.h"

void kern_avx2_fill_b32(kern_table *t);
void kern_avx2_fill_b256(kern_table *t);
void kern_avx2_fill_float(kern_table *t);
void kern_avx2_fill_ops(kern_table *t);
void kern_avx2_fill_attn(kern_table *t);
void kern_avx2_fill_kv(kern_table *t);
void kern_avx2_fill_kv_encode(kern_table *t);

// Tokens whose running sums wait in L1 while a block's codes, unpacked once, meet them all. kern_bench --tokens 512
// gave 177, 185, 188, 194 Gop/s with Q4_K for 16, 32, 64, 128 and 125, 132, 146, 146 with Q6_K; Q4_0 was level.
enum { KERN_AVX2_BATCH = 64 };

// Writes up to 16 sums of one token into y, of a panel that has `rows` rows.
KERN_INLINE void kern_store_panel(float *y, int rows, __m256 a, __m256 b)
{
    if (rows >= KERN_PANEL) {
        _mm256_storeu_ps(y, a);
        _mm256_storeu_ps(y + 8, b);
        return;
    }
    float line[KERN_PANEL];
    _mm256_storeu_ps(line, a);
    _mm256_storeu_ps(line + 8, b);
    memcpy(y, line, (size_t)rows * sizeof(float));
}

#endif

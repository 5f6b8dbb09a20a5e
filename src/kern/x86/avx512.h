// Inside of the AVX-512 overlay: what its files share. The overlay needs AVX-512 F, BW, DQ, VL, VNNI and BF16
// (Cooper Lake, Zen 4 and later). Matrix kernels are written once per family with the weight type as a
// compile-time argument, so each type gets its own straight-line code.
#ifndef KERN_X86_AVX512_H
#define KERN_X86_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kern/types.h"
#include "kern/x86/prefetch.h"

// The kern_matmul_fn `name` from a body that takes the weight type in front.
#define AVX512_MATMUL(name, type, body)                                                                 \
    static void name(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y, \
                     size_t ldy)                                                                        \
    {                                                                                                   \
        body(type, w, a, t0, t1, p0, p1, y, ldy);                                                       \
    }

// Each writes its entries into the table.
void kern_avx512_b32(kern_table *t);
void kern_avx512_b256(kern_table *t);
void kern_avx512_float(kern_table *t);
void kern_avx512_attn(kern_table *t);
void kern_avx512_kv(kern_table *t);
void kern_avx512_ops(kern_table *t);

// Rows of panel p that exist, as a mask.
KERN_INLINE __mmask16 avx512_rows(const kern_weight *w, int p)
{
    int left = w->n - p * KERN_PANEL;
    return left >= KERN_PANEL ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1);
}

KERN_INLINE __m512i avx512_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

// Sixteen F16 values.
KERN_INLINE __m512 avx512_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

// Sixteen bytes to every 128-bit lane.
KERN_INLINE __m512i avx512_bcast16(const void *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}

// Four activation bytes to every lane; the compiler folds it into the dot product as a broadcast operand.
KERN_INLINE __m512i avx512_four(const int8_t *q)
{
    int32_t v;
    memcpy(&v, q, sizeof v);
    return _mm512_set1_epi32(v);
}

#endif

// Attention over quantized pages: what its AVX-512 and AMX parts share. kv.h states the steps.
#ifndef KERN_X86_AVX512_KV_H
#define KERN_X86_AVX512_KV_H

#include "kern/kv.h"
#include "kern/x86/avx512_math.h"

extern const kern_kv_steps kern_avx512_kv_steps;

// Of each term the width of a cell and the middle of the first.
typedef struct avx512_grid {
    _Alignas(64) float width[KERN_KV_TERMS], middle[KERN_KV_TERMS];
} avx512_grid;

KERN_INLINE void avx512_grid_of(const kern_kv *x, avx512_grid *g)
{
    const __m512 steps = _mm512_set1_ps(kern_kv_width(x->level)), half = _mm512_set1_ps(0.5f);
    for (int r = 0; r < x->terms; r += 16) {
        const __m512 width = _mm512_mul_ps(avx512_load_f16(x->scales + x->terms + r), steps);
        _mm512_store_ps(g->width + r, width);
        _mm512_store_ps(g->middle + r, _mm512_fmadd_ps(half, width, avx512_load_f16(x->scales + r)));
    }
}

KERN_INLINE float avx512_sum16(__m512 x)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

// Four vectors of 16-bit values in 32-bit lanes to 64 bytes, in order: the high and the low byte of each, the low one
// signed too.
KERN_INLINE void avx512_two_bytes(const __m512i *v, int8_t *high, int8_t *low)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i a = _mm512_packs_epi32(v[0], v[1]), b = _mm512_packs_epi32(v[2], v[3]);
    const __m512i half = _mm512_set1_epi16(128), byte = _mm512_set1_epi16(255);
    const __m512i up = _mm512_packs_epi16(_mm512_srai_epi16(_mm512_add_epi16(a, half), 8),
                                          _mm512_srai_epi16(_mm512_add_epi16(b, half), 8));
    const __m512i down = _mm512_packus_epi16(_mm512_and_si512(a, byte), _mm512_and_si512(b, byte));
    _mm512_store_si512(high, _mm512_permutexvar_epi32(order, up));
    _mm512_store_si512(low, _mm512_permutexvar_epi32(order, down));
}

// Makes a row vector ready: its factors as two signed bytes, 0 up to a multiple of 64 terms, their scale, and the base.
KERN_INLINE void avx512_factors(const avx512_grid *g, int terms, const float *w, int8_t *high, int8_t *low,
                                float *scale, float *base)
{
    __m512 lanes = _mm512_setzero_ps(), most = lanes;
    for (int r = 0; r < terms; r += 16) {
        const __m512 v = _mm512_loadu_ps(w + r);
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_mul_ps(v, _mm512_load_ps(g->width + r))));
        lanes = _mm512_fmadd_ps(v, _mm512_load_ps(g->middle + r), lanes);
    }
    float top = _mm512_reduce_max_ps(most);
    const __m512 inverse = _mm512_set1_ps(kern_kv_scale(&top));
    for (int r = 0; r < terms; r += 64) {
        __m512i v[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            v[i] = _mm512_setzero_si512();
            if (r + 16 * i >= terms)
                continue;
            const __m512 product = _mm512_mul_ps(_mm512_loadu_ps(w + r + 16 * i),
                                                 _mm512_load_ps(g->width + r + 16 * i));
            v[i] = _mm512_cvtps_epi32(_mm512_mul_ps(product, inverse));
        }
        avx512_two_bytes(v, high + r, low + r);
    }
    *scale = top / KERN_KV_TOP;
    *base = avx512_sum16(lanes);
}

// Groups of a line.
KERN_INLINE int avx512_kv_groups(enum kern_kv_level level)
{
    return level == KERN_KV_Q2 ? 4 : 2;
}

// The codes of the groups of one line.
KERN_INLINE void avx512_kv_codes(enum kern_kv_level level, const kern_kv *x, size_t at, __m512i *c)
{
    const __m512i nibble = _mm512_set1_epi8(15), pair = _mm512_set1_epi8(3);
    if (level == KERN_KV_Q2) {
        const __m512i v = _mm512_load_si512(x->two + at);
        c[0] = _mm512_and_si512(v, pair);
        c[1] = _mm512_and_si512(_mm512_srli_epi16(v, 2), pair);
        c[2] = _mm512_and_si512(_mm512_srli_epi16(v, 4), pair);
        c[3] = _mm512_and_si512(_mm512_srli_epi16(v, 6), pair);
        return;
    }
    const __m512i high = _mm512_load_si512(x->high + at);
    if (level == KERN_KV_Q4) {
        c[0] = _mm512_and_si512(high, nibble);
        c[1] = _mm512_and_si512(_mm512_srli_epi16(high, 4), nibble);
        return;
    }
    // 0xca: bits of the second where the first has ones, of the third elsewhere.
    const __m512i low = _mm512_load_si512(x->low + at);
    c[0] = _mm512_ternarylogic_epi64(nibble, low, _mm512_slli_epi16(high, 4), 0xca);
    c[1] = _mm512_ternarylogic_epi64(nibble, _mm512_srli_epi16(low, 4), high, 0xca);
}

// y = scale * I + (y + base), or without y when `add` is false, I = high * 256 + low.
KERN_INLINE void avx512_kv_fold(__m512i high, __m512i low, float scale, float base, bool add, float *y)
{
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high, 8), low));
    const __m512 from = add ? _mm512_loadu_ps(y) : _mm512_setzero_ps();
    _mm512_storeu_ps(y,
                     _mm512_fmadd_ps(_mm512_set1_ps(scale), sum, _mm512_add_ps(from, _mm512_set1_ps(base))));
}

#endif

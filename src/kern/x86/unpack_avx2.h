// Everything the AVX2 kernels know about single weight types: how to get the codes of 4 columns x 8 rows out of a
// packed block, and its scales. `type` is a constant where these are called, so no switch survives.
#ifndef KERN_X86_UNPACK_AVX2_H
#define KERN_X86_UNPACK_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kern/types.h"

// All loops over tiles have constant bounds and must vanish, or the tiles would live in memory.
#if defined(__clang__)
#define KERN_UNROLL _Pragma("unroll")
#else
#define KERN_UNROLL _Pragma("GCC unroll 16")
#endif

// Says that x changes here, to no instruction at all: compilers otherwise gather the additions of a whole block
// at its end and keep every product in memory until then.
#if defined(__GNUC__)
#define KERN_PIN(x) __asm__("" : "+x"(x))
#else
#define KERN_PIN(x) (void)(x)
#endif

KERN_INLINE __m256i kern_load256(const void *p)
{
    return _mm256_loadu_si256(p);
}

KERN_INLINE __m128i kern_load128(const void *p)
{
    return _mm_loadu_si128(p);
}

// 4 bytes to all lanes; memcpy because activations have no alignment a compiler may count on.
KERN_INLINE __m256i kern_spread32(const void *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return _mm256_set1_epi32(x);
}

// Bits 0..31 at p to bytes 0..31: `value` where the bit is set.
KERN_INLINE __m256i kern_bits_avx2(const uint8_t *p, int value)
{
    const __m256i bytes = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2,
                                           2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i select = _mm256_set1_epi64x((long long)0x8040201008040201u);
    __m256i spread = _mm256_shuffle_epi8(kern_spread32(p), bytes);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, select), select);
    return _mm256_and_si256(set, _mm256_set1_epi8((char)value));
}

KERN_INLINE __m256i kern_low_nibbles(const uint8_t *p, bool high)
{
    __m256i x = kern_load256(p);
    if (high)
        x = _mm256_srli_epi16(x, 4);
    return _mm256_and_si256(x, _mm256_set1_epi8(15));
}

// Bits 2p, 2p+1 of each byte.
KERN_INLINE __m256i kern_two_bits(const uint8_t *src, int p)
{
    return _mm256_and_si256(_mm256_srli_epi16(kern_load256(src), 2 * p), _mm256_set1_epi8(3));
}

// Codes of the type from what is stored of them, up to 4 bits.
KERN_INLINE __m256i kern_looked_up_avx2(int type, __m256i bits)
{
    if (!kern_values(type))
        return bits;
    __m128i t = _mm_add_epi8(kern_load128(kern_values(type)), _mm_set1_epi8((char)kern_code_offset(type)));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), bits);
}

KERN_INLINE __m256i kern_codes_b32_avx2(int type, const uint8_t *p, int g, int h)
{
    const uint8_t *low = p + kern_at_low(type) + 32 * h;
    if (type == QT_Q8_0)
        return kern_load256(low + 64 * g);
    __m256i nibbles = kern_low_nibbles(low + 64 * (g % 4), g >= 4);
    if (type == QT_Q5_0 || type == QT_Q5_1)
        return _mm256_or_si256(nibbles, kern_bits_avx2(p + kern_at_masks(type) + 8 * g + 4 * h, 16));
    return kern_looked_up_avx2(type, nibbles);
}

KERN_INLINE __m256i kern_codes_b256_avx2(int type, const uint8_t *p, int s, int g, int h)
{
    const uint8_t *low = p + kern_at_low(type) + 32 * h;
    int half = s / 4, part = s % 4;
    switch (kern_layout(type)) {
    case QT_Q4_K: return kern_low_nibbles(low + 64 * (8 * (s / 2) + g), s % 2);
    case QT_Q5_K:
        return _mm256_or_si256(kern_low_nibbles(low + 64 * (8 * (s / 2) + g), s % 2),
                               kern_bits_avx2(p + kern_at_masks(type) + 8 * (8 * s + g) + 4 * h, 16));
    case QT_Q6_K: {
        __m256i top = kern_load256(p + kern_at_high(type) + 32 * h + 64 * (8 * half + g));
        top = part < 2 ? _mm256_slli_epi16(top, 4 - 2 * part) : _mm256_srli_epi16(top, 2 * part - 4);
        return _mm256_or_si256(kern_low_nibbles(low + 64 * (16 * half + 8 * (part % 2) + g), part >= 2),
                               _mm256_and_si256(top, _mm256_set1_epi8(0x30)));
    }
    case QT_IQ4_XS: return kern_looked_up_avx2(type, kern_low_nibbles(low + 64 * (4 * s + g % 4), g >= 4));
    case QT_Q3_K: {
        __m256i top = kern_bits_avx2(p + kern_at_masks(type) + 8 * (8 * s + g) + 4 * h, 4);
        return kern_looked_up_avx2(type,
                                   _mm256_or_si256(kern_two_bits(low + 64 * (8 * half + g), part), top));
    }
    default:  // Q2_K
        return kern_two_bits(low + 64 * (8 * half + g), part);
    }
}

// The codes of rows 8h..8h+7, columns 32s+4g..32s+4g+3.
KERN_INLINE __m256i kern_codes_avx2(int type, const uint8_t *p, int s, int g, int h)
{
    bool b32 = type < QT_Q2_K || type == QT_IQ4_NL || type == QT_MXFP4;
    return b32 ? kern_codes_b32_avx2(type, p, g, h) : kern_codes_b256_avx2(type, p, s, g, h);
}

// Scales of sub-block i, one signed byte a row.
KERN_INLINE __m128i kern_scales_avx2(int type, const uint8_t *p, int i)
{
    const uint8_t *s = p + kern_at_scales(type);
    const __m128i low = _mm_set1_epi8(15), six = _mm_set1_epi8(63);
    switch (kern_layout(type)) {
    case QT_Q2_K: return _mm_and_si128(kern_load128(s + 16 * i), low);
    case QT_Q6_K: return kern_load128(s + 16 * i);
    case QT_Q3_K: {
        __m128i a = _mm_srli_epi16(kern_load128(s + 16 * (i % 8)), i < 8 ? 0 : 4);
        __m128i b = _mm_srli_epi16(kern_load128(s + 16 * (8 + i % 4)), 2 * (i / 4));
        b = _mm_slli_epi16(_mm_and_si128(b, _mm_set1_epi8(3)), 4);
        return _mm_sub_epi8(_mm_or_si128(_mm_and_si128(a, low), b), _mm_set1_epi8(32));
    }
    case QT_IQ4_XS: {
        __m128i a = _mm_srli_epi16(kern_load128(s + 32 + 16 * (i / 2)), i % 2 ? 4 : 0);
        __m128i three = _mm_set1_epi16(3);
        __m128i b0 = _mm_and_si128(_mm_srli_epi16(kern_load128(s), 2 * i), three);
        __m128i b1 = _mm_and_si128(_mm_srli_epi16(kern_load128(s + 16), 2 * i), three);
        __m128i b = _mm_slli_epi16(_mm_packus_epi16(b0, b1), 4);
        return _mm_sub_epi8(_mm_or_si128(_mm_and_si128(a, low), b), _mm_set1_epi8(32));
    }
    default: {
        if (i < 4)
            return _mm_and_si128(kern_load128(s + 16 * i), six);
        __m128i top = _mm_andnot_si128(six, kern_load128(s + 16 * (i - 4)));
        return _mm_or_si128(_mm_and_si128(kern_load128(s + 16 * (i + 4)), low), _mm_srli_epi16(top, 2));
    }
    }
}

KERN_INLINE __m128i kern_mins_avx2(int type, const uint8_t *p, int i)
{
    const uint8_t *s = p + kern_at_scales(type);
    const __m128i low = _mm_set1_epi8(15), six = _mm_set1_epi8(63);
    if (type == QT_Q2_K)
        return _mm_and_si128(_mm_srli_epi16(kern_load128(s + 16 * i), 4), low);
    if (i < 4)
        return _mm_and_si128(kern_load128(s + 16 * (i + 4)), six);
    __m128i top = _mm_andnot_si128(six, kern_load128(s + 16 * i));
    __m128i bottom = _mm_and_si128(_mm_srli_epi16(kern_load128(s + 16 * (i + 4)), 4), low);
    return _mm_or_si128(bottom, _mm_srli_epi16(top, 2));
}

// The block scales of rows 8h..8h+7 as floats; m: the mins.
KERN_INLINE __m256 kern_d_avx2(int type, const uint8_t *p, int h)
{
    if (type != QT_MXFP4) {
        __m256 d = _mm256_cvtph_ps(kern_load128(p + 16 * h));
        return kern_factor(type) == 1.0f ? d : _mm256_mul_ps(d, _mm256_set1_ps(kern_factor(type)));
    }
    // Half of 2^(e - 127): the exponent field is e - 1, and a subnormal for e < 2.
    __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(p + 8 * h)));
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, tiny, _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e)));
}

KERN_INLINE __m256 kern_m_avx2(const uint8_t *p, int h)
{
    return _mm256_cvtph_ps(kern_load128(p + 32 + 16 * h));
}

#endif

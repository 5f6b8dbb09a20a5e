// Taking packed blocks apart in AVX-512 registers: codes as unsigned bytes in VNNI order (one vector is one
// group of 4 columns of 16 rows) and sub-scales as bytes. With the type and the piece known at compile time
// each is a few instructions, and loads shared by two or four pieces become one.
#ifndef KERN_X86_AVX512_CODES_H
#define KERN_X86_AVX512_CODES_H

#include "kern/x86/avx512.h"

KERN_INLINE __m512i avx512_low4(__m512i x)
{
    return _mm512_and_si512(x, _mm512_set1_epi8(15));
}

KERN_INLINE __m512i avx512_high4(__m512i x)
{
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
}

// Adds `bit` to the codes whose bit of mask `i` is set.
KERN_INLINE __m512i avx512_add_bit(__m512i u, const uint8_t *masks, int i, int bit)
{
    uint64_t m;
    memcpy(&m, masks + 8 * i, sizeof m);
    return _mm512_mask_add_epi8(u, (__mmask64)m, u, _mm512_set1_epi8((char)bit));
}

// (x & keep) | (u & ~keep), for u without bits of keep.
KERN_INLINE __m512i avx512_or_masked(__m512i u, __m512i x, char keep)
{
    return _mm512_ternarylogic_epi32(u, x, _mm512_set1_epi8(keep), 0xf8);
}

// The code table of IQ4_NL, IQ4_XS and MXFP4, made unsigned, in every 128-bit lane.
KERN_INLINE __m512i avx512_code_table(int type)
{
    const int8_t *values = type == QT_MXFP4 ? kern_mxfp4_values : kern_iq4_values;
    return _mm512_add_epi8(avx512_bcast16(values), _mm512_set1_epi8((char)kern_code_offset(type)));
}

// The float scales of the 16 rows of a block of 32.
KERN_INLINE __m512 avx512_scales_b32(int type, const uint8_t *block)
{
    if (type != QT_MXFP4)
        return avx512_load_f16(block);
    // Half of 2^(e-127): exponent field e-1, or for e = 0 and 1 a subnormal.
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)block));
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __m512i tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(
        _mm512_mask_mov_epi32(normal, _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2)), tiny));
}

KERN_INLINE __m512i avx512_table_b32(int type)
{
    return type == QT_IQ4_NL || type == QT_MXFP4 ? avx512_code_table(type) : _mm512_setzero_si512();
}

// Codes of columns 4g..4g+3 of a block of 32.
KERN_INLINE __m512i avx512_codes_b32(int type, const uint8_t *block, int g, __m512i table)
{
    const uint8_t *low = block + kern_at_low(type);
    if (type == QT_Q8_0)
        return avx512_load(low + 64 * g);
    __m512i x = avx512_load(low + 64 * (g & 3));
    x = g < 4 ? avx512_low4(x) : avx512_high4(x);
    if (type == QT_Q5_0 || type == QT_Q5_1)
        return avx512_add_bit(x, block + kern_at_masks(type), g, 16);
    if (type == QT_IQ4_NL || type == QT_MXFP4)
        return _mm512_shuffle_epi8(table, x);
    return x;
}

// Shift counts must be literals where the compiler does not optimise, hence the switch.
KERN_INLINE __m512i avx512_shift16(__m512i x, int right)
{
    switch (right) {
    case -4: return _mm512_slli_epi16(x, 4);
    case -2: return _mm512_slli_epi16(x, 2);
    case 2: return _mm512_srli_epi16(x, 2);
    case 4: return _mm512_srli_epi16(x, 4);
    case 6: return _mm512_srli_epi16(x, 6);
    default: return x;
    }
}

// Pieces of 32 columns that share loads, and so are worked on together.
KERN_INLINE int avx512_chunk(int type)
{
    return type == QT_IQ4_XS ? 1 : type == QT_Q4_K || type == QT_Q5_K ? 2 : 4;
}

// Codes of columns 4g..4g+3 of piece chunk*avx512_chunk() + p of a super-block; p and g compile-time
// constants.
KERN_INLINE __m512i avx512_codes_b256(int type, const uint8_t *block, int chunk, int p, int g, __m512i table)
{
    const uint8_t *low = block + kern_at_low(type);
    const uint8_t *masks = block + kern_at_masks(type);
    if (type == QT_IQ4_XS) {
        __m512i x = avx512_load(low + 256 * chunk + 64 * (g & 3));
        return _mm512_shuffle_epi8(table, g < 4 ? avx512_low4(x) : avx512_high4(x));
    }
    if (type == QT_Q4_K || type == QT_Q5_K) {
        __m512i x = avx512_load(low + 512 * chunk + 64 * g);
        x = p == 0 ? avx512_low4(x) : avx512_high4(x);
        return type == QT_Q5_K ? avx512_add_bit(x, masks, 16 * chunk + 8 * p + g, 16) : x;
    }
    if (type == QT_Q6_K) {
        __m512i x = avx512_load(low + 1024 * chunk + 512 * (p & 1) + 64 * g);
        __m512i h = avx512_load(block + kern_at_high(type) + 512 * chunk + 64 * g);
        x = p < 2 ? avx512_low4(x) : avx512_high4(x);
        return avx512_or_masked(x, avx512_shift16(h, 2 * p - 4), 0x30);
    }
    __m512i x = avx512_load(low + 512 * chunk + 64 * g);
    x = _mm512_and_si512(avx512_shift16(x, 2 * p), _mm512_set1_epi8(3));
    return type == QT_Q3_K ? avx512_add_bit(x, masks, 32 * chunk + 8 * p + g, 4) : x;
}

// Sub-scales (and mins) of a super-block, a byte each: [sub][16 rows]. Scales are signed, mins are not.
typedef struct avx512_scales {
    _Alignas(64) int8_t sc[16 * KERN_PANEL];
    _Alignas(64) uint8_t mn[16 * KERN_PANEL];
} avx512_scales;

KERN_INLINE void avx512_put(void *p, __m512i x)
{
    _mm512_storeu_si512(p, x);
}

KERN_INLINE void avx512_scales_q45(const uint8_t *abc, avx512_scales *s)
{
    const __m512i low6 = _mm512_set1_epi8(63);
    __m512i a = avx512_load(abc), b = avx512_load(abc + 64), c = avx512_load(abc + 128);
    avx512_put(s->sc, _mm512_and_si512(a, low6));
    avx512_put(s->mn, _mm512_and_si512(b, low6));
    avx512_put(s->sc + 64, avx512_or_masked(avx512_low4(c), avx512_shift16(a, 2), 0x30));
    avx512_put(s->mn + 64, avx512_or_masked(avx512_high4(c), avx512_shift16(b, 2), 0x30));
}

KERN_INLINE void avx512_scales_q3(const uint8_t *abc, avx512_scales *s)
{
    const __m512i off = _mm512_set1_epi8(32);
    __m512i a = avx512_load(abc), b = avx512_load(abc + 64), c = avx512_load(abc + 128);
    __m512i s0 = avx512_or_masked(avx512_low4(a), avx512_shift16(c, -4), 0x30);
    __m512i s1 = avx512_or_masked(avx512_low4(b), avx512_shift16(c, -2), 0x30);
    __m512i s2 = avx512_or_masked(avx512_high4(a), c, 0x30);
    __m512i s3 = avx512_or_masked(avx512_high4(b), avx512_shift16(c, 2), 0x30);
    avx512_put(s->sc, _mm512_sub_epi8(s0, off));
    avx512_put(s->sc + 64, _mm512_sub_epi8(s1, off));
    avx512_put(s->sc + 128, _mm512_sub_epi8(s2, off));
    avx512_put(s->sc + 192, _mm512_sub_epi8(s3, off));
}

// scales_l[i]: low bits of sub 2i in the low nibble, of 2i+1 in the high one; scales_h: two bits a sub.
KERN_INLINE void avx512_scales_iq4xs(const uint8_t *scales, avx512_scales *s)
{
    const __m256i h = _mm256_loadu_si256((const __m256i *)scales);
    for (int i = 0; i < 4; i++) {
        __m128i l = _mm_loadu_si128((const __m128i *)(scales + 32 + 16 * i));
        __m256i h4 = _mm256_srl_epi16(h, _mm_cvtsi32_si128(4 * i));
        __m128i h0 = _mm256_cvtepi16_epi8(_mm256_and_si256(h4, _mm256_set1_epi16(3)));
        __m128i h1 = _mm256_cvtepi16_epi8(_mm256_and_si256(_mm256_srli_epi16(h4, 2), _mm256_set1_epi16(3)));
        __m128i l0 = _mm_and_si128(l, _mm_set1_epi8(15));
        __m128i l1 = _mm_and_si128(_mm_srli_epi16(l, 4), _mm_set1_epi8(15));
        l0 = _mm_or_si128(l0, _mm_slli_epi16(h0, 4));
        l1 = _mm_or_si128(l1, _mm_slli_epi16(h1, 4));
        _mm_store_si128((__m128i *)(s->sc + 32 * i), _mm_sub_epi8(l0, _mm_set1_epi8(32)));
        _mm_store_si128((__m128i *)(s->sc + 32 * i + 16), _mm_sub_epi8(l1, _mm_set1_epi8(32)));
    }
}

KERN_INLINE void avx512_take_scales(int type, const uint8_t *block, avx512_scales *s)
{
    const uint8_t *p = block + kern_at_scales(type);
    switch (type) {
    case QT_Q4_K:
    case QT_Q5_K: avx512_scales_q45(p, s); break;
    case QT_Q3_K: avx512_scales_q3(p, s); break;
    case QT_IQ4_XS: avx512_scales_iq4xs(p, s); break;
    case QT_Q2_K:
        for (int i = 0; i < 256; i += 64) {
            avx512_put(s->sc + i, avx512_low4(avx512_load(p + i)));
            avx512_put(s->mn + i, avx512_high4(avx512_load(p + i)));
        }
        break;
    default:  // Q6_K
        for (int i = 0; i < 256; i += 64)
            avx512_put(s->sc + i, avx512_load(p + i));
        break;
    }
}

// Sub-scales of one sub-block, widened.
KERN_INLINE __m512i avx512_scale32(const avx512_scales *s, int sub)
{
    return _mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(s->sc + 16 * sub)));
}

// Mins of columns 32i..32i+31 as pairs of 16 bits, one for each sum of 16 activations.
KERN_INLINE __m512i avx512_min_pair(int type, const avx512_scales *s, int i)
{
    if (kern_sub_columns(type) == 16) {
        __m256i both = _mm256_load_si256((const __m256i *)(s->mn + 32 * i));
        __m512i lo = _mm512_cvtepu8_epi32(_mm256_castsi256_si128(both));
        __m512i hi = _mm512_cvtepu8_epi32(_mm256_extracti128_si256(both, 1));
        return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
    }
    __m512i m = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(s->mn + 16 * i)));
    return _mm512_or_si512(m, _mm512_slli_epi32(m, 16));
}

#endif

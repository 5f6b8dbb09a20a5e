// Everything the NEON kernels know about single weight types: how to get the codes of 4 columns x 4 rows out of a
// packed block as signed bytes for sdot, and its scales. `type` is a constant where these are called.
#ifndef KERN_ARM_UNPACK_NEON_H
#define KERN_ARM_UNPACK_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kern/types.h"

// Loops over tiles have constant bounds and must vanish, or the tiles would live in memory.
#if defined(__clang__)
#define KERN_UNROLL _Pragma("unroll")
#else
#define KERN_UNROLL _Pragma("GCC unroll 16")
#endif

// What is still to be subtracted from the codes as the functions below give them: values from a table and those of 8 bits
// come signed.
KERN_INLINE int kern_offset_neon(int type)
{
    return kern_values(type) || type == QT_Q8_0 ? 0 : kern_code_offset(type);
}

// Codes of the type from what is stored of them, up to 4 bits.
KERN_INLINE int8x16_t kern_looked_up_neon(int type, uint8x16_t bits)
{
    return kern_values(type) ? vqtbl1q_s8(vld1q_s8(kern_values(type)), bits) : vreinterpretq_s8_u8(bits);
}

// Bits 0..15 at p to bytes 0..15: `value` where the bit is set.
KERN_INLINE uint8x16_t kern_bits_neon(const uint8_t *p, int value)
{
    static const uint8_t select[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t spread = vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1]));
    return vandq_u8(vtstq_u8(spread, vld1q_u8(select)), vdupq_n_u8((uint8_t)value));
}

KERN_INLINE uint8x16_t kern_nibbles_neon(const uint8_t *p, bool high)
{
    uint8x16_t x = vld1q_u8(p);
    return high ? vshrq_n_u8(x, 4) : vandq_u8(x, vdupq_n_u8(15));
}

// Bits 2p, 2p+1 of each byte.
KERN_INLINE uint8x16_t kern_two_bits_neon(const uint8_t *src, int p)
{
    return vandq_u8(vshlq_u8(vld1q_u8(src), vdupq_n_s8((int8_t)(-2 * p))), vdupq_n_u8(3));
}

// The codes of rows 4r..4r+3 (r = 0..3), columns 4g..4g+3.
KERN_INLINE int8x16_t kern_codes_b32_neon(int type, const uint8_t *p, int g, int r)
{
    const uint8_t *low = p + kern_at_low(type) + 16 * r;
    if (type == QT_Q8_0)
        return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(low + 64 * g), vdupq_n_u8(0x80)));
    uint8x16_t u = kern_nibbles_neon(low + 64 * (g % 4), g >= 4);
    if (type == QT_Q5_0 || type == QT_Q5_1)
        u = vorrq_u8(u, kern_bits_neon(p + kern_at_masks(type) + 8 * g + 2 * r, 16));
    return kern_looked_up_neon(type, u);
}

// The same of columns 32s+4g..32s+4g+3.
KERN_INLINE int8x16_t kern_codes_b256_neon(int type, const uint8_t *p, int s, int g, int r)
{
    const uint8_t *low = p + kern_at_low(type) + 16 * r,
                  *masks = p + kern_at_masks(type) + 8 * (8 * s + g) + 2 * r;
    int half = s / 4, part = s % 4;
    uint8x16_t u;
    switch (kern_layout(type)) {
    case QT_Q4_K:
    case QT_Q5_K:
        u = kern_nibbles_neon(low + 64 * (8 * (s / 2) + g), s % 2);
        if (type == QT_Q5_K)
            u = vorrq_u8(u, kern_bits_neon(masks, 16));
        break;
    case QT_Q6_K:
        u = kern_two_bits_neon(p + kern_at_high(type) + 16 * r + 64 * (8 * half + g), part);
        u = vorrq_u8(kern_nibbles_neon(low + 64 * (16 * half + 8 * (part % 2) + g), part >= 2),
                     vshlq_n_u8(u, 4));
        break;
    case QT_IQ4_XS: u = kern_nibbles_neon(low + 64 * (4 * s + g % 4), g >= 4); break;
    default:
        u = kern_two_bits_neon(low + 64 * (8 * half + g), part);
        if (kern_layout(type) == QT_Q3_K)
            u = vorrq_u8(u, kern_bits_neon(masks, 4));
        break;
    }
    return kern_looked_up_neon(type, u);
}

// Scales of sub-block i, one signed byte a row.
KERN_INLINE int8x16_t kern_scales_neon(int type, const uint8_t *p, int i)
{
    const uint8_t *s = p + kern_at_scales(type);
    const uint8x16_t three = vdupq_n_u8(3);
    switch (kern_layout(type)) {
    case QT_Q2_K: return vreinterpretq_s8_u8(kern_nibbles_neon(s + 16 * i, false));
    case QT_Q6_K: return vreinterpretq_s8_u8(vld1q_u8(s + 16 * i));
    case QT_Q3_K: {
        uint8x16_t a = kern_nibbles_neon(s + 16 * (i % 8), i >= 8);
        uint8x16_t b = kern_two_bits_neon(s + 16 * (8 + i % 4), i / 4);
        return vsubq_s8(vreinterpretq_s8_u8(vorrq_u8(a, vshlq_n_u8(b, 4))), vdupq_n_s8(32));
    }
    case QT_IQ4_XS: {
        // u16 scales_h[16] apart into its low and high bytes.
        uint8x16x2_t high = vld2q_u8(s);
        uint8x16_t b = vshlq_u8(high.val[i / 4], vdupq_n_s8((int8_t)(-2 * (i % 4))));
        uint8x16_t a = kern_nibbles_neon(s + 32 + 16 * (i / 2), i % 2);
        a = vorrq_u8(a, vshlq_n_u8(vandq_u8(b, three), 4));
        return vsubq_s8(vreinterpretq_s8_u8(a), vdupq_n_s8(32));
    }
    default: {
        if (i < 4)
            return vreinterpretq_s8_u8(vandq_u8(vld1q_u8(s + 16 * i), vdupq_n_u8(63)));
        uint8x16_t top = vshlq_n_u8(vshrq_n_u8(vld1q_u8(s + 16 * (i - 4)), 6), 4);
        return vreinterpretq_s8_u8(vorrq_u8(kern_nibbles_neon(s + 16 * (i + 4), false), top));
    }
    }
}

KERN_INLINE int8x16_t kern_mins_neon(int type, const uint8_t *p, int i)
{
    const uint8_t *s = p + kern_at_scales(type);
    if (type == QT_Q2_K)
        return vreinterpretq_s8_u8(kern_nibbles_neon(s + 16 * i, true));
    if (i < 4)
        return vreinterpretq_s8_u8(vandq_u8(vld1q_u8(s + 16 * (i + 4)), vdupq_n_u8(63)));
    uint8x16_t top = vshlq_n_u8(vshrq_n_u8(vld1q_u8(s + 16 * i), 6), 4);
    return vreinterpretq_s8_u8(vorrq_u8(kern_nibbles_neon(s + 16 * (i + 4), true), top));
}

KERN_INLINE float32x4_t kern_f16x4_neon(const void *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

// The block scales of rows 4r..4r+3 as floats; m: the mins, or zero.
KERN_INLINE float32x4_t kern_d_neon(int type, const uint8_t *p, int r)
{
    if (type != QT_MXFP4) {
        float32x4_t d = kern_f16x4_neon(p + 8 * r);
        return kern_factor(type) == 1.0f ? d : vmulq_n_f32(d, kern_factor(type));
    }
    uint32_t bits[4];  // half of 2^(e - 127): the exponent field is e - 1, and a subnormal for e < 2
    for (int i = 0; i < 4; i++) {
        uint32_t e = p[4 * r + i];
        bits[i] = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    }
    return vreinterpretq_f32_u32(vld1q_u32(bits));
}

KERN_INLINE float32x4_t kern_m_neon(int type, const uint8_t *p, int r)
{
    return kern_has_min(type) ? kern_f16x4_neon(p + 32 + 8 * r) : vdupq_n_f32(0.0f);
}

// dot += w times group `lane` of q's four groups of 4 columns; the instruction wants the lane as a literal.
KERN_INLINE int32x4_t kern_dot_neon(int32x4_t dot, int8x16_t w, int8x16_t q, int lane)
{
    switch (lane) {
    case 0: return vdotq_laneq_s32(dot, w, q, 0);
    case 1: return vdotq_laneq_s32(dot, w, q, 1);
    case 2: return vdotq_laneq_s32(dot, w, q, 2);
    default: return vdotq_laneq_s32(dot, w, q, 3);
    }
}

#endif

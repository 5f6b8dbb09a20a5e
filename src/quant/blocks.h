// What the files of this room share: little-endian loads and stores, the block sizes, rounding that is
// defined for every float, and the codecs that info.c gathers into its table.
//
// Blocks are read byte by byte, so a row may start at any address.
#ifndef QUANT_BLOCKS_H
#define QUANT_BLOCKS_H

#include <math.h>
#include <stdint.h>

#include "quant/quant.h"

enum {
    QUANT_SMALL = 32,   // values in a block of the older formats
    QUANT_SUPER = 256,  // values in a super-block of the K, IQ and ternary formats
};

static inline uint16_t quant_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t quant_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float quant_load_f16(const uint8_t *p)
{
    return quant_f16_to_f32(quant_load_u16(p));
}

static inline void quant_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void quant_store_u32(uint8_t *p, uint32_t v)
{
    quant_store_u16(p, (uint16_t)v);
    quant_store_u16(p + 2, (uint16_t)(v >> 16));
}

// Stores a scale and gives back what a decoder will read. A scale past the range of F16 saturates: a block of
// huge values comes back clipped, never as infinities times zero.
static inline float quant_store_scale(uint8_t *p, float v)
{
    v = v > 65504.0f ? 65504.0f : v < -65504.0f ? -65504.0f : v;
    quant_store_u16(p, quant_f32_to_f16(v));
    return quant_load_f16(p);
}

// The nearest integer in lo..hi; not a number gives lo.
static inline int quant_round(float v, int lo, int hi)
{
    if (!(v > (float)lo))
        return lo;
    return v < (float)hi ? (int)floorf(v + 0.5f) : hi;
}

static inline float quant_inverse(float v)
{
    return v != 0 ? 1 / v : 0;
}

// The value of largest magnitude, with its sign.
static inline float quant_extreme(const float *x, int n)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(top))
            top = x[i];
    return top;
}

quant_decode_fn quant_float_f32_decode, quant_float_f16_decode, quant_float_bf16_decode,
    quant_float_f64_decode, quant_float_i8_decode, quant_float_i16_decode, quant_float_i32_decode,
    quant_float_i64_decode;
quant_encode_fn quant_float_f32_encode, quant_float_f16_encode, quant_float_bf16_encode;

quant_decode_fn quant_legacy_q4_0_decode, quant_legacy_q4_1_decode, quant_legacy_q5_0_decode,
    quant_legacy_q5_1_decode, quant_legacy_q8_0_decode, quant_legacy_q8_1_decode;
quant_encode_fn quant_legacy_q8_0_encode, quant_legacy_q8_1_encode;
quant_fit_fn quant_legacy_q4_0_fit, quant_legacy_q4_1_fit, quant_legacy_q5_0_fit, quant_legacy_q5_1_fit;

quant_decode_fn quant_kquants_q2_k_decode, quant_kquants_q3_k_decode, quant_kquants_q4_k_decode,
    quant_kquants_q5_k_decode, quant_kquants_q6_k_decode, quant_kquants_q8_k_decode;
quant_encode_fn quant_kquants_q8_k_encode;
quant_fit_fn quant_kquants_q2_k_fit, quant_kquants_q3_k_fit, quant_kquants_q4_k_fit, quant_kquants_q5_k_fit,
    quant_kquants_q6_k_fit;

quant_levels_fn quant_iquants_iq1_s_levels, quant_iquants_iq1_m_levels, quant_iquants_iq2_xxs_levels,
    quant_iquants_iq2_xs_levels, quant_iquants_iq2_s_levels, quant_iquants_iq3_xxs_levels,
    quant_iquants_iq3_s_levels;
quant_fit_fn quant_iquants_encode_iq1_s_fit, quant_iquants_encode_iq1_m_fit, quant_iquants_encode_iq2_xxs_fit,
    quant_iquants_encode_iq2_xs_fit, quant_iquants_encode_iq2_s_fit, quant_iquants_encode_iq3_xxs_fit,
    quant_iquants_encode_iq3_s_fit;

quant_decode_fn quant_fp4_iq4_nl_decode, quant_fp4_iq4_xs_decode, quant_fp4_mxfp4_decode;
quant_fit_fn quant_fp4_iq4_nl_fit, quant_fp4_iq4_xs_fit, quant_fp4_mxfp4_fit;

quant_levels_fn quant_ternary_tq1_0_levels, quant_ternary_tq2_0_levels;

#endif

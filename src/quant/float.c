// Plain numbers: half and brain floats one by one and by rows, integers and doubles read as floats.
#include <string.h>

#include "quant/blocks.h"

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float quant_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, frac = h & 1023;
    if (exp == 0)  // a multiple of 2^-24, exact in a float
        return float_of(sign | bits_of((float)frac * 0x1p-24f));
    if (exp == 31)
        return float_of(sign | 0x7f800000u | frac << 13);
    return float_of(sign | (exp + 112) << 23 | frac << 13);
}

uint16_t quant_f32_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, mag = u & 0x7fffffffu;
    if (mag > 0x7f800000u)  // not a number: made quiet, so that dropping bits cannot turn it into infinity
        return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 1023));
    if (mag >= 0x477ff000u)  // from 65520 on the nearest is infinity
        return (uint16_t)(sign | 0x7c00);
    if (mag < 0x38800000u)  // below 2^-14: next to 0.5 a float steps by 2^-24, as F16 does down here
        return (uint16_t)(sign | (bits_of(float_of(mag) + 0.5f) - 0x3f000000u));
    uint32_t rebased = mag - (112u << 23);
    return (uint16_t)(sign | (rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
}

float quant_bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t quant_f32_to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 64);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void quant_float_f32_decode(const void *src, float *dst, size_t n)
{
    memcpy(dst, src, n * sizeof *dst);
}

void quant_float_f32_encode(const float *src, void *dst, size_t n)
{
    memcpy(dst, src, n * sizeof *src);
}

void quant_float_f16_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = quant_load_f16(p + 2 * i);
}

void quant_float_f16_encode(const float *src, void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++)
        quant_store_u16(p + 2 * i, quant_f32_to_f16(src[i]));
}

void quant_float_bf16_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = quant_bf16_to_f32(quant_load_u16(p + 2 * i));
}

void quant_float_bf16_encode(const float *src, void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++)
        quant_store_u16(p + 2 * i, quant_f32_to_bf16(src[i]));
}

void quant_float_f64_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, p + 8 * i, sizeof v);
        dst[i] = (float)v;
    }
}

void quant_float_i8_decode(const void *src, float *dst, size_t n)
{
    const int8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = p[i];
}

void quant_float_i16_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = (int16_t)quant_load_u16(p + 2 * i);
}

void quant_float_i32_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)(int32_t)quant_load_u32(p + 4 * i);
}

void quant_float_i64_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)(int64_t)(quant_load_u32(p + 8 * i) | (uint64_t)quant_load_u32(p + 8 * i + 4) << 32);
}

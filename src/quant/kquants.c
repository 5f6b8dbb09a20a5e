// Decoding of the K formats: super-blocks of 256 values cut into groups of 16 or 32; each group has a small
// integer scale (and in Q2_K, Q4_K, Q5_K a small integer offset), the super-block one or two F16 factors:
//   Q3_K Q6_K        x = d * scale * (code - middle)
//   Q2_K Q4_K Q5_K   x = d * scale * code - dmin * offset
// Codes are spread so that one byte holds values far apart (32 or 64 places), which suits vector loads.
#include <string.h>

#include "quant/blocks.h"

// scales[16] (scale low half, offset high half), codes[64] (2 bits), d, dmin
void quant_kquants_q2_k_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 84) {
        float d = quant_load_f16(b + 80), dmin = quant_load_f16(b + 82);
        for (int g = 0; g < 16; g++) {  // group g lies in half g/8, bit pair g/2 % 4
            const uint8_t *codes = b + 16 + g / 8 * 32 + g % 2 * 16;
            float scale = d * (float)(b[g] & 15), offset = dmin * (float)(b[g] >> 4);
            for (int i = 0; i < 16; i++)
                dst[g * 16 + i] = scale * (float)(codes[i] >> g / 2 % 4 * 2 & 3) - offset;
        }
    }
}

// high bits[32], codes[64] (low 2 bits), scales[12] (6 bits each), d
void quant_kquants_q3_k_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 110) {
        const uint8_t *sc = b + 96;
        float d = quant_load_f16(b + 108);
        for (int g = 0; g < 16; g++) {
            // Low four bits in sc[0..8), halves first; high two bits in sc[8..12).
            int low = sc[g % 8] >> g / 8 * 4 & 15, high = sc[8 + g % 4] >> g / 4 * 2 & 3;
            float scale = d * (float)((low | high << 4) - 32);
            const uint8_t *codes = b + 32 + g / 8 * 32 + g % 2 * 16, *top = b + g % 2 * 16;
            for (int i = 0; i < 16; i++) {
                int q = (codes[i] >> g / 2 % 4 * 2 & 3) | (top[i] >> g / 2 & 1) << 2;
                dst[g * 16 + i] = scale * (float)(q - 4);
            }
        }
    }
}

// The 12 bytes that hold eight 6-bit scales and eight 6-bit offsets (Q4_K, Q5_K): bytes 0..3 and 4..7 have
// scales and offsets 0..3 in their low six bits; 8..11 have the low halves of scales and offsets 4..7, whose
// high two bits sit on top of the first eight bytes.
static void unpack_scale(const uint8_t *p, int g, int *scale, int *offset)
{
    if (g < 4) {
        *scale = p[g] & 63;
        *offset = p[g + 4] & 63;
    } else {
        *scale = (p[g + 4] & 15) | p[g - 4] >> 6 << 4;
        *offset = p[g + 4] >> 4 | p[g] >> 6 << 4;
    }
}

// d, dmin, scales[12], codes[128]
void quant_kquants_q4_k_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 144) {
        float d = quant_load_f16(b), dmin = quant_load_f16(b + 2);
        for (int g = 0; g < 8; g++) {
            int scale, offset;
            unpack_scale(b + 4, g, &scale, &offset);
            const uint8_t *codes = b + 16 + g / 2 * 32;
            float dg = d * (float)scale, mg = dmin * (float)offset;
            for (int i = 0; i < 32; i++)
                dst[g * 32 + i] = dg * (float)(codes[i] >> g % 2 * 4 & 15) - mg;
        }
    }
}

// d, dmin, scales[12], fifth bits[32], codes[128]
void quant_kquants_q5_k_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 176) {
        float d = quant_load_f16(b), dmin = quant_load_f16(b + 2);
        for (int g = 0; g < 8; g++) {
            int scale, offset;
            unpack_scale(b + 4, g, &scale, &offset);
            const uint8_t *codes = b + 48 + g / 2 * 32, *fifth = b + 16;
            float dg = d * (float)scale, mg = dmin * (float)offset;
            for (int i = 0; i < 32; i++) {
                int q = (codes[i] >> g % 2 * 4 & 15) | (fifth[i] >> g & 1) << 4;
                dst[g * 32 + i] = dg * (float)q - mg;
            }
        }
    }
}

// low 4 bits[128], high 2 bits[64], scales[16] (signed), d
void quant_kquants_q6_k_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 210) {
        float d = quant_load_f16(b + 208);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int half = j / 128, run = j / 32 % 4, i = j % 32;  // run r of a half: low byte 32 * (r % 2) + i
            int low = b[half * 64 + run % 2 * 32 + i] >> run / 2 * 4 & 15;
            int high = b[128 + half * 32 + i] >> run * 2 & 3;
            dst[j] = d * (float)(int8_t)b[192 + j / 16] * (float)((low | high << 4) - 32);
        }
    }
}

// d (F32), codes[256] (signed), then 16 sums of 16 codes each (int16) for kernels
void quant_kquants_q8_k_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 292) {
        float d;
        memcpy(&d, b, sizeof d);
        for (int i = 0; i < QUANT_SUPER; i++)
            dst[i] = d * (float)(int8_t)b[4 + i];
    }
}

// Ternary formats: 256 values of -1, 0 or 1 times one F16 scale.
#include "quant/blocks.h"

// TQ1_0 packs five digits a byte: the byte b stands for the fraction b/256, and its k-th digit is the whole
// part of 3 * frac(b/256 * 3^k). Digits of one byte lie `stride` values apart.
static float *unpack_trits(const uint8_t *p, int stride, int digits, float d, float *out)
{
    static const uint8_t power[] = {1, 3, 9, 27, 81};
    for (int k = 0; k < digits; k++)
        for (int i = 0; i < stride; i++) {
            int frac = p[i] * power[k] & 255;
            *out++ = d * (float)((frac * 3 >> 8) - 1);
        }
    return out;
}

// 32 bytes of five digits, 16 bytes of five, 4 bytes of four, d
void quant_ternary_tq1_0_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; b += 54) {
        float d = quant_load_f16(b + 52);
        dst = unpack_trits(b, 32, 5, d, dst);
        dst = unpack_trits(b + 32, 16, 5, d, dst);
        dst = unpack_trits(b + 48, 4, 4, d, dst);
    }
}

// codes[64] (2 bits, 32 values apart), d
void quant_ternary_tq2_0_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 66) {
        float d = quant_load_f16(b + 64);
        for (int j = 0; j < QUANT_SUPER; j++)
            dst[j] = d * (float)((b[j / 128 * 32 + j % 32] >> j / 32 % 4 * 2 & 3) - 1);
    }
}

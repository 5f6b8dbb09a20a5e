// Ternary formats: 256 values of -1, 0 or 1 times one F16 scale.
#include <string.h>

#include "quant/blocks.h"

// TQ1_0 packs five digits a byte: the byte b stands for the fraction b/256, and its k-th digit is the whole
// part of 3 * frac(b/256 * 3^k). Digits of one byte lie `stride` values apart.
static int8_t *unpack_trits(const uint8_t *p, int stride, int digits, int8_t *out)
{
    static const uint8_t power[] = {1, 3, 9, 27, 81};
    for (int k = 0; k < digits; k++)
        for (int i = 0; i < stride; i++) {
            int frac = p[i] * power[k] & 255;
            *out++ = (int8_t)((frac * 3 >> 8) - 1);
        }
    return out;
}

// 32 bytes of five digits, 16 bytes of five, 4 bytes of four, d
void quant_ternary_tq1_0_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b + 52);
    memset(out->scale, 1, sizeof out->scale);
    int8_t *next = unpack_trits(b, 32, 5, out->level);
    next = unpack_trits(b + 32, 16, 5, next);
    unpack_trits(b + 48, 4, 4, next);
}

// codes[64] (2 bits, 32 values apart), d
void quant_ternary_tq2_0_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b + 64);
    memset(out->scale, 1, sizeof out->scale);
    for (int j = 0; j < QUANT_SUPER; j++)
        out->level[j] = (int8_t)((b[j / 128 * 32 + j % 32] >> j / 32 % 4 * 2 & 3) - 1);
}

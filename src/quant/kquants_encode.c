// Encoding of the K formats: groups of 16 or 32 values with small integer scales (and offsets) of factors shared by the
// super-block. fit.h finds them; here the codes are rounded once more against them and laid out.
#include <string.h>

#include "quant/fit.h"

// The next super-block of a row: its importance goes along with it.
static void load(quant_fit_block *f, const float *src, const float **importance, enum quant_fit_care care)
{
    quant_fit_load(f, src, *importance, QUANT_SUPER, care);
    if (*importance)
        *importance += QUANT_SUPER;
}

void quant_kquants_q2_k_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst, scale[16], offset[16];
    quant_fit_block f;
    quant_affine stored[16];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 84) {
        load(&f, src, &importance, QUANT_MAGNITUDE);
        quant_fit_affines(&f, 16, 3, 15, b + 80, b + 82, scale, offset, stored);
        memset(b + 16, 0, 64);
        for (int g = 0; g < 16; g++)
            b[g] = (uint8_t)(scale[g] | offset[g] << 4);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_fit_affine_code(f.x[j], stored[j / 16], 3);
            b[16 + j / 128 * 32 + j % 32] |= (uint8_t)(code << j / 32 % 4 * 2);
        }
    }
}

void quant_kquants_q3_k_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const quant_grid codes = {-4, 3, NULL};
    uint8_t *b = dst;
    int8_t scale[16];
    float stored[16];
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 110) {
        load(&f, src, &importance, QUANT_MAGNITUDE);
        quant_fit_scales(&f, &codes, 16, 32, b + 108, scale, stored);
        memset(b, 0, 108);
        for (int g = 0; g < 16; g++) {
            int v = scale[g] + 32;
            b[96 + g % 8] |= (uint8_t)((v & 15) << g / 8 * 4);
            b[104 + g % 4] |= (uint8_t)(v >> 4 << g / 4 * 2);
        }
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_round(f.x[j] * quant_inverse(stored[j / 16]), -4, 3) + 4;
            b[32 + j / 128 * 32 + j % 32] |= (uint8_t)((code & 3) << j / 32 % 4 * 2);
            b[j % 32] |= (uint8_t)(code >> 2 << j / 32);
        }
    }
}

// The inverse of unpack_scale in kquants.c: eight 6-bit scales and offsets into 12 bytes.
static void pack_scales(const uint8_t scale[8], const uint8_t offset[8], uint8_t p[12])
{
    for (int g = 0; g < 4; g++) {
        p[g] = (uint8_t)(scale[g] | scale[g + 4] >> 4 << 6);
        p[g + 4] = (uint8_t)(offset[g] | offset[g + 4] >> 4 << 6);
        p[g + 8] = (uint8_t)((scale[g + 4] & 15) | (offset[g + 4] & 15) << 4);
    }
}

static void encode_scales(const quant_fit_block *f, int top, uint8_t *b, quant_affine stored[8])
{
    uint8_t scale[8], offset[8];
    quant_fit_affines(f, 32, top, 63, b, b + 2, scale, offset, stored);
    pack_scales(scale, offset, b + 4);
}

void quant_kquants_q4_k_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst;
    quant_fit_block f;
    quant_affine stored[8];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 144) {
        load(&f, src, &importance, QUANT_MAGNITUDE);
        encode_scales(&f, 15, b, stored);
        memset(b + 16, 0, 128);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_fit_affine_code(f.x[j], stored[j / 32], 15);
            b[16 + j / 64 * 32 + j % 32] |= (uint8_t)(code << j / 32 % 2 * 4);
        }
    }
}

void quant_kquants_q5_k_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst;
    quant_fit_block f;
    quant_affine stored[8];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 176) {
        load(&f, src, &importance, QUANT_EVEN);
        encode_scales(&f, 31, b, stored);
        memset(b + 16, 0, 160);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_fit_affine_code(f.x[j], stored[j / 32], 31);
            b[48 + j / 64 * 32 + j % 32] |= (uint8_t)((code & 15) << j / 32 % 2 * 4);
            b[16 + j % 32] |= (uint8_t)(code >> 4 << j / 32);
        }
    }
}

void quant_kquants_q6_k_fit(const float *src, void *dst, size_t n, const float *importance)
{
    static const quant_grid codes = {-32, 31, NULL};
    uint8_t *b = dst;
    int8_t scale[16];
    float stored[16];
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 210) {
        load(&f, src, &importance, QUANT_EVEN);
        quant_fit_scales(&f, &codes, 16, 128, b + 208, scale, stored);
        memset(b, 0, 192);
        memcpy(b + 192, scale, 16);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_round(f.x[j] * quant_inverse(stored[j / 16]), -32, 31) + 32;
            int half = j / 128, run = j / 32 % 4, i = j % 32;
            b[half * 64 + run % 2 * 32 + i] |= (uint8_t)((code & 15) << run / 2 * 4);
            b[128 + half * 32 + i] |= (uint8_t)(code >> 4 << run * 2);
        }
    }
}

// The scale stays a float; the sums of each 16 codes follow the codes.
void quant_kquants_q8_k_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 292) {
        float d = fabsf(quant_extreme(src, QUANT_SUPER)) / 127, inv = quant_inverse(d);
        memcpy(b, &d, sizeof d);
        for (int g = 0; g < 16; g++) {
            int sum = 0;
            for (int i = g * 16; i < g * 16 + 16; i++) {
                int code = quant_round(src[i] * inv, -127, 127);
                b[4 + i] = (uint8_t)code;
                sum += code;
            }
            quant_store_u16(b + 260 + 2 * g, (uint16_t)sum);
        }
    }
}

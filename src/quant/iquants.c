// Decoding of IQ1, IQ2 and IQ3: values come in groups of 8 or 4 taken from a codebook of magnitudes (IQ1: of
// -1, 0, 1), with signs, small scales a group of 16 or 32, and one F16 factor a super-block of 256.
#include "quant/blocks.h"
#include "quant/iq_tables.h"

static const uint8_t levels2[4] = {8, 25, 43, 0};
static const uint8_t levels3xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};

// Seven stored sign bits stand for eight: the number of minus signs is always even.
static uint8_t even_signs(uint32_t seven)
{
    uint32_t odd = seven ^ seven >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return (uint8_t)((seven & 127) | (odd & 1) << 7);
}

static float signed_by(uint32_t signs, int i, float v)
{
    return signs >> i & 1 ? -v : v;
}

// Eight values of one IQ2 codebook entry.
static void emit2(uint16_t entry, uint8_t signs, float scale, float *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = signed_by(signs, i, scale * (float)levels2[entry >> 2 * i & 3]);
}

// d, then for each 32 values: four codebook indices[4], and a word of four 7-bit signs and a 4-bit scale
void quant_iquants_iq2_xxs_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 66) {
        float d = quant_load_f16(b);
        for (int g = 0; g < 8; g++) {
            const uint8_t *p = b + 2 + 8 * g;
            uint32_t word = quant_load_u32(p + 4);
            float scale = d * (0.5f + (float)(word >> 28)) * 0.25f;
            for (int k = 0; k < 4; k++)
                emit2(quant_iq_tables_2xxs[p[k]], even_signs(word >> 7 * k & 127), scale,
                      dst + 32 * g + 8 * k);
        }
    }
}

// d, 32 words (9-bit index, 7-bit signs), scales[8] (4 bits for each 16 values)
void quant_iquants_iq2_xs_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 74) {
        float d = quant_load_f16(b);
        for (int k = 0; k < 32; k++) {
            uint32_t word = quant_load_u16(b + 2 + 2 * k);
            float scale = d * (0.5f + (float)(b[66 + k / 4] >> k / 2 % 2 * 4 & 15)) * 0.25f;
            emit2(quant_iq_tables_2xs[word & 511], even_signs(word >> 9), scale, dst + 8 * k);
        }
    }
}

// d, indices[32] (low 8 bits), signs[32], index high bits[8] (2 each), scales[8] (4 bits for each 16 values)
void quant_iquants_iq2_s_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 82) {
        float d = quant_load_f16(b);
        for (int k = 0; k < 32; k++) {
            int index = b[2 + k] | (b[66 + k / 4] >> k % 4 * 2 & 3) << 8;
            float scale = d * (0.5f + (float)(b[74 + k / 4] >> k / 2 % 2 * 4 & 15)) * 0.25f;
            emit2(quant_iq_tables_2s[index], b[34 + k], scale, dst + 8 * k);
        }
    }
}

// d, indices[64], then for each 32 values a word of four 7-bit signs and a 4-bit scale
void quant_iquants_iq3_xxs_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 98) {
        float d = quant_load_f16(b);
        for (int k = 0; k < 64; k++) {
            uint32_t word = quant_load_u32(b + 66 + k / 8 * 4), entry = quant_iq_tables_3xxs[b[2 + k]];
            uint32_t signs = even_signs(word >> k / 2 % 4 * 7 & 127) >> k % 2 * 4;
            float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
            for (int i = 0; i < 4; i++)
                dst[4 * k + i] = signed_by(signs, i, scale * (float)levels3xxs[entry >> 3 * i & 7]);
        }
    }
}

// d, indices[64] (low 8 bits), ninth bits[8], signs[32], scales[4] (4 bits for each 32 values)
void quant_iquants_iq3_s_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 110) {
        float d = quant_load_f16(b);
        for (int k = 0; k < 64; k++) {
            uint32_t entry = quant_iq_tables_3s[b[2 + k] | (b[66 + k / 8] >> k % 8 & 1) << 8];
            uint32_t signs = b[74 + k / 2] >> k % 2 * 4;
            float scale = d * (float)(1 + 2 * (b[106 + k / 16] >> k / 8 % 2 * 4 & 15));
            for (int i = 0; i < 4; i++)  // levels are the odd numbers 1..15
                dst[4 * k + i] = signed_by(signs, i, scale * (float)(2 * (entry >> 3 * i & 7) + 1));
        }
    }
}

// Eight values of one IQ1 codebook entry: (-1, 0 or 1, plus or minus an eighth) times the scale.
static void emit1(uint16_t entry, bool minus, float scale, float *out)
{
    float shift = minus ? -0.125f : 0.125f;
    for (int i = 0; i < 8; i++)
        out[i] = scale * ((float)((entry >> 2 * i & 3) - 1) + shift);
}

// d, indices[32] (low 8 bits), then for each 32 values a 16-bit word: four 3-bit index tops, scale, shift
// sign
void quant_iquants_iq1_s_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 50) {
        float d = quant_load_f16(b);
        for (int k = 0; k < 32; k++) {
            int word = quant_load_u16(b + 34 + k / 4 * 2);
            int index = b[2 + k] | (word >> k % 4 * 3 & 7) << 8;
            float scale = d * (float)(2 * (word >> 12 & 7) + 1);
            emit1(quant_iq_tables_1[index], word >> 15, scale, dst + 8 * k);
        }
    }
}

// indices[32] (low 8 bits), nibbles[16] (3-bit index top, shift sign), four 16-bit words of four 3-bit scales
// (one for each 16 values), whose top four bits together are the F16 factor
void quant_iquants_iq1_m_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 56) {
        int factor = 0;
        for (int w = 0; w < 4; w++)
            factor |= b[48 + 2 * w + 1] >> 4 << 4 * w;
        float d = quant_f16_to_f32((uint16_t)factor);
        for (int k = 0; k < 32; k++) {
            int top = b[32 + k / 2] >> k % 2 * 4;
            int index = b[k] | (top & 7) << 8;
            int three = quant_load_u16(b + 48 + k / 8 * 2) >> k / 2 % 4 * 3 & 7;
            emit1(quant_iq_tables_1[index], top & 8, d * (float)(2 * three + 1), dst + 8 * k);
        }
    }
}

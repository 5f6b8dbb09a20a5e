// Decoding of IQ1, IQ2 and IQ3: values come in groups of 8 or 4 taken from a codebook of magnitudes (IQ1: of
// -1, 0, 1), with signs, small scales a group of 16 or 32, and one F16 factor a super-block of 256. All of it but that
// factor is small integers, and so is what these functions give (quant_levels).
#include "quant/blocks.h"
#include "quant/iq_tables.h"

static const int8_t levels2[4] = {8, 25, 43, 0};
static const int8_t levels3xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};

// Seven stored sign bits stand for eight: the number of minus signs is always even.
static uint8_t even_signs(uint32_t seven)
{
    uint32_t odd = seven ^ seven >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return (uint8_t)((seven & 127) | (odd & 1) << 7);
}

static int8_t signed_by(uint32_t signs, int i, int8_t level)
{
    return (int8_t)(signs >> i & 1 ? -level : level);
}

// Eight levels of one IQ2 codebook entry.
static void emit2(uint16_t entry, uint8_t signs, int8_t *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = signed_by(signs, i, levels2[entry >> 2 * i & 3]);
}

// Scale number `nibble` of `p`, two a byte, low first.
static int8_t odd_scale(const uint8_t *p, int nibble)
{
    return (int8_t)(2 * (p[nibble / 2] >> nibble % 2 * 4 & 15) + 1);
}

// d, then for each 32 values: four codebook indices[4], and a word of four 7-bit signs and a 4-bit scale
void quant_iquants_iq2_xxs_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b);
    for (int g = 0; g < 8; g++) {
        const uint8_t *p = b + 2 + 8 * g;
        uint32_t word = quant_load_u32(p + 4);
        out->scale[2 * g] = out->scale[2 * g + 1] = (int8_t)(2 * (word >> 28) + 1);
        for (int k = 0; k < 4; k++)
            emit2(quant_iq_tables_2xxs[p[k]], even_signs(word >> 7 * k & 127), out->level + 32 * g + 8 * k);
    }
}

// d, 32 words (9-bit index, 7-bit signs), scales[8] (4 bits for each 16 values)
void quant_iquants_iq2_xs_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b);
    for (int i = 0; i < 16; i++)
        out->scale[i] = odd_scale(b + 66, i);
    for (int k = 0; k < 32; k++) {
        uint32_t word = quant_load_u16(b + 2 + 2 * k);
        emit2(quant_iq_tables_2xs[word & 511], even_signs(word >> 9), out->level + 8 * k);
    }
}

// d, indices[32] (low 8 bits), signs[32], index high bits[8] (2 each), scales[8] (4 bits for each 16 values)
void quant_iquants_iq2_s_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b);
    for (int i = 0; i < 16; i++)
        out->scale[i] = odd_scale(b + 74, i);
    for (int k = 0; k < 32; k++) {
        int index = b[2 + k] | (b[66 + k / 4] >> k % 4 * 2 & 3) << 8;
        emit2(quant_iq_tables_2s[index], b[34 + k], out->level + 8 * k);
    }
}

// d, indices[64], then for each 32 values a word of four 7-bit signs and a 4-bit scale
void quant_iquants_iq3_xxs_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b);
    for (int k = 0; k < 64; k++) {
        uint32_t word = quant_load_u32(b + 66 + k / 8 * 4), entry = quant_iq_tables_3xxs[b[2 + k]];
        uint32_t signs = even_signs(word >> k / 2 % 4 * 7 & 127) >> k % 2 * 4;
        out->scale[k / 4] = (int8_t)(2 * (word >> 28) + 1);
        for (int i = 0; i < 4; i++)
            out->level[4 * k + i] = signed_by(signs, i, levels3xxs[entry >> 3 * i & 7]);
    }
}

// d, indices[64] (low 8 bits), ninth bits[8], signs[32], scales[4] (4 bits for each 32 values)
void quant_iquants_iq3_s_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b);
    for (int k = 0; k < 64; k++) {
        uint32_t entry = quant_iq_tables_3s[b[2 + k] | (b[66 + k / 8] >> k % 8 & 1) << 8];
        uint32_t signs = b[74 + k / 2] >> k % 2 * 4;
        out->scale[k / 4] = odd_scale(b + 106, k / 8);
        for (int i = 0; i < 4; i++)  // levels are the odd numbers 1..15
            out->level[4 * k + i] = signed_by(signs, i, (int8_t)(2 * (entry >> 3 * i & 7) + 1));
    }
}

// Eight levels of one IQ1 codebook entry: -1, 0 or 1, plus or minus an eighth, in eighths.
static void emit1(uint16_t entry, bool minus, int8_t *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = (int8_t)(8 * ((entry >> 2 * i & 3) - 1) + (minus ? -1 : 1));
}

// d, indices[32] (low 8 bits), then for each 32 values a 16-bit word: four 3-bit index tops, scale, shift
// sign
void quant_iquants_iq1_s_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = quant_load_u16(b);
    for (int k = 0; k < 32; k++) {
        int word = quant_load_u16(b + 34 + k / 4 * 2);
        out->scale[k / 2] = (int8_t)(2 * (word >> 12 & 7) + 1);
        emit1(quant_iq_tables_1[b[2 + k] | (word >> k % 4 * 3 & 7) << 8], word >> 15, out->level + 8 * k);
    }
}

// indices[32] (low 8 bits), nibbles[16] (3-bit index top, shift sign), four 16-bit words of four 3-bit scales
// (one for each 16 values), whose top four bits together are the F16 factor
void quant_iquants_iq1_m_levels(const void *block, quant_levels *out)
{
    const uint8_t *b = block;
    out->d = 0;
    for (int w = 0; w < 4; w++)
        out->d = (uint16_t)(out->d | b[48 + 2 * w + 1] >> 4 << 4 * w);
    for (int k = 0; k < 32; k++) {
        int top = b[32 + k / 2] >> k % 2 * 4;
        out->scale[k / 2] = (int8_t)(2 * (quant_load_u16(b + 48 + k / 8 * 2) >> k / 2 % 4 * 3 & 7) + 1);
        emit1(quant_iq_tables_1[b[k] | (top & 7) << 8], top & 8, out->level + 8 * k);
    }
}

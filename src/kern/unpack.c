// A packed panel block taken apart in plain C, in the words of the picture in pack.c. The scalar kernels run on
// it, and the tests hold every other unpacking against it.
#include <string.h>

#include "kern/types.h"

static float f16_at(const uint8_t *p, int i)
{
    uint16_t h;
    memcpy(&h, p + 2 * i, 2);
    return quant_f16_to_f32(h);
}

// Half of an E8M0 scale (a power of two, exponent biased by 127), because the code table holds doubled values.
static float e8m0_half(uint8_t e)
{
    uint32_t bits = e < 2 ? (uint32_t)0x00200000 << e : (uint32_t)(e - 1) << 23;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static int mask_bit(const uint8_t *masks, int index, int lane)
{
    return masks[8 * index + lane / 8] >> lane % 8 & 1;
}

// A code of vector group g (columns 4g..4g+3), byte `lane` = r*4+j.
static int code_b32(int type, const uint8_t *p, int g, int lane)
{
    const uint8_t *low = p + kern_at_low(type);
    if (type == QT_Q8_0)
        return low[64 * g + lane];
    int nibble = low[64 * (g % 4) + lane] >> (g < 4 ? 0 : 4) & 15;
    if (type == QT_Q5_0 || type == QT_Q5_1)
        return nibble | mask_bit(p + kern_at_masks(type), g, lane) << 4;
    return kern_values(type) ? kern_values(type)[nibble] + kern_code_offset(type) : nibble;
}

// The same for piece s (32 columns) of a super-block, before any table.
static int bits_b256(int layout, const uint8_t *p, int s, int g, int lane)
{
    const uint8_t *low = p + kern_at_low(layout);
    int half = s / 4, part = s % 4;  // Q6_K, Q3_K, Q2_K: 128 columns, 32 of them
    switch (layout) {
    case QT_Q4_K:
    case QT_Q5_K: {
        int nibble = low[64 * (8 * (s / 2) + g) + lane] >> 4 * (s % 2) & 15;
        return layout == QT_Q4_K ? nibble
                                 : nibble | mask_bit(p + kern_at_masks(layout), 8 * s + g, lane) << 4;
    }
    case QT_Q6_K: {
        int ql = low[64 * (16 * half + 8 * (part % 2) + g) + lane] >> (part < 2 ? 0 : 4) & 15;
        int qh = p[kern_at_high(layout) + 64 * (8 * half + g) + lane] >> 2 * part & 3;
        return ql | qh << 4;
    }
    case QT_IQ4_XS: return low[64 * (4 * s + g % 4) + lane] >> (g < 4 ? 0 : 4) & 15;
    default: {
        int two = low[64 * (8 * half + g) + lane] >> 2 * part & 3;
        return layout == QT_Q2_K ? two : two | mask_bit(p + kern_at_masks(layout), 8 * s + g, lane) << 2;
    }
    }
}

static int code_b256(int type, const uint8_t *p, int s, int g, int lane)
{
    int bits = bits_b256(kern_layout(type), p, s, g, lane);
    return kern_values(type) ? kern_values(type)[bits] + kern_code_offset(type) : bits;
}

// The scale of sub-block i, row r; Q4_K and Q5_K keep 8 six-bit scales and 8 mins in 12 bytes, Q3_K 16 scales.
static int scale_of(int type, const uint8_t *p, int i, int r)
{
    const uint8_t *s = p + kern_at_scales(type) + r;
    switch (kern_layout(type)) {
    case QT_Q2_K: return s[16 * i] & 15;
    case QT_Q3_K:
        return ((s[16 * (i % 8)] >> (i < 8 ? 0 : 4) & 15) | (s[16 * (8 + i % 4)] >> 2 * (i / 4) & 3) << 4) -
               32;
    case QT_Q6_K: return (int8_t)s[16 * i];
    case QT_IQ4_XS: {
        const uint8_t *high = p + kern_at_scales(type) + 2 * r;
        int h = (high[0] | high[1] << 8) >> 2 * i & 3;
        return ((s[32 + 16 * (i / 2)] >> 4 * (i % 2) & 15) | h << 4) - 32;
    }
    default: return i < 4 ? s[16 * i] & 63 : (s[16 * (i + 4)] & 15) | s[16 * (i - 4)] >> 6 << 4;
    }
}

static int min_of(int type, const uint8_t *p, int i, int r)
{
    const uint8_t *s = p + kern_at_scales(type) + r;
    if (type == QT_Q2_K)
        return s[16 * i] >> 4;
    return i < 4 ? s[16 * (i + 4)] & 63 : s[16 * (i + 4)] >> 4 | s[16 * i] >> 6 << 4;
}

static void unpack_codes(int type, const uint8_t *p, uint8_t *u)
{
    bool b32 = kern_family_of(type) == KERN_B32;
    for (int s = 0; s < (b32 ? 1 : 8); s++)
        for (int g = 0; g < 8; g++)
            for (int lane = 0; lane < 64; lane++)
                *u++ = (uint8_t)(b32 ? code_b32(type, p, g, lane) : code_b256(type, p, s, g, lane));
}

void kern_unpack_block(int type, const uint8_t *packed, kern_block *b)
{
    unpack_codes(type, packed, b->u);
    bool has_min = kern_has_min(type);
    for (int r = 0; r < KERN_PANEL; r++) {
        b->d[r] = type == QT_MXFP4 ? e8m0_half(packed[r]) : f16_at(packed, r) * kern_factor(type);
        b->m[r] = has_min ? f16_at(packed + 32, r) : 0.0f;
    }
    if (kern_family_of(type) == KERN_B32)
        return;
    for (int i = 0; i < KERN_SUPER / kern_sub_columns(type); i++)
        for (int r = 0; r < KERN_PANEL; r++) {
            b->sc[i][r] = (int16_t)scale_of(type, packed, i, r);
            b->mn[i][r] = (int16_t)(has_min ? min_of(type, packed, i, r) : 0);
        }
}

// Facts of the quantized weight types that every instruction set shares: what a code means and where the parts
// of a packed block lie. All are constant expressions once the type is, so a kernel compiled for one type
// keeps none of the switches. The layouts themselves are drawn in pack.c.
#ifndef KERN_TYPES_H
#define KERN_TYPES_H

#include "kern/kern.h"

#if defined(__GNUC__)
#define KERN_INLINE static inline __attribute__((always_inline))
#else
#define KERN_INLINE static inline
#endif

// The values behind the 4-bit codes of IQ4_NL and IQ4_XS, and those of MXFP4 doubled; as the formats define them.
extern const int8_t kern_iq4_values[16];
extern const int8_t kern_mxfp4_values[16];

extern const int8_t kern_iq3_xxs_values[16], kern_iq3_s_values[16], kern_iq2_values[16], kern_iq1_values[16];

// Values that codes stand for, the signs included; NULL where a code is a number itself.
KERN_INLINE const int8_t *kern_values(int type)
{
    switch (type) {
    case QT_IQ4_NL:
    case QT_IQ4_XS: return kern_iq4_values;
    case QT_MXFP4: return kern_mxfp4_values;
    case QT_IQ3_XXS: return kern_iq3_xxs_values;
    case QT_IQ3_S: return kern_iq3_s_values;
    case QT_IQ2_S: return kern_iq2_values;
    case QT_IQ1_M: return kern_iq1_values;
    default: return NULL;
    }
}

// The type whose layout the packed block has: its own, or that of a K type with as many bits.
KERN_INLINE int kern_layout(int type)
{
    switch (type) {
    case QT_IQ3_XXS:
    case QT_IQ3_S: return QT_IQ4_XS;
    case QT_IQ2_S:
    case QT_IQ1_M: return QT_Q3_K;
    default: return type;
    }
}

// value = scale * (code - offset) [+ min]; codes are unsigned bytes, of types with a table the value plus the offset.
KERN_INLINE int kern_code_offset(int type)
{
    switch (type) {
    case QT_IQ3_XXS: return 62;
    case QT_IQ3_S: return 15;
    case QT_IQ2_S: return 43;
    case QT_IQ1_M: return 9;
    case QT_Q4_0: return 8;
    case QT_Q5_0: return 16;
    case QT_Q8_0:
    case QT_IQ4_NL:
    case QT_IQ4_XS: return 128;
    case QT_MXFP4: return 12;
    case QT_Q6_K: return 32;
    case QT_Q3_K: return 4;
    default: return 0;
    }
}

// The largest code.
KERN_INLINE int kern_code_max(int type)
{
    switch (type) {
    case QT_Q2_K: return 3;
    case QT_Q3_K: return 7;
    case QT_MXFP4: return 24;
    case QT_IQ3_XXS: return 124;
    case QT_IQ3_S: return 30;
    case QT_IQ2_S: return 86;
    case QT_IQ1_M: return 18;
    case QT_Q5_0:
    case QT_Q5_1:
    case QT_Q5_K: return 31;
    case QT_Q6_K: return 63;
    case QT_Q8_0: return 255;
    case QT_IQ4_NL:
    case QT_IQ4_XS: return 241;
    default: return 15;
    }
}

KERN_INLINE bool kern_has_min(int type)
{
    return type == QT_Q4_1 || type == QT_Q5_1 || type == QT_Q2_K || type == QT_Q4_K || type == QT_Q5_K;
}

// KERN_CLAMPED: where values are clamped, and how steep the gate is (the gpt-oss model card, arXiv 2508.10925).
#define KERN_CLAMP 7.0f
#define KERN_STEEP 1.702f

// What the F16 scale of a block is multiplied by.
KERN_INLINE float kern_factor(int type)
{
    return type == QT_IQ3_XXS ? 0.25f : type == QT_IQ2_S || type == QT_IQ1_M ? 0.125f : 1.0f;
}

// Columns that share one scale.
KERN_INLINE int kern_sub_columns(int type)
{
    const int layout = kern_layout(type);
    return layout == QT_Q2_K || layout == QT_Q3_K || layout == QT_Q6_K ? 16 : 32;
}

// Bytes of a packed block: 16 GGUF blocks of the layout's type.
KERN_INLINE int kern_packed_block_bytes(int type)
{
    switch (kern_layout(type)) {
    case QT_Q4_0:
    case QT_IQ4_NL: return 16 * 18;
    case QT_Q4_1: return 16 * 20;
    case QT_Q5_0: return 16 * 22;
    case QT_Q5_1: return 16 * 24;
    case QT_Q8_0: return 16 * 34;
    case QT_MXFP4: return 16 * 17;
    case QT_Q2_K: return 16 * 84;
    case QT_Q3_K: return 16 * 110;
    case QT_Q4_K: return 16 * 144;
    case QT_Q5_K: return 16 * 176;
    case QT_Q6_K: return 16 * 210;
    default: return 16 * 136;  // IQ4_XS
    }
}

// Byte offsets inside a packed block. Every block but MXFP4's begins with f16 d[16]; those with a min go on with
// f16 m[16] (B256: dmin). Then scales, bit masks, low bits, high bits, as far as the type has them.
KERN_INLINE int kern_at_scales(int type)
{
    return kern_has_min(type) ? 64 : 32;
}

KERN_INLINE int kern_at_masks(int type)
{
    switch (kern_layout(type)) {
    case QT_Q3_K:
    case QT_Q4_K:
    case QT_Q5_K: return kern_at_scales(type) + 3 * 64;
    case QT_Q2_K:
    case QT_Q6_K: return kern_at_scales(type) + 16 * 16;
    case QT_IQ4_XS: return kern_at_scales(type) + 32 + 64;
    case QT_MXFP4: return 16;
    default: return kern_at_scales(type);
    }
}

// The nibbles (Q2_K and Q3_K: the 2-bit fields; Q8_0: the bytes; Q6_K: ql).
KERN_INLINE int kern_at_low(int type)
{
    const int layout = kern_layout(type);
    const bool five = layout == QT_Q5_0 || layout == QT_Q5_1;
    return kern_at_masks(type) + (five ? 8 * 8 : layout == QT_Q3_K || layout == QT_Q5_K ? 64 * 8 : 0);
}

// Q6_K: qh.
KERN_INLINE int kern_at_high(int type)
{
    return kern_at_low(type) + 32 * 64;
}

// One panel block taken apart by plain C: the reference for every other unpacking.
typedef struct kern_block {
    uint8_t u[KERN_SUPER * KERN_PANEL];  // codes [column / 4][row][column % 4]
    int16_t sc[16][KERN_PANEL];          // B256: [sub-block][row]
    int16_t mn[16][KERN_PANEL];
    float d[KERN_PANEL];
    float m[KERN_PANEL];  // B32: the min; B256: dmin
} kern_block;

void kern_unpack_block(int type, const uint8_t *packed, kern_block *b);

#endif

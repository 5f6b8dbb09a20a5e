// Blocks of the types that look values up in a codebook (IQ1, IQ2, IQ3) or have three (TQ), rewritten for packing: each
// value by itself as 2, 3 or 4 bits, in the layout of a K type with as many. A codebook index stands for 4 or 8 values
// in fewer bits than they have apart, so a block grows, and is multiplied as fast as the type whose layout it takes. The
// numbers are the same: codes stand for values through the tables below, and scales are integers in both.
#include "kern/recode.h"

#include <string.h>

#include "kern/types.h"

const int8_t kern_iq3_xxs_values[16] = {4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62};
const int8_t kern_iq3_s_values[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};
// 3 bits, of which a 16-byte lookup never sees the rest; the fourth and eighth only in damaged files.
const int8_t kern_iq2_values[16] = {8, 25, 43, 0, -8, -25, -43, 0};
const int8_t kern_iq1_values[16] = {-9, -7, -1, 1, 7, 9, 0, 0};

int kern_packed_type(int type)
{
    switch (type) {
    case QT_IQ2_XXS:
    case QT_IQ2_XS: return QT_IQ2_S;
    case QT_IQ1_S: return QT_IQ1_M;
    case QT_TQ1_0:
    case QT_TQ2_0: return QT_Q2_K;
    default: return type;
    }
}

static void codes_of(int type, const quant_levels *x, uint8_t code[KERN_SUPER])
{
    const int8_t *values = kern_values(type);
    uint8_t at[256] = {0};  // by value + 128
    for (int i = 15; i >= 0; i--)
        at[values[i] + 128] = (uint8_t)i;
    for (int i = 0; i < KERN_SUPER; i++)
        code[i] = at[x->level[i] + 128];
}

static void put_u16(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
}

// As IQ4_XS: d, scales_h, scales_l[4], qs[128]; scales are stored + 32.
static void as_iq4_xs(const quant_levels *x, const uint8_t *code, uint8_t *out)
{
    uint32_t high = 0;
    put_u16(out, x->d);
    for (int i = 0; i < 8; i++) {
        uint32_t scale = (uint32_t)(x->scale[2 * i] + 32);
        out[4 + i / 2] = (uint8_t)(out[4 + i / 2] | (scale & 15) << i % 2 * 4);
        high |= (scale >> 4) << 2 * i;
        for (int j = 0; j < 16; j++)
            out[8 + 16 * i + j] = (uint8_t)(code[32 * i + j] | code[32 * i + 16 + j] << 4);
    }
    put_u16(out + 2, high);
}

// As Q3_K: third bits[32], low two bits[64], scales[12], d; scales are stored + 32.
static void as_q3_k(const quant_levels *x, const uint8_t *code, uint8_t *out)
{
    uint8_t *scales = out + 96;
    for (int c = 0; c < KERN_SUPER; c++) {
        out[c % 32] = (uint8_t)(out[c % 32] | (code[c] >> 2) << c / 32);
        uint8_t *two = out + 32 + c / 128 * 32 + c % 32;
        *two = (uint8_t)(*two | (code[c] & 3) << c / 32 % 4 * 2);
    }
    for (int i = 0; i < 16; i++) {
        uint32_t scale = (uint32_t)(x->scale[i] + 32);
        scales[i % 8] = (uint8_t)(scales[i % 8] | (scale & 15) << i / 8 * 4);
        scales[8 + i % 4] = (uint8_t)(scales[8 + i % 4] | (scale >> 4) << i / 4 * 2);
    }
    put_u16(out + 108, x->d);
}

// Q2_K itself: scales and mins[16], qs[64], d, dmin. -1, 0, 1 are codes 0, 1, 2 less one.
static void as_q2_k(const quant_levels *x, uint8_t *out)
{
    memset(out, 0x11, 16);
    for (int c = 0; c < KERN_SUPER; c++) {
        uint8_t *two = out + 16 + c / 128 * 32 + c % 32;
        *two = (uint8_t)(*two | (x->level[c] + 1) << c / 32 % 4 * 2);
    }
    put_u16(out + 80, x->d);
    put_u16(out + 82, x->d);
}

bool kern_recodes(int type)
{
    return quant_type_info(type)->levels != NULL;
}

void kern_recode(int type, const uint8_t *block, uint8_t *out)
{
    quant_levels x;
    uint8_t code[KERN_SUPER];
    const int packed = kern_packed_type(type);
    quant_type_info(type)->levels(block, &x);
    memset(out, 0, (size_t)kern_packed_block_bytes(packed) / KERN_PANEL);
    if (packed == QT_Q2_K) {
        as_q2_k(&x, out);
        return;
    }
    codes_of(packed, &x, code);
    if (kern_layout(packed) == QT_IQ4_XS)
        as_iq4_xs(&x, code, out);
    else
        as_q3_k(&x, code, out);
}

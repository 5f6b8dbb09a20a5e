// Blocks of random bytes whose scale fields make the decoded values small.
//
// How large the values of a type come out of random bytes with a scale of 1 is not computed but tried: blocks_init
// decodes a few blocks and divides. So a type needs nothing but a row that says where its scales lie.
#include <math.h>
#include <string.h>

#include "random.h"

enum scale_kind {
    SCALE_VALUES,  // no scale: the values themselves, F32, F16, BF16
    SCALE_F16,     // one F16
    SCALE_SPLIT,   // one F16 in the high four bits of four 16-bit words (IQ1_M)
    SCALE_E8M0,    // one byte, a power of two
};

enum { MOST_BLOCK_BYTES = 256, TRIED = 64 };

static const float DEVIATION = 0.02f;

typedef struct layout {
    int type;
    enum scale_kind kind;
    int scale_at;
    int min_at;       // F16; -1: none
    float min_share;  // minimum over scale that brings the mean to 0; the sign is the format's
} layout;

static const layout layouts[] = {
    {QT_F32, SCALE_VALUES, 0, -1, 0},   {QT_F16, SCALE_VALUES, 0, -1, 0},  {QT_BF16, SCALE_VALUES, 0, -1, 0},
    {QT_Q4_0, SCALE_F16, 0, -1, 0},     {QT_Q4_1, SCALE_F16, 0, 2, -7.5f}, {QT_Q5_0, SCALE_F16, 0, -1, 0},
    {QT_Q5_1, SCALE_F16, 0, 2, -15.5f}, {QT_Q8_0, SCALE_F16, 0, -1, 0},    {QT_Q2_K, SCALE_F16, 80, 82, 1.5f},
    {QT_Q3_K, SCALE_F16, 108, -1, 0},   {QT_Q4_K, SCALE_F16, 0, 2, 7.5f},  {QT_Q5_K, SCALE_F16, 0, 2, 15.5f},
    {QT_Q6_K, SCALE_F16, 208, -1, 0},   {QT_IQ1_S, SCALE_F16, 0, -1, 0},   {QT_IQ1_M, SCALE_SPLIT, 48, -1, 0},
    {QT_IQ2_XXS, SCALE_F16, 0, -1, 0},  {QT_IQ2_XS, SCALE_F16, 0, -1, 0},  {QT_IQ2_S, SCALE_F16, 0, -1, 0},
    {QT_IQ3_XXS, SCALE_F16, 0, -1, 0},  {QT_IQ3_S, SCALE_F16, 0, -1, 0},   {QT_IQ4_NL, SCALE_F16, 0, -1, 0},
    {QT_IQ4_XS, SCALE_F16, 0, -1, 0},   {QT_MXFP4, SCALE_E8M0, 0, -1, 0},  {QT_TQ1_0, SCALE_F16, 52, -1, 0},
    {QT_TQ2_0, SCALE_F16, 64, -1, 0},
};

static const layout *layout_of(int type)
{
    for (size_t i = 0; i < COUNT_OF(layouts); i++)
        if (layouts[i].type == type)
            return &layouts[i];
    return NULL;
}

bool blocks_can(int type)
{
    return layout_of(type) != NULL;
}

// SplitMix64 (Steele, Lea, Flood 2014) at a place of its sequence: no state, any place at once.
static uint64_t random_at(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put_scale(const random_blocks *b, const layout *l, uint8_t *block)
{
    uint8_t *at = block + l->scale_at;
    uint16_t half = quant_f32_to_f16(b->scale);
    if (l->kind == SCALE_F16) {
        put_u16(at, half);
    } else if (l->kind == SCALE_SPLIT) {
        for (int w = 0; w < 4; w++)
            at[2 * w + 1] = (uint8_t)((at[2 * w + 1] & 0x0F) | (half >> 4 * w & 0x0F) << 4);
    } else {
        int power;
        frexpf(b->scale, &power);
        at[0] = (uint8_t)(127 + power - 1);
    }
    if (l->min_at >= 0)
        put_u16(block + l->min_at, quant_f32_to_f16(b->minimum));
}

// A value from 64 random bits: the sum of four 16-bit numbers is near enough to a bell.
static float bell(uint64_t bits)
{
    int sum = (int)(bits & 0xFFFF) + (int)(bits >> 16 & 0xFFFF) + (int)(bits >> 32 & 0xFFFF) +
              (int)(bits >> 48);
    return (float)(sum - 2 * 0xFFFF) * (DEVIATION / 37837.2f);  // deviation of the sum: 65536 * sqrt(4 / 12)
}

// The codes no encoder writes stay out, so that the file is one that could have been quantized.
static void remove_impossible(int type, uint8_t *block)
{
    if (type == QT_Q8_0) {  // -128
        for (int i = 2; i < 34; i++)
            block[i] = block[i] == 0x80 ? 0x81 : block[i];
    } else if (type == QT_TQ2_0) {  // the fourth of three levels
        for (int i = 0; i < 64; i++)
            block[i] &= (uint8_t) ~((block[i] & block[i] >> 1 & 0x55) << 1);
    }
}

static void make_block(const random_blocks *b, const layout *l, uint64_t index, uint8_t *block, size_t bytes)
{
    uint64_t words = (bytes + 7) / 8;
    if (l->kind == SCALE_VALUES) {
        float v = bell(random_at(b->seed, index));
        quant_type_info(b->type)->encode(&v, block, 1);
        return;
    }
    for (uint64_t i = 0; i < words; i++) {
        uint64_t r = random_at(b->seed, index * words + i);
        memcpy(block + 8 * i, &r, 8);
    }
    remove_impossible(b->type, block);
    put_scale(b, l, block);
}

void blocks_init(random_blocks *b, int type, uint64_t seed)
{
    const layout *l = layout_of(type);
    const quant_info *info = quant_type_info(type);
    *b = (random_blocks){.type = type, .seed = seed, .scale = 1, .minimum = l->min_share};
    if (l->kind == SCALE_VALUES)
        return;
    double sum = 0;
    for (uint64_t i = 0; i < TRIED; i++) {
        uint8_t block[MOST_BLOCK_BYTES];
        float values[256];
        make_block(b, l, i, block, info->block_bytes);
        info->decode(block, values, info->block_elems);
        for (uint32_t k = 0; k < info->block_elems; k++)
            sum += (double)values[k] * values[k];
    }
    b->scale = DEVIATION / (float)sqrt(sum / (TRIED * (double)info->block_elems));
    b->minimum = b->scale * l->min_share;
}

void blocks_fill(const random_blocks *b, uint64_t offset, uint8_t *dst, size_t n)
{
    const layout *l = layout_of(b->type);
    size_t bytes = quant_type_info(b->type)->block_bytes;
    uint8_t block[MOST_BLOCK_BYTES];
    while (n > 0) {
        size_t from = (size_t)(offset % bytes), k = MIN(bytes - from, n);
        make_block(b, l, offset / bytes, block, bytes);
        memcpy(dst, block + from, k);
        dst += k;
        offset += k;
        n -= k;
    }
}

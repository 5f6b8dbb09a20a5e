// Four bits a value through a table of sixteen levels: IQ4_NL and IQ4_XS (levels denser near zero), MXFP4
// (the E2M1 numbers of the OCP Microscaling Formats specification 1.0, with a power of two as scale).
#include <string.h>

#include "quant/blocks.h"

enum { HALF = QUANT_SMALL / 2 };

// clang-format off
static const int8_t nl_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1, 13, 25, 38, 53, 69, 89, 113};
// clang-format on

// E2M1, doubled so that they are integers; code 8 is minus zero.
static const int8_t mx_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void decode_levels(const uint8_t *codes, const int8_t *levels, float d, float *dst)
{
    for (int i = 0; i < HALF; i++) {
        dst[i] = d * (float)levels[codes[i] & 15];
        dst[i + HALF] = d * (float)levels[codes[i] >> 4];
    }
}

void quant_fp4_iq4_nl_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 18)
        decode_levels(b + 2, nl_levels, quant_load_f16(b), dst);
}

// d, high 2 bits of eight scales (16 bits), low 4 bits of the scales[4], codes[128]
void quant_fp4_iq4_xs_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SUPER, b += 136) {
        float d = quant_load_f16(b);
        int high = quant_load_u16(b + 2);
        for (int g = 0; g < 8; g++) {
            int scale = (b[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
            decode_levels(b + 8 + g * HALF, nl_levels, d * (float)(scale - 32), dst + g * QUANT_SMALL);
        }
    }
}

// Half of the E8M0 scale 2^(e - 127), because the levels are doubled.
static float mx_scale(int e)
{
    return ldexpf(1, e - 128);
}

// e, codes[16]
void quant_fp4_mxfp4_decode(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (const float *end = dst + n; dst < end; dst += QUANT_SMALL, b += 17)
        decode_levels(b + 1, mx_levels, mx_scale(b[0]), dst);
}

// Encoders -------------------------------------------------------------------------------------------

static int nearest_nl(float v)
{
    int q = 0;
    while (q < 15 && v > (float)(nl_levels[q] + nl_levels[q + 1]) * 0.5f)
        q++;
    return q;
}

// The scale for one group of 32. A few scales around "the extreme value on the outermost level" are tried,
// each with its nearest codes; given codes, the best scale is a least-squares fit, and the fit with the
// largest drop in squared error wins. On normal data nine tries come within 0.2 % of the error that eighty
// leave.
static float nl_scale(const float *x)
{
    float top = quant_extreme(x, QUANT_SMALL), best = 0, best_gain = 0;
    if (top == 0)
        return 0;
    for (int t = -4; t <= 4; t++) {
        float inv = -127 * (1 + 0.03f * (float)t) / top, xl = 0, ll = 0;
        for (int i = 0; i < QUANT_SMALL; i++) {
            float level = nl_levels[nearest_nl(x[i] * inv)];
            xl += x[i] * level;
            ll += level * level;
        }
        if (xl * xl > best_gain * ll) {
            best_gain = xl * xl / ll;
            best = xl / ll;
        }
    }
    return best;
}

static void nl_store(const float *x, float d, uint8_t *codes)
{
    float inv = quant_inverse(d);
    for (int i = 0; i < HALF; i++)
        codes[i] = (uint8_t)(nearest_nl(x[i] * inv) | nearest_nl(x[i + HALF] * inv) << 4);
}

void quant_fp4_iq4_nl_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 18)
        nl_store(src, quant_store_scale(b, nl_scale(src)), b + 2);
}

void quant_fp4_iq4_xs_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 136) {
        float scales[8];
        for (int g = 0; g < 8; g++)
            scales[g] = nl_scale(src + g * QUANT_SMALL);
        float d = quant_store_scale(b, quant_extreme(scales, 8) / -32), inv = quant_inverse(d);
        int high = 0;
        memset(b + 4, 0, 4);
        for (int g = 0; g < 8; g++) {
            int scale = quant_round(scales[g] * inv, -32, 31);
            nl_store(src + g * QUANT_SMALL, d * (float)scale, b + 8 + g * HALF);
            b[4 + g / 2] |= (uint8_t)(((scale + 32) & 15) << g % 2 * 4);
            high |= (scale + 32) >> 4 << 2 * g;
        }
        quant_store_u16(b + 2, (uint16_t)high);
    }
}

static int nearest_mx(float v)
{
    int q = 0;
    for (float a = fabsf(v); q < 7 && a > (float)(mx_levels[q] + mx_levels[q + 1]) * 0.5f;)
        q++;
    return v < 0 && q ? q | 8 : q;
}

static float mx_error(const float *x, int e)
{
    float d = mx_scale(e), inv = 1 / d, sum = 0;
    for (int i = 0; i < QUANT_SMALL; i++) {
        float miss = x[i] - d * (float)mx_levels[nearest_mx(x[i] * inv)];
        sum += miss * miss;
    }
    return sum;
}

// The power of two that puts the extreme value on the top binade, or a neighbour if its squared error is
// less.
void quant_fp4_mxfp4_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 17) {
        float top = fabsf(quant_extreme(src, QUANT_SMALL));
        int first = top > 0 ? quant_round(floorf(log2f(top)) + 125, 2, 253) : 2, e = first;
        float least = mx_error(src, e);
        for (int try = first - 1; try <= first + 1; try++) {
            float miss = mx_error(src, try);
            if (miss < least) {
                least = miss;
                e = try;
            }
        }
        b[0] = (uint8_t)e;
        float inv = 1 / mx_scale(e);
        for (int i = 0; i < HALF; i++)
            b[1 + i] = (uint8_t)(nearest_mx(src[i] * inv) | nearest_mx(src[i + HALF] * inv) << 4);
    }
}

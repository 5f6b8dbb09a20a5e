// Four bits a value through a table of sixteen levels: IQ4_NL and IQ4_XS (levels denser near zero), MXFP4
// (the E2M1 numbers of the OCP Microscaling Formats specification 1.0, with a power of two as scale).
#include <string.h>

#include "quant/fit.h"

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

static const quant_grid nl_grid = {-127, 113, nl_levels};

static void nl_store(const float *x, float d, uint8_t *codes)
{
    float inv = quant_inverse(d);
    for (int i = 0; i < HALF; i++)
        codes[i] = (uint8_t)(quant_fit_code(&nl_grid, x[i] * inv) |
                             quant_fit_code(&nl_grid, x[i + HALF] * inv) << 4);
}

// The next block of a row: its importance goes along with it.
static void load(quant_fit_block *f, const float *src, const float **importance, int n)
{
    quant_fit_load(f, src, *importance, n, QUANT_EVEN);
    if (*importance)
        *importance += n;
}

void quant_fp4_iq4_nl_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst;
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 18) {
        load(&f, src, &importance, QUANT_SMALL);
        nl_store(f.x, quant_fit_store(&f, b, quant_fit_scale(&nl_grid, f.x, f.w, QUANT_SMALL)), b + 2);
    }
}

void quant_fp4_iq4_xs_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst;
    quant_fit_block f;
    int8_t scale[8];
    float stored[8];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 136) {
        load(&f, src, &importance, QUANT_SUPER);
        quant_fit_scales(&f, &nl_grid, QUANT_SMALL, 32, b, scale, stored);
        int high = 0;
        memset(b + 4, 0, 4);
        for (int g = 0; g < 8; g++) {
            nl_store(f.x + g * QUANT_SMALL, stored[g], b + 8 + g * HALF);
            b[4 + g / 2] |= (uint8_t)(((scale[g] + 32) & 15) << g % 2 * 4);
            high |= (scale[g] + 32) >> 4 << 2 * g;
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

static float mx_error(const quant_fit_block *f, int e)
{
    float d = mx_scale(e), inv = 1 / d, sum = 0;
    for (int i = 0; i < QUANT_SMALL; i++) {
        float miss = f->x[i] - d * (float)mx_levels[nearest_mx(f->x[i] * inv)];
        sum += f->w[i] * miss * miss;
    }
    return sum;
}

// The power of two that puts the extreme value on the top binade, or a neighbour if its error is less. The values are
// scaled by a power of two only, which the exponent takes back exactly.
void quant_fp4_mxfp4_fit(const float *src, void *dst, size_t n, const float *importance)
{
    uint8_t *b = dst;
    quant_fit_block f;
    for (const float *end = src + n; src < end; src += QUANT_SMALL, b += 17) {
        load(&f, src, &importance, QUANT_SMALL);
        int power = f.top > 0 ? ilogbf(f.top) : 0, e = 125;
        float down = f.top / ldexpf(1, power);  // 1..2: x came divided by f.top
        for (int i = 0; i < QUANT_SMALL; i++)
            f.x[i] *= down;
        float least = INFINITY;
        for (int try = 124; try <= 126; try++) {
            float miss = mx_error(&f, try);
            if (miss < least) {
                least = miss;
                e = try;
            }
        }
        int stored = quant_round((float)(e + power), 1,
                                 252);  // from 253 on the highest level is past a float's range
        float inv = 1 / mx_scale(stored - power < 1 ? 1 : stored - power);
        b[0] = (uint8_t)stored;
        for (int i = 0; i < HALF; i++)
            b[1 + i] = (uint8_t)(nearest_mx(f.x[i] * inv) | nearest_mx(f.x[i + HALF] * inv) << 4);
    }
}

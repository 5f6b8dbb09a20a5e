// Encoding of the K formats.
//
// Every group gets its own float scale first (and offset, where the format has one), found by trying a
// handful and keeping the one with the least squared error; these are then rounded to the super-block's small
// integers, and the codes are rounded once more against what the decoder will really multiply by. The steps
// and the number of tries leave, on normal data, at most 2 % more error than ten times as many tries do.
#include <string.h>

#include "quant/blocks.h"

// The scale for x ~ s * q with q in -mid..mid-1. Scales around "the extreme value on code -mid" are tried;
// given the codes the best scale is the least-squares fit sum(xq) / sum(qq), which lowers the squared error
// by sum(xq)^2 / sum(qq).
static float fit_scale(const float *x, int n, int mid)
{
    float top = quant_extreme(x, n), best = 0, best_gain = 0;
    if (top == 0)
        return 0;
    for (int t = -5; t <= 5; t++) {
        float inv = -((float)mid + 0.2f * (float)t) / top, xq = 0, qq = 0;
        for (int i = 0; i < n; i++) {
            float q = (float)quant_round(x[i] * inv, -mid, mid - 1);
            xq += x[i] * q;
            qq += q * q;
        }
        if (xq * xq > best_gain * qq) {
            best_gain = xq * xq / qq;
            best = xq / qq;
        }
    }
    return best;
}

typedef struct affine {
    float scale, offset;  // x ~ scale * q - offset, both >= 0
} affine;

// The least-squares scale and offset for codes q, with the offset kept from going below 0, and the squared
// error.
static affine solve_affine(const float *x, const uint8_t *q, int n, float *error)
{
    float sx = 0, sq = 0, sxq = 0, sqq = 0;
    for (int i = 0; i < n; i++) {
        float v = q[i];
        sx += x[i];
        sq += v;
        sxq += x[i] * v;
        sqq += v * v;
    }
    affine f = {0, 0};
    float det = (float)n * sqq - sq * sq;
    if (det > 0) {
        f.scale = ((float)n * sxq - sx * sq) / det;
        f.offset = (f.scale * sq - sx) / (float)n;
    }
    if (f.offset < 0 || !(f.scale > 0)) {  // one of the two must do
        bool positive = sxq > 0 && sqq > 0;
        f.offset = positive || sx > 0 ? 0 : -sx / (float)n;
        f.scale = positive ? sxq / sqq : 0;
    }
    *error = 0;
    for (int i = 0; i < n; i++) {
        float miss = f.scale * (float)q[i] - f.offset - x[i];
        *error += miss * miss;
    }
    return f;
}

// Scale and offset for x ~ s * q - m with q in 0..top: tries steps a little finer and coarser than
// "smallest value on 0, largest on top".
static affine fit_affine(const float *x, int n, int top)
{
    float lo = 0, hi = 0;  // 0 must stay within reach: offsets are never negative
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    affine best = {(hi - lo) / (float)top, -lo};
    if (!(hi > lo))
        return (affine){0, 0};
    float least = INFINITY;
    uint8_t q[32];
    for (int t = -4; t <= 4; t++) {
        float inv = ((float)top + 0.15f * (float)t) / (hi - lo), error;
        for (int i = 0; i < n; i++)
            q[i] = (uint8_t)quant_round((x[i] - lo) * inv, 0, top);
        affine f = solve_affine(x, q, n, &error);
        if (error < least) {
            least = error;
            best = f;
        }
    }
    return best;
}

// The affine fits of all groups rounded to integers 0..top of two shared factors, which are stored.
static void round_fits(const affine *fits, int groups, int top, uint8_t *d_out, uint8_t *dmin_out,
                       uint8_t *scale, uint8_t *offset, affine *stored)
{
    float most_scale = 0, most_offset = 0;
    for (int g = 0; g < groups; g++) {
        most_scale = fits[g].scale > most_scale ? fits[g].scale : most_scale;
        most_offset = fits[g].offset > most_offset ? fits[g].offset : most_offset;
    }
    float d = quant_store_scale(d_out, most_scale / (float)top), inv_d = quant_inverse(d);
    float dmin = quant_store_scale(dmin_out, most_offset / (float)top), inv_dmin = quant_inverse(dmin);
    for (int g = 0; g < groups; g++) {
        scale[g] = (uint8_t)quant_round(fits[g].scale * inv_d, 0, top);
        offset[g] = (uint8_t)quant_round(fits[g].offset * inv_dmin, 0, top);
        stored[g] = (affine){d * (float)scale[g], dmin * (float)offset[g]};
    }
}

static uint8_t affine_code(float x, affine f, int top)
{
    return (uint8_t)quant_round((x + f.offset) * quant_inverse(f.scale), 0, top);
}

void quant_kquants_q2_k_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst, scale[16], offset[16];
    affine fits[16], stored[16];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 84) {
        for (int g = 0; g < 16; g++)
            fits[g] = fit_affine(src + g * 16, 16, 3);
        round_fits(fits, 16, 15, b + 80, b + 82, scale, offset, stored);
        memset(b + 16, 0, 64);
        for (int g = 0; g < 16; g++)
            b[g] = (uint8_t)(scale[g] | offset[g] << 4);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = affine_code(src[j], stored[j / 16], 3);
            b[16 + j / 128 * 32 + j % 32] |= (uint8_t)(code << j / 32 % 4 * 2);
        }
    }
}

// The symmetric fits of 16 groups of 16 rounded to integers -mid..mid-1 of one shared factor.
static void round_scales(const float *src, int code_mid, int mid, uint8_t *d_out, int8_t *scale,
                         float *stored)
{
    float fits[16];
    for (int g = 0; g < 16; g++)
        fits[g] = fit_scale(src + g * 16, 16, code_mid);
    float d = quant_store_scale(d_out, quant_extreme(fits, 16) / (float)-mid), inv = quant_inverse(d);
    for (int g = 0; g < 16; g++) {
        scale[g] = (int8_t)quant_round(fits[g] * inv, -mid, mid - 1);
        stored[g] = d * (float)scale[g];
    }
}

void quant_kquants_q3_k_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    int8_t scale[16];
    float stored[16];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 110) {
        round_scales(src, 4, 32, b + 108, scale, stored);
        memset(b, 0, 108);
        for (int g = 0; g < 16; g++) {
            int v = scale[g] + 32;
            b[96 + g % 8] |= (uint8_t)((v & 15) << g / 8 * 4);
            b[104 + g % 4] |= (uint8_t)(v >> 4 << g / 4 * 2);
        }
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_round(src[j] * quant_inverse(stored[j / 16]), -4, 3) + 4;
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

static void encode_scales(const float *src, int top, uint8_t *b, affine stored[8])
{
    uint8_t scale[8], offset[8];
    affine fits[8];
    for (int g = 0; g < 8; g++)
        fits[g] = fit_affine(src + g * 32, 32, top);
    round_fits(fits, 8, 63, b, b + 2, scale, offset, stored);
    pack_scales(scale, offset, b + 4);
}

void quant_kquants_q4_k_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    affine stored[8];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 144) {
        encode_scales(src, 15, b, stored);
        memset(b + 16, 0, 128);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = affine_code(src[j], stored[j / 32], 15);
            b[16 + j / 64 * 32 + j % 32] |= (uint8_t)(code << j / 32 % 2 * 4);
        }
    }
}

void quant_kquants_q5_k_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    affine stored[8];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 176) {
        encode_scales(src, 31, b, stored);
        memset(b + 16, 0, 160);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = affine_code(src[j], stored[j / 32], 31);
            b[48 + j / 64 * 32 + j % 32] |= (uint8_t)((code & 15) << j / 32 % 2 * 4);
            b[16 + j % 32] |= (uint8_t)(code >> 4 << j / 32);
        }
    }
}

void quant_kquants_q6_k_encode(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    int8_t scale[16];
    float stored[16];
    for (const float *end = src + n; src < end; src += QUANT_SUPER, b += 210) {
        round_scales(src, 32, 128, b + 208, scale, stored);
        memset(b, 0, 192);
        memcpy(b + 192, scale, 16);
        for (int j = 0; j < QUANT_SUPER; j++) {
            int code = quant_round(src[j] * quant_inverse(stored[j / 16]), -32, 31) + 32;
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

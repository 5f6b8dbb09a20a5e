// KV pages in fewer bits, in plain C: turning keys, encoding, the plane of 2 bits, decoding. kern.h draws the format.
//
// The cells reach from the least to the greatest value and a little past both, so that an error is at most half a cell.
// A term whose values are all the same has step 0 and keeps them exactly.
#include "kern/kv.h"

#include <string.h>

// The power of two whose square is nearest below the block that is mixed: keys are divided by it, queries by the rest.
static int root_of(int block)
{
    int root = 1;
    while (root * root * 4 <= block)
        root *= 2;
    return root;
}

// Sums and differences of rows i and i + apart of each block of 2 * apart rows, `width` values each.
static void butterfly(float *x, int rows, int width, int apart)
{
    for (int i = 0; i < rows; i += 2 * apart) {
        float *a = x + (size_t)i * (size_t)width, *b = a + apart * width;
        for (int j = 0; j < apart * width; j++) {
            const float sum = a[j] + b[j], difference = a[j] - b[j];
            a[j] = sum;
            b[j] = difference;
        }
    }
}

// The same for distances `apart` and 2 * apart of rows of a page at once, so that the values are read half as often.
static void two_butterflies(float *x, int rows, int apart)
{
    for (int i = 0; i < rows; i += 4 * apart) {
        float *a = x + (size_t)i * KERN_PAGE, *b = a + apart * KERN_PAGE, *c = b + apart * KERN_PAGE,
              *d = c + apart * KERN_PAGE;
        for (int j = 0; j < apart * KERN_PAGE; j++) {
            const float ab = a[j] + b[j], a_b = a[j] - b[j], cd = c[j] + d[j], c_d = c[j] - d[j];
            a[j] = ab + cd;
            b[j] = a_b + c_d;
            c[j] = ab - cd;
            d[j] = a_b - c_d;
        }
    }
}

void kern_kv_turn_keys(float *x, int hd)
{
    const int block = hd & -hd;
    const float scale = 1.0f / (float)root_of(block);
    for (int i = 0; i < hd * KERN_PAGE; i++)
        x[i] *= scale;
    int apart = 1;
    for (; apart * 2 < block; apart *= 4)
        two_butterflies(x, hd, apart);
    if (apart < block)
        butterfly(x, hd, KERN_PAGE, apart);
}

void kern_kv_turn_query(const float *q, int hd, float *turned)
{
    const int block = hd & -hd;
    const float scale = (float)root_of(block) / (float)block;
    for (int i = 0; i < hd; i += 4) {  // distances 1 and 2
        const float a = q[i] + q[i + 1], b = q[i] - q[i + 1], c = q[i + 2] + q[i + 3],
                    d = q[i + 2] - q[i + 3];
        turned[i] = (a + c) * scale;
        turned[i + 1] = (b + d) * scale;
        turned[i + 2] = (a - c) * scale;
        turned[i + 3] = (b - d) * scale;
    }
    for (int apart = 4; apart < block; apart *= 2)
        butterfly(turned, hd, 1, apart);
}

// Minimum and step of n values; false when no grid holds them.
static bool scale_of(const float *x, int n, uint16_t *min, uint16_t *step)
{
    float lo = x[0], hi = lo;
    for (int i = 0; i < n; i++) {
        if (!(fabsf(x[i]) <= FLT_MAX))
            return false;
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    return kern_kv_grid(lo, hi, min, step);
}

static uint8_t code_of(float x, float min, float inverse)
{
    int c = (int)((x - min) * inverse);
    return (uint8_t)(c < KERN_KV_CELLS ? c : KERN_KV_CELLS - 1);
}

bool kern_kv_encode_scalar(const float *x, int terms, int outs, uint8_t *high, uint8_t *low, uint16_t *scales)
{
    memset(high, 0, (size_t)terms * (size_t)outs / 2);
    if (low)
        memset(low, 0, (size_t)terms * (size_t)outs / 2);
    for (int r = 0; r < terms; r++) {
        const float *row = x + (size_t)r * (size_t)outs;
        if (!scale_of(row, outs, &scales[r], &scales[terms + r]))
            return false;
        float min = quant_f16_to_f32(scales[r]), inverse = kern_kv_inverse(scales[terms + r]);
        int shift = r / 4 % 2 * 4;
        for (int n = 0; n < outs; n++) {
            uint8_t code = code_of(row[n], min, inverse);
            size_t at = kern_kv_at(outs, r, n, 2);
            high[at] = (uint8_t)(high[at] | (code >> 4) << shift);
            if (low)
                low[at] = (uint8_t)(low[at] | (code & 15) << shift);
        }
    }
    return true;
}

// Sums of a head in 16 lanes whatever the width of registers, so that every instruction set gets the same bits.
typedef struct losses {
    float error[3][KERN_KV_LANES], whole[KERN_KV_LANES];
} losses;

// Adds what one term loses: squares of what lies between a value and the middles of its cells. Gives the sum of its values.
static float add_errors(const float *x, int outs, float min, float step, float inverse, losses *all)
{
    float sum[KERN_KV_LANES] = {0};
    for (int n = 0; n < outs; n += KERN_KV_LANES)
        for (int i = 0; i < KERN_KV_LANES; i++) {
            const float v = x[n + i] - min;
            int code = (int)(v * inverse);
            code = code < KERN_KV_CELLS ? code : KERN_KV_CELLS - 1;
            const float q8 = v - step * ((float)code + 0.5f), q4 = v - step * ((float)(code & ~15) + 8.0f),
                        q2 = v - step * ((float)(code & ~63) + 32.0f);
            all->error[0][i] += q8 * q8;
            all->error[1][i] += q4 * q4;
            all->error[2][i] += q2 * q2;
            sum[i] += x[n + i];
        }
    return kern_kv_sum16(sum);
}

static void add_squares(const float *x, int outs, float mean, losses *all)
{
    for (int n = 0; n < outs; n += KERN_KV_LANES)
        for (int i = 0; i < KERN_KV_LANES; i++)
            all->whole[i] += (x[n + i] - mean) * (x[n + i] - mean);
}

bool kern_kv_measure_scalar(const float *x, enum kern_kv_side side, int terms, int outs, kern_kv_loss *out)
{
    losses all = {0};
    for (int r = 0; r < terms; r++, x += outs) {
        uint16_t min, step;
        if (!scale_of(x, outs, &min, &step))
            return false;
        const float sum = add_errors(x, outs, quant_f16_to_f32(min), quant_f16_to_f32(step),
                                     kern_kv_inverse(step), &all);
        add_squares(x, outs, side == KERN_KV_K ? sum / (float)outs : 0.0f, &all);
    }
    *out = (kern_kv_loss){.whole = kern_kv_sum16(all.whole)};
    for (int i = 0; i < 3; i++)
        out->error[i] = kern_kv_sum16(all.error[i]);
    return true;
}

// A line of `two` takes the groups of two lines of `high`, which lie a row of blocks apart.
void kern_kv_narrow(const uint8_t *high, int terms, int outs, uint8_t *two)
{
    const int blocks = outs / 16 * 64;
    for (int i = 0; i < terms / 16; i++, high += 2 * blocks, two += blocks)
        for (int j = 0; j < blocks; j++) {
            int a = high[j], b = high[blocks + j];
            two[j] = (uint8_t)((a >> 2 & 0x03) | (a >> 4 & 0x0c) | (b << 2 & 0x30) | (b & 0xc0));
        }
}

void kern_kv_decode(const kern_kv *x, float *y)
{
    for (int r = 0; r < x->terms; r++)
        for (int n = 0; n < x->outs; n++, y++) {
            if (x->level == KERN_KV_F16) {
                *y = quant_f16_to_f32(x->f16[r * x->outs + n]);
                continue;
            }
            float step = quant_f16_to_f32(x->scales[x->terms + r]) * kern_kv_width(x->level);
            *y = quant_f16_to_f32(x->scales[r]) + step * ((float)kern_kv_code(x, r, n) + 0.5f);
        }
}

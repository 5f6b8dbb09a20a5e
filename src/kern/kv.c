// KV pages in fewer bits, in plain C: encoding, the plane of 2 bits, decoding. kern.h draws the format.
//
// The cells reach from the least to the greatest value and a little past both, so that an error is at most half a cell.
// A term whose values are all the same has step 0 and keeps them exactly.
#include "kern/kv.h"

#include <string.h>

// Minimum and step of n values; false when one is infinite or no number.
static bool scale_of(const uint16_t *x, int n, uint16_t *min, uint16_t *step)
{
    float lo = quant_f16_to_f32(x[0]), hi = lo;
    for (int i = 0; i < n; i++) {
        if ((x[i] & KERN_KV_NOT_FINITE) == KERN_KV_NOT_FINITE)
            return false;
        float v = quant_f16_to_f32(x[i]);
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
    }
    kern_kv_grid(lo, hi, min, step);
    return true;
}

static uint8_t code_of(uint16_t x, float min, float inverse)
{
    int c = (int)((quant_f16_to_f32(x) - min) * inverse);
    return (uint8_t)(c < KERN_KV_CELLS ? c : KERN_KV_CELLS - 1);
}

bool kern_kv_encode_scalar(const uint16_t *x, int terms, int outs, uint8_t *high, uint8_t *low,
                           uint16_t *scales)
{
    memset(high, 0, (size_t)terms * (size_t)outs / 2);
    if (low)
        memset(low, 0, (size_t)terms * (size_t)outs / 2);
    for (int r = 0; r < terms; r++) {
        const uint16_t *row = x + (size_t)r * (size_t)outs;
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

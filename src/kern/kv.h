// What the kernels of quantized KV share, whatever the instruction set. kern.h draws the format.
#ifndef KERN_KV_H
#define KERN_KV_H

#include "kern/types.h"

enum {
    KERN_KV_CELLS = 256,
    KERN_KV_NOT_FINITE = 0x7c00,  // the exponent of F16 infinities and NaNs
};

// Steps that a cell is wide.
KERN_INLINE float kern_kv_width(enum kern_kv_level level)
{
    return level == KERN_KV_Q8 ? 1.0f : level == KERN_KV_Q4 ? 16.0f : 64.0f;
}

// What to multiply (value - min) by to get a code.
KERN_INLINE float kern_kv_inverse(uint16_t step)
{
    return step ? 1.0f / quant_f16_to_f32(step) : 0.0f;
}

// Byte of a plane, whose lines hold `groups` groups, in which term r and out n have their code.
KERN_INLINE size_t kern_kv_at(int outs, int r, int n, int groups)
{
    return ((size_t)(r / 4 / groups) * (size_t)(outs / 16) + (size_t)(n / 16)) * 64 +
           (size_t)(n % 16 * 4 + r % 4);
}

bool kern_kv_encode_scalar(const uint16_t *x, int terms, int outs, uint8_t *high, uint8_t *low,
                           uint16_t *scales);

#endif

// What the kernels of quantized KV share, whatever the instruction set. kern.h draws the format.
#ifndef KERN_KV_H
#define KERN_KV_H

#include <float.h>
#include <math.h>

#include "kern/types.h"

enum {
    KERN_KV_CELLS = 256,
    KERN_KV_MARGIN = 8,
    KERN_KV_NOT_FINITE = 0x7f800000,  // the exponent of infinities and NaNs
};

// Steps that a cell is wide.
KERN_INLINE float kern_kv_width(enum kern_kv_level level)
{
    return level == KERN_KV_Q8 ? 1.0f : level == KERN_KV_Q4 ? 16.0f : 64.0f;
}

KERN_INLINE uint16_t kern_kv_round_up(float x)
{
    uint16_t h = quant_f32_to_f16(x);
    return (uint16_t)(h + (quant_f16_to_f32(h) < x));
}

// Minimum and step of a term whose values reach from lo to hi. KERN_KV_MARGIN cells stay free at either end, half a
// cell of Q4: the middles of its outer cells are then lo and hi, the values that attention notices most (docs/KV.md).
// The step is rounded up, the minimum to the nearest F16: off by less than the margin, but where a term lies so close
// together, far from 0, that F16 values are further apart; there the minimum is one below and the cells reach on to hi.
// False: no minimum lies that low.
KERN_INLINE bool kern_kv_grid(float lo, float hi, uint16_t *min, uint16_t *step)
{
    const float wanted = (hi - lo) / (KERN_KV_CELLS - 2 * KERN_KV_MARGIN);
    *step = kern_kv_round_up(wanted);
    *min = quant_f32_to_f16(fmaxf(lo - KERN_KV_MARGIN * quant_f16_to_f32(*step), -65504.0f) +
                            0.0f);  // never -0
    if (quant_f16_to_f32(*min) > lo)
        *min = (uint16_t)(*min & 0x8000 ? *min + 1 : *min ? *min - 1 : 0x8001);
    const float past = hi - quant_f16_to_f32(*min);
    if (past > KERN_KV_CELLS * quant_f16_to_f32(*step))
        *step = kern_kv_round_up(past / KERN_KV_CELLS);
    return lo >= -65504.0f;
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

// The code of term r and out n, at a level that has codes.
KERN_INLINE int kern_kv_code(const kern_kv *x, int r, int n)
{
    if (x->level == KERN_KV_Q2)
        return x->two[kern_kv_at(x->outs, r, n, 4)] >> r / 4 % 4 * 2 & 3;
    size_t at = kern_kv_at(x->outs, r, n, 2);
    int shift = r / 4 % 2 * 4, high = x->high[at] >> shift & 15;
    return x->level == KERN_KV_Q4 ? high : high << 4 | (x->low[at] >> shift & 15);
}

// ---- Attention ---------------------------------------------------------------------------------------------
// Scores and weighted values are the same product of a row vector w[terms] (the query; the weights of the keys)
// with x[terms][outs], and every instruction set does it in these steps:
//   y[r] = w[r] * (step[r] * width);  top = max |y|;  q[r] = y[r] * (KERN_KV_TOP / top) rounded to nearest, 15 bits
//   base = sum of w[r] * (min[r] + step[r] * width / 2): lane j of 16 takes terms j, j + 16, .. by fused additions;
//          the lanes are added as kern_kv_sum16 does
//   I[n] = sum of q[r] * code[r][n]: exact, and within 32 bits for 512 terms
//   score[n] = fma(top / KERN_KV_TOP, I[n], base), or o[n] = fma(top / KERN_KV_TOP, I[n], o[n] + base)
// A side that is F16 is one chain of fused additions over the terms. Between the products, weights are e^x in the
// steps of kern_exp_avx2, and 16 lanes of their sum are added as those of base. A weight below e^-64 of the largest
// is 0: no sum would notice it, and products with it would be subnormal, which are slow.
enum { KERN_KV_TOP = 16383, KERN_KV_TERMS = 512, KERN_KV_LEAST = -64 };

// What to multiply by before rounding; clears a maximum too small to divide by.
KERN_INLINE float kern_kv_scale(float *top)
{
    float inverse = *top > 0.0f ? KERN_KV_TOP / *top : 0.0f;
    if (!(inverse <= FLT_MAX))
        inverse = *top = 0.0f;
    return inverse;
}

enum { KERN_KV_LANES = 16 };  // that sums run in, whatever the width of registers
// Half of a register on the other, until one value is left.
KERN_INLINE float kern_kv_sum16(float *x)
{
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            x[i] += x[i + n];
    return x[0];
}

// How an instruction set does the parts of an attention.
typedef struct kern_kv_steps {
    int rows;  // that go together, at most KERN_ATTN_ROWS
    // y = w * x, or y += w * x: x is quantized, w[rows][ldw], y[rows][ldy]. `ahead` is read next; or NULL.
    void (*multiply)(const kern_kv *x, const kern_kv *ahead, int rows, const float *w, int ldw, bool add,
                     float *y, int ldy);
    // y += w * x: x is F16, terms [from, to) of one row.
    void (*multiply_f16)(const kern_kv *x, const float *w, int from, int to, float *y);
    // Scores of keys [from, to), some, become weights, those of the others 0; m, l and o move to the new maximum. s is
    // aligned to 64.
    void (*soften)(const kern_attn *a, int row, int from, int to, float *s);
} kern_kv_steps;

// Attention in these steps.
void kern_kv_attend(const kern_attn *a, const kern_kv_steps *steps);

void kern_kv_attn_scalar(const kern_attn *a);
bool kern_kv_encode_scalar(const float *x, int terms, int outs, uint8_t *high, uint8_t *low,
                           uint16_t *scales);
kern_kv_measure_fn kern_kv_measure_scalar;

#endif

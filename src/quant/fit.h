// The search behind the encoders: scales that leave the least weighted squared error. Inside the quant room only.
//
// A block is brought to the range -1..1 first, so that neither huge nor tiny values can overflow the sums, and every
// value gets a weight. Then each group finds its own scale (and offset) by trying some and fitting each by least
// squares; the scales are rounded to the small integers of the format together, and these integers and the shared
// factor are improved in turns against what the decoder will really multiply by.
#ifndef QUANT_FIT_H
#define QUANT_FIT_H

#include "quant/blocks.h"

// How much an error at a value counts when nobody says how important its column is. Which of the two a format takes is what
// left the smaller divergence from F16 (docs/QUANTIZATION.md): they are within 3 % of each other.
enum quant_fit_care {
    QUANT_EVEN,       // all alike
    QUANT_MAGNITUDE,  // large values more: root mean square of the block + |x|
};

typedef struct quant_fit_block {
    float top;  // largest magnitude: what x was divided by
    float x[QUANT_SUPER], w[QUANT_SUPER];
} quant_fit_block;

// Fills *b with n <= QUANT_SUPER values. importance: [n] or NULL.
void quant_fit_load(quant_fit_block *b, const float *src, const float *importance, int n,
                    enum quant_fit_care care);

// Stores the factor v (of values divided by b->top) as F16; gives what a decoder's factor comes to.
float quant_fit_store(const quant_fit_block *b, uint8_t *p, float v);

// Levels that codes stand for: the integers lo..hi, or those of a table of 16, ascending.
typedef struct quant_grid {
    int lo, hi;
    const int8_t *table;  // NULL: integers
} quant_grid;

// The code whose level is nearest to v: the integer itself, or the index into the table.
int quant_fit_code(const quant_grid *g, float v);

// The scale s for x ~ s * level with the least weighted squared error of those tried; may be negative.
float quant_fit_scale(const quant_grid *g, const float *x, const float *w, int n);
// The same with an offset, x ~ s * q - offset with codes q 0..top. The scale is >= 0, and so is the offset unless it may
// have any sign.
typedef struct quant_affine {
    float scale, offset;
} quant_affine;
quant_affine quant_fit_affine(const float *x, const float *w, int n, int top, bool any_sign);

// The scales of b's groups of `size` values as integers -mid..mid-1 of one shared factor, which is stored at d.
void quant_fit_scales(const quant_fit_block *b, const quant_grid *g, int size, int mid, uint8_t *d,
                      int8_t *scale, float *stored);
// The affine fits of b's groups of `size` values as integers 0..most of two shared factors, stored at d and dmin.
void quant_fit_affines(const quant_fit_block *b, int size, int top, int most, uint8_t *d, uint8_t *dmin,
                       uint8_t *scale, uint8_t *offset, quant_affine *stored);

static inline int quant_fit_affine_code(float x, quant_affine f, int top)
{
    return quant_round((x + f.offset) * quant_inverse(f.scale), 0, top);
}

#endif

// Attention over a page on NEON. Rows that share the page's keys are taken four at a time, so that a key or value
// widened from F16 serves four of them. Whatever the tile, a score is one chain of fused additions over the head,
// an output value one chain over the visible keys: a row gets the same bits alone and in company.
#include <math.h>

#include "kern/arm/math_neon.h"
#include "kern/arm/neon.h"

enum { ROWS = 4, VECTORS = 4 };  // a tile is 4 rows x 16 keys (or places of the head): 16 sums

// Scores of 16 keys from t on, for rows [row, row + rows), into s.
KERN_INLINE void scores_tile(const kern_attn *a, int row, int rows, int t, float (*s)[KERN_PAGE])
{
    float32x4_t acc[ROWS][VECTORS];
    KERN_UNROLL
    for (int r = 0; r < rows; r++)
        KERN_UNROLL
    for (int v = 0; v < VECTORS; v++)
        acc[r][v] = vdupq_n_f32(0.0f);
    for (int i = 0; i < a->hd; i++) {
        const uint16_t *k = a->k + i * KERN_PAGE + t;
        KERN_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            float32x4_t key = kern_f16x4_neon(k + 4 * v);
            KERN_UNROLL
            for (int r = 0; r < rows; r++)
                acc[r][v] = vfmaq_n_f32(acc[r][v], key, a->q[(row + r) * a->hd + i]);
        }
    }
    KERN_UNROLL
    for (int r = 0; r < rows; r++)
        KERN_UNROLL
    for (int v = 0; v < VECTORS; v++)
        vst1q_f32(s[row + r] + t + 4 * v, acc[r][v]);
}

// Scores become weights e^(s - m) in place, 0 for keys the row does not see; m, l and o move to the new maximum.
// False when the row sees nothing here.
static bool soften(const kern_attn *a, int row, int from, int to, float *s)
{
    float max = a->m[row];
    for (int t = 0; t < from; t++)
        s[t] = -INFINITY;
    for (int t = to; t < KERN_PAGE; t++)
        s[t] = -INFINITY;
    float32x4_t most = vdupq_n_f32(max);
    for (int t = 0; t < KERN_PAGE; t += 4) {
        float32x4_t v = vld1q_f32(s + t);
        if (a->softcap > 0.0f) {
            uint32x4_t none = vceqq_f32(v, vdupq_n_f32(-INFINITY));
            float32x4_t capped = kern_tanh_neon(vdivq_f32(v, vdupq_n_f32(a->softcap)));
            v = vbslq_f32(none, v, vmulq_n_f32(capped, a->softcap));
        }
        most = vmaxq_f32(most, v);
        vst1q_f32(s + t, v);
    }
    max = vmaxvq_f32(most);
    if (max == -INFINITY)
        return false;
    float32x4_t sum = vdupq_n_f32(0.0f);
    for (int t = 0; t < KERN_PAGE; t += 4) {
        float32x4_t p = kern_exp_neon(vsubq_f32(vld1q_f32(s + t), vdupq_n_f32(max)));
        sum = vaddq_f32(sum, p);
        vst1q_f32(s + t, p);
    }
    float shrink = vgetq_lane_f32(kern_exp_neon(vdupq_n_f32(a->m[row] - max)), 0);
    a->l[row] = a->l[row] * shrink + vaddvq_f32(sum);
    if (a->m[row] != max)
        for (int i = 0; i < a->hd; i += 4)
            vst1q_f32(a->o + row * a->hd + i, vmulq_n_f32(vld1q_f32(a->o + row * a->hd + i), shrink));
    a->m[row] = max;
    return true;
}

// o of rows [row, row + rows) += weights times values of keys [from, to).
KERN_INLINE void values_tile(const kern_attn *a, const float (*s)[KERN_PAGE], int row, int rows, int from,
                             int to)
{
    for (int i = 0; i < a->hd; i += 4 * VECTORS) {
        float32x4_t acc[ROWS][VECTORS];
        KERN_UNROLL
        for (int r = 0; r < rows; r++)
            KERN_UNROLL
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] = vld1q_f32(a->o + (row + r) * a->hd + i + 4 * v);
        for (int t = from; t < to; t++)
            KERN_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            float32x4_t value = kern_f16x4_neon(a->v + t * a->hd + i + 4 * v);
            KERN_UNROLL
            for (int r = 0; r < rows; r++)
                acc[r][v] = vfmaq_n_f32(acc[r][v], value, s[row + r][t]);
        }
        KERN_UNROLL
        for (int r = 0; r < rows; r++)
            KERN_UNROLL
        for (int v = 0; v < VECTORS; v++)
            vst1q_f32(a->o + (row + r) * a->hd + i + 4 * v, acc[r][v]);
    }
}

// Keys all four rows see go together; what one sees before and after them goes alone, in order.
static void values_four(const kern_attn *a, const float (*s)[KERN_PAGE], int row, const int *from,
                        const int *to)
{
    int lo = from[0], hi = to[0];
    for (int r = 1; r < ROWS; r++) {
        lo = from[r] > lo ? from[r] : lo;
        hi = to[r] < hi ? to[r] : hi;
    }
    hi = hi > lo ? hi : lo;
    for (int r = 0; r < ROWS; r++)
        values_tile(a, s, row + r, 1, from[r], to[r] < lo ? to[r] : lo);
    values_tile(a, s, row, ROWS, lo, hi);
    for (int r = 0; r < ROWS; r++)
        values_tile(a, s, row + r, 1, from[r] > hi ? from[r] : hi, to[r]);
}

static void attn_f16(const kern_attn *a)
{
    float s[KERN_ATTN_ROWS][KERN_PAGE];
    int from[KERN_ATTN_ROWS], to[KERN_ATTN_ROWS], last = 0, row = 0;
    for (int r = 0; r < a->rows; r++)
        last = a->visible[r] > last ? a->visible[r] : last;
    for (; row + ROWS <= a->rows; row += ROWS)
        for (int t = 0; t < last; t += 16)
            scores_tile(a, row, ROWS, t, s);
    for (; row < a->rows; row++)
        for (int t = 0; t < last; t += 16)
            scores_tile(a, row, 1, t, s);
    for (int r = 0; r < a->rows; r++) {
        from[r] = a->first ? a->first[r] : 0;
        to[r] = a->visible[r];
        if (from[r] >= to[r] || !soften(a, r, from[r], to[r], s[r]))
            from[r] = to[r] = 0;
    }
    for (row = 0; row + ROWS <= a->rows; row += ROWS)
        values_four(a, (const float(*)[KERN_PAGE])s, row, from + row, to + row);
    for (; row < a->rows; row++)
        values_tile(a, (const float(*)[KERN_PAGE])s, row, 1, from[row], to[row]);
}

void kern_neon_fill_attn(kern_table *t)
{
    t->attn_f16 = attn_f16;
}

// See fit.h. The numbers of tries come from tests/quant/test_encode.c's data: twice as many leave less than a tenth of a
// percent less error.
#include "quant/fit.h"

#include <string.h>

enum { TRIES = 6, TURNS = 3, MOST_GROUPS = 16 };

// Nearest integer of a value already known to lie within a few thousand; ties go to the even one. A library's
// rounding would be a call for each value.
static inline float nearest(float v)
{
    return v + 12582912.0f - 12582912.0f;
}

static inline float snap(const quant_grid *g, float v)
{
    float lo = (float)g->lo, hi = (float)g->hi;
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    v = nearest(v);
    return g->table ? (float)g->table[quant_fit_code(g, v)] : v;
}

int quant_fit_code(const quant_grid *g, float v)
{
    if (!g->table)
        return quant_round(v, g->lo, g->hi);
    int q = 0;
    for (int step = 8; step; step /= 2)
        if (v > (float)(g->table[q + step - 1] + g->table[q + step]) * 0.5f)
            q += step;
    return q;
}

static void load_weights(quant_fit_block *b, const float *importance, int n, enum quant_fit_care care)
{
    float most = 0, power = 0;
    for (int i = 0; i < n; i++) {
        if (importance && importance[i] > most)
            most = importance[i];
        power += b->x[i] * b->x[i];
    }
    float rms = sqrtf(power / (float)n);
    for (int i = 0; i < n; i++) {
        b->w[i] = care == QUANT_MAGNITUDE || importance ? rms + fabsf(b->x[i]) : 1;
        // The root, because a text tells only so much about others: it was better than the importance itself
        // (docs/QUANTIZATION.md). And a column that was never used must not become arbitrary.
        if (most > 0)
            b->w[i] *= sqrtf(importance[i] / most + 1e-6f);
    }
}

void quant_fit_load(quant_fit_block *b, const float *src, const float *importance, int n,
                    enum quant_fit_care care)
{
    b->top = fabsf(quant_extreme(src, n));
    if (!(b->top <= 3.4e38f))
        b->top = 3.4e38f;  // an infinity becomes the largest finite value
    for (int i = 0; i < n; i++) {
        float v = b->top > 0 ? src[i] / b->top : 0;
        b->x[i] = v > -1 ? v < 1 ? v : 1 : v < 0 ? -1 : 0;  // not a number becomes 0
    }
    load_weights(b, importance, n, care);
}

float quant_fit_store(const quant_fit_block *b, uint8_t *p, float v)
{
    float stored = quant_store_scale(p, v * b->top);
    return b->top > 0 ? stored / b->top : 0;
}

// One try: the levels at `inv` times x, and the drop in error of the scale that fits them best.
static float try_scale(const quant_grid *g, const float *x, const float *w, int n, float inv, float *gain)
{
    float xq = 0, qq = 0;
    for (int i = 0; i < n; i++) {
        float q = snap(g, x[i] * inv), wq = w[i] * q;
        xq += wq * x[i];
        qq += wq * q;
    }
    *gain = qq > 0 ? xq * xq / qq : 0;
    return qq > 0 ? xq / qq : 0;
}

float quant_fit_scale(const quant_grid *g, const float *x, const float *w, int n)
{
    float top = quant_extreme(x, n), best = 0, best_gain = 0, gain;
    if (top == 0)
        return 0;
    // The extreme value may lie on the lowest level or on the highest, or a little beyond.
    float ends[2] = {(float)g->lo, (float)g->hi}, step = (float)(g->hi - g->lo) * 0.02f;
    step = step < 0.125f ? 0.125f : step;
    step = g->table || step < 0.2f ? step : 0.2f;
    for (int end = 0; end < 2; end++)
        for (int t = -TRIES; t <= TRIES; t++) {
            float inv = (ends[end] + (end ? step : -step) * (float)t) / top;
            float s = try_scale(g, x, w, n, inv, &gain);
            if (gain > best_gain) {
                best_gain = gain;
                best = s;
            }
        }
    // The codes of the fitted scale may fit better still.
    if (best != 0) {
        float s = try_scale(g, x, w, n, 1 / best, &gain);
        if (gain > best_gain)
            best = s;
    }
    return best;
}

// The least-squares scale and offset for codes q, with the offset kept from going below 0 unless it may have
// any sign, and the error they leave.
static quant_affine solve(const float *x, const float *w, const float *q, int n, bool any_sign, float *error)
{
    float sw = 0, sx = 0, sq = 0, sxq = 0, sqq = 0;
    for (int i = 0; i < n; i++) {
        float wq = w[i] * q[i];
        sw += w[i];
        sx += w[i] * x[i];
        sq += wq;
        sxq += wq * x[i];
        sqq += wq * q[i];
    }
    quant_affine f = {0, 0};
    float det = sw * sqq - sq * sq;
    if (det > 0) {
        f.scale = (sw * sxq - sx * sq) / det;
        f.offset = (f.scale * sq - sx) / sw;
    }
    if ((f.offset < 0 && !any_sign) || !(f.scale > 0)) {  // one of the two must do
        bool positive = sxq > 0 && sqq > 0;
        bool level = any_sign || !(positive || sx > 0);
        f.offset = level && sw > 0 ? -sx / sw : 0;
        f.scale = positive && !any_sign ? sxq / sqq : 0;
    }
    *error = 0;
    for (int i = 0; i < n; i++) {
        float miss = f.scale * q[i] - f.offset - x[i];
        *error += w[i] * miss * miss;
    }
    return f;
}

static void affine_codes(const float *x, int n, quant_affine f, int top, float *q)
{
    float inv = quant_inverse(f.scale), most = (float)top;
    for (int i = 0; i < n; i++) {
        float v = (x[i] + f.offset) * inv;
        v = v > 0 ? v : 0;
        q[i] = nearest(v < most ? v : most);
    }
}

quant_affine quant_fit_affine(const float *x, const float *w, int n, int top, bool any_sign)
{
    // 0 must stay within reach where offsets are never negative.
    float lo = any_sign ? x[0] : 0, hi = lo, q[QUANT_SUPER];
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    if (!(hi > lo))
        return (quant_affine){0, -lo};
    quant_affine best = {(hi - lo) / (float)top, -lo};
    float least = INFINITY, step = top < 8 ? 0.1f : 0.15f;
    for (int t = -TRIES; t <= TRIES; t++) {
        quant_affine f = {(hi - lo) / ((float)top + step * (float)t), -lo};
        for (int again = 0; again < 2; again++) {  // the fit's own codes may fit better
            float error;
            affine_codes(x, n, f, top, q);
            f = solve(x, w, q, n, any_sign, &error);
            if (error < least) {
                least = error;
                best = f;
            }
        }
    }
    return best;
}

static float scale_error(const quant_grid *g, const float *x, const float *w, int n, float s)
{
    float sum = 0, inv = quant_inverse(s);
    for (int i = 0; i < n; i++) {
        float miss = x[i] - s * snap(g, x[i] * inv);
        sum += w[i] * miss * miss;
    }
    return sum;
}

// Moves every integer to its best neighbour under the factor d; gives the error of the block.
static float settle_scales(const quant_fit_block *b, const quant_grid *g, int size, int mid, float d,
                           int8_t *scale)
{
    float total = 0;
    for (int k = 0; k < QUANT_SUPER / size; k++) {
        float least = INFINITY;
        int at = scale[k];
        for (int v = at - 1; v <= at + 1; v++) {
            if (v < -mid || v >= mid)
                continue;
            float error = scale_error(g, b->x + k * size, b->w + k * size, size, d * (float)v);
            if (error < least) {
                least = error;
                scale[k] = (int8_t)v;
            }
        }
        total += least;
    }
    return total;
}

// The factor that fits the integers and their codes best.
static float refit_factor(const quant_fit_block *b, const quant_grid *g, int size, float d,
                          const int8_t *scale)
{
    float num = 0, den = 0;
    for (int i = 0; i < QUANT_SUPER; i++) {
        float s = (float)scale[i / size], level = s * snap(g, b->x[i] * quant_inverse(d * s));
        num += b->w[i] * b->x[i] * level;
        den += b->w[i] * level * level;
    }
    return den > 0 ? num / den : d;
}

void quant_fit_scales(const quant_fit_block *b, const quant_grid *g, int size, int mid, uint8_t *d_out,
                      int8_t *scale, float *stored)
{
    float fits[MOST_GROUPS];
    int groups = QUANT_SUPER / size;
    for (int k = 0; k < groups; k++)
        fits[k] = quant_fit_scale(g, b->x + k * size, b->w + k * size, size);
    float d = quant_fit_store(b, d_out, quant_extreme(fits, groups) / (float)-mid), inv = quant_inverse(d);
    for (int k = 0; k < groups; k++)
        scale[k] = (int8_t)quant_round(fits[k] * inv, -mid, mid - 1);
    float error = settle_scales(b, g, size, mid, d, scale);
    for (int turn = 0; turn < TURNS; turn++) {
        uint8_t other_d[2];
        int8_t other[MOST_GROUPS];
        memcpy(other, scale, (size_t)groups);
        float next = quant_fit_store(b, other_d, refit_factor(b, g, size, d, scale));
        float left = settle_scales(b, g, size, mid, next, other);
        if (!(left < error))
            break;
        error = left;
        d = next;
        memcpy(d_out, other_d, 2);
        memcpy(scale, other, (size_t)groups);
    }
    for (int k = 0; k < groups; k++)
        stored[k] = d * (float)scale[k];
}

typedef struct factors {
    float d, dmin;
    uint8_t bytes[4];  // as stored
} factors;

static factors store_factors(const quant_fit_block *b, float d, float dmin)
{
    factors f;
    f.d = quant_fit_store(b, f.bytes, d);
    f.dmin = quant_fit_store(b, f.bytes + 2, dmin);
    return f;
}

static float affine_error(const float *x, const float *w, int n, quant_affine f, int top)
{
    float q[QUANT_SUPER], sum = 0;
    affine_codes(x, n, f, top, q);
    for (int i = 0; i < n; i++) {
        float miss = f.scale * q[i] - f.offset - x[i];
        sum += w[i] * miss * miss;
    }
    return sum;
}

// Moves every pair of integers to its best neighbour; gives the error of the block.
static float settle_affines(const quant_fit_block *b, int size, int top, int most, factors f, uint8_t *scale,
                            uint8_t *offset)
{
    float total = 0;
    for (int k = 0; k < QUANT_SUPER / size; k++) {
        float least = INFINITY;
        int s0 = scale[k], o0 = offset[k];
        for (int at = 0; at < 9; at++) {
            int s = s0 + at / 3 - 1, o = o0 + at % 3 - 1;
            if (s < 0 || s > most || o < 0 || o > most)
                continue;
            quant_affine a = {f.d * (float)s, f.dmin * (float)o};
            float error = affine_error(b->x + k * size, b->w + k * size, size, a, top);
            if (error < least) {
                least = error;
                scale[k] = (uint8_t)s;
                offset[k] = (uint8_t)o;
            }
        }
        total += least;
    }
    return total;
}

// The two factors that fit the integers and their codes best: least squares over x ~ d * (s q) - dmin * o.
static factors refit_factors(const quant_fit_block *b, int size, int top, factors f, const uint8_t *scale,
                             const uint8_t *offset)
{
    float aa = 0, ao = 0, oo = 0, ax = 0, ox = 0, q[QUANT_SUPER];
    for (int k = 0; k < QUANT_SUPER / size; k++) {
        quant_affine a = {f.d * (float)scale[k], f.dmin * (float)offset[k]};
        float s = scale[k], o = offset[k];
        affine_codes(b->x + k * size, size, a, top, q);
        for (int i = 0; i < size; i++) {
            float w = b->w[k * size + i], x = b->x[k * size + i], v = s * q[i];
            aa += w * v * v;
            ao += w * v * o;
            oo += w * o * o;
            ax += w * v * x;
            ox += w * o * x;
        }
    }
    float det = aa * oo - ao * ao, d = f.d, dmin = f.dmin;
    if (det > 1e-6f * aa * oo) {
        d = (ax * oo - ox * ao) / det;
        dmin = (ax * ao - ox * aa) / det;
    } else if (aa > 0) {
        d = (ax + dmin * ao) / aa;
    }
    return store_factors(b, d > 0 ? d : f.d, dmin > 0 ? dmin : 0);
}

void quant_fit_affines(const quant_fit_block *b, int size, int top, int most, uint8_t *d_out,
                       uint8_t *dmin_out, uint8_t *scale, uint8_t *offset, quant_affine *stored)
{
    quant_affine fits[MOST_GROUPS];
    int groups = QUANT_SUPER / size;
    float most_scale = 0, most_offset = 0;
    for (int k = 0; k < groups; k++) {
        fits[k] = quant_fit_affine(b->x + k * size, b->w + k * size, size, top, false);
        most_scale = fits[k].scale > most_scale ? fits[k].scale : most_scale;
        most_offset = fits[k].offset > most_offset ? fits[k].offset : most_offset;
    }
    factors f = store_factors(b, most_scale / (float)most, most_offset / (float)most);
    for (int k = 0; k < groups; k++) {
        scale[k] = (uint8_t)quant_round(fits[k].scale * quant_inverse(f.d), 0, most);
        offset[k] = (uint8_t)quant_round(fits[k].offset * quant_inverse(f.dmin), 0, most);
    }
    float error = settle_affines(b, size, top, most, f, scale, offset);
    for (int turn = 0; turn < TURNS; turn++) {
        uint8_t other[2][MOST_GROUPS];
        memcpy(other[0], scale, (size_t)groups);
        memcpy(other[1], offset, (size_t)groups);
        factors next = refit_factors(b, size, top, f, scale, offset);
        float left = settle_affines(b, size, top, most, next, other[0], other[1]);
        if (!(left < error))
            break;
        error = left;
        f = next;
        memcpy(scale, other[0], (size_t)groups);
        memcpy(offset, other[1], (size_t)groups);
    }
    memcpy(d_out, f.bytes, 2);
    memcpy(dmin_out, f.bytes + 2, 2);
    for (int k = 0; k < groups; k++)
        stored[k] = (quant_affine){f.d * (float)scale[k], f.dmin * (float)offset[k]};
}

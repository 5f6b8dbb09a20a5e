// Attention over a page whose keys or values are quantized: the way through its steps, and the steps in plain C, which
// every instruction set must match to the bit. kv.h states them.
#include <string.h>

#include "kern/kv.h"

// e^x in the steps of x86/math_avx2.h, which explains them.
static float exp_of(float x)
{
    if (x < -87.3f)
        return 0.0f;
    x = x < 88.3f ? x : 88.3f;
    float n = rintf(x * 1.44269504f);
    float r = fmaf(-n, 0.693359375f, x);
    r = fmaf(-n, -2.12194440e-4f, r);
    float p = 0.00138146128f;
    p = fmaf(p, r, 0.00836871006f);
    p = fmaf(p, r, 0.041668389f);
    p = fmaf(p, r, 0.166665211f);
    p = fmaf(p, r, 0.49999994f);
    p = fmaf(r * r, p, r) + 1.0f;
    uint32_t bits = (uint32_t)((int)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static float tanh_of(float x)
{
    return 1.0f - 2.0f / (exp_of(x + x) + 1.0f);
}

// A row vector made ready for a quantized side.
typedef struct factors {
    int16_t q[KERN_KV_TERMS];
    float scale, base;
} factors;

static void prepare(const kern_kv *x, const float *w, factors *f)
{
    float y[KERN_KV_TERMS], lanes[16] = {0}, top = 0.0f;
    for (int r = 0; r < x->terms; r++) {
        float step = quant_f16_to_f32(x->scales[x->terms + r]) * kern_kv_width(x->level);
        float middle = quant_f16_to_f32(x->scales[r]) + 0.5f * step;
        y[r] = w[r] * step;
        top = fmaxf(top, fabsf(y[r]));
        lanes[r % 16] = fmaf(w[r], middle, lanes[r % 16]);
    }
    float inverse = kern_kv_scale(&top);
    for (int r = 0; r < x->terms; r++)
        f->q[r] = (int16_t)lrintf(y[r] * inverse);
    f->scale = top / KERN_KV_TOP;
    f->base = kern_kv_sum16(lanes);
}

static void multiply(const kern_kv *x, const kern_kv *ahead, int rows, const float *w, int ldw, bool add,
                     float *y, int ldy)
{
    (void)ahead;
    for (int t = 0; t < rows; t++, w += ldw, y += ldy) {
        factors f;
        prepare(x, w, &f);
        for (int n = 0; n < x->outs; n++) {
            int32_t sum = 0;
            for (int r = 0; r < x->terms; r++)
                sum += f.q[r] * kern_kv_code(x, r, n);
            y[n] = fmaf(f.scale, (float)sum, (add ? y[n] : 0.0f) + f.base);
        }
    }
}

static void multiply_f16(const kern_kv *x, const float *w, int from, int to, float *y)
{
    for (int n = 0; n < x->outs; n++)
        for (int r = from; r < to; r++)
            y[n] = fmaf(w[r], quant_f16_to_f32(x->f16[r * x->outs + n]), y[n]);
}

static void soften(const kern_attn *a, int row, int from, int to, float *s)
{
    float m = a->m[row], lanes[16] = {0}, *o = a->o + row * a->hd;
    for (int t = from; t < to; t++) {
        if (a->softcap > 0.0f)
            s[t] = a->softcap * tanh_of(s[t] / a->softcap);
        m = fmaxf(m, s[t]);
    }
    m += 0.0f;  // no -0, whose bits would depend on the order of comparisons
    if (m == -INFINITY) {
        memset(s, 0, KERN_PAGE * sizeof *s);
        return;
    }
    for (int t = 0; t < KERN_PAGE; t++) {
        s[t] = t >= from && t < to && s[t] - m >= KERN_KV_LEAST ? exp_of(s[t] - m) : 0.0f;
        lanes[t % 16] += s[t];
    }
    float shrink = exp_of(a->m[row] - m);
    a->l[row] = fmaf(a->l[row], shrink, kern_kv_sum16(lanes));
    a->m[row] = m;
    for (int i = 0; i < a->hd; i++)
        o[i] *= shrink;
}

void kern_kv_attn_scalar(const kern_attn *a)
{
    static const kern_kv_steps steps = {1, multiply, multiply_f16, soften};
    kern_kv_attend(a, &steps);
}

static int first_of(const kern_attn *a, int row)
{
    return a->first ? a->first[row] : 0;
}

// Rows from `row` on, at most `most`, that all see something of the page: those may go together.
static int run_of(const kern_attn *a, int row, int most)
{
    int n = 0;
    while (n < most && row + n < a->rows && first_of(a, row + n) < a->visible[row + n])
        n++;
    return n;
}

static void attend_run(const kern_attn *a, const kern_kv_steps *steps, int row0, int rows)
{
    _Alignas(64) float s[KERN_ATTN_ROWS][KERN_PAGE];
    const float *q = (a->kq->level == KERN_KV_F16 ? a->q : a->turned) + row0 * a->hd;
    float *o = a->o + row0 * a->hd;
    if (a->kq->level != KERN_KV_F16) {
        steps->multiply(a->kq, a->vq, rows, q, a->hd, false, s[0], KERN_PAGE);
    } else {
        memset(s, 0, (size_t)rows * sizeof s[0]);
        for (int t = 0; t < rows; t++)
            steps->multiply_f16(a->kq, q + t * a->hd, 0, a->hd, s[t]);
    }
    for (int t = 0; t < rows; t++)
        steps->soften(a, row0 + t, first_of(a, row0 + t), a->visible[row0 + t], s[t]);
    if (a->vq->level != KERN_KV_F16)
        steps->multiply(a->vq, a->next_kq, rows, s[0], KERN_PAGE, true, o, a->hd);
    else
        for (int t = 0; t < rows; t++)
            steps->multiply_f16(a->vq, s[t], first_of(a, row0 + t), a->visible[row0 + t], o + t * a->hd);
}

void kern_kv_attend(const kern_attn *a, const kern_kv_steps *steps)
{
    for (int row = 0; row < a->rows;) {
        int n = run_of(a, row, steps->rows);
        if (n)
            attend_run(a, steps, row, n);
        row += n ? n : 1;
    }
}

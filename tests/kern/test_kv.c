// Quantized KV: errors within half a cell, levels nested to the bit, values that no grid holds refused, and every
// instruction set with the bits of scalar C.
#include <math.h>
#include <string.h>

#include "fixture.h"

static const int heads[] = {16, 48, 64, 80, 96, 112, 128, 192, 256, 512};
enum { HEADS = sizeof heads / sizeof heads[0], MOST = 512 * KERN_PAGE };

// One head of one side with all its planes, each ending at a guard page.
typedef struct head {
    int terms, outs;
    guarded x, f16, high, low, two, scales;
} head;

static head head_new(enum kern_kv_side side, int hd)
{
    head h = {.terms = kern_kv_terms(side, hd)};
    h.outs = hd * KERN_PAGE / h.terms;
    h.x = guarded_new((size_t)(hd * KERN_PAGE) * sizeof(float), sizeof(float));
    h.f16 = guarded_new((size_t)(hd * KERN_PAGE) * 2, 2);
    h.high = guarded_new(kern_kv_code_bytes(hd, 4), 64);
    h.low = guarded_new(kern_kv_code_bytes(hd, 4), 64);
    h.two = guarded_new(kern_kv_code_bytes(hd, 2), 64);
    h.scales = guarded_new(kern_kv_scale_bytes(side, hd), 64);
    return h;
}

static void head_free(head *h)
{
    guarded_free(&h->x);
    guarded_free(&h->f16);
    guarded_free(&h->high);
    guarded_free(&h->low);
    guarded_free(&h->two);
    guarded_free(&h->scales);
}

static kern_kv at_level(const head *h, enum kern_kv_level level)
{
    return (kern_kv){.level = level,
                     .terms = h->terms,
                     .outs = h->outs,
                     .f16 = h->f16.p,
                     .high = h->high.p,
                     .low = h->low.p,
                     .two = h->two.p,
                     .scales = h->scales.p};
}

// Terms of very different size and offset; now and then a constant, a subnormal or an extreme one.
static void fill(head *h)
{
    uint16_t *x = h->f16.p;
    for (int r = 0; r < h->terms; r++) {
        int kind = rnd_int(12);
        float size = kind == 0 ? 0.0f : kind == 1 ? 1e-7f : kind == 2 ? 65504.0f : expf(rnd_float(4.0f));
        float offset = kind > 2 && kind < 6 ? rnd_float(100.0f) : 0.0f;
        for (int n = 0; n < h->outs; n++)
            x[r * h->outs + n] = quant_f32_to_f16(offset + rnd_float(size));
    }
}

static bool encode(const kern_table *t, const head *h)
{
    t->f16_to_f32(h->f16.p, h->terms * h->outs, h->x.p);
    return t->kv_encode(h->x.p, h->terms, h->outs, h->high.p, h->low.p, h->scales.p);
}

static void check_errors(const head *h, enum kern_kv_level level, float cell)
{
    static float y[MOST];
    const uint16_t *scales = h->scales.p, *x = h->f16.p;
    kern_kv v = at_level(h, level);
    kern_kv_decode(&v, y);
    for (int r = 0; r < h->terms; r++) {
        float least = INFINITY, most = -INFINITY, step = quant_f16_to_f32(scales[h->terms + r]);
        for (int n = 0; n < h->outs; n++) {
            float want = quant_f16_to_f32(x[r * h->outs + n]);
            least = fminf(least, want);
            most = fmaxf(most, want);
            assert_true(fabsf(y[r * h->outs + n] - want) <= 0.51f * cell * step);
        }
        // No coarser than the range asks for, but for the rounding of the step to F16.
        assert_true(step <= (most - least) / 240.0f * 1.001f + 0x1p-24f);
        float min = quant_f16_to_f32(scales[r]);
        assert_true(min <= least && min + 256.0f * step >= most);
    }
}

static void errors_stay_within_half_a_cell(void **state)
{
    (void)state;
    const kern_table *t = kern_get_exactly(KERN_SCALAR);
    for (int i = 0; i < HEADS; i++)
        for (int side = KERN_KV_K; side <= KERN_KV_V; side++) {
            head h = head_new((enum kern_kv_side)side, heads[i]);
            fill(&h);
            assert_true(encode(t, &h));
            kern_kv_narrow(h.high.p, h.terms, h.outs, h.two.p);
            check_errors(&h, KERN_KV_Q8, 1.0f);
            check_errors(&h, KERN_KV_Q4, 16.0f);
            check_errors(&h, KERN_KV_Q2, 64.0f);
            head_free(&h);
        }
}

// What is measured of a head is what its decoded values are off by.
static void losses_are_those_of_decoded_values(void **state)
{
    (void)state;
    static float y[MOST];
    for (int i = 0; i < 2 * HEADS; i++) {
        const enum kern_kv_side side = i % 2 ? KERN_KV_K : KERN_KV_V;
        head h = head_new(side, heads[i / 2]);
        const float *x = h.x.p;
        kern_kv_loss loss;
        double whole = 0;
        fill(&h);
        assert_true(encode(kern_get_exactly(KERN_SCALAR), &h));
        kern_kv_narrow(h.high.p, h.terms, h.outs, h.two.p);
        assert_true(kern_get_exactly(KERN_SCALAR)->kv_measure(x, side, h.terms, h.outs, &loss));
        for (int level = KERN_KV_Q8; level <= KERN_KV_Q2; level++) {
            double sum = 0;
            kern_kv v = at_level(&h, (enum kern_kv_level)level);
            kern_kv_decode(&v, y);
            for (int j = 0; j < h.terms * h.outs; j++)
                sum += (double)(y[j] - x[j]) * (double)(y[j] - x[j]);
            assert_true(fabs((double)loss.error[level - KERN_KV_Q8] - sum) <= 1e-3 * sum);
        }
        for (int r = 0; r < h.terms; r++) {
            double mean = 0;
            for (int n = 0; side == KERN_KV_K && n < h.outs; n++)
                mean += (double)x[r * h.outs + n] / h.outs;
            for (int n = 0; n < h.outs; n++)
                whole += ((double)x[r * h.outs + n] - mean) * ((double)x[r * h.outs + n] - mean);
        }
        assert_true(fabs((double)loss.whole - whole) <= 1e-3 * whole);
        head_free(&h);
    }
}

// The cell a value fell into at one level lies inside its cell at the next.
static void levels_are_nested(void **state)
{
    (void)state;
    static float y[3][MOST];
    for (int i = 0; i < HEADS; i++) {
        head h = head_new(i % 2 ? KERN_KV_K : KERN_KV_V, heads[i]);
        uint16_t *scales = h.scales.p;
        fill(&h);
        assert_true(encode(kern_get_exactly(KERN_SCALAR), &h));
        kern_kv_narrow(h.high.p, h.terms, h.outs, h.two.p);
        for (int r = 0; r < h.terms; r++) {  // a grid in which a value is its code
            scales[r] = quant_f32_to_f16(-0.5f);
            scales[h.terms + r] = quant_f32_to_f16(1.0f);
        }
        for (int level = 0; level < 3; level++) {
            kern_kv v = at_level(&h, (enum kern_kv_level)(KERN_KV_Q8 + level));
            kern_kv_decode(&v, y[level]);
        }
        for (int j = 0; j < heads[i] * KERN_PAGE; j++) {
            int code = (int)y[0][j];
            assert_true((float)code == y[0][j] && code >= 0 && code < 256);
            assert_true(y[1][j] == (float)(code / 16 * 16) + 7.5f);
            assert_true(y[2][j] == (float)(code / 64 * 64) + 31.5f);
        }
        head_free(&h);
    }
}

static void constant_terms_are_exact(void **state)
{
    (void)state;
    static const float values[] = {0.0f, -0.0f, 3.140625f, -65504.0f, 0x1p-24f};
    static float y[MOST];
    head h = head_new(KERN_KV_K, 64);
    uint16_t *x = h.f16.p;
    for (int i = 0; i < 64 * KERN_PAGE; i++)
        x[i] = quant_f32_to_f16(values[i / KERN_PAGE % 5]);
    assert_true(encode(kern_get_exactly(KERN_SCALAR), &h));
    kern_kv_narrow(h.high.p, h.terms, h.outs, h.two.p);
    for (int level = KERN_KV_F16; level <= KERN_KV_Q2; level++) {
        kern_kv v = at_level(&h, (enum kern_kv_level)level);
        kern_kv_decode(&v, y);
        for (int i = 0; i < 64 * KERN_PAGE; i++)
            assert_true(y[i] == values[i / KERN_PAGE % 5]);
    }
    head_free(&h);
}

static void refuse(const kern_table *t)
{
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0xfd55};
    for (int i = 0; i < 40; i++) {
        head h = head_new(i % 2 ? KERN_KV_K : KERN_KV_V, heads[i % HEADS]);
        fill(&h);
        assert_true(encode(t, &h));
        ((uint16_t *)h.f16.p)[rnd_int(h.terms * h.outs)] = bad[i % 4];
        assert_false(encode(t, &h));
        kern_kv_loss loss;
        assert_false(t->kv_measure(h.x.p, i % 2 ? KERN_KV_K : KERN_KV_V, h.terms, h.outs, &loss));
        head_free(&h);
    }
}

static void values_off_every_grid_are_refused(void **state)
{
    (void)state;
    for_each_isa(refuse);
}

static void compare_encoding(const kern_table *t)
{
    for (int i = 0; i < 4 * HEADS; i++) {
        enum kern_kv_side side = i % 2 ? KERN_KV_K : KERN_KV_V;
        int hd = heads[i / 4];
        head a = head_new(side, hd), b = head_new(side, hd);
        fill(&a);
        memcpy(b.f16.p, a.f16.p, (size_t)(hd * KERN_PAGE) * 2);
        assert_true(encode(kern_get_exactly(KERN_SCALAR), &a));
        assert_true(encode(t, &b));
        assert_memory_equal(a.high.p, b.high.p, kern_kv_code_bytes(hd, 4));
        assert_memory_equal(a.low.p, b.low.p, kern_kv_code_bytes(hd, 4));
        assert_memory_equal(a.scales.p, b.scales.p, kern_kv_scale_bytes(side, hd));
        memset(b.high.p, 0xa5, kern_kv_code_bytes(hd, 4));
        assert_true(t->kv_encode(b.x.p, b.terms, b.outs, b.high.p, NULL, b.scales.p));
        assert_memory_equal(a.high.p, b.high.p, kern_kv_code_bytes(hd, 4));
        kern_kv_loss want, got;
        assert_true(kern_get_exactly(KERN_SCALAR)->kv_measure(a.x.p, side, a.terms, a.outs, &want));
        assert_true(t->kv_measure(b.x.p, side, b.terms, b.outs, &got));
        assert_memory_equal(&want, &got, sizeof want);
        head_free(&a);
        head_free(&b);
    }
}

// Products of turned queries and keys are those of the plain ones, and a key keeps its length to within the powers of two.
static void turning_keeps_products(void **state)
{
    (void)state;
    static float k[MOST];
    float q[512], turned[512];
    for (int i = 0; i < HEADS; i++) {
        const int hd = heads[i];
        double want[KERN_PAGE] = {0}, size[KERN_PAGE] = {0};
        for (int c = 0; c < hd; c++) {
            q[c] = rnd_float(1.0f);
            for (int n = 0; n < KERN_PAGE; n++) {
                float x = k[c * KERN_PAGE + n] = rnd_float(c % 13 ? 1.0f : 30.0f);
                want[n] += (double)q[c] * (double)x;
                size[n] += (double)x * (double)x;
            }
        }
        kern_kv_turn_query(q, hd, turned);
        kern_kv_turn_keys(k, hd);
        for (int n = 0; n < KERN_PAGE; n++) {
            double dot = 0, now = 0;
            for (int c = 0; c < hd; c++) {
                double x = (double)k[c * KERN_PAGE + n];
                dot += (double)turned[c] * x;
                now += x * x;
            }
            assert_true(fabs(dot - want[n]) <= 1e-5 * sqrt(size[n] * hd));
            assert_true(now > 0.999 * size[n] && now < 2.001 * size[n]);
        }
    }
}

// A channel far larger than the others, as large models have them, costs the others their precision unless it is mixed in.
static void turning_spreads_what_stands_out(void **state)
{
    (void)state;
    static float x[64 * KERN_PAGE], y[64 * KERN_PAGE];
    double error[2] = {0};
    head h = head_new(KERN_KV_V, 64);  // a grid for each token: where a channel that stands out hurts most
    for (int turned = 0; turned < 2; turned++) {
        rnd_seed(7);
        for (int c = 0; c < 64; c++)
            for (int n = 0; n < KERN_PAGE; n++)
                x[c * KERN_PAGE + n] = rnd_float(c == 5 ? 50.0f : 1.0f);
        if (turned)
            kern_kv_turn_keys(x, 64);
        float *by_token = h.x.p;
        for (int i = 0; i < 64 * KERN_PAGE; i++)
            by_token[i % KERN_PAGE * 64 + i / KERN_PAGE] = x[i];
        assert_true(kern_get_exactly(KERN_SCALAR)
                        ->kv_encode(by_token, h.terms, h.outs, h.high.p, h.low.p, h.scales.p));
        kern_kv v = at_level(&h, KERN_KV_Q4);
        kern_kv_decode(&v, y);
        for (int i = 0; i < 64 * KERN_PAGE; i++)
            error[turned] += (double)((y[i] - by_token[i]) * (y[i] - by_token[i]));
    }
    assert_true(error[1] < 0.3 * error[0]);
    head_free(&h);
}

// Far from 0 and close together, keys that are turned need not be F16 values: the cells still hold them all.
static void close_values_far_away_are_held(void **state)
{
    (void)state;
    head h = head_new(KERN_KV_K, 64);
    float *x = h.x.p, y[64 * KERN_PAGE];
    const uint16_t *scales = h.scales.p;
    for (int i = 0; i < 64 * KERN_PAGE; i++)
        x[i] = (i / KERN_PAGE % 2 ? -1.0f : 1.0f) * (1000.3f + (float)(i / KERN_PAGE) + rnd_float(0.01f));
    assert_true(kern_get_exactly(KERN_SCALAR)->kv_encode(x, 64, 64, h.high.p, h.low.p, h.scales.p));
    kern_kv v = at_level(&h, KERN_KV_Q8);
    kern_kv_decode(&v, y);
    for (int i = 0; i < 64 * KERN_PAGE; i++) {
        float step = quant_f16_to_f32(scales[64 + i / KERN_PAGE]);
        assert_true(fabsf(y[i] - x[i]) <= 0.51f * step + 1e-4f);
        assert_true(step <=
                    1.01f * (1.0f + 0.02f) / 240.0f);  // half the distance of F16 values there, and the range
    }
    x[70] = -70000.0f;
    assert_false(kern_get_exactly(KERN_SCALAR)->kv_encode(x, 64, 64, h.high.p, h.low.p, h.scales.p));
    head_free(&h);
}

static void every_isa_encodes_alike(void **state)
{
    (void)state;
    for_each_isa(compare_encoding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_stay_within_half_a_cell),
        cmocka_unit_test(losses_are_those_of_decoded_values),
        cmocka_unit_test(levels_are_nested),
        cmocka_unit_test(constant_terms_are_exact),
        cmocka_unit_test(values_off_every_grid_are_refused),
        cmocka_unit_test(every_isa_encodes_alike),
        cmocka_unit_test(turning_keeps_products),
        cmocka_unit_test(turning_spreads_what_stands_out),
        cmocka_unit_test(close_values_far_away_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

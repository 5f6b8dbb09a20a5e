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
    guarded f16, high, low, two, scales;
} head;

static head head_new(enum kern_kv_side side, int hd)
{
    head h = {.terms = kern_kv_terms(side, hd)};
    h.outs = hd * KERN_PAGE / h.terms;
    h.f16 = guarded_new((size_t)(hd * KERN_PAGE) * 2, 2);
    h.high = guarded_new(kern_kv_code_bytes(hd, 4), 64);
    h.low = guarded_new(kern_kv_code_bytes(hd, 4), 64);
    h.two = guarded_new(kern_kv_code_bytes(hd, 2), 64);
    h.scales = guarded_new(kern_kv_scale_bytes(side, hd), 64);
    return h;
}

static void head_free(head *h)
{
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
    return t->kv_encode(h->f16.p, h->terms, h->outs, h->high.p, h->low.p, h->scales.p);
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
        assert_true(t->kv_encode(b.f16.p, b.terms, b.outs, b.high.p, NULL, b.scales.p));
        assert_memory_equal(a.high.p, b.high.p, kern_kv_code_bytes(hd, 4));
        head_free(&a);
        head_free(&b);
    }
}

static void every_isa_encodes_alike(void **state)
{
    (void)state;
    for_each_isa(compare_encoding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_stay_within_half_a_cell), cmocka_unit_test(levels_are_nested),
        cmocka_unit_test(constant_terms_are_exact),       cmocka_unit_test(values_off_every_grid_are_refused),
        cmocka_unit_test(every_isa_encodes_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Quantization, norm, rotation, gate and conversions: exact where the arithmetic is fixed, within a bound of
// double precision elsewhere; odd lengths, in place, nothing written past the end.
#include <float.h>
#include <math.h>
#include <string.h>

#include "fixture.h"

enum { MOST = 2048 };

static const int lengths[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 127, 1024, 2047};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static guarded floats_new(int n, float magnitude)
{
    guarded g = guarded_new((size_t)n * sizeof(float), sizeof(float));
    float *x = g.p;
    for (int i = 0; i < n; i++)
        x[i] = rnd_float(magnitude);
    return g;
}

// Rows that are awkward to quantize.
static void awkward(float *x, int n, int round)
{
    for (int i = 0; i < n; i++)
        switch (round) {
        case 0: x[i] = 0.0f; break;
        case 1: x[i] = (float)(i % 255 - 127) * 0.5f; break;  // ties: max 63.5 makes q = 2x
        case 2: x[i] = (i & 1 ? -1.0f : 1.0f) * FLT_MAX; break;
        case 3: x[i] = 1e-41f * (float)i; break;  // subnormal: 127 / max is infinite
        case 4: x[i] = i == n / 2 ? -3.0f : 0.0f; break;
        case 5: x[i] = -0.0f; break;
        default: x[i] = rnd_float(round % 2 ? 1.0f : 1e-30f); break;
        }
}

static void check_quantized(const float *x, int n, const int8_t *q, float d, const int16_t *sum, int part)
{
    float max = 0.0f;
    for (int i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    for (int i = 0; i < n; i++) {
        assert_true(q[i] >= -127);
        assert_true(fabs((double)d * q[i] - (double)x[i]) <= (double)max / 127.0 * 0.501 + 1e-38);
    }
    for (int s = 0; s < n / part; s++) {
        int want = 0;
        for (int i = 0; i < part; i++)
            want += q[s * part + i];
        assert_int_equal(sum[s], want);
    }
}

static void quantize_one(const kern_table *t, int width, int n, int round)
{
    const kern_table *scalar = kern_get(KERN_SCALAR);
    int part = width == 32 ? 32 : 16;
    guarded gx = floats_new(n, 1.0f), gq = guarded_new((size_t)n, 1);
    guarded gd = guarded_new((size_t)(n / width) * 4, 4), gs = guarded_new((size_t)(n / part) * 2, 2);
    float *x = gx.p, *d = gd.p, want_d[MOST / 32];
    int8_t want_q[MOST];
    int16_t want_sum[MOST / 16];
    for (int i = 0; i < n; i += width)
        awkward(x + i, width, round + i / width);
    (width == 32 ? scalar->quantize_q8_32 : scalar->quantize_q8_256)(x, n, want_q, want_d, want_sum);
    (width == 32 ? t->quantize_q8_32 : t->quantize_q8_256)(x, n, gq.p, d, gs.p);
    for (int i = 0; i < n; i += width)
        check_quantized(x + i, width, (int8_t *)gq.p + i, d[i / width], (int16_t *)gs.p + i / part, part);
    assert_memory_equal(gq.p, want_q, (size_t)n);
    assert_memory_equal(d, want_d, (size_t)(n / width) * 4);
    assert_memory_equal(gs.p, want_sum, (size_t)(n / part) * 2);
    guarded_free(&gx);
    guarded_free(&gq);
    guarded_free(&gd);
    guarded_free(&gs);
}

static void quantize(const kern_table *t)
{
    for (int round = 0; round < 24; round++) {
        quantize_one(t, 32, 32, round);
        quantize_one(t, 32, 7 * 32, round);
        quantize_one(t, 256, 256, round);
        quantize_one(t, 256, 3 * 256, round);
    }
}

static void norm_one(const kern_table *t, int n, bool weighted, bool in_place)
{
    guarded gx = floats_new(n, 3.0f), gw = floats_new(n, 2.0f), gy = floats_new(n, 1.0f);
    float *x = gx.p, *w = gw.p, *y = in_place ? x : gy.p;
    double squares = 0.0, want[MOST];
    for (int i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    for (int i = 0; i < n; i++)
        want[i] = (double)x[i] / sqrt(squares / n + 1e-6) * (weighted ? (double)w[i] : 1.0);
    t->rms_norm(x, weighted ? w : NULL, n, 1e-6f, y);
    for (int i = 0; i < n; i++)
        assert_true(fabs((double)y[i] - want[i]) <= 1e-6 * fabs(want[i]));
    guarded_free(&gx);
    guarded_free(&gw);
    guarded_free(&gy);
}

static void norm(const kern_table *t)
{
    for (int i = 0; i < LENGTHS; i++)
        for (int how = 0; how < 4; how++)
            norm_one(t, lengths[i], how & 1, how & 2);
}

static void rope_one(const kern_table *t, int half, bool neox)
{
    int n = 2 * half + 3;
    guarded gx = floats_new(n, 2.0f), gc = floats_new(half, 1.0f), gs = floats_new(half, 1.0f);
    float *x = gx.p, *c = gc.p, *s = gs.p, before[MOST];
    memcpy(before, x, (size_t)n * sizeof(float));
    t->rope(x, c, s, half, neox);
    for (int i = 0; i < half; i++) {
        int a = neox ? i : 2 * i, b = neox ? i + half : 2 * i + 1;
        double wa = (double)before[a] * c[i] - (double)before[b] * s[i];
        double wb = (double)before[a] * s[i] + (double)before[b] * c[i];
        assert_true(fabs(x[a] - wa) <= 5e-7 && fabs(x[b] - wb) <= 5e-7);
    }
    assert_memory_equal(x + 2 * half, before + 2 * half, 3 * sizeof(float));
    guarded_free(&gx);
    guarded_free(&gc);
    guarded_free(&gs);
}

static void rotate(const kern_table *t)
{
    static const int halves[] = {1, 4, 7, 8, 16, 20, 32, 64, 65, 128};
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        rope_one(t, halves[i], false);
        rope_one(t, halves[i], true);
    }
}

static void center_one(const kern_table *t, int n, float mean)
{
    guarded gx = floats_new(n, 1.0f), gy = floats_new(n, 1.0f);
    float *x = gx.p, *y = gy.p;
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += (double)(x[i] += mean);
    t->center(x, n, y);
    for (int i = 0; i < n; i++)
        assert_true(fabs((double)y[i] - ((double)x[i] - sum / n)) <= 1.2e-7 * (fabs((double)mean) + 1));
    t->center(x, n, x);
    assert_memory_equal(x, y, (size_t)n * sizeof(float));
    guarded_free(&gx);
    guarded_free(&gy);
}

static void center(const kern_table *t)
{
    for (int i = 0; i < LENGTHS; i++) {
        center_one(t, lengths[i], 0.0f);
        center_one(t, lengths[i], -1000.0f);
    }
}

static double gated(enum kern_gate f, double x)
{
    switch (f) {
    case KERN_GELU: return x * 0.5 * erfc(-x / sqrt(2.0));
    case KERN_GELU_TANH: return x / (1.0 + exp(-2.0 * sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case KERN_TANH: return tanh(x);
    case KERN_CLAMPED: return fmin(x, 7) / (1.0 + exp(-(double)1.702f * fmin(x, 7)));
    default: return x / (1.0 + exp(-x));
    }
}

static double raised(enum kern_gate f, double u)
{
    return f == KERN_CLAMPED ? fmax(-7, fmin(u, 7)) + 1 : u;
}

// alias 0: into another place; 1: over the gate; 2: over `up`; 3: without `up`.
static void gate_one(const kern_table *t, enum kern_gate f, int n, int alias)
{
    guarded gg = floats_new(n, 20.0f), gu = floats_new(n, f == KERN_CLAMPED ? 5.0f : 2.0f),
            gy = floats_new(n, 1.0f);
    float *gate = gg.p, *up = gu.p, *y = alias == 1 ? gate : alias == 2 ? up : gy.p;
    static const float special[] = {0.0f, 88.0f, -88.0f, -104.0f, 1e4f, -1e4f, 1e-20f, -5.0f, -0.0f};
    // An error of an argument's last bit grows with the argument: e^-x^2/2 and the cubic take it to some 40.
    const double bound = f == KERN_SILU ? 2e-6 : 1e-5;
    const double least = f == KERN_TANH ? 4e-6 : 1e-33;  // tanh is right to so much of 1, not of itself
    double want[MOST];
    for (int i = 0; i < n; i++) {
        if (i % 5 == 0)
            gate[i] = special[i / 5 % 9];
        want[i] = gated(f, (double)gate[i]) * (alias == 3 ? 1.0 : raised(f, (double)up[i]));
    }
    t->glu(f, gate, alias == 3 ? NULL : up, n, y);
    for (int i = 0; i < n; i++)
        if (!(fabs((double)y[i] - want[i]) <= bound * fabs(want[i]) + least))
            fail_msg("gate %d: %g, not %g", (int)f, (double)y[i], want[i]);
    guarded_free(&gg);
    guarded_free(&gu);
    guarded_free(&gy);
}

static void gate(const kern_table *t)
{
    for (int i = 0; i < LENGTHS; i++)
        for (int alias = 0; alias < 4; alias++)
            for (int f = 0; f < KERN_GATES; f++)
                gate_one(t, (enum kern_gate)f, lengths[i], alias);
}

// A value's result does not depend on its place in a row, for what has tails.
static void gate_tails(const kern_table *t)
{
    float x[40], whole[40], part[40];
    for (int i = 0; i < 40; i++)
        x[i] = rnd_float(6.0f);
    for (int f = 0; f < KERN_GATES; f++) {
        t->glu((enum kern_gate)f, x, NULL, 40, whole);
        for (int n = 1; n < 20; n++) {
            t->glu((enum kern_gate)f, x + 3, NULL, n, part);
            assert_memory_equal(part, whole + 3, (size_t)n * sizeof(float));
        }
    }
    t->softcap(x, 40, 5.0f, whole);
    for (int n = 1; n < 20; n++) {
        t->softcap(x + 3, n, 5.0f, part);
        assert_memory_equal(part, whole + 3, (size_t)n * sizeof(float));
    }
}

static void cap_one(const kern_table *t, int n, float cap)
{
    guarded gx = floats_new(n, 4.0f * cap), gy = floats_new(n, 1.0f);
    float *x = gx.p, *y = gy.p;
    t->softcap(x, n, cap, y);
    for (int i = 0; i < n; i++)
        assert_true(fabs((double)y[i] - (double)cap * tanh((double)x[i] / (double)cap)) <=
                    4e-7 * (double)cap);
    t->softcap(x, n, cap, x);
    assert_memory_equal(x, y, (size_t)n * sizeof(float));
    guarded_free(&gx);
    guarded_free(&gy);
}

static void cap(const kern_table *t)
{
    for (int i = 0; i < LENGTHS; i++) {
        cap_one(t, lengths[i], 30.0f);
        cap_one(t, lengths[i], 0.5f);
    }
}

static void add_one(const kern_table *t, int n)
{
    guarded ga = floats_new(n, 3.0f), gb = floats_new(n, 3.0f), gy = floats_new(n, 1.0f);
    float *a = ga.p, *b = gb.p, *y = gy.p;
    t->add(a, b, n, y);
    for (int i = 0; i < n; i++)
        assert_true(y[i] == a[i] + b[i]);
    t->add(a, b, n, a);
    assert_memory_equal(a, y, (size_t)n * sizeof(float));
    guarded_free(&ga);
    guarded_free(&gb);
    guarded_free(&gy);
}

// Values whose rounding to f16 is delicate: ties, the edge of infinity, subnormals, the special ones.
static const float halves[] = {0.0f,     -0.0f,     1.0f,           65504.0f,       65519.0f,
                               65520.0f, -1e9f,     6.1e-5f,        5.9e-8f,        2.9e-8f,
                               2.99e-8f, 1e-10f,    1.00048828125f, 1.00146484375f, 0.333f,
                               INFINITY, -INFINITY, 2048.5f,        2049.0f};

static void convert_one(const kern_table *t, int n)
{
    guarded gx = floats_new(n, 70000.0f), gh = guarded_new((size_t)n * 2, 2);
    float *x = gx.p;
    uint16_t *h = gh.p, *page;
    for (int i = 0; i < n; i++)
        x[i] = i % 3 == 0   ? halves[(size_t)i / 3 % (sizeof halves / sizeof halves[0])]
               : i % 3 == 1 ? x[i]
                            : x[i] * 1e-9f;
    t->f32_to_f16(x, n, h);
    for (int i = 0; i + 8 <= n; i += 8) {
        float back[8];
        t->f16_to_f32(h + i, 8, back);
        for (int j = 0; j < 8; j++)
            assert_true(back[j] == quant_f16_to_f32(h[i + j]));
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(h[i], quant_f32_to_f16(x[i]));
    int hd = n / 16 * 16 > 512 ? 512 : n / 16 * 16, slot = rnd_int(KERN_PAGE);
    if (hd > 0) {
        guarded gp = guarded_new((size_t)hd * KERN_PAGE * 2, 2);
        page = gp.p;
        memset(page, 0x5a, (size_t)hd * KERN_PAGE * 2);
        t->put_k_f16(x, hd, page, slot);
        for (int i = 0; i < hd * KERN_PAGE; i++)
            assert_int_equal(page[i], i % KERN_PAGE == slot ? h[i / KERN_PAGE] : 0x5a5a);
        guarded_free(&gp);
    }
    guarded_free(&gx);
    guarded_free(&gh);
}

static void add_and_convert(const kern_table *t)
{
    for (int i = 0; i < LENGTHS; i++) {
        add_one(t, lengths[i]);
        convert_one(t, lengths[i]);
    }
    float x[16] = {NAN};
    uint16_t h[16];
    t->f32_to_f16(x, 16, h);
    assert_true(isnan(quant_f16_to_f32(h[0])));
}

#define ON_EACH_ISA(name, body)    \
    static void name(void **state) \
    {                              \
        (void)state;               \
        for_each_isa(body);        \
    }
ON_EACH_ISA(quantize_is_exact, quantize)
ON_EACH_ISA(norm_is_close, norm)
ON_EACH_ISA(rotation_is_close, rotate)
ON_EACH_ISA(centering_is_close, center)
ON_EACH_ISA(gate_is_close, gate)
ON_EACH_ISA(gate_of_a_value_is_the_same_anywhere, gate_tails)
ON_EACH_ISA(cap_is_close, cap)
ON_EACH_ISA(add_and_conversion_are_exact, add_and_convert)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantize_is_exact), cmocka_unit_test(norm_is_close),
        cmocka_unit_test(rotation_is_close), cmocka_unit_test(centering_is_close),
        cmocka_unit_test(gate_is_close),     cmocka_unit_test(gate_of_a_value_is_the_same_anywhere),
        cmocka_unit_test(cap_is_close),      cmocka_unit_test(add_and_conversion_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Encoders: how far decode(encode(x)) is from x on normal, uniform and outlier-ridden data, and what hostile
// values do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "quant/quant.h"
#include "quant/tests.h"

enum { VALUES = 256 * 40 };

static uint64_t seed;

static float uniform(void)  // -1..1
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

static float normal(void)  // near enough: a sum of twelve uniforms
{
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum * 0.5f;
}

// Root of mean square error over root of mean square.
static double relative_error(const quant_info *info, const float *x, size_t n)
{
    size_t bytes = n / info->block_elems * info->block_bytes;
    uint8_t *packed = mem_alloc(MEM_OTHER, bytes);
    float *back = mem_alloc(MEM_OTHER, n * sizeof *back);
    memset(packed, 0xa5, bytes);  // an encoder must not rely on zeroed memory
    info->encode(x, packed, n);
    info->decode(packed, back, n);
    double miss = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        miss += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
        power += (double)x[i] * (double)x[i];
    }
    mem_free(packed);
    mem_free(back);
    return sqrt(miss / power);
}

// Measured on this data plus 3 %: a worse encoder fails, and so does a decoder that disagrees with it.
static const struct {
    int type;
    double normal, uniform;
} bounds[] = {
    {QT_F32, 0, 0},
    {QT_F16, 3e-4, 3e-4},
    {QT_BF16, 2e-3, 2e-3},
    {QT_Q8_0, 0.0054, 0.0039},
    {QT_Q8_1, 0.0054, 0.0039},
    {QT_Q8_K, 0.0070, 0.0040},
    {QT_Q4_0, 0.0829, 0.0607},
    {QT_Q4_1, 0.0710, 0.0554},
    {QT_Q5_0, 0.0408, 0.0290},
    {QT_Q5_1, 0.0344, 0.0267},
    {QT_Q2_K, 0.2723, 0.2236},
    {QT_Q3_K, 0.1481, 0.1225},
    {QT_Q4_K, 0.0713, 0.0554},
    {QT_Q5_K, 0.0353, 0.0271},
    {QT_Q6_K, 0.0173, 0.0129},
    {QT_IQ4_NL, 0.0753, 0.0639},
    {QT_IQ4_XS, 0.0759, 0.0645},
    {QT_MXFP4, 0.1146, 0.1144},
    {QT_IQ1_S, 0.4668, 0.3999},
    {QT_IQ1_M, 0.4334, 0.3761},
    {QT_IQ2_XXS, 0.3437, 0.3329},
    {QT_IQ2_XS, 0.2979, 0.2844},
    {QT_IQ2_S, 0.2483, 0.2341},
    {QT_IQ3_XXS, 0.1848, 0.1770},
    {QT_IQ3_S, 0.1355, 0.1235},
};

static void error_is_bounded(void **state)
{
    (void)state;
    static float x[VALUES], u[VALUES];
    seed = 1;
    for (size_t i = 0; i < VALUES; i++) {
        x[i] = normal() * 0.02f;
        u[i] = uniform() * 3;
    }
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        const quant_info *info = quant_type_info(bounds[i].type);
        double n = relative_error(info, x, VALUES), v = relative_error(info, u, VALUES);
        if (n > bounds[i].normal || v > bounds[i].uniform)
            fail_msg("%s: error %g (at most %g) normal, %g (at most %g) uniform", info->name, n,
                     bounds[i].normal, v, bounds[i].uniform);
    }
}

enum { EDGE = 256 };

// Encodes and decodes 256 values; checks that nothing outside the blocks is written.
static void pass_through(const quant_info *info, const float *x, float *back)
{
    size_t bytes = EDGE / info->block_elems * info->block_bytes;
    uint8_t packed[EDGE * 8 + 16];
    memset(packed, 0xa5, sizeof packed);
    info->encode(x, packed + 8, EDGE);
    for (size_t i = 0; i < 8; i++)
        assert_true(packed[i] == 0xa5 && packed[8 + bytes + i] == 0xa5);
    info->decode(packed + 8, back, EDGE);
}

static void fill(float *x, float v)
{
    for (int i = 0; i < EDGE; i++)
        x[i] = v;
}

static void zeros_stay_zero(void **state)
{
    (void)state;
    float x[EDGE], back[EDGE];
    for (size_t t = 0; t < COUNT_OF(bounds); t++) {
        fill(x, 0);
        pass_through(quant_type_info(bounds[t].type), x, back);
        for (int i = 0; i < EDGE; i++)
            assert_true(back[i] == 0);
    }
}

static void constants_and_single_values_survive(void **state)
{
    (void)state;
    float x[EDGE], back[EDGE];
    for (size_t t = 0; t < COUNT_OF(bounds); t++) {
        const quant_info *info = quant_type_info(bounds[t].type);
        for (float v = -2.5f; v <= 2.5f; v += 5) {
            fill(x, v);
            pass_through(info, x, back);
            // MXFP4 has 2 and 3 and nothing between; IQ1 to IQ3 have no zero to set beside a value.
            float most = info->fit && info->block_bytes * 8 < 4 * info->block_elems ? 0.3f : 0.21f;
            for (int i = 0; i < EDGE; i++)
                if (fabsf(back[i] - v) > most * fabsf(v))
                    fail_msg("%s: %g came back as %g", info->name, (double)v, (double)back[i]);
            fill(x, 0);
            x[77] = v;
            pass_through(info, x, back);
            if (fabsf(back[77] - v) > most * fabsf(v))
                fail_msg("%s: %g came back as %g", info->name, (double)v, (double)back[77]);
            assert_true(back[200] == 0 || fabsf(back[200]) <= 0.02f * fabsf(v));
        }
    }
}

// Finite values, however large or small, decode to finite ones: scales saturate instead of becoming infinite.
static void finite_stays_finite(void **state)
{
    (void)state;
    static const float tops[] = {3e38f, 1e30f, 1e10f, 70000, 1e-6f, 1e-30f, 1e-44f};
    float x[EDGE], back[EDGE];
    for (size_t t = 0; t < COUNT_OF(bounds); t++) {
        const quant_info *info = quant_type_info(bounds[t].type);
        if (info->block_elems == 1)
            continue;
        for (size_t k = 0; k < COUNT_OF(tops); k++) {
            for (int i = 0; i < EDGE; i++)
                x[i] = uniform() * tops[k];
            pass_through(info, x, back);
            for (int i = 0; i < EDGE; i++)
                if (!isfinite(back[i]))
                    fail_msg("%s: %g came back as %g", info->name, (double)x[i], (double)back[i]);
        }
    }
}

// Infinities and NaN have no right answer in a block format, but the encoders must stay defined (the
// sanitizer run looks) and give the same bytes each time.
static void not_numbers_do_no_harm(void **state)
{
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    float x[EDGE], first[EDGE], second[EDGE];
    for (size_t t = 0; t < COUNT_OF(bounds); t++) {
        for (size_t k = 0; k < COUNT_OF(odd); k++) {
            for (int i = 0; i < EDGE; i++)
                x[i] = uniform();
            x[3] = x[100] = odd[k];
            pass_through(quant_type_info(bounds[t].type), x, first);
            pass_through(quant_type_info(bounds[t].type), x, second);
            assert_memory_equal(first, second, sizeof first);
        }
    }
}

// What a block can hold exactly must come back exactly where the scale is the extreme value's: Q8_0 and Q4_0.
static void representable_values_are_kept(void **state)
{
    (void)state;
    float x[EDGE], back[EDGE];
    for (int i = 0; i < EDGE; i++)
        x[i] = (float)(i % 32 == 5 ? -127 : i % 32 * 4 - 60) * 0.25f;
    pass_through(quant_type_info(QT_Q8_0), x, back);
    assert_memory_equal(x, back, sizeof x);
    for (int i = 0; i < EDGE; i++)
        x[i] = (float)(i % 32 == 7 ? -8 : i % 16 - 8 + (i % 16 == 0)) * 0.5f;
    pass_through(quant_type_info(QT_Q4_0), x, back);
    assert_memory_equal(x, back, sizeof x);
}

// Q8_1 and Q8_K carry sums for the kernels.
static void sums_are_right(void **state)
{
    (void)state;
    float x[EDGE];
    uint8_t b[292];
    for (int i = 0; i < EDGE; i++)
        x[i] = uniform();
    quant_type_info(QT_Q8_1)->encode(x, b, 32);
    int sum = 0;
    for (int i = 0; i < 32; i++)
        sum += (int8_t)b[4 + i];
    float d = quant_f16_to_f32((uint16_t)(b[0] | b[1] << 8));
    assert_int_equal(b[2] | b[3] << 8, quant_f32_to_f16(d * (float)sum));
    quant_type_info(QT_Q8_K)->encode(x, b, 256);
    for (int g = 0; g < 16; g++) {
        sum = 0;
        for (int i = 0; i < 16; i++)
            sum += (int8_t)b[4 + 16 * g + i];
        assert_int_equal((int16_t)(b[260 + 2 * g] | b[261 + 2 * g] << 8), sum);
    }
}

int run_encode_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_bounded),
        cmocka_unit_test(zeros_stay_zero),
        cmocka_unit_test(constants_and_single_values_survive),
        cmocka_unit_test(finite_stays_finite),
        cmocka_unit_test(not_numbers_do_no_harm),
        cmocka_unit_test(representable_values_are_kept),
        cmocka_unit_test(sums_are_right),
    };
    return cmocka_run_group_tests_name("quant encode", tests, NULL, NULL);
}

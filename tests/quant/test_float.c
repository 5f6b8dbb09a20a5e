// F16 and BF16 conversions: every F16 number, and every place where rounding turns.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "quant/quant.h"
#include "quant/tests.h"

// What the bits mean, by the standard's formula.
static double f16_value(unsigned h)
{
    int exp = (int)(h >> 10 & 31), frac = (int)(h & 1023);
    double v = exp == 0 ? ldexp(frac, -24) : ldexp(1024 + frac, exp - 25);
    return h & 0x8000 ? -v : v;
}

static void f16_reads_and_returns(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = quant_f16_to_f32((uint16_t)h);
        if ((h & 0x7c00) == 0x7c00) {
            if (h & 1023) {
                assert_true(isnan(f));
                assert_true((quant_f32_to_f16(f) & 0x7c00) == 0x7c00 && (quant_f32_to_f16(f) & 1023) != 0);
                continue;
            }
            assert_true(isinf(f) && (f < 0) == (h >= 0x8000));
        } else {
            assert_true((double)f == f16_value(h));
        }
        assert_int_equal(quant_f32_to_f16(f), h);
    }
}

// Between neighbours a and b: the middle goes to the even one, a hair off it to the nearer one.
static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7bff; h++) {
        float middle = (float)((f16_value(h) + f16_value(h + 1)) / 2);  // exact: one bit more than F16
        assert_int_equal(quant_f32_to_f16(middle), h & 1 ? h + 1 : h);
        assert_int_equal(quant_f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(quant_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(quant_f32_to_f16(-middle), 0x8000 | (h & 1 ? h + 1 : h));
    }
    assert_int_equal(quant_f32_to_f16(nextafterf(65520.0f, 0)), 0x7bff);
    assert_int_equal(quant_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(quant_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(quant_f32_to_f16(-0.0f), 0x8000);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7f80; h++) {
        float a = quant_bf16_to_f32((uint16_t)h), b = quant_bf16_to_f32((uint16_t)(h + 1));
        assert_int_equal(quant_f32_to_bf16(a), h);
        if (isinf(b))
            break;
        float middle = a + (b - a) / 2;
        assert_int_equal(quant_f32_to_bf16(middle), h & 1 ? h + 1 : h);
        assert_int_equal(quant_f32_to_bf16(nextafterf(middle, 0)), h);
        assert_int_equal(quant_f32_to_bf16(-nextafterf(middle, INFINITY)), 0x8000 | (h + 1));
    }
    assert_int_equal(quant_f32_to_bf16(INFINITY), 0x7f80);
    assert_true(isnan(quant_bf16_to_f32(quant_f32_to_bf16(NAN))));
    uint32_t low_payload = 0x7f800001;  // a NaN whose kept bits are all zero must not become infinity
    float f;
    memcpy(&f, &low_payload, sizeof f);
    assert_true(isnan(quant_bf16_to_f32(quant_f32_to_bf16(f))));
    assert_true(isnan(quant_f16_to_f32(quant_f32_to_f16(f))));
}

int run_float_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_reads_and_returns),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests_name("quant float", tests, NULL, NULL);
}

// Decoding against vectors that tools/oracle/quant_vectors.py made with another decoder, and the table of
// types.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "quant/quant.h"
#include "quant/tests.h"

static uint32_t load_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Distance in representable floats; the sign of zero does not count.
static uint32_t ulps(float a, float b)
{
    int32_t i, j;
    if (a == b)
        return 0;
    memcpy(&i, &a, sizeof i);
    memcpy(&j, &b, sizeof j);
    i = i < 0 ? INT32_MIN - i : i;
    j = j < 0 ? INT32_MIN - j : j;
    return (uint32_t)i > (uint32_t)j ? (uint32_t)i - (uint32_t)j : (uint32_t)j - (uint32_t)i;
}

static void check_record(const char *p, uint32_t type, uint32_t n, uint32_t bytes)
{
    const quant_info *info = quant_type_info((int)type);
    assert_non_null(info);
    assert_int_equal(quant_row_bytes((int)type, n), bytes);
    uint8_t *src = mem_alloc(MEM_OTHER, bytes);  // exact size: a sanitizer sees a read past the end
    float *got = mem_alloc(MEM_OTHER, n * sizeof *got);
    memcpy(src, p, bytes);
    info->decode(src, got, n);
    for (uint32_t i = 0; i < n; i++) {
        float want;
        memcpy(&want, p + bytes + 4 * i, sizeof want);
        if (ulps(got[i], want) > 0)
            fail_msg("%s value %u: %a, %a wanted", info->name, i, (double)got[i], (double)want);
    }
    mem_free(src);
    mem_free(got);
}

static void decodes_every_type(void **state)
{
    (void)state;
    char *data;
    size_t n, at = 0;
    bool seen[QT_COUNT] = {false};
    assert_int_equal(os_read_file(IRORI_SOURCE_DIR "/tests/quant/data/decode.bin", 1 << 20, &data, &n, NULL),
                     ST_OK);
    while (at < n) {
        uint32_t type = load_u32(data + at), values = load_u32(data + at + 4),
                 bytes = load_u32(data + at + 8);
        check_record(data + at + 12, type, values, bytes);
        seen[type] = true;
        at += 12 + bytes + 4 * values;
    }
    assert_int_equal(at, n);
    mem_free(data);
    for (int t = 0; t < QT_COUNT; t++)
        assert_int_equal(seen[t], quant_type_info(t) != NULL);
}

static void decodes_nothing_of_nothing(void **state)
{
    (void)state;
    for (int t = 0; t < QT_COUNT; t++) {
        const quant_info *info = quant_type_info(t);
        float untouched = 7;
        uint8_t byte = 9;
        if (!info)
            continue;
        info->decode(&byte, &untouched, 0);
        if (info->encode)
            info->encode(&untouched, &byte, 0);
        assert_true(untouched == 7 && byte == 9);
    }
}

static void names_and_sizes(void **state)
{
    (void)state;
    assert_null(quant_type_info(-1));
    assert_null(quant_type_info(4));  // a type that the format has dropped
    assert_null(quant_type_info(QT_COUNT));
    assert_null(quant_type_info(INT32_MAX));
    assert_int_equal(quant_type_from_name("q4_k"), QT_Q4_K);
    assert_int_equal(quant_type_from_name("MxFp4"), QT_MXFP4);
    assert_int_equal(quant_type_from_name("Q4_"), -1);
    assert_int_equal(quant_type_from_name("Q4_KK"), -1);
    assert_int_equal(quant_type_from_name(""), -1);
    for (int t = 0; t < QT_COUNT; t++)
        if (quant_type_info(t))
            assert_int_equal(quant_type_from_name(quant_type_info(t)->name), t);
    assert_int_equal(quant_row_bytes(QT_Q6_K, 512), 420);
    assert_int_equal(quant_row_bytes(QT_Q6_K, 500), 0);
    assert_int_equal(quant_row_bytes(99, 32), 0);
    assert_int_equal(quant_row_bytes(QT_F64, UINT64_MAX / 4), 0);
}

int run_decode_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_type),
        cmocka_unit_test(decodes_nothing_of_nothing),
        cmocka_unit_test(names_and_sizes),
    };
    return cmocka_run_group_tests_name("quant decode", tests, NULL, NULL);
}

int main(void)
{
    return run_decode_tests() + run_encode_tests() + run_float_tests();
}

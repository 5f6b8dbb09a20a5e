// Packing: every value of the packed form is the value the GGUF block decodes to, padding rows are zero, ranges
// may be packed apart, nothing outside is written.
#include <math.h>
#include <string.h>

#include "fixture.h"
#include "kern/types.h"

// Value of row r, column c of one unpacked panel block.
static double value(int type, const kern_block *b, int r, int c)
{
    double code = b->u[c / 4 * 64 + r * 4 + c % 4] - kern_code_offset(type);
    if (kern_family_of(type) == KERN_B32)
        return code * (double)b->d[r] + (double)b->m[r];
    int i = c / kern_sub_columns(type);
    return code * b->sc[i][r] * (double)b->d[r] - b->mn[i][r] * (double)b->m[r];
}

static void check_row_block(const weights *w, const kern_block *b, int r, const uint8_t *gguf, int width)
{
    float want[KERN_SUPER];
    quant_type_info(w->type)->decode(gguf, want, (size_t)width);
    for (int c = 0; c < width; c++) {
        double got = value(w->w.type, b, r, c), slack = 1e-6 * (fabs(got) + 64.0 * fabs((double)b->m[r]));
        assert_true(fabs(got - (double)want[c]) <= slack);
    }
}

static void check_blocks(const weights *w)
{
    int type = w->w.type, width = (int)quant_type_info(w->type)->block_elems;
    size_t block_bytes = quant_type_info(w->type)->block_bytes,
           row = quant_row_bytes(w->type, (uint64_t)w->w.k);
    size_t packed = (size_t)kern_packed_block_bytes(type);
    kern_block b;
    assert_int_equal(w->w.panel_bytes, packed * (size_t)(w->w.k / width));
    for (int p = 0; p * KERN_PANEL < w->w.n; p++)
        for (int i = 0; i < w->w.k / width; i++) {
            kern_unpack_block(type, w->w.data + (size_t)p * w->w.panel_bytes + (size_t)i * packed, &b);
            for (int r = 0; r < KERN_PANEL; r++) {
                size_t at = (size_t)(p * KERN_PANEL + r) * row + (size_t)i * block_bytes;
                if (p * KERN_PANEL + r < w->w.n)
                    check_row_block(w, &b, r, (const uint8_t *)w->gguf.p + at, width);
                else
                    for (int c = 0; c < width; c++)
                        assert_true(value(type, &b, r, c) == 0.0);
            }
        }
}

static void check_floats(const weights *w)
{
    size_t size = quant_type_info(w->w.type)->block_bytes, k = (size_t)w->w.k;
    static const uint8_t zero[4];
    for (size_t r = 0; r < (size_t)(w->w.n + 15) / 16 * 16; r++)
        for (size_t c = 0; c < k; c++) {
            const uint8_t *got = w->w.data + r / 16 * w->w.panel_bytes + (c * 16 + r % 16) * size;
            const uint8_t *want = r < (size_t)w->w.n ? (const uint8_t *)w->gguf.p + (r * k + c) * size : zero;
            assert_memory_equal(got, want, size);
        }
}

static void packed_values_are_those_of_the_file(void **state)
{
    (void)state;
    for (int i = 0; i < test_type_count; i++) {
        int type = test_types[i], block = (int)quant_type_info(type)->block_elems;
        if (kern_family_of(type) == KERN_DECODE)
            continue;
        for (int n = 1; n <= 33; n += 8) {
            weights w = weights_new(type, n, block == 1 ? 7 : 3 * block);
            if (w.w.family == KERN_FLOAT)
                check_floats(&w);
            else
                check_blocks(&w);
            weights_free(&w);
        }
    }
}

static void ranges_pack_alike(void **state)
{
    (void)state;
    for (int i = 0; i < test_type_count; i++) {
        int type = test_types[i], block = (int)quant_type_info(type)->block_elems, k = 2 * block;
        if (kern_family_of(type) == KERN_DECODE)
            continue;
        weights w = weights_new(type, 41, k);
        size_t bytes = kern_packed_bytes(type, 41, k);
        guarded copy = guarded_new(bytes, 64);
        uint8_t *dst = copy.p;
        memset(dst, 0xa5, bytes);
        kern_pack(type, 41, k, w.gguf.p, dst, 16, 32);
        for (size_t at = 0; at < bytes; at++)
            if (at < w.w.panel_bytes || at >= 2 * w.w.panel_bytes)
                assert_int_equal(dst[at], 0xa5);
        kern_pack(type, 41, k, w.gguf.p, dst, 32, 41);
        kern_pack(type, 41, k, w.gguf.p, dst, 0, 16);
        assert_memory_equal(dst, w.packed.p, bytes);
        guarded_free(&copy);
        weights_free(&w);
    }
}

static void families(void **state)
{
    (void)state;
    assert_int_equal(kern_family_of(QT_F16), KERN_FLOAT);
    assert_int_equal(kern_family_of(QT_Q8_0), KERN_B32);
    assert_int_equal(kern_family_of(QT_IQ4_XS), KERN_B256);
    assert_int_equal(kern_family_of(QT_IQ2_XXS), KERN_B256);
    assert_int_equal(kern_family_of(QT_I8), KERN_DECODE);
    assert_int_equal(kern_act_of(KERN_B32), KERN_ACT_Q8_32);
    assert_int_equal(kern_act_of(KERN_B256), KERN_ACT_Q8_256);
    assert_int_equal(kern_act_of(KERN_DECODE), KERN_ACT_F32);
    assert_int_equal(kern_packed_bytes(QT_I8, 16, 256), 0);
    assert_int_equal(kern_packed_bytes(QT_IQ2_XXS, 17, 512), 32 * 220);
    assert_int_equal(kern_packed_bytes(QT_Q4_K, 17, 512), 32 * 288);
}

static void tables(void **state)
{
    (void)state;
    const kern_table *best = kern_get(KERN_ISA_COUNT), *scalar = kern_get(KERN_SCALAR);
    assert_int_equal(scalar->isa, KERN_SCALAR);
    assert_ptr_equal(scalar, kern_get_exactly(KERN_SCALAR));
    assert_ptr_equal(best, kern_get_exactly(best->isa));
    for (int isa = 0; isa < KERN_ISA_COUNT; isa++) {
        const kern_table *t = kern_get_exactly(isa);
        assert_int_equal(kern_isa_from_name(kern_isa_name(isa)), isa);
        assert_true(kern_get(isa)->isa <= (enum kern_isa)isa);
        if (!t)
            continue;
        assert_int_equal(t->isa, isa);
        for (int type = 0; type < QT_COUNT; type++)
            if (quant_type_info(type) && quant_type_info(type)->decode && kern_packed_type(type) == type)
                assert_non_null(t->matmul[type]);
    }
    assert_int_equal(kern_isa_from_name("mmx"), -1);
    if (best->isa != KERN_SCALAR)
        assert_true(strlen(kern_cpu_flags()) > 0);
    print_message("    this processor: %s; best overlay: %s\n", kern_cpu_flags(), kern_isa_name(best->isa));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_values_are_those_of_the_file),
        cmocka_unit_test(ranges_pack_alike),
        cmocka_unit_test(families),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Reading good files: every value type, conversions, arrays, tensors, memory, failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gguf/tests.h"

static gguf *open_sample(make *m)
{
    gguf *g = NULL;
    err e = {0};
    sample_build(m);
    const buf *b = make_finish(m);
    if (gguf_open_memory(&g, b->data, b->len, &e))
        fail_msg("%s", e.msg);
    return g;
}

static void numbers_convert_where_they_fit(void **state)
{
    (void)state;
    make m;
    gguf *g = open_sample(&m);
    uint64_t u;
    uint32_t w;
    int32_t i;
    float f;
    bool b;
    assert_true(gguf_get_u64(g, "x.u8", &u) && u == 200);
    assert_true(gguf_get_i32(g, "x.i8", &i) && i == -100);
    assert_true(gguf_get_u32(g, "x.u16", &w) && w == 60000);
    assert_true(gguf_get_i32(g, "x.i16", &i) && i == -30000);
    assert_true(gguf_get_u32(g, "x.u32", &w) && w == 4000000000u);
    assert_true(gguf_get_i32(g, "x.i32", &i) && i == -2000000000);
    assert_true(gguf_get_u64(g, "x.u64", &u) && u == 1ull << 63);
    assert_true(gguf_get_i32(g, "x.i64", &i) && i == -5);
    assert_true(gguf_get_f32(g, "x.f32", &f) && f == 1.5f);
    assert_true(gguf_get_f32(g, "x.f64", &f) && f == 2.5f);
    assert_true(gguf_get_f32(g, "x.u16", &f) && f == 60000);
    assert_true(gguf_get_f32(g, "x.i8", &f) && f == -100);
    assert_true(gguf_get_bool(g, "x.bool", &b) && b);
    // What does not fit, or is of another kind, reads as absent.
    assert_false(gguf_get_u64(g, "x.i8", &u));
    assert_false(gguf_get_u32(g, "x.u64", &w));
    assert_false(gguf_get_i32(g, "x.u32", &i));
    assert_false(gguf_get_i32(g, "x.u64", &i));
    assert_false(gguf_get_f32(g, "x.u32", &f));
    assert_false(gguf_get_f32(g, "x.u64", &f));
    assert_false(gguf_get_u32(g, "x.f32", &w));
    assert_false(gguf_get_u32(g, "x.bool", &w));
    assert_false(gguf_get_bool(g, "x.u8", &b));
    assert_false(gguf_get_u32(g, "general.architecture", &w));
    assert_false(gguf_get_u32(g, "llama.attention.head_count", &w));
    assert_false(gguf_get_u32(g, "x.u", &w));
    gguf_close(g);
    make_done(&m);
}

static bool is_text(gguf_str s, const char *want)
{
    return s.n == strlen(want) && memcmp(s.p, want, s.n) == 0;
}

static void strings_and_arrays_read(void **state)
{
    (void)state;
    make m;
    gguf *g = open_sample(&m);
    gguf_str s;
    enum gguf_value_type elem;
    uint64_t n;
    int32_t i;
    float f;
    assert_true(gguf_get_str(g, "general.architecture", &s) && is_text(s, "llama"));
    assert_true(gguf_get_str(g, "x.empty_text", &s) && s.n == 0);
    assert_false(gguf_get_str(g, "x.u8", &s));
    assert_true(gguf_get_array(g, "tokenizer.ggml.tokens", &elem, &n) && elem == GGUF_STRING && n == 4);
    assert_true(gguf_array_str(g, "tokenizer.ggml.tokens", 0, &s) && is_text(s, "<s>"));
    assert_true(gguf_array_str(g, "tokenizer.ggml.tokens", 1, &s) && is_text(s, ""));
    assert_true(gguf_array_str(g, "tokenizer.ggml.tokens", 3, &s) && is_text(s, "de"));
    assert_false(gguf_array_str(g, "tokenizer.ggml.tokens", 4, &s));
    assert_true(gguf_array_str(g, "tokenizer.ggml.merges", 1, &s) && is_text(s, "ab c"));
    assert_false(gguf_array_str(g, "tokenizer.ggml.scores", 0, &s));
    assert_false(gguf_array_str(g, "general.architecture", 0, &s));
    assert_false(gguf_array_str(g, "nothing", 0, &s));
    assert_false(gguf_array_str(g, "x.empty", 0, &s));
    assert_false(gguf_array_str(g, "x.nested", 0, &s));
    assert_true(gguf_array_f32(g, "tokenizer.ggml.scores", 2, &f) && f == -2.5f);
    assert_false(gguf_array_f32(g, "tokenizer.ggml.scores", 4, &f));
    assert_true(gguf_array_i32(g, "tokenizer.ggml.token_type", 2, &i) && i == -1);
    assert_true(gguf_array_i32(g, "llama.attention.head_count", 1, &i) && i == 5);
    assert_false(gguf_array_i32(g, "tokenizer.ggml.scores", 0, &i));
    assert_true(gguf_array_i32(g, "x.bools", 0, &i) && i == 1);
    assert_true(gguf_array_i32(g, "x.bools", 1, &i) && i == 0);
    assert_false(gguf_array_i32(g, "tokenizer.ggml.tokens", 0, &i));
    assert_true(gguf_get_array(g, "x.nested", &elem, &n) && elem == GGUF_ARRAY && n == 2);
    assert_false(gguf_get_array(g, "x.u8", &elem, &n));
    gguf_close(g);
    make_done(&m);
}

static void keys_list_in_file_order(void **state)
{
    (void)state;
    make m;
    gguf *g = open_sample(&m);
    enum gguf_value_type type;
    assert_int_equal(gguf_key_count(g), m.n_keys);
    assert_string_equal(gguf_key_at(g, 0, &type), "general.architecture");
    assert_int_equal(type, GGUF_STRING);
    assert_string_equal(gguf_key_at(g, 3, &type), "llama.attention.head_count");
    assert_int_equal(type, GGUF_ARRAY);
    assert_null(gguf_key_at(g, m.n_keys, &type));
    for (size_t i = 0; i < gguf_key_count(g); i++)
        assert_true(gguf_has(g, gguf_key_at(g, i, NULL)));
    assert_false(gguf_has(g, ""));
    gguf_close(g);
    make_done(&m);
}

static void tensors_point_at_their_bytes(void **state)
{
    (void)state;
    make m;
    gguf *g = open_sample(&m);
    assert_int_equal(gguf_tensor_count(g), 4);
    const gguf_tensor *t = gguf_tensor_find(g, "blk.0.attn_q.weight");
    assert_ptr_equal(t, gguf_tensor_at(g, 2));
    assert_int_equal(t->type, QT_F16);
    assert_int_equal(t->n_dims, 3);
    assert_true(t->dims[0] == 5 && t->dims[1] == 2 && t->dims[2] == 3 && t->dims[3] == 1);
    assert_int_equal(t->size, 60);
    for (size_t i = 0; i < t->size; i++)
        assert_int_equal(t->data[i], (uint8_t)(i * 7));
    assert_int_equal(gguf_tensor_at(g, 0)->size, 72);
    assert_int_equal((uintptr_t)gguf_tensor_at(g, 1)->data % 8, 0);
    assert_int_equal(gguf_tensor_at(g, 3)->size, 3);
    assert_null(gguf_tensor_at(g, 4));
    assert_null(gguf_tensor_find(g, "blk.0.attn_q"));
    assert_string_equal(gguf_path(g), "(memory)");
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_file_bytes(g), m.out.len);
    gguf_close(g);
    make_done(&m);
}

static uint64_t hash_of(const buf *b)
{
    gguf *g;
    assert_int_equal(gguf_open_memory(&g, b->data, b->len, NULL), ST_OK);
    uint64_t h = gguf_model_hash(g);
    assert_int_equal(h, gguf_model_hash(g));
    gguf_close(g);
    return h;
}

static void hash_sees_keys_and_data(void **state)
{
    (void)state;
    make m;
    sample_build(&m);
    make_finish(&m);
    uint64_t h = hash_of(&m.out);
    m.out.data[m.out.len - 1] ^= 1;  // the last tensor's last byte
    assert_int_not_equal(hash_of(&m.out), h);
    m.out.data[m.out.len - 1] ^= 1;
    assert_int_equal(hash_of(&m.out), h);
    char *arch = memmem(m.out.data, m.out.len, "abc", 3);
    assert_non_null(arch);
    *arch = 'x';
    assert_int_not_equal(hash_of(&m.out), h);
    make_done(&m);
}

// Of a large tensor the first and last 4 KiB count.
static void hash_samples_large_tensors(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    make_tensor(&m, "large", QT_I8, 1, (uint64_t[]){20000}, NULL);
    make_finish(&m);
    char *data = m.out.data + m.out.len - 20000;
    uint64_t h = hash_of(&m.out);
    static const struct {
        size_t at;
        bool counts;
    } rows[] = {{0, true}, {4095, true}, {4096, false}, {15903, false}, {15904, true}, {19999, true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        data[rows[i].at] = 1;
        assert_int_equal(hash_of(&m.out) != h, rows[i].counts);
        data[rows[i].at] = 0;
    }
    make_done(&m);
}

static void doubles_past_float_read_as_absent(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    make_int(make_key(&m, "x.huge", GGUF_F64), 0x7e37e43c8800759cu, 8);  // 1e300
    make_int(make_key(&m, "x.inf", GGUF_F64), 0x7ff0000000000000u, 8);
    make_finish(&m);
    gguf *g;
    float f = 7;
    assert_int_equal(gguf_open_memory(&g, m.out.data, m.out.len, NULL), ST_OK);
    assert_false(gguf_get_f32(g, "x.huge", &f));
    assert_true(f == 7);
    assert_true(gguf_get_f32(g, "x.inf", &f) && f > 3e38f);
    gguf_close(g);
    make_done(&m);
}

// Vocabularies as others wrote them.
static void real_files_open(void **state)
{
    (void)state;
    static const struct {
        const char *name, *model;
        uint64_t tokens;
    } rows[] = {{"bert-bge", "bert", 30522},
                {"gpt-2", "gpt2", 50257},
                {"llama-spm", "llama", 32000},
                {"phi-3", "llama", 32064},
                {"starcoder", "gpt2", 49152}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/tokenizer/ggml-vocab-%s.gguf", IRORI_DATA_DIR, rows[i].name);
        gguf *g;
        err e;
        int rc = gguf_open(&g, path, &e);
        if (rc == ST_NOTFOUND) {
            print_message("%s; skipped\n", e.msg);
            skip();
        }
        if (rc)
            fail_msg("%s", e.msg);
        enum gguf_value_type elem;
        uint64_t n;
        gguf_str s;
        assert_true(gguf_get_str(g, "tokenizer.ggml.model", &s) && is_text(s, rows[i].model));
        assert_true(gguf_get_array(g, "tokenizer.ggml.tokens", &elem, &n));
        assert_int_equal(n, rows[i].tokens);
        assert_true(gguf_array_str(g, "tokenizer.ggml.tokens", n - 1, &s));
        assert_in_range(s.n, 1, 100);
        gguf_close(g);
    }
}

static void file_and_memory_agree(void **state)
{
    (void)state;
    make m;
    sample_build(&m);
    m.version = 2;  // the same layout
    const char *path = sample_path("good.gguf");
    assert_true(make_save(&m, path));
    gguf *g;
    err e;
    assert_int_equal(gguf_open(&g, path, &e), ST_OK);
    assert_int_equal(gguf_version(g), 2);
    assert_string_equal(gguf_path(g), path);
    assert_int_equal(gguf_model_hash(g), hash_of(&m.out));
    gguf_close(g);
    make_done(&m);
}

// Tensors may lie in the file in any order, with room between them.
static void data_order_is_free(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    char name[32];
    for (uint64_t i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "t%d", (int)i);
        make_tensor_info(&m, name, QT_F32, 1, (uint64_t[]){8}, i * 37 % 50 * 64);
    }
    while (m.data.len < 50 * 64)
        buf_add_char(&m.data, (char)(m.data.len / 64));
    make_finish(&m);
    gguf *g;
    err e = {0};
    if (gguf_open_memory(&g, m.out.data, m.out.len, &e))
        fail_msg("%s", e.msg);
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(gguf_tensor_at(g, i)->data[0], i * 37 % 50);
    gguf_close(g);
    make_done(&m);
}

static void vocabulary_without_tensors_opens(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    make_strs(&m, "tokenizer.ggml.tokens", (const char *const[]){"a", "b"}, 2);
    make_finish(&m);
    gguf *g;
    assert_int_equal(gguf_open_memory(&g, m.out.data, m.out.len, NULL), ST_OK);
    assert_int_equal(gguf_tensor_count(g), 0);
    assert_null(gguf_tensor_find(g, "x"));
    assert_int_not_equal(gguf_model_hash(g), 0);
    gguf_close(g);
    make_done(&m);
    make_init(&m);  // not even keys
    make_finish(&m);
    assert_int_equal(gguf_open_memory(&g, m.out.data, m.out.len, NULL), ST_OK);
    assert_int_equal(gguf_key_count(g), 0);
    assert_false(gguf_has(g, "x"));
    gguf_close(g);
    make_done(&m);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    make m;
    sample_build(&m);
    // Not in the order of data, so that the sort allocates as well.
    make_tensor_info(&m, "late", QT_I8, 1, (uint64_t[]){1}, m.data.len + 64 - m.data.len % 32);
    make_tensor_info(&m, "early", QT_I8, 1, (uint64_t[]){1}, m.data.len + 32 - m.data.len % 32);
    for (int i = 0; i < 100; i++)
        buf_add_char(&m.data, 0);
    const char *path = sample_path("alloc.gguf");
    assert_true(make_save(&m, path));
    mem_stats before, after;
    mem_get_stats(&before);
    for (uint64_t n = 1;; n++) {
        gguf *g = (gguf *)&m;
        err e = {0};
        mem_fail_nth(n);
        int rc = gguf_open(&g, path, &e);
        mem_fail_nth(0);
        if (rc == ST_OK) {
            assert_true(n > 8);
            gguf_close(g);
            break;
        }
        assert_int_equal(rc, ST_NOMEM);
        assert_int_equal(e.code, ST_NOMEM);
        assert_non_null(strstr(e.msg, path));
        assert_null(g);
        mem_get_stats(&after);
        assert_int_equal(after.bytes, before.bytes);
    }
    mem_get_stats(&after);
    assert_int_equal(after.bytes, before.bytes);
    gguf_close(NULL);
    make_done(&m);
}

int run_read_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_convert_where_they_fit),
        cmocka_unit_test(strings_and_arrays_read),
        cmocka_unit_test(keys_list_in_file_order),
        cmocka_unit_test(tensors_point_at_their_bytes),
        cmocka_unit_test(hash_sees_keys_and_data),
        cmocka_unit_test(hash_samples_large_tensors),
        cmocka_unit_test(doubles_past_float_read_as_absent),
        cmocka_unit_test(real_files_open),
        cmocka_unit_test(file_and_memory_agree),
        cmocka_unit_test(data_order_is_free),
        cmocka_unit_test(vocabulary_without_tensors_opens),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("gguf read", tests, NULL, NULL);
}

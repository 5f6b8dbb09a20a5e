// The writer: what it writes reads back, and failures leave nothing behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "gguf/tests.h"

typedef struct source {
    int fail_after;     // calls until fill fails; -1 never
    uint64_t expected;  // offset that the next call must ask for
} source;

static uint8_t byte_at(const char *name, uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 1000 + (uint64_t)name[0]);
}

static int fill(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    source *s = ctx;
    if (s->fail_after == 0)
        return ST_IO;
    s->fail_after -= s->fail_after > 0;
    if (offset == 0)
        s->expected = 0;
    assert_int_equal(offset, s->expected);
    s->expected += n;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)dst)[i] = byte_at(name, offset + i);
    return ST_OK;
}

static void describe(gguf_writer *w, source *s)
{
    gguf_writer_str(w, "general.architecture", "llama", 5);
    gguf_writer_u32(w, "llama.block_count", 7);
    gguf_writer_i32(w, "x.i32", -3);
    gguf_writer_u64(w, "x.u64", 1ull << 40);
    gguf_writer_f32(w, "llama.rope.freq_base", 1e6f);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_str tokens[] = {{"a", 1}, {"", 0}, {"b\0c", 3}};
    gguf_writer_array_str(w, "tokenizer.ggml.tokens", tokens, 3);
    gguf_writer_array_i32(w, "tokenizer.ggml.token_type", (const int32_t[]){1, -2, 3}, 3);
    gguf_writer_array_u32(w, "llama.attention.head_count", (const uint32_t[]){5, 6}, 2);
    gguf_writer_array_f32(w, "tokenizer.ggml.scores", (const float[]){0.5f, -1, 2}, 3);
    gguf_writer_array_str(w, "tokenizer.ggml.merges", NULL, 0);
    gguf_writer_tensor(w, "big", QT_F32, 2, (const uint64_t[]){1001, 300}, fill, s);  // more than one piece
    gguf_writer_tensor(w, "odd", QT_I8, 1, (const uint64_t[]){5}, fill, s);
    gguf_writer_tensor(w, "q", QT_Q6_K, 3, (const uint64_t[]){256, 3, 2}, fill, s);
}

static void check_tensors(const gguf *g)
{
    assert_int_equal(gguf_tensor_count(g), 3);
    assert_int_equal(gguf_tensor_find(g, "big")->size, 1001 * 300 * 4);
    assert_int_equal(gguf_tensor_find(g, "odd")->size, 5);
    assert_int_equal(gguf_tensor_find(g, "q")->size, 210 * 6);
    for (size_t k = 0; k < 3; k++) {
        const gguf_tensor *t = gguf_tensor_at(g, k);
        assert_int_equal((uintptr_t)t->data % 32, 0);
        for (size_t i = 0; i < t->size; i++)
            if (t->data[i] != byte_at(t->name, i))
                fail_msg("%s byte %zu is %u", t->name, i, t->data[i]);
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    gguf_writer *w;
    source s = {.fail_after = -1};
    err e = {0};
    assert_int_equal(gguf_writer_new(&w), ST_OK);
    describe(w, &s);
    const char *path = sample_path("written.gguf");
    if (gguf_writer_save(w, path, &e))
        fail_msg("%s", e.msg);
    gguf_writer_free(w);
    gguf *g;
    if (gguf_open(&g, path, &e))
        fail_msg("%s", e.msg);
    check_tensors(g);
    uint32_t u;
    int32_t i;
    uint64_t wide, n;
    float f;
    bool b;
    gguf_str str;
    enum gguf_value_type elem;
    assert_true(gguf_get_str(g, "general.architecture", &str) && str.n == 5 &&
                memcmp(str.p, "llama", 5) == 0);
    assert_true(gguf_get_u32(g, "llama.block_count", &u) && u == 7);
    assert_true(gguf_get_i32(g, "x.i32", &i) && i == -3);
    assert_true(gguf_get_u64(g, "x.u64", &wide) && wide == 1ull << 40);
    assert_true(gguf_get_f32(g, "llama.rope.freq_base", &f) && f == 1e6f);
    assert_true(gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &b) && !b);
    assert_true(gguf_array_str(g, "tokenizer.ggml.tokens", 2, &str) && str.n == 3 &&
                memcmp(str.p, "b\0c", 3) == 0);
    assert_true(gguf_array_i32(g, "tokenizer.ggml.token_type", 1, &i) && i == -2);
    assert_true(gguf_array_i32(g, "llama.attention.head_count", 1, &i) && i == 6);
    assert_true(gguf_array_f32(g, "tokenizer.ggml.scores", 0, &f) && f == 0.5f);
    assert_true(gguf_get_array(g, "tokenizer.ggml.merges", &elem, &n) && elem == GGUF_STRING && n == 0);
    gguf_close(g);
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    const char *path = sample_path("failed.gguf"), *partial = sample_path("failed.gguf.partial");
    for (int calls = 0; calls < 4; calls++) {
        gguf_writer *w;
        source s = {.fail_after = calls};
        err e = {0};
        assert_int_equal(gguf_writer_new(&w), ST_OK);
        describe(w, &s);
        assert_int_equal(gguf_writer_save(w, path, &e), ST_IO);
        assert_non_null(strstr(e.msg, calls < 2 ? "big" : calls == 2 ? "odd" : "q"));
        assert_false(exists(path) || exists(partial));
        gguf_writer_free(w);
    }
    gguf_writer *w;
    err e = {0};
    assert_int_equal(gguf_writer_new(&w), ST_OK);
    gguf_writer_u32(w, "a.b", 1);
    assert_int_equal(gguf_writer_save(w, sample_path("no/such/folder.gguf"), &e), ST_IO);
    assert_non_null(strstr(e.msg, "No such file"));
    assert_int_equal(gguf_writer_save(w, path, &e), ST_OK);  // a writer can try again elsewhere
    assert_true(exists(path) && !exists(partial));
    const char *folder = sample_path("folder");
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(gguf_writer_save(w, folder, &e), ST_IO);  // written, but the name is taken by a folder
    assert_non_null(strstr(e.msg, "rename"));
    assert_false(exists(sample_path("folder.partial")));
    gguf_writer_free(w);
}

// A full disk, as far as a test can have one.
static void full_disk_is_reported(void **state)
{
    (void)state;
    const char *partial = sample_path("full.gguf.partial");
    if (access("/dev/full", W_OK) != 0 || symlink("/dev/full", partial) != 0)
        skip();
    gguf_writer *w;
    source s = {.fail_after = -1};
    err e = {0};
    assert_int_equal(gguf_writer_new(&w), ST_OK);
    describe(w, &s);
    assert_int_equal(gguf_writer_save(w, sample_path("full.gguf"), &e), ST_IO);
    assert_non_null(strstr(e.msg, "No space left"));
    assert_false(exists(sample_path("full.gguf")));
    gguf_writer_free(w);
}

static void bad_shapes_and_names_stick(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int type;
        uint32_t n_dims;
        uint64_t dims[5];
    } rows[] = {
        {"t", QT_Q4_0, 1, {33}},
        {"t", QT_F32, 0, {1}},
        {"t", QT_F32, 5, {1, 1, 1, 1, 1}},
        {"t", QT_F32, 2, {4, 0}},
        {"t", QT_F32, 1, {0}},
        {"t", 4, 1, {32}},
        {"", QT_F32, 1, {4}},
        {"t", QT_F64, 2, {1ull << 60, 16}},
        {"t", -1, 1, {4}},
        {"a.name.of.more.than.sixty-four.bytes.which.is.too.long.for.this.format", QT_F32, 1, {4}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        gguf_writer *w;
        source s = {.fail_after = -1};
        err e = {0};
        assert_int_equal(gguf_writer_new(&w), ST_OK);
        gguf_writer_tensor(w, rows[i].name, rows[i].type, rows[i].n_dims, rows[i].dims, fill, &s);
        gguf_writer_tensor(w, "good", QT_F32, 1, (const uint64_t[]){4}, fill, &s);
        assert_int_equal(gguf_writer_save(w, sample_path("shape.gguf"), &e), ST_INVALID);
        assert_non_null(strstr(e.msg, rows[i].name));
        assert_false(exists(sample_path("shape.gguf")));
        gguf_writer_free(w);
    }
    gguf_writer *w;
    err e = {0};
    assert_int_equal(gguf_writer_new(&w), ST_OK);
    gguf_writer_u32(w, "", 1);
    assert_int_equal(gguf_writer_save(w, sample_path("shape.gguf"), &e), ST_INVALID);
    gguf_writer_free(w);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    const char *path = sample_path("alloc-write.gguf");
    mem_stats before, after;
    mem_get_stats(&before);
    int rc = ST_NOMEM;
    for (uint64_t n = 1; rc; n++) {
        gguf_writer *w;
        source s = {.fail_after = -1};
        err e = {0};
        mem_fail_nth(n);
        rc = gguf_writer_new(&w);
        if (!rc) {
            describe(w, &s);
            rc = gguf_writer_save(w, path, &e);
        }
        mem_fail_nth(0);
        gguf_writer_free(w);
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        assert_int_equal(exists(path), rc == ST_OK);
        mem_get_stats(&after);
        assert_int_equal(after.bytes, before.bytes);
    }
}

int run_write_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(full_disk_is_reported),
        cmocka_unit_test(bad_shapes_and_names_stick),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("gguf write", tests, NULL, NULL);
}

// Random damage: 20,000 mutations of good files with a fixed seed. Whatever comes out must be opened or
// refused within a second and within memory of twice the file; what opens is read through by the fuzz target.
// Then files dense with the smallest keys and tensors there can be, against the same memory bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "gguf/tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIXED = 1024, ROUNDS = 20000, ROOM = 8192 };  // FIXED: bytes of the handle itself, whatever the file

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void overwrite(uint8_t *p, size_t n)
{
    // clang-format off
    static const uint64_t odd[] = {0, 1, 8, 31, 32, 255, 256, 65535, 65536, 1 << 20, INT32_MAX, UINT32_MAX,
                                   1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 31,
                                   1ull << 61};
    // clang-format on
    size_t width = (size_t)1 << draw(4), at = draw(n);
    uint64_t v = draw(3) ? odd[draw(COUNT_OF(odd))] : draw(64);
    for (size_t i = 0; i < width && at + i < n; i++)
        p[at + i] = (uint8_t)(v >> 8 * i);
}

// One random change in place; gives the new length.
static size_t mutate(uint8_t *p, size_t n)
{
    size_t at = draw(n), k = 1 + draw(MIN(n - at, 64));
    switch (draw(6)) {
    case 0: p[at] ^= (uint8_t)(1 << draw(8)); return n;
    case 1: p[at] = (uint8_t)draw(256); return n;
    case 2: overwrite(p, n); return n;
    case 3: memmove(p + draw(n - k + 1), p + at, k); return n;              // a piece copied over another
    case 4: memmove(p + at, p + at + k, n - at - k); return MAX(n - k, 1);  // a piece cut out
    default:
        if (n + k > ROOM)
            return 1 + draw(n);               // cut short
        memmove(p + at + k, p + at, n - at);  // a piece doubled
        return n + k;
    }
}

// Opens under the bounds. The counted peak only ever rises, so it is compared with the largest file so far.
static int open_bounded(const uint8_t *p, size_t n)
{
    static size_t largest;
    mem_stats before, after;
    gguf *g = NULL;
    err e = {0};
    largest = MAX(largest, n);
    mem_get_stats(&before);
    clock_t start = clock();  // processor time: a busy machine must not fail the test
    int rc = gguf_open_memory(&g, p, n, &e);
    assert_true(clock() - start < CLOCKS_PER_SEC);
    mem_get_stats(&after);
    uint64_t held = after.bytes - before.bytes;
    if (held > 2 * n + FIXED)
        fail_msg("%zu bytes of file hold %llu bytes of memory", n, (unsigned long long)held);
    if (after.peak > before.peak && after.peak - before.bytes > 2 * largest + FIXED)
        fail_msg("%zu bytes of file needed %llu bytes of memory", n,
                 (unsigned long long)(after.peak - before.bytes));
    gguf_close(g);
    return rc;
}

// A file with nothing but what a small model needs.
static void build_plain(make *m)
{
    make_init(m);
    make_str(m, "general.architecture", "llama");
    make_strs(m, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "c"}, 3);
    make_tensor(m, "token_embd.weight", QT_Q8_0, 2, (uint64_t[]){32, 3}, NULL);
    make_tensor(m, "blk.0.attn_q.weight", QT_F16, 2, (uint64_t[]){32, 2}, NULL);
}

static void random_damage(void **state)
{
    (void)state;
    static uint8_t room[ROOM];
    void (*const builders[])(make *) = {build_plain, sample_build};
    size_t opened = 0;
    seed = 0x9e3779b97f4a7c15u;
    for (size_t round = 0; round < ROUNDS; round++) {
        make m;
        builders[round % 2](&m);
        make_finish(&m);
        size_t n = m.out.len;
        assert_true(n < ROOM / 2);
        memcpy(room, m.out.data, n);
        make_done(&m);
        for (uint64_t k = 1 + draw(4); k-- > 0;)
            n = mutate(room, n);
        uint8_t *exact = malloc(n);
        assert_non_null(exact);
        memcpy(exact, room, n);
        opened += open_bounded(exact, n) == ST_OK;
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    // Both sides must be well visited, or the mutations are no test.
    assert_true(opened > ROUNDS / 50 && opened < ROUNDS / 2);
}

// Three characters tell 50,000 names apart.
static const char *short_name(int i, char out[4])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    out[0] = letters[i % 62];
    out[1] = letters[i / 62 % 62];
    out[2] = letters[i / 62 / 62 % 62];
    out[3] = 0;
    return out;
}

static void dense_files_stay_in_bounds(void **state)
{
    (void)state;
    char name[4];
    make m;
    make_init(&m);
    for (int i = 0; i < 50000; i++)
        make_int(make_key(&m, short_name(i, name), GGUF_U8), 1, 1);
    make_finish(&m);
    assert_int_equal(open_bounded((const uint8_t *)m.out.data, m.out.len), ST_OK);
    make_done(&m);

    make_init(&m);
    for (int i = 0; i < 20000; i++)
        make_array(&m, short_name(i, name), GGUF_STRING, 0);
    buf *b = make_array(&m, "tokenizer.ggml.tokens", GGUF_STRING, 100000);
    for (int i = 0; i < 100000; i++)
        make_int(b, 0, 8);
    make_finish(&m);
    assert_int_equal(open_bounded((const uint8_t *)m.out.data, m.out.len), ST_OK);
    make_done(&m);

    make_init(&m);
    m.alignment = 8;
    make_u32(&m, "general.alignment", 8);
    for (int i = 0; i < 50000; i++)  // backwards, so that the sort has work
        make_tensor_info(&m, short_name(i, name), QT_I8, 1, (uint64_t[]){1}, (uint64_t)(49999 - i) * 8);
    for (int i = 0; i < 50000; i++)
        make_int(&m.data, 0, 8);
    make_finish(&m);
    assert_int_equal(open_bounded((const uint8_t *)m.out.data, m.out.len), ST_OK);
    make_done(&m);
}

int run_mutate_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_damage),
        cmocka_unit_test(dense_files_stay_in_bounds),
    };
    return cmocka_run_group_tests_name("gguf random damage", tests, NULL, NULL);
}

// Files that must be refused: each with its status and one line that has the number found and the number
// allowed. Most are the sample with one field overwritten; rows say which field by a name that stands before
// it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gguf/tests.h"

// Opens the finished file; checks the refusal and that the message has all of the words (NULL ends them).
static void refused(const buf *b, const char *what, int status, const char *const *words)
{
    gguf *g = NULL;
    err e = {0};
    mem_stats before, after;
    mem_get_stats(&before);
    int rc = gguf_open_memory(&g, b->data, b->len, &e);
    if (rc == ST_OK) {
        gguf_close(g);
        fail_msg("%s: opened, must be refused", what);
    }
    if (rc != status || e.code != status)
        fail_msg("%s: status %d, %d wanted: %s", what, rc, status, e.msg);
    if (strchr(e.msg, '\n') || strncmp(e.msg, "(memory): ", 10) != 0)
        fail_msg("%s: no single line with the file's name: %s", what, e.msg);
    for (int i = 0; i < 3 && words[i]; i++)
        if (!strstr(e.msg, words[i]))
            fail_msg("%s: no \"%s\" in: %s", what, words[i], e.msg);
    mem_get_stats(&after);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(gguf_open_memory(&g, b->data, b->len, NULL), status);  // without an err to fill
}

// Added to `at`: from the file's start, from the name, from the length before it.
enum { HEADER = 1000, NAME = 2000, NAME_LEN = 3000 };

// The field `width` bytes wide at `at` bytes after the end of `name` becomes `value`.
typedef struct patch {
    const char *what;
    const char *name;
    int at, width;
    uint64_t value;
    int status;
    const char *words[3];
} patch;

#define ARCH "general.architecture"
#define ALIGN "general.alignment"
#define BLOCKS "llama.block_count"
#define HEADS "llama.attention.head_count"
#define TOKENS "tokenizer.ggml.tokens"
#define TYPES "tokenizer.ggml.token_type"
#define ADD_BOS "tokenizer.ggml.add_bos_token"
#define EMBD "token_embd.weight"
#define NORM "output_norm.weight"
#define ATTN_Q "blk.0.attn_q.weight"
#define F ST_FORMAT
#define U ST_UNSUPPORTED

// After a key's name: 0 type, 4 value; arrays: 4 element type, 8 count, 16 first element.
// After a tensor's name: 0 dimensions, 4 first dimension, ..., then type, offset.
// clang-format off
static const patch patches[] = {
    {"magic", "", HEADER + 0, 1, 'g', F, {"67 47 55 46", "47 47 55 46"}},
    {"old ggml magic", "", HEADER + 0, 4, 0x67676d6c, F, {"6c 6d 67 67"}},
    {"version 0", "", HEADER + 4, 4, 0, U, {"version 0", "2 and 3"}},
    {"version 1", "", HEADER + 4, 4, 1, U, {"version 1", "2 and 3"}},
    {"version 4", "", HEADER + 4, 4, 4, U, {"version 4", "2 and 3"}},
    {"version 2^32-1", "", HEADER + 4, 4, UINT32_MAX, U, {"4294967295", "2 and 3"}},
    {"big-endian 3", "", HEADER + 4, 4, 0x03000000, U, {"0x03000000", "big-endian"}},
    {"big-endian 2", "", HEADER + 4, 4, 0x02000000, U, {"0x02000000", "big-endian"}},
    {"tensors 2^64-1", "", HEADER + 8, 8, UINT64_MAX, F, {"18446744073709551615 tensors", "1048576"}},
    {"tensors 2^63", "", HEADER + 8, 8, 1ull << 63, F, {"9223372036854775808 tensors", "1048576"}},
    {"tensors past our bound", "", HEADER + 8, 8, (1 << 20) + 1, F, {"1048577 tensors", "1048576"}},
    {"tensors past the file", "", HEADER + 8, 8, 1 << 20, F, {"1048576 tensors", "at most"}},
    {"a tensor too many", "", HEADER + 8, 8, 5, F, {"tensor 5 of 5"}},
    {"keys 2^64-1", "", HEADER + 16, 8, UINT64_MAX, F, {"18446744073709551615 keys", "1048576"}},
    {"keys past our bound", "", HEADER + 16, 8, (1 << 20) + 1, F, {"1048577 keys", "1048576"}},
    {"keys past the file", "", HEADER + 16, 8, 1 << 20, F, {"1048576 keys", "at most"}},
    {"a key too many", "", HEADER + 16, 8, 26, F, {NULL}},
    {"a key too few", "", HEADER + 16, 8, 24, F, {NULL}},
    {"key name of 0", BLOCKS, NAME_LEN, 8, 0, F, {"0 bytes", "1 to 65535"}},
    {"key name of 65536", BLOCKS, NAME_LEN, 8, 65536, F, {"65536", "1 to 65535"}},
    {"key name of 2^64-1", BLOCKS, NAME_LEN, 8, UINT64_MAX, F, {"18446744073709551615", "65535"}},
    {"key name past the file", BLOCKS, NAME_LEN, 8, 60000, F, {"60000", "left", "key 3 of 25"}},
    {"key name with NUL", BLOCKS, NAME + 3, 1, 0, F, {"0x00", "key 3 of 25"}},
    {"key name with escape", BLOCKS, NAME + 3, 1, 0x1b, F, {"0x1b"}},
    {"key name with newline", BLOCKS, NAME + 3, 1, '\n', F, {"0x0a"}},
    {"key name not UTF-8", BLOCKS, NAME + 3, 1, 0xff, F, {"0xff"}},
    {"value type 13", "x.u8", 0, 4, 13, F, {"type 13", "0 to 12", "x.u8"}},
    {"value type 2^32-1", "x.u8", 0, 4, UINT32_MAX, F, {"4294967295", "0 to 12"}},
    {"string past the file", ARCH, 4, 8, 100000, F, {"100000", "left", ARCH}},
    {"string of 2^64-1", ARCH, 4, 8, UINT64_MAX, F, {"18446744073709551615", "left"}},
    {"string of 2^63", "x.empty_text", 4, 8, 1ull << 63, F, {"9223372036854775808", "left"}},
    {"element type 13", "x.bools", 4, 4, 13, F, {"13", "0 to 12", "x.bools"}},
    {"element type 2^31", "x.bools", 4, 4, 1u << 31, F, {"2147483648", "0 to 12"}},
    {"array of 2^64-1", HEADS, 8, 8, UINT64_MAX, F, {"18446744073709551615", "at most", HEADS}},
    {"array whose size wraps to 4", HEADS, 8, 8, (1ull << 62) + 1, F, {"4611686018427387905", "at most"}},
    {"array past the file", HEADS, 8, 8, 100000, F, {"100000", "at most"}},
    {"bools 2^60", "x.bools", 8, 8, 1ull << 60, F, {"1152921504606846976", "at most"}},
    {"nested count 2^60", "x.nested", 8, 8, 1ull << 60, F, {"1152921504606846976", "at most"}},
    {"inner count 2^61", "x.nested", 20, 8, 1ull << 61, F, {"2305843009213693952", "at most"}},
    {"bool of 2", ADD_BOS, 4, 1, 2, F, {"is 2", "0 or 1", ADD_BOS}},
    {"bool of 255 in an array", "x.bools", 17, 1, 255, F, {"is 255", "0 or 1", "x.bools"}},
    {"alignment 0", ALIGN, 4, 4, 0, F, {"is 0", "8 to 1048576"}},
    {"alignment 4", ALIGN, 4, 4, 4, F, {"is 4", "8 to 1048576"}},
    {"alignment 12", ALIGN, 4, 4, 12, F, {"is 12", "power of two"}},
    {"alignment 33", ALIGN, 4, 4, 33, F, {"is 33", "power of two"}},
    {"alignment 2^21", ALIGN, 4, 4, 1 << 21, F, {"is 2097152", "1048576"}},
    {"alignment 2^31", ALIGN, 4, 4, 1u << 31, F, {"is 2147483648", "1048576"}},
    {"alignment of a page here", ALIGN, 4, 4, 4096, F, {"offset 96", "4096", NORM}},
    {"alignment as f32", ALIGN, 0, 4, GGUF_F32, F, {"f32", "an integer", "general.alignment"}},
    {"alignment as negative", ALIGN, 0, 8, (0xffffffe0ull << 32) | GGUF_I32, F, {"-32", "at least 0"}},
    {"vocabulary of 2^60", TOKENS, 8, 8, 1ull << 60, F, {"1152921504606846976", "at most", TOKENS}},
    {"vocabulary of 2^64-1", TOKENS, 8, 8, UINT64_MAX, F, {"18446744073709551615", "at most"}},
    {"one token too many", TOKENS, 8, 8, 5, F, {NULL}},
    {"one token too few", TOKENS, 8, 8, 3, F, {NULL}},
    {"token past the file", TOKENS, 16, 8, 1 << 20, F, {"1048576", "left", TOKENS}},
    {"token of 2^64-1", TOKENS, 16, 8, UINT64_MAX, F, {"18446744073709551615", "left"}},
    {"token of 2^63", TOKENS, 27, 8, 1ull << 63, F, {"9223372036854775808", "left"}},
    {"tokens as integers", TOKENS, 4, 4, GGUF_U8, F, {"an array of u8", "an array of strings", TOKENS}},
    {"scores as bytes", "tokenizer.ggml.scores", 4, 4, GGUF_BOOL, F, {NULL}},
    {"token types as floats", TYPES, 4, 4, GGUF_F32, F, {"f32", "an array of integers"}},
    {"head counts as i32 do", HEADS, 4, 4, GGUF_I32, ST_OK, {NULL}},
    {"block count as f32", BLOCKS, 0, 4, GGUF_F32, F, {"f32", "(type 6)", "an integer >= 0"}},
    {"block count of -1", BLOCKS, 0, 8, (0xffffffffull << 32) | GGUF_I32, F, {"-1", "at least 0", BLOCKS}},
    {"RoPE base as bool array", "llama.rope.freq_base", 0, 4, GGUF_BOOL, F, {NULL}},
    {"tensor name of 0", EMBD, NAME_LEN, 8, 0, F, {"0 bytes", "1 to 64", "tensor 1 of 4"}},
    {"tensor name of 65", EMBD, NAME_LEN, 8, 65, F, {"65 bytes", "1 to 64"}},
    {"tensor name of 2^63", EMBD, NAME_LEN, 8, 1ull << 63, F, {"9223372036854775808", "1 to 64"}},
    {"tensor name with NUL", EMBD, NAME + 2, 1, 0, F, {"0x00", "tensor 1 of 4"}},
    {"0 dimensions", EMBD, 0, 4, 0, F, {"0 dimensions", "1 to 4", EMBD}},
    {"5 dimensions", EMBD, 0, 4, 5, F, {"5 dimensions", "1 to 4"}},
    {"2^32-1 dimensions", EMBD, 0, 4, UINT32_MAX, F, {"4294967295", "1 to 4"}},
    {"first dimension 0", EMBD, 4, 8, 0, F, {"dimension 0", "is 0", "at least 1"}},
    {"second dimension 0", EMBD, 12, 8, 0, F, {"dimension 1", "is 0", "at least 1"}},
    {"row cut inside a block", EMBD, 4, 8, 33, F, {"33", "Q4_0", "32"}},
    {"first dimension 2^63", EMBD, 4, 8, 1ull << 63, F, {"9223372036854775808", EMBD}},
    {"second dimension 2^62", EMBD, 12, 8, 1ull << 62, F, {"4611686018427387904", "2^63"}},
    {"size wraps to nothing", ATTN_Q, 12, 8, 1ull << 63, F, {"9223372036854775808", "2^63"}},
    {"size past the file", EMBD, 12, 8, 1 << 20, F, {"18874368 bytes", EMBD}},
    {"type dropped from the format", EMBD, 20, 4, 4, U, {"type 4", "0 to 39", EMBD}},
    {"type 31", EMBD, 20, 4, 31, U, {"type 31", "0 to 39"}},
    {"type 40", EMBD, 20, 4, 40, U, {"type 40", "0 to 39"}},
    {"type 2^32-1", EMBD, 20, 4, UINT32_MAX, U, {"type 4294967295", "0 to 39"}},
    {"type that makes it larger", EMBD, 20, 4, QT_F64, F, {NULL}},
    {"offset not aligned", NORM, 16, 8, 100, F, {"100", "32", NORM}},
    {"offset past the file", NORM, 16, 8, 1 << 20, F, {"1048576", NORM}},
    {"offset near the end of the file", NORM, 16, 8, 320, F, {"ends at byte 1664", "1507 bytes", NORM}},
    {"offset 2^64-32", NORM, 16, 8, UINT64_MAX - 31, F, {"18446744073709551584", NORM}},
    {"offset of another tensor", NORM, 16, 8, 0, F, {"overlaps", NORM, EMBD}},
    {"offset inside another tensor", NORM, 16, 8, 64, F, {"overlaps", NORM, EMBD}},
};
// clang-format on

static void apply(buf *b, const patch *p)
{
    size_t at = (size_t)p->at;
    if (at >= NAME_LEN || at < HEADER || at >= NAME) {
        const char *name = memmem(b->data, b->len, p->name, strlen(p->name));
        assert_non_null(name);
        size_t start = (size_t)(name - b->data);
        at = at >= NAME_LEN ? start - 8 : at >= NAME ? start + at - NAME : start + strlen(p->name) + at;
    } else {
        at -= HEADER;
    }
    assert_true(at + (size_t)p->width <= b->len);
    for (int i = 0; i < p->width; i++)
        b->data[at + (size_t)i] = (char)(uint8_t)(p->value >> 8 * i);
}

static void one_field_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(patches); i++) {
        make m;
        sample_build(&m);
        make_finish(&m);
        apply(&m.out, &patches[i]);
        if (patches[i].status == ST_OK) {  // the other side: a change that is allowed
            gguf *g = NULL;
            assert_int_equal(gguf_open_memory(&g, m.out.data, m.out.len, NULL), ST_OK);
            gguf_close(g);
        } else {
            refused(&m.out, patches[i].what, patches[i].status, patches[i].words);
        }
        make_done(&m);
    }
}

// Every length shorter than the file, so at every structural point and between.
static void every_truncation(void **state)
{
    (void)state;
    make m;
    sample_build(&m);
    make_finish(&m);
    size_t whole = m.out.len;
    for (size_t n = 0; n < whole; n++) {
        char what[40];
        snprintf(what, sizeof what, "cut to %zu bytes", n);
        char *exact = mem_strndup(MEM_OTHER, m.out.data, n);  // so that a sanitizer guards the end
        refused(&(buf){.data = exact, .len = n}, what, ST_FORMAT, (const char *const[3]){NULL});
        mem_free(exact);
    }
    make_done(&m);
}

// A file of one key; the caller appends its value.
static buf *lone_key(make *m, const char *key, uint32_t type)
{
    make_init(m);
    return make_key(m, key, type);
}

// What well-known keys must be: a scalar of a wrong kind for each.
static void key_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t type, elem;
        const char *words[3];
    } rows[] = {
        {TOKENS, GGUF_U32, 0, {TOKENS, "is u32 (type 4)", "an array of strings"}},
        {TOKENS, GGUF_STRING, 0, {TOKENS, "is string (type 8)", "an array of strings"}},
        {TOKENS, GGUF_ARRAY, GGUF_ARRAY, {TOKENS, "an array of array", "an array of strings"}},
        {"tokenizer.ggml.scores", GGUF_ARRAY, GGUF_STRING, {"array of string", "an array of numbers"}},
        {"tokenizer.ggml.token_type", GGUF_ARRAY, GGUF_F32, {"array of f32", "an array of integers"}},
        {"tokenizer.ggml.merges", GGUF_STRING, 0, {"string", "an array of strings"}},
        {"tokenizer.ggml.model", GGUF_U64, 0, {"u64", "a string"}},
        {"tokenizer.ggml.bos_token_id", GGUF_STRING, 0, {"string", "an integer >= 0"}},
        {"tokenizer.ggml.add_bos_token", GGUF_U8, 0, {"u8", "a bool"}},
        {"tokenizer.ggml.precompiled_charsmap", GGUF_STRING, 0, {"string", "an array of integers"}},
        {"tokenizer.chat_template", GGUF_ARRAY, GGUF_STRING, {"array of string", "a string"}},
        {"tokenizer.chat_template.tool_use", GGUF_I16, 0, {"i16", "a string"}},
        {"general.architecture", GGUF_U32, 0, {"u32", "a string"}},
        {"general.tags", GGUF_STRING, 0, {"string", "an array of strings"}},
        {"general.file_type", GGUF_F64, 0, {"f64", "an integer >= 0"}},
        {"split.count", GGUF_STRING, 0, {"string", "an integer >= 0"}},
        {"qwen3.context_length", GGUF_F32, 0, {"f32", "an integer >= 0"}},
        {"qwen3.attention.head_count", GGUF_STRING, 0, {"an integer >= 0 or an array of integers >= 0"}},
        {"llama.rope.freq_base", GGUF_STRING, 0, {"string", "a number"}},
        {"llama.rope.scaling.type", GGUF_U32, 0, {"u32", "a string"}},
        {"llama.expert_weights_norm", GGUF_U32, 0, {"u32", "a bool"}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        make m;
        buf *b = lone_key(&m, rows[i].key, rows[i].type);
        if (rows[i].type == GGUF_ARRAY)
            make_int(b, rows[i].elem, 4);
        make_int(b, 0, 8);  // a number of up to 8 bytes, an empty string, an empty array
        make_finish(&m);
        refused(&m.out, rows[i].key, ST_FORMAT, rows[i].words);
        make_done(&m);
    }
}

static void negative_counts_in_arrays(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    make_i32s(&m, HEADS, (const int32_t[]){8, 4, -7, 2}, 4);
    make_finish(&m);
    refused(&m.out, "negative head count", ST_FORMAT, (const char *const[3]){HEADS, "-7", "at least 0"});
    make_done(&m);
}

static void twice_the_same_name(void **state)
{
    (void)state;
    make m;
    sample_build(&m);
    make_u32(&m, BLOCKS, 1);
    make_finish(&m);
    refused(&m.out, "key twice", ST_FORMAT, (const char *const[3]){BLOCKS, "twice", "keys 3 and 26 of 26"});
    make_done(&m);
    sample_build(&m);
    make_tensor(&m, NORM, QT_F32, 1, (uint64_t[]){4}, NULL);
    make_finish(&m);
    refused(&m.out, "tensor twice", ST_FORMAT, (const char *const[3]){NORM, "twice", "tensors 2 and 5 of 5"});
    make_done(&m);
}

// Arrays in arrays: deep as the bound, and one deeper; a thousand levels must not use up the stack.
static void nesting_is_bounded(void **state)
{
    (void)state;
    for (int depth = 3; depth <= 1000; depth += depth < 5 ? 1 : 995) {
        make m;
        buf *b = lone_key(&m, "x.deep", GGUF_ARRAY);
        for (int i = 0; i < depth; i++) {
            make_int(b, GGUF_ARRAY, 4);
            make_int(b, 1, 8);
        }
        make_int(b, GGUF_U8, 4);
        make_int(b, 0, 8);
        make_finish(&m);
        if (depth < 4) {
            gguf *g = NULL;
            assert_int_equal(gguf_open_memory(&g, m.out.data, m.out.len, NULL), ST_OK);
            gguf_close(g);
        } else {
            refused(&m.out, "deep", ST_FORMAT, (const char *const[3]){"x.deep", "5 deep", "at most 4"});
        }
        make_done(&m);
    }
}

// Tensors that fit one by one but not together, in numbers that would otherwise make large tables.
static void many_tensors_on_one_spot(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    m.alignment = 8;
    make_u32(&m, ALIGN, 8);
    char name[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        make_tensor_info(&m, name, QT_I8, 1, (uint64_t[]){1}, 0);
    }
    buf_add(&m.data, "12345678", 8);
    make_finish(&m);
    refused(&m.out, "all on one spot", ST_FORMAT, (const char *const[3]){"40000", "8"});
    make_done(&m);
}

// Long names are cut in messages, at a character's end; the message stays one valid line.
static void long_names_are_cut(void **state)
{
    (void)state;
    make m;
    make_init(&m);
    char name[601];
    for (size_t i = 0; i < 600; i += 3)
        memcpy(name + i, "\xe6\x97\xa5", 4);
    make_int(make_key(&m, name, 77), 0, 4);
    make_finish(&m);
    gguf *g;
    err e;
    assert_int_equal(gguf_open_memory(&g, m.out.data, m.out.len, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "type 77"));
    uint32_t cp;
    for (size_t i = 0, k; e.msg[i]; i += k)
        assert_true((k = utf8_decode(e.msg + i, strlen(e.msg) - i, &cp)) > 0);
    make_done(&m);
}

static void refused_file(const char *path, int status, const char *word)
{
    gguf *g;
    err e = {0};
    assert_int_equal(gguf_open(&g, path, &e), status);
    assert_null(g);
    assert_int_equal(e.code, status);
    assert_non_null(strstr(e.msg, path));
    if (!strstr(e.msg, word))
        fail_msg("no \"%s\" in: %s", word, e.msg);
}

static void what_is_no_file(void **state)
{
    (void)state;
    refused_file(sample_path("missing.gguf"), ST_NOTFOUND, "No such file");
    refused_file("/tmp", ST_INVALID, "directory");
    refused_file("/dev/null", ST_INVALID, "regular file");
    make m;
    sample_build(&m);
    make_finish(&m);
    const char *path = sample_path("empty.gguf");
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fclose(f);
    refused_file(path, ST_FORMAT, "0 bytes");
    path = sample_path("text.gguf");
    f = fopen(path, "wb");
    assert_non_null(f);
    fputs("{\"not\": \"a model\"}\n", f);
    fclose(f);
    refused_file(path, ST_FORMAT, "7b 22 6e 6f");
    make_done(&m);
}

int run_bad_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_field_is_wrong),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(key_kinds),
        cmocka_unit_test(negative_counts_in_arrays),
        cmocka_unit_test(twice_the_same_name),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(many_tensors_on_one_spot),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(what_is_no_file),
    };
    return cmocka_run_group_tests_name("gguf bad files", tests, NULL, NULL);
}

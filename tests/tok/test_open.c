// Opening vocabularies that are wrong, odd or hostile: each gives one clear error, or a behaviour that is
// written down; and every failed allocation while opening is reported.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tok/small.h"

static const char MODEL[] = "tokenizer.ggml.model", PRE[] = "tokenizer.ggml.pre",
                  TOKENS[] = "tokenizer.ggml.tokens";
static const char TYPES[] = "tokenizer.ggml.token_type", SCORES[] = "tokenizer.ggml.scores";
static const char MERGES[] = "tokenizer.ggml.merges", MAP[] = "tokenizer.ggml.precompiled_charsmap";

static void begin(build *b, const char *model, const char *const *tokens, size_t n)
{
    build_init(b);
    if (model)
        build_str(b, MODEL, model, strlen(model));
    if (tokens)
        build_cstrs(b, TOKENS, tokens, n);
}

static const char *const abc[] = {"a", "b", "c", "ab"};
static const float scores[] = {-1, -2, -3, -4};

static void no_model(build *b)
{
    begin(b, NULL, abc, 4);
}

static void odd_model(build *b)
{
    begin(b, "rwkv", abc, 4);
}

static void odd_pre(build *b)
{
    begin(b, "gpt2", abc, 4);
    build_str(b, PRE, "qwen9", 5);
}

static void no_tokens(build *b)
{
    begin(b, "llama", NULL, 0);
    build_f32s(b, SCORES, scores, 4);
}

static void empty_tokens(build *b)
{
    begin(b, "llama", abc, 0);
    build_f32s(b, SCORES, scores, 0);
}

static void few_types(build *b)
{
    begin(b, "llama", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_i32s(b, TYPES, (const int32_t[]){1, 1, 1}, 3);
}

static void odd_type(build *b)
{
    begin(b, "llama", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_i32s(b, TYPES, (const int32_t[]){1, 1, 7, 1}, 4);
}

static void negative_type(build *b)
{
    begin(b, "llama", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_i32s(b, TYPES, (const int32_t[]){1, -1, 1, 1}, 4);
}

static void no_scores(build *b)
{
    begin(b, "llama", abc, 4);
}

static void few_scores(build *b)
{
    begin(b, "llama", abc, 4);
    build_f32s(b, SCORES, scores, 3);
}

static void unigram_few_scores(build *b)
{
    begin(b, "t5", abc, 4);
    build_f32s(b, SCORES, scores, 2);
}

static void unigram_nan(build *b)
{
    begin(b, "t5", abc, 4);
    build_f32s(b, SCORES, (const float[]){-1, NAN, -1, -1}, 4);
}

static void no_merges(build *b)
{
    begin(b, "gpt2", abc, 4);
    build_str(b, PRE, "gpt-2", 5);
}

static void merge_without_space(build *b)
{
    begin(b, "gpt2", abc, 4);
    build_str(b, PRE, "gpt-2", 5);
    build_cstrs(b, MERGES, (const char *const[]){"a b", "bc"}, 2);
}

static void merge_of_nothing(build *b)
{
    begin(b, "gpt2", abc, 4);
    build_str(b, PRE, "gpt-2", 5);
    build_cstrs(b, MERGES, (const char *const[]){""}, 1);
}

static void merge_without_right(build *b)
{
    begin(b, "gpt2", abc, 4);
    build_str(b, PRE, "gpt-2", 5);
    build_cstrs(b, MERGES, (const char *const[]){"ab "}, 1);
}

static void bos_outside(build *b)
{
    begin(b, "llama", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_u32(b, "tokenizer.ggml.bos_token_id", 4);
}

static void wordpiece_without_unknown(build *b)
{
    begin(b, "bert", abc, 4);
}

static void charsmap_short(build *b)
{
    begin(b, "t5", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_bytes(b, MAP, "\1\0", 2);
}

static void charsmap_past_end(build *b)
{
    begin(b, "t5", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_bytes(b, MAP, "\x10\0\0\0abcdefgh", 12);
}

static void charsmap_odd(build *b)
{
    begin(b, "t5", abc, 4);
    build_f32s(b, SCORES, scores, 4);
    build_bytes(b, MAP, "\3\0\0\0abcdefgh", 12);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        void (*make)(build *b);
        int code;
        const char *says;
    } cases[] = {
        {no_model, ST_FORMAT, "tokenizer.ggml.model"},
        {odd_model, ST_UNSUPPORTED, "\"rwkv\""},
        {odd_pre, ST_UNSUPPORTED, "\"qwen9\""},
        {no_tokens, ST_FORMAT, "tokenizer.ggml.tokens"},
        {empty_tokens, ST_FORMAT, "tokenizer.ggml.tokens"},
        {few_types, ST_FORMAT, "has 3 entries"},
        {odd_type, ST_FORMAT, "[2] is 7"},
        {negative_type, ST_FORMAT, "[1] is -1"},
        {no_scores, ST_FORMAT, "tokenizer.ggml.scores"},
        {few_scores, ST_FORMAT, "has 3 entries"},
        {unigram_few_scores, ST_FORMAT, "has 2 entries"},
        {unigram_nan, ST_FORMAT, "[1] is not a finite number"},
        {no_merges, ST_FORMAT, "tokenizer.ggml.merges"},
        {merge_without_space, ST_FORMAT, "[1] is \"bc\""},
        {merge_of_nothing, ST_FORMAT, "[0] is \"\""},
        {merge_without_right, ST_FORMAT, "[0] is \"ab \""},
        {bos_outside, ST_FORMAT, "is 4, but the vocabulary has 4 tokens"},
        {wordpiece_without_unknown, ST_FORMAT, "unknown_token_id"},
        {charsmap_short, ST_FORMAT, "has 2 bytes"},
        {charsmap_past_end, ST_FORMAT, "trie: 16"},
        {charsmap_odd, ST_FORMAT, "trie: 3"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        build b;
        tok *t = NULL;
        err e = {0};
        cases[i].make(&b);
        int rc = build_open(&b, &t, &e);
        if (rc != cases[i].code || !strstr(e.msg, cases[i].says))
            fail_msg("case %zu: %d \"%s\", not %d with \"%s\"", i, rc, e.msg, cases[i].code, cases[i].says);
        assert_null(t);
        build_done(&b);
    }
}

static void ids_of_none(void **state)
{
    (void)state;
    build b;
    begin(&b, "llama", abc, 4);
    build_f32s(&b, SCORES, scores, 4);
    build_u32(&b, "tokenizer.ggml.bos_token_id", UINT32_MAX);
    tok *t = small_open(&b);
    assert_int_equal(tok_bos(t), -1);
    assert_false(tok_adds_bos(t));
    tok_close(t);
}

static int encode_one(const tok *t, const char *text, int32_t *first, size_t *n)
{
    int32_t *ids = NULL;
    err e = {0};
    int rc = tok_encode(t, text, strlen(text), 0, &ids, n, &e);
    if (rc) {
        assert_true(e.msg[0] != 0);
        return rc;
    }
    *first = *n ? ids[0] : -1;
    mem_free(ids);
    return 0;
}

static void duplicates_and_empty_pieces(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "", "a", "b", "ab", "ab", ""};
    build b;
    int32_t first = -1;
    size_t n = 0;
    begin(&b, "gpt2", pieces, COUNT_OF(pieces));
    build_str(&b, PRE, "gpt-2", 5);
    build_cstrs(&b, MERGES, (const char *const[]){"a b", "a b", "b zz", "q a"}, 4);
    tok *t = small_open(&b);
    assert_int_equal(encode_one(t, "a", &first, &n), 0);
    assert_true(first == 2 && n == 1);
    assert_int_equal(encode_one(t, "ab", &first, &n), 0);
    assert_true(first == 5 && n == 1);
    assert_int_equal(tok_find(t, "", 0), -1);
    tok_close(t);
    begin(&b, "llama", pieces, COUNT_OF(pieces));
    build_f32s(&b, SCORES, (const float[]){0, NAN, INFINITY, -INFINITY, NAN, -0.0f, 1}, COUNT_OF(pieces));
    build_bool(&b, "tokenizer.ggml.add_space_prefix", false);
    t = small_open(&b);
    assert_int_equal(encode_one(t, "ab", &first, &n), 0);
    assert_true(first == 5 && n == 1);
    tok_close(t);
}

// A byte without a token: the unknown token where there is one, else an error that names the byte.
static void missing_bytes(void **state)
{
    (void)state;
    build b;
    int32_t first = -1;
    size_t n = 0;
    for (int unknown = 0; unknown < 2; unknown++) {
        begin(&b, "gpt2", abc, 4);
        build_str(&b, PRE, "gpt-2", 5);
        build_cstrs(&b, MERGES, (const char *const[]){"a b"}, 1);
        if (unknown)
            build_u32(&b, "tokenizer.ggml.unknown_token_id", 2);
        tok *t = small_open(&b);
        assert_int_equal(encode_one(t, "ab", &first, &n), 0);
        assert_true(first == 3 && n == 1);
        assert_int_equal(encode_one(t, "z", &first, &n), unknown ? 0 : ST_UNSUPPORTED);
        assert_int_equal(encode_one(t, "\xFF", &first, &n), unknown ? 0 : ST_UNSUPPORTED);
        assert_true(!unknown || first == 2);
        tok_close(t);
    }
}

// Of two tokens with one text the control token is found; text of a user then finds neither.
static void control_and_user_defined_alike(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<x>", "<", "x", ">", "<x>"};
    build b;
    int32_t first = -1;
    size_t n = 0;
    begin(&b, "gpt2", pieces, 5);
    build_str(&b, PRE, "gpt-2", 5);
    build_i32s(&b, TYPES, (const int32_t[]){3, 1, 1, 1, 4}, 5);
    build_cstrs(&b, MERGES, (const char *const[]){"< x"}, 1);
    tok *t = small_open(&b);
    assert_int_equal(tok_find(t, "<x>", 3), 0);
    assert_int_equal(encode_one(t, "<x>", &first, &n), 0);
    assert_true(first == 1 && n == 3);
    tok_close(t);
}

static void wordpiece(void **state)
{
    (void)state;
    static const char *const pieces[] = {"[UNK]", "▁a", "b", "▁", "▁cafe", "[CLS]", "[SEP]", "▁!", "▁猫"};
    static const int32_t types[] = {3, 1, 1, 1, 1, 3, 3, 1, 1};
    build b;
    begin(&b, "bert", pieces, COUNT_OF(pieces));
    build_i32s(&b, TYPES, types, COUNT_OF(types));
    tok *t = small_open(&b);
    static const struct {
        const char *text;
        size_t n;
        int32_t ids[6];
    } cases[] = {
        {"a", 1, {1}},
        {"AB", 2, {1, 2}},
        {"abb x", 4, {1, 2, 2, 0}},
        {"Cafe\xCC\x81", 1, {4}},
        {"CAF\xC3\x89", 1, {4}},
        {"a!!", 3, {1, 7, 7}},
        {"a\xE7\x8C\xAB"
         "a",
         3,
         {1, 8, 1}},
        {" \t\n ", 0, {0}},
        {"a\x01\xEF\xBF\xBD"
         "b",
         2,
         {1, 2}},
        {"a\xFF"
         "b",
         2,
         {1, 2}},
        {"b", 1, {0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        tok_ids l = {0};
        assert_int_equal(tok_encode_append(t, &l, cases[i].text, strlen(cases[i].text), 0, NULL), 0);
        if (l.count != cases[i].n || (l.count && memcmp(l.data, cases[i].ids, l.count * sizeof *l.data) != 0))
            fail_msg("case %zu: %zu tokens, first %d", i, l.count, l.count ? l.data[0] : -1);
        tok_ids_done(&l);
    }
    tok_ids l = {0};
    assert_int_equal(tok_encode_append(t, &l, "a", 1, TOK_BOS | TOK_EOS, NULL), 0);
    assert_int_equal(l.count, 3);
    assert_true(l.data[0] == 5 && l.data[2] == 6);
    buf text;
    buf_init(&text);
    assert_int_equal(tok_decode(t, (const int32_t[]){5, 1, 2, 4, 6}, 5, TOK_START, &text, NULL), 0);
    assert_string_equal(text.data, "ab cafe");
    buf_done(&text);
    // A word of more than 100 characters is unknown as a whole.
    char word[102];
    memset(word, 'b', sizeof word);
    word[0] = 'a';
    for (size_t n = 100; n <= 102; n++) {
        l.count = 0;
        assert_int_equal(tok_encode_append(t, &l, word, n, 0, NULL), 0);
        assert_int_equal(l.count, n <= 100 ? n : 1);
        assert_int_equal(l.data[0], n <= 100 ? 1 : 0);
    }
    tok_ids_done(&l);
    tok_close(t);
}

static void make_unigram(build *b)
{
    // A map with one entry, "A" -> "aa": unit 0 leads by offset 0x100, so 'A' is at 0x141; its leaf at 0x142
    // (offset 0x141 ^ 0x142 = 3) holds the place 0.
    enum { UNITS = 0x143 };
    static uint8_t map[4 + 4 * UNITS + 3];
    const struct {
        size_t at;
        uint32_t unit;
    } set[] = {{0, 0x100u << 10}, {0x141, 3u << 10 | 0x100 | 'A'}, {0x142, 0x80000000u}};
    memset(map, 0, sizeof map);
    map[0] = (4 * UNITS) & 0xFF;
    map[1] = (4 * UNITS) >> 8;
    for (size_t i = 0; i < COUNT_OF(set); i++)
        for (int k = 0; k < 4; k++)
            map[4 + 4 * set[i].at + (size_t)k] = (uint8_t)(set[i].unit >> (8 * k));
    memcpy(map + 4 + 4 * UNITS, "aa", 3);
    static const char *const pieces[] = {"<unk>", "a", "aa", "▁", "b", "▁aa", "</s>"};
    build_init(b);
    build_str(b, MODEL, "t5", 2);
    build_cstrs(b, TOKENS, pieces, COUNT_OF(pieces));
    build_f32s(b, SCORES, (const float[]){0, -2, -3, -2.5f, -1, -5, 0}, COUNT_OF(pieces));
    build_i32s(b, TYPES, (const int32_t[]){2, 1, 1, 1, 1, 1, 3}, COUNT_OF(pieces));
    build_bytes(b, MAP, map, sizeof map);
    build_bool(b, "tokenizer.ggml.remove_extra_whitespaces", true);
}

static void unigram(void **state)
{
    (void)state;
    build b;
    make_unigram(&b);
    tok *t = small_open(&b);
    static const struct {
        const char *text;
        size_t n;
        int32_t ids[6];
    } cases[] = {
        {"a", 2, {3, 1}},
        {"aa", 1, {5}},
        {"A", 1, {5}},
        {"bAb", 4, {3, 4, 2, 4}},
        {"  a  b  ", 4, {3, 1, 3, 4}},
        {"", 0, {0}},
        {"   ", 0, {0}},
        {"azzb", 4, {3, 1, 0, 4}},
        {"z\xFF", 2, {3, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        tok_ids l = {0};
        assert_int_equal(tok_encode_append(t, &l, cases[i].text, strlen(cases[i].text), 0, NULL), 0);
        if (l.count != cases[i].n || (l.count && memcmp(l.data, cases[i].ids, l.count * sizeof *l.data) != 0))
            fail_msg("case %zu: %zu tokens, first %d", i, l.count, l.count ? l.data[0] : -1);
        tok_ids_done(&l);
    }
    tok_close(t);
}

// A long text keeps its precision: the sums of scores start again where they may.
static void unigram_long_text(void **state)
{
    (void)state;
    enum { N = 400000 };
    build b;
    make_unigram(&b);
    tok *t = small_open(&b);
    buf text;
    buf_init(&text);
    for (int i = 0; i < N / 4; i++)
        buf_add_str(&text, "baa ");
    tok_ids l = {0};
    assert_int_equal(tok_encode_append(t, &l, text.data, text.len, 0, NULL), 0);
    assert_int_equal(l.count, 3 * (N / 4));
    for (size_t i = 0; i < l.count; i += 3)
        assert_true(l.data[i] == 3 && l.data[i + 1] == 4 && l.data[i + 2] == 2);
    tok_ids_done(&l);
    buf_done(&text);
    tok_close(t);
}

static void make_bpe(build *b)
{
    small_bpe(b, true);
}

static void make_spm(build *b)
{
    small_spm(b, true);
}

static void make_wordpiece(build *b)
{
    static const char *const pieces[] = {"[UNK]", "▁a", "b", "[CLS]"};
    begin(b, "bert", pieces, COUNT_OF(pieces));
    build_i32s(b, TYPES, (const int32_t[]){3, 1, 1, 3}, 4);
}

static void no_memory(void **state)
{
    (void)state;
    void (*const makes[])(build * b) = {make_bpe, make_spm, make_unigram, make_wordpiece};
    for (size_t i = 0; i < COUNT_OF(makes); i++) {
        int failures = 0;
        build b;
        makes[i](&b);
        for (uint64_t n = 1; n <= 200; n++) {
            tok *t = NULL;
            err e = {0};
            mem_fail_nth(n);
            int rc = build_open(&b, &t, &e);
            mem_fail_nth(0);
            b.out.failed = false;
            assert_true(rc == 0 || rc == ST_NOMEM);
            assert_true((rc == 0) == (t != NULL));
            failures += rc != 0;
            tok_close(t);
        }
        assert_true(failures >= 8 && failures < 200);
        build_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(ids_of_none),
        cmocka_unit_test(duplicates_and_empty_pieces),
        cmocka_unit_test(missing_bytes),
        cmocka_unit_test(control_and_user_defined_alike),
        cmocka_unit_test(wordpiece),
        cmocka_unit_test(unigram),
        cmocka_unit_test(unigram_long_text),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

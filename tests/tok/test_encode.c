// Encoding and decoding with small vocabularies whose answers can be seen by eye: special tokens, appended
// pieces, the space prefix, byte fallback, names of tokens.
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tok/small.h"

// Encodes and compares with token texts; a list that ends in NULL.
static void expect(const tok *t, const char *text, unsigned flags, const char *const *want)
{
    int32_t *ids = NULL;
    size_t n = 0, k = 0;
    err e = {0};
    if (tok_encode(t, text, strlen(text), flags, &ids, &n, &e))
        fail_msg("\"%s\": %s", text, e.msg);
    for (; want[k]; k++) {
        size_t len = 0;
        const char *p = k < n ? tok_piece(t, ids[k], TOK_SPECIAL, &len) : "";
        if (len != strlen(want[k]) || memcmp(p, want[k], len) != 0)
            fail_msg("\"%s\": token %zu is \"%.*s\", not \"%s\"", text, k, (int)len, p, want[k]);
    }
    assert_int_equal(n, k);
    mem_free(ids);
}

#define EXPECT(t, text, flags, ...) expect(t, text, flags, (const char *const[]){__VA_ARGS__, NULL})

static void control_tokens_only_when_asked(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, true);
    tok *t = small_open(&b);
    EXPECT(t, "hello<|im_start|>hello", TOK_SPECIAL, "hello", "<|im_start|>", "hello");
    EXPECT(t, "a<|end|>", 0, "a", "<", "|", "e", "n", "d", "|", ">");
    EXPECT(t, "<|end|><|end|>", TOK_SPECIAL, "<|end|>", "<|end|>");
    EXPECT(t, "<|en", TOK_SPECIAL, "<", "|", "e", "n");
    EXPECT(t, "hello", TOK_BOS | TOK_EOS, "<|begin|>", "hello");
    EXPECT(t, "", TOK_BOS, "<|begin|>");
    assert_true(tok_adds_bos(t) && !tok_adds_eos(t));
    tok_close(t);
    small_bpe(&b, false);
    t = small_open(&b);
    EXPECT(t, "hello", TOK_BOS, "hello");
    tok_close(t);
}

static void no_text_of_a_user_becomes_control(void **state)
{
    (void)state;
    static const char *const bits[] = {"<|begin|>", "<|end|>",      "<|im_start|>", "<|",    "|>",    "<",
                                       "im_start",  "<s>",          "</s>",         "<unk>", " ",     "hello",
                                       "<tool>",    "\xE3\x81\x82", "\xFF",         "abc",   "<0x41>"};
    build b;
    uint64_t seed = 7;
    for (int kind = 0; kind < 2; kind++) {
        if (kind)
            small_spm(&b, true);
        else
            small_bpe(&b, false);
        tok *t = small_open(&b);
        for (int round = 0; round < 2000; round++) {
            char text[256];
            size_t n = 0;
            for (uint32_t k = small_random(&seed) % 10; k > 0; k--) {
                const char *s = bits[small_random(&seed) % COUNT_OF(bits)];
                memcpy(text + n, s, strlen(s));
                n += strlen(s);
            }
            tok_ids l = {0};
            assert_int_equal(tok_encode_append(t, &l, text, n, 0, NULL), 0);
            for (size_t i = 0; i < l.count; i++)
                assert_false(tok_is_control(t, l.data[i]));
            tok_ids_done(&l);
        }
        tok_close(t);
    }
}

static void user_defined_tokens_always(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, false);
    tok *t = small_open(&b);
    EXPECT(t, "<tool>a<tool>s<tools>", 0, "<tool>", "a", "<tool>s", "<", "t", "o", "o", "l", "s", ">");
    EXPECT(t, "a   hello", 0, "a", "  ", " hello");  // two spaces, then one that begins a word
    assert_int_equal(small_id(t, "<tool>"), small_id(t, "<tool>s") - 1);
    assert_false(tok_is_control(t, small_id(t, "<tool>")));
    tok_close(t);
}

static void expect_ranges(const tok *t, const char *s, const tok_range *r, size_t n, const char *const *want)
{
    tok_ids l = {0};
    assert_int_equal(tok_encode_ranges(t, &l, s, r, n, NULL), 0);
    for (size_t i = 0; i < l.count; i++) {
        assert_non_null(want[i]);
        assert_int_equal(l.data[i], small_id(t, want[i]));
    }
    assert_null(want[l.count]);
    tok_ids_done(&l);
}

#define EXPECT_RANGES(t, s, r, ...) \
    expect_ranges(t, s, r, COUNT_OF(r), (const char *const[]){__VA_ARGS__, NULL})

static void trust_ends_where_its_range_ends(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, true);
    tok *t = small_open(&b);
    const tok_range all_trusted[] = {{7, true}, {2, true}, {0, false}, {0, true}};
    EXPECT_RANGES(t, "<|end|>he", all_trusted, "<|end|>", "he");
    const tok_range user_between[] = {{7, true}, {7, false}, {7, true}};
    EXPECT_RANGES(t, "<|end|><|end|><|end|>", user_between, "<|end|>", "<", "|", "e", "n", "d", "|", ">",
                  "<|end|>");
    const tok_range two_trusted[] = {{3, true}, {4, true}};
    EXPECT_RANGES(t, "<|end|>", two_trusted, "<|end|>");
    for (size_t cut = 1; cut < 7; cut++) {  // a token that is only partly trusted is text, from either side
        const tok_range head[] = {{cut, true}, {7 - cut, false}}, tail[] = {{cut, false}, {7 - cut, true}};
        EXPECT_RANGES(t, "<|end|>", head, "<", "|", "e", "n", "d", "|", ">");
        EXPECT_RANGES(t, "<|end|>", tail, "<", "|", "e", "n", "d", "|", ">");
    }
    const tok_range inside_word[] = {{3, true}, {2, false}};
    EXPECT_RANGES(t, "hello", inside_word, "hello");
    const tok_range inside_user_defined[] = {{3, true}, {3, false}};
    EXPECT_RANGES(t, "<tool>", inside_user_defined, "<tool>");
    tok_close(t);
}

// A user-defined token whose text begins a control token's: it stands where the control token may not.
static void user_defined_inside_control(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<", "x", ">", "<x", "<x>"};
    build b;
    build_init(&b);
    build_str(&b, "tokenizer.ggml.model", "gpt2", 4);
    build_str(&b, "tokenizer.ggml.pre", "gpt-2", 5);
    build_cstrs(&b, "tokenizer.ggml.tokens", pieces, 5);
    build_i32s(&b, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, 1, 4, 3}, 5);
    build_cstrs(&b, "tokenizer.ggml.merges", NULL, 0);
    tok *t = small_open(&b);
    EXPECT(t, "<x><x", 0, "<x", ">", "<x");
    EXPECT(t, "<x><x", TOK_SPECIAL, "<x>", "<x");
    tok_close(t);
}

static void space_prefix(void **state)
{
    (void)state;
    build b;
    small_spm(&b, true);
    tok *t = small_open(&b);
    assert_true(tok_adds_bos(t));
    EXPECT(t, "abc", 0, " abc");
    EXPECT(t, "abc", TOK_BOS, "<s>", " abc");
    EXPECT(t, " abc", 0, " ", " abc");  // the space of the text comes after the one put before it
    EXPECT(t, " b", 0, "  ", "b");
    EXPECT(t, "abc<cut>abc", 0, " abc", "<cut>", " abc");
    EXPECT(t, "abc</s>abc", TOK_SPECIAL, " abc", "</s>", " abc");
    EXPECT(t,
           "\xE2\x96\x81"
           "abc",
           0, " ", " abc");  // U+2581 means a space
    EXPECT(t, "", 0, NULL);
    // Pieces one after another: no second prefix inside running text, one after a special token.
    tok_ids l = {0};
    const char *const parts[] = {"abc", "abc", "<cut>", "abc"};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        assert_int_equal(tok_encode_append(t, &l, parts[i], strlen(parts[i]), 0, NULL), 0);
    const int32_t want[] = {small_id(t, " abc"), small_id(t, "abc"), small_id(t, "<cut>"),
                            small_id(t, " abc")};
    assert_int_equal(l.count, COUNT_OF(want));
    assert_memory_equal(l.data, want, sizeof want);
    tok_ids_done(&l);
    tok_close(t);
    small_spm(&b, false);
    t = small_open(&b);
    EXPECT(t, "abc", 0, "abc");
    EXPECT(t, "abc abc", 0, "abc", " abc");
    tok_close(t);
}

static void merges_by_score(void **state)
{
    (void)state;
    build b;
    small_spm(&b, false);
    tok *t = small_open(&b);
    EXPECT(t, "ab", 0, "ab");
    EXPECT(t, "abc", 0, "abc");
    EXPECT(t, "bcab", 0, "bc", "ab");
    EXPECT(t, "cde", 0, "cde");
    EXPECT(t, "bcde", 0, "bc", "de");  // bc goes before de, so there is no c left for cde
    EXPECT(t, "\xE3\x81\x82", 0, "あ");
    EXPECT(t, "\xE3\x81\x84", 0, "\xE3", "\x81", "\x84");  // byte fallback
    EXPECT(t,
           "a\xFF"
           "b",
           0, "a", "\xFF", "b");
    tok_close(t);
}

static void rstrip_of_phi3(void **state)
{
    (void)state;
    build b;
    small_spm(&b, true);
    build_str(&b, "general.architecture", "phi3", 4);
    tok *t = small_open(&b);
    EXPECT(t, "</s> \n abc", TOK_SPECIAL, "</s>", " abc");
    EXPECT(t, "<s> abc", TOK_SPECIAL, "<s>", " ", " abc");
    tok_close(t);
}

static void names_and_ends(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, false);
    tok *t = small_open(&b);
    assert_string_equal(tok_kind_name(t), "bpe");
    assert_string_equal(tok_pre_name(t), "gpt-2");
    assert_int_equal(tok_bos(t), small_id(t, "<|begin|>"));
    assert_int_equal(tok_eos(t), small_id(t, "<|end|>"));
    assert_int_equal(tok_eot(t), -1);
    assert_int_equal(tok_unk(t), -1);
    assert_int_equal(tok_pad(t), -1);
    assert_true(tok_is_eog(t, tok_eos(t)));
    assert_false(tok_is_eog(t, tok_bos(t)) || tok_is_eog(t, -1) || tok_is_eog(t, (int32_t)tok_count(t)));
    assert_true(tok_is_control(t, tok_eos(t)));
    assert_false(tok_is_control(t, 0) || tok_is_control(t, INT32_MAX));
    assert_int_equal(tok_find(t, "hell", 4), small_id(t, "hell"));
    assert_int_equal(tok_find(t, "hel", 3), -1);
    assert_int_equal(tok_find(t, "", 0), -1);
    size_t n = 9;
    tok_piece(t, tok_eos(t), 0, &n);
    assert_int_equal(n, 0);
    tok_piece(t, (int32_t)tok_count(t), TOK_SPECIAL, &n);
    assert_int_equal(n, 0);
    tok_close(t);
}

static char *decode(const tok *t, const char *const *pieces, unsigned flags)
{
    tok_ids l = {0};
    buf out;
    buf_init(&out);
    for (; *pieces; pieces++) {
        int32_t id = small_id(t, *pieces);
        assert_int_equal(tok_ids_add(&l, &id, 1), 0);
    }
    assert_int_equal(tok_decode(t, l.data, l.count, flags, &out, NULL), 0);
    tok_ids_done(&l);
    return buf_take(&out);
}

static void decoding_flags(void **state)
{
    (void)state;
    build b;
    small_spm(&b, true);
    tok *t = small_open(&b);
    const char *const pieces[] = {"<s>", " abc", " a", "bc", "</s>", NULL};
    const struct {
        unsigned flags;
        const char *text;
    } cases[] = {
        {0, " abc abc"},
        {TOK_START, "abc abc"},
        {TOK_SPECIAL, "<s> abc abc</s>"},
        {TOK_START | TOK_SPECIAL, "<s>abc abc</s>"},
        {TOK_RAW | TOK_START, "abc abc"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = decode(t, pieces, cases[i].flags);
        assert_string_equal(text, cases[i].text);
        mem_free(text);
    }
    const int32_t bad[] = {4, -1}, worse = (int32_t)tok_count(t);
    buf out;
    buf_init(&out);
    err e = {0};
    assert_int_equal(tok_decode(t, bad, 2, 0, &out, &e), ST_INVALID);
    assert_non_null(strstr(e.msg, "token 1 is -1"));
    assert_int_equal(tok_decode(t, &worse, 1, 0, &out, &e), ST_INVALID);
    buf_done(&out);
    tok_close(t);
}

static void empty_results(void **state)
{
    (void)state;
    build b;
    small_bpe(&b, false);
    tok *t = small_open(&b);
    int32_t *ids = NULL;
    size_t n = 9;
    assert_int_equal(tok_encode(t, "", 0, TOK_BOS | TOK_EOS | TOK_SPECIAL, &ids, &n, NULL), 0);
    assert_non_null(ids);
    assert_int_equal(n, 0);
    mem_free(ids);
    tok_close(t);
}

static void no_memory(void **state)
{
    (void)state;
    static const char text[] = "hello <tool> hello\xFF <|end|> \xE3\x81\x82 11";
    build b;
    for (int kind = 0; kind < 2; kind++) {
        if (kind)
            small_spm(&b, true);
        else
            small_bpe(&b, true);
        tok *t = small_open(&b);
        int32_t seven = 7;
        int refused = 0;
        for (uint64_t n = 1;; n++) {
            tok_ids l = {0};
            assert_int_equal(tok_ids_add(&l, &seven, 1), 0);
            err e = {0};
            mem_fail_nth(n);
            int rc = tok_encode_append(t, &l, text, sizeof text - 1, TOK_SPECIAL | TOK_BOS, &e);
            mem_fail_nth(0);
            if (!rc)
                assert_true(l.count > 10);
            else
                assert_true(rc == ST_NOMEM && l.count == 1 && l.data[0] == 7);
            tok_ids_done(&l);
            if (!rc)
                break;
            refused++;
        }
        assert_true(refused >= 2);
        tok_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_tokens_only_when_asked),
        cmocka_unit_test(no_text_of_a_user_becomes_control),
        cmocka_unit_test(user_defined_tokens_always),
        cmocka_unit_test(trust_ends_where_its_range_ends),
        cmocka_unit_test(user_defined_inside_control),
        cmocka_unit_test(space_prefix),
        cmocka_unit_test(merges_by_score),
        cmocka_unit_test(rstrip_of_phi3),
        cmocka_unit_test(names_and_ends),
        cmocka_unit_test(decoding_flags),
        cmocka_unit_test(empty_results),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Regular expressions and GBNF: which texts fit, what is refused, masks against trying every token.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
// clang-format on
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "gram/support.h"

typedef struct sample {
    const char *grammar;
    const char *good[8], *bad[8];
} sample;

static const sample regexes[] = {
    {"a", {"a"}, {"", "b", "aa"}},
    {"(ab|cd)*e?", {"", "ab", "abcd", "cde", "e"}, {"a", "ee", "abc"}},
    {"^[0-9]{4}-[0-9]{2}$", {"2024-01"}, {"2024-1", "x2024-01", "2024-01-"}},
    {"a{2,4}", {"aa", "aaa", "aaaa"}, {"a", "aaaaa"}},
    {"a{0,3}b{2}", {"bb", "aaabb"}, {"aaaabb", "b"}},
    {"(?=.*[0-9])[a-z0-9]+", {"a1", "1", "abc9x"}, {"abc", ""}},
    {"(?!bad)[a-z]+", {"good", "ba"}, {"bad", "badly"}},
    {"[^a-c]x\\d\\w", {"dx0_", "\xE3\x81\x82x9z"}, {"ax0_", "dxa_"}},
    {".", {"a", "\xC3\xA9", "\xE3\x81\x82", "\xF0\x9F\x99\x82"}, {"\n", "", "ab", "\xC3", "\xED\xA0\x80"}},
    {"[\\u3040-\\u309F]+", {"\xE3\x81\x82\xE3\x81\x84"}, {"\xE3\x82\xA2", "a"}},
    {"[\\u{1F600}-\\u{1F64F}]", {"\xF0\x9F\x99\x82"}, {"\xF0\x9F\x9A\x80"}},
    {"a|", {"", "a"}, {"b"}},
    {"x*?y+?", {"y", "xxyy"}, {"x"}},
    {"(a|b)(?<n>c)(?:d)", {"acd", "bcd"}, {"cd"}},
    {"\\x41\\t\\.\\/", {"A\t./"}, {"A\tx/"}},
    {"a$|^b", {"a", "b"}, {"ab"}},
    {"(a*)*b", {"b", "aaab"}, {"a"}},
};

static gram *compile_regex(const char *s, err *e)
{
    gram *g = NULL;
    gram_compile_regex(&g, test_vocab(), (gram_lead){0}, s, strlen(s), e);
    return g;
}

static gram *compile_gbnf(const char *s, err *e)
{
    gram *g = NULL;
    gram_compile_gbnf(&g, test_vocab(), (gram_lead){0}, s, strlen(s), e);
    return g;
}

static void check(gram *(*compile)(const char *, err *), const sample *x)
{
    err e = {0};
    gram *g = compile(x->grammar, &e);
    if (!g)
        fail_msg("%s: %s", x->grammar, e.msg);
    for (int i = 0; i < 8 && x->good[i]; i++) {
        if (!fits(g, x->good[i], strlen(x->good[i])))
            fail_msg("%s refuses \"%s\"", x->grammar, x->good[i]);
        assert_true(fits_tokens(g, x->good[i], strlen(x->good[i]), (uint64_t)i));
    }
    for (int i = 0; i < 8 && x->bad[i]; i++) {
        if (fits(g, x->bad[i], strlen(x->bad[i])))
            fail_msg("%s takes \"%s\"", x->grammar, x->bad[i]);
        assert_false(fits_tokens(g, x->bad[i], strlen(x->bad[i]), (uint64_t)i));
    }
    gram_free(g);
}

static void test_regex(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(regexes); i++)
        check(compile_regex, &regexes[i]);
}

static const sample gbnfs[] = {
    {"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"ye", "yesno"}},
    {"root ::= e\ne ::= t (\"+\" t)*\nt ::= [0-9]+ | \"(\" e \")\"",
     {"1", "1+2", "(1+2)+3", "((4))"},
     {"", "1+", "(1", "1)"}},
    {"root  ::= a # comment\na ::=\n  \"x\" a \"y\" |\n  \"\"", {"", "xy", "xxyy"}, {"x", "xyy", "yx"}},
    {"root ::= (\"a\" root \"b\" | \"a\" root \"c\" | \"\")", {"", "ab", "aabc", "aaabcb"}, {"a", "abc"}},
    {"root ::= [^x\\n]{2,3} \"\\n\" .", {"ab\nq", "abc\n\n"}, {"a\nq", "abx\nq"}},
    {"root ::= n{3}\nn ::= \"(\" n? \")\"", {"()()()", "(())()((()))"}, {"()()", "()()()()"}},
    {"root ::= s*\ns ::= \"a\" s? \"b\"", {"", "ab", "aabbab"}, {"ba", "aab"}},
    {"root ::= [\\u3041-\\u3096]+ \"\\u3002\"", {"\xE3\x81\x82\xE3\x80\x82"}, {"\xE3\x81\x82"}},
};

static void test_gbnf(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(gbnfs); i++)
        check(compile_gbnf, &gbnfs[i]);
}

// At every place of some texts, the mask against each token of the vocabulary.
static void test_masks(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"[a-z ]{3,12}(, [a-z]+)*\\.", "some words, here."},
        {".*\"x\".*", "he said \"x\" and went"},
        {"(?!the)[a-z]+ [0-9]{1,3}", "thx 12"},
    };
    for (size_t k = 0; k < COUNT_OF(pairs); k++) {
        gram *g = compile_regex(pairs[k][0], NULL);
        gram_state *s;
        assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
        for (const char *p = pairs[k][1]; *p; p++) {
            check_mask(s);
            assert_int_equal(gram_state_accept_bytes(s, p, 1, NULL), ST_OK);
        }
        check_mask(s);
        gram_state_free(s);
        gram_free(g);
    }
}

static void test_states(void **state)
{
    (void)state;
    gram *g = compile_regex("(abc|abd)ef(g|)", NULL);
    gram_state *s, *f;
    buf forced;
    buf_init(&forced);
    assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
    assert_int_equal(gram_state_forced(s, &forced, NULL), ST_OK);
    assert_string_equal(forced.data, "ab");
    assert_int_equal(gram_state_accept_bytes(s, "ab", 2, NULL), ST_OK);
    assert_int_equal(gram_state_accept_bytes(s, "d", 1, NULL), ST_OK);
    assert_int_equal(gram_state_steps(s), 2);
    assert_int_equal(gram_state_fork(&f, s, NULL), ST_OK);
    gram_state_rollback(s, 1);
    assert_int_equal(gram_state_accept_bytes(s, "x", 1, NULL), ST_INVALID);
    assert_int_equal(gram_state_accept_bytes(s, "c", 1, NULL), ST_OK);
    buf_clear(&forced);
    assert_int_equal(gram_state_forced(f, &forced, NULL), ST_OK);
    assert_string_equal(forced.data, "ef");
    assert_int_equal(gram_state_accept_bytes(f, "ef", 2, NULL), ST_OK);
    assert_true(gram_state_may_end(f));
    assert_false(gram_state_must_end(f));
    assert_int_equal(gram_state_accept_bytes(f, "g", 1, NULL), ST_OK);
    assert_true(gram_state_must_end(f));
    gram_state_rollback(f, 100);
    assert_int_equal(gram_state_steps(f), 0);
    assert_false(gram_state_may_end(f));
    buf_done(&forced);
    gram_state_free(f);
    gram_state_free(s);
    gram_free(g);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *says;
    } regex[] =
        {
            {"(", ST_FORMAT, "without )"},         {"a)", ST_FORMAT, "without ("},
            {"[a", ST_FORMAT, "without ]"},        {"*a", ST_FORMAT, "repetition of nothing"},
            {"[z-a]", ST_FORMAT, "wrong way"},     {"(a)\\1", ST_UNSUPPORTED, "back-references"},
            {"(?<=a)b", ST_UNSUPPORTED, "behind"}, {"\\bword", ST_UNSUPPORTED, "boundaries"},
            {"a{9999999}", ST_LIMIT, "1000000"},   {"\\p{L}", ST_UNSUPPORTED, "\\p"},
            {"(^a)*", ST_UNSUPPORTED, "anchor"},   {"a(?!a)(?=a)", ST_INVALID, "no text"},
            {"\xFF", ST_FORMAT, "UTF-8"},          {"a{3,2}", ST_FORMAT, "wrong way"},
        },
      gbnf[] = {
          {"root ::= x", ST_FORMAT, "not defined"},
          {"x ::= \"a\"", ST_FORMAT, "no rule \"root\""},
          {"root ::= root \"a\" | \"b\"", ST_UNSUPPORTED, "\"root\" begins with itself"},
          {"root ::= b\nb ::= c? b \"x\" | \"\"\nc ::= \"\" | \"c\" c", ST_UNSUPPORTED, "left recursion"},
          {"root ::= \"a\" root", ST_INVALID, "no text"},
          {"root ::= \"a", ST_FORMAT, "literal"},
          {"root ::= (\"a\"", ST_FORMAT, "without )"},
          {"root ::= \"a\"\nroot ::= \"b\"", ST_FORMAT, "twice"},
          {"root = \"a\"", ST_FORMAT, "::="},
          {"root ::= \"a\"{200000}", ST_LIMIT, "100000"},
          {"root ::= <think>", ST_UNSUPPORTED, "expected"},
      };
    for (size_t i = 0; i < COUNT_OF(regex); i++) {
        err e = {0};
        assert_null(compile_regex(regex[i].text, &e));
        if (e.code != regex[i].code || !strstr(e.msg, regex[i].says))
            fail_msg("%s: %d %s", regex[i].text, e.code, e.msg);
    }
    for (size_t i = 0; i < COUNT_OF(gbnf); i++) {
        err e = {0};
        assert_null(compile_gbnf(gbnf[i].text, &e));
        if (e.code != gbnf[i].code || !strstr(e.msg, gbnf[i].says))
            fail_msg("%s: %d %s", gbnf[i].text, e.code, e.msg);
    }
}

// Nothing here may take long or much: exponential automata, deep nesting, doubling rules.
static void test_hostile(void **state)
{
    (void)state;
    err e = {0};
    buf b;
    buf_init(&b);
    for (int i = 0; i < 300; i++)
        buf_add_str(&b, "(");
    assert_null(compile_regex(b.data, &e));
    assert_int_equal(e.code, ST_LIMIT);
    buf_clear(&b);
    buf_add_str(&b, "root ::= r0\n");
    for (int i = 0; i < 60; i++)
        buf_printf(&b, "r%d ::= r%d r%d\n", i, i + 1, i + 1);
    buf_add_str(&b, "r60 ::= \"a\" | \"bc\"");
    gram *g = compile_gbnf(b.data, &e);  // 2^60 letters, shared: fine
    assert_non_null(g);
    gram_free(g);
    buf_clear(&b);
    buf_add_str(&b, "root ::= r0\n");
    for (int i = 0; i < 40; i++)
        buf_printf(&b, "r%d ::= (r%d root?){90000}\n", i, i + 1);
    buf_add_str(&b, "r40 ::= \"a\"");
    assert_null(compile_gbnf(b.data, &e));
    assert_int_equal(e.code, ST_LIMIT);
    // 2^25 states, of which a text of n bytes visits n.
    static const char *const blowup[] = {"(a|b)*a(a|b){25}", "(a*)*(a|aa)*(a?){500}b", "(x+x+)+y",
                                         "((a{1,1000}){1,1000}){1,1000}"};
    for (size_t i = 0; i < COUNT_OF(blowup); i++) {
        assert_non_null(g = compile_regex(blowup[i], &e));
        gram_state *s;
        assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
        for (int k = 0; k < 200; k++) {
            gram_state_accept_bytes(s, k % 3 ? "a" : "x", 1, NULL);
            uint32_t bits[4096];
            assert_int_equal(gram_state_mask(s, bits, 4096, NULL), ST_OK);
        }
        gram_state_free(s);
        gram_free(g);
    }
    buf_done(&b);
}

// Every allocation fails once; nothing leaks and nothing crashes.
static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] = "root ::= e\ne ::= [a-z]{2,5} (\"+\" e)? | \"(\" e \")\"";
    test_vocab();
    mem_stats before, after;
    mem_get_stats(&before);
    int failures = 0;
    for (uint64_t n = 1; n < 2000; n++) {
        mem_fail_nth(n);
        gram *g = NULL;
        gram_state *s = NULL;
        uint32_t bits[4096];
        int rc = gram_compile_gbnf(&g, test_vocab(), (gram_lead){0}, text, sizeof text - 1, NULL);
        if (!rc)
            rc = gram_state_new(&s, g, NULL);
        if (!rc)
            rc = gram_state_accept_bytes(s, "(abc", 4, NULL);
        if (!rc)
            rc = gram_state_mask(s, bits, 4096, NULL);
        mem_fail_nth(0);
        gram_state_free(s);
        gram_free(g);
        failures += rc == ST_NOMEM;
        if (!rc)
            break;
        assert_int_equal(rc, ST_NOMEM);
    }
    assert_true(failures > 20);
    mem_get_stats(&after);
    assert_int_equal(after.bytes, before.bytes);
}

static int finish(void **state)
{
    (void)state;
    done_vocab();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regex),     cmocka_unit_test(test_gbnf),     cmocka_unit_test(test_masks),
        cmocka_unit_test(test_states),    cmocka_unit_test(test_refusals), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}

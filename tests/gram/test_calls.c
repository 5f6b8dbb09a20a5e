// Tool calls in free text: which texts fit each way to write them, masks, refusals, memory.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
// clang-format on
#include <string.h>
#include <cmocka.h>

#include "gram/support.h"

#define CITY                                                                                           \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"$ref\":\"#/$defs/c\"}},\"required\":[\"city\"]," \
    "\"additionalProperties\":false,\"$defs\":{\"c\":{\"enum\":[\"A\",\"B\"]}}}"

static const gram_tool tools[] = {{"get_weather", CITY, sizeof CITY - 1}, {"now", NULL, 0}};

static gram_word word(const char *s)
{
    return (gram_word){s, strlen(s), -1};
}

static gram_calls tags(void)
{
    return (gram_calls){.open = word("<tool_call>"),
                        .begin = "",
                        .before_name = " { \"name\" : \"",
                        .before_arguments = word("\" , \"arguments\" : "),
                        .close = " } </tool_call>",
                        .text_after = true,
                        .many = true,
                        .tool = tools,
                        .n_tools = COUNT_OF(tools)};
}

static gram *compile(const gram_calls *c)
{
    gram *g = NULL;
    err e = {0};
    if (gram_compile_calls(&g, test_vocab(), (gram_lead){0}, c, &e))
        fail_msg("%s", e.msg);
    return g;
}

static void check(const gram_calls *c, const char *const *good, const char *const *bad)
{
    gram *g = compile(c);
    for (; *good; good++)
        if (!fits(g, *good, strlen(*good)) || !fits_tokens(g, *good, strlen(*good), 3))
            fail_msg("refuses %s", *good);
    for (; *bad; bad++)
        if (fits(g, *bad, strlen(*bad)) || fits_tokens(g, *bad, strlen(*bad), 3))
            fail_msg("takes %s", *bad);
    gram_free(g);
}

#define NOW "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"
#define WEATHER "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"B\"}}</tool_call>"

static void test_tags(void **state)
{
    (void)state;
    gram_calls c = tags();
    check(&c,
          (const char *[]){"", "text", "a <tool_cal", NOW, "Hm. " WEATHER "\n" NOW " done",
                           "<tool_<tool_<" NOW, NULL},
          (const char *[]){"<tool_call>", "x<tool_call>y",
                           "<tool_call>{\"name\":\"other\",\"arguments\":{}}</tool_call>",
                           "<tool_call>{\"name\":\"now\",\"arguments\":{\"a\":1}}</tool_call>",
                           "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"C\"}}</tool_call>",
                           "<tool_call>{\"name\":\"get_weather\",\"arguments\":{}}</tool_call>",
                           "<tool_call>{\"name\":\"nowx\",\"arguments\":{}}</tool_call>",
                           NOW "<tool_call>{\"name\":1", NULL});
    c.must = true;
    check(&c, (const char *[]){NOW, "\n" NOW " done", NULL}, (const char *[]){"", "text", "text " NOW, NULL});
    c.many = false;
    check(&c, (const char *[]){NOW, NULL}, (const char *[]){NOW NOW, NOW " done", NULL});
}

static void test_thoughts(void **state)
{
    (void)state;
    gram_calls c = tags();
    c.think = "<think>";
    c.unthink = "</think>";
    check(&c, (const char *[]){"\n<think><tool_call>?</think>\n" NOW, "<think>a</think>b", NOW, NULL},
          (const char *[]){"<think></think><tool_call>?", "x<think><tool_call>?</think>", NULL});
    c.must = true;
    check(&c, (const char *[]){"<think>a</think>\n" NOW, NOW, NULL},
          (const char *[]){"<think>a</think>b", NULL});
}

static void test_lists(void **state)
{
    (void)state;
    gram_calls c = tags();
    c.open = word("[TOOL_CALLS]");
    c.begin = " [";
    c.close = " }";
    c.next = " , ";
    c.end = " ]";
    c.text_after = false;
    check(&c,
          (const char *[]){
              "text", "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}]",
              "[TOOL_CALLS] [{\"name\":\"now\",\"arguments\":{}}, {\"name\":\"now\",\"arguments\":{}}]",
              NULL},
          (const char *[]){"[TOOL_CALLS][]", "[TOOL_CALLS]now",
                           "[TOOL_CALLS][{\"name\":\"now\",\"arguments\":{}},]",
                           "[TOOL_CALLS][{\"name\":\"now\",\"arguments\":{}}] x", NULL});
    c.many = false;
    check(
        &c, (const char *[]){"[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}]", NULL},
        (const char *[]){
            "[TOOL_CALLS][{\"name\":\"now\",\"arguments\":{}}, {\"name\":\"now\",\"arguments\":{}}]", NULL});
    c = tags();
    c.open = word("[TOOL_CALLS]");
    c.before_name = c.close = "";
    c.before_arguments = word("[ARGS]");
    c.text_after = false;
    check(&c,
          (const char *[]){"x[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]get_weather[ARGS]{\"city\": \"A\"}", NULL},
          (const char *[]){"[TOOL_CALLS]no[ARGS]{}", "[TOOL_CALLS]now[ARGS]{} x", NULL});
}

static void test_bare(void **state)
{
    (void)state;
    gram_calls c = tags();
    c.open = word("<|python_tag|>");
    c.close = " }";
    c.next = " ; ";
    c.end = "";
    c.bare = true;
    c.text_after = false;
    check(&c,
          (const char *[]){
              "", "It is {\"name\"}", "{\"name\": \"now\", \"arguments\": {}}",
              "x<|python_tag|>{\"name\": \"now\", \"arguments\": {}}; {\"name\":\"now\",\"arguments\":{}}",
              NULL},
          (const char *[]){"{\"name\": \"other\", \"arguments\": {}}", " {", "\n{}",
                           "{\"name\": \"now\", \"arguments\": {}} text", "<|python_tag|>print", NULL});
    c.must = true;
    check(&c, (const char *[]){"{\"name\": \"now\", \"arguments\": {}}", NULL},
          (const char *[]){"", "text", NULL});
}

static void test_raw(void **state)
{
    (void)state;
    gram_calls c = tags();
    c.before_name = " <function=";
    c.before_arguments = word(">");
    c.close = "</function>";
    c.raw = true;
    check(&c, (const char *[]){"<tool_call>\n<function=now>\n<x>\n</function>\n</tool_call>", NULL},
          (const char *[]){"<tool_call><function=other></function>", "<tool_call><function=now>", NULL});
}

// A control token opens calls, as itself and spelled out; masks are right on the way.
static void test_control(void **state)
{
    (void)state;
    gram_calls c = tags();
    int32_t id = -1;
    for (uint32_t t = 0; t < tok_count(test_tok()) && id < 0; t++)
        if (tok_is_control(test_tok(), (int32_t)t) && !tok_is_eog(test_tok(), (int32_t)t))
            id = (int32_t)t;
    assert_true(id >= 0);
    c.open.token = id;
    gram *g = compile(&c);
    gram_state *s;
    assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
    check_mask(s);
    assert_int_equal(gram_state_accept_bytes(s, "text <tool", 10, NULL), ST_OK);
    check_mask(s);
    assert_int_equal(gram_state_accept(s, id, NULL), ST_OK);
    check_mask(s);
    assert_int_equal(gram_state_accept_bytes(s, "x", 1, NULL), ST_INVALID);
    assert_int_equal(gram_state_accept_bytes(s, &NOW[11], sizeof NOW - 12, NULL), ST_OK);
    assert_true(gram_state_may_end(s));
    gram_state_free(s);
    assert_true(fits(g, NOW, sizeof NOW - 1));
    gram_free(g);
}

#define HM_THINK "<|channel|>analysis<|message|>Hm {\"a\"}.<|end|><|start|>assistant"
#define HM_TELL "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
#define HM_NOW "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}"
#define HM_WEATHER " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\":\"A\"}"

static gram_harmony harmony_words(void)
{
    return (gram_harmony){word("<|start|>"), word("<|channel|>"), word("<|constrain|>"), word("<|message|>"),
                          word("<|end|>")};
}

static void test_harmony(void **state)
{
    (void)state;
    gram_harmony words = harmony_words();
    gram_calls c = {.harmony = &words, .many = true, .tool = tools, .n_tools = COUNT_OF(tools)};
    check(&c,
          (const char *[]){"<|channel|>final<|message|>", "<|channel|>final<|message|>It is {\"city\"} <| |>",
                           HM_THINK HM_THINK "<|channel|>final<|message|>a", HM_NOW, HM_THINK HM_TELL HM_NOW,
                           HM_WEATHER, HM_THINK HM_WEATHER,
                           "<|channel|>commentary to=functions.now<|message|>{ }", NULL},
          (const char *[]){"", "text", HM_THINK, HM_TELL, "<|channel|>final<|message|>a<|channel|>",
                           "<|channel|>commentary to=functions.other<|message|>{}",
                           "<|channel|>commentary to=functions.nowx<|message|>{}",
                           "<|channel|>analysis to=functions.now<|message|>{}",
                           "<|channel|>commentary to=python<|message|>1", HM_NOW HM_NOW, HM_NOW "<|call|>",
                           "<|channel|>commentary to=functions.now json<|message|>{\"a\":1}",
                           " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\":\"C\"}",
                           NULL});
    c.must = true;
    check(&c, (const char *[]){HM_NOW, HM_THINK HM_WEATHER, NULL},
          (const char *[]){"<|channel|>final<|message|>a", HM_TELL HM_NOW, HM_THINK, NULL});
}

// The words as control tokens: masks are right on the way, and no text holds one.
static void test_harmony_tokens(void **state)
{
    (void)state;
    gram_harmony words = harmony_words();
    gram_word *w[] = {&words.channel, &words.start, &words.constrain, &words.message, &words.end};
    size_t n = 0;
    for (uint32_t t = 0; t < tok_count(test_tok()) && n < COUNT_OF(w); t++)
        if (tok_is_control(test_tok(), (int32_t)t) && !tok_is_eog(test_tok(), (int32_t)t))
            w[n++]->token = (int32_t)t;
    assert_true(n >= 1);
    gram_calls c = {.harmony = &words, .tool = tools, .n_tools = COUNT_OF(tools)};
    gram *g = compile(&c);
    gram_state *s;
    assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
    check_mask(s);
    assert_int_equal(gram_state_accept(s, words.channel.token, NULL), ST_OK);
    check_mask(s);
    assert_int_equal(gram_state_accept_bytes(s, "final<|message|>text", 20, NULL), ST_OK);
    check_mask(s);
    assert_true(gram_state_may_end(s));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(gram_state_accept(s, w[i]->token, NULL), ST_INVALID);
    gram_state_free(s);
    assert_true(fits(g, HM_THINK HM_NOW, sizeof HM_THINK HM_NOW - 1));
    gram_free(g);
}

// A grammar behind the head of the final message.
static void test_harmony_lead(void **state)
{
    (void)state;
    gram_harmony words = harmony_words();
    static const char *const good[] = {"<|channel|>final<|message|>{\"a\": 1}",
                                       HM_THINK "<|channel|>final <|constrain|>json<|message|>[1]", NULL},
                             *const bad[] = {"{}", "<|channel|>final<|message|>text", HM_THINK "{}", HM_NOW,
                                             NULL};
    gram *g;
    assert_int_equal(gram_compile_json(&g, test_vocab(), (gram_lead){.harmony = &words}, NULL), ST_OK);
    for (int i = 0; good[i]; i++)
        assert_true(fits(g, good[i], strlen(good[i])) && fits_tokens(g, good[i], strlen(good[i]), 3));
    for (int i = 0; bad[i]; i++)
        assert_false(fits(g, bad[i], strlen(bad[i])));
    gram_free(g);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        int code;
        const char *says;
    } bad[] = {{"{\"properties\":{\"a\":{\"uniqueItems\":true}}}", ST_UNSUPPORTED, "uniqueItems"},
               {"{\"type\":\"string\"}", ST_INVALID, "no value"},
               {"{\"type\":3}", ST_FORMAT, "type"},
               {"[]", ST_FORMAT, "neither"},
               {"{", ST_FORMAT, "line"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        gram_tool two[] = {tools[0], {"broken", bad[i].schema, strlen(bad[i].schema)}};
        gram_calls c = tags();
        err e = {0};
        gram *g;
        c.tool = two;
        assert_int_equal(gram_compile_calls(&g, test_vocab(), (gram_lead){0}, &c, &e), bad[i].code);
        assert_null(g);
        if (!strstr(e.msg, "tool \"broken\"") || !strstr(e.msg, bad[i].says))
            fail_msg("%s", e.msg);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    gram_calls c = tags();
    c.think = "<think>";
    c.unthink = "</think>";
    test_vocab();
    mem_stats before, after;
    mem_get_stats(&before);
    int failures = 0;
    for (uint64_t n = 1; n < 5000; n++) {
        gram *g = NULL;
        mem_fail_nth(n);
        int rc = gram_compile_calls(&g, test_vocab(), (gram_lead){0}, &c, NULL);
        mem_fail_nth(0);
        gram_free(g);
        if (!rc)
            break;
        assert_int_equal(rc, ST_NOMEM);
        failures++;
    }
    assert_in_range(failures, 20, 4900);
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
        cmocka_unit_test(test_tags),         cmocka_unit_test(test_thoughts),
        cmocka_unit_test(test_lists),        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_raw),          cmocka_unit_test(test_control),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_harmony),      cmocka_unit_test(test_harmony_tokens),
        cmocka_unit_test(test_harmony_lead),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}

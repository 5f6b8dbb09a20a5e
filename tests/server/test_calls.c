// Taking text, reasoning and tool calls apart: every syntax, cut at every place, gives the same parts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/calls.h"

static const char declared[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\",\"properties\":"
    "{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

// The parts as one line: text as it is, R(reasoning), C(name:arguments).
typedef struct seen {
    char out[4096];
    calls_part last;
} seen;

static void add(seen *s, const char *p, size_t n)
{
    size_t at = strlen(s->out);
    assert_true(at + n + 1 < sizeof s->out);
    memcpy(s->out + at, p, n);
    s->out[at + n] = 0;
}

static void look(void *ctx, calls_part part, const char *p, size_t n)
{
    seen *s = ctx;
    if (s->last == CALLS_REASONING && part != CALLS_REASONING)
        add(s, ")", 1);
    if (part == CALLS_REASONING && s->last != CALLS_REASONING)
        add(s, "R(", 2);
    if (part == CALLS_NAME)
        add(s, "C(", 2);
    add(s, p, n);
    if (part == CALLS_NAME)
        add(s, ":", 1);
    if (part == CALLS_END)
        add(s, ")", 1);
    s->last = part;
}

static void run(const char *template_text, const char *text, size_t cut, bool inside, seen *s)
{
    calls_style style = calls_style_of(template_text);
    calls_parser p;
    json_t *tools = json_loads(declared, 0, NULL);
    size_t n = strlen(text);
    *s = (seen){.last = CALLS_TEXT};
    calls_begin(&p, &style, tools, true, inside, look, s);
    if (cut == 0)
        for (size_t i = 0; i < n; i++)
            calls_feed(&p, text + i, 1);
    else {
        calls_feed(&p, text, cut < n ? cut : n);
        if (cut < n)
            calls_feed(&p, text + cut, n - cut);
    }
    calls_end(&p);
    assert_false(calls_failed(&p));
    if (s->last == CALLS_REASONING)
        add(s, ")", 1);
    calls_free(&p);
    json_decref(tools);
}

static void expect(const char *template_text, const char *text, const char *want)
{
    seen s;
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        run(template_text, text, cut, false, &s);
        if (strcmp(s.out, want) != 0)
            fail_msg("cut at %zu: \"%s\"\n  is \"%s\"\n not \"%s\"", cut, text, s.out, want);
    }
}

static const char tags[] = "{{ tools }} <tool_call> <think> </think>";

static void tagged(void **state)
{
    (void)state;
    expect(tags, "Hello <b>", "Hello <b>");
    expect(tags, "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "C(now:{})");
    expect(
        tags,
        "Wait.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"}\\\"]{\"}}\n</tool_call>",
        "Wait.\nC(get_weather:{\"city\": \"}\\\"]{\"})");
    expect(tags,
           "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"get_weather\","
           "\"arguments\":{\"city\":\"A\"}}</tool_call>",
           "C(now:{})C(get_weather:{\"city\":\"A\"})");
    expect(tags, "<tool_call>{\"arguments\": {\"city\": \"A\"}, \"name\": \"get_weather\"}</tool_call>after",
           "C(get_weather:{\"city\": \"A\"})after");
    expect(tags, "<tool_call>{\"name\": \"now\"}</tool_call>", "C(now:{})");
    expect(tags, "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": [1, {\"b\": 2}]",
           "C(now:{\"a\": [1, {\"b\": 2}])");
}

static void no_calls(void **state)
{
    (void)state;
    expect(tags, "<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>",
           "<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>");
    expect(tags, "<tool_call>nothing", "<tool_call>nothing");
    expect(tags, "<tool_call>{\"name\": \"no", "<tool_call>{\"name\": \"no");
    expect(tags, "<tool_call>[1]", "<tool_call>[1]");
    expect(tags, "<tool_cal", "<tool_cal");
    expect(tags, "", "");
}

static void reasoning(void **state)
{
    (void)state;
    seen s;
    expect(tags, "<think>\nWhy?\n</think>\n\nBecause.", "R(Why?\n)Because.");
    expect(tags, "<think>a<tool_call>b</think><tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>",
           "R(a<tool_call>b)C(now:{})");
    expect(tags, "text <think>no</think>", "text <think>no</think>");
    expect(tags, "<think>unfinished", "R(unfinished)");
    run(tags, "inside</think>out", 3, true, &s);
    assert_string_equal(s.out, "R(inside)out");
}

// Reasoning that is not split off is text, and no place for calls all the same.
static void reasoning_as_text(void **state)
{
    (void)state;
    static const char text[] =
        "<think>\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</think>\n<tool_call>{\"name\":\"now\"}</tool_call>";
    calls_style style = calls_style_of(tags);
    json_t *tools = json_loads(declared, 0, NULL);
    for (int inside = 0; inside < 2; inside++) {
        seen s = {.last = CALLS_TEXT};
        calls_parser p;
        calls_begin(&p, &style, tools, false, inside, look, &s);
        for (const char *c = inside ? text + 7 : text; *c; c++)
            calls_feed(&p, c, 1);
        calls_end(&p);
        assert_string_equal(s.out + (inside ? 0 : 7),
                            "\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</think>\nC(now:{})");
        calls_free(&p);
    }
    json_decref(tools);
}

static void lists(void **state)
{
    (void)state;
    static const char t[] = "{{ tools }} [TOOL_CALLS]";
    expect(
        t,
        "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"get_weather\", \"arguments\": {\"days\": 2}}]",
        "C(now:{})C(get_weather:{\"days\": 2})");
    expect(t, "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"A\"}", "C(get_weather:{\"city\": \"A\"})");
    expect(t, "[TOOL_CALLS]other[ARGS]{}", "[TOOL_CALLS]other[ARGS]{}");
    expect(t, "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]get_weather[ARGS]{\"city\": \"A\"}",
           "C(now:{})C(get_weather:{\"city\": \"A\"})");
    expect(t, "plain", "plain");
}

static void bare(void **state)
{
    (void)state;
    static const char t[] = "{{ tools }} <|python_tag|> \"parameters\"";
    expect(t, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"A\"}}",
           "C(get_weather:{\"city\": \"A\"})");
    expect(t, "{\"name\": \"now\", \"parameters\": {}}; {\"name\": \"now\", \"parameters\": {}}",
           "C(now:{})C(now:{})");
    expect(t, "<|python_tag|>{\"name\": \"now\", \"parameters\": {}}", "C(now:{})");
    expect(t, "{\"name\": \"other\", \"parameters\": {}}", "{\"name\": \"other\", \"parameters\": {}}");
    expect(t, "It is {\"name\"}", "It is {\"name\"}");
}

static void xml(void **state)
{
    (void)state;
    static const char t[] = "{{ tools }} <tool_call> <function=";
    expect(
        t,
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nA \"b\"\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
        "</function>\n</tool_call>",
        "C(get_weather:{\"city\":\"A \\\"b\\\"\",\"days\":3})");
    expect(t, "<tool_call>\n<function=now>\n</function>\n</tool_call>", "C(now:{})");
    expect(t, "text", "text");
}

static void harmony(void **state)
{
    (void)state;
    static const char t[] = "<|channel|> tools";
    expect(
        t,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
        "R(Hm.)Yes.");
    expect(
        t,
        "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\":\"A\"}<|call|>",
        "C(get_weather:{\"city\":\"A\"})");
    expect(t, " to=functions.now<|channel|>commentary json<|message|>{}<|call|>", "C(now:{})");
    expect(
        t,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=functions.now<|channel|>commentary<|message|>{}",
        "R(Hm.)C(now:{})");
    expect(t, " to=functions.other<|channel|>commentary<|message|>{}", "{}");
    expect(t, "<|channel|>final<|message|>cut", "cut");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tagged),    cmocka_unit_test(no_calls),
        cmocka_unit_test(reasoning), cmocka_unit_test(lists),
        cmocka_unit_test(bare),      cmocka_unit_test(xml),
        cmocka_unit_test(harmony),   cmocka_unit_test(reasoning_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

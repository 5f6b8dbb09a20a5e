// Grammars through the public interface: every finished answer of a small model at temperature 1 is what the grammar
// asks for, as another reader sees it.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
// clang-format on
#include <irori.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static irori_model *model;
static int rounds = 8, first_seed = 1;

static bool is_any(const json_t *v)
{
    return v != NULL;
}

static bool is_person(const json_t *v)
{
    json_t *age = json_object_get(v, "age"), *name = json_object_get(v, "name");
    return json_object_size(v) == 2 && json_is_integer(age) && json_integer_value(age) >= 0 &&
           json_integer_value(age) <= 120 && json_is_string(name) && json_string_length(name) <= 60;
}

static bool is_list(const json_t *v)
{
    size_t i;
    json_t *x;
    json_array_foreach((json_t *)v, i, x)
    {
        const char *s = json_string_value(x);
        if (!s || (strcmp(s, "red") != 0 && strcmp(s, "green") != 0 && strcmp(s, "dark blue") != 0))
            return false;
    }
    return json_is_array(v) && i >= 1 && i <= 4;
}

static bool is_tree(const json_t *v)
{
    size_t i;
    json_t *x, *kids = json_object_get(v, "kids");
    if (!json_is_boolean(json_object_get(v, "leaf")))
        return false;
    json_array_foreach(kids, i, x) if (!is_tree(x)) return false;
    return !kids || json_is_array(kids);
}

static bool is_call(const json_t *v)
{
    const char *name = json_string_value(json_object_get(v, "name"));
    const json_t *a = json_object_get(v, "arguments");
    if (name && strcmp(name, "add") == 0)
        return json_is_number(json_object_get(a, "x")) && json_is_number(json_object_get(a, "y"));
    return name && strcmp(name, "greet") == 0 && json_is_string(json_object_get(a, "who"));
}

static const struct {
    const char *schema;  // NULL: any JSON
    bool (*ok)(const json_t *v);
} cases[] = {
    {NULL, is_any},
    {"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":20},\"age\":{\"type\":\"integer\","
     "\"minimum\":0,\"maximum\":120}},\"required\":[\"name\",\"age\"],\"additionalProperties\":false}",
     is_person},
    {"{\"type\":\"array\",\"items\":{\"enum\":[\"red\",\"green\",\"dark blue\"]},\"minItems\":1,\"maxItems\":4}",
     is_list},
    {"{\"$ref\":\"#/$defs/t\",\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"leaf\":{\"type\":\"boolean\"},"
     "\"kids\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"$ref\":\"#/$defs/t\"}}},\"required\":[\"leaf\"],"
     "\"additionalProperties\":false}}}",
     is_tree},
    {"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"name\":{\"const\":\"add\"},\"arguments\":{\"type\":\"object\","
     "\"properties\":{\"x\":{\"type\":\"number\"},\"y\":{\"type\":\"number\"}},\"required\":[\"x\",\"y\"],"
     "\"additionalProperties\":false}},\"required\":[\"name\",\"arguments\"],\"additionalProperties\":false},"
     "{\"type\":\"object\",\"properties\":{\"name\":{\"const\":\"greet\"},\"arguments\":{\"type\":\"object\","
     "\"properties\":{\"who\":{\"type\":\"string\",\"maxLength\":30}},\"required\":[\"who\"],"
     "\"additionalProperties\":false}},\"required\":[\"name\",\"arguments\"],\"additionalProperties\":false}]}",
     is_call},
};

static bool on_piece(void *ctx, int32_t id, const char *text, size_t n)
{
    (void)id;
    buf_add(ctx, text, n);
    return true;
}

static irori_session *new_session(uint64_t seed)
{
    irori_session *s;
    irori_sampling sampling = {.temperature = 1, .seed = seed};
    assert_int_equal(irori_session_new(&s, model, &sampling, NULL), IRORI_OK);
    return s;
}

// JSON bounds no number, this reader does: "too big integer", "real number overflow".
static bool huge(const json_error_t *why)
{
    return strstr(why->text, "too big") || strstr(why->text, "overflow");
}

static void test_answers(void **state)
{
    (void)state;
    int finished = 0;
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        irori_grammar *g;
        irori_error e = {0};
        const char *schema = cases[c].schema;
        if (irori_grammar_new(&g, model, schema ? IRORI_GRAMMAR_JSON_SCHEMA : IRORI_GRAMMAR_JSON, schema,
                              schema ? strlen(schema) : 0, NULL, &e))
            fail_msg("%s", e.message);
        for (int i = 0; i < rounds; i++) {
            irori_session *s = new_session((uint64_t)(first_seed + i));
            irori_generation out;
            buf text = {0};
            json_error_t why = {0};
            assert_int_equal(irori_session_add_text(s, "Give me JSON: ", 14, IRORI_TOKENIZE_BOS, NULL),
                             IRORI_OK);
            assert_int_equal(irori_session_set_grammar(s, g, NULL), IRORI_OK);
            assert_int_equal(irori_session_generate(s, 250, on_piece, &text, &out, NULL), IRORI_OK);
            json_t *v = json_loadb(text.len ? text.data : "", text.len, JSON_DECODE_ANY, &why);
            if (out.finish == IRORI_FINISH_STOP && !(v ? cases[c].ok(v) : huge(&why)))
                fail_msg("case %zu, seed %d: %.*s", c, first_seed + i, (int)text.len, text.data);
            finished += out.finish == IRORI_FINISH_STOP;
            json_decref(v);
            buf_done(&text);
            irori_session_free(s);
        }
        irori_grammar_free(g);
    }
    printf("%d of %d answers finished\n", finished, (int)COUNT_OF(cases) * rounds);
    assert_true(finished * 2 > (int)COUNT_OF(cases) * rounds);
}

#define ADD                                                                                             \
    "{\"type\":\"object\",\"properties\":{\"x\":{\"$ref\":\"#/$defs/n\"},\"y\":{\"type\":\"number\"}}," \
    "\"required\":[\"x\",\"y\"],\"additionalProperties\":false,\"$defs\":{\"n\":{\"type\":\"integer\"}}}"
#define GREET                                                                                  \
    "{\"properties\":{\"who\":{\"type\":\"string\",\"maxLength\":30}},\"required\":[\"who\"]," \
    "\"additionalProperties\":false}"

static bool is_now(const json_t *v)
{
    const json_t *a = json_object_get(v, "arguments");
    return strcmp(json_string_value(json_object_get(v, "name")), "now") == 0 && json_is_object(a) &&
           json_object_size(a) == 0;
}

// Each call in the text names a tool and has arguments that meet its schema; counts them.
static int calls_in(const char *text, const char *must)
{
    static const char open[] = "<tool_call>", close[] = "</tool_call>";
    int n = 0;
    const char *at = text;
    for (; (at = strstr(at, open)); n++) {
        at += sizeof open - 1;
        json_error_t why = {0};
        json_t *v = json_loadb(at, strlen(at), JSON_DISABLE_EOF_CHECK,
                               &why);  // a string may hold the closing word
        if (!v && json_error_code(&why) == json_error_premature_end_of_input)
            return n;  // cut off
        if (!v && huge(&why))
            continue;
        const char *name = json_string_value(json_object_get(v, "name"));
        if (!name || !(is_call(v) || is_now(v)) || (*must && strcmp(name, must) != 0))
            fail_msg("%s: %s", why.text, at);
        const char *end = at + why.position + strspn(at + why.position, " \n\t\r");
        if (strncmp(end, close, MIN(strlen(end), sizeof close - 1)) != 0)
            fail_msg("not closed: %s", at);
        json_decref(v);
    }
    return n;
}

// Goes along this text as if it had been generated.
static void take(irori_session *s, const char *words, buf *text)
{
    int32_t *ids;
    size_t n;
    assert_int_equal(irori_tokenize(model, words, strlen(words), 0, &ids, &n, NULL), IRORI_OK);
    for (size_t k = 0; k < n; k++)
        assert_int_equal(irori_sessions_step(&s, &ids[k], 1, NULL), IRORI_OK);
    irori_free(ids);
    buf_add_str(text, words);
}

// Tool calls at temperatures 1 and 2, free and forced: never another name, never other arguments.
static void test_calls(void **state)
{
    (void)state;
    const irori_tool tools[] = {
        {"add", ADD, sizeof ADD - 1}, {"greet", GREET, sizeof GREET - 1}, {"now", NULL, 0}};
    int seen = 0;
    for (int kind = 0; kind < 3; kind++) {  // any text; a call of any tool first; of one tool
        irori_calls c = {.open = "<tool_call>",
                         .begin = "",
                         .before_name = " { \"name\" : \"",
                         .before_arguments = "\" , \"arguments\" : ",
                         .close = " } </tool_call>"};
        irori_grammar *g;
        irori_error e;
        c.must = kind > 0;
        c.many = c.text_after = kind < 2;
        c.tools = kind == 2 ? tools + 2 : tools;
        c.n_tools = kind == 2 ? 1 : COUNT_OF(tools);
        if (irori_grammar_new_calls(&g, model, &c, NULL, &e))
            fail_msg("%s", e.message);
        for (int i = 0; i < 3 * rounds; i++) {
            irori_session *s;
            irori_sampling sampling = {.temperature = i % 2 ? 2 : 1, .seed = (uint64_t)(first_seed + i)};
            irori_generation out;
            buf text = {0};
            assert_int_equal(irori_session_new(&s, model, &sampling, NULL), IRORI_OK);
            assert_int_equal(irori_session_add_text(s, "Call a tool: ", 13, IRORI_TOKENIZE_BOS, NULL),
                             IRORI_OK);
            assert_int_equal(irori_session_set_grammar(s, g, NULL), IRORI_OK);
            if (kind == 0)
                take(s, "Hello! <tool_call>", &text);
            assert_int_equal(irori_session_generate(s, 150, on_piece, &text, &out, NULL), IRORI_OK);
            int n = calls_in(text.data, kind == 2 ? "now" : "");
            assert_true(kind != 2 || (n == 1 && out.finish == IRORI_FINISH_STOP));
            seen += n;
            buf_done(&text);
            irori_session_free(s);
        }
        irori_grammar_free(g);
    }
    printf("%d calls\n", seen);
    assert_true(seen > 4 * rounds);
}

// Steps, refusals, forks, truncation, and a grammar that waits for a word.
static void test_steps(void **state)
{
    (void)state;
    irori_grammar *g;
    irori_session *s = new_session(1), *f;
    int32_t id, *ids;
    size_t n, held;
    float logprob;
    irori_error e;
    assert_int_equal(irori_grammar_new(&g, model, IRORI_GRAMMAR_REGEX, "[0-9]{3}", 8, NULL, NULL), IRORI_OK);
    assert_int_equal(irori_session_add_text(s, "Number ", 7, IRORI_TOKENIZE_BOS, NULL), IRORI_OK);
    assert_int_equal(irori_session_set_grammar(s, g, NULL), IRORI_OK);
    irori_grammar_free(g);  // the session keeps what it needs
    irori_session_tokens(s, &held);
    assert_int_equal(irori_tokenize(model, "x", 1, 0, &ids, &n, NULL), IRORI_OK);
    assert_int_equal(irori_sessions_step(&s, ids, 1, &e), IRORI_INVALID);
    irori_free(ids);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(irori_session_sample(s, &id, &logprob, NULL), IRORI_OK);
        assert_false(irori_token_ends_text(model, id));
        assert_true(logprob <= 0);
        assert_int_equal(irori_sessions_step(&s, &id, 1, NULL), IRORI_OK);
    }
    assert_int_equal(irori_session_fork(&f, s, NULL), IRORI_OK);
    assert_int_equal(irori_session_truncate(s, held, NULL), IRORI_OK);  // the grammar goes back too
    buf text = {0}, rest = {0};
    assert_int_equal(irori_session_generate(f, 20, on_piece, &rest, NULL, NULL), IRORI_OK);
    assert_true(rest.len <= 1);
    assert_int_equal(irori_session_add_text(s, "is ", 3, 0, NULL), IRORI_OK);
    assert_int_equal(irori_session_generate(s, 20, on_piece, &text, NULL, NULL), IRORI_OK);
    assert_int_equal(text.len, 3);
    irori_session_free(f);
    irori_session_free(s);
    buf_done(&text);
    buf_done(&rest);
}

static void test_refusal(void **state)
{
    (void)state;
    irori_grammar *g;
    irori_error e;
    assert_int_equal(
        irori_grammar_new(&g, model, IRORI_GRAMMAR_JSON_SCHEMA, "{\"format\":\"regex\"}", 18, NULL, &e),
        IRORI_UNSUPPORTED);
    assert_non_null(strstr(e.message, "\"format\""));
    assert_int_equal(irori_grammar_new(&g, model, (irori_grammar_kind)9, "", 0, NULL, &e), IRORI_INVALID);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_refusal),
    };
    if (argc > 1)
        rounds = (int)strtol(argv[1], NULL, 10);
    if (argc > 2)
        first_seed = (int)strtol(argv[2], NULL, 10);
    irori_model_options o = {.threads = 1, .context = 512, .sessions = 2};
    if (irori_model_open(&model, IRORI_SOURCE_DIR "/models/irori-tiny-f16.gguf", &o, NULL))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    irori_model_close(model);
    return rc;
}

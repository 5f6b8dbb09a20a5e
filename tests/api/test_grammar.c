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
            // JSON bounds no number, this reader does: "too big integer", "real number overflow".
            bool huge = !v && (strstr(why.text, "too big") || strstr(why.text, "overflow"));
            if (out.finish == IRORI_FINISH_STOP && !huge && !cases[c].ok(v))
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

// JSON and JSON schemas: the published suites, what is refused and how, masks against trying every token.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
// clang-format on
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gram/support.h"

static gram *compile(const char *schema, err *e)
{
    gram *g = NULL;
    gram_compile_json_schema(&g, test_vocab(), (gram_lead){0}, schema, strlen(schema), e);
    return g;
}

typedef struct sample {
    const char *schema;
    const char *good[8], *bad[8];
} sample;

static const sample samples[] = {
    {"true",
     {"1", "null", "[1, {\"a\": []}]", "\"\\ud83d\\ude42\\n\"", "-0.5e+10", " {}"},
     {"", "01", "\"\\ud83d\"", "[1,]", "{\"a\":}", "tru"}},
    {"{\"type\": \"string\", \"minLength\": 2, \"maxLength\": 3}",
     {"\"ab\"", "\"\xE3\x81\x82\\u3044x\"", "\"\\\"\\\\\""},
     {"\"a\"", "\"abcd\"", "2"}},
    {"{\"type\": \"string\", \"pattern\": \"^a+\\\"?$\"}",
     {"\"a\"", "\"aaa\\\"\""},
     {"\"\"", "\"ab\"", "\"a\\\"\\\"\""}},
    {"{\"type\": \"string\", \"format\": \"date\"}",
     {"\"2024-02-29\"", "\"2023-12-31\""},
     {"\"2023-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"1900-02-29\""}},
    {"{\"format\": \"date-time\", \"type\": \"string\"}",
     {"\"2024-02-29T10:00:00Z\"", "\"2024-01-01T23:59:59.123+09:00\""},
     {"\"2024-01-01T24:00:00Z\"", "\"2024-01-01 10:00:00\""}},
    {"{\"type\": \"string\", \"format\": \"ipv6\"}",
     {"\"::1\"", "\"2001:db8::ff00:42:8329\""},
     {"\"1::2::3\"", "\":1\""}},
    {"{\"type\": \"string\", \"format\": \"email\"}",
     {"\"a.b@c.org\""},
     {"\"a@\"", "\"a b@c.d\"", "\"@c.d\""}},
    {"{\"type\": \"string\", \"format\": \"uri\"}",
     {"\"https://a.org/x?y=1#z\"", "\"urn:isbn:1\"", "\"mailto:a@b\""},
     {"\"//a.org\"", "\"a b:c\"", "\"\"", "\"http://a b\""}},
    {"{\"type\": \"integer\", \"minimum\": -3, \"exclusiveMaximum\": 12}",
     {"-3", "0", "-0", "11", "7"},
     {"-4", "12", "1.5", "100", "-30", "1e0"}},
    {"{\"type\": \"number\", \"exclusiveMinimum\": 0.5, \"maximum\": 10}",
     {"0.51", "10", "10.000", "3", "0.5000001"},
     {"0.5", "0.50", "10.01", "11", "-1", "0", "0.4"}},
    {"{\"maximum\": -2.5, \"type\": \"number\"}", {"-2.5", "-3", "-100.25"}, {"-2.49", "0", "2.5", "-1"}},
    {"{\"type\": \"number\", \"minimum\": 5, \"exclusiveMinimum\": true}", {"5.1", "6"}, {"5", "4"}},
    {"{\"type\": \"integer\", \"multipleOf\": 7, \"maximum\": 50}",
     {"0", "49", "-14", "42"},
     {"1", "56", "48"}},
    {"{\"type\": \"number\", \"multipleOf\": 0.25}",
     {"0.25", "1", "1.50", "-3.750"},
     {"0.3", "1.2", "0.125"}},
    {"{\"enum\": [1, \"a\\\"b\", null, {\"k\": [true]}, 1.5]}",
     {"1", "\"a\\\"b\"", "null", "{\"k\": [true]}", "1.5"},
     {"2", "\"a\"", "{\"k\": [false]}", "{}", "{\"k\": [true], \"l\": 1}"}},
    {"{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"null\"}}, \"required\": "
     "[\"b\"]}",
     {"{\"b\": null}", "{\"a\":1,\"b\":null}", "{\"b\": null, \"zz\": [], \"a\": 2}", "{ \"b\" : null }"},
     {"{}", "{\"a\": 1}", "{\"a\": \"x\", \"b\": null}", "{\"b\": null, \"b\": null}", "{\"b\": 1}", "[]"}},
    {"{\"type\": \"object\", \"properties\": {\"a\": {}}, \"additionalProperties\": false, \"minProperties\": 1}",
     {"{\"a\": 1}"},
     {"{}", "{\"b\": 1}", "{\"a\": 1, \"b\": 2}", "{\"\\u0061\": 1}"}},
    {"{\"type\": \"object\", \"patternProperties\": {\"^x\": {\"type\": \"integer\"}, \"y$\": {\"minimum\": 5}}, "
     "\"additionalProperties\": {\"type\": \"string\"}}",
     {"{\"x\": 1}", "{\"xy\": 5}", "{\"q\": \"s\"}", "{\"ay\": 6, \"ay2\": \"\"}"},
     {"{\"x\": \"a\"}", "{\"xy\": 4}", "{\"q\": 1}", "{\"xy\": 5.5}"}},
    {"{\"type\": \"object\", \"propertyNames\": {\"maxLength\": 2}, \"properties\": {\"abc\": true, \"ab\": "
     "{\"const\": 1}}, \"maxProperties\": 2}",
     {"{}", "{\"ab\": 1, \"x\": 0}"},
     {"{\"abc\": 1}", "{\"ab\": 2}", "{\"a\": 1, \"b\": 2, \"c\": 3}"}},
    {"{\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 1, \"maxItems\": 3}",
     {"[1]", "[1, 2, 3]", "[ 1 ,2\n]"},
     {"[]", "[1, 2, 3, 4]", "[\"a\"]", "[1.5]"}},
    {"{\"type\": \"array\", \"prefixItems\": [{\"const\": \"a\"}, {\"type\": \"null\"}], \"items\": false}",
     {"[]", "[\"a\"]", "[\"a\", null]"},
     {"[null]", "[\"a\", null, 1]", "[\"a\", 1]"}},
    {"{\"type\": \"array\", \"contains\": {\"type\": \"integer\", \"minimum\": 5}, \"minContains\": 2, \"maxContains\": 3}",
     {"[5, 6]", "[1, 7, \"x\", 8]", "[5, 5, 5, 1]"},
     {"[5]", "[]", "[5, 5, 5, 5]", "[1, 2, 5]"}},
    {"{\"anyOf\": [{\"type\": \"integer\"}, {\"type\": \"string\", \"maxLength\": 1}]}",
     {"1", "\"a\""},
     {"\"ab\"", "1.5"}},
    {"{\"oneOf\": [{\"type\": \"integer\", \"minimum\": 3}, {\"type\": \"integer\", \"maximum\": 5}]}",
     {"2", "6", "-1"},
     {"3", "4", "5"}},
    {"{\"oneOf\": [{\"type\": \"object\", \"properties\": {\"t\": {\"const\": \"a\"}, \"v\": {\"type\": \"integer\"}}, "
     "\"required\": [\"t\", \"v\"]}, {\"type\": \"object\", \"properties\": {\"t\": {\"const\": \"b\"}, \"v\": {\"type\": "
     "\"string\"}}, \"required\": [\"t\"]}]}",
     {"{\"t\": \"a\", \"v\": 1}", "{\"v\": \"x\", \"t\": \"b\"}", "{\"t\": \"b\"}"},
     {"{\"t\": \"a\", \"v\": \"x\"}", "{\"t\": \"c\"}", "{\"t\": \"a\"}"}},
    {"{\"allOf\": [{\"minimum\": 2}, {\"maximum\": 4}, {\"type\": \"integer\"}], \"not\": {\"const\": 3}}",
     {"2", "4"},
     {"3", "1", "5", "\"a\""}},
    {"{\"type\": [\"string\", \"integer\"], \"if\": {\"type\": \"string\"}, \"then\": {\"minLength\": 3}, \"else\": "
     "{\"minimum\": 10}}",
     {"\"abc\"", "10"},
     {"\"ab\"", "9"}},
    {"{\"type\": \"object\", \"dependentRequired\": {\"a\": [\"b\"]}, \"dependentSchemas\": {\"c\": {\"maxProperties\": "
     "1}}}",
     {"{}", "{\"b\": 1}", "{\"a\": 1, \"b\": 1}", "{\"b\": 1, \"a\": 2}", "{\"c\": 1}"},
     {"{\"a\": 1}", "{\"c\": 1, \"d\": 2}"}},
    {"{\"$ref\": \"#/$defs/tree\", \"$defs\": {\"tree\": {\"type\": \"object\", \"properties\": {\"kids\": {\"type\": "
     "\"array\", \"items\": {\"$ref\": \"#/$defs/tree\"}}, \"n\": {\"type\": \"integer\"}}, \"required\": [\"n\"], "
     "\"additionalProperties\": false}}}",
     {"{\"n\": 1}", "{\"n\": 1, \"kids\": []}", "{\"kids\": [{\"n\": 2, \"kids\": [{\"n\": 3}]}], \"n\": 1}"},
     {"{\"kids\": []}", "{\"n\": 1, \"kids\": [{}]}", "{\"n\": 1, \"x\": 1}"}},
    {"{\"properties\": {\"a\": {\"$ref\": \"#/definitions/never\"}}, \"definitions\": {\"never\": {\"type\": \"object\", "
     "\"properties\": {\"a\": {\"$ref\": \"#/definitions/never\"}}, \"required\": [\"a\"]}}, \"type\": \"object\"}",
     {"{}", "{\"b\": 1}"},
     {"{\"a\": {}}", "{\"a\""}},
    {"{\"type\": \"object\", \"properties\": {\"a\": {}}, \"unevaluatedProperties\": false}",
     {"{\"a\": 1}"},
     {"{\"b\": 1}"}},
    {"{\"not\": {\"type\": [\"object\", \"array\", \"string\"]}}",
     {"1", "true", "null"},
     {"{}", "[]", "\"\""}},
    {"{\"type\": \"object\", \"not\": {\"required\": [\"a\", \"b\"]}}",
     {"{}", "{\"a\": 1}", "{\"b\": 1, \"c\": 1}"},
     {"{\"a\": 1, \"b\": 2}"}},
};

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        const sample *x = &samples[i];
        err e = {0};
        gram *g = compile(x->schema, &e);
        if (!g)
            fail_msg("%s: %s", x->schema, e.msg);
        for (int k = 0; k < 8 && x->good[k]; k++)
            if (!fits(g, x->good[k], strlen(x->good[k])) ||
                !fits_tokens(g, x->good[k], strlen(x->good[k]), i))
                fail_msg("%s refuses %s", x->schema, x->good[k]);
        for (int k = 0; k < 8 && x->bad[k]; k++)
            if (fits(g, x->bad[k], strlen(x->bad[k])) || fits_tokens(g, x->bad[k], strlen(x->bad[k]), i))
                fail_msg("%s takes %s", x->schema, x->bad[k]);
        gram_free(g);
    }
}

// Behind each byte of a sentence, the mask against each token.
static void test_masks(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"note\":{\"type\":\"string\","
         "\"maxLength\":6},\"no\":{\"enum\":[\"x\",\"xy\"]}}}",
         "{\"other\": [1.5e3], \"note\": \"a\\\"\xE3\x81\x82\", \"name\": \"b\\u00e9\", \"no\":\"xy\"}"},
        {"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}},{\"type\":\"object\","
         "\"patternProperties\":{\"^n\":{\"type\":\"string\",\"minLength\":2}}}]}",
         "{\"nx\": \"abc\", \"a\": 5}"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^[a-f]+$\"}}", "[\"abc\", \"f\"]"},
    };
    for (size_t k = 0; k < COUNT_OF(pairs); k++) {
        gram *g = compile(pairs[k][0], NULL);
        gram_state *s;
        assert_int_equal(gram_state_new(&s, g, NULL), ST_OK);
        for (const char *p = pairs[k][1]; *p; p++) {
            check_mask(s);
            assert_int_equal(gram_state_accept_bytes(s, p, 1, NULL), ST_OK);
        }
        check_mask(s);
        assert_true(gram_state_must_end(s));
        gram_state_free(s);
        gram_free(g);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        int code;
        const char *says;
    } bad[] = {
        {"{", ST_FORMAT, "line 1"},
        {"3", ST_FORMAT, "neither"},
        {"{\"type\": \"text\"}", ST_FORMAT, "\"type\" at #"},
        {"{\"properties\": {\"a\": {\"uniqueItems\": true, \"type\": \"array\"}}}", ST_UNSUPPORTED,
         "\"uniqueItems\" at #/properties/a"},
        {"{\"$ref\": \"http://example.org/x\"}", ST_UNSUPPORTED, "\"$ref\""},
        {"{\"$ref\": \"#/nowhere\"}", ST_FORMAT, "\"$ref\""},
        {"{\"$dynamicRef\": \"#x\"}", ST_UNSUPPORTED, "\"$dynamicRef\""},
        {"{\"pattern\": \"(a)\\\\1\"}", ST_UNSUPPORTED, "back-references"},
        {"{\"pattern\": \"(\"}", ST_FORMAT, "\"pattern\""},
        {"{\"minLength\": -1}", ST_FORMAT, "\"minLength\""},
        {"{\"multipleOf\": 0}", ST_FORMAT, "\"multipleOf\""},
        {"{\"multipleOf\": 12345678901}", ST_UNSUPPORTED, "\"multipleOf\""},
        {"{\"format\": \"regex\"}", ST_UNSUPPORTED, "\"format\""},
        {"{\"type\": \"object\", \"not\": {\"additionalProperties\": false}}", ST_UNSUPPORTED,
         "additionalProperties"},
        {"false", ST_INVALID, "no value"},
        {"{\"type\": \"integer\", \"minimum\": 3, \"maximum\": 2}", ST_INVALID, "no value"},
        {"{\"anyOf\": []}", ST_FORMAT, "\"anyOf\""},
        {"{\"required\": true}", ST_FORMAT, "\"required\""},
        {"{\"items\": 3}", ST_FORMAT, "\"items\""},
        {"{\"allOf\": [{\"anyOf\": [3]}]}", ST_FORMAT, "anyOf"},
        {"{\"unevaluatedProperties\": false, \"allOf\": [{}]}", ST_UNSUPPORTED, "unevaluatedProperties"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        err e = {0};
        gram *g = compile(bad[i].schema, &e);
        if (g || e.code != bad[i].code || !strstr(e.msg, bad[i].says))
            fail_msg("%s: %d %s", bad[i].schema, e.code, e.msg);
    }
}

// Large and twisted schemas end soon, in an answer or a refusal.
static void test_hostile(void **state)
{
    (void)state;
    buf b;
    buf_init(&b);
    err e = {0};
    for (int i = 0; i < 100000; i++)
        buf_add_str(&b, "{\"not\":");
    assert_null(compile(b.data, &e));
    assert_int_equal(e.code, ST_FORMAT);
    buf_clear(&b);
    for (int i = 0; i < 300; i++)
        buf_add_str(&b, "{\"items\":");
    buf_add_str(&b, "true");
    for (int i = 0; i < 300; i++)
        buf_add_str(&b, "}");
    assert_null(compile(b.data, &e));
    assert_int_equal(e.code, ST_LIMIT);
    buf_clear(&b);
    buf_add_str(&b, "{\"allOf\":[");
    for (int i = 0; i < 30; i++)
        buf_printf(&b, "%s{\"anyOf\":[{\"minimum\":%d},{\"maxLength\":%d},{\"maxItems\":%d}]}", i ? "," : "",
                   i, i, i);
    buf_add_str(&b, "]}");
    assert_null(compile(b.data, &e));
    assert_int_equal(e.code, ST_LIMIT);
    buf_clear(&b);
    buf_add_str(&b, "{\"properties\":{");
    for (int i = 0; i < 6000; i++)
        buf_printf(&b, "%s\"p%d\":{}", i ? "," : "", i);
    buf_add_str(&b, "}}");
    assert_null(compile(b.data, &e));
    assert_int_equal(e.code, ST_LIMIT);
    buf_clear(&b);
    buf_add_str(&b, "{\"enum\":[\"");
    for (int i = 0; i < 10000000; i++)
        buf_add_char(&b, 'a');
    buf_add_str(&b, "\"]}");
    gram *g = compile(b.data, &e);
    assert_true(g || e.code == ST_LIMIT);
    gram_free(g);
    buf_done(&b);
    static const char *const fine[] = {
        "{\"type\":\"string\",\"minLength\":1000000,\"maxLength\":2000000}",
        "{\"type\":\"array\",\"minItems\":100000,\"maxItems\":4000000000}",
        "{\"type\":\"string\",\"pattern\":\"(a*)*(a|b)*c{1,1000}$\"}",
        "{\"$ref\":\"#\"}",
        "{\"allOf\":[{\"$ref\":\"#/allOf/1\"},{\"$ref\":\"#/allOf/0\"}]}",
    };
    for (size_t i = 0; i < COUNT_OF(fine); i++) {
        g = compile(fine[i], &e);
        if (!g)
            fail_msg("%s: %s", fine[i], e.msg);
        gram_free(g);
    }
}

static int by_name(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

// JSONTestSuite: what must be read fits, what must not does not; what readers may decide is not asked.
static void test_suite(void **state)
{
    (void)state;
    const char *dir = IRORI_DATA_DIR "/eval/jsontestsuite";
    DIR *d = opendir(dir);
    if (!d)
        skip();
    gram *g;
    assert_int_equal(gram_compile_json(&g, test_vocab(), (gram_lead){0}, NULL), ST_OK);
    int seen = 0;
    for (struct dirent *x; (x = readdir(d));) {
        char path[1024], *text;
        size_t n;
        if (strncmp(x->d_name, "y_", 2) != 0 && strncmp(x->d_name, "n_", 2) != 0)
            continue;
        // One object key twice: irori never writes that. A lone surrogate half is no text.
        if (by_name(x->d_name, "duplicated_key") && x->d_name[0] == 'y')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, x->d_name);
        assert_int_equal(os_read_file(path, 1 << 24, &text, &n, NULL), ST_OK);
        while (x->d_name[0] == 'y' && n && strchr(" \n\t\r", text[n - 1]))
            n--;  // a sentence ends with its value
        bool ok = fits(g, text, n);
        if (ok != (x->d_name[0] == 'y'))
            fail_msg("%s: %s", x->d_name, ok ? "taken" : "refused");
        mem_free(text);
        seen++;
    }
    closedir(d);
    assert_true(seen > 200);
    gram_free(g);
}

// The official suite of a draft: whatever is accepted must answer as the suite says.
static void run_draft(const char *draft, size_t *compiled, size_t *refused, size_t *wrong)
{
    char dir[1024], path[2048];
    snprintf(dir, sizeof dir, "%s/eval/json-schema-test-suite/tests/%s", IRORI_DATA_DIR, draft);
    DIR *d = opendir(dir);
    if (!d)
        skip();
    for (struct dirent *x; (x = readdir(d));) {
        // format.json asks that formats be ignored, vocabulary.json that keywords be: irori checks them.
        if (!by_name(x->d_name, ".json") || by_name(x->d_name, "format.json") ||
            by_name(x->d_name, "vocabulary.json"))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, x->d_name);
        json_t *file = json_load_file(path, 0, NULL), *group, *test;
        size_t i, k;
        json_array_foreach(file, i, group)
        {
            json_t *schema = json_object_get(group, "schema");
            if (json_is_object(schema) && !json_object_get(schema, "$schema"))
                json_object_set_new(schema, "$schema",
                                    json_string(strstr(draft, "7")
                                                    ? "http://json-schema.org/draft-07/schema#"
                                                    : "https://json-schema.org/draft/2020-12/schema"));
            char *text = json_dumps(schema, JSON_ENCODE_ANY);
            err e = {0};
            gram *g = compile(text, &e);
            *compiled += g != NULL;
            *refused += !g && e.code != ST_INVALID;
            json_array_foreach(json_object_get(group, "tests"), k, test)
            {
                char *data = json_dumps(json_object_get(test, "data"),
                                        JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
                bool valid = json_is_true(json_object_get(test, "valid"));
                // 1.0 is an integer to the drafts; irori writes integers without a fraction.
                if (valid && json_is_real(json_object_get(test, "data")) && by_name(x->d_name, "type.json")) {
                    free(data);
                    continue;
                }
                if (g && fits(g, data, strlen(data)) != valid) {
                    printf("%s/%s \"%s\": %s is %s\n", draft, x->d_name,
                           json_string_value(json_object_get(group, "description")), data,
                           valid ? "valid" : "invalid");
                    (*wrong)++;
                }
                if (!g && e.code == ST_INVALID && valid) {
                    printf("%s/%s \"%s\": said to have no value\n", draft, x->d_name,
                           json_string_value(json_object_get(group, "description")));
                    (*wrong)++;
                }
                free(data);
            }
            gram_free(g);
            free(text);
        }
        json_decref(file);
    }
    closedir(d);
}

static void test_official(void **state)
{
    (void)state;
    static const char *const drafts[] = {"draft7", "draft2020-12"};
    for (size_t i = 0; i < COUNT_OF(drafts); i++) {
        size_t compiled = 0, refused = 0, wrong = 0;
        run_draft(drafts[i], &compiled, &refused, &wrong);
        printf("%s: %zu schemas accepted, %zu refused, %zu wrong answers\n", drafts[i], compiled, refused,
               wrong);
        assert_true(compiled > refused);
        assert_int_equal(wrong, 0);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":3},\"b\":"
        "{\"pattern\":\"^x\"}},\"required\":[\"a\"],\"anyOf\":[{\"maxProperties\":3},{\"not\":"
        "{\"required\":[\"b\"]}}]}";
    test_vocab();
    mem_stats before, after;
    mem_get_stats(&before);
    int failures = 0;
    for (uint64_t n = 1; n < 20000; n += n < 300 ? 1 : 37) {
        mem_fail_nth(n);
        gram *g = NULL;
        gram_state *s = NULL;
        uint32_t bits[4096];
        int rc = gram_compile_json_schema(&g, test_vocab(), (gram_lead){0}, schema, sizeof schema - 1, NULL);
        if (!rc)
            rc = gram_state_new(&s, g, NULL);
        if (!rc)
            rc = gram_state_accept_bytes(s, "{\"a\": 4", 7, NULL);
        if (!rc)
            rc = gram_state_mask(s, bits, 4096, NULL);
        mem_fail_nth(0);
        gram_state_free(s);
        gram_free(g);
        failures += rc == ST_NOMEM;
        if (!rc)
            break;
        if (rc != ST_NOMEM)
            fail_msg("allocation %d: %d", (int)n, rc);
    }
    assert_true(failures > 100);
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
        cmocka_unit_test(test_samples),   cmocka_unit_test(test_masks), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hostile),   cmocka_unit_test(test_suite), cmocka_unit_test(test_official),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}

// Where each pre-tokenizer cuts, against the engine the models were trained with (data/pre.json, made by
// tools/oracle/tok_pre.py); and that names of the table compile, unknown names are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "base/base.h"
#include "tok/pre.h"

#define DATA IRORI_SOURCE_DIR "/tests/tok/data/pre.json"

struct words {
    size_t n, total;
    size_t len[256];
};

static int count_word(void *ctx, const char *s, size_t n)
{
    struct words *w = ctx;
    assert_non_null(s);
    assert_true(n > 0 && w->n < COUNT_OF(w->len));
    w->len[w->n++] = n;
    w->total += n;
    return 0;
}

static tok_pre *open_pre(const char *name)
{
    err e = {0};
    tok_pre *p = NULL;
    if (tok_pre_new(&p, name, strlen(name), &e))
        fail_msg("%s: %s", name, e.msg);
    return p;
}

static void check_text(const tok_pre *p, tok_pre_run *run, const char *s, size_t n, const json_t *want)
{
    static struct words w;
    err e = {0};
    w.n = w.total = 0;
    assert_int_equal(tok_pre_split(p, run, s, n, count_word, &w, &e), 0);
    assert_int_equal(w.total, n);
    bool same = w.n == json_array_size(want);
    for (size_t i = 0; same && i < w.n; i++)
        same = json_integer_value(json_array_get(want, i)) == (json_int_t)w.len[i];
    if (!same) {
        for (size_t i = 0, at = 0; i < w.n; at += w.len[i++])
            printf("  [%.*s]", (int)w.len[i], s + at);
        char *dump = json_dumps(want, JSON_COMPACT);
        printf("\n  want %s\n", dump);
        fail_msg("%s: \"%s\"", tok_pre_id(p), s);
    }
}

static void cuts(void **state)
{
    (void)state;
    json_error_t why;
    json_t *data = json_load_file(DATA, JSON_ALLOW_NUL, &why);
    if (!data)
        fail_msg("%s: %s", DATA, why.text);
    const json_t *texts = json_object_get(data, "texts");
    size_t compared = 0;
    const char *name;
    json_t *lists;
    json_object_foreach(json_object_get(data, "cuts"), name, lists)
    {
        tok_pre *p = open_pre(name);
        tok_pre_run run = {0};
        assert_int_equal(json_array_size(lists), json_array_size(texts));
        for (size_t i = 0; i < json_array_size(texts); i++, compared++) {
            const json_t *t = json_array_get(texts, i);
            check_text(p, &run, json_string_value(t), json_string_length(t), json_array_get(lists, i));
        }
        tok_pre_run_done(&run);
        tok_pre_free(p);
    }
    assert_true(compared > 1000);
    json_decref(data);
}

static void names(void **state)
{
    (void)state;
    static const char *const known[] = {
        "default", "gpt-2",     "phi-2",      "mpt",          "olmo",           "starcoder",
        "refact",  "command-r", "smollm",     "falcon",       "llama-bpe",      "llama3",
        "dbrx",    "glm4",      "qwen2",      "qwen35",       "stablelm2",      "deepseek-r1-qwen",
        "gpt-4o",  "llama4",    "tekken",     "deepseek-llm", "deepseek-coder", "deepseek-v3",
        "bloom",   "viking",    "bailingmoe", "seed-coder",   "gemma4",
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        tok_pre *p = open_pre(known[i]);
        assert_string_equal(tok_pre_id(p), known[i]);
        tok_pre_free(p);
    }
    tok_pre *p = NULL;
    err e = {0};
    assert_int_equal(tok_pre_new(&p, "qwen", 4, &e), ST_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "\"qwen\""));
    assert_int_equal(tok_pre_new(&p, "", 0, &e), ST_UNSUPPORTED);
    assert_null(p);
}

static int stop_at_second(void *ctx, const char *s, size_t n)
{
    (void)s;
    (void)n;
    return ++*(int *)ctx == 2 ? ST_CANCELED : 0;
}

static void callers_refusal_is_passed_on(void **state)
{
    (void)state;
    tok_pre *p = open_pre("gpt-2");
    tok_pre_run run = {0};
    int calls = 0;
    assert_int_equal(tok_pre_split(p, &run, "a b c d", 7, stop_at_second, &calls, NULL), ST_CANCELED);
    assert_int_equal(calls, 2);
    tok_pre_run_done(&run);
    tok_pre_free(p);
}

static void no_memory(void **state)
{
    (void)state;
    // Where only the machine code finds no memory, the pre-tokenizer works without it.
    int refused = 0;
    for (uint64_t n = 1; n <= 100; n++) {
        tok_pre *p = NULL;
        err e = {0};
        mem_fail_nth(n);
        int rc = tok_pre_new(&p, "deepseek-llm", 12, &e);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ST_NOMEM);
        assert_true((rc == 0) == (p != NULL));
        tok_pre_run run = {0};
        struct words w = {0};
        if (p)
            assert_int_equal(tok_pre_split(p, &run, "Hello world", 11, count_word, &w, &e), 0);
        assert_int_equal(w.n, p ? 2 : 0);
        refused += rc != 0;
        tok_pre_run_done(&run);
        tok_pre_free(p);
    }
    assert_true(refused >= 10 && refused < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts),
        cmocka_unit_test(names),
        cmocka_unit_test(callers_refusal_is_passed_on),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

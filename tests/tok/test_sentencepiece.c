// SentencePiece vocabularies (BPE and unigram, with and without a normalizer) against SentencePiece itself:
// the ids in data/sentencepiece.json were made by tools/oracle/tok_unigram.py. The vocabularies are external
// test data.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "tok/spmodel.h"

#define FOLDER IRORI_DATA_DIR "/tokenizer/"
#define DATA IRORI_SOURCE_DIR "/tests/tok/data/sentencepiece.json"

static char *read_or_skip(const char *name, size_t *n)
{
    char path[1024];
    char *data = NULL;
    err e = {0};
    snprintf(path, sizeof path, "%s%s", FOLDER, name);
    if (os_read_file(path, 64u << 20, &data, n, &e)) {
        print_message("[  SKIPPED ] %s: external test data is not there\n", path);
        skip();
    }
    return data;
}

static json_t *load(const char *text, size_t n)
{
    json_error_t why;
    json_t *j = json_loadb(text, n, JSON_ALLOW_NUL, &why);
    if (!j)
        fail_msg("line %d: %s", why.line, why.text);
    return j;
}

static json_t *expectations(void)
{
    json_error_t why;
    json_t *j = json_load_file(DATA, JSON_ALLOW_NUL, &why);
    if (!j)
        fail_msg("%s: %s", DATA, why.text);
    return j;
}

static void check_case(const tok *t, const json_t *text, const json_t *want, size_t number)
{
    err e = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    const char *s = json_string_value(text);
    if (tok_encode(t, s, json_string_length(text), 0, &ids, &n, &e))
        fail_msg("text %zu: %s", number, e.msg);
    bool same = n == json_array_size(want);
    for (size_t i = 0; same && i < n; i++)
        same = json_integer_value(json_array_get(want, i)) == ids[i];
    if (!same) {
        printf("  got ");
        for (size_t i = 0; i < n; i++)
            printf("%d,", ids[i]);
        char *dump = json_dumps(want, JSON_COMPACT);
        printf("\n  want %s\n", dump);
        fail_msg("text %zu: \"%s\"", number, s);
    }
    mem_free(ids);
}

static void check_all(const tok *t, const char *name)
{
    json_t *data = expectations();
    const json_t *texts = json_object_get(data, "texts"), *lists = json_object_get(data, name);
    assert_true(json_array_size(texts) > 60);
    assert_int_equal(json_array_size(texts), json_array_size(lists));
    for (size_t i = 0; i < json_array_size(texts); i++)
        check_case(t, json_array_get(texts, i), json_array_get(lists, i), i);
    json_decref(data);
}

static void model(void **state)
{
    const char *name = *state;
    size_t n = 0;
    char *data = read_or_skip(name, &n);
    build b;
    build_init(&b);
    assert_true(spmodel_read(&b, data, n));
    tok *t = NULL;
    err e = {0};
    if (build_open(&b, &t, &e))
        fail_msg("%s: %s", name, e.msg);
    check_all(t, name);
    tok_close(t);
    build_done(&b);
    mem_free(data);
}

static size_t base64(const char *s, uint8_t *out)
{
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (; *s && *s != '='; s++) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *d = strchr(digits, *s);
        assert_non_null(d);
        bits = bits << 6 | (uint32_t)(d - digits);
        have += 6;
        if (have >= 8)
            out[n++] = (uint8_t)(bits >> (have -= 8));
    }
    return n;
}

static void build_t5(build *b, const json_t *root)
{
    const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    size_t n = json_array_size(vocab);
    assert_true(n > 30000);
    gguf_str *tokens = malloc(n * sizeof *tokens);
    float *scores = malloc(n * sizeof *scores);
    int32_t *types = malloc(n * sizeof *types);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(vocab, i), *piece = json_array_get(pair, 0);
        tokens[i] = (gguf_str){json_string_value(piece), json_string_length(piece)};
        scores[i] = (float)json_number_value(json_array_get(pair, 1));
        types[i] = 1;
    }
    size_t k;
    json_t *added;
    json_array_foreach(json_object_get(root, "added_tokens"), k, added)
        types[json_integer_value(json_object_get(added, "id"))] = 3;
    types[2] = 2;
    build_str(b, "tokenizer.ggml.model", "t5", 2);
    build_strs(b, "tokenizer.ggml.tokens", tokens, n);
    build_f32s(b, "tokenizer.ggml.scores", scores, n);
    build_i32s(b, "tokenizer.ggml.token_type", types, n);
    build_u32(b, "tokenizer.ggml.unknown_token_id", 2);
    const json_t *first = json_array_get(json_object_get(json_object_get(root, "normalizer"), "normalizers"),
                                         0);
    const char *map = json_string_value(json_object_get(first, "precompiled_charsmap"));
    assert_non_null(map);
    uint8_t *bytes = malloc(strlen(map));
    build_bytes(b, "tokenizer.ggml.precompiled_charsmap", bytes, base64(map, bytes));
    build_bool(b, "tokenizer.ggml.remove_extra_whitespaces", true);
    free(bytes);
    free(tokens);
    free(scores);
    free(types);
}

static void t5(void **state)
{
    (void)state;
    size_t n = 0;
    char *data = read_or_skip("t5_tokenizer.json", &n);
    json_t *root = load(data, n);
    build b;
    build_init(&b);
    build_t5(&b, root);
    tok *t = NULL;
    err e = {0};
    if (build_open(&b, &t, &e))
        fail_msg("%s", e.msg);
    assert_string_equal(tok_kind_name(t), "unigram");
    assert_int_equal(tok_eos(t), 1);
    assert_true(tok_adds_eos(t) && !tok_adds_bos(t));
    check_all(t, "t5_tokenizer.json");
    tok_close(t);
    build_done(&b);
    json_decref(root);
    mem_free(data);
}

#define MODEL(file)                                      \
    {                                                    \
        file, model, NULL, NULL, (void *)(uintptr_t)file \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL("llama2.model"),
        MODEL("llm-jp-tokenizer-100k.ver3.1.model"),
        MODEL("test_ja_model.model"),
        cmocka_unit_test(t5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

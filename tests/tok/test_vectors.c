// Encoding against the expected ids of the published test vectors: a .inp file holds texts separated by a
// line `__ggml_vocab_test__`, the .out file beside it one line of ids for each. Qwen 2's vocabulary is put
// together from its merges; the demo models' prompts come with the models.
//
// Checked by hand in the same way, with vocabularies that are not kept here: llama-bpe (Llama 3's
// tokenizer.json) and gemma-4 (Gemma 3's, which has the same pieces): all 46 cases each; and 4000 random
// texts each against the `tokenizers` library: Llama 3, DeepSeek V3, Gemma 3 without a difference; bert-bge
// with 17, all in texts of random rare characters, among them a range of Chinese characters that the library
// leaves out. Of deepseek-llm, refact and qwen35 no vocabulary was at hand: where their pre-tokenizers cut is
// checked in test_pre.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "tok/build.h"

#define FOLDER IRORI_DATA_DIR "/tokenizer/"
static const char SEPARATOR[] = "\n__ggml_vocab_test__\n";

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

static tok *open_or_skip(const char *path)
{
    gguf *g = NULL;
    tok *t = NULL;
    err e = {0};
    int rc = gguf_open(&g, path, &e);
    if (rc == ST_NOTFOUND) {
        print_message("[  SKIPPED ] %s: external test data is not there\n", path);
        skip();
    }
    if (rc || tok_open(&t, g, &e))
        fail_msg("%s: %s", path, e.msg);
    gguf_close(g);
    return t;
}

static void print_ids(const char *what, const int32_t *ids, size_t n)
{
    printf("  %s:", what);
    for (size_t i = 0; i < n; i++)
        printf(" %d", ids[i]);
    printf("\n");
}

// One text against one line of ids; returns where the line ends.
static const char *check_case(const tok *t, const char *text, size_t n, const char *line, size_t number)
{
    int32_t *ids = NULL;
    size_t count = 0;
    err e = {0};
    tok_ids want = {0};
    while (*line && *line != '\n') {
        char *end = NULL;
        int32_t id = (int32_t)strtol(line, &end, 10);
        if (end == line)
            break;
        assert_int_equal(tok_ids_add(&want, &id, 1), 0);
        line = end;
        while (*line == ' ')
            line++;
    }
    if (tok_encode(t, text, n, 0, &ids, &count, &e))
        fail_msg("case %zu: %s", number, e.msg);
    if (count != want.count || (count && memcmp(ids, want.data, count * sizeof *ids) != 0)) {
        print_ids("got ", ids, count);
        print_ids("want", want.data, want.count);
        fail_msg("case %zu: \"%.*s\"", number, (int)n, text);
    }
    mem_free(ids);
    tok_ids_done(&want);
    return *line ? line + 1 : line;
}

static void check_vectors(const tok *t, const char *name)
{
    char file[256];
    size_t n_in = 0, n_out = 0, cases = 0;
    snprintf(file, sizeof file, "ggml-vocab-%s.gguf.inp", name);
    char *in = read_or_skip(file, &n_in);
    snprintf(file, sizeof file, "ggml-vocab-%s.gguf.out", name);
    char *out = read_or_skip(file, &n_out);
    const char *line = out, *text = in, *end = in + n_in;
    while (*line) {
        assert_true(text <= end);
        const char *next = memmem(text, (size_t)(end - text), SEPARATOR, strlen(SEPARATOR));
        line = check_case(t, text, (size_t)((next ? next : end) - text), line, cases++);
        text = next ? next + strlen(SEPARATOR) : end + 1;
    }
    assert_true(cases >= 40);
    mem_free(in);
    mem_free(out);
}

static void vocabulary(void **state)
{
    const char *name = *state;
    char path[1024];
    snprintf(path, sizeof path, "%sggml-vocab-%s.gguf", FOLDER, name);
    tok *t = open_or_skip(path);
    check_vectors(t, name);
    tok_close(t);
}

// The 256 byte pieces in GPT-2's order: printable Latin-1 first, then the others as U+0100 and on.
static size_t byte_pieces(char (*store)[5], gguf_str *out)
{
    size_t n = 0, other = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t b = 0; b < 256; b++) {
            bool printable = (b > ' ' && b < 0x7F) || (b > 0xA0 && b != 0xAD);
            if (printable == (pass == 1))
                continue;
            size_t len = utf8_encode(printable ? b : (uint32_t)(0x100 + other++), store[n]);
            out[n] = (gguf_str){store[n], len};
            n++;
        }
    }
    return n;
}

static void qwen2(void **state)
{
    (void)state;
    enum { MERGES = 151387, SPECIALS = 3 };
    static const char *const specials[SPECIALS] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    size_t n = 0, joined = 0, count = 0;
    char *text = read_or_skip("qwen2_merges.txt", &n);
    char(*bytes)[5] = malloc(256 * sizeof *bytes), *join = malloc(n);
    gguf_str *merges = malloc(MERGES * sizeof *merges),
             *tokens = malloc((256 + MERGES + SPECIALS) * sizeof *tokens);
    int32_t *types = malloc((256 + MERGES + SPECIALS) * sizeof *types);
    size_t n_tokens = byte_pieces(bytes, tokens);
    assert_int_equal(n_tokens, 256);
    for (char *line = text, *end; count < MERGES && (end = strchr(line, '\n')); line = end + 1, count++) {
        char *space = strchr(line, ' ');
        size_t left = (size_t)(space - line), right = (size_t)(end - space - 1);
        merges[count] = (gguf_str){line, (size_t)(end - line)};
        memcpy(join + joined, line, left);
        memcpy(join + joined + left, space + 1, right);
        tokens[n_tokens++] = (gguf_str){join + joined, left + right};
        joined += left + right;
    }
    assert_int_equal(count, MERGES);
    for (size_t i = 0; i < n_tokens + SPECIALS; i++)
        types[i] = i < n_tokens ? 1 : 3;
    for (size_t i = 0; i < SPECIALS; i++)
        tokens[n_tokens++] = (gguf_str){specials[i], strlen(specials[i])};
    build b;
    build_init(&b);
    build_str(&b, "tokenizer.ggml.model", "gpt2", 4);
    build_str(&b, "tokenizer.ggml.pre", "qwen2", 5);
    build_strs(&b, "tokenizer.ggml.tokens", tokens, n_tokens);
    build_i32s(&b, "tokenizer.ggml.token_type", types, n_tokens);
    build_strs(&b, "tokenizer.ggml.merges", merges, MERGES);
    tok *t = NULL;
    err e = {0};
    if (build_open(&b, &t, &e))
        fail_msg("%s", e.msg);
    check_vectors(t, "qwen2");
    assert_int_equal(tok_find(t, "<|im_end|>", 10), 151645);
    assert_true(tok_is_eog(t, 151643) && tok_is_eog(t, 151645) && !tok_is_eog(t, 151644));
    tok_close(t);
    build_done(&b);
    free(types);
    free(tokens);
    free(merges);
    free(join);
    free(bytes);
    mem_free(text);
}

#define MODELS IRORI_SOURCE_DIR "/models/"

static tok_ids ids_of(const json_t *array)
{
    tok_ids l = {0};
    for (size_t i = 0; i < json_array_size(array); i++) {
        int32_t id = (int32_t)json_integer_value(json_array_get(array, i));
        assert_int_equal(tok_ids_add(&l, &id, 1), 0);
    }
    return l;
}

static void check_continuation(const tok *t, const json_t *one)
{
    err e = {0};
    const char *prompt = json_string_value(json_object_get(one, "prompt"));
    tok_ids want = ids_of(json_object_get(one, "prompt_tokens")),
            out = ids_of(json_object_get(one, "tokens")), got = {0};
    assert_true(want.count > 0 && out.count > 0);
    assert_int_equal(tok_encode_append(t, &got, prompt, strlen(prompt), TOK_SPECIAL, &e), 0);
    assert_int_equal(got.count, want.count);
    assert_memory_equal(got.data, want.data, want.count * sizeof *want.data);
    buf text;
    buf_init(&text);
    assert_int_equal(tok_decode(t, out.data, out.count, TOK_SPECIAL, &text, &e), 0);
    assert_string_equal(text.data, json_string_value(json_object_get(one, "text")));
    buf_done(&text);
    tok_ids_done(&want);
    tok_ids_done(&out);
    tok_ids_done(&got);
}

static void check_text(const tok *t, const char *name, const json_t *one)
{
    char path[1024];
    char *text = NULL;
    size_t n = 0;
    err e = {0};
    snprintf(path, sizeof path, "%s/../models/held/%s.txt", IRORI_DATA_DIR, name);
    if (os_read_file(path, 1u << 24, &text, &n, &e))
        return;  // the held-out texts are not part of the project
    tok_ids got = {0}, first = ids_of(json_object_get(one, "first_8"));
    assert_int_equal(tok_encode_append(t, &got, text, n, 0, &e), 0);
    assert_true(got.count >= (size_t)json_integer_value(json_object_get(one, "tokens")));
    assert_memory_equal(got.data, first.data, first.count * sizeof *first.data);
    tok_ids_done(&got);
    tok_ids_done(&first);
    mem_free(text);
}

static void demo_model(void **state)
{
    const char *name = *state;
    char path[1024];
    snprintf(path, sizeof path, MODELS "%s-f16.gguf", name);
    tok *t = open_or_skip(path);
    snprintf(path, sizeof path, MODELS "%s.reference.json", name);
    json_error_t why;
    json_t *data = json_load_file(path, 0, &why);
    if (!data)
        fail_msg("%s: %s", path, why.text);
    const json_t *greedy = json_object_get(data, "greedy");
    assert_true(json_array_size(greedy) >= 10);
    for (size_t i = 0; i < json_array_size(greedy); i++)
        check_continuation(t, json_array_get(greedy, i));
    const char *file;
    json_t *one;
    json_object_foreach(json_object_get(data, "perplexity_ctx512"), file, one) check_text(t, file, one);
    json_decref(data);
    tok_close(t);
}

#define VOCABULARY(name)                                                    \
    {                                                                       \
        "vectors of " name, vocabulary, NULL, NULL, (void *)(uintptr_t)name \
    }

#define DEMO(name)                                                          \
    {                                                                       \
        "prompts of " name, demo_model, NULL, NULL, (void *)(uintptr_t)name \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOCABULARY("gpt-2"),    VOCABULARY("starcoder"), VOCABULARY("llama-spm"), VOCABULARY("phi-3"),
        VOCABULARY("bert-bge"), cmocka_unit_test(qwen2), DEMO("irori-tiny"),      DEMO("irori-tiny-draft"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Encoding against the expected ids of the published test vectors: a .inp file holds texts separated by a line
// `__ggml_vocab_test__`, the .out file beside it one line of ids for each.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#define VOCABULARY(name) {"vectors of " name, vocabulary, NULL, NULL, (void *)(uintptr_t)name}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOCABULARY("gpt-2"),
        VOCABULARY("starcoder"),
        VOCABULARY("llama-spm"),
        VOCABULARY("phi-3"),
        VOCABULARY("bert-bge"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

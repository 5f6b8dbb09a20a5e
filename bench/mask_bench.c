// How long masks take and how right they are, over a folder of schemas with valid and invalid instances in the form
// of MaskBench (JSONSchemaBench; Geng et al. 2025, arXiv 2501.10868):
//   mask_bench DIR VOCABULARY [NAME]
// VOCABULARY is a GGUF file, or the merges of a byte-level BPE as text, one pair a line. With NAME only schemas whose
// file name holds it are run, and each failure is told.
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "gram/gram.h"
#include "tok/build.h"

typedef struct figures {
    double *mask, *first;  // microseconds
    size_t n_mask, mask_cap, n_first, first_cap;
    size_t schemas, accepted, refused_valid, taken_invalid, valid, invalid, failed;
    size_t most_bytes;
    bool loud;
} figures;

static void note(double **list, size_t *n, size_t *cap, double v)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 1024;
        *list = realloc(*list, *cap * sizeof **list);
        if (!*list)
            abort();
    }
    (*list)[(*n)++] = v;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_row(const char *what, double *v, size_t n)
{
    double sum = 0;
    if (!n)
        return;
    qsort(v, n, sizeof *v, compare);
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    printf("%-22s %9zu %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n", what, n, sum / (double)n, v[n / 2],
           v[n * 9 / 10], v[n * 99 / 100], v[n * 999 / 1000], v[n - 1]);
}

// The instance as a sequence of tokens; whether the grammar takes all of it, measuring each mask.
static bool takes(figures *f, gram *g, const tok *t, const json_t *data, size_t vocab, uint32_t *bits,
                  bool *ok)
{
    char *text = json_dumps(data, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    int32_t *ids;
    size_t n, i;
    gram_state *s;
    err e;
    if (!text || tok_encode(t, text, strlen(text), 0, &ids, &n, NULL) || gram_state_new(&s, g, NULL))
        abort();
    for (i = 0; i <= n; i++) {
        double from = os_seconds();
        *ok = gram_state_mask(s, bits, vocab, &e) == 0;
        double took = (os_seconds() - from) * 1e6;
        note(&f->mask, &f->n_mask, &f->mask_cap, took);
        if (f->loud && took > 1000) {  // where it was slow
            buf b = {0};
            tok_decode(t, ids, i, 0, &b, NULL);
            printf("    %.0f us behind %.300s\n", took, b.len ? b.data : "");
            buf_done(&b);
        }
        if (!*ok || i == n)
            break;
        bool may = bits[ids[i] / 32] >> (ids[i] % 32) & 1;
        if (may != (gram_state_accept(s, ids[i], NULL) == 0)) {
            printf("mask and automaton disagree\n");
            *ok = false;
        }
        if (!may || !*ok)
            break;
    }
    bool all = *ok && i == n && gram_state_may_end(s);
    if (f->loud && !all && *ok)
        printf("    stopped at token %zu of %zu: %.200s\n", i, n, text);
    gram_state_free(s);
    mem_free(ids);
    free(text);
    return all;
}

static void run_file(figures *f, const char *path, const gram_vocab *v, const tok *t, uint32_t *bits)
{
    json_error_t why;
    json_t *file = json_load_file(path, 0, &why), *test;
    size_t i, vocab = tok_count(t);
    if (!file)
        return;
    char *schema = json_dumps(json_object_get(file, "schema"), JSON_ENCODE_ANY);
    gram *g = NULL;
    gram_state *s = NULL;
    err e = {0};
    f->schemas++;
    double from = os_seconds();
    int rc = gram_compile_json_schema(&g, v, (gram_lead){0}, schema, strlen(schema), &e);
    if (!rc)
        rc = gram_state_new(&s, g, &e);
    if (!rc)
        rc = gram_state_mask(s, bits, vocab, &e);
    double first = (os_seconds() - from) * 1e6;
    gram_state_free(s);
    if (rc)
        printf("refused  %s: %s\n", strrchr(path, '/') + 1, e.msg);
    else
        note(&f->first, &f->n_first, &f->first_cap, first);
    f->accepted += !rc;
    json_array_foreach(json_object_get(file, "tests"), i, test)
    {
        bool valid = json_is_true(json_object_get(test, "valid")), ok = true;
        if (rc)
            break;
        bool all = takes(f, g, t, json_object_get(test, "data"), vocab, bits, &ok);
        f->valid += valid;
        f->invalid += !valid;
        f->failed += !ok;
        if (valid == all && ok)
            continue;
        f->refused_valid += valid;
        f->taken_invalid += !valid;
        printf("%s %s test %zu\n", valid ? "REFUSED" : "TAKEN  ", strrchr(path, '/') + 1, i);
    }
    if (g)
        f->most_bytes = MAX(f->most_bytes, gram_bytes(g));
    gram_free(g);
    free(schema);
    json_decref(file);
}

// A byte-level BPE vocabulary out of its merges: 256 bytes, then a token for each merge, then the end token.
static tok *open_merges(const char *path)
{
    char *text;
    size_t n, k = 0, cap = 400000;
    if (os_read_file(path, (size_t)1 << 28, &text, &n, NULL))
        return NULL;
    gguf_str *piece = malloc(cap * sizeof *piece), *merge = malloc(cap * sizeof *merge);
    int32_t *type = malloc(cap * sizeof *type);
    char *joined = malloc(2 * n + 4096), *at = joined;
    if (!piece || !merge || !type || !joined)
        abort();
    for (unsigned b = 0; b < 256; b++) {  // the letters that stand for bytes (GPT-2)
        static unsigned extra = 0;
        bool plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        size_t len = utf8_encode(plain ? b : 256 + extra++, at);
        piece[k++] = (gguf_str){at, len};
        at += len;
    }
    size_t merges = 0;
    for (char *line = strtok_r(text, "\n", &text); line && k + 2 < cap; line = strtok_r(NULL, "\n", &text)) {
        char *space = strchr(line, ' ');
        if (!space || line[0] == '#')
            continue;
        merge[merges++] = (gguf_str){line, strlen(line)};
        size_t left = (size_t)(space - line), right = strlen(space + 1);
        memcpy(at, line, left);
        memcpy(at + left, space + 1, right);
        piece[k++] = (gguf_str){at, left + right};
        at += left + right;
    }
    for (size_t i = 0; i < k; i++)
        type[i] = 1;
    type[k] = 3;
    piece[k] = (gguf_str){"<|im_end|>", 10};
    build b;
    tok *t = NULL;
    err e = {0};
    build_init(&b);
    build_str(&b, "tokenizer.ggml.model", "gpt2", 4);
    build_str(&b, "tokenizer.ggml.pre", "qwen2", 5);
    build_strs(&b, "tokenizer.ggml.tokens", piece, k + 1);
    build_strs(&b, "tokenizer.ggml.merges", merge, merges);
    build_i32s(&b, "tokenizer.ggml.token_type", type, k + 1);
    build_u32(&b, "tokenizer.ggml.eos_token_id", (uint32_t)k);
    if (build_open(&b, &t, &e))
        fprintf(stderr, "%s\n", e.msg);
    build_done(&b);
    return t;
}

static tok *open_tok(const char *path)
{
    size_t n = strlen(path);
    gguf *file;
    tok *t = NULL;
    if (n < 5 || strcmp(path + n - 5, ".gguf") != 0)
        return open_merges(path);
    if (gguf_open(&file, path, NULL))
        return NULL;
    tok_open(&t, file, NULL);
    gguf_close(file);
    return t;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: mask_bench DIR VOCABULARY [NAME]\n");
        return 2;
    }
    tok *t = open_tok(argv[2]);
    gram_vocab *v = NULL;
    double from = os_seconds();
    if (!t || gram_vocab_new(&v, t, NULL)) {
        fprintf(stderr, "%s: no vocabulary\n", argv[2]);
        return 1;
    }
    printf("vocabulary: %u tokens, laid out in %.0f ms, %.1f MB\n", tok_count(t), (os_seconds() - from) * 1e3,
           (double)gram_vocab_bytes(v) / 1e6);
    uint32_t *bits = malloc((tok_count(t) / 32 + 1) * sizeof *bits);
    figures f = {.loud = argc > 3};
    struct dirent **names;
    int n = scandir(argv[1], &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
        if (strstr(names[i]->d_name, ".json") && (argc < 4 || strstr(names[i]->d_name, argv[3])))
            run_file(&f, path, v, t, bits);
        free(names[i]);
    }
    printf(
        "%zu schemas, %zu accepted (%.1f %%); of their instances %zu valid, %zu of them refused; %zu invalid, %zu of "
        "them taken; %zu stopped by a limit; at most %.1f MB a grammar\n",
        f.schemas, f.accepted, 100.0 * (double)f.accepted / (double)MAX(f.schemas, 1), f.valid,
        f.refused_valid, f.invalid, f.taken_invalid, f.failed, (double)f.most_bytes / 1e6);
    printf("%-22s %9s %9s %9s %9s %9s %9s %9s\n", "microseconds", "count", "mean", "median", "p90", "p99",
           "p99.9", "most");
    print_row("a mask", f.mask, f.n_mask);
    print_row("compile + first mask", f.first, f.n_first);
    gram_vocab_free(v);
    tok_close(t);
    return 0;
}

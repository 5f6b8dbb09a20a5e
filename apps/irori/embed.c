// irori embed and irori rerank: texts as vectors, and ordered by a query.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "put.h"

// Lines of a file as texts; empty ones are left out.
typedef struct lines {
    char *read;
    buf texts;    // irori_text
    buf numbers;  // int, of the lines, from 1
} lines;

static size_t count_of(const lines *l)
{
    return l->texts.len / sizeof(irori_text);
}

static const irori_text *text_of(const lines *l)
{
    return (const irori_text *)(const void *)l->texts.data;
}

static int number_of(const lines *l, size_t i)
{
    return ((const int *)(const void *)l->numbers.data)[i];
}

static void add(lines *l, const char *data, size_t n, int number)
{
    irori_text t = {data, n};
    buf_add(&l->texts, &t, sizeof t);
    buf_add(&l->numbers, &number, sizeof number);
}

static int read_lines(const cli_options *o, lines *l)
{
    size_t n;
    *l = (lines){0};
    if (o->text) {
        add(l, o->text, strlen(o->text), 1);
    } else {
        if (cli_read_text(o->file ? o->file : "-", &l->read, &n))
            return CLI_FAILED;
        int number = 1;
        for (const char *at = l->read, *end = at + n; at < end; number++) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            size_t length = (size_t)((stop ? stop : end) - at);
            if (length > 0)
                add(l, at, length, number);
            at += length + 1;
        }
    }
    if (l->texts.failed || l->numbers.failed) {
        fprintf(stderr, "irori: out of memory for the texts\n");
        return CLI_FAILED;
    }
    return CLI_OK;
}

static void free_lines(lines *l)
{
    buf_done(&l->texts);
    buf_done(&l->numbers);
    mem_free(l->read);
}

static void print_vectors(const irori_embeddings *v, size_t count)
{
    const float *x = v->vectors;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < v->width; k++)
            printf("%.9g%c", (double)*x++, k + 1 < v->width ? ' ' : '\n');
}

static int print_embeddings(const irori_embeddings *v, size_t count)
{
    const float *x = v->vectors;
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    put_int(&w, "width", v->width);
    put_int(&w, "tokens", (int64_t)v->tokens);
    json_key(&w, "embeddings");
    json_arr(&w);
    for (size_t i = 0; i < count; i++) {
        json_arr(&w);
        for (int k = 0; k < v->width; k++)
            json_num(&w, (double)*x++);
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
    return cli_print_json(&out);
}

int cmd_embed(const cli_options *o)
{
    lines l;
    irori_model *m = NULL;
    irori_embeddings v = {0};
    irori_error e;
    irori_embed_options eo = {.truncate = o->truncate, .dimensions = o->dimensions};
    int rc = read_lines(o, &l);
    if (!rc)
        rc = cli_open(o, 0, 0, &m);
    if (!rc && irori_embed(m, text_of(&l), count_of(&l), &eo, &v, &e))
        rc = cli_fail(&e);
    if (!rc && o->json)
        rc = print_embeddings(&v, count_of(&l));
    else if (!rc)
        print_vectors(&v, count_of(&l));
    irori_free(v.vectors);
    irori_model_close(m);
    free_lines(&l);
    return rc;
}

typedef struct ranked {
    float score;
    size_t index;
} ranked;

static int better_first(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

static int print_order(const cli_options *o, const lines *l, const ranked *r, size_t tokens)
{
    if (!o->json) {
        for (size_t i = 0; i < count_of(l); i++) {
            const irori_text *t = &text_of(l)[r[i].index];
            printf("%.6f %6d  %.*s\n", (double)r[i].score, number_of(l, r[i].index),
                   (int)MIN(t->bytes, 1u << 30), t->data);
        }
        return CLI_OK;
    }
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    put_int(&w, "tokens", (int64_t)tokens);
    json_key(&w, "results");
    json_arr(&w);
    for (size_t i = 0; i < count_of(l); i++) {
        json_obj(&w);
        put_int(&w, "line", number_of(l, r[i].index));
        put_num(&w, "score", (double)r[i].score);
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
    return cli_print_json(&out);
}

static int rank(const cli_options *o, irori_model *m, const lines *l)
{
    const size_t n = count_of(l);
    size_t tokens;
    irori_error e;
    irori_text query = {o->query, strlen(o->query)};
    irori_rerank_options ro = {.truncate = o->truncate, .instruction = o->instruction};
    float *scores = mem_calloc(MEM_OTHER, n + 1, sizeof *scores);
    ranked *order = mem_calloc(MEM_OTHER, n + 1, sizeof *order);
    int rc = CLI_OK;
    if (!scores || !order) {
        fprintf(stderr, "irori: out of memory for %zu scores\n", n);
        rc = CLI_FAILED;
    } else if (irori_rerank(m, &query, text_of(l), n, &ro, scores, &tokens, &e)) {
        rc = cli_fail(&e);
    } else {
        for (size_t i = 0; i < n; i++)
            order[i] = (ranked){scores[i], i};
        qsort(order, n, sizeof *order, better_first);
        rc = print_order(o, l, order, tokens);
    }
    mem_free(scores);
    mem_free(order);
    return rc;
}

int cmd_rerank(const cli_options *o)
{
    lines l = {0};
    irori_model *m = NULL;
    if (!o->query) {
        fprintf(stderr, "irori rerank: --query is needed; see `irori help rerank`\n");
        return CLI_USAGE;
    }
    int rc = read_lines(o, &l);
    if (!rc)
        rc = cli_open(o, 0, 0, &m);
    if (!rc)
        rc = rank(o, m, &l);
    irori_model_close(m);
    free_lines(&l);
    return rc;
}

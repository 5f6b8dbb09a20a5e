// irori eval meaning EMBEDDER --file A --base B: how often answers in A mean something else than those in B.
//
// Both are files that `irori eval answers --output` wrote, of the same prompts. The model is an embedder: two answers mean the same
// when the cosine of their vectors is --least-likeness or more. That is a guess; --output writes a sheet (CSV, the least alike
// first) for a person to look over.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/eval.h"

enum { MOST_FILE = 1 << 28 };

typedef struct pair {
    const json_t *a, *b;  // lines of the two files
    double likeness;
} pair;

typedef struct work {
    json_t *a, *b;  // arrays of lines
    pair *pairs;
    size_t n;
} work;

static int read_lines(const char *path, json_t **out, err *e)
{
    char *text;
    size_t n, number = 0;
    *out = NULL;
    int rc = os_read_file(path, MOST_FILE, &text, &n, e);
    if (rc)
        return rc;
    json_t *lines = json_array();
    for (char *at = text, *end; !rc && at < text + n; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + n - at));
        end = end ? end : text + n;
        json_t *v = json_loadb(at, (size_t)(end - at), 0, NULL);
        number++;
        if (!json_is_string(json_object_get(v, "given")))
            rc = err_set(e, ST_FORMAT, "%s: line %zu is none that eval answers --output wrote", path, number);
        if (json_array_append_new(lines, v) && !rc)
            rc = err_set(e, ST_NOMEM, "%s: out of memory", path);
    }
    mem_free(text);
    *out = lines;
    return rc;
}

static int pair_up(work *w, const cli_options *o, err *e)
{
    size_t n = json_array_size(w->a), m = json_array_size(w->b);
    if (n != m || n == 0)
        return err_set(e, ST_INVALID, "%s has %zu answers, %s has %zu; they must answer the same prompts",
                       o->file, n, o->base, m);
    w->pairs = mem_calloc(MEM_OTHER, n, sizeof *w->pairs);
    if (!w->pairs)
        return err_set(e, ST_NOMEM, "out of memory for %zu answers", n);
    for (w->n = 0; w->n < n; w->n++) {
        pair *p = &w->pairs[w->n];
        p->a = json_array_get(w->a, w->n);
        p->b = json_array_get(w->b, w->n);
        if (!json_equal(json_object_get(p->a, "prompt"), json_object_get(p->b, "prompt")))
            return err_set(e, ST_INVALID, "%s and %s: the prompts of line %zu differ", o->file, o->base,
                           w->n + 1);
    }
    return ST_OK;
}

static int compare(irori_model *m, pair *p, irori_error *e)
{
    const char *a = json_string_value(json_object_get(p->a, "given")),
               *b = json_string_value(json_object_get(p->b, "given"));
    if (strcmp(a, b) == 0 || !*a || !*b) {
        p->likeness = strcmp(a, b) == 0;
        return IRORI_OK;
    }
    irori_text texts[] = {{a, strlen(a)}, {b, strlen(b)}};
    irori_embed_options how = {.truncate = true};
    irori_embeddings v;
    int rc = irori_embed(m, texts, 2, &how, &v, e);
    if (rc)
        return rc;
    p->likeness = 0;
    for (int i = 0; i < v.width; i++)
        p->likeness += (double)v.vectors[i] * (double)v.vectors[v.width + i];
    irori_free(v.vectors);
    return IRORI_OK;
}

static int by_likeness(const void *a, const void *b)
{
    double x = ((const pair *)a)->likeness, y = ((const pair *)b)->likeness;
    return (x > y) - (x < y);
}

static void put_cell(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

// The column "same?" is for the person.
static int write_sheet(const work *w, const char *path, err *e)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    fprintf(f, "likeness,same?,prompt,answer,base\n");
    for (size_t i = 0; i < w->n; i++) {
        const pair *p = &w->pairs[i];
        char *prompt = json_dumps(json_object_get(p->a, "prompt"), JSON_ENCODE_ANY);
        fprintf(f, "%.4f,,", p->likeness);
        put_cell(f, prompt ? prompt : "");
        fputc(',', f);
        put_cell(f, json_string_value(json_object_get(p->a, "given")));
        fputc(',', f);
        put_cell(f, json_string_value(json_object_get(p->b, "given")));
        fputc('\n', f);
        free(prompt);
    }
    bool failed = ferror(f) != 0;
    return fclose(f) || failed ? err_set(e, ST_IO, "%s: the sheet could not be written", path) : ST_OK;
}

static void add_rows(work *w, double least, report *r)
{
    samples likeness = {0};
    size_t changed = 0;
    for (size_t i = 0; i < w->n; i++) {
        changed += w->pairs[i].likeness < least;
        samples_add(&likeness, w->pairs[i].likeness);
    }
    eval_add_share(r, "meaning", "changed", changed, w->n);
    report_add(r, "meaning", "likeness", true, &likeness);
    samples_done(&likeness);
}

int eval_meaning(const cli_options *o, irori_model *m, report *r, irori_error *e)
{
    work w = {0};
    int rc = read_lines(o->file, &w.a, (err *)(void *)e);
    if (!rc)
        rc = read_lines(o->base, &w.b, (err *)(void *)e);
    if (!rc)
        rc = pair_up(&w, o, (err *)(void *)e);
    for (size_t i = 0; !rc && i < w.n; i++)
        rc = compare(m, &w.pairs[i], e);
    if (!rc) {
        qsort(w.pairs, w.n, sizeof *w.pairs, by_likeness);
        add_rows(&w, (double)o->least_likeness, r);
    }
    if (!rc && o->output)
        rc = write_sheet(&w, o->output, (err *)(void *)e);
    json_decref(w.a);
    json_decref(w.b);
    mem_free(w.pairs);
    return rc;
}

// irori eval bpw: what a model costs and keeps at eight bit widths, each measured on this machine.
//
// Every method is made from the model with irori_quantize, in a temporary file, and opened by itself for memory and speed;
// then beside the original, to compare their distributions token by token.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure/bpw.h"
#include "measure/compare.h"
#include "measure/energy.h"

static const char *const methods[BPW_METHODS] = {"Q8_0", "Q6_K",   "Q5_K_M", "Q4_K_M",
                                                 "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K"};

enum { WINDOW = 256, WINDOWS = 4, GENERATED = 32 };

typedef struct work {
    const cli_options *o;
    int32_t *ids;
    size_t windows, ctx;
    irori_model *original;
    cli_progress bar;
} work;

// Prompt and generation on a model that is alone in memory.
static int measure_speed(const work *w, irori_model *m, bpw_row *r, irori_error *e)
{
    irori_session *s = NULL;
    int rc = irori_session_new(&s, m, NULL, e);
    for (int round = 0; !rc && round < 2; round++) {  // the first warms up
        rc = irori_session_truncate(s, 0, e);
        double start = os_seconds();
        if (!rc)
            rc = irori_session_add(s, w->ids, w->ctx - GENERATED, e);
        double read = os_seconds(), used = energy_joules();
        for (size_t i = w->ctx - GENERATED; !rc && i < w->ctx; i++)
            rc = irori_session_add(s, w->ids + i, 1, e);
        double end = os_seconds(), after = energy_joules();
        r->pp = (double)(w->ctx - GENERATED) / (read - start);
        r->tg = GENERATED / (end - read);
        r->ttft_ms = (read - start) * 1e3;
        r->joules = used >= 0 && after > used ? (after - used) / GENERATED
                                              : -1;  // the counters wrap about daily
    }
    irori_session_free(s);
    irori_memory mem;
    irori_get_memory(m, &mem);
    r->rss_mb = (double)mem.rss_bytes / 1e6;
    return rc;
}

static int compare_models(work *w, irori_model *m, int index, bpw_row *r, irori_error *e)
{
    irori_session *p = NULL, *q = NULL;
    irori_model_info info;
    compare_sums sums = {0};
    irori_model_get_info(m, &info);
    int rc = irori_session_new(&p, w->original, NULL, e);
    if (!rc)
        rc = irori_session_new(&q, m, NULL, e);
    for (size_t i = 0; !rc && i < w->windows; i++) {
        rc = compare_window(p, q, w->ids + i * w->ctx, w->ctx, info.vocabulary, &sums, e);
        cli_progress_step(&w->bar, (uint64_t)index * w->windows + i + 1, BPW_METHODS * w->windows);
    }
    irori_session_free(p);
    irori_session_free(q);
    r->scored = sums.n;
    r->kl = compare_mean(sums.kl, sums.n);
    r->nll = compare_mean(sums.nll, sums.n);
    r->nll_original = compare_mean(sums.nll_base, sums.n);
    return rc;
}

static int open_model(const work *w, const char *path, irori_model **m, irori_error *e)
{
    irori_model_options mo = {
        .threads = w->o->threads, .context = (int)w->ctx, .cpu = w->o->cpu, .no_pin = w->o->no_pin};
    return irori_model_open(m, path, &mo, e);
}

static int measure_method(work *w, int index, const char *path, bpw_row *r, irori_error *e)
{
    irori_quantize_options qo = {.type = r->method, .imatrix = w->o->imatrix, .threads = w->o->threads};
    irori_quantize_report made;
    irori_model *m = NULL;
    int rc = irori_quantize(w->o->model, path, &qo, &made, e);
    if (rc)
        return rc;
    r->bpw = made.bpw;
    r->bytes = made.bytes_out;
    rc = open_model(w, path, &m, e);
    if (!rc)
        rc = measure_speed(w, m, r, e);
    if (!rc)
        rc = open_model(w, w->o->model, &w->original, e);
    if (!rc)
        rc = compare_models(w, m, index, r, e);
    irori_model_close(w->original);
    w->original = NULL;
    irori_model_close(m);
    return rc;
}

static int measure_all(work *w, bpw_row *rows, irori_error *e)
{
    const char *tmp = getenv("TMPDIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/irori-bpw-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int fd = mkstemp(path), rc = IRORI_OK;
    if (fd < 0)
        return err_set((err *)(void *)e, ST_IO, "%s: a temporary file cannot be made; set TMPDIR", path);
    close(fd);
    cli_progress_start(&w->bar, "measuring");
    for (int i = 0; !rc && i < BPW_METHODS; i++) {
        rows[i] = (bpw_row){.method = methods[i]};
        rc = measure_method(w, i, path, &rows[i], e);
    }
    cli_progress_end(&w->bar);
    remove(path);
    return rc;
}

static int read_ids(work *w, const char *text, size_t n, irori_error *e)
{
    irori_model *m;
    size_t count;
    int rc = irori_model_open_vocabulary(&m, w->o->model, e);
    if (rc)
        return rc;
    rc = irori_tokenize(m, text, n, IRORI_TOKENIZE_BOS, &w->ids, &count, e);
    irori_model_close(m);
    if (rc)
        return rc;
    w->windows = MIN(count / w->ctx, (size_t)(w->o->chunks ? w->o->chunks : WINDOWS));
    return w->windows
               ? IRORI_OK
               : err_set((err *)(void *)e, ST_INVALID,
                         "the text has %zu tokens, a window needs %zu; use a smaller --ctx", count, w->ctx);
}

int cli_eval_bpw(const cli_options *o)
{
    work w = {.o = o, .ctx = o->ctx ? (size_t)o->ctx : WINDOW};
    if (!o->file || w.ctx < 2 * GENERATED) {
        fprintf(stderr, "irori eval: %s\n",
                o->file ? "--ctx must be 64 or more" : "--file is missing: the text to score");
        return CLI_USAGE;
    }
    char *text;
    size_t n;
    irori_error e;
    bpw_row rows[BPW_METHODS];
    if (cli_read_text(o->file, &text, &n))
        return CLI_FAILED;
    int rc = read_ids(&w, text, n, &e);
    if (!rc)
        rc = measure_all(&w, rows, &e);
    irori_free(w.ids);
    mem_free(text);
    return rc ? cli_fail(&e) : bpw_report(o, rows);
}

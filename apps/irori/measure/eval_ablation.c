// irori eval ablation: what each technique gives, alone and all together, on one text.
//
// The first half of a window of --file is the prompt; then 64 tokens are generated, and the second half is scored. "Memory plan"
// is not switched: the buffers it saves are told by the plan itself, so that its row differs from "off" in memory only.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/eval.h"

enum { GENERATED = 64, USUAL_CONTEXT = 2048, USUAL_TIMES = 3, MOST_FILE = 1 << 28 };

typedef struct setting {
    const char *name;
    bool staged, planned, guess;
} setting;
static const setting settings[] = {
    {"off", false, false, false},        {"staged KV", true, false, false},
    {"memory plan", false, true, false}, {"speculation", false, false, true},
    {"all", true, true, true},
};
enum { SETTINGS = COUNT_OF(settings) };

typedef struct row {
    samples speed, first, nll;  // tokens a second, ms, nats a token
    double kv_mb, buffers_mb;
} row;

typedef struct work {
    const cli_options *o;
    irori_model *m, *draft;
    irori_model_info info;
    int32_t *ids;
    size_t half;  // of the window, in tokens
    row rows[SETTINGS];
} work;

static int prepare(const work *w, const setting *x, irori_session *s, irori_error *e)
{
    irori_speculation how = {.lookup = true, .draft = w->draft};
    // However short the window: else a quarter of 2,048 tokens would be all of it.
    int rc = irori_session_set_kv(s, x->staged ? "staged,least=0" : "f16",
                                  x->staged ? (w->o->kv_budget ? w->o->kv_budget : "25%") : NULL, e);
    return rc ? rc : irori_session_set_speculation(s, x->guess ? &how : NULL, e);
}

static int open_session(const work *w, const setting *x, irori_session **s, irori_error *e)
{
    static const irori_sampling greedy = {0};
    int rc = irori_session_new(s, w->m, &greedy, e);
    return rc ? rc : prepare(w, x, *s, e);
}

// The second half by teacher forcing, behind the first.
static int score(const work *w, irori_session *s, row *r, irori_error *e)
{
    size_t n = w->half;
    double *logprob = mem_alloc(MEM_OTHER, n * sizeof *logprob), sum = 0;
    if (!logprob)
        return err_set((err *)(void *)e, ST_NOMEM, "out of memory for %zu scores", n);
    int rc = irori_session_add(s, w->ids, n - 1, e);
    if (!rc)
        rc = irori_session_score(s, w->ids + n - 1, n, 1, logprob, e);
    for (size_t i = 0; !rc && i < n - 1; i++)
        sum -= logprob[i];
    if (!rc)
        samples_add(&r->nll, sum / (double)(n - 1));
    mem_free(logprob);
    return rc;
}

static int generate(const work *w, const setting *x, irori_session *s, row *r, irori_error *e)
{
    irori_generation g;
    irori_kv_stats kv;
    int rc = irori_session_add(s, w->ids, w->half, e);
    if (!rc)
        rc = irori_session_generate(s, GENERATED, NULL, NULL, &g, e);
    if (rc)
        return rc;
    samples_add(&r->first, 1e3 * g.first_token_seconds);
    if (g.completion_tokens > 1)
        samples_add(&r->speed, (double)(g.completion_tokens - 1) / g.decode_seconds);
    irori_get_kv_stats(w->m, &kv);
    r->kv_mb = (double)kv.resident_bytes / 1e6;
    r->buffers_mb = (double)(x->planned ? w->info.activation_bytes : w->info.activation_bytes_unshared) / 1e6;
    return IRORI_OK;
}

// Generates and scores in sessions of their own: how long steps take decides what is guessed, which pages have had attention
// depends on that, and so would what the policy makes of them.
static int run_once(work *w, int k, irori_error *e)
{
    const setting *x = &settings[k];
    irori_session *s;
    int rc = open_session(w, x, &s, e);
    if (!rc)
        rc = generate(w, x, s, &w->rows[k], e);
    irori_session_free(s);
    if (rc)
        return rc;
    rc = open_session(w, x, &s, e);
    if (!rc)
        rc = score(w, s, &w->rows[k], e);
    irori_session_free(s);
    return rc;
}

// By turns, so that a machine that slows down slows all settings.
static int run_all(work *w, irori_error *e)
{
    int times = w->o->repetitions ? w->o->repetitions : USUAL_TIMES, rc = IRORI_OK;
    cli_progress bar;
    cli_progress_start(&bar, "measuring");
    for (int t = 0; !rc && t < times; t++)
        for (int k = 0; !rc && k < SETTINGS; k++) {
            cli_progress_step(&bar, (uint64_t)(t * SETTINGS + k), (uint64_t)(times * SETTINGS));
            rc = run_once(w, k, e);
        }
    cli_progress_end(&bar);
    return rc;
}

static void add_rows(work *w, report *r)
{
    for (int k = 0; k < SETTINGS; k++) {
        row *x = &w->rows[k];
        samples kv = {0}, buffers = {0}, ppl = {0};
        samples_add(&kv, x->kv_mb);
        samples_add(&buffers, x->buffers_mb);
        samples_add(&ppl, exp(x->nll.n ? x->nll.x[0] : (double)NAN));
        report_add(r, settings[k].name, "tokens_per_second", true, &x->speed);
        report_add(r, settings[k].name, "ttft_ms", false, &x->first);
        report_add(r, settings[k].name, "kv_mb", false, &kv);
        report_add(r, settings[k].name, "buffers_mb", false, &buffers);
        report_add(r, settings[k].name, "perplexity", false, &ppl);
        samples_done(&kv);
        samples_done(&buffers);
        samples_done(&ppl);
        samples_done(&x->speed);
        samples_done(&x->first);
        samples_done(&x->nll);
    }
}

static double value(const report *r, const char *test, const char *metric)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->rows[i].test, test) == 0 && strcmp(r->rows[i].metric, metric) == 0)
            return r->rows[i].s.median;
    return NAN;
}

static void print_table(const report *r)
{
    double ppl = value(r, "off", "perplexity");
    printf("%-14s %10s %10s %8s %11s %11s %10s\n", "technique", "tokens/s", "TTFT ms", "KV MB", "buffers MB",
           "perplexity", "retained");
    for (int k = 0; k < SETTINGS; k++) {
        const char *name = settings[k].name;
        double own = value(r, name, "perplexity");
        printf("%-14s %10.1f %10.1f %8.2f %11.2f %11.4f %9.2f%%\n", name, value(r, name, "tokens_per_second"),
               value(r, name, "ttft_ms"), value(r, name, "kv_mb"), value(r, name, "buffers_mb"), own,
               100 * ppl / own);
    }
    printf("device placement: there is one device here\n");
}

static int tokenize_and_measure(work *w, const char *text, size_t n, irori_error *e)
{
    size_t count;
    int rc = irori_tokenize(w->m, text, n, IRORI_TOKENIZE_BOS, &w->ids, &count, e);
    if (rc)
        return rc;
    irori_model_get_info(w->m, &w->info);
    w->half = MIN((size_t)w->info.context - GENERATED, count) / 2;
    if (w->half < GENERATED)
        return err_set((err *)(void *)e, ST_INVALID, "%s has %zu tokens, %d are needed", w->o->file, count,
                       2 * GENERATED);
    return run_all(w, e);
}

int cli_eval_ablation(const cli_options *o)
{
    work w = {.o = o};
    report r;
    irori_error e;
    char *text;
    size_t n;
    if (os_read_file(o->file, MOST_FILE, &text, &n, (err *)(void *)&e))
        return cli_fail(&e);
    cli_options own = *o;
    own.no_prefixes = true;
    int rc = cli_open(&own, o->ctx ? o->ctx : USUAL_CONTEXT, 1, &w.m);
    if (!rc)
        rc = cli_open_draft(&own, &w.draft);
    if (!rc && tokenize_and_measure(&w, text, n, &e))
        rc = cli_fail(&e);
    report_init(&r);
    if (!rc) {
        report_set_model(&r, w.m);
        add_rows(&w, &r);
        if (o->report && report_write(&r, o->report, (err *)(void *)&e))
            rc = cli_fail(&e);
    }
    if (!rc && o->json)
        rc = report_print(&r, true);
    else if (!rc)
        print_table(&r);
    report_done(&r);
    irori_free(w.ids);
    irori_model_close(w.draft);
    irori_model_close(w.m);
    mem_free(text);
    return rc;
}

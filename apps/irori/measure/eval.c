// irori eval: which measures there are, and what they have in common.
#include "measure/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { USUAL_WINDOW = 512, LEAST_WINDOW = 8 };

// A measure has one of the functions.
typedef struct measure {
    const char *name;
    bool needs_base, needs_url;
    int (*whole)(const cli_options *o);  // does it all itself
    int (*text)(const cli_options *o, irori_model *m, const char *text, size_t n,
                size_t window);  // of --file
    int (*rows)(const cli_options *o, irori_model *m, report *r,
                irori_error *e);  // of items; with --base also of that
    int (*server)(const cli_options *o, report *r, irori_error *e);
} measure;

static int kv(const cli_options *o)
{
    char *text;
    size_t n;
    if (cli_read_text(o->file, &text, &n))
        return CLI_FAILED;
    int rc = eval_kv(o, text, n);
    mem_free(text);
    return rc;
}

static const measure measures[] = {
    {"ppl", .text = cli_eval_ppl},
    {"kl", .needs_base = true, .text = cli_eval_kl},
    {"bpw", .whole = cli_eval_bpw},
    {"kv", .whole = kv},
    {"ablation", .whole = cli_eval_ablation},
    {"choice", .rows = eval_choice},
    {"answers", .rows = eval_answers},
    {"recall", .rows = eval_recall},
    {"meaning", .needs_base = true, .rows = eval_meaning},
    {"tools", .needs_url = true, .server = eval_tools},
};

void eval_add_share(report *r, const char *test, const char *metric, size_t right, size_t n)
{
    double low = NAN, high = NAN;
    bool good = strcmp(metric, "accuracy") == 0 || strcmp(metric, "accuracy_by_length") == 0 ||
                strcmp(metric, "exact") == 0;
    if (n)
        stats_share(right, n, &low, &high);
    report_add_value(r, test, metric, good, n ? (double)right / (double)n : (double)NAN, low, high, n);
}

static bool take_text(void *ctx, int32_t id, const char *text, size_t n)
{
    (void)id;
    buf_add(ctx, text, n);
    return true;
}

int eval_answer(irori_session *s, const int32_t *ids, size_t count, size_t most, buf *text, irori_error *e)
{
    buf_clear(text);
    int rc = irori_session_truncate(s, 0, e);
    if (!rc)
        rc = irori_session_add(s, ids, count, e);
    if (!rc)
        rc = irori_session_generate(s, most, take_text, text, NULL, e);
    return !rc && text->failed ? err_set((err *)(void *)e, ST_NOMEM, "out of memory for an answer") : rc;
}

// ---- Measures of a text ----------------------------------------------------------------------------------------
static int run_text(const cli_options *o, const measure *k)
{
    int window = o->ctx ? o->ctx : USUAL_WINDOW;
    char *text;
    size_t n;
    if (window < LEAST_WINDOW) {
        fprintf(stderr, "irori eval: --ctx is %d, allowed %d and more\n", window, LEAST_WINDOW);
        return CLI_USAGE;
    }
    if (cli_read_text(o->file, &text, &n))
        return CLI_FAILED;
    irori_model *m = NULL;
    int rc = cli_open(o, window, 0, &m);
    if (!rc)
        rc = k->text(o, m, text, n, (size_t)window);
    irori_model_close(m);
    mem_free(text);
    return rc;
}

// ---- Measures that count ---------------------------------------------------------------------------------------
static int run_model(const cli_options *o, const measure *k, report *r)
{
    irori_model *m = NULL;
    irori_error e;
    int rc = cli_open(o, 0, 0, &m);
    if (rc)
        return rc;
    report_set_model(r, m);
    rc = k->rows(o, m, r, &e) ? cli_fail(&e) : CLI_OK;
    irori_model_close(m);
    return rc;
}

// What of the base's figure is kept: 100 * accuracy / accuracy of the base.
static void add_retained(report *r, const report *base)
{
    size_t n = r->n;
    for (size_t i = 0; i < n && i < base->n; i++) {
        const report_row a = r->rows[i], *b = &base->rows[i];
        if (!a.more_is_better || strcmp(a.test, b->test) != 0 || strcmp(a.metric, b->metric) != 0)
            continue;
        char metric[32];
        snprintf(metric, sizeof metric, "%.22s_base", a.metric);
        report_add_value(r, a.test, metric, true, b->s.median, b->s.low, b->s.high, b->s.n);
        report_add_value(r, a.test, "retained_percent", true, 100 * a.s.median / b->s.median, NAN, NAN,
                         a.s.n);
    }
}

static int run_base(const cli_options *o, const measure *k, report *r)
{
    cli_options own = *o;
    report base;
    own.model = o->base;
    own.output = NULL;
    own.lora = own.kv = own.kv_budget = NULL;  // the base is run as it is
    report_init(&base);
    int rc = run_model(&own, k, &base);
    if (!rc)
        add_retained(r, &base);
    report_done(&base);
    return rc;
}

static int run_rows(const cli_options *o, const measure *k)
{
    report r;
    irori_error e;
    report_init(&r);
    int rc;
    if (k->server) {
        snprintf(r.model, sizeof r.model, "%s", o->model);
        snprintf(r.url, sizeof r.url, "%s", o->url);
        rc = k->server(o, &r, &e) ? cli_fail(&e) : CLI_OK;
    } else {
        rc = run_model(o, k, &r);
    }
    snprintf(r.kv, sizeof r.kv, "%s%s%s", o->kv ? o->kv : "f16", o->kv_budget ? "@" : "",
             o->kv_budget ? o->kv_budget : "");
    r.seed = o->seed;
    r.temperature = o->seed ? (double)o->temperature : 0;
    if (!rc && o->base && !k->needs_base)
        rc = run_base(o, k, &r);
    if (!rc && o->report && report_write(&r, o->report, (err *)(void *)&e))
        rc = cli_fail(&e);
    if (!rc)
        rc = report_print(&r, o->json);
    report_done(&r);
    return rc;
}

// ---- The command -----------------------------------------------------------------------------------------------
static const measure *find(const char *name)
{
    for (size_t i = 0; name && i < COUNT_OF(measures); i++)
        if (strcmp(measures[i].name, name) == 0)
            return &measures[i];
    fprintf(stderr, "irori eval: measure is \"%s\", allowed", name ? name : "");
    for (size_t i = 0; i < COUNT_OF(measures); i++)
        fprintf(stderr, "%s %s", i ? "," : "", measures[i].name);
    fprintf(stderr, "\n");
    return NULL;
}

int cmd_eval(const cli_options *o)
{
    const measure *k = find(o->command);
    if (!k)
        return CLI_USAGE;
    const char *missing = k->needs_base && !o->base ? "--base is missing: what to compare with"
                          : k->needs_url && !o->url ? "--url is missing: the server to ask"
                          : !o->file                ? "--file is missing: the text to score, or the items"
                                                    : NULL;
    if (missing) {
        fprintf(stderr, "irori eval %s: %s\n", k->name, missing);
        return CLI_USAGE;
    }
    return k->whole ? k->whole(o) : k->text ? run_text(o, k) : run_rows(o, k);
}

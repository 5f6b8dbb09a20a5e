// irori eval kv: what each way of keeping keys and values costs and gives, as a table, JSON, and a curve.
//
// A window of the text is read up to its last part; the rest is fed token by token, as in generation. Each policy's
// distributions are compared with those of F16 on the same tokens: perplexity, and KL(F16 || policy).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "measure/eval_kv.h"
#include "put.h"

enum { MOST_DECODED = 128, CHUNK = 16, LEAST_CONTEXT = 256 };

typedef struct run {
    const cli_options *o;
    irori_model *m;
    irori_model_info info;
    const int32_t *ids;
    size_t ctx, decoded, windows;  // tokens of a window, of these fed one by one
    float *wanted;                 // [decoded][vocabulary] of one window: log-probabilities at F16
    double *kl, *speed;            // of one row: [windows * decoded], [windows * chunks]
    size_t n_kl, n_speed;
    double nll;
} run;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Of sorted values; q in 0..1.
static double quantile(const double *x, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

static double log_sum(const float *logits, int n)
{
    float most = logits[0];
    double sum = 0;
    for (int i = 1; i < n; i++)
        most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < n; i++)
        sum += exp((double)(logits[i] - most));
    return (double)most + log(sum);
}

// Takes the session's logits for position i of the decoded part; `next` is the token that follows.
static void take(run *r, const float *logits, size_t i, int32_t next, bool reference)
{
    const int vocab = r->info.vocabulary;
    float *wanted = r->wanted + i * (size_t)vocab;
    double sum = log_sum(logits, vocab), kl = 0;
    r->nll -= (double)logits[next] - sum;
    for (int t = 0; t < vocab; t++) {
        double lp = (double)logits[t] - sum;
        if (reference)
            wanted[t] = (float)lp;
        else
            kl += exp((double)wanted[t]) * ((double)wanted[t] - lp);
    }
    r->kl[r->n_kl++] = MAX(kl, 0);
}

// One window under a policy; the session is left for its figures.
static int run_window(run *r, irori_session *s, const int32_t *ids, bool reference, irori_error *e)
{
    size_t start = r->ctx - r->decoded;
    int rc = irori_session_add(s, ids, start, e);
    double seconds = 0;
    for (size_t i = 0; !rc && i < r->decoded; i++) {
        take(r, irori_session_logits(s), i, ids[start + i], reference);
        double began = os_seconds();
        rc = irori_session_add(s, &ids[start + i], 1, e);
        seconds += os_seconds() - began;
        if (i % CHUNK == CHUNK - 1) {
            r->speed[r->n_speed++] = CHUNK / seconds;
            seconds = 0;
        }
    }
    return rc;
}

static void finish_row(run *r, eval_kv_row *row)
{
    qsort(r->kl, r->n_kl, sizeof *r->kl, by_size);
    qsort(r->speed, r->n_speed, sizeof *r->speed, by_size);
    double sum = 0;
    for (size_t i = 0; i < r->n_kl; i++)
        sum += r->kl[i];
    row->kl = sum / (double)r->n_kl;
    row->kl_p95 = quantile(r->kl, r->n_kl, 0.95);
    row->ppl = exp(r->nll / (double)r->n_kl);
    for (int i = 0; i < 3; i++)
        row->speed[i] = quantile(r->speed, r->n_speed, 0.25 * (i + 1));
}

// All windows under a policy. The F16 distributions of each window are made anew when there are several: they would
// not fit in memory together.
static int run_policy(run *r, const char *policy, const char *budget, eval_kv_row *row, irori_error *e)
{
    irori_session *s = NULL;
    int rc = IRORI_OK;
    for (size_t w = 0; !rc && w < r->windows; w++) {
        const int32_t *ids = r->ids + w * r->ctx;
        for (int reference = 1; !rc && reference >= 0; reference--) {
            if (reference && w == 0 && r->windows == 1 && row->have_reference)
                continue;
            size_t n_kl = r->n_kl, n_speed = r->n_speed;
            double nll = r->nll;
            rc = irori_session_new(&s, r->m, NULL, e);
            if (!rc && !reference)
                rc = irori_session_set_kv(s, policy, budget, e);
            if (!rc)
                rc = run_window(r, s, ids, reference, e);
            if (reference) {
                r->n_kl = n_kl;
                r->n_speed = n_speed;
                r->nll = nll;
            } else {
                irori_get_kv_stats(r->m, &row->kv);
            }
            irori_session_free(s);
            s = NULL;
        }
    }
    if (!rc)
        finish_row(r, row);
    r->n_kl = r->n_speed = 0;
    r->nll = 0;
    row->rss = os_rss_bytes();
    return rc;
}

static void report_text(const eval_kv_row *rows, size_t n, size_t ctx)
{
    printf("context %zu\n%-22s %6s %9s %9s %10s %10s %10s %9s %17s\n", ctx, "policy", "bits", "MB", "of F16",
           "ppl", "KL", "KL p95", "tokens/s", "(quartiles)");
    for (size_t i = 0; i < n; i++) {
        const eval_kv_row *r = &rows[i];
        printf("%-22s %6.2f %9.2f %8.1f%% %10.4f %10.2e %10.2e %9.1f (%.1f..%.1f)\n", r->name, r->kv.bits,
               (double)r->kv.resident_bytes / 1e6,
               100 * (double)r->kv.resident_bytes / (double)r->kv.f16_bytes, r->ppl, r->kl, r->kl_p95,
               r->speed[1], r->speed[0], r->speed[2]);
    }
}

static int report_json(const eval_kv_row *rows, size_t n, size_t ctx)
{
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_arr(&w);
    for (size_t i = 0; i < n; i++) {
        const eval_kv_row *r = &rows[i];
        json_obj(&w);
        put_str(&w, "policy", r->name);
        put_int(&w, "context", (int64_t)ctx);
        put_num(&w, "mean_bits", r->kv.bits);
        put_int(&w, "resident_bytes", (int64_t)r->kv.resident_bytes);
        put_int(&w, "f16_bytes", (int64_t)r->kv.f16_bytes);
        put_int(&w, "spilled_bytes", (int64_t)r->kv.spilled_bytes);
        put_int(&w, "rss_bytes", (int64_t)r->rss);
        put_num(&w, "ppl", r->ppl);
        put_num(&w, "kl", r->kl);
        put_num(&w, "kl_p95", r->kl_p95);
        put_num(&w, "tokens_per_second", r->speed[1]);
        put_num(&w, "tokens_per_second_q1", r->speed[0]);
        put_num(&w, "tokens_per_second_q3", r->speed[2]);
        json_end(&w);
    }
    json_end(&w);
    return cli_print_json(&out);
}

typedef struct variant {
    const char *policy, *budget;
} variant;

// From least to most precision within a family, as the curve is drawn.
static const variant all_variants[] = {
    {"f16", NULL},
    {"uniform:q2", NULL},
    {"uniform:q4,v=q2", NULL},
    {"uniform:q4", NULL},
    {"uniform:q8,v=q4", NULL},
    {"uniform:q8", NULL},
    {"staged", "20%"},
    {"staged", "25%"},
    {"staged", "30%"},
    {"staged", "40%"},
    {"staged", "50%"},
    {"staged-rule", "25%"},
    {"staged-rule", "40%"},
    {"staged-rule", "50%"},
    {"h2o", "20%"},
    {"h2o", "25%"},
    {"h2o", "30%"},
    {"h2o", "40%"},
    {"h2o", "50%"},
    {"window", "20%"},
    {"window", "25%"},
    {"window", "30%"},
    {"window", "40%"},
    {"window", "50%"},
};
enum { MOST_VARIANTS = COUNT_OF(all_variants) };

static int run_variants(run *r, const variant *list, size_t n)
{
    eval_kv_row rows[MOST_VARIANTS] = {0};
    irori_error e;
    cli_progress bar;
    cli_progress_start(&bar, "measuring");
    for (size_t i = 0; i < n; i++) {
        cli_progress_step(&bar, i, n);
        snprintf(rows[i].name, sizeof rows[i].name, "%s%s%s", list[i].policy, list[i].budget ? "@" : "",
                 list[i].budget ? list[i].budget : "");
        rows[i].have_reference = i > 0;
        if (run_policy(r, list[i].policy, list[i].budget, &rows[i], &e)) {
            cli_progress_end(&bar);
            return cli_fail(&e);
        }
    }
    cli_progress_end(&bar);
    if (r->o->plot && eval_kv_plot(r->o->plot, rows, n, r->ctx, (err *)(void *)&e))
        return cli_fail(&e);
    if (r->o->json)
        return report_json(rows, n, r->ctx);
    report_text(rows, n, r->ctx);
    return CLI_OK;
}

static int measure(run *r, size_t count)
{
    irori_model_get_info(r->m, &r->info);
    r->windows = MIN(count / r->ctx, (size_t)(r->o->repetitions ? r->o->repetitions : 3));
    r->decoded = MIN(MOST_DECODED, r->ctx / 4) / CHUNK * CHUNK;
    if (r->windows == 0) {
        fprintf(stderr, "irori: the text has %zu tokens, a window needs %zu; use a smaller --ctx\n", count,
                r->ctx);
        return CLI_FAILED;
    }
    r->wanted = mem_alloc(MEM_OTHER, r->decoded * (size_t)r->info.vocabulary * sizeof *r->wanted);
    r->kl = mem_alloc(MEM_OTHER, (r->windows + 1) * r->decoded * sizeof *r->kl);
    r->speed = mem_alloc(MEM_OTHER, (r->windows + 1) * r->decoded * sizeof *r->speed);
    variant own[] = {{"f16", NULL}, {r->o->kv, r->o->kv_budget}};
    int rc = CLI_FAILED;
    if (!r->wanted || !r->kl || !r->speed)
        fprintf(stderr, "irori: out of memory for the logits of %zu tokens\n", r->decoded);
    else
        rc = r->o->kv ? run_variants(r, own, COUNT_OF(own)) : run_variants(r, all_variants, MOST_VARIANTS);
    mem_free(r->wanted);
    mem_free(r->kl);
    mem_free(r->speed);
    return rc;
}

int eval_kv(const cli_options *o, const char *text, size_t n)
{
    run r = {.o = o, .ctx = o->ctx ? (size_t)o->ctx : 2048};
    if (r.ctx < LEAST_CONTEXT) {
        fprintf(stderr, "irori eval: --ctx is %zu, allowed %d and more\n", r.ctx, LEAST_CONTEXT);
        return CLI_USAGE;
    }
    cli_options own = *o;
    own.kv = own.kv_budget = NULL;  // sessions choose
    own.no_prefixes = true;
    irori_error e;
    int32_t *ids = NULL;
    size_t count = 0;
    if (cli_open(&own, (int)r.ctx, 1, &r.m))
        return CLI_FAILED;
    int rc = irori_tokenize(r.m, text, n, IRORI_TOKENIZE_BOS, &ids, &count, &e);
    r.ids = ids;
    rc = rc ? cli_fail(&e) : measure(&r, count);
    irori_free(ids);
    irori_model_close(r.m);
    return rc;
}

// irori eval kv: what each way of keeping keys and values costs and gives, as a table, JSON, and a curve.
//
// A window of the text is read up to its last part; the rest is fed token by token, as in generation. Each policy's
// distributions are compared with those of F16 on the same tokens: perplexity, and KL(F16 || policy).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "measure/compare.h"
#include "measure/eval_kv.h"
#include "measure/stats.h"
#include "put.h"

enum { MOST_DECODED = 128, CHUNK = 16, LEAST_CONTEXT = 256, MOST_ROWS = 64 };

// What the windows give for one policy.
typedef struct sum {
    compare_sums compared;
    samples kl, speed;                    // of each prediction; of each chunk
    double bits, resident, spilled, f16;  // after each chunk
    uint64_t rss;
} sum;

typedef struct run {
    const cli_options *o;
    irori_model *m;
    int vocabulary;
    size_t ctx, decoded, windows;  // tokens of a window, of these fed one by one
    float *reference;              // [decoded][vocabulary]: logits of the window at F16
    eval_kv_row rows[MOST_ROWS];   // the first is F16
    sum sums[MOST_ROWS];
    size_t n;
} run;

static void take_sizes(const irori_model *m, sum *to)
{
    irori_kv_stats kv;
    irori_get_kv_stats(m, &kv);
    to->bits += kv.bits;
    to->resident += (double)kv.resident_bytes;
    to->spilled += (double)kv.spilled_bytes;
    to->f16 += (double)kv.f16_bytes;
    to->rss = MAX(to->rss, os_rss_bytes());
}

static int run_session(run *r, irori_session *s, const int32_t *ids, size_t row, irori_error *e)
{
    sum *to = &r->sums[row];
    const size_t start = r->ctx - r->decoded, width = (size_t)r->vocabulary;
    double seconds = 0;
    int rc = irori_session_add(s, ids, start, e);
    for (size_t i = 0; !rc && i < r->decoded; i++) {
        const float *logits = irori_session_logits(s);
        float *reference = r->reference + i * width;
        if (row == 0)
            memcpy(reference, logits, width * sizeof *logits);
        samples_add(&to->kl, compare_logits(reference, logits, r->vocabulary, ids[start + i], &to->compared));
        double began = os_seconds();
        rc = irori_session_add(s, &ids[start + i], 1, e);
        seconds += os_seconds() - began;
        if (i % CHUNK == CHUNK - 1) {
            samples_add(&to->speed, CHUNK / seconds);
            take_sizes(r->m, to);
            seconds = 0;
        }
    }
    if (!rc && (to->kl.failed || to->speed.failed))
        rc = err_set((err *)(void *)e, ST_NOMEM, "out of memory for %zu figures", to->kl.n);
    return rc;
}

// A window under the policy of a row, in a session of its own.
static int run_window(run *r, const int32_t *ids, size_t row, irori_error *e)
{
    irori_session *s = NULL;
    int rc = irori_session_new(&s, r->m, NULL, e);
    if (!rc)
        rc = irori_session_set_kv(s, r->rows[row].policy, r->rows[row].budget, e);
    if (!rc)
        rc = run_session(r, s, ids, row, e);
    irori_session_free(s);
    return rc;
}

// Every policy meets a window before the next window comes, F16 first, so that its distributions are made once.
static int run_windows(run *r, const int32_t *ids, irori_error *e)
{
    cli_progress bar;
    int rc = IRORI_OK;
    cli_progress_start(&bar, "measuring");
    for (size_t w = 0; !rc && w < r->windows; w++, ids += r->ctx)
        for (size_t i = 0; !rc && i < r->n; i++) {
            cli_progress_step(&bar, w * r->n + i, r->windows * r->n);
            rc = run_window(r, ids, i, e);
        }
    cli_progress_end(&bar);
    return rc;
}

static void finish_row(const run *r, eval_kv_row *row, sum *s)
{
    const double times = (double)(r->windows * r->decoded / CHUNK);
    const compare_sums *c = &s->compared;
    stats speed = stats_of(&s->speed);
    row->bits = s->bits / times;
    row->resident = s->resident / times;
    row->spilled = s->spilled / times;
    row->f16 = s->f16 / times;
    row->rss = s->rss;
    row->ppl = exp(compare_mean(c->nll, c->n));
    row->ppl_error = row->ppl * compare_error(c->worse, c->worse_squares, c->n);
    row->kl = MAX(0, compare_mean(c->kl, c->n));
    row->kl_error = compare_error(c->kl, c->kl_squares, c->n);
    row->kl_p95 = MAX(0, stats_of(&s->kl).p95);
    for (int i = 0; i < 3; i++)
        row->speed[i] = stats_quantile(s->speed.x, speed.n, 0.25 * (i + 1));
}

static void report_text(const run *r)
{
    printf("context %zu, %zu windows, %zu predictions\n", r->ctx, r->windows, r->windows * r->decoded);
    printf("%-26s %6s %9s %9s %10s %7s %10s %9s %10s %9s %17s\n", "policy", "bits", "MB", "of F16", "ppl",
           "+-", "KL", "+-", "KL p95", "tokens/s", "(quartiles)");
    for (size_t i = 0; i < r->n; i++) {
        const eval_kv_row *x = &r->rows[i];
        printf("%-26s %6.2f %9.2f %8.1f%% %10.4f %7.4f %10.2e %9.1e %10.2e %9.1f (%.1f..%.1f)\n", x->name,
               x->bits, x->resident / 1e6, 100 * x->resident / x->f16, x->ppl, x->ppl_error, x->kl,
               x->kl_error, x->kl_p95, x->speed[1], x->speed[0], x->speed[2]);
    }
}

static int report_json(const run *r)
{
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_arr(&w);
    for (size_t i = 0; i < r->n; i++) {
        const eval_kv_row *x = &r->rows[i];
        json_obj(&w);
        put_str(&w, "policy", x->name);
        put_int(&w, "context", (int64_t)r->ctx);
        put_int(&w, "windows", (int64_t)r->windows);
        put_num(&w, "mean_bits", x->bits);
        put_int(&w, "resident_bytes", (int64_t)x->resident);
        put_int(&w, "f16_bytes", (int64_t)x->f16);
        put_int(&w, "spilled_bytes", (int64_t)x->spilled);
        put_int(&w, "rss_bytes", (int64_t)x->rss);
        put_num(&w, "ppl", x->ppl);
        put_num(&w, "ppl_error", x->ppl_error);
        put_num(&w, "kl", x->kl);
        put_num(&w, "kl_error", x->kl_error);
        put_num(&w, "kl_p95", x->kl_p95);
        put_num(&w, "tokens_per_second", x->speed[1]);
        put_num(&w, "tokens_per_second_q1", x->speed[0]);
        put_num(&w, "tokens_per_second_q3", x->speed[2]);
        json_end(&w);
    }
    json_end(&w);
    return cli_print_json(&out);
}

// From least to most precision within a family, as the curve is drawn.
static const char all_policies[] =
    "f16 uniform:q2 uniform:q4,v=q2 uniform:q4 uniform:q8,v=q4 uniform:q8 "
    "staged@20% staged@25% staged@30% staged@38% staged@44% staged@55% staged-rule@25% staged-rule@50% "
    "h2o@20% h2o@30% h2o@50% window@20% window@30% window@50%";

// The policies of a list as the table names them, POLICY[@BUDGET] with spaces between; `budget`: of those that name none.
static bool read_policies(run *r, const char *list, const char *budget)
{
    for (const char *p = list + strspn(list, " "); *p;) {
        const int n = (int)strcspn(p, " "), head = (int)strcspn(p, " @");
        eval_kv_row *row = &r->rows[r->n++];
        int own = head < n ? n - head - 1 : budget ? (int)strlen(budget) : 0;
        const char *from = head < n ? p + head + 1 : budget;
        if (r->n == MOST_ROWS || head >= (int)sizeof row->policy || own >= (int)sizeof row->budget) {
            fprintf(stderr,
                    "irori eval kv: \"%.*s\" is too long, or beyond the %d policies that a table takes\n", n,
                    p, MOST_ROWS - 1);
            return false;
        }
        snprintf(row->policy, sizeof row->policy, "%.*s", head, p);
        snprintf(row->budget, sizeof row->budget, "%.*s", own, own ? from : "");
        snprintf(row->name, sizeof row->name, "%.*s%s%.*s", head, p, own ? "@" : "", own, own ? from : "");
        p += n;
        p += strspn(p, " ");
    }
    return true;
}

static int report(const run *r)
{
    irori_error e;
    if (r->o->plot && eval_kv_plot(r->o->plot, r->rows, r->n, r->ctx, (err *)(void *)&e))
        return cli_fail(&e);
    if (r->o->json)
        return report_json(r);
    report_text(r);
    return CLI_OK;
}

static int measure(run *r, const int32_t *ids, size_t count)
{
    irori_error e;
    irori_model_info info;
    irori_model_get_info(r->m, &info);
    r->vocabulary = info.vocabulary;
    r->windows = MIN(count / r->ctx, (size_t)(r->o->repetitions ? r->o->repetitions : 3));
    r->decoded = MIN(MOST_DECODED, r->ctx / 4) / CHUNK * CHUNK;
    if (r->windows == 0) {
        fprintf(stderr, "irori: the text has %zu tokens, a window needs %zu; use a smaller --ctx\n", count,
                r->ctx);
        return CLI_FAILED;
    }
    r->reference = mem_alloc(MEM_OTHER, r->decoded * (size_t)r->vocabulary * sizeof *r->reference);
    if (!r->reference) {
        fprintf(stderr, "irori: out of memory for the logits of %zu tokens\n", r->decoded);
        return CLI_FAILED;
    }
    int rc = run_windows(r, ids, &e) ? cli_fail(&e) : CLI_OK;
    for (size_t i = 0; i < r->n; i++) {
        if (!rc)
            finish_row(r, &r->rows[i], &r->sums[i]);
        samples_done(&r->sums[i].kl);
        samples_done(&r->sums[i].speed);
    }
    mem_free(r->reference);
    return rc ? rc : report(r);
}

int eval_kv(const cli_options *o, const char *text, size_t n)
{
    static run r;
    r = (run){.o = o, .ctx = o->ctx ? (size_t)o->ctx : 2048};
    if (r.ctx < LEAST_CONTEXT) {
        fprintf(stderr, "irori eval: --ctx is %zu, allowed %d and more\n", r.ctx, LEAST_CONTEXT);
        return CLI_USAGE;
    }
    if ((o->kv && !read_policies(&r, "f16", NULL)) ||
        !read_policies(&r, o->kv ? o->kv : all_policies, o->kv ? o->kv_budget : NULL))
        return CLI_USAGE;
    cli_options own = *o;
    own.kv = own.kv_budget = NULL;  // sessions choose
    own.no_prefixes = true;
    irori_error e;
    int32_t *ids = NULL;
    size_t count = 0;
    if (cli_open(&own, (int)r.ctx, 1, &r.m))
        return CLI_FAILED;
    int rc = irori_tokenize(r.m, text, n, IRORI_TOKENIZE_BOS, &ids, &count, &e);
    rc = rc ? cli_fail(&e) : measure(&r, ids, count);
    irori_free(ids);
    irori_model_close(r.m);
    return rc;
}

// irori bench: tokens a second of prompts and of generation, at depths and batch sizes; or what memory is used.
//
// The tokens are random: what they say does not change the work. Each row is warmed up once, then measured from the same
// state: --repetitions times, or as often as a few seconds allow.
#include "measure/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/energy.h"
#include "put.h"

enum { MOST_NUMBERS = 16, MOST_BATCH = 64, MOST_ROWS = 512, LEAST_RUNS = 3, USUAL_RUNS = 30 };
static const double row_seconds =
    4;  // after LEAST_RUNS no run is begun later than this, unless --repetitions asks for it

typedef struct row {
    char test[48];
    int pp, tg, depth, batch;  // one of pp, tg is 0
    samples speed;             // tokens a second, of each run
    samples wait;              // ms: to the first token after a prompt; between tokens of each sequence
    samples joules;            // a token, where the machine counts them
    stats speeds, waits;
    double rss_mb;
} row;

typedef struct bench {
    const cli_options *o;
    irori_model *m;
    irori_model_info info;
    irori_session *s[MOST_BATCH];
    int32_t *ids;  // random tokens, as many as the longest run
    row rows[MOST_ROWS];
    int n_rows;
    report report;
} bench;

// ---- One row ---------------------------------------------------------------------------------------------------
static void take(row *r, double seconds, double used)
{
    int tokens = r->pp + r->tg * r->batch;
    samples_add(&r->speed, tokens / seconds);
    if (used > 0)
        samples_add(&r->joules, used / tokens);
}

// Sessions stand at `depth` before and after.
static int run_once(bench *b, row *r, irori_error *e)
{
    int rc = IRORI_OK;
    double joules = energy_joules(), start = os_seconds(), at = start;
    if (r->pp) {
        int32_t first;
        rc = irori_session_add(b->s[0], b->ids, (size_t)r->pp, e);
        at = os_seconds();
        if (!rc)
            rc = irori_session_sample(b->s[0], &first, NULL, e);
        samples_add(&r->wait, 1e3 * (os_seconds() - start));
    }
    for (int i = 0; !rc && i < r->tg; i++) {
        double before = at;
        rc = irori_sessions_step(b->s, b->ids + i, (size_t)r->batch, e);
        at = os_seconds();
        samples_add(&r->wait, 1e3 * (at - before));
    }
    if (!rc)
        take(r, at - start, joules < 0 ? -1 : energy_joules() - joules);
    for (int i = 0; !rc && i < r->batch; i++)
        rc = irori_session_truncate(b->s[i], (size_t)r->depth, e);
    return rc;
}

// Brings the first session to `depth` tokens and makes the others its forks.
static int prepare(bench *b, int depth, int batch, irori_error *e)
{
    for (int i = 1; i < MOST_BATCH; i++) {
        irori_session_free(b->s[i]);
        b->s[i] = NULL;
    }
    size_t have;
    irori_session_tokens(b->s[0], &have);
    int rc = IRORI_OK;
    if (have > (size_t)depth)
        rc = irori_session_truncate(b->s[0], (size_t)depth, e);
    else if (have < (size_t)depth)
        rc = irori_session_add(b->s[0], b->ids + have, (size_t)depth - have, e);
    for (int i = 1; !rc && i < batch; i++)
        rc = irori_session_fork(&b->s[i], b->s[0], e);
    return rc;
}

static void row_done(row *r)
{
    samples_done(&r->speed);
    samples_done(&r->wait);
    samples_done(&r->joules);
}

static int warm_up(bench *b, const row *r, irori_error *e)
{
    row warm = {.pp = r->pp, .tg = MIN(r->tg, 4), .depth = r->depth, .batch = r->batch};
    int rc = run_once(b, &warm, e);
    row_done(&warm);
    return rc;
}

static int run_row(bench *b, row *r, irori_error *e)
{
    int asked = b->o->repetitions, rc = prepare(b, r->depth, r->batch, e);
    if (!rc)
        rc = warm_up(b, r, e);
    double start = os_seconds();
    for (int i = 0; !rc && i < (asked ? asked : USUAL_RUNS); i++) {
        if (!asked && i >= LEAST_RUNS && os_seconds() - start > row_seconds)
            break;
        rc = run_once(b, r, e);
    }
    if (!rc && (r->speed.failed || r->wait.failed))
        rc = err_set((err *)(void *)e, ST_NOMEM, "out of memory for the measurements of %s", r->test);
    r->speeds = stats_of(&r->speed);
    r->waits = stats_of(&r->wait);
    r->rss_mb = (double)os_rss_bytes() / 1e6;
    return rc;
}

// ---- Which rows ------------------------------------------------------------------------------------------------
// Rows past the last that fits are only counted.
static void add_row(bench *b, int pp, int tg, int depth, int batch)
{
    if (b->n_rows++ >= MOST_ROWS)
        return;
    row *r = &b->rows[b->n_rows - 1];
    *r = (row){.pp = pp, .tg = tg, .depth = depth, .batch = batch};
    int at = snprintf(r->test, sizeof r->test, "%s%d", pp ? "pp" : "tg", pp ? pp : tg);
    if (depth)
        at += snprintf(r->test + at, sizeof r->test - (size_t)at, "@d%d", depth);
    if (batch > 1)
        snprintf(r->test + at, sizeof r->test - (size_t)at, "@b%d", batch);
}

static bool list_asked(bench *b)
{
    int pp[MOST_NUMBERS], tg[MOST_NUMBERS], depth[MOST_NUMBERS], batch[MOST_NUMBERS];
    int n_pp = cli_numbers("pp", b->o->pp, 0, 1 << 24, pp, MOST_NUMBERS);
    int n_tg = cli_numbers("tg", b->o->tg, 0, 1 << 24, tg, MOST_NUMBERS);
    int n_depth = cli_numbers("depth", b->o->depth, 0, 1 << 24, depth, MOST_NUMBERS);
    int n_batch = cli_numbers("batch", b->o->batch, 1, MOST_BATCH, batch, MOST_NUMBERS);
    if (n_pp < 0 || n_tg < 0 || n_depth < 0 || n_batch < 0)
        return false;
    for (int d = 0; d < n_depth; d++) {
        for (int i = 0; i < n_pp; i++)
            if (pp[i])
                add_row(b, pp[i], 0, depth[d], 1);
        for (int i = 0; i < n_tg; i++)
            for (int k = 0; tg[i] && k < n_batch; k++)
                add_row(b, 0, tg[i], depth[d], batch[k]);
    }
    return true;
}

// --full: the lengths and batch sizes that reports quote, as far as the model was trained for them.
static bool list_full(bench *b)
{
    enum { GENERATED = 64 };
    static const int lengths[] = {256, 4096, 8192, 32768}, batches[] = {4, 16};
    irori_model *vocabulary;
    irori_model_info info;
    irori_error e;
    if (irori_model_open_vocabulary(&vocabulary, b->o->model, &e))
        return cli_fail(&e) == CLI_OK;
    irori_model_get_info(vocabulary, &info);
    int most = b->o->ctx ? b->o->ctx : info.trained_context;
    irori_model_close(vocabulary);
    for (size_t i = 0; i < COUNT_OF(lengths) && lengths[i] <= most; i++)
        add_row(b, lengths[i], 0, 0, 1);
    for (size_t i = 0; i < COUNT_OF(lengths) && lengths[i] + GENERATED <= most; i++) {
        add_row(b, 0, GENERATED, lengths[i], 1);
        for (size_t k = 0; i == 0 && k < COUNT_OF(batches); k++)
            add_row(b, 0, GENERATED, lengths[i], batches[k]);
    }
    return true;
}

// All rows asked for; *ctx and *batch become what they need. False after saying what is wrong.
static bool list_rows(bench *b, int *ctx, int *most_batch)
{
    if (!(b->o->full ? list_full(b) : list_asked(b)))
        return false;
    *ctx = 8;
    *most_batch = 1;
    if (b->n_rows == 0 || b->n_rows > MOST_ROWS) {
        fprintf(stderr, "irori bench: --pp, --tg, --depth and --batch make %d tests, allowed 1..%d\n",
                b->n_rows, MOST_ROWS);
        return false;
    }
    for (int i = 0; i < b->n_rows; i++) {
        *ctx = MAX(*ctx, b->rows[i].depth + b->rows[i].pp + b->rows[i].tg);
        *most_batch = MAX(*most_batch, b->rows[i].batch);
    }
    return true;
}

// ---- Reports ---------------------------------------------------------------------------------------------------
static int print_rows_json(const bench *b)
{
    buf out;
    buf_init(&out);
    json_writer w;
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, b->info.hash);
    json_begin(&w, &out);
    json_arr(&w);
    for (int i = 0; i < b->n_rows; i++) {
        const row *r = &b->rows[i];
        json_obj(&w);
        put_str(&w, "test", r->test);
        put_int(&w, "prompt", r->pp);
        put_int(&w, "generate", r->tg);
        put_int(&w, "depth", r->depth);
        put_int(&w, "batch", r->batch);
        put_num(&w, "tokens_per_second", r->speeds.median);
        put_num(&w, "tokens_per_second_low", r->speeds.low);
        put_num(&w, "tokens_per_second_high", r->speeds.high);
        put_num(&w, "tokens_per_second_min", r->speeds.least);
        put_num(&w, "tokens_per_second_max", r->speeds.most);
        put_num(&w, r->pp ? "ttft_ms" : "token_ms", r->waits.median);
        put_num(&w, r->pp ? "ttft_ms_p95" : "token_ms_p95", r->waits.p95);
        put_int(&w, "repetitions", (int64_t)r->speeds.n);
        put_num(&w, "rss_mb", r->rss_mb);
        put_str(&w, "model", b->info.name);
        put_str(&w, "model_hash", hash);
        put_str(&w, "quantization", b->info.quantization);
        put_int(&w, "parameters", (int64_t)b->info.parameters);
        put_str(&w, "device", b->info.device);
        put_int(&w, "threads", b->info.threads);
        put_str(&w, "version", irori_version());
        put_str(&w, "cpu_flags", irori_cpu_flags());
        json_end(&w);
    }
    json_end(&w);
    return cli_print_json(&out);
}

static void print_rows(const bench *b)
{
    printf("%s, %s, %s (irori %s)\n", b->info.name, b->info.quantization, b->info.device, irori_version());
    printf("%-18s %10s %19s %19s %4s %7s\n", "test", "tokens/s", "95 % of the median", "wait ms, p50 / p95",
           "n", "RSS MB");
    for (int i = 0; i < b->n_rows; i++) {
        const row *r = &b->rows[i];
        printf("%-18s %10.2f %9.2f..%-8.2f %9.2f / %-7.2f %4zu %7.0f\n", r->test, r->speeds.median,
               r->speeds.low, r->speeds.high, r->waits.median, r->waits.p95, r->speeds.n, r->rss_mb);
    }
}

static void print_load(const report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (strncmp(r->rows[i].test, "load@", 5) == 0)
            printf("%-18s %-16s %9.1f %9.1f..%-8.1f\n", r->rows[i].test, r->rows[i].metric,
                   r->rows[i].s.median, r->rows[i].s.least, r->rows[i].s.most);
}

// Adds the rows' samples to the report and writes it to the file that --report names.
static int write_report(bench *b)
{
    report *r = &b->report;
    report_set_model(r, b->m);
    snprintf(r->kv, sizeof r->kv, "%s%s%s", b->o->kv ? b->o->kv : "f16", b->o->kv_budget ? "@" : "",
             b->o->kv_budget ? b->o->kv_budget : "");
    size_t most = 0;
    for (int i = 0; i < b->n_rows; i++)
        most = MAX(most, (size_t)MAX(b->rows[i].pp, b->rows[i].tg));
    snprintf(r->prompt_hash, sizeof r->prompt_hash, "%016" PRIx64, hash_bytes(b->ids, most * sizeof *b->ids));
    for (int i = 0; i < b->n_rows; i++) {
        row *x = &b->rows[i];
        samples rss = {0};
        samples_add(&rss, x->rss_mb);
        if (x->joules.n)
            snprintf(r->energy, sizeof r->energy, "rapl");
        report_add(r, x->test, "tokens_per_second", true, &x->speed);
        report_add(r, x->test, x->pp ? "ttft_ms" : "token_ms", false, &x->wait);
        report_add(r, x->test, "joules_per_token", false, &x->joules);
        report_add(r, x->test, "rss_mb", false, &rss);
        samples_done(&rss);
    }
    irori_error e;
    return report_write(r, b->o->report, (err *)(void *)&e) ? cli_fail(&e) : CLI_OK;
}

static int report_memory(const bench *b)
{
    irori_memory mem;
    irori_get_memory(b->m, &mem);
    const irori_model_info *i = &b->info;
    double saved = 100 - 100 * (double)i->activation_bytes / (double)i->activation_bytes_unshared;
    if (!b->o->json) {
        printf("weights, re-laid        %10.1f MB\n", (double)i->weight_bytes / 1e6);
        printf("weights, from the cache %10.1f MB\n", (double)i->weight_cache_bytes / 1e6);
        printf("activations, planned    %10.1f MB (one buffer a value: %.1f MB; %.0f %% saved)\n",
               (double)i->activation_bytes / 1e6, (double)i->activation_bytes_unshared / 1e6, saved);
        printf("KV, in use              %10.1f MB (%.1f KB a token)\n", (double)mem.kv_bytes / 1e6,
               (double)i->kv_bytes_per_token / 1e3);
        printf("resident                %10.1f MB (peak %.1f MB)\n", (double)mem.rss_bytes / 1e6,
               (double)mem.rss_peak_bytes / 1e6);
        return CLI_OK;
    }
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    put_int(&w, "weight_bytes", (int64_t)i->weight_bytes);
    put_int(&w, "weight_cache_bytes", (int64_t)i->weight_cache_bytes);
    put_int(&w, "activation_bytes", (int64_t)i->activation_bytes);
    put_int(&w, "activation_bytes_unshared", (int64_t)i->activation_bytes_unshared);
    put_num(&w, "activation_saved_percent", saved);
    put_int(&w, "kv_bytes", (int64_t)mem.kv_bytes);
    put_int(&w, "kv_bytes_per_token", (int64_t)i->kv_bytes_per_token);
    put_int(&w, "rss_bytes", (int64_t)mem.rss_bytes);
    put_int(&w, "rss_peak_bytes", (int64_t)mem.rss_peak_bytes);
    json_end(&w);
    return cli_print_json(&out);
}

// ---- The command -----------------------------------------------------------------------------------------------
void bench_tokens(int32_t *out, size_t n, int vocabulary)
{
    uint64_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        out[i] = (int32_t)((x >> 33) % (uint64_t)vocabulary);
    }
}

static int run_rows(bench *b)
{
    irori_error e;
    int rc = irori_session_new(&b->s[0], b->m, NULL, &e);
    cli_progress bar;
    cli_progress_start(&bar, "measuring");
    for (int i = 0; !rc && i < b->n_rows; i++) {
        cli_progress_step(&bar, (uint64_t)i, (uint64_t)b->n_rows);
        rc = run_row(b, &b->rows[i], &e);
    }
    cli_progress_end(&bar);
    return rc ? cli_fail(&e) : CLI_OK;
}

static int bench_all(bench *b, size_t n_ids)
{
    irori_model_get_info(b->m, &b->info);
    b->ids = mem_alloc(MEM_OTHER, n_ids * sizeof *b->ids);
    if (!b->ids) {
        fprintf(stderr, "irori: out of memory for %zu tokens\n", n_ids);
        return CLI_FAILED;
    }
    bench_tokens(b->ids, n_ids, b->info.vocabulary);
    int rc = run_rows(b);
    if (rc)
        return rc;
    if (b->o->memory)
        return report_memory(b);
    if (b->o->json) {
        rc = print_rows_json(b);
    } else {
        print_rows(b);
        print_load(&b->report);
    }
    return !rc && b->o->report ? write_report(b) : rc;
}

static int bench_model(const cli_options *o)
{
    static bench b;  // large; a command runs once
    irori_error e;
    int ctx, batch;
    b.o = o;
    if (!list_rows(&b, &ctx, &batch))
        return CLI_USAGE;
    report_init(&b.report);
    cli_options own = *o;
    own.no_prefixes = true;  // the same tokens are run again and again
    if (o->full && bench_load(&own, &b.report, &e))
        return cli_fail(&e);
    int rc = cli_open(&own, MAX(ctx, o->ctx), batch, &b.m);
    if (!rc)
        rc = bench_all(&b, (size_t)ctx + MOST_BATCH);
    for (int i = 0; i < MOST_BATCH; i++)
        irori_session_free(b.s[i]);
    for (int i = 0; i < b.n_rows; i++)
        row_done(&b.rows[i]);
    report_done(&b.report);
    mem_free(b.ids);
    irori_model_close(b.m);
    return rc;
}

int cmd_bench(const cli_options *o)
{
    if (o->command && strcmp(o->command, "spec") == 0)
        return cmd_bench_spec(o);
    if (o->command)
        return bench_diff(o);
    return o->url ? bench_url(o) : bench_model(o);
}

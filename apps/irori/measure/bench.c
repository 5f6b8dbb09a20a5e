// irori bench: tokens a second of prompts and of generation, at depths and batch sizes; or what memory is used.
//
// The tokens are random: what they say does not change the work. Each row is warmed up once, then measured
// `repetitions` times from the same state.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "put.h"

enum { MOST_NUMBERS = 16, MOST_BATCH = 64, MOST_ROWS = 512 };

typedef struct row {
    char test[48];
    int pp, tg, depth, batch;  // one of pp, tg is 0
    double median, least, most;
    double rss_mb;
} row;

typedef struct bench {
    const cli_options *o;
    irori_model *m;
    irori_model_info info;
    irori_session *s[MOST_BATCH];
    int32_t *ids;  // random tokens, as many as the longest run
    size_t n_ids;
    row rows[MOST_ROWS];
    int n_rows;
} bench;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// One run; gives its seconds. Sessions stand at `depth` before and after.
static int measure(bench *b, const row *r, double *seconds, irori_error *e)
{
    int rc = IRORI_OK;
    double start = os_seconds();
    if (r->pp)
        rc = irori_session_add(b->s[0], b->ids, (size_t)r->pp, e);
    for (int i = 0; !rc && i < r->tg; i++)
        rc = irori_sessions_step(b->s, b->ids + i, (size_t)r->batch, e);
    *seconds = os_seconds() - start;
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

static int run_row(bench *b, row *r, irori_error *e)
{
    int reps = b->o->repetitions;
    double seconds, *speed = mem_alloc(MEM_OTHER, (size_t)reps * sizeof *speed);
    if (!speed)
        return err_set((err *)(void *)e, ST_NOMEM, "out of memory for %d repetitions", reps);
    int rc = prepare(b, r->depth, r->batch, e);
    row warm = *r;
    warm.tg = MIN(r->tg, 4);
    if (!rc)
        rc = measure(b, &warm, &seconds, e);
    for (int i = 0; !rc && i < reps; i++) {
        rc = measure(b, r, &seconds, e);
        speed[i] = (double)(r->pp + r->tg * r->batch) / seconds;
    }
    if (!rc) {
        qsort(speed, (size_t)reps, sizeof *speed, compare);
        r->least = speed[0];
        r->most = speed[reps - 1];
        r->median = reps % 2 ? speed[reps / 2] : (speed[reps / 2 - 1] + speed[reps / 2]) / 2;
        r->rss_mb = (double)os_rss_bytes() / 1e6;
    }
    mem_free(speed);
    return rc;
}

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

// All rows asked for; *ctx and *batch become what they need. False after saying what is wrong.
static bool list_rows(bench *b, int *ctx, int *most_batch)
{
    int pp[MOST_NUMBERS], tg[MOST_NUMBERS], depth[MOST_NUMBERS], batch[MOST_NUMBERS];
    int n_pp = cli_numbers("pp", b->o->pp, 0, 1 << 24, pp, MOST_NUMBERS);
    int n_tg = cli_numbers("tg", b->o->tg, 0, 1 << 24, tg, MOST_NUMBERS);
    int n_depth = cli_numbers("depth", b->o->depth, 0, 1 << 24, depth, MOST_NUMBERS);
    int n_batch = cli_numbers("batch", b->o->batch, 1, MOST_BATCH, batch, MOST_NUMBERS);
    if (n_pp < 0 || n_tg < 0 || n_depth < 0 || n_batch < 0)
        return false;
    *ctx = 8;
    *most_batch = 1;
    for (int d = 0; d < n_depth; d++) {
        for (int i = 0; i < n_pp; i++)
            if (pp[i])
                add_row(b, pp[i], 0, depth[d], 1);
        for (int i = 0; i < n_tg; i++)
            for (int k = 0; tg[i] && k < n_batch; k++)
                add_row(b, 0, tg[i], depth[d], batch[k]);
    }
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

static int report_json(const bench *b)
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
        put_num(&w, "tokens_per_second", r->median);
        put_num(&w, "tokens_per_second_min", r->least);
        put_num(&w, "tokens_per_second_max", r->most);
        put_int(&w, "repetitions", b->o->repetitions);
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

static void report_text(const bench *b)
{
    printf("%s, %s, %s (irori %s)\n", b->info.name, b->info.quantization, b->info.device, irori_version());
    printf("%-20s %12s %12s %12s %10s\n", "test", "tokens/s", "least", "most", "RSS MB");
    for (int i = 0; i < b->n_rows; i++) {
        const row *r = &b->rows[i];
        printf("%-20s %12.2f %12.2f %12.2f %10.0f\n", r->test, r->median, r->least, r->most, r->rss_mb);
    }
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

// The same tokens every time: a fixed linear congruential sequence over the vocabulary.
static bool make_tokens(bench *b, size_t n)
{
    b->n_ids = n;
    b->ids = mem_alloc(MEM_OTHER, n * sizeof *b->ids);
    uint64_t x = 1;
    for (size_t i = 0; b->ids && i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        b->ids[i] = (int32_t)((x >> 33) % (uint64_t)b->info.vocabulary);
    }
    return b->ids != NULL;
}

static int bench_all(bench *b, int ctx)
{
    irori_error e;
    irori_model_get_info(b->m, &b->info);
    if (!make_tokens(b, (size_t)ctx + MOST_BATCH)) {
        fprintf(stderr, "irori: out of memory for %d tokens\n", ctx);
        return CLI_FAILED;
    }
    if (irori_session_new(&b->s[0], b->m, NULL, &e))
        return cli_fail(&e);
    cli_progress bar;
    cli_progress_start(&bar, "measuring");
    for (int i = 0; i < b->n_rows; i++) {
        cli_progress_step(&bar, (uint64_t)i, (uint64_t)b->n_rows);
        if (run_row(b, &b->rows[i], &e)) {
            cli_progress_end(&bar);
            return cli_fail(&e);
        }
    }
    cli_progress_end(&bar);
    if (b->o->memory)
        return report_memory(b);
    if (b->o->json)
        return report_json(b);
    report_text(b);
    return CLI_OK;
}

int cmd_bench(const cli_options *o)
{
    if (o->command)
        return cmd_bench_spec(o);
    static bench b;  // large; a command runs once
    b.o = o;
    int ctx, batch;
    if (!list_rows(&b, &ctx, &batch))
        return CLI_USAGE;
    cli_options own = *o;
    own.no_prefixes = true;  // the same tokens are run again and again
    if (cli_open(&own, MAX(ctx, o->ctx), batch, &b.m))
        return CLI_FAILED;
    int rc = bench_all(&b, ctx);
    for (int i = 0; i < MOST_BATCH; i++)
        irori_session_free(b.s[i]);
    mem_free(b.ids);
    irori_model_close(b.m);
    return rc;
}

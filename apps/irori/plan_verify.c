// irori plan --verify: predicts, runs, and sets both side by side; what was missed corrects later predictions.
//
// One session reads a random text up to each depth in turn. The time to the first token is that of the whole text up to
// there and one choice; tokens a second are those of single steps behind it, without choosing; memory is what the process
// holds then.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plan.h"
#include "put.h"

enum { MOST_DEPTHS = 16, STEPS = 24 };

typedef struct point {
    int depth;
    irori_plan plan;
    double measured[3];  // rss_bytes, tokens_per_second, ttft_ms
} point;

static const char *const names[3] = {"rss_bytes", "tokens_per_second", "ttft_ms"};

static double predicted(const point *p, int metric, bool raw)
{
    const irori_plan *q = &p->plan;
    const double corrected[3] = {(double)q->rss_bytes, q->tokens_per_second, q->ttft_ms};
    const double first[3] = {(double)q->rss_bytes_raw, q->tokens_per_second_raw, q->ttft_ms_raw};
    return raw ? first[metric] : corrected[metric];
}

static double error_of(const point *p, int metric, bool raw)
{
    return predicted(p, metric, raw) / p->measured[metric] - 1;
}

static int compare_depth(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int predict(const cli_options *o, point *points, int n, int context, irori_error *e)
{
    irori_model_options mo = cli_model_options(o);
    mo.context = context;
    int rc = IRORI_OK;
    for (int i = 0; !rc && i < n; i++) {
        irori_plan_options po = {.prompt = points[i].depth, .depth = points[i].depth};
        rc = irori_plan_file(&points[i].plan, o->model, &mo, &po, e);
    }
    return rc;
}

// Tokens a second of single steps at the session's depth, which it has again afterwards.
static int measure_speed(irori_session *s, const int32_t *ids, double *speed, irori_error *e)
{
    double seconds[STEPS];
    size_t depth;
    irori_session_tokens(s, &depth);
    int rc = irori_sessions_step(&s, ids, 1, e);
    for (int i = 0; !rc && i < STEPS; i++) {
        double start = os_seconds();
        rc = irori_sessions_step(&s, ids + 1 + i, 1, e);
        seconds[i] = os_seconds() - start;
    }
    if (rc)
        return rc;
    qsort(seconds, STEPS, sizeof *seconds, compare);
    *speed = 2 / (seconds[STEPS / 2 - 1] + seconds[STEPS / 2]);
    return irori_session_truncate(s, depth, e);
}

static int measure(irori_model *m, point *points, int n, const int32_t *ids, irori_error *e)
{
    irori_session *s;
    irori_model_info info;
    irori_sampling greedy = {0};
    irori_model_get_info(m, &info);
    int rc = irori_session_new(&s, m, &greedy, e);
    // What the first run of a process alone takes (pages of buffers, clocks of processors) is no part of it.
    if (!rc)
        rc = irori_session_add(s, ids, (size_t)MIN(points[0].depth, info.batch), e);
    if (!rc)
        rc = irori_session_truncate(s, 0, e);
    double read = 0;
    for (int i = 0, at = 0; !rc && i < n; at = points[i++].depth) {
        int32_t chosen;
        irori_memory mem;
        double start = os_seconds();
        for (int from = at; !rc && from < points[i].depth; from += info.batch)
            rc = irori_session_add(s, ids + from, (size_t)MIN(info.batch, points[i].depth - from), e);
        double done = os_seconds();
        read += done - start;
        if (!rc)
            rc = irori_session_sample(s, &chosen, NULL, e);
        double chose = os_seconds() - done;
        points[i].measured[2] = 1e3 * (read + chose);
        if (!rc)
            rc = measure_speed(s, ids + points[i].depth, &points[i].measured[1], e);
        irori_get_memory(m, &mem);
        points[i].measured[0] = (double)mem.rss_bytes;
    }
    irori_session_free(s);
    return rc;
}

static int run(const cli_options *o, point *points, int n, int context)
{
    cli_options own = *o;
    irori_model *m;
    irori_model_info info;
    irori_error e;
    own.no_prefixes = true;
    if (cli_open(&own, context, 1, &m))
        return CLI_FAILED;
    irori_model_get_info(m, &info);
    size_t count = (size_t)points[n - 1].depth + STEPS + 2;
    int32_t *ids = mem_alloc(MEM_OTHER, count * sizeof *ids);
    uint64_t x = 1;
    for (size_t i = 0; ids && i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((x >> 33) % (uint64_t)info.vocabulary);
    }
    int rc = ids ? measure(m, points, n, ids, &e)
                 : err_set((err *)(void *)&e, ST_NOMEM, "out of memory for %zu tokens", count);
    mem_free(ids);
    irori_model_close(m);
    return rc ? cli_fail(&e) : CLI_OK;
}

static int report_json(const cli_options *o, const point *points, int n)
{
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    json_arr(&w);
    for (int i = 0; i < n; i++) {
        const point *p = &points[i];
        json_obj(&w);
        put_str(&w, "model", o->model);
        put_str(&w, "architecture", p->plan.architecture);
        put_str(&w, "quantization", p->plan.quantization);
        put_str(&w, "kind", p->plan.kind);
        put_int(&w, "context", p->plan.context);
        put_int(&w, "depth", p->depth);
        static const char *const parts[] = {"predicted", "measured", "error", "predicted_raw", "error_raw"};
        for (int k = 0; k < 5; k++) {
            json_key(&w, parts[k]);
            json_obj(&w);
            for (int j = 0; j < 3; j++)
                put_num(&w, names[j],
                        k == 1             ? p->measured[j]
                        : k == 2 || k == 4 ? error_of(p, j, k == 4)
                                           : predicted(p, j, k == 3));
            json_end(&w);
        }
        json_end(&w);
    }
    json_end(&w);
    return cli_print_json(&b);
}

static void report_text(const point *points, int n)
{
    printf("%8s  %-18s %14s %14s %8s\n", "depth", "", "predicted", "measured", "error");
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 3; j++) {
            const double unit = j == 0 ? 1e6 : 1;
            printf("%8d  %-18s %14.2f %14.2f %+7.1f%%\n", points[i].depth,
                   j == 0   ? "memory, MB"
                   : j == 1 ? "tokens a second"
                            : "first token, ms",
                   predicted(&points[i], j, false) / unit, points[i].measured[j] / unit,
                   100 * error_of(&points[i], j, false));
        }
}

int plan_verify(const cli_options *o)
{
    int depths[MOST_DEPTHS], n = cli_numbers("depth", o->depth, 0, 1 << 24, depths, MOST_DEPTHS);
    point points[MOST_DEPTHS];
    irori_error e;
    if (n < 0)
        return CLI_USAGE;
    if (n == 0 || (n == 1 && depths[0] == 0))
        depths[0] = 512, n = 1;
    qsort(depths, (size_t)n, sizeof *depths, compare_depth);
    if (depths[0] < 1) {
        fprintf(stderr, "irori plan: --verify needs depths of 1 and more\n");
        return CLI_USAGE;
    }
    for (int i = 0; i < n; i++)
        points[i] = (point){.depth = depths[i]};
    const int context = MAX(o->ctx, depths[n - 1] + STEPS + 2);
    if (predict(o, points, n, context, &e))
        return cli_fail(&e);
    int rc = run(o, points, n, context);
    if (rc)
        return rc;
    for (int i = 0; i < n; i++)
        if (irori_plan_correct(&points[i].plan, points[i].measured[0], points[i].measured[1],
                               points[i].measured[2], &e))
            fprintf(stderr, "irori: warning: %s\n", e.message);
    if (o->json)
        return report_json(o, points, n);
    report_text(points, n);
    return CLI_OK;
}

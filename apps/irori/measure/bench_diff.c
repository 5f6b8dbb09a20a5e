// irori bench diff A B: two reports beside each other, figure by figure.
//
// A difference is called one only where both were measured three times or more and the intervals of the medians do not meet.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/bench.h"
#include "put.h"

static const report_row *find(const report *r, const report_row *like)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->rows[i].test, like->test) == 0 && strcmp(r->rows[i].metric, like->metric) == 0)
            return &r->rows[i];
    return NULL;
}

static const char *verdict(const report_row *a, const report_row *b)
{
    if (a->s.n < 3 || b->s.n < 3)
        return "too few measurements";
    if (a->s.low <= b->s.high && b->s.low <= a->s.high)
        return "no difference shown";
    return (b->s.median > a->s.median) == a->more_is_better ? "better" : "worse";
}

static void print_head(const report *a, const report *b)
{
    printf("A  %s %s, irori %s, %s, %s\nB  %s %s, irori %s, %s, %s\n", a->model, a->quantization, a->version,
           a->cpu, a->date, b->model, b->quantization, b->version, b->cpu, b->date);
    if (strcmp(a->prompt_hash, b->prompt_hash) != 0)
        printf("The prompts differ: compare with care.\n");
    printf("%-20s %-20s %12s %12s %8s\n", "test", "metric", "A", "B", "B/A");
}

static void print_text(const report *a, const report *b)
{
    print_head(a, b);
    for (size_t i = 0; i < a->n; i++) {
        const report_row *x = &a->rows[i], *y = find(b, x);
        if (!y)
            printf("%-20s %-20s %12.4g %12s %8s only in A\n", x->test, x->metric, x->s.median, "-", "-");
        else
            printf("%-20s %-20s %12.4g %12.4g %8.3f %s\n", x->test, x->metric, x->s.median, y->s.median,
                   y->s.median / x->s.median, verdict(x, y));
    }
    for (size_t i = 0; i < b->n; i++)
        if (!find(a, &b->rows[i]))
            printf("%-20s %-20s %12s %12.4g %8s only in B\n", b->rows[i].test, b->rows[i].metric, "-",
                   b->rows[i].s.median, "-");
}

static int print_json(const report *a, const report *b)
{
    buf out;
    json_writer w;
    buf_init(&out);
    json_begin(&w, &out);
    json_arr(&w);
    for (size_t i = 0; i < a->n; i++) {
        const report_row *x = &a->rows[i], *y = find(b, x);
        if (!y)
            continue;
        json_obj(&w);
        put_str(&w, "test", x->test);
        put_str(&w, "metric", x->metric);
        put_num(&w, "a", x->s.median);
        put_num(&w, "b", y->s.median);
        put_num(&w, "ratio", y->s.median / x->s.median);
        put_str(&w, "verdict", verdict(x, y));
        json_end(&w);
    }
    json_end(&w);
    return cli_print_json(&out);
}

int bench_diff(const cli_options *o)
{
    report a, b;
    irori_error e;
    if (report_read(&a, o->model, (err *)(void *)&e))
        return cli_fail(&e);
    int rc = report_read(&b, o->output, (err *)(void *)&e) ? cli_fail(&e) : CLI_OK;
    if (!rc && o->json)
        rc = print_json(&a, &b);
    else if (!rc)
        print_text(&a, &b);
    report_done(&a);
    if (!rc)
        report_done(&b);
    return rc;
}

// The table of `irori eval bpw` as text, JSON, CSV and a plot, with the knee: the method after which fewer bits begin to
// cost much. It is the point farthest below the straight line between the ends, both axes taken as 0..1 (Satopaa and
// others, "Finding a kneedle in a haystack", 2011).
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/bpw.h"
#include "put.h"

static void bounds(const bpw_row *r, double *x0, double *x1, double *y1)
{
    *x0 = *x1 = r[0].bpw;
    *y1 = 0;
    for (int i = 0; i < BPW_METHODS; i++) {
        *x0 = fmin(*x0, r[i].bpw);
        *x1 = fmax(*x1, r[i].bpw);
        *y1 = fmax(*y1, r[i].kl);
    }
}

static int knee_of(const bpw_row *r)
{
    double x0, x1, y1, best = -INFINITY;
    int knee = 0;
    bounds(r, &x0, &x1, &y1);
    for (int i = 0; i < BPW_METHODS; i++) {
        double below = 1 - (r[i].bpw - x0) / (x1 - x0) - r[i].kl / y1;
        if (below > best) {
            best = below;
            knee = i;
        }
    }
    return knee;
}

static void print_table(const bpw_row *rows, int knee)
{
    printf("perplexity of the original %.4f, over %zu tokens\n", exp(rows[0].nll_original), rows[0].scored);
    printf("%-8s %6s %10s %11s %9s %9s %8s %8s %8s %12s\n", "method", "bpw", "MB", "perplexity", "KL",
           "pp t/s", "tg t/s", "TTFT ms", "RSS MB", "J/token");
    for (int i = 0; i < BPW_METHODS; i++) {
        const bpw_row *r = &rows[i];
        char energy[32] = "not available";
        if (r->joules >= 0)
            snprintf(energy, sizeof energy, "%.3f", r->joules);
        printf("%-8s %6.2f %10.1f %11.4f %9.5f %9.1f %8.1f %8.1f %8.0f %12s%s\n", r->method, r->bpw,
               (double)r->bytes / 1e6, exp(r->nll), r->kl, r->pp, r->tg, r->ttft_ms, r->rss_mb, energy,
               i == knee ? "  <- knee" : "");
    }
}

static void print_csv(const bpw_row *rows, int knee)
{
    printf("method,bpw,bytes,perplexity,kl,pp,tg,ttft_ms,rss_mb,joules_per_token,knee\n");
    for (int i = 0; i < BPW_METHODS; i++) {
        const bpw_row *r = &rows[i];
        printf("%s,%.4f,%llu,%.6f,%.6f,%.2f,%.2f,%.2f,%.1f,", r->method, r->bpw, (unsigned long long)r->bytes,
               exp(r->nll), r->kl, r->pp, r->tg, r->ttft_ms, r->rss_mb);
        if (r->joules >= 0)
            printf("%.4f", r->joules);
        printf(",%d\n", i == knee);
    }
}

static int print_json(const bpw_row *rows, int knee)
{
    buf out;
    json_writer w;
    buf_init(&out);
    json_begin(&w, &out);
    json_obj(&w);
    put_num(&w, "perplexity", exp(rows[0].nll_original));
    put_int(&w, "scored", (int64_t)rows[0].scored);
    put_str(&w, "knee", rows[knee].method);
    json_key(&w, "methods");
    json_arr(&w);
    for (int i = 0; i < BPW_METHODS; i++) {
        const bpw_row *r = &rows[i];
        const struct {
            const char *name;
            double v;
        } numbers[] = {{"bpw", r->bpw},
                       {"bytes", (double)r->bytes},
                       {"perplexity", exp(r->nll)},
                       {"kl", r->kl},
                       {"pp", r->pp},
                       {"tg", r->tg},
                       {"ttft_ms", r->ttft_ms},
                       {"rss_mb", r->rss_mb}};
        json_obj(&w);
        put_str(&w, "method", r->method);
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            put_num(&w, numbers[k].name, numbers[k].v);
        }
        put_num(&w, "joules_per_token", r->joules >= 0 ? r->joules : NAN);  // not available: null
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
    return cli_print_json(&out);
}

// Bits a weight to the right, KL divergence upwards.
static void draw(FILE *f, const bpw_row *rows, int knee)
{
    enum { W = 720, H = 440, LEFT = 80, BOTTOM = 60, TOP = 40, RIGHT = 30 };
    double x0, x1, y1;
    bounds(rows, &x0, &x1, &y1);
    x0 = floor(x0);
    x1 = ceil(x1);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"13\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n",
            W, H, W, H);
    for (double x = x0; x <= x1; x++)
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                LEFT + (x - x0) / (x1 - x0) * (W - LEFT - RIGHT), H - BOTTOM + 20, x);
    for (int i = 0; i <= 4; i++)
        fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4f</text>\n", LEFT - 8,
                H - BOTTOM - (H - BOTTOM - TOP) * i / 4.0 + 4, y1 * i / 4);
    fprintf(f, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"black\"/>\n", LEFT, TOP, H - BOTTOM,
            W - RIGHT);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">bits a weight</text>\n", W / 2, H - 15);
    fprintf(f, "<text x=\"%d\" y=\"20\">KL divergence from the original, nats a token</text>\n", LEFT);
    for (int i = 0; i < BPW_METHODS; i++) {
        double x = LEFT + (rows[i].bpw - x0) / (x1 - x0) * (W - LEFT - RIGHT);
        double y = H - BOTTOM - (y1 > 0 ? rows[i].kl / y1 : 0) * (H - BOTTOM - TOP);
        fprintf(f,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\"/>\n<text x=\"%.1f\" y=\"%.1f\" "
                "transform=\"rotate(-40 %.1f %.1f)\">%s%s</text>\n",
                x, y, i == knee ? 7 : 4, i == knee ? "#c03020" : "#204080", x + 6, y - 8, x + 6, y - 8,
                rows[i].method, i == knee ? " (knee)" : "");
    }
    fprintf(f, "</svg>\n");
}

static int write_plot(const char *path, const bpw_row *rows, int knee)
{
    FILE *f = fopen(path, "w");
    if (f)
        draw(f, rows, knee);
    bool failed = !f || ferror(f);
    if (f && fclose(f) != 0)
        failed = true;
    if (!failed)
        return CLI_OK;
    fprintf(stderr, "irori: %s: %s\n", path, strerror(errno));
    if (f)
        remove(path);
    return CLI_FAILED;
}

int bpw_report(const cli_options *o, const bpw_row rows[BPW_METHODS])
{
    int knee = knee_of(rows), rc = o->plot ? write_plot(o->plot, rows, knee) : CLI_OK;
    if (rc)
        return rc;
    if (o->json)
        return print_json(rows, knee);
    if (o->csv)
        print_csv(rows, knee);
    else
        print_table(rows, knee);
    return CLI_OK;
}

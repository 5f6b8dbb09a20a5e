// A report as a page: for each metric a plot of medians with their intervals, then the table. One file, nothing from outside.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/report.h"

enum { WIDTH = 760, LABEL = 190, VALUE = 190, ROW = 26 };

static const char style[] =
    "<style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}svg{width:100%;height:auto;font-size:12px}"
    "svg text{fill:currentColor}.span{fill:#c8553d;opacity:.25}.mid{fill:#c8553d}.reach{stroke:currentColor;opacity:.4}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "td,th{border-bottom:1px solid #8884;padding:.2rem .5rem;text-align:right}"
    "td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}</style>\n";

static void add_escaped(buf *out, const char *text)
{
    for (; *text; text++) {
        const char *word = *text == '<'   ? "&lt;"
                           : *text == '>' ? "&gt;"
                           : *text == '&' ? "&amp;"
                           : *text == '"' ? "&quot;"
                                          : NULL;
        if (word)
            buf_add_str(out, word);
        else
            buf_add_char(out, *text);
    }
}

static void add_fact(buf *out, const char *name, const char *value)
{
    if (!value[0])
        return;
    buf_printf(out, "<tr><td>%s</td><td>", name);
    add_escaped(out, value);
    buf_add_str(out, "</td></tr>\n");
}

static void add_facts(buf *out, const report *r)
{
    char number[64];
    buf_add_str(out, "<table>\n");
    add_fact(out, "measured", r->date);
    add_fact(out, "irori", r->version);
    add_fact(out, "server", r->url);
    add_fact(out, "device", r->device);
    add_fact(out, "processor", r->cpu);
    add_fact(out, "features", r->cpu_flags);
    add_fact(out, "model hash", r->model_hash);
    add_fact(out, "keys and values", r->kv);
    add_fact(out, "hash of the prompts", r->prompt_hash);
    snprintf(number, sizeof number, "%" PRIu64 ", temperature %g", r->seed, r->temperature);
    add_fact(out, "seed", number);
    add_fact(out, "energy", r->energy);
    buf_add_str(out, "</table>\n");
}

static double x_of(double v, double most)
{
    return LABEL + (most > 0 ? v / most : 0) * (WIDTH - LABEL - VALUE);
}

// The right end of a row.
static double reach(const stats *s)
{
    return !isnan(s->most) ? s->most : isnan(s->high) ? s->median : s->high;
}

// A line for each row of the metric: least to most, the interval of the median, the median.
static void add_plot(buf *out, const report *r, const char *metric)
{
    double most = 0;
    int rows = 0;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->rows[i].metric, metric) == 0 && isfinite(reach(&r->rows[i].s))) {
            most = fmax(most, reach(&r->rows[i].s));
            rows++;
        }
    buf_printf(out, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s by test\">\n",
               metric, WIDTH, ROW * rows + 6, metric);
    int y = ROW / 2 + 3;
    for (size_t i = 0; i < r->n; i++) {
        const stats *s = &r->rows[i].s;
        if (strcmp(r->rows[i].metric, metric) != 0 || !isfinite(reach(s)))
            continue;
        bool spread = !isnan(s->low);  // one measurement has none
        double low = x_of(spread ? s->low : s->median, most), high = x_of(spread ? s->high : s->median, most);
        report_text interval;
        buf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LABEL - 8, y + 4);
        add_escaped(out, r->rows[i].test);
        buf_printf(out,
                   "</text><line class=\"reach\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                   "<rect class=\"span\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"12\"/>"
                   "<circle class=\"mid\" cx=\"%.1f\" cy=\"%d\" r=\"4\"/>"
                   "<text x=\"%d\" y=\"%d\">%.4g %s%s%s</text>\n",
                   isnan(s->least) ? low : x_of(s->least, most), x_of(reach(s), most), y, y, low, y - 6,
                   fmax(high - low, 1), x_of(s->median, most), y, WIDTH - VALUE + 12, y + 4, s->median,
                   spread ? "(" : "", report_range(interval, s->low, s->high), spread ? ")" : "");
        y += ROW;
    }
    buf_add_str(out, "</svg>\n");
}

static bool is_first(const report *r, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(r->rows[i].metric, r->rows[at].metric) == 0)
            return false;
    return true;
}

static void add_table(buf *out, const report *r)
{
    buf_add_str(
        out,
        "<h2>all figures</h2>\n<table>\n<tr><th>test</th><th>metric</th><th>median</th><th>95 % of it</th>"
        "<th>p95</th><th>least..most</th><th>n</th></tr>\n");
    for (size_t i = 0; i < r->n; i++) {
        const stats *s = &r->rows[i].s;
        buf_add_str(out, "<tr><td>");
        add_escaped(out, r->rows[i].test);
        buf_add_str(out, "</td><td>");
        add_escaped(out, r->rows[i].metric);
        report_text interval, p95, reached;
        buf_printf(out, "</td><td>%.4g</td><td>%s</td><td>%s</td><td>%s</td><td>%zu</td></tr>\n", s->median,
                   report_range(interval, s->low, s->high), report_range(p95, s->p95, s->p95),
                   report_range(reached, s->least, s->most), s->n);
    }
    buf_add_str(out, "</table>\n");
}

void report_page(const report *r, buf *out)
{
    buf_add_str(out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    add_escaped(out, r->model);
    buf_add_str(out, " - irori bench</title>\n");
    buf_add_str(out, style);
    buf_add_str(out, "<h1>");
    add_escaped(out, r->model);
    buf_add_char(out, ' ');
    add_escaped(out, r->quantization);
    buf_add_str(out, "</h1>\n");
    add_facts(out, r);
    for (size_t i = 0; i < r->n; i++)
        if (is_first(r, i))
            add_plot(out, r, r->rows[i].metric);
    add_table(out, r);
    buf_add_str(out, "</html>\n");
}

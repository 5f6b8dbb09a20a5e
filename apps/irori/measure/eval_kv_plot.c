// The curve of irori eval kv as SVG: KL from F16 (logarithmic) against mean bits of a value.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/eval_kv.h"

enum { WIDTH = 720, HEIGHT = 440, LEFT = 70, RIGHT = 150, TOP = 40, BOTTOM = 50 };

static const char *const colors[] = {"#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b7791f", "#555555"};

static size_t family_length(const char *name)
{
    return strcspn(name, ":@");
}

static double x_of(double bits)
{
    return LEFT + bits / 16 * (WIDTH - LEFT - RIGHT);
}

static double y_of(double kl, double low, double high)
{
    double at = (log10(kl) - low) / (high - low);
    return HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM);
}

static bool is_drawn(const eval_kv_row *r)
{
    return r->kl > 0 && isfinite(r->kl) && strcmp(r->name, "f16") != 0;
}

static void axes(FILE *f, double low, double high, size_t ctx)
{
    fprintf(
        f,
        "<text x=\"%d\" y=\"22\" font-size=\"15\">KL(F16 || policy) against mean bits, context %zu</text>\n",
        LEFT, ctx);
    for (int bits = 0; bits <= 16; bits += 2)
        fprintf(f,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>"
                "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
                x_of(bits), x_of(bits), TOP, HEIGHT - BOTTOM, x_of(bits), HEIGHT - BOTTOM + 18, bits);
    for (double p = low; p <= high; p++)
        fprintf(f,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">1e%.0f</text>\n",
                LEFT, WIDTH - RIGHT, y_of(pow(10, p), low, high), y_of(pow(10, p), low, high), LEFT - 6,
                y_of(pow(10, p), low, high) + 4, p);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">bits a value in memory</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12);
}

// Rows of a family stand next to each other.
static size_t family(FILE *f, const eval_kv_row *rows, size_t i, size_t n, int color, double low, double high)
{
    size_t length = family_length(rows[i].name), end = i;
    const char *ink = colors[(size_t)color % COUNT_OF(colors)];
    fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", ink);
    for (; end < n && family_length(rows[end].name) == length &&
           memcmp(rows[end].name, rows[i].name, length) == 0;
         end++)
        if (is_drawn(&rows[end]))
            fprintf(f, "%.1f,%.1f ", x_of(rows[end].bits), y_of(rows[end].kl, low, high));
    fprintf(f, "\"/>\n<text x=\"%d\" y=\"%d\" fill=\"%s\">%.*s</text>\n", WIDTH - RIGHT + 12,
            TOP + 20 + 20 * color, ink, (int)length, rows[i].name);
    for (size_t k = i; k < end; k++)
        if (is_drawn(&rows[k]))
            fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>%s</title></circle>\n",
                    x_of(rows[k].bits), y_of(rows[k].kl, low, high), ink, rows[k].name);
    return end;
}

int eval_kv_plot(const char *path, const eval_kv_row *rows, size_t n, size_t ctx, err *e)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (is_drawn(&rows[i])) {
            low = fmin(low, floor(log10(rows[i].kl)));
            high = fmax(high, ceil(log10(rows[i].kl)));
        }
    if (!(low < INFINITY))
        low = high = 0;
    if (high == low)
        high++;
    FILE *f = fopen(path, "w");
    if (!f)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT);
    axes(f, low, high, ctx);
    int color = 0;
    for (size_t i = 0; i < n;)
        i = is_drawn(&rows[i]) ? family(f, rows, i, n, color++, low, high) : i + 1;
    fprintf(f, "</svg>\n");
    bool failed = ferror(f) != 0;
    if (fclose(f) || failed)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    return ST_OK;
}

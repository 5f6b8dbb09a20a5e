// Quantiles, intervals, and sums of exponentials.
#include "measure/stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

enum { DRAWS = 1000, MOST_RESAMPLED = 4096 };

void samples_add(samples *s, double x)
{
    if (s->n == s->cap && !s->failed) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        double *p = mem_realloc(MEM_OTHER, s->x, cap * sizeof *p);
        s->failed = !p;
        if (p) {
            s->x = p;
            s->cap = cap;
        }
    }
    if (!s->failed)
        s->x[s->n++] = x;
}

void samples_done(samples *s)
{
    mem_free(s->x);
    *s = (samples){0};
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stats_quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

// The interval of the median. Of very many samples every k-th sorted one stands for its neighbours: the interval is far
// narrower than anything a report shows.
static void bootstrap(const double *sorted, size_t n, double *low, double *high)
{
    static double median[DRAWS], drawn[MOST_RESAMPLED];
    size_t step = (n + MOST_RESAMPLED - 1) / MOST_RESAMPLED, kept = (n + step - 1) / step;
    uint64_t x = 1;
    for (int d = 0; d < DRAWS; d++) {
        for (size_t i = 0; i < kept; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            drawn[i] = sorted[(size_t)((x >> 33) % kept) * step];
        }
        qsort(drawn, kept, sizeof *drawn, by_size);
        median[d] = stats_quantile(drawn, kept, 0.5);
    }
    qsort(median, DRAWS, sizeof *median, by_size);
    *low = stats_quantile(median, DRAWS, 0.025);
    *high = stats_quantile(median, DRAWS, 0.975);
}

stats stats_of(samples *s)
{
    if (s->n == 0)
        return (stats){0, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    qsort(s->x, s->n, sizeof *s->x, by_size);
    stats r = {.n = s->n,
               .median = stats_quantile(s->x, s->n, 0.5),
               .p95 = stats_quantile(s->x, s->n, 0.95),
               .least = s->x[0],
               .most = s->x[s->n - 1]};
    r.low = r.high = NAN;
    if (s->n > 1)
        bootstrap(s->x, s->n, &r.low, &r.high);
    for (size_t i = 0; i < s->n; i++)
        r.mean += s->x[i] / (double)s->n;
    return r;
}

void stats_share(size_t right, size_t n, double *low, double *high)
{
    const double z = 1.959964;  // 97.5 % of a normal distribution lie below
    double p = (double)right / (double)n, m = (double)n;
    double middle = (p + z * z / (2 * m)) / (1 + z * z / m);
    double half = z / (1 + z * z / m) * sqrt(p * (1 - p) / m + z * z / (4 * m * m));
    *low = fmax(middle - half, 0);
    *high = fmin(middle + half, 1);
}

// The table of what predictions missed: a line "METRIC CLASS RATIO" for each look, appended. The median of the latest
// few of a class corrects, so that one bad moment of the machine does not.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

enum { LATEST = 15, MOST_BYTES = 1 << 20 };
static const char *const names[PLAN_METRICS] = {"rss_bytes", "tokens_per_second", "ttft_ms"};

static bool path_of(const char *dir, char *out, size_t cap)
{
    return snprintf(out, cap, "%s/plan-errors.txt", dir) < (int)cap;
}

bool plan_errors_add(const char *dir, const char *class, enum plan_metric what, double ratio)
{
    char path[1200];
    if (!(ratio > 0.01 && ratio < 100) || !os_make_dirs(dir) || !path_of(dir, path, sizeof path))
        return false;
    FILE *f = fopen(path, "ae");
    if (!f)
        return false;
    fprintf(f, "%s %s %.4f\n", names[what], class, ratio);
    bool ok = !ferror(f);
    return fclose(f) == 0 && ok;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double plan_errors_median(const char *dir, const char *class, enum plan_metric what, int *count)
{
    char path[1200], line[256], metric[32], of[128];
    double latest[LATEST], ratio;
    int seen = 0;
    FILE *f = path_of(dir, path, sizeof path) ? fopen(path, "re") : NULL;
    if (f && fseek(f, -MOST_BYTES, SEEK_END) != 0)  // a table that grew for years: its end is enough
        rewind(f);
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%31s %127s %lf", metric, of, &ratio) == 3 && ratio > 0.01 && ratio < 100 &&
            strcmp(metric, names[what]) == 0 && strcmp(of, class) == 0)
            latest[seen++ % LATEST] = ratio;
    if (f)
        fclose(f);
    int n = *count = MIN(seen, LATEST);
    if (n == 0)
        return 1;
    qsort(latest, (size_t)n, sizeof *latest, compare);
    return n % 2 ? latest[n / 2] : (latest[n / 2 - 1] + latest[n / 2]) / 2;
}

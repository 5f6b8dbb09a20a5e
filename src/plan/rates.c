// The file of measured rates: a line of text for each, so that a person can read it. What does not read back whole is
// measured again.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan/plan.h"

const int plan_batch[PLAN_POINTS] = {1, 8, 64, 512};
const int plan_tile[PLAN_TILES] = {1, 2, 4, 8, 16, 64};
const int plan_head[2] = {64, 128};

enum { VERSION = 1 };  // of what is measured: others are measured anew
static const char *const level_names[DEV_KV_LEVELS] = {"f16", "q8", "q4", "q2"};

typedef struct named {
    const char *name;
    size_t at;
} named;
#define AT(field) offsetof(plan_rates, field)
static const named singles[] = {
    {"read_one", AT(read_one)}, {"read_all", AT(read_all)}, {"step", AT(step)},   {"norm", AT(norm)},
    {"gate", AT(gate)},         {"store", AT(store)},       {"embed", AT(embed)},
};

static double *single_of(plan_rates *r, size_t i)
{
    return (double *)(void *)((char *)r + singles[i].at);
}

static bool path_of(const char *dir, const char *isa, int threads, char *out, size_t cap)
{
    return snprintf(out, cap, "%s/machine-%s-%d.txt", dir, isa, threads) < (int)cap;
}

static bool positive(double x)
{
    return x > 0 && x < 1e30;
}

// "A B C ...": n positive numbers.
static bool read_numbers(const char *text, double *out, int n)
{
    double v[2 * PLAN_TILES];
    for (int i = 0; i < n; i++) {
        char *end;
        v[i] = strtod(text, &end);
        if (end == text || !positive(v[i]))
            return false;
        text = end;
    }
    memcpy(out, v, (size_t)n * sizeof *v);
    return true;
}

static void read_line(plan_rates *r, const char *line, int *version)
{
    char name[32], of[32];
    int n = 0;
    if (sscanf(line, "%31s %n", name, &n) != 1)
        return;
    const char *rest = line + n;
    if (strcmp(name, "version") == 0)
        *version = (int)strtol(rest, NULL, 10);
    else if (strcmp(name, "cpu") == 0)
        snprintf(r->cpu, sizeof r->cpu, "%.*s", (int)strcspn(rest, "\n"), rest);
    else if (strcmp(name, "date") == 0)
        snprintf(r->date, sizeof r->date, "%.*s", (int)strcspn(rest, "\n"), rest);
    for (size_t i = 0; i < COUNT_OF(singles); i++)
        if (strcmp(name, singles[i].name) == 0)
            *single_of(r, i) = strtod(rest, NULL);
    if (sscanf(rest, "%31s %n", of, &n) != 1)
        return;
    for (int i = 0; strcmp(name, "attend") == 0 && i < DEV_KV_LEVELS; i++)
        if (strcmp(of, level_names[i]) == 0)
            read_numbers(rest + n, r->attend[i][0], 2 * PLAN_TILES);
    int type = strcmp(name, "matmul") == 0 ? quant_type_from_name(of) : -1;
    double v[PLAN_POINTS + 1];
    if (type >= 0 && read_numbers(rest + n, v, PLAN_POINTS + 1)) {
        memcpy(r->matmul[type], v, sizeof r->matmul[type]);
        r->spread[type] = v[PLAN_POINTS];
    }
}

static bool is_whole(plan_rates *r)
{
    bool whole = true;
    for (size_t i = 0; i < COUNT_OF(singles); i++)
        whole = whole && positive(*single_of(r, i));
    for (int i = 0; i < DEV_KV_LEVELS; i++)
        whole = whole && positive(r->attend[i][0][0]);
    return whole;
}

int plan_rates_load(plan_rates *r, const char *dir, const char *cpu, const char *isa, int threads)
{
    char path[1200], line[512];
    int version = 0;
    *r = (plan_rates){.threads = threads};
    snprintf(r->isa, sizeof r->isa, "%s", isa);
    FILE *f = path_of(dir, isa, threads, path, sizeof path) ? fopen(path, "re") : NULL;
    while (f && fgets(line, sizeof line, f))
        read_line(r, line, &version);
    if (f)
        fclose(f);
    if (f && version == VERSION && strcmp(r->cpu, cpu) == 0 && is_whole(r))
        return ST_OK;
    *r = (plan_rates){.threads = threads};
    snprintf(r->isa, sizeof r->isa, "%s", isa);
    snprintf(r->cpu, sizeof r->cpu, "%s", cpu);
    return ST_NOTFOUND;
}

static void write_numbers(FILE *f, const double *v, int n)
{
    for (int i = 0; i < n; i++)
        fprintf(f, " %.6g", v[i]);
}

bool plan_rates_save(const plan_rates *r, const char *dir)
{
    char path[1200], partial[1232];
    if (!os_make_dirs(dir) || !path_of(dir, r->isa, r->threads, path, sizeof path))
        return false;
    snprintf(partial, sizeof partial, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(partial, "we");
    if (!f)
        return false;
    fprintf(f, "version %d\ncpu %s\ndate %s\n", VERSION, r->cpu, r->date);
    for (size_t i = 0; i < COUNT_OF(singles); i++)
        fprintf(f, "%s %.6g\n", singles[i].name,
                *(const double *)(const void *)((const char *)r + singles[i].at));
    for (int i = 0; i < DEV_KV_LEVELS; i++) {
        fprintf(f, "attend %s", level_names[i]);
        write_numbers(f, r->attend[i][0], 2 * PLAN_TILES);
        fputc('\n', f);
    }
    for (int i = 0; i < QT_COUNT; i++)
        if (r->matmul[i][0] > 0) {
            fprintf(f, "matmul %s", quant_type_info(i)->name);
            write_numbers(f, r->matmul[i], PLAN_POINTS);
            write_numbers(f, &r->spread[i], 1);
            fputc('\n', f);
        }
    bool ok = !ferror(f);
    ok = fclose(f) == 0 && ok && rename(partial, path) == 0;
    if (!ok)
        unlink(partial);
    return ok;
}

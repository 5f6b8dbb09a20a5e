// How long a round of candidates takes on a real shape (docs/CANDIDATES.md):
//   candidates_bench MODEL [TRIGGERS [FRESH [KV [BUDGET]]]]
// A profile of 2,000 tokens and a conversation of 500 are run ahead; each trigger then makes four replies of 16 tokens,
// one try each. FRESH tokens (default 0) are heard anew with each trigger and are run within its time. With random
// weights no reply ends by itself, so every row makes all 16; when its first, 6th (a short reply such as "Yes, please."
// and its end) and 11th token came first is told beside. KV is a policy as of --kv. BUDGET: milliseconds, default a minute.
// Before it, the machine's read bandwidth: all threads sum 512 MiB.
#include <irori.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { PROFILE = 2000, TALK = 500, REPLIES = 4, TOKENS = 16, MOST = 1000, MARKS = 3 };
static const int marks[MARKS] = {1, 6, 11};

typedef struct sum_job {
    const uint64_t *from;
    size_t n;
    uint64_t sum;
} sum_job;

static void *sum(void *ctx)
{
    sum_job *j = ctx;
    uint64_t s[8] = {0};
    for (size_t i = 0; i + 8 <= j->n; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += j->from[i + (size_t)k];
    for (int k = 0; k < 8; k++)
        j->sum += s[k];
    return NULL;
}

static double bandwidth(void)
{
    enum { WORDS = 1 << 26, THREADS = 64 };
    uint64_t *all = malloc((size_t)WORDS * 8);
    int threads = MIN(os_cpu_count(), THREADS);
    double best = 0;
    if (!all)
        return 0;
    memset(all, 1, (size_t)WORDS * 8);
    for (int round = 0; round < 5; round++) {
        pthread_t id[THREADS];
        sum_job job[THREADS];
        double began = os_seconds();
        for (int i = 0; i < threads; i++) {
            job[i] = (sum_job){all + (size_t)(WORDS / threads) * (size_t)i, (size_t)(WORDS / threads), 0};
            pthread_create(&id[i], NULL, sum, &job[i]);
        }
        for (int i = 0; i < threads; i++)
            pthread_join(id[i], NULL);
        best = MAX(best, (double)WORDS * 8 / 1e9 / (os_seconds() - began));
    }
    free(all);
    return best;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *ms, int n)
{
    qsort(ms, (size_t)n, sizeof *ms, compare);
    printf("%-28s %8.1f %8.1f %8.1f\n", what, ms[n / 2], ms[MIN(n - 1, n * 95 / 100)], ms[n - 1]);
}

// About n tokens of words that the model's tokenizer takes apart in its own way.
static char *words(const irori_model *m, size_t n)
{
    static const char *const some[] = {"the", "tea", "sea", "than", "to", "she", "is", "on"};
    buf text;
    buf_init(&text);
    for (size_t count = 0, i = 0; count < n; i++) {
        int32_t *ids;
        buf_printf(&text, "%s%s", i ? " " : "", some[i * i % COUNT_OF(some)]);
        if (i % 16 != 15 && n > 16)
            continue;
        if (irori_tokenize(m, text.data, text.len, 0, &ids, &count, NULL))
            exit(1);
        irori_free(ids);
    }
    return text.data;
}

typedef struct trigger {
    double began, ms[MARKS];
    int made[REPLIES];
} trigger;

static void on_event(void *ctx, int index, const irori_candidate *c, bool last)
{
    trigger *t = ctx;
    (void)c;
    if (last)
        return;
    t->made[index]++;
    for (int k = 0; k < MARKS; k++)
        if (t->made[index] == marks[k] && t->ms[k] == 0)
            t->ms[k] = (os_seconds() - t->began) * 1e3;
}

static void check(int rc, const irori_error *e)
{
    if (!rc)
        return;
    fprintf(stderr, "candidates_bench: %s\n", e->message);
    exit(1);
}

static irori_talk *ready(irori_model *m, irori_profile **p, char *heard)
{
    irori_error e;
    irori_talk *t;
    size_t left;
    buf json;
    buf_init(&json);
    char *about = words(m, PROFILE);
    buf_printf(&json, "{\"about\":\"%s\"}", about);
    check(irori_profile_new(p, json.data, json.len, &e), &e);
    check(irori_talk_new(&t, m, *p, &e), &e);
    double began = os_seconds();
    check(irori_talk_run(t, 0, &left, &e), &e);
    printf("profile run (or found) in %.0f ms\n", (os_seconds() - began) * 1e3);
    check(irori_talk_append(t, false, heard, &e), &e);
    mem_free(about);
    buf_done(&json);
    return t;
}

int main(int argc, char **argv)
{
    int triggers = argc > 2 ? MIN(MAX(atoi(argv[2]), 1), MOST) : 200, fresh = argc > 3 ? atoi(argv[3]) : 0;
    static double all[MOST], at[MARKS][MOST];
    irori_error e;
    irori_model *m;
    irori_profile *p;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    irori_model_info info;
    if (argc < 2) {
        fprintf(stderr, "usage: candidates_bench MODEL [TRIGGERS [FRESH [KV [BUDGET]]]]\n");
        return 2;
    }
    printf("reads %.1f GB/s\n", bandwidth());
    irori_model_options o = {
        .sessions = 2, .kv = argc > 4 ? argv[4] : NULL, .prompt_cache = getenv("IRORI_BENCH_PROMPTS")};
    check(irori_model_open(&m, argv[1], &o, &e), &e);
    irori_model_get_info(m, &info);
    printf("%s, %s, %s\n", info.name, info.quantization, info.device);
    char *heard = words(m, TALK), *more = fresh > 0 ? words(m, (size_t)fresh) : NULL;
    irori_talk *t = ready(m, &p, heard);
    for (int i = 0; i < triggers; i++) {
        trigger x = {.began = os_seconds()};
        int n;
        if (more)
            check(irori_talk_note(t, i % 2, more, &e), &e);
        irori_round r = {.n = REPLIES,
                         .max_tokens = TOKENS,
                         .budget_ms = argc > 5 ? atof(argv[5]) : 60000,
                         .tries = 1,
                         .seed = (uint64_t)i + 1,
                         .event = on_event,
                         .ctx = &x};
        check(irori_talk_round(t, &r, c, &n, &e), &e);
        all[i] = (os_seconds() - x.began) * 1e3;
        for (int k = 0; k < MARKS; k++)
            at[k][i] = x.ms[k];
    }
    printf("%-28s %8s %8s %8s\n", "ms after the trigger", "median", "p95", "most");
    for (int k = 0; k < MARKS; k++) {
        char what[40];
        snprintf(what, sizeof what, "token %d of the replies", marks[k]);
        report(what, at[k], triggers);
    }
    report("four replies of 16", all, triggers);
    irori_talk_free(t);
    irori_profile_free(p);
    irori_model_close(m);
    mem_free(heard);
    mem_free(more);
    return 0;
}

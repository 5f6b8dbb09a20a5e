// The stages against a straightforward chain over a sorted list in double precision: the set of tokens that can be
// drawn, and how often each is.
#include "samp/tests.h"

enum { VOCAB = 40, DRAWS = 40000 };

typedef struct entry {
    int id;
    double logit, p;
} entry;

static int by_logit(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit ? 1 : -1) : x->id - y->id;
}

static void soft(entry *e, int n, double temperature)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += e[i].p = exp((e[i].logit - e[0].logit) / temperature);
    for (int i = 0; i < n; i++)
        e[i].p /= sum;
}

static int by_surprise(const void *a, const void *b)
{
    const entry *x = a, *y = b;  // p holds the distance from the entropy here
    return x->p != y->p ? (x->p > y->p ? 1 : -1) : by_logit(a, b);
}

// Locally typical: tokens sorted by |surprise - entropy|, the fewest whose mass reaches p.
static int typical(entry *e, int n, double p)
{
    double h = 0, mass = 0;
    soft(e, n, 1);
    for (int i = 0; i < n; i++)
        h -= e[i].p * log(e[i].p);
    entry sorted[VOCAB];
    for (int i = 0; i < n; i++)
        sorted[i] = (entry){e[i].id, e[i].logit, fabs(-log(e[i].p) - h)};
    qsort(sorted, (size_t)n, sizeof *sorted, by_surprise);
    int keep = 0;
    while (keep < n && mass < p) {
        for (int i = 0; i < n; i++)
            if (e[i].id == sorted[keep].id)
                mass += e[i].p;
        keep++;
    }
    memcpy(e, sorted, (size_t)keep * sizeof *e);
    qsort(e, (size_t)keep, sizeof *e, by_logit);
    return keep;
}

// The distribution the chain should draw from; p by token id.
static void expected(const float *logits, const samp_params *p, double *prob)
{
    entry e[VOCAB];
    int n = VOCAB;
    for (int i = 0; i < n; i++)
        e[i] = (entry){i, (double)logits[i], 0};
    qsort(e, VOCAB, sizeof *e, by_logit);
    if (p->top_k > 0 && p->top_k < n)
        n = p->top_k;
    if (p->typical_p < 1)
        n = typical(e, n, (double)p->typical_p);
    if (p->top_p < 1) {
        soft(e, n, 1);
        double mass = 0;
        int keep = 0;
        while (keep < n && mass < (double)p->top_p)
            mass += e[keep++].p;
        n = keep;
    }
    if (p->min_p > 0) {
        soft(e, n, 1);
        int keep = 1;
        while (keep < n && e[keep].p >= (double)p->min_p * e[0].p)
            keep++;
        n = keep;
    }
    soft(e, n, (double)p->temperature);
    memset(prob, 0, VOCAB * sizeof *prob);
    for (int i = 0; i < n; i++)
        prob[e[i].id] = e[i].p;
}

// Draws many tokens; every one must be possible, and Pearson's chi-square must not be absurd.
static void compare(const samp_params *p, uint64_t seed)
{
    float logits[VOCAB];
    double prob[VOCAB], chi = 0;
    int count[VOCAB] = {0}, freedom = -1;
    random_logits(seed, logits, VOCAB);
    expected(logits, p, prob);
    samp *s = sampler(VOCAB, p);
    for (int i = 0; i < DRAWS; i++)
        count[samp_choose(s, logits, NULL, 0)]++;
    samp_free(s);
    double rest_want = 0, rest_got = 0;
    for (int i = 0; i < VOCAB; i++) {
        double want = prob[i] * DRAWS;
        if (want == 0 && count[i])
            fail_msg("seed %d: token %d was drawn and should not be", (int)seed, i);
        if (want < 10) {
            rest_want += want;
            rest_got += count[i];
            continue;
        }
        chi += (count[i] - want) * (count[i] - want) / want;
        freedom++;
    }
    if (rest_want >= 10) {
        chi += (rest_got - rest_want) * (rest_got - rest_want) / rest_want;
        freedom++;
    }
    // Mean f, deviation sqrt(2 f): seven deviations never happen with the fixed seeds below.
    if (chi > freedom + 7 * sqrt(2.0 * MAX(freedom, 1)))
        fail_msg("seed %d: chi-square %.1f with %d degrees of freedom", (int)seed, chi, freedom);
}

static void each_stage_and_all_together(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        samp_params p = samp_greedy();
        p.temperature = 0.5f + 0.3f * (float)seed;
        p.seed = seed;
        compare(&p, seed);
        samp_params top = p;
        top.top_k = (int)(seed * 3);
        compare(&top, seed);
        samp_params nucleus = p;
        nucleus.top_p = 0.15f * (float)seed;
        compare(&nucleus, seed);
        samp_params min = p;
        min.min_p = 0.05f * (float)seed;
        compare(&min, seed);
        samp_params typ = p;
        typ.typical_p = 0.16f * (float)seed;
        compare(&typ, seed);
        samp_params all = p;
        all.top_k = 30;
        all.typical_p = 0.95f;
        all.top_p = 0.9f;
        all.min_p = 0.02f;
        compare(&all, seed);
    }
}

// Top-k over many lengths, with equal logits among them: the lower id wins.
static void top_k_is_exact(void **state)
{
    (void)state;
    enum { N = 257 };
    float logits[N];
    for (int k = 1; k < N; k = k * 2 + 1) {
        random_logits((uint64_t)k, logits, N);
        for (int i = 0; i < N; i++)
            logits[i] = roundf(logits[i] * 4);  // many equal ones
        samp_params p = samp_greedy();
        p.temperature = 100;
        p.top_k = k;
        samp *s = sampler(N, &p);
        bool drawn[N] = {false};
        for (int i = 0; i < 200 * k && i < 40000; i++)
            drawn[samp_choose(s, logits, NULL, 0)] = true;
        samp_free(s);
        for (int i = 0; i < N; i++) {
            int better = 0;
            for (int j = 0; j < N; j++)
                better += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
            if (drawn[i])
                assert_true(better < k);
            else if (k < 60)
                assert_true(better >= k);
        }
    }
}

int run_chain_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stage_and_all_together),
        cmocka_unit_test(top_k_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

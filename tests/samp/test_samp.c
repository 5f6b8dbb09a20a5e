// Penalties, DRY, bias, seeds, numbers that are none, ranges, failures of memory.
#include "samp/tests.h"

enum { VOCAB = 20 };

samp *sampler(int vocab, const samp_params *p)
{
    samp *s;
    err e;
    if (samp_new(&s, vocab, p, &e))
        fail_msg("%s", e.msg);
    return s;
}

void random_logits(uint64_t seed, float *logits, int n)
{
    uint64_t x = seed * 0x9E3779B97F4A7C15u + 1;
    for (int i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        logits[i] = (float)((double)(x >> 11) * 0x1p-53 * 8 - 4);
    }
}

// The logit the sampler gives to `id`: the bias the best of the others would need to beat it, by bisection.
static double effective(const samp_params *params, const float *logits, const int32_t *history, size_t n,
                        int id)
{
    double low = -1e4, high = 1e4;
    samp_bias bias[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        bias[i] = (samp_bias){i, i == id ? 0 : -INFINITY};
    int other = id == VOCAB - 1 ? 0 : VOCAB - 1;  // never in a history below
    float l[VOCAB];
    memcpy(l, logits, sizeof l);
    for (int step = 0; step < 60; step++) {
        double mid = (low + high) / 2;
        bias[other].bias = 0;
        l[other] = (float)mid;
        samp_params p = *params;
        p.temperature = 0;
        p.bias = bias;
        p.n_bias = VOCAB;
        samp *s = sampler(VOCAB, &p);
        bool above = samp_choose(s, l, history, n) == other;
        samp_free(s);
        *(above ? &high : &low) = mid;
    }
    return (low + high) / 2;
}

static void penalties_change_logits_as_written(void **state)
{
    (void)state;
    static const int32_t history[] = {7, 1, 2, 3, 1, 1, 2, 5, 5, 5, 5};
    enum { N = COUNT_OF(history) };
    float logits[VOCAB];
    random_logits(5, logits, VOCAB);
    logits[1] = 2.5f;
    logits[2] = -1.5f;
    for (int window = -1; window <= N + 1; window += 4) {
        samp_params p = samp_greedy();
        p.repeat_penalty = 1.3f;
        p.frequency_penalty = 0.4f;
        p.presence_penalty = -0.7f;
        p.penalty_window = window;
        size_t from = window < 0 || window > N ? 0 : (size_t)(N - window);
        for (int id = 0; id < 9; id++) {
            int times = 0;
            for (size_t i = from; i < N; i++)
                times += history[i] == id;
            double want = (double)logits[id];
            if (times)
                want = (want > 0 ? want / 1.3 : want * 1.3) - 0.4 * times + 0.7;
            double got = effective(&p, logits, history, N, id);
            if (fabs(got - want) > 1e-4)
                fail_msg("window %d, token %d: %g, not %g", window, id, got, want);
        }
    }
}

// DRY by its definition, quadratic: for each earlier place, how long the text before it equals the text's end.
static double dry_penalty(const samp_params *p, const int32_t *h, int n, int next)
{
    int longest = 0, window = p->dry_window > 0 && p->dry_window < n ? p->dry_window : n;
    for (int at = n - window; at < n - 1; at++) {  // h[at] matches the last token, h[at + 1] follows
        if (h[at + 1] != next)
            continue;
        int length = 0;
        while (at - length >= n - window && h[at - length] == h[n - 1 - length] &&
               !(p->breaker && p->breaker[h[n - 1 - length]]))
            length++;
        longest = MAX(longest, length);
    }
    if (longest < p->dry_allowed_length)
        return 0;
    return (double)p->dry_multiplier * pow((double)p->dry_base, longest - p->dry_allowed_length);
}

static void dry_agrees_with_its_definition(void **state)
{
    (void)state;
    uint8_t breaker[VOCAB] = {0};
    breaker[3] = 1;
    int penalized = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        int32_t h[30];
        float r[30], logits[VOCAB] = {0};
        random_logits(seed, r, 30);
        int n = 8 + (int)(seed * 2 % 20);
        for (int i = 0; i < n; i++)
            h[i] = r[i] < -1 ? 1 : r[i] < 2 ? 2 : r[i] < 3.6f ? 4 : 3;
        samp_params p = samp_greedy();
        p.dry_multiplier = 0.8f;
        p.dry_base = 1.5f;
        p.dry_allowed_length = 1 + (int)(seed % 3);
        p.dry_window = seed % 2 ? 0 : 9;
        p.breaker = breaker;
        for (int id = 0; id < 6; id++) {
            double want = -dry_penalty(&p, h, n, id), got = effective(&p, logits, h, (size_t)n, id);
            penalized += want < 0;
            if (fabs(got - want) > 1e-4 * (1 + fabs(want)))
                fail_msg("seed %d, token %d: %g, not %g", (int)seed, id, got, want);
        }
    }
    assert_true(penalized > 8);
}

static void bias_forbids_and_forces(void **state)
{
    (void)state;
    float logits[VOCAB];
    random_logits(3, logits, VOCAB);
    logits[4] = 50;
    static const samp_bias forbid[] = {{4, -INFINITY}}, force[] = {{9, INFINITY}};
    for (int greedy = 0; greedy < 2; greedy++) {
        samp_params p = samp_greedy();
        p.temperature = greedy ? 0 : 0.9f;
        p.top_p = 0.9f;
        p.min_p = 0.01f;
        p.typical_p = 0.9f;
        p.bias = forbid;
        p.n_bias = 1;
        samp *s = sampler(VOCAB, &p);
        for (int i = 0; i < 300; i++)
            assert_int_not_equal(samp_choose(s, logits, NULL, 0), 4);
        samp_free(s);
        p.bias = force;
        s = sampler(VOCAB, &p);
        for (int i = 0; i < 300; i++)
            assert_int_equal(samp_choose(s, logits, NULL, 0), 9);
        samp_free(s);
    }
}

static void odd_logits(void **state)
{
    (void)state;
    float logits[VOCAB];
    samp_params p = samp_greedy();
    for (int greedy = 0; greedy < 2; greedy++) {
        p.temperature = greedy ? 0 : 1;
        samp *s = sampler(VOCAB, &p);
        for (int i = 0; i < VOCAB; i++)
            logits[i] = NAN;
        int32_t id = samp_choose(s, logits, NULL, 0);
        assert_in_range(id, 0, VOCAB - 1);  // nothing to choose from, but a token
        logits[6] = -3;
        assert_int_equal(samp_choose(s, logits, NULL, 0), 6);
        for (int i = 0; i < VOCAB; i++)
            logits[i] = -INFINITY;
        logits[7] = 1;
        assert_int_equal(samp_choose(s, logits, NULL, 0), 7);
        logits[8] = INFINITY;
        assert_int_equal(samp_choose(s, logits, NULL, 0), 8);
        samp_free(s);
    }
    for (int i = 0; i < VOCAB; i++)
        logits[i] = 2;
    logits[3] = NAN;
    assert_true(fabs(samp_logprob(logits, VOCAB, 1) + log(VOCAB - 1)) < 1e-12);
    assert_true(samp_logprob(logits, VOCAB, 3) == -INFINITY);
}

static void a_seed_repeats_and_a_clone_goes_on(void **state)
{
    (void)state;
    float logits[VOCAB];
    int32_t first[100];
    random_logits(1, logits, VOCAB);
    samp_params p = samp_greedy();
    p.temperature = 2;
    p.seed = 99;
    samp *a = sampler(VOCAB, &p), *b = sampler(VOCAB, &p), *c;
    p.seed = 100;
    samp *d = sampler(VOCAB, &p);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        first[i] = samp_choose(a, logits, NULL, 0);
        assert_int_equal(samp_choose(b, logits, NULL, 0), first[i]);
        differ += samp_choose(d, logits, NULL, 0) != first[i];
    }
    assert_true(differ > 20);
    assert_int_equal(samp_clone(a, &c, NULL), ST_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(samp_choose(a, logits, NULL, 0), samp_choose(c, logits, NULL, 0));
    samp_free(a);
    samp_free(b);
    samp_free(c);
    samp_free(d);
    samp_free(NULL);
}

#define EXPECT_REFUSED(field, value)                               \
    do {                                                           \
        samp_params p = samp_greedy();                             \
        p.field = value;                                           \
        samp *s = (samp *)&p;                                      \
        err e;                                                     \
        assert_int_equal(samp_new(&s, VOCAB, &p, &e), ST_INVALID); \
        assert_null(s);                                            \
        assert_non_null(strstr(e.msg, #field));                    \
    } while (0)

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    EXPECT_REFUSED(temperature, -0.1f);
    EXPECT_REFUSED(temperature, NAN);
    EXPECT_REFUSED(temperature, INFINITY);
    EXPECT_REFUSED(top_k, -1);
    EXPECT_REFUSED(top_p, 0);
    EXPECT_REFUSED(top_p, 1.01f);
    EXPECT_REFUSED(min_p, -0.5f);
    EXPECT_REFUSED(min_p, NAN);
    EXPECT_REFUSED(typical_p, 0);
    EXPECT_REFUSED(repeat_penalty, 0);
    EXPECT_REFUSED(frequency_penalty, 2.5f);
    EXPECT_REFUSED(presence_penalty, NAN);
    EXPECT_REFUSED(penalty_window, -2);
    EXPECT_REFUSED(dry_multiplier, -1);
    EXPECT_REFUSED(dry_base, 0.5f);
    EXPECT_REFUSED(dry_allowed_length, 0);
    EXPECT_REFUSED(dry_window, -1);
    static const samp_bias bad[] = {{VOCAB, 1}, {-1, 1}, {0, NAN}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        samp_params p = samp_greedy();
        p.bias = &bad[i];
        p.n_bias = 1;
        samp *s;
        err e;
        assert_int_equal(samp_new(&s, VOCAB, &p, &e), ST_INVALID);
        assert_non_null(strstr(e.msg, "logit bias"));
    }
}

static void no_memory(void **state)
{
    (void)state;
    samp_params p = samp_greedy();
    samp *s, *c;
    mem_fail_nth(1);
    assert_int_equal(samp_new(&s, VOCAB, &p, NULL), ST_NOMEM);
    assert_null(s);
    s = sampler(VOCAB, &p);
    mem_fail_nth(1);
    assert_int_equal(samp_clone(s, &c, NULL), ST_NOMEM);
    assert_null(c);
    mem_fail_nth(0);
    samp_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties_change_logits_as_written),
        cmocka_unit_test(dry_agrees_with_its_definition),
        cmocka_unit_test(bias_forbids_and_forces),
        cmocka_unit_test(odd_logits),
        cmocka_unit_test(a_seed_repeats_and_a_clone_goes_on),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_chain_tests();
}

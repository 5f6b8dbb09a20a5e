// Looking earlier text up, learning costs, and the controller on made-up texts with made-up costs.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "spec/own.h"

// ---- Lookup ----------------------------------------------------------------------------------------------------
static void finds_the_longest_match(void **state)
{
    (void)state;
    //                   0  1  2  3  4  5  6  7  8  9 10 11
    const int32_t t[] = {9, 1, 2, 3, 4, 8, 2, 3, 5, 1, 2, 3};
    spec_lookup l = {0};
    int match;
    assert_int_equal(spec_lookup_find(&l, t, 12, &match), 4);
    assert_int_equal(match, 3);
    assert_int_equal(spec_lookup_find(&l, t, 11, &match), 3);  // cut back: 1 2 was seen before 3
    assert_int_equal(match, 2);
    assert_int_equal(spec_lookup_find(&l, t, 8, &match), 4);
    assert_int_equal(match, 2);
    spec_lookup_find(&l, t, 6, &match);
    assert_int_equal(match, 0);
    assert_int_equal(spec_lookup_find(&l, t, 12, &match), 4);  // and goes on
    for (size_t n = 0; n < 3; n++) {
        spec_lookup_find(&l, t, n, &match);
        assert_int_equal(match, 0);
    }
    spec_lookup_done(&l);
}

// The answer by comparing everywhere: the length of the longest match, up to the length that still says more.
static int longest(const int32_t *t, size_t n)
{
    int best = 0;
    for (size_t end = 1; end < n; end++) {
        int same = 0;
        while ((size_t)same < end && same < 32 && t[end - 1 - (size_t)same] == t[n - 1 - (size_t)same])
            same++;
        best = same > best ? same : best;
    }
    return best >= 2 ? best : 0;
}

static void agrees_with_comparing_everywhere(void **state)
{
    (void)state;
    enum { N = 900 };
    int32_t t[N];
    spec_lookup l = {0};
    uint32_t random = 5;
    size_t n = 1;
    t[0] = 0;
    for (int step = 0; step < 3000; step++) {
        random = random * 1664525u + 1013904223u;
        if (n == N || (random >> 8) % 23 == 0) {
            n -= (random >> 16) % n;  // cut back to anything but nothing
            continue;
        }
        if ((random >> 8) % 5 == 0 && n > 40) {
            size_t from = (random >> 16) % (n - 20);
            for (int i = 0; i < 12 && n < N; i++)
                t[n++] = t[from++];
        } else {
            t[n++] = (int32_t)(random >> 28);
        }
        int match;
        size_t at = spec_lookup_find(&l, t, n, &match);
        int want = longest(t, n);
        assert_true(match <= want);
        if (want && n < 60)  // few places: none is left out
            assert_int_equal(match, want);
        if (match) {
            assert_true(at > 0 && at < n);
            assert_memory_equal(t + at - match, t + n - match, (size_t)match * sizeof *t);
        }
    }
    spec_lookup_done(&l);
}

// ---- Costs -----------------------------------------------------------------------------------------------------
static void costs_follow_what_is_measured(void **state)
{
    (void)state;
    spec_cost c = {0};
    assert_true(spec_cost_of(&c, 1) == 0);
    for (int i = 0; i < 60; i++) {
        spec_cost_learn(&c, 1, .010);
        spec_cost_learn(&c, 5, .014);
        spec_cost_learn(&c, 9, .030);
    }
    assert_true(fabs(spec_cost_of(&c, 1) - .010) < .0005);
    assert_true(fabs(spec_cost_of(&c, 5) - .014) < .0007);
    double seven = spec_cost_of(&c, 7);
    assert_true(seven > .020 && seven < .024);  // between its neighbours
    assert_true(spec_cost_of(&c, 12) > spec_cost_of(&c, 9));
    double before = spec_cost_of(&c, 5);
    for (int i = 0; i < 60; i++)  // the context grew: all runs take longer
        spec_cost_learn(&c, 1, .020);
    assert_true(spec_cost_of(&c, 5) > 1.8 * before);
    spec_cost_learn(&c, 5, 1e9);  // somebody else's work
    assert_true(spec_cost_of(&c, 5) < 2.5 * before);
    spec_cost_learn(&c, 0, 1);
    spec_cost_learn(&c, 99, 1);
    spec_cost_learn(&c, 3, -1);
    assert_true(isfinite(spec_cost_of(&c, 17)));
}

// ---- The controller --------------------------------------------------------------------------------------------
// Runs a text through spec as a model would that makes exactly this text; gives the time against plain runs.
static double relative_time(spec *s, const int32_t *text, size_t from, size_t n, double row)
{
    double spent = 0;
    size_t at = from;  // tokens known; the last of them is not run yet
    while (at < n) {
        int32_t guess[SPEC_MOST];
        int guessed = spec_guess(s, text, at, guess, SPEC_MOST, n - at), right = 0;
        double seconds = .010 * (1 + row * guessed);
        spec_ran(s, 1 + guessed, seconds);
        spent += seconds;
        do
            spec_chosen(s, right, text[at++]);
        while (at < n && right < guessed && guess[right++] == text[at - 1]);
    }
    return spent / (.010 * (double)(n - from));
}

static spec *looking_up(void)
{
    spec *s;
    assert_int_equal(spec_new(&s, &(spec_options){.lookup = true}, NULL), ST_OK);
    return s;
}

static void repetitions_are_guessed(void **state)
{
    (void)state;
    int32_t text[2000];
    for (int i = 0; i < 2000; i++)
        text[i] = i % 50 + 1000 * (i % 50 == 49 && i % 3 == 0);
    spec *s = looking_up();
    assert_true(relative_time(s, text, 100, 2000, .06) < .35);
    spec_stats st;
    spec_get_stats(s, &st);
    assert_true(st.accepted > 1000 && st.saved_seconds > 5);
    spec_free(s);
}

// Pairs occur again and again, but what follows them never does: each guess is wrong.
static void deceit_costs_next_to_nothing(void **state)
{
    (void)state;
    enum { N = 3000 };
    static int32_t text[N];
    uint32_t random = 1;
    for (int i = 0; i < N; i++) {
        random = random * 1664525u + 1013904223u;
        text[i] = i % 3 < 2 ? i % 3 : (int32_t)(100000 + i + (int)(random >> 28));
    }
    spec *s = looking_up();
    assert_true(relative_time(s, text, 10, N, .06) < 1.02);
    spec_free(s);
    s = looking_up();  // rows that cost as much as runs: nothing can pay
    for (int i = 0; i < N; i++)
        text[i] = i % 7;
    assert_true(relative_time(s, text, 10, N, 1) < 1.02);
    spec_free(s);
}

// A text that turns predictable after a long time of deceit is noticed.
static void it_comes_back(void **state)
{
    (void)state;
    enum { N = 4000 };
    static int32_t text[N];
    for (int i = 0; i < N; i++)
        text[i] = i >= N / 2 ? i % 40 : i % 3 < 2 ? i % 3 : 100000 + i;
    spec *s = looking_up();
    relative_time(s, text, 10, N / 2, .06);
    assert_true(relative_time(s, text, N / 2, N, .06) < .5);
    spec_free(s);
}

static void never_more_than_asked(void **state)
{
    (void)state;
    int32_t text[200], guess[SPEC_MOST];
    spec *s;
    for (int i = 0; i < 200; i++)
        text[i] = i % 5;
    assert_int_equal(spec_new(&s, &(spec_options){.lookup = true, .most = 3, .always = true}, NULL), ST_OK);
    assert_int_equal(spec_guess(s, text, 100, guess, SPEC_MOST, 100), 3);
    assert_int_equal(spec_guess(s, text, 100, guess, 2, 100), 2);
    assert_int_equal(spec_guess(s, text, 100, guess, SPEC_MOST, 2), 1);
    assert_int_equal(spec_guess(s, text, 100, guess, SPEC_MOST, 1), 0);
    assert_int_equal(spec_guess(s, text, 100, guess, SPEC_MOST, 0), 0);
    assert_int_equal(spec_guess(s, text, 100, guess, 0, 100), 0);
    assert_int_equal(spec_guess(s, text, 0, guess, SPEC_MOST, 100), 0);
    spec_free(s);
    err e;
    assert_int_equal(spec_new(&s, &(spec_options){.most = 17}, &e), ST_INVALID);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_longest_match),       cmocka_unit_test(agrees_with_comparing_everywhere),
        cmocka_unit_test(costs_follow_what_is_measured), cmocka_unit_test(repetitions_are_guessed),
        cmocka_unit_test(deceit_costs_next_to_nothing),  cmocka_unit_test(it_comes_back),
        cmocka_unit_test(never_more_than_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

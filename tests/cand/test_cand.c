// Profiles, the choice of intents, likeness, and what stands in for a model.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cand/own.h"

static cand_profile *profile(const char *json)
{
    cand_profile *p;
    err e = {0};
    if (cand_profile_new(&p, json, strlen(json), &e))
        fail_msg("%s", e.msg);
    return p;
}

static void the_built_in_axes(void **state)
{
    (void)state;
    for (int ja = 0; ja < 2; ja++) {
        cand_profile *p = profile(ja ? "{\"language\":\"ja\"}" : "{}");
        assert_int_equal(p->n_axes, 7);
        assert_int_equal(cand_axis_find(p, "agree"), 0);
        assert_int_equal(cand_axis_find(p, "nothing"), -1);
        for (int i = 0; i < p->n_axes; i++) {
            assert_true(p->axes[i].n_defaults >= 3);
            for (size_t j = 0; j < p->axes[i].n_defaults; j++)
                assert_true(cand_well_formed(p->axes[i].defaults[j]));
        }
        cand_profile_free(p);
    }
}

static void bad_profiles(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "7",
        "{",
        "{\"about\":7}",
        "{\"axes\":[]}",
        "{\"axes\":{}}",
        "{\"axes\":[7]}",
        "{\"axes\":[{\"id\":\"a\"}]}",
        "{\"axes\":[{\"id\":\"\",\"tag\":\"x\"}]}",
        "{\"axes\":[{\"id\":\"a\",\"tag\":\"x\"},{\"id\":\"a\",\"tag\":\"y\"}]}",
        "{\"axes\":[{\"id\":\"a\",\"tag\":\"x\",\"cues\":\"no\"}]}",
        "{\"axes\":[{\"id\":\"a\",\"tag\":\"x\",\"defaults\":[\"\"]}]}",
        "{\"scenes\":7}",
        "{\"scenes\":[{\"cues\":[\"a\"]}]}",
        "{\"scenes\":[{\"replies\":[{\"axis\":\"fly\",\"text\":\"x\"}]}]}",
        "{\"scenes\":[{\"replies\":[{\"axis\":\"agree\"}]}]}",
        "{\"about\":\"a\\u0000b\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cand_profile *p;
        err e = {0};
        int rc = cand_profile_new(&p, bad[i], strlen(bad[i]), &e);
        assert_true(rc == ST_FORMAT || rc == ST_LIMIT);
        assert_null(p);
        assert_true(strncmp(e.msg, "profile", 7) == 0);
    }
    for (int fail = 1; fail < 40; fail++) {
        cand_profile *p;
        err e = {0};
        mem_fail_nth(fail);
        int rc = cand_profile_new(&p, "{\"scenes\":[]}", 13, &e);
        mem_fail_nth(0);
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        cand_profile_free(p);
    }
}

static void likeness(void **state)
{
    (void)state;
    assert_true(cand_similarity("Yes, please.", "yes please!") == 1);
    assert_true(cand_similarity("お茶をください。", "お茶をください") == 1);
    assert_true(cand_similarity("Yes, please.", "No, thank you.") < .3);
    assert_true(cand_similarity("はい、お願いします。", "いいえ、結構です。") < .3);
    double near = cand_similarity("I am tired.", "I am very tired.");
    assert_true(near > .6 && near < 1);
    assert_true(cand_similarity("", "") == 1 && cand_similarity("", "a") == 0 &&
                cand_similarity("a", "a") == 1);
    assert_true(cand_similarity("ab\xff", "ab") == 1);  // broken bytes are no letters
    assert_true(cand_well_formed("Yes.") && cand_well_formed("はい。") &&
                cand_well_formed("Tea (with milk)."));
    assert_false(cand_well_formed("") || cand_well_formed(").") || cand_well_formed(", as he was") ||
                 cand_well_formed("Tea (with milk.") || cand_well_formed("A."));
}

static cand_round round_of(const cand_profile *p, const char *heard, int n)
{
    return (cand_round){.profile = p, .heard = heard, .n = n, .max_tokens = 16, .started = os_seconds()};
}

static void what_was_said_chooses_the_axes(void **state)
{
    (void)state;
    cand_profile *p = profile("{}");
    int axes[CAND_MOST], n_out = 0;
    cand_round r = round_of(p, "How are you, did you SLEEP well?", 2);
    cand_pick_axes(&r, axes);
    assert_int_equal(axes[0], cand_axis_find(p, "feel"));
    assert_true(p->axes[axes[1]].way_out);  // one is always there
    r = round_of(p, "Shall we go?", 4);
    cand_pick_axes(&r, axes);
    assert_int_equal(axes[0], cand_axis_find(p, "agree"));
    assert_int_equal(axes[1], cand_axis_find(p, "refuse"));
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_true(axes[i] != axes[j]);
    r = round_of(p, "", 8);  // more than there are
    cand_pick_axes(&r, axes);
    for (int i = 0; i < 8; i++)
        n_out += p->axes[axes[i]].way_out;
    assert_true(n_out >= 2);
    const char *avoid[] = {"Yes, please.", "x", "y"};
    const int agree[] = {0, 0, 0};
    r = round_of(p, "Shall we go?", 4);
    r.avoid = avoid;
    r.n_avoid = 3;
    r.avoid_axes = agree;
    cand_pick_axes(&r, axes);
    assert_true(axes[0] != 0);  // it was turned down thrice
    const int asked[] = {3, 5};
    r.axes = asked;
    r.n_axes = 2;
    cand_pick_axes(&r, axes);
    assert_int_equal(axes[0] * 1000 + axes[1] * 100 + axes[2] * 10 + axes[3], 3535);
    cand_profile_free(p);
}

static int events;
static void count_event(void *ctx, int index, const cand_reply *r, bool final)
{
    (void)ctx;
    (void)index;
    assert_true(final && r->text[0]);
    events++;
}

static void without_a_model(void **state)
{
    (void)state;
    cand_profile *p = profile(
        "{\"scenes\":[{\"cues\":[\"TEA\"],\"replies\":[{\"axis\":\"agree\",\"text\":\"Tea would be "
        "lovely.\"}]}]}");
    cand_reply out[CAND_MOST];
    cand_cache cache = {0};
    err e = {0};
    cand_round r = round_of(p, "Would you like some tea?", 4);
    r.cache = &cache;
    r.event = count_event;
    events = 0;
    assert_int_equal(cand_round_run(&r, NULL, NULL, out, &e), 4);
    assert_int_equal(events, 4);
    assert_string_equal(out[0].text, "Tea would be lovely.");
    assert_int_equal(out[0].source, CAND_SCENE);
    assert_int_equal(out[1].source, CAND_DEFAULT);
    // What was chosen before, to nearly the same question, comes first.
    assert_int_equal(cand_cache_add(&cache, "Would you like some tea now?", 0, "Only if there is cake."),
                     ST_OK);
    assert_int_equal(cand_round_run(&r, NULL, NULL, out, &e), 4);
    assert_string_equal(out[0].text, "Only if there is cake.");
    assert_int_equal(out[0].source, CAND_CACHE);
    const char *avoid[] = {"only if there is cake", "Tea would be lovely"};
    r.avoid = avoid;
    r.n_avoid = 2;
    assert_int_equal(cand_round_run(&r, NULL, NULL, out, &e), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out[i].source, CAND_DEFAULT);
        for (int j = 0; j < i; j++)
            assert_true(cand_similarity(out[i].text, out[j].text) < .8);
    }
    for (int i = 0; i < 2 * CAND_CACHE_MOST; i++)
        assert_int_equal(cand_cache_add(&cache, "a", i % 7, "b"), ST_OK);
    assert_int_equal(cache.n, CAND_CACHE_MOST);
    cand_cache_done(&cache);
    cand_profile_free(p);
}

static void fewer_than_asked_when_all_is_used_up(void **state)
{
    (void)state;
    cand_profile *p = profile(
        "{\"axes\":[{\"id\":\"a\",\"tag\":\"(a)\",\"defaults\":[\"One here.\",\"Two there.\"]}]}");
    cand_reply out[CAND_MOST];
    err e = {0};
    cand_round r = round_of(p, "", 4);
    assert_int_equal(cand_round_run(&r, NULL, NULL, out, &e), 2);
    assert_string_equal(out[0].text, "One here.");
    assert_string_equal(out[1].text, "Two there.");
    cand_profile_free(p);
}

static void as_many_rows_as_can_end_in_time(void **state)
{
    (void)state;
    cand_pace p = {0};
    assert_int_equal(cand_pace_fit(&p, 4, 0, .001), 4);  // nothing is known yet: how else would it be
    cand_pace_stepped(&p, 4, .050);
    assert_true(fabs(cand_pace_step(&p, 4) - .050) < 1e-12);
    assert_true(fabs(cand_pace_step(&p, 1) - .020) <
                1e-12);  // likely: the weights and a row, of the weights and four
    // Eight tokens are likely: 400 ms for four rows, 320 for three, 240 for two.
    assert_int_equal(cand_pace_fit(&p, 4, 0, .401), 4);
    assert_int_equal(cand_pace_fit(&p, 4, 0, .399), 3);
    assert_int_equal(cand_pace_fit(&p, 4, 0, .241), 2);
    assert_int_equal(cand_pace_fit(&p, 4, 0, .100), 1);
    assert_int_equal(cand_pace_fit(&p, 4, 6, .101), 4);  // two more
    assert_int_equal(cand_pace_fit(&p, 4, 9, .049), 3);  // longer than was likely: one more
    assert_int_equal(cand_pace_fit(&p, 1, 0, 0), 1);
    cand_pace_ended(&p, 4);
    assert_int_equal(cand_pace_fit(&p, 4, 0, .201), 4);
    cand_pace_stepped(&p, 1, .010);  // measured beats likely, and what was measured nearest counts
    assert_true(fabs(cand_pace_step(&p, 2) - .015) < 1e-12);
    cand_pace_stepped(&p, 4, .090);
    assert_true(fabs(cand_pace_step(&p, 4) - .060) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_axes),
        cmocka_unit_test(bad_profiles),
        cmocka_unit_test(likeness),
        cmocka_unit_test(what_was_said_chooses_the_axes),
        cmocka_unit_test(without_a_model),
        cmocka_unit_test(fewer_than_asked_when_all_is_used_up),
        cmocka_unit_test(as_many_rows_as_can_end_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

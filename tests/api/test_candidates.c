// Talks: rounds with the demo model, deadlines, choices.
#include <stdlib.h>
#include <string.h>

#include "api/support.h"
#include "base/base.h"

static irori_profile *any_profile(void)
{
    irori_profile *p;
    irori_error e;
    static const char json[] = "{\"about\":\"You write for Hana. One short sentence.\"}";
    assert_int_equal(irori_profile_new(&p, json, strlen(json), &e), IRORI_OK);
    return p;
}

typedef struct heard_events {
    int last[IRORI_MOST_CANDIDATES], partial;
} heard_events;

static void on_event(void *ctx, int index, const irori_candidate *c, bool last)
{
    heard_events *x = ctx;
    assert_true(index >= 0 && index < IRORI_MOST_CANDIDATES && c->axis[0]);
    assert_int_equal(x->last[index], 0);  // nothing after the last
    if (last)
        x->last[index]++;
    else
        x->partial++;
}

static void assert_good(const irori_candidate *c, int n)
{
    for (int i = 0; i < n; i++) {
        assert_true(c[i].text[0] && !strchr(c[i].text, '\n'));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(c[i].text, c[j].text);
    }
}

static void a_round(void **state)
{
    (void)state;
    irori_model *m = open_model(demo_path("irori-tiny"), &(irori_model_options){.threads = 2, .sessions = 2});
    irori_profile *p = any_profile();
    irori_talk *t;
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    int n;
    assert_int_equal(irori_talk_new(&t, m, p, &e), IRORI_OK);
    assert_int_equal(irori_talk_append(t, false, "Would you like some tea?", &e), IRORI_OK);
    irori_memory before, after;
    irori_get_memory(m, &before);
    int by_model = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        heard_events x = {{0}, 0};
        irori_round r = {
            .n = (int)(seed % 8) + 1, .budget_ms = 60000, .seed = seed, .event = on_event, .ctx = &x};
        assert_int_equal(irori_talk_round(t, &r, c, &n, &e), IRORI_OK);
        assert_string_equal(e.message, "");
        assert_int_equal(n, r.n);
        assert_good(c, n);
        for (int i = 0; i < n; i++) {
            assert_int_equal(x.last[i], 1);
            by_model += strcmp(c[i].source, "model") == 0;
        }
    }
    print_message("%d by model\n", by_model);
    assert_true(by_model > 10);  // of 90
    irori_get_memory(m, &after);
    assert_int_equal(after.kv_bytes - after.kv_idle_bytes, before.kv_bytes - before.kv_idle_bytes);
    irori_talk_free(t);
    irori_profile_free(p);
    irori_model_close(m);
}

static void late_or_broken_models_are_stood_in_for(void **state)
{
    (void)state;
    irori_model *m = open_model(demo_path("irori-tiny"), &(irori_model_options){.threads = 1, .context = 96});
    irori_profile *p = any_profile();
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    int n;
    for (int kind = 0; kind < 3; kind++) {
        irori_talk *t;
        assert_int_equal(irori_talk_new(&t, kind == 0 ? NULL : m, p, &e), IRORI_OK);
        char said[2000];
        memset(said, 'a', sizeof said - 1);
        said[kind == 2 ? sizeof said - 1 : 20] = 0;
        int rc = irori_talk_append(t, false, said, &e);
        assert_int_equal(rc, kind == 2 ? IRORI_LIMIT : IRORI_OK);  // the third does not fit the context
        irori_round r = {.budget_ms = kind == 1 ? 1e-6 : 60000};
        assert_int_equal(irori_talk_round(t, &r, c, &n, &e), IRORI_OK);
        assert_int_equal(n, 4);
        assert_good(c, n);
        for (int i = 0; i < n; i++)
            assert_string_equal(c[i].source, "default");
        irori_talk_free(t);
    }
    irori_profile_free(p);
    irori_model_close(m);
}

static void choices_are_remembered(void **state)
{
    (void)state;
    irori_profile *p = any_profile();
    irori_talk *t;
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    int n;
    assert_int_equal(irori_talk_new(&t, NULL, p, &e), IRORI_OK);
    assert_int_equal(irori_talk_choose(t, 0, &e), IRORI_INVALID);
    assert_int_equal(irori_talk_append(t, false, "Shall we go out?", &e), IRORI_OK);
    assert_int_equal(irori_talk_round(t, NULL, c, &n, &e), IRORI_OK);
    assert_string_equal(c[1].axis, "refuse");
    assert_int_equal(irori_talk_choose(t, 1, &e), IRORI_OK);
    assert_int_equal(irori_talk_append(t, false, "Shall we go out now?", &e), IRORI_OK);
    assert_int_equal(irori_talk_round(t, NULL, c, &n, &e), IRORI_OK);
    assert_string_equal(c[1].source, "cache");
    const char *avoid[] = {c[1].text};
    char was[256];
    strncpy(was, c[1].text, sizeof was - 1);
    was[sizeof was - 1] = 0;
    avoid[0] = was;
    assert_int_equal(irori_talk_round(t, &(irori_round){.avoid = avoid, .avoid_count = 1}, c, &n, &e),
                     IRORI_OK);
    for (int i = 0; i < n; i++)
        assert_string_not_equal(c[i].text, was);
    irori_talk_free(t);
    irori_profile_free(p);
}

// Rounds one after the other in little time: each gives four replies that can be said and are not alike, whatever was ready.
// IRORI_ROUNDS=10000 for as many as docs/CANDIDATES.md tells of; how late the latest was is printed, not judged.
static void many_rounds(void **state)
{
    (void)state;
    const char *asked = getenv("IRORI_ROUNDS");
    int rounds = asked ? atoi(asked) : 100, late = 0, by_model = 0;
    double most = 0;
    static const char *const said[] = {"Would you like some tea?", "How are you?", "Shall we go out?",
                                       "Did you sleep?"};
    irori_model *m = open_model(demo_path("irori-tiny"), &(irori_model_options){.threads = 2, .sessions = 2});
    irori_profile *p = any_profile();
    irori_talk *t = NULL;
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    for (int i = 0; i < rounds; i++) {
        irori_round r = {.budget_ms = 7, .seed = (uint64_t)i + 1};
        int n;
        if (i % 50 == 0) {
            irori_talk_free(t);
            assert_int_equal(irori_talk_new(&t, m, p, &e), IRORI_OK);
            assert_int_equal(irori_talk_append(t, false, said[i / 50 % 4], &e), IRORI_OK);
        }
        double began = os_seconds();
        assert_int_equal(irori_talk_round(t, &r, c, &n, &e), IRORI_OK);
        double ms = (os_seconds() - began) * 1e3;
        assert_string_equal(e.message, "");
        assert_int_equal(n, 4);
        late += ms > r.budget_ms + 1;
        most = ms > most ? ms : most;
        for (int a = 0; a < n; a++) {
            char clean[1100];
            assert_true(irori_reply_clean(p, c[a].axis, c[a].text, clean, sizeof clean));
            assert_string_equal(clean, c[a].text);
            for (int b = 0; b < a; b++)
                assert_false(irori_replies_alike(c[a].text, c[b].text));
            by_model += strcmp(c[a].source, "model") == 0;
        }
    }
    print_message("%d rounds, %d replies by the model; over 7 ms by more than 1: %d, the latest %.1f ms\n",
                  rounds, by_model, late, most);
    irori_talk_free(t);
    irori_profile_free(p);
    irori_model_close(m);
}

// What was noted and not run is run at the trigger, within the budget; pieces run ahead come to the same.
static void noted_words_are_run_at_the_trigger(void **state)
{
    (void)state;
    irori_model *m = open_model(demo_path("irori-tiny"), &(irori_model_options){.threads = 2, .sessions = 3});
    irori_profile *p = any_profile();
    irori_error e;
    irori_candidate c[2][IRORI_MOST_CANDIDATES];
    char text[2][IRORI_MOST_CANDIDATES][256];
    irori_talk *t[2];
    int n[2];
    for (int i = 0; i < 2; i++) {
        size_t left = 1, tokens, room, calls = 0;
        assert_int_equal(irori_talk_new(&t[i], m, p, &e), IRORI_OK);
        assert_int_equal(irori_talk_note(t[i], false, "Would you like some tea?", &e), IRORI_OK);
        while (i == 1 && left > 0 && ++calls < 100)
            assert_int_equal(irori_talk_run(t[i], 5, &left, &e), IRORI_OK);
        tokens = irori_talk_tokens(t[i], &room);
        assert_true(tokens > 5 && room > tokens && calls < 100 && (i == 0 || calls > 2));
        irori_round r = {.budget_ms = 60000, .seed = 7};
        assert_int_equal(irori_talk_round(t[i], &r, c[i], &n[i], &e), IRORI_OK);
        assert_string_equal(e.message, "");
        for (int k = 0; k < n[i]; k++)
            strncpy(text[i][k], c[i][k].text, sizeof text[i][k] - 1);
    }
    assert_int_equal(n[0], n[1]);
    for (int k = 0; k < n[0]; k++)
        assert_memory_equal(text[0][k], text[1][k], strlen(c[0][k].text) + 1);
    irori_round none = {.budget_ms = 60000, .no_model = true};
    assert_int_equal(irori_talk_round(t[0], &none, c[0], &n[0], &e), IRORI_OK);
    for (int k = 0; k < n[0]; k++)
        assert_string_not_equal(c[0][k].source, "model");
    irori_talk_free(t[0]);
    irori_talk_free(t[1]);
    irori_profile_free(p);
    irori_model_close(m);
}

static void refuses(void **state)
{
    (void)state;
    irori_profile *p = any_profile();
    irori_talk *t;
    irori_error e;
    irori_candidate c[IRORI_MOST_CANDIDATES];
    int n = 7;
    const char *axes[] = {"agree", "fly"};
    assert_int_equal(irori_talk_new(&t, NULL, p, &e), IRORI_OK);
    const irori_round bad[] = {
        {.n = -1},
        {.n = 9},
        {.n = 1000000},
        {.budget_ms = -1},
        {.max_tokens = 65},
        {.max_tokens = -1},
        {.temperature = -1},
        {.tries = 9},
        {.tries = -1},
        {.axes = axes, .axes_count = 2},
        {.axes = axes, .axes_count = 17},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(irori_talk_round(t, &bad[i], c, &n, &e), IRORI_INVALID);
        assert_int_equal(n, 0);
        assert_true(e.message[0]);
    }
    irori_talk_free(t);
    irori_profile_free(p);
    assert_int_equal(irori_profile_new(&p, "{", 1, &e), IRORI_FORMAT);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round),
        cmocka_unit_test(late_or_broken_models_are_stood_in_for),
        cmocka_unit_test(choices_are_remembered),
        cmocka_unit_test(refuses),
        cmocka_unit_test(many_rounds),
        cmocka_unit_test(noted_words_are_run_at_the_trigger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Speculation changes the time and nothing else: the same tokens as without, whatever guesses.
#include <string.h>

#include "api/talk.h"

enum { MOST = 160 };

typedef struct answer {
    int32_t ids[4096];
    size_t n;
    irori_generation g;
    irori_speculation_stats st;
} answer;

static const char *const asked[] = {
    ("[{\"role\":\"user\",\"content\":\"Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera "
     "and works as a nurse.\"}]"),
    "[{\"role\":\"user\",\"content\":\"List the tasks as JSON: buy tamo on Friday, buy rilu on Monday.\"}]",
    "[{\"role\":\"user\",\"content\":\"Translate into English: 私は学生です。\"}]",
};

// The session's tokens after a first answer and a second, shorter one.
static void answer_of(irori_model *m, const char *messages, const irori_sampling *sampling,
                      const irori_speculation *o, answer *a)
{
    irori_error e = {0};
    irori_session *s = open_session(m, sampling);
    assert_int_equal(irori_session_set_speculation(s, o, &e), IRORI_OK);
    assert_int_equal(irori_session_add_chat(s, messages, NULL, NULL, &e), IRORI_OK);
    assert_int_equal(irori_session_generate(s, MOST, NULL, NULL, &a->g, &e), IRORI_OK);
    assert_int_equal(irori_session_generate(s, 9, NULL, NULL, NULL, &e), IRORI_OK);
    const int32_t *ids = irori_session_tokens(s, &a->n);
    assert_true(a->n <= sizeof a->ids / sizeof *a->ids);
    memcpy(a->ids, ids, a->n * sizeof *ids);
    irori_session_get_speculation(s, &a->st);
    irori_session_free(s);
}

static void assert_same(const answer *a, const answer *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->ids, b->ids, a->n * sizeof *a->ids);
    assert_int_equal(a->g.finish, b->g.finish);
    assert_int_equal(a->g.completion_tokens, b->g.completion_tokens);
}

static void the_same_tokens(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny", 2), *draft = open_demo("irori-tiny-draft", 1);
    const irori_sampling drawn = {.temperature = 1,
                                  .top_p = .95f,
                                  .repeat_penalty = 1.1f,
                                  .presence_penalty = .2f,
                                  .dry_multiplier = .5f,
                                  .seed = 7};
    const irori_sampling *sampling[] = {NULL, &drawn};
    const irori_speculation ways[] = {
        {.lookup = true},
        {.draft = draft},
        {.lookup = true, .draft = draft},
        {.lookup = true, .always = true},
        {.draft = draft, .always = true, .most = 5},
        {.draft = draft, .always = true, .most = 1},
    };
    static answer plain, guessed;
    uint64_t accepted = 0, runs = 0, tokens = 0;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        for (size_t j = 0; j < 2; j++) {
            answer_of(m, asked[i], sampling[j], NULL, &plain);
            assert_int_equal(plain.st.runs, 0);
            for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
                answer_of(m, asked[i], sampling[j], &ways[k], &guessed);
                assert_same(&plain, &guessed);
                assert_true(guessed.st.accepted_tokens <= guessed.st.guessed_tokens);
                accepted += guessed.st.accepted_tokens;
                runs += guessed.st.runs;
                tokens += guessed.g.completion_tokens;
            }
        }
    assert_true(accepted > 0 && runs < tokens);
    irori_model_close(draft);
    irori_model_close(m);
}

// Guesses that are the plain answer, but for every `wrong`th place.
typedef struct script {
    const answer *plain;
    size_t wrong;
} script;

static int recite(void *ctx, const int32_t *history, size_t n, int32_t *guess, int most)
{
    const script *x = ctx;
    int count = 0;
    (void)history;
    for (size_t at = n; at < x->plain->n && count < most; at++)
        guess[count++] = x->wrong && at % x->wrong == 0 ? (x->plain->ids[at] + 1) % 4096 : x->plain->ids[at];
    return count;
}

static void guesses_from_outside(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny-draft", 2);
    static answer plain, guessed;
    answer_of(m, asked[1], NULL, NULL, &plain);
    const size_t wrong[] = {0, 1, 2, 5};
    for (size_t i = 0; i < 4; i++) {
        script x = {&plain, wrong[i]};
        irori_speculation o = {.propose = recite, .propose_ctx = &x, .most = 4, .always = true};
        answer_of(m, asked[1], NULL, &o, &guessed);
        assert_same(&plain, &guessed);
        size_t made = guessed.g.completion_tokens;
        if (wrong[i] == 0) {
            // but for those behind the two ends
            assert_true(guessed.st.accepted_tokens + 8 >= guessed.st.guessed_tokens);
            assert_true(guessed.st.runs <= (made + 9) / 5 + 4);
        }
        if (wrong[i] == 1)
            assert_int_equal(guessed.st.accepted_tokens, 0);
    }
    irori_model_close(m);
}

// Tokens that a grammar forces are run together, guesses behind them.
static void under_a_grammar(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny", 2), *draft = open_demo("irori-tiny-draft", 1);
    const irori_speculation ways[] = {
        {0}, {.lookup = true, .draft = draft}, {.draft = draft, .always = true}};
    const char *pattern = "(\\{\"name\": \"[A-Z][a-z]{2,9}\", \"age\": [0-9]{1,3}\\};){3}";
    irori_grammar *g;
    irori_error e;
    assert_int_equal(irori_grammar_new(&g, m, IRORI_GRAMMAR_REGEX, pattern, strlen(pattern), NULL, &e),
                     IRORI_OK);
    static int32_t plain[600];
    size_t n_plain = 0;
    for (size_t i = 0; i < 3; i++) {
        irori_session *s = open_session(m, NULL);
        assert_int_equal(irori_session_set_speculation(s, i ? &ways[i] : NULL, &e), IRORI_OK);
        assert_int_equal(irori_session_add_chat(s, asked[0], NULL, NULL, &e), IRORI_OK);
        assert_int_equal(irori_session_set_grammar(s, g, &e), IRORI_OK);
        irori_generation made;
        assert_int_equal(irori_session_generate(s, MOST, NULL, NULL, &made, &e), IRORI_OK);
        assert_int_equal(made.finish, IRORI_FINISH_STOP);
        size_t n;
        const int32_t *ids = irori_session_tokens(s, &n);
        if (i == 0) {
            assert_true(n <= 600);
            memcpy(plain, ids, n * sizeof *ids);
            n_plain = n;
        }
        assert_int_equal(n, n_plain);
        assert_memory_equal(ids, plain, n * sizeof *ids);
        irori_session_free(s);
    }
    irori_grammar_free(g);
    irori_model_close(draft);
    irori_model_close(m);
}

// Stops in the middle of what was guessed and run; what follows must not notice.
static void stop_within_a_guess(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny", 2);
    static answer plain;
    answer_of(m, asked[0], NULL, NULL, &plain);
    script x = {&plain, 0};
    irori_speculation o = {.propose = recite, .propose_ctx = &x, .always = true};
    irori_error e;
    for (int stop_at = 1; stop_at < 20; stop_at += 3) {
        irori_session *s = open_session(m, NULL), *fork;
        assert_int_equal(irori_session_set_speculation(s, &o, &e), IRORI_OK);
        assert_int_equal(irori_session_add_chat(s, asked[0], NULL, NULL, &e), IRORI_OK);
        seen stop = {.stop_at = stop_at};
        assert_int_equal(irori_session_generate(s, MOST, look, &stop, NULL, &e), IRORI_OK);
        assert_int_equal(irori_session_fork(&fork, s, &e), IRORI_OK);
        irori_session *both[] = {s, fork};
        for (int i = 0; i < 2; i++) {
            irori_generation g;
            assert_int_equal(irori_session_generate(both[i], MOST, NULL, NULL, &g, &e), IRORI_OK);
            assert_int_equal(irori_session_generate(both[i], 9, NULL, NULL, NULL, &e), IRORI_OK);
            size_t n;
            const int32_t *ids = irori_session_tokens(both[i], &n);
            assert_int_equal(n, plain.n);
            assert_memory_equal(ids, plain.ids, n * sizeof *ids);
        }
        irori_session_free(fork);
        irori_session_free(s);
    }
    irori_model_close(m);
}

static int anything(void *ctx, const int32_t *history, size_t n, int32_t *guess, int most)
{
    (void)ctx;
    for (int i = 0; i < most; i++)
        guess[i] = history[(n + (size_t)i) % n];
    return most;
}

static void up_to_a_full_context(void **state)
{
    (void)state;
    irori_model *m = open_toy(2);
    irori_speculation o = {.propose = anything, .always = true};
    irori_generation g;
    irori_error e;
    int32_t plain[CONTEXT];
    for (int with = 0; with < 2; with++) {
        irori_session *s = open_session(m, &endless);
        assert_int_equal(irori_session_set_speculation(s, with ? &o : NULL, &e), IRORI_OK);
        add_tokens(s, CONTEXT - 30);
        assert_int_equal(irori_session_generate(s, 100, NULL, NULL, &g, &e), IRORI_OK);
        assert_int_equal(g.finish, IRORI_FINISH_LENGTH);
        assert_int_equal(g.completion_tokens, 31);
        size_t n;
        const int32_t *ids = irori_session_tokens(s, &n);
        assert_int_equal(n, CONTEXT);
        if (with)
            assert_memory_equal(ids, plain, sizeof plain);
        memcpy(plain, ids, sizeof plain);
        irori_session_free(s);
    }
    irori_model_close(m);
}

static void refuses(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny", 1), *other = open_toy(1);
    irori_session *s = open_session(m, NULL);
    irori_error e;
    assert_int_equal(irori_session_set_speculation(s, &(irori_speculation){.draft = other}, &e),
                     IRORI_UNSUPPORTED);
    assert_non_null(strstr(e.message, "token 0"));
    assert_int_equal(irori_session_set_speculation(s, &(irori_speculation){.draft = m}, &e), IRORI_INVALID);
    assert_int_equal(irori_session_set_speculation(s, &(irori_speculation){.lookup = true, .most = 17}, &e),
                     IRORI_INVALID);
    assert_non_null(strstr(e.message, "17"));
    irori_session_free(s);
    irori_model_close(other);
    irori_model_close(m);
}

static int clean(void **state)
{
    (void)state;
    toy_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_tokens),
        cmocka_unit_test(guesses_from_outside),
        cmocka_unit_test(stop_within_a_guess),
        cmocka_unit_test(up_to_a_full_context),
        cmocka_unit_test(refuses),
        cmocka_unit_test(under_a_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}

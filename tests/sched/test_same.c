// A request's answer is the same alone, among neighbours, and as a session gives it; choices share a prompt.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/toy.h"
#include "sched/serve.h"

enum { REQUESTS = 16, TOKENS = 40 };
static const irori_logit_bias no_end[] = {{2, -INFINITY}};
static const irori_sampling endless = {.logit_bias = no_end, .logit_bias_count = 1};
static const irori_sampling drawn = {
    .logit_bias = no_end, .logit_bias_count = 1, .temperature = 1.5f, .seed = 77, .repeat_penalty = 1.1f};

static int length_of(int i)
{
    return 3 + i * 11 % 150;
}

// The tokens a session makes of the same prompt.
static void alone(irori_model *m, const irori_sampling *sampling, const int32_t *prompt, int n, int32_t *out)
{
    irori_session *s = open_session(m, sampling);
    irori_error e;
    assert_int_equal(irori_session_add(s, prompt, (size_t)n, &e), IRORI_OK);
    for (int i = 0; i < TOKENS; i++) {
        assert_int_equal(irori_session_sample(s, &out[i], NULL, &e), IRORI_OK);
        assert_int_equal(irori_session_add(s, &out[i], 1, &e), IRORI_OK);
    }
    irori_session_free(s);
}

static void among_neighbours(const irori_sampling *sampling, int batch, int chunk)
{
    static int32_t want[REQUESTS][TOKENS];
    irori_scheduler_options o = {.prompt_chunk = chunk};
    served x = serve_toy(REQUESTS, batch, &o);
    irori_scheduler_free(x.s);
    for (int i = 0; i < REQUESTS; i++)
        alone(x.m, sampling, prompt_of(length_of(i), (unsigned)i), length_of(i), want[i]);
    irori_error e;
    assert_int_equal(irori_scheduler_new(&x.s, x.m, &o, &e), IRORI_OK);
    told *t[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        irori_request_options r = {.prompt = prompt_of(length_of(i), (unsigned)i),
                                   .prompt_tokens = (size_t)length_of(i),
                                   .sampling = sampling,
                                   .max_tokens = TOKENS,
                                   .client = (uint64_t)i % 3};
        t[i] = told_new();
        irori_request_free(submit(&x, &r, t[i]));
    }
    for (int i = 0; i < REQUESTS; i++) {
        wait_done(t[i]);
        assert_int_equal(t[i]->n[0], TOKENS);
        assert_memory_equal(t[i]->token[0], want[i], sizeof want[i]);
        assert_int_equal(t[i]->finish[0], IRORI_FINISH_LENGTH);
        assert_int_equal(t[i]->reads, 1);
        assert_int_equal(t[i]->done.prompt_tokens, length_of(i));
        assert_int_equal(t[i]->done.completion_tokens, TOKENS);
        told_free(t[i]);
    }
    irori_scheduler_stats st;
    irori_scheduler_get_stats(x.s, &st);
    assert_int_equal(st.accepted, REQUESTS);
    serve_end(&x);
}

static void same_among_neighbours(void **state)
{
    (void)state;
    among_neighbours(&endless, 32, 0);
    among_neighbours(&endless, 64, 7);
    among_neighbours(&drawn, 512, 0);
}

static void choices_share_a_prompt(void **state)
{
    (void)state;
    enum { N = 5 };
    served x = serve_toy(N, 64, NULL);
    const int lengths[] = {1, 63, 64, 65, 130};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        told *all = told_new();
        irori_request_options r = {.prompt = prompt_of(lengths[k], 9),
                                   .prompt_tokens = (size_t)lengths[k],
                                   .sampling = &drawn,
                                   .max_tokens = 30,
                                   .choices = N};
        irori_request_free(submit(&x, &r, all));
        wait_done(all);
        assert_int_equal(all->ends, N);
        assert_int_equal(all->reads, 1);
        assert_int_equal(all->done.completion_tokens, N * 30);
        for (int i = 0; i < N; i++) {  // each as a request of its own with that seed
            irori_sampling own = drawn;
            own.seed += (uint64_t)i;
            told *one = told_new();
            r.sampling = &own;
            r.choices = 1;
            irori_request_free(submit(&x, &r, one));
            wait_done(one);
            assert_memory_equal(one->token[0], all->token[i], 30 * sizeof(int32_t));
            assert_string_equal(one->text[0], all->text[i]);
            told_free(one);
        }
        assert_memory_not_equal(all->token[0], all->token[1], 30 * sizeof(int32_t));
        told_free(all);
    }
    irori_scheduler_stats st;
    do
        irori_scheduler_get_stats(x.s, &st);
    while (st.generating > 0);
    assert_int_equal(st.kv_promised_bytes, 0);
    assert_int_equal(st.kv_bytes, 0);
    serve_end(&x);
}

// A request that runs alone guesses ahead. A prompt that goes round and a bias that holds the answer to its tokens make
// guesses come true; the answer is what it is without.
static void a_guess_changes_nothing(void **state)
{
    (void)state;
    enum { PROMPT = 40, MADE = 120 };
    static irori_logit_bias held[6];
    int32_t prompt[PROMPT];
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = 10 + i % 5;
    for (int i = 0; i < 5; i++)
        held[i] = (irori_logit_bias){10 + i, 60};
    held[5] = no_end[0];
    const irori_sampling sampling = {.logit_bias = held, .logit_bias_count = 6};
    told *t[2];
    uint64_t accepted = 0;
    for (int guess = 0; guess < 2; guess++) {
        served x = serve_toy(1, 64, &(irori_scheduler_options){.no_guess = !guess});
        irori_request_options r = {.prompt = prompt,
                                   .prompt_tokens = PROMPT,
                                   .sampling = &sampling,
                                   .max_tokens = MADE,
                                   .logprobs = true};
        t[guess] = told_new();
        irori_request_free(submit(&x, &r, t[guess]));
        wait_done(t[guess]);
        irori_scheduler_stats st;
        do  // they are brought up to date after the last event
            irori_scheduler_get_stats(x.s, &st);
        while (st.finished == 0);
        accepted = st.accepted_tokens;
        assert_int_equal(st.accepted_tokens, t[guess]->done.accepted_tokens);
        assert_true(st.accepted_tokens <= st.guessed_tokens);
        if (!guess)
            assert_int_equal(st.guessed_tokens, 0);
        serve_end(&x);
    }
    assert_true(accepted > 0);
    assert_int_equal(t[1]->n[0], MADE);
    assert_memory_equal(t[0]->token[0], t[1]->token[0], MADE * sizeof(int32_t));
    assert_memory_equal(t[0]->logprob[0], t[1]->logprob[0], MADE * sizeof(float));
    told_free(t[0]);
    told_free(t[1]);
}

// Runs `r` beside `others` of its kind; the passes it took, and the first one's events.
static uint64_t run_held(irori_request_options r, int others, told *t)
{
    served x = serve_toy(4, 16, &(irori_scheduler_options){.no_guess = true});
    irori_grammar *g;
    irori_error e;
    static const char text[] = "[ab]{2}abbaabbaabbaabbaabbaabbaabbaabba[ab]{2}";
    told *other[3];
    if (irori_grammar_new(&g, x.m, IRORI_GRAMMAR_REGEX, text, sizeof text - 1, NULL, &e))
        fail_msg("%s", e.message);
    r.grammar = g;
    irori_request *first = submit_paused(&x, &r, t);
    for (int i = 0; i < others; i++) {
        other[i] = told_new();
        irori_request_free(submit(&x, &r, other[i]));
    }
    irori_request_pause(first, false);
    wait_done(t);
    irori_request_free(first);
    for (int i = 0; i < others; i++) {
        wait_done(other[i]);
        assert_string_equal(other[i]->text[0], t->text[0]);
        told_free(other[i]);
    }
    irori_scheduler_stats st;
    do
        irori_scheduler_get_stats(x.s, &st);
    while ((int)st.finished < 1 + others);
    irori_grammar_free(g);
    serve_end(&x);
    return st.steps;
}

// Text that a grammar forces takes no choosing, and fewer passes than tokens: in company, in pieces where a pass has
// not the room, and one by one for log-probabilities, it is the same.
static void forced_text_is_run_at_once(void **state)
{
    (void)state;
    irori_request_options r = {
        .prompt = prompt_of(20, 3), .prompt_tokens = 20, .sampling = &drawn, .max_tokens = 100};
    told *alone = told_new(), *company = told_new(), *scored = told_new();
    uint64_t steps = run_held(r, 0, alone);
    run_held(r, 3, company);
    r.logprobs = true;
    uint64_t each = run_held(r, 0, scored);
    assert_int_equal(strlen(alone->text[0]), 36);
    assert_int_equal(alone->finish[0], IRORI_FINISH_STOP);
    told *same[] = {company, scored};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(same[i]->n[0], alone->n[0]);
        assert_memory_equal(same[i]->token[0], alone->token[0], (size_t)alone->n[0] * sizeof(int32_t));
        assert_string_equal(same[i]->text[0], alone->text[0]);
    }
    assert_true(each >= (uint64_t)alone->n[0]);
    assert_true(steps < each / 2);
    told_free(alone);
    told_free(company);
    told_free(scored);
}

typedef struct counted {
    uint64_t at[TOKENS];
    irori_model *m;
} counted;

static void count_allocations(told *t, const irori_event *ev)
{
    counted *c = t->more;
    irori_memory mem;
    if (ev->kind != IRORI_EVENT_TOKEN || ev->choice != 0)
        return;
    irori_get_memory(NULL, &mem);
    c->at[t->n[0] - 1] = mem.allocations;
}

static void allocates_nothing(int choices)
{
    served x = serve_toy(4, 64, NULL);
    counted c = {.m = x.m};
    told *t = told_new();
    t->more = &c;
    t->during = count_allocations;
    irori_request_options r = {.prompt = prompt_of(50, 1),
                               .prompt_tokens = 50,
                               .sampling = &drawn,
                               .max_tokens = TOKENS,
                               .choices = choices,
                               .logprobs = true,
                               .top_logprobs = 5};
    irori_request_free(submit(&x, &r, t));
    wait_done(t);
    assert_true(c.at[1] > 0);
    assert_int_equal(c.at[TOKENS - 1], c.at[1]);
    told_free(t);
    serve_end(&x);
}

static void a_token_allocates_nothing(void **state)
{
    (void)state;
    allocates_nothing(3);
    allocates_nothing(1);  // guesses
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_among_neighbours),      cmocka_unit_test(choices_share_a_prompt),
        cmocka_unit_test(a_guess_changes_nothing),    cmocka_unit_test(a_token_allocates_nothing),
        cmocka_unit_test(forced_text_is_run_at_once),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_clean();
    return failed;
}

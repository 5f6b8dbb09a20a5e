// What ends an answer: stop texts across tokens, cancelling, deadlines; log-probabilities; pausing.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/toy.h"
#include "sched/serve.h"

static const irori_logit_bias no_end[] = {{2, -INFINITY}};
static const irori_sampling endless = {.logit_bias = no_end, .logit_bias_count = 1};

static told *answer(served *x, irori_request_options r)
{
    told *t = told_new();
    irori_request_free(submit(x, &r, t));
    wait_done(t);
    return t;
}

static void stop_texts(void **state)
{
    (void)state;
    // Letters only, one byte a token: every pair of letters of the text is a stop text that two tokens make.
    static irori_logit_bias letters[26];
    for (int i = 0; i < 26; i++)
        letters[i] = (irori_logit_bias){3 + 'a' + i, 100};
    irori_sampling s = {.logit_bias = letters, .logit_bias_count = 26, .temperature = 5, .seed = 4};
    served x = serve_toy(2, 64, NULL);
    irori_request_options r = {
        .prompt = prompt_of(9, 1), .prompt_tokens = 9, .sampling = &s, .max_tokens = 60};
    told *whole = answer(&x, r);
    assert_int_equal(whole->bytes[0], 60);
    for (int at = 0; at < 58; at++) {
        char pair[3] = {whole->text[0][at], whole->text[0][at + 1], 0};
        const char *stops[] = {"never this", pair};
        r.stop = stops;
        r.stop_count = 2;
        told *cut = answer(&x, r);
        size_t want = (size_t)(strstr(whole->text[0], pair) - whole->text[0]);
        assert_int_equal(cut->bytes[0], want);
        assert_memory_equal(cut->text[0], whole->text[0], want);
        assert_int_equal(cut->n[0], want + 2);
        assert_int_equal(cut->finish[0], IRORI_FINISH_STOP);
        assert_int_equal(cut->stop[0], 1);
        told_free(cut);
    }
    // What only began like a stop text is shown in the end.
    char tail[8] = {0};
    memcpy(tail, whole->text[0] + 57, 3);
    strcat(tail, "#");
    const char *stops[] = {tail};
    r.stop = stops;
    r.stop_count = 1;
    told *kept = answer(&x, r);
    assert_string_equal(kept->text[0], whole->text[0]);
    assert_int_equal(kept->stop[0], -1);
    told_free(kept);
    told_free(whole);
    serve_end(&x);
}

static void end_tokens(void **state)
{
    (void)state;
    static const irori_logit_bias only_end[] = {{2, INFINITY}};
    static const irori_sampling s = {
        .logit_bias = only_end, .logit_bias_count = 1, .temperature = 1, .seed = 3};
    served x = serve_toy(1, 64, NULL);
    told *t = answer(&x, (irori_request_options){
                             .prompt = prompt_of(5, 1), .prompt_tokens = 5, .sampling = &s, .max_tokens = 9});
    assert_int_equal(t->n[0], 0);
    assert_int_equal(t->bytes[0], 0);
    assert_int_equal(t->finish[0], IRORI_FINISH_STOP);
    assert_int_equal(t->done.completion_tokens, 1);
    told_free(t);
    serve_end(&x);
}

static void cancel_third(told *t, const irori_event *ev)
{
    if (ev->kind == IRORI_EVENT_TOKEN && t->n[0] == 3)
        irori_request_cancel(t->r);
}

static void cancels_within_a_token(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);
    for (int i = 0; i < 20; i++) {
        told *t = told_new();
        irori_request_options r = {
            .prompt = prompt_of(20, 2), .prompt_tokens = 20, .sampling = &endless, .max_tokens = 150};
        t->during = cancel_third;
        t->r = NULL;
        // The handle must be known before the first event: hold the scheduler's thread back.
        pthread_mutex_lock(&t->lock);
        t->r = submit(&x, &r, t);
        pthread_mutex_unlock(&t->lock);
        wait_done(t);
        assert_int_equal(t->n[0], 3);
        assert_int_equal(t->finish[0], IRORI_FINISH_CANCELED);
        assert_int_equal(t->done.finish, IRORI_FINISH_CANCELED);
        irori_request_cancel(t->r);  // too late, and harmless
        irori_request_free(t->r);
        told_free(t);
    }
    serve_end(&x);
}

static void deadlines(void **state)
{
    (void)state;
    served x = serve_toy(1, 64, NULL);
    irori_request_options r = {
        .prompt = prompt_of(20, 2), .prompt_tokens = 20, .sampling = &endless, .max_tokens = 100};
    told *first = told_new(), *second = told_new();
    // The first keeps its place: the second can only wait, and its time runs out there.
    irori_request *one = submit_paused(&x, &r, first);
    r.deadline = .05;
    irori_request *two = submit(&x, &r, second);
    wait_done(second);
    assert_int_equal(second->done.finish, IRORI_FINISH_DEADLINE);
    assert_int_equal(second->n[0], 0);
    irori_request_pause(one, false);
    wait_done(first);
    assert_int_equal(first->done.finish, IRORI_FINISH_LENGTH);
    assert_int_equal(first->n[0], 100);
    irori_request_free(one);
    irori_request_free(two);
    told_free(first);
    told_free(second);
    serve_end(&x);
}

typedef struct likeliest {
    irori_model *m;
    int checked;
} likeliest;

static void check_top(told *t, const irori_event *ev)
{
    likeliest *l = t->more;
    if (ev->kind != IRORI_EVENT_TOKEN)
        return;
    assert_int_equal(ev->top_count, 5);
    assert_int_equal(ev->top[0].token, ev->token);  // greedy
    assert_true(ev->top[0].logprob == ev->logprob);
    double sum = 0;
    for (int i = 0; i < 5; i++) {
        assert_true(i == 0 || ev->top[i].logprob <= ev->top[i - 1].logprob);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(ev->top[i].token, ev->top[j].token);
        sum += exp(ev->top[i].logprob);
    }
    assert_true(sum > 0 && sum < 1);
    l->checked++;
}

static void log_probabilities(void **state)
{
    (void)state;
    static const irori_sampling greedy;
    served x = serve_toy(1, 64, NULL);
    likeliest l = {x.m, 0};
    told *t = told_new();
    t->more = &l;
    t->during = check_top;
    irori_request_options r = {.prompt = prompt_of(30, 6),
                               .prompt_tokens = 30,
                               .sampling = &greedy,
                               .max_tokens = 10,
                               .logprobs = true,
                               .top_logprobs = 5};
    irori_request_free(submit(&x, &r, t));
    wait_done(t);
    assert_true(l.checked > 0);
    // The same as a session's own score of those tokens.
    irori_scheduler_free(x.s);
    x.s = NULL;
    irori_session *s = open_session(x.m, NULL);
    irori_error e;
    double want[10];
    assert_int_equal(irori_session_add(s, prompt_of(30, 6), 30, &e), IRORI_OK);
    assert_int_equal(irori_session_score(s, t->token[0], (size_t)t->n[0], 0, want, &e), IRORI_OK);
    for (int i = 0; i < t->n[0]; i++)
        assert_true(fabs(want[i] - (double)t->logprob[0][i]) < 1e-5);
    irori_session_free(s);
    told_free(t);
    serve_end(&x);
}

// Every answer is a sentence of the grammar, whatever is drawn, and ends where nothing may follow.
static void grammars(void **state)
{
    (void)state;
    served x = serve_toy(4, 64, NULL);
    irori_grammar *g;
    irori_error e;
    if (irori_grammar_new(&g, x.m, IRORI_GRAMMAR_REGEX, "(ab|ba){3}", 10, NULL, &e))
        fail_msg("%s", e.message);
    irori_sampling s = {.temperature = 3, .seed = 5};
    irori_request_options r = {.prompt = prompt_of(9, 1),
                               .prompt_tokens = 9,
                               .sampling = &s,
                               .max_tokens = 60,
                               .choices = 4,
                               .grammar = g};
    told *t = told_new();
    irori_request *h = submit(&x, &r, t);
    irori_grammar_free(g);
    wait_done(t);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(t->bytes[i], 6);
        for (int k = 0; k < 6; k += 2)
            assert_true(memcmp(t->text[i] + k, "ab", 2) == 0 || memcmp(t->text[i] + k, "ba", 2) == 0);
        assert_int_equal(t->finish[i], IRORI_FINISH_STOP);
    }
    irori_request_free(h);
    told_free(t);
    serve_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_texts),
        cmocka_unit_test(end_tokens),
        cmocka_unit_test(cancels_within_a_token),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(log_probabilities),
        cmocka_unit_test(grammars),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_clean();
    return failed;
}

// What generate stops at, and cancelling.
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "api/talk.h"

static void generate_needs_a_prompt(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, NULL);
    irori_error e;
    int32_t id;
    assert_null(irori_session_logits(s));
    assert_int_equal(irori_session_generate(s, 4, NULL, NULL, NULL, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "add"));
    assert_int_equal(irori_session_sample(s, &id, NULL, &e), IRORI_INVALID);
    assert_int_equal(irori_session_add(s, NULL, 0, &e), IRORI_OK);
    assert_null(irori_session_logits(s));
    irori_session_free(s);
    irori_model_close(m);
}

static void generate_stops_at_max_tokens(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, &endless);
    irori_generation g;
    irori_error e;
    add_tokens(s, 5);
    assert_int_equal(irori_session_generate(s, 0, look, NULL, &g, &e), IRORI_OK);
    assert_int_equal(g.completion_tokens, 0);
    assert_int_equal(g.finish, IRORI_FINISH_LENGTH);
    assert_int_equal(g.prompt_tokens, 5);
    assert_true(g.first_token_seconds >= 0 && g.decode_seconds == 0);
    seen x = {0};
    assert_int_equal(irori_session_generate(s, 7, look, &x, &g, &e), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_LENGTH);
    assert_int_equal(g.completion_tokens, 7);
    assert_int_equal(g.prompt_tokens, 0);  // counted once
    assert_true(x.calls == 7 || (x.calls == 8 && x.last == -1));
    assert_int_equal(held(s), 12);
    assert_non_null(irori_session_logits(s));
    assert_int_equal(irori_session_generate(s, 3, NULL, NULL, NULL, &e), IRORI_OK);
    assert_int_equal(held(s), 15);
    irori_session_free(s);
    irori_model_close(m);
}

static void generate_stops_at_an_end_token(void **state)
{
    (void)state;
    static const irori_logit_bias only_end[] = {{2, INFINITY}};
    static const irori_sampling sampling = {
        .logit_bias = only_end, .logit_bias_count = 1, .temperature = 1, .seed = 3};
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, &sampling);
    irori_generation g;
    seen x = {0};
    add_tokens(s, 5);
    assert_int_equal(irori_session_generate(s, 50, look, &x, &g, NULL), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_STOP);
    assert_int_equal(g.completion_tokens, 1);
    assert_int_equal(x.calls, 0);
    size_t n;
    const int32_t *ids = irori_session_tokens(s, &n);
    assert_int_equal(n, 6);  // the end token was run
    assert_int_equal(ids[5], 2);
    assert_true(irori_token_ends_text(m, ids[5]));
    // In a full context it is still an end.
    assert_int_equal(irori_session_set_sampling(s, &endless, NULL), IRORI_OK);
    assert_int_equal(irori_session_generate(s, CONTEXT - 6, NULL, NULL, &g, NULL), IRORI_OK);
    assert_int_equal(held(s), CONTEXT);
    assert_int_equal(irori_session_set_sampling(s, &sampling, NULL), IRORI_OK);
    assert_int_equal(irori_session_generate(s, 5, NULL, NULL, &g, NULL), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_STOP);
    irori_session_free(s);
    irori_model_close(m);
}

static void generate_stops_when_the_callback_says_so(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, &endless);
    irori_generation g;
    seen x = {.stop_at = 3};
    add_tokens(s, 5);
    assert_int_equal(irori_session_generate(s, 50, look, &x, &g, NULL), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_STOP);
    assert_int_equal(x.calls, 3);  // and not once more
    assert_int_equal(g.completion_tokens, 3);
    assert_int_equal(held(s), 8);
    irori_session_free(s);
    irori_model_close(m);
}

static void generate_stops_at_a_full_context(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, &endless);
    irori_generation g;
    irori_error e;
    add_tokens(s, CONTEXT - 2);
    assert_int_equal(irori_session_generate(s, 50, NULL, NULL, &g, &e), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_LENGTH);
    assert_int_equal(g.completion_tokens, 3);  // the last one is chosen and not run
    assert_int_equal(held(s), CONTEXT);
    int32_t id = 5;
    const float *logits = irori_session_logits(s);
    assert_int_equal(irori_session_add(s, &id, 1, &e), IRORI_LIMIT);
    assert_non_null(strstr(e.message, "200"));
    assert_int_equal(irori_sessions_step(&s, &id, 1, &e), IRORI_LIMIT);
    assert_ptr_equal(irori_session_logits(s), logits);  // nothing was run, nothing is lost
    irori_session_free(s);
    irori_model_close(m);
}

static void cancel_stops_and_the_session_goes_on(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, &endless);
    irori_generation g;
    irori_error e;
    seen x = {.cancel_at = 4, .s = s};
    add_tokens(s, 5);
    assert_int_equal(irori_session_generate(s, 50, look, &x, &g, &e), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_CANCELED);
    assert_int_equal(g.completion_tokens, 4);
    assert_int_equal(held(s), 8);  // the fourth was shown and not run
    add_tokens(s, 1);
    x = (seen){0};
    assert_int_equal(irori_session_generate(s, 4, look, &x, &g, &e), IRORI_OK);
    assert_int_equal(g.finish, IRORI_FINISH_LENGTH);
    irori_session_free(s);
    irori_model_close(m);
}

typedef struct canceler {
    irori_session *s;
    atomic_bool done;
} canceler;

static void *cancel_often(void *ctx)
{
    canceler *c = ctx;
    for (int i = 0; i < 5000 && !atomic_load(&c->done); i++) {
        irori_session_cancel(c->s);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void cancel_from_another_thread(void **state)
{
    (void)state;
    irori_model *m = open_demo("irori-tiny", 2);
    irori_session *s = open_session(m, NULL);
    int32_t ids[600];
    for (int i = 0; i < 600; i++)
        ids[i] = 100 + i;
    pthread_t thread;
    static canceler c;
    c = (canceler){.s = s};
    irori_error e;
    assert_int_equal(pthread_create(&thread, NULL, cancel_often, &c), 0);
    assert_int_equal(irori_session_add(s, ids, 600, &e), IRORI_CANCELED);
    atomic_store(&c.done, true);
    pthread_join(thread, NULL);
    assert_true(held(s) < 600);
    assert_null(irori_session_logits(s));
    size_t done = held(s);
    assert_int_equal(irori_session_add(s, ids + done, 600 - done, &e), IRORI_OK);
    assert_non_null(irori_session_logits(s));
    irori_session_free(s);
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
        cmocka_unit_test(generate_needs_a_prompt),
        cmocka_unit_test(generate_stops_at_max_tokens),
        cmocka_unit_test(generate_stops_at_an_end_token),
        cmocka_unit_test(generate_stops_when_the_callback_says_so),
        cmocka_unit_test(generate_stops_at_a_full_context),
        cmocka_unit_test(cancel_stops_and_the_session_goes_on),
        cmocka_unit_test(cancel_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}

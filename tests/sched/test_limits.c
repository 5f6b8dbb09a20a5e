// Bounds: the queue, prompts and requests that cannot fit, room promised before running, turns of clients, ends with
// requests under way, many threads at once.
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "model/toy.h"
#include "sched/serve.h"

static const irori_logit_bias no_end[] = {{2, -INFINITY}};
static const irori_sampling endless = {.logit_bias = no_end, .logit_bias_count = 1};

static irori_request_options plain(int prompt, int tokens)
{
    return (irori_request_options){.prompt = prompt_of(prompt, 5),
                                   .prompt_tokens = (size_t)prompt,
                                   .sampling = &endless,
                                   .max_tokens = (size_t)tokens};
}

static void refuse(served *x, irori_request_options r, int status, const char *says)
{
    irori_error e;
    irori_request *out;
    assert_int_equal(irori_request_submit(&out, x->s, &r, on_event, NULL, &e), status);
    assert_null(out);
    if (!strstr(e.message, says))
        fail_msg("\"%s\" does not say \"%s\"", e.message, says);
}

static void refusals(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);
    refuse(&x, plain(0, 5), IRORI_INVALID, "empty");
    refuse(&x, plain(201, 5), IRORI_LIMIT, "201");
    refuse(&x, plain(200, 5), IRORI_LIMIT, "200");
    irori_request_options r = plain(5, 5);
    static const int32_t bad[] = {3, 4, 9999};
    r.prompt = bad;
    r.prompt_tokens = 3;
    refuse(&x, r, IRORI_INVALID, "9999");
    r = plain(5, 5);
    r.choices = 3;
    refuse(&x, r, IRORI_INVALID, "3 choices");
    r.choices = -1;
    refuse(&x, r, IRORI_INVALID, "-1");
    r = plain(5, 5);
    r.top_logprobs = 21;
    refuse(&x, r, IRORI_INVALID, "21");
    r = plain(5, 5);
    r.deadline = NAN;
    refuse(&x, r, IRORI_INVALID, "deadline");
    const char *stops[17] = {""};
    r = plain(5, 5);
    r.stop = stops;
    r.stop_count = 1;
    refuse(&x, r, IRORI_INVALID, "stop");
    r.stop_count = 17;
    refuse(&x, r, IRORI_INVALID, "stop");
    irori_sampling hot = {.temperature = -1};
    r = plain(5, 5);
    r.sampling = &hot;
    refuse(&x, r, IRORI_INVALID, "temperature");
    serve_end(&x);
}

static void read_only(served *x, int n)
{
    told *t = told_new();
    irori_request_options r = plain(n, 0);
    irori_request_free(submit(x, &r, t));
    wait_done(t);
    told_free(t);
}

static void held_prompts(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);  // 10 pages, of which half may be held
    irori_held *h, *again, *third, *more;
    irori_error e;
    assert_int_equal(irori_scheduler_hold(&h, x.s, prompt_of(150, 5), 150, &e), IRORI_OK);
    assert_int_equal(irori_held_tokens(h), 0);  // nothing was run
    irori_held_release(h);
    read_only(&x, 150);
    assert_int_equal(irori_scheduler_hold(&h, x.s, prompt_of(150, 5), 150, &e), IRORI_OK);
    assert_int_equal(irori_held_tokens(h), 128);
    assert_int_equal(irori_scheduler_hold(&again, x.s, prompt_of(100, 5), 100, &e), IRORI_OK);
    assert_int_equal(irori_held_tokens(again), 64);
    assert_int_equal(irori_scheduler_hold(&third, x.s, prompt_of(150, 5), 150, &e), IRORI_OK);
    assert_int_equal(irori_scheduler_hold(&more, x.s, prompt_of(100, 5), 100, &e), IRORI_LIMIT);
    assert_null(more);
    assert_non_null(strstr(e.message, "5 held"));
    told *t = told_new();
    irori_request_options r = plain(100, 100);
    r.choices = 2;  // 7 pages beside 5 held: it does not wait for what may stay for ever
    irori_request_free(submit(&x, &r, t));
    wait_done(t);
    assert_int_equal(t->finish[0], IRORI_FINISH_FAILED);
    assert_int_equal(t->done.code, IRORI_LIMIT);
    told_free(t);
    irori_held_release(again);
    irori_held_release(third);
    irori_held_release(NULL);
    read_only(&x, 200);
    serve_end(&x);  // what is still held goes with the scheduler
}

// Room for sequences that are none of the scheduler's counts as what is held.
static void claims(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);  // 10 pages, of which half may be held
    irori_held *h, *more;
    irori_error e;
    assert_int_equal(irori_scheduler_claim(&more, x.s, 6 * 64, &e), IRORI_LIMIT);
    assert_null(more);
    assert_int_equal(irori_scheduler_claim(&more, x.s, SIZE_MAX, &e), IRORI_LIMIT);
    assert_int_equal(irori_scheduler_claim(&h, x.s, 4 * 64 + 1, &e), IRORI_OK);
    assert_int_equal(irori_held_tokens(h), 0);
    assert_int_equal(irori_scheduler_claim(&more, x.s, 1, &e), IRORI_LIMIT);
    irori_held_release(h);
    assert_int_equal(irori_scheduler_claim(&more, x.s, 1, &e), IRORI_OK);
    serve_end(&x);
}

static void count_it(void *ctx, irori_model *m)
{
    assert_non_null(m);
    ++*(int *)ctx;
}

static void sleep_a_while(void *ctx, irori_model *m)
{
    (void)m;
    atomic_store((atomic_bool *)ctx, true);
    for (double until = os_seconds() + .3; os_seconds() < until;)
        ;
}

static void *occupy(void *ctx)
{
    void **of = ctx;
    irori_scheduler_call(of[0], sleep_a_while, of[1]);
    return NULL;
}

// Urgent work comes between the pieces of a prompt, which is read all the same; what cannot begin in time never does.
static void what_cannot_wait(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);
    told *t = told_new();
    irori_request_options r = plain(190, 10);
    int calls = 0;
    irori_request *h = submit(&x, &r, t);
    for (int i = 0; i < 20; i++)
        assert_int_equal(irori_scheduler_call_by(x.s, 60, count_it, &calls), IRORI_OK);
    assert_int_equal(calls, 20);
    wait_done(t);
    assert_int_equal(t->n[0], 10);
    told *same = told_new();
    irori_request_free(h);
    irori_request_free(submit(&x, &r, same));
    wait_done(same);
    assert_memory_equal(t->token[0], same->token[0], 10 * sizeof(int32_t));
    told_free(t);
    told_free(same);
    pthread_t other;
    atomic_bool busy = false;
    void *of[] = {x.s, &busy};
    assert_int_equal(pthread_create(&other, NULL, occupy, of), 0);
    while (!atomic_load(&busy))
        ;
    assert_int_equal(irori_scheduler_call_by(x.s, .01, count_it, &calls), IRORI_BUSY);
    pthread_join(other, NULL);
    assert_int_equal(irori_scheduler_call(x.s, count_it, &calls), IRORI_OK);
    assert_int_equal(calls, 21);  // it did not come later either
    serve_end(&x);
}

static void prompts_alone(void **state)
{
    (void)state;
    served x = serve_toy(1, 64, NULL);
    told *t = told_new();
    irori_request_options r = plain(200, 0);  // fills the context, makes nothing
    irori_request_free(submit(&x, &r, t));
    wait_done(t);
    assert_int_equal(t->reads, 1);
    assert_int_equal(t->n[0], 0);
    assert_int_equal(t->finish[0], IRORI_FINISH_LENGTH);
    told_free(t);
    t = told_new();
    r = plain(190, 1000);  // cut to what the context leaves
    irori_request_free(submit(&x, &r, t));
    wait_done(t);
    assert_int_equal(t->n[0], 10);
    assert_int_equal(t->finish[0], IRORI_FINISH_LENGTH);
    told_free(t);
    serve_end(&x);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    irori_scheduler_options o = {.queue = 3};
    served x = serve_toy(1, 64, &o);
    irori_request_options r = plain(10, 100);
    told *t[4];
    irori_request *h[4];
    t[0] = told_new();
    h[0] = submit_paused(&x, &r, t[0]);
    irori_scheduler_stats st;
    do
        irori_scheduler_get_stats(x.s, &st);
    while (st.waiting > 0);  // admitted
    for (int i = 1; i < 4; i++) {
        t[i] = told_new();
        h[i] = submit(&x, &r, t[i]);
    }
    refuse(&x, r, IRORI_BUSY, "3 requests");
    irori_request_cancel(h[2]);
    wait_done(t[2]);
    assert_int_equal(t[2]->done.finish, IRORI_FINISH_CANCELED);
    irori_request_pause(h[0], false);
    for (int i = 0; i < 4; i++) {
        wait_done(t[i]);
        assert_int_equal(t[i]->n[0], i == 2 ? 0 : 100);
        irori_request_free(h[i]);
        told_free(t[i]);
    }
    irori_scheduler_get_stats(x.s, &st);
    assert_int_equal(st.refused, 1);
    assert_int_equal(st.accepted, 4);
    serve_end(&x);
}

static int order[8], n_order;

static void note_order(told *t, const irori_event *ev)
{
    if (ev->kind == IRORI_EVENT_READ)
        order[n_order++] = *(int *)t->more;
}

// One client's crowd does not keep another client waiting.
static void clients_take_turns(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);
    irori_request_options r = plain(10, 20);
    told *t[6];
    irori_request *h[6];
    int id[6];
    n_order = 0;
    for (int i = 0; i < 6; i++) {
        id[i] = i;
        t[i] = told_new();
        t[i]->more = &id[i];
        t[i]->during = note_order;
        r.client = i == 5 ? 2 : 1;  // the last comes from somebody else
        // One slot is held: the rest pass through the other, one by one.
        h[i] = i == 0 ? submit_paused(&x, &r, t[i]) : submit(&x, &r, t[i]);
    }
    for (int i = 1; i < 6; i++)
        wait_done(t[i]);
    irori_request_pause(h[0], false);
    wait_done(t[0]);
    int other = 0;
    while (order[other] != 5)
        other++;
    assert_true(other <= 3);  // at once after those that were running when it came
    for (int i = 0; i < 6; i++) {
        irori_request_free(h[i]);
        told_free(t[i]);
    }
    serve_end(&x);
}

static void an_end_cancels_all(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);
    irori_request_options r = plain(10, 150);
    told *t[5];
    for (int i = 0; i < 5; i++) {
        t[i] = told_new();
        irori_request_free(submit(&x, &r, t[i]));
    }
    wait_events(t[0], 3);
    serve_end(&x);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(t[i]->dones, 1);
        assert_int_equal(t[i]->ends, 1);
        assert_true(t[i]->done.finish == IRORI_FINISH_CANCELED || t[i]->done.finish == IRORI_FINISH_LENGTH);
        told_free(t[i]);
    }
}

// What an earlier request read of the same text need not be run again, and gives the same answer.
static void known_prompts(void **state)
{
    (void)state;
    served x = serve_toy(2, 64, NULL);
    irori_request_options r = plain(150, 20);
    told *t[2];
    for (int i = 0; i < 2; i++) {
        t[i] = told_new();
        irori_request_free(submit(&x, &r, t[i]));
        wait_done(t[i]);
        assert_int_equal(t[i]->done.prompt_tokens, 150);
        assert_int_equal(t[i]->done.cached_tokens, i ? 128 : 0);
    }
    assert_memory_equal(t[0]->token[0], t[1]->token[0], 20 * sizeof(int32_t));
    r = plain(128, 5);  // its last token is always run
    told_free(t[1]);
    t[1] = told_new();
    irori_request_free(submit(&x, &r, t[1]));
    wait_done(t[1]);
    assert_int_equal(t[1]->done.cached_tokens, 64);
    told_free(t[0]);
    told_free(t[1]);
    serve_end(&x);
}

static void count_call(void *ctx, irori_model *m)
{
    irori_session *s;
    irori_error e;
    assert_int_equal(irori_session_new(&s, m, NULL, &e), IRORI_OK);  // the model is free
    irori_session_free(s);
    ++*(int *)ctx;
}

typedef struct client {
    served *x;
    unsigned seed;
    int done, refused, calls;
} client;

static void *client_main(void *ctx)
{
    client *c = ctx;
    for (int i = 0; i < 12; i++) {
        unsigned draw = (c->seed * 31 + (unsigned)i) * 2654435761u / 65536;
        told *t = told_new();
        int32_t prompt[60];
        for (int k = 0; k < 60; k++)
            prompt[k] = 3 + (int32_t)((draw + (unsigned)k * 17) % 250);
        irori_request_options r = {.prompt = prompt,
                                   .prompt_tokens = 1 + draw % 60,
                                   .sampling = &endless,
                                   .max_tokens = draw % 40,
                                   .choices = 1 + (int)(draw % 2),
                                   .client = c->seed};
        irori_request *h;
        if (irori_request_submit(&h, c->x->s, &r, on_event, t, NULL)) {
            c->refused++;
            told_free(t);
            continue;
        }
        if (draw % 5 == 0) {
            wait_events(t, 1);
            irori_request_cancel(h);
        }
        if (draw % 3 == 0)
            c->calls += irori_scheduler_call(c->x->s, count_call, &c->done) == IRORI_OK;
        wait_done(t);
        irori_request_free(h);
        told_free(t);
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    enum { CLIENTS = 6 };
    irori_scheduler_options o = {.queue = 4};
    served x = serve_toy(4, 32, &o);
    pthread_t thread[CLIENTS];
    client c[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = (client){&x, (unsigned)i + 1, 0, 0, 0};
        assert_int_equal(pthread_create(&thread[i], NULL, client_main, &c[i]), 0);
    }
    int calls = 0, ran = 0;
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(thread[i], NULL);
        calls += c[i].calls;
        ran += c[i].done;
    }
    assert_int_equal(calls, ran);
    irori_scheduler_stats st;
    irori_scheduler_get_stats(x.s, &st);
    assert_int_equal(st.failed, 0);
    assert_int_equal(st.waiting, 0);
    serve_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(held_prompts),
        cmocka_unit_test(claims),
        cmocka_unit_test(what_cannot_wait),
        cmocka_unit_test(prompts_alone),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(clients_take_turns),
        cmocka_unit_test(an_end_cancels_all),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(known_prompts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_clean();
    return failed;
}

// See serve.h.
#include "sched/serve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/toy.h"

served serve_toy(int sessions, int batch, const irori_scheduler_options *o)
{
    toy t = toy_llama();
    irori_model_options mo = {
        .threads = 2, .context = 200, .sessions = sessions, .batch = batch, .no_pin = true};
    served x = {.m = open_model(toy_save(&t, "serve.gguf"), &mo)};
    irori_error e;
    if (irori_scheduler_new(&x.s, x.m, o, &e))
        fail_msg("%s", e.message);
    return x;
}

void serve_end(served *x)
{
    irori_scheduler_free(x->s);
    irori_model_close(x->m);
}

told *told_new(void)
{
    told *t = calloc(1, sizeof *t);
    assert_non_null(t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    return t;
}

void told_free(told *t)
{
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
}

static void add_text(told *t, const irori_event *ev)
{
    size_t room = MOST_TEXT - 1 - t->bytes[ev->choice], n = ev->bytes < room ? ev->bytes : room;
    memcpy(t->text[ev->choice] + t->bytes[ev->choice], ev->text, n);
    t->bytes[ev->choice] += n;
}

void on_event(void *ctx, const irori_event *ev)
{
    told *t = ctx;
    pthread_mutex_lock(&t->lock);
    if (ev->kind == IRORI_EVENT_READ)
        t->reads++;
    if (ev->kind == IRORI_EVENT_TOKEN && t->n[ev->choice] < MOST_TOKENS) {
        t->logprob[ev->choice][t->n[ev->choice]] = ev->logprob;
        t->token[ev->choice][t->n[ev->choice]++] = ev->token;
        add_text(t, ev);
    }
    if (ev->kind == IRORI_EVENT_END) {
        t->ends++;
        t->finish[ev->choice] = ev->finish;
        t->stop[ev->choice] = ev->stop;
        add_text(t, ev);
    }
    if (ev->kind == IRORI_EVENT_DONE) {
        t->done = *ev;
        strncpy(t->message, ev->message, sizeof t->message - 1);
    }
    void (*during)(told *, const irori_event *) = t->during;
    pthread_mutex_unlock(&t->lock);
    if (during)
        during(t, ev);
    pthread_mutex_lock(&t->lock);
    t->dones += ev->kind == IRORI_EVENT_DONE;
    t->events++;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

void wait_events(told *t, int n)
{
    pthread_mutex_lock(&t->lock);
    while (t->events < n)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

void wait_done(told *t)
{
    pthread_mutex_lock(&t->lock);
    while (!t->dones)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

const int32_t *prompt_of(int n, unsigned seed)
{
    static int32_t ids[MOST_TOKENS];
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)(3 + ((seed * 7919u + (unsigned)i * 2654435761u) >> 9) % 250);
    return ids;
}

irori_request *submit_paused(served *x, const irori_request_options *o, told *t)
{
    pthread_mutex_lock(&t->lock);  // its first event waits, and the scheduler with it
    irori_request *r = submit(x, o, t);
    irori_request_pause(r, true);
    pthread_mutex_unlock(&t->lock);
    return r;
}

irori_request *submit(served *x, const irori_request_options *o, told *t)
{
    static const irori_sampling greedy;
    irori_request_options mine = *o;
    irori_request *r;
    irori_error e;
    if (!mine.sampling)
        mine.sampling = &greedy;
    if (irori_request_submit(&r, x->s, &mine, on_event, t, &e))
        fail_msg("%s", e.message);
    return r;
}

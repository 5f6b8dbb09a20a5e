// A scheduler over a small random model, and what comes of its requests, gathered.
#ifndef TESTS_SCHED_SERVE_H
#define TESTS_SCHED_SERVE_H

#include <pthread.h>

#include "api/support.h"

enum { MOST_CHOICES = 8, MOST_TOKENS = 512, MOST_TEXT = 4096 };

typedef struct served {
    irori_model *m;
    irori_scheduler *s;
} served;

// Context 200, greedy by default. toy_clean() at the end.
served serve_toy(int sessions, int batch, const irori_scheduler_options *o);
void serve_end(served *x);

// What a request told. `during` is called for each event, on the scheduler's thread, when it is set.
typedef struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int events, reads, ends, dones;
    int n[MOST_CHOICES];
    int32_t token[MOST_CHOICES][MOST_TOKENS];
    float logprob[MOST_CHOICES][MOST_TOKENS];
    char text[MOST_CHOICES][MOST_TEXT];
    size_t bytes[MOST_CHOICES];
    irori_finish finish[MOST_CHOICES];
    int stop[MOST_CHOICES];
    irori_event done;
    char message[256];
    void (*during)(struct told *t, const irori_event *ev);
    irori_request *r;  // for `during`; set by the test
    void *more;
} told;

told *told_new(void);
void told_free(told *t);  // after DONE
void on_event(void *ctx, const irori_event *ev);
void wait_events(told *t, int n);  // until n events came
void wait_done(told *t);

// n tokens that differ from seed to seed; valid until the next call.
const int32_t *prompt_of(int n, unsigned seed);
// Submits, and fails the test when it is refused.
irori_request *submit(served *x, const irori_request_options *o, told *t);
// The same, and it makes one token at most until it is let go on.
irori_request *submit_paused(served *x, const irori_request_options *o, told *t);

#endif

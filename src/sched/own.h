// Inside of the sched room: a request, its choices, and the thread's lists.
#ifndef SCHED_OWN_H
#define SCHED_OWN_H

#include <pthread.h>
#include <stdatomic.h>

#include "sched/sched.h"
#include "spec/spec.h"

// One answer being made. Belongs to the scheduler's thread once submitted.
typedef struct sched_choice {
    sched_request *r;
    int index;
    kv_seq *seq;
    int32_t *tokens;         // [n_prompt + max_tokens]; the prompt and what was chosen
    size_t n_tokens, n_run;  // of these, run: all but the last, or but some that a grammar forced
    size_t n_forced;         // tokens behind them that the grammar forces, not told yet
    samp *samp;
    spec *spec;           // guesses of the only choice of a request; NULL: none
    gram_state *grammar;  // NULL: anything may be written
    tok_stream stream;
    buf held;  // text that may be the beginning of a stop text
    bool running, ended;
    double last;  // when its latest token was chosen
} sched_choice;

struct sched_request {
    sched *s;
    atomic_int refs;  // the caller's handle, and the scheduler until DONE
    atomic_bool cancel, paused, ended;
    sched_request *next;  // in one of the scheduler's lists
    // As submitted:
    size_t n_prompt, max_tokens;
    int n_choices, n_stops, top;
    char *stop[SCHED_STOPS];
    size_t stop_len[SCHED_STOPS], longest_stop;
    bool special, logprobs;
    uint64_t client;
    void (*event)(void *ctx, const sched_event *ev);
    void *ctx;
    int pages;                              // promised to it
    double submitted, deadline;             // deadline: a point in time; 0: none
    double admitted, read, first, latest;   // points in time; 0: not yet
    size_t n_read, n_cached, n_completion;  // tokens
    size_t n_guessed, n_accepted;
    int n_ended;         // choices
    sched_finish worst;  // of its choices
    int code;
    char message[sizeof((err *)0)->msg];
    sched_choice *choice;  // [n_choices]; the first one reads the prompt
};

typedef struct sched_job {  // of sched_call
    void (*fn)(void *ctx);
    void *ctx;
    int rc;
    bool begun, done;
    struct sched_job *next;
} sched_job;

struct sched_held {
    sched *s;
    kv_seq *seq;  // NULL: room for others
    size_t n_tokens;
    int pages;
    sched_held *next;
};

typedef struct sched_list {
    sched_request *first, *last;
} sched_list;

struct sched {
    engine *x;
    const tok *tok;
    int queue_limit, slots, chunk, pages;
    pthread_t thread;
    bool started;
    // Guarded by lock:
    pthread_mutex_t lock;
    pthread_cond_t wake, job_done;
    sched_list incoming;
    sched_job *jobs;
    bool poked, quit;
    atomic_int urgent;  // jobs that cannot wait
    int waiting;        // requests in incoming and queue
    sched_stats shown;  // what sched_get_stats gives
    uint64_t accepted, refused;
    // The thread's own:
    sched_list queue, active;
    int used_slots, promised;
    sched_held *holds;
    int held;  // pages; those that several hold count several times
    sched_stats stats;
    double counted;      // when pages were counted last
    bool ended_some;     // a request ended in this turn: another may be admitted
    engine_row *rows;    // [slots] of the step
    sched_choice **row;  // [slots] whose they are
    int n_rows;
    spec_memory *guessing;
    atomic_bool guesses;       // whether anything is guessed; set by any thread
    int32_t guess[SPEC_MOST];  // behind the token of the step's only row
    int n_guess;
    uint32_t *mask;  // [ceil(vocabulary / 32)] tokens a grammar allows
    sched_top top[SCHED_TOP];
};

// sched.c
void sched_list_add(sched_list *l, sched_request *r);
void sched_list_remove(sched_list *l, sched_request *r);

// hold.c
void sched_release_all(sched *s);  // when the thread has ended

// request.c
int sched_request_make(sched_request **out, sched *s, const sched_params *p, err *e);
void sched_request_unref(sched_request *r);

// step.c
void sched_admit(sched *s);
bool sched_step(sched *s);  // false: there was nothing to run
// Ends what still runs of a request; sched_sweep then takes it from its list.
void sched_request_end(sched_request *r, sched_finish why, int code, const char *message);
// Finishes the requests all of whose choices have ended.
void sched_sweep(sched *s);
bool sched_request_over(const sched_request *r, double now, sched_finish *why);

// choice.c
// Chooses a token from logits [vocabulary] and tells it; may end the choice and with it the request.
void sched_choice_take(sched_choice *c, const float *logits);
// Takes what the grammar forces behind it, so that it is run in one pass; the same.
void sched_choice_force(sched_choice *c);
void sched_choice_end(sched_choice *c, sched_finish why, int stop);
void sched_tell(sched_request *r, sched_event *ev);  // fills in the request's figures
void sched_count(sched_histogram *h, double seconds);

#endif

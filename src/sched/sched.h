// The door of the sched room: many requests at once over one engine (continuous batching).
//
// A scheduler owns a thread, and that thread owns the engine: each turn it drops what was cancelled, admits from the
// queue what fits, and runs one step in which every generating choice has one row and what is left of the batch is
// shared by the prompts being read. A request is admitted only when the KV pages of its longest course can be
// promised to it, and takes them at once: what runs never fails for want of room. In which company a request runs
// changes nothing of its result (engine.h). A token in steady state allocates nothing.
//
// Threads: every function may be called from any thread. Events come on the scheduler's thread, one at a time.
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "base/base.h"
#include "engine/engine.h"
#include "gram/gram.h"
#include "samp/samp.h"
#include "tok/tok.h"

typedef struct sched sched;
typedef struct sched_request sched_request;
typedef struct sched_held sched_held;

enum { SCHED_TOP = 20, SCHED_STOPS = 16, SCHED_BUCKETS = 14 };

typedef struct sched_options {
    int queue;  // most requests waiting; 0: 64
    int slots;  // most choices generating at once; 0: engine.sequences. At most engine.outputs and half its batch
    bool no_guess;  // do not guess ahead (spec.h) while one choice runs alone
    int chunk;      // most prompt tokens a step while others generate; 0: 64
} sched_options;

// The engine and the tokenizer are borrowed until sched_free; nobody else may step the engine meanwhile.
int sched_new(sched **out, engine *x, const tok *t, const sched_options *o, err *e);
// Ends every request with SCHED_CANCELED, then the thread. No call may be under way. NULL is allowed.
void sched_free(sched *s);

typedef enum sched_finish {
    SCHED_STOP,      // an end token or a stop text
    SCHED_LENGTH,    // max_tokens or a full context
    SCHED_CANCELED,  // by sched_request_cancel, by sched_free
    SCHED_LATE,      // the request's time was over
    SCHED_FAILED     // code and message say why
} sched_finish;

typedef struct sched_top {
    int32_t token;
    float logprob;
} sched_top;

enum sched_event_kind {
    SCHED_READ,   // the prompt was run (once, before the first token)
    SCHED_TOKEN,  // a token was chosen
    SCHED_END,    // a choice is finished; `text` is what was still held back
    SCHED_DONE    // the request is finished: always the last event, always comes
};

// Pointers are valid during the call.
typedef struct sched_event {
    enum sched_event_kind kind;
    int choice;
    int32_t token;
    float logprob;         // log-probability under the model's own distribution; 0 unless asked for
    const sched_top *top;  // the likeliest, best first
    int n_top;
    const char *text;  // whole characters that are certain not to begin a stop text; may be empty
    size_t bytes;
    sched_finish finish;  // END; DONE: SCHED_FAILED, SCHED_LATE, SCHED_CANCELED when any choice ended so
    int stop;             // END: which stop text ended it; -1: none
    int code;             // ST_OK unless SCHED_FAILED
    const char *message;
    // Of the request so far:
    size_t prompt_tokens, cached_tokens;                        // cached: of the prompt, not run again
    size_t completion_tokens;                                   // of all choices
    double queue_seconds, prompt_seconds, first_token_seconds;  // first_token: from submission
    size_t guessed_tokens, accepted_tokens;                     // run ahead; of these, chosen then
    double decode_seconds;                                      // from the first token to the last
} sched_event;

typedef struct sched_params {
    const int32_t *prompt;  // copied
    size_t n_prompt;
    size_t max_tokens;         // of each choice; 0: only read the prompt. Cut to what the context leaves
    int choices;               // 1 and more, at most the slots; they share the prompt
    samp_params samp;          // choice i draws with seed + i
    gram *grammar;             // what each choice is held to; referenced; NULL: anything
    const char *const *stops;  // texts that end a choice and are not shown; copied
    int n_stops;               // at most SCHED_STOPS, each 1..1024 bytes
    bool special;              // control tokens show their text
    bool logprobs;             // fill event.logprob
    int top;                   // that many likeliest, 0..SCHED_TOP; only with logprobs
    double deadline;           // seconds from submission, waiting included; 0: none
    uint64_t client;           // turns are shared by client; 0: one client like any other
    void (*event)(void *ctx, const sched_event *ev);  // must not block, nor call sched_free or sched_call
    void *ctx;
} sched_params;

// Queues a request. ST_INVALID (a parameter outside its range), ST_LIMIT (prompt too long for the context, or the
// request too large for the KV store even alone), ST_BUSY (the queue is full), ST_NOMEM; no event comes then.
// *out may be NULL: a request nobody needs to cancel.
int sched_submit(sched *s, const sched_params *p, sched_request **out, err *e);
// Ends the request within a step; DONE still comes.
void sched_request_cancel(sched_request *r);
// A paused request keeps its place and pages, and takes no part in steps.
void sched_request_pause(sched_request *r, bool paused);
// Gives the handle back; once for each submit. What runs goes on.
void sched_request_free(sched_request *r);

// Runs fn on the scheduler's thread between two steps, when the engine is free; returns when it has run.
// ST_CANCELED when the scheduler ends first.
int sched_call(sched *s, void (*fn)(void *ctx), void *ctx);
// The same for work that cannot wait: a step that reads prompts is stopped and run again afterwards. ST_BUSY: fn had not
// begun at the deadline (in os_seconds), and never will.
int sched_call_by(sched *s, double deadline, void (*fn)(void *ctx), void *ctx);

// Keeps the whole pages at the beginning of tokens[n] that were run and are still there, until they are released or the
// scheduler is freed; event functions may call these too. Room for one request that fills its context is never held, nor
// more than half of all (ST_LIMIT). ST_NOMEM, ST_CANCELED.
int sched_hold(sched *s, const int32_t *tokens, size_t n, sched_held **out, err *e);
// Sets so many pages aside for sequences that functions of sched_call make; within the same bounds.
int sched_claim(sched *s, int pages, sched_held **out, err *e);
// What is held into a file (kv_seq_save), and held again from it, in this start or a later one; within the same bounds. No
// step is run meanwhile. Errors of kv_seq_save and kv_seq_load; ST_CANCELED.
int sched_held_save(sched_held *h, const char *path, err *e);
int sched_hold_file(sched *s, const char *path, sched_held **out, err *e);
size_t sched_held_tokens(const sched_held *h);
void sched_release(sched_held *h);  // before sched_free; NULL is allowed

// Upper bounds of the histograms' buckets, in seconds; the last bucket has none.
extern const double sched_bucket_bounds[SCHED_BUCKETS - 1];
typedef struct sched_histogram {
    uint64_t count[SCHED_BUCKETS];  // of each bucket alone
    double sum;
} sched_histogram;

typedef struct sched_stats {
    int slots, queue_limit;
    int waiting, reading, generating;  // requests; requests; choices
    uint64_t accepted, refused, finished, canceled, failed;
    uint64_t prompt_tokens, cached_tokens, completion_tokens, steps, step_tokens;
    uint64_t guessed_tokens, accepted_tokens;
    int pages_promised, pages;
    double seconds_per_request;  // recent, for Retry-After; 0: unknown
    sched_histogram first_token, between_tokens, queue;
    kv_stats kv;
} sched_stats;
void sched_get_stats(sched *s, sched_stats *out);
// Off: nothing is guessed from the next step on. On: for requests to come. Any thread.
void sched_set_guesses(sched *s, bool on);
bool sched_guesses(sched *s);

#endif

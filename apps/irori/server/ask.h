// The core that every wire format translates to and from: a question to a model, and its answers as they come.
//
// A wire file fills an `ask` from its JSON and starts it; what comes of it is told through the ask's format. The ask
// takes the conversation through the template, the tokens through the scheduler, and the text through calls.h.
// Format functions run on the scheduler's thread, one at a time, after ask_start has succeeded.
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include <math.h>
#include <pthread.h>

#include "server/server.h"

typedef struct ask ask;

typedef enum ask_finish { ASK_STOP, ASK_LENGTH, ASK_CALLS, ASK_CANCELED } ask_finish;

typedef struct ask_call {
    char id[32];
    buf name, args;
} ask_call;

typedef struct ask_choice {
    ask *a;
    int index;
    buf text, reasoning;
    buf logprobs;        // OpenAI's entries, separated by commas; a stream takes them out as it goes
    size_t n_reasoning;  // tokens that were reasoning
    ask_call *calls;
    int n_calls;
    calls_parser parser;
    ask_finish finish;
    int stop;    // which stop text ended it; -1: none
    bool ended;  // finished, or closed after its one call
} ask_choice;

typedef struct ask_format {
    void (*begin)(ask *a);  // of a stream: its head
    // Of a stream: a piece. CALLS_NAME and on: of the choice's last call.
    void (*part)(ask *a, ask_choice *c, calls_part part, const char *p, size_t n);
    void (*end)(ask *a, ask_choice *c);                     // of a stream: a choice is finished
    void (*done)(ask *a);                                   // the end of a stream; else the whole answer
    void (*fail)(ask *a, int status, const char *message);  // of a stream that has begun: then it ends
    bool keeps;  // a stream's text and reasoning stay in its choices; else only its parts are told
} ask_format;

typedef enum ask_tools { ASK_AUTO, ASK_NONE, ASK_REQUIRED, ASK_NAMED } ask_tools;

struct ask {
    server *s;
    http_request *r;
    family family;
    const ask_format *format;
    void *own;  // the format's; own_free'd with the ask
    void (*own_free)(void *own);
    // The question. json_t are owned.
    json_t *messages;      // a conversation (OpenAI's shape); NULL: `prompt` or `ids`
    json_t *tools;         // OpenAI's shape
    json_t *variables;     // further template variables
    const json_t *prompt;  // borrowed from `body`: a string or an array of ids
    bool raw_special;      // text of control tokens in the prompt becomes them
    json_t *defaults;      // parameters that the model brings; NULL: none
    json_t *body;          // kept alive
    char *model;
    double keep_alive;  // NAN: as it was
    ask_tools tool_choice;
    char *tool_name;  // of ASK_NAMED
    bool parallel;    // more than one call allowed
    irori_sampling sampling;
    irori_logit_bias *bias;
    size_t n_bias;
    int64_t max_tokens;  // -1: what the context leaves
    int choices;
    const char *stop[16];  // borrowed from `body`
    int n_stop;
    bool logprobs, stream, include_usage, split_reasoning, cut;  // cut: drop old messages until it fits
    int top_logprobs;
    double deadline;
    bool unanswered;  // the prompt ends with the conversation, and begins no answer
    bool forbid_end;  // end tokens are not chosen
    bool held;        // to a grammar:
    irori_grammar_kind grammar_kind;
    char *grammar_text;         // NULL for any JSON
    const char *grammar_field;  // that asked for it
    // What is known while it runs:
    const models_open *m;
    int32_t *ids;
    size_t n_ids;
    size_t n_cut;  // messages dropped from the conversation
    double load_seconds;
    int64_t created;      // seconds since 1970
    char record[17];      // names it in the audit log
    char id[40];          // "chatcmpl-..."
    buf out;              // an event being written
    irori_event figures;  // of the latest event; its pointers are void
    ask_choice *choice;
    bool begun;
    // Inside:
    pthread_mutex_t lock;
    atomic_int refs;
    irori_grammar *grammar;
    irori_request *request;
    bool over;
};

// An ask with the usual values, which owns a reference to the body; NULL after answering that there is no memory.
ask *ask_new(incoming *c, const ask_format *format, const char *id_prefix);
// Sampling fields that every family knows under the same name, stop texts, model, deadline; from `f` into the ask.
void ask_read_sampling(ask *a, fields *f);
void ask_read_stop(ask *a, fields *f, const char *name);
void ask_read_tools(ask *a, fields *f);  // OpenAI's tools, tool_choice, parallel_tool_calls
void ask_read_messages(ask *a, fields *f, const char *name);
void ask_read_response_format(ask *a, fields *f, const char *name);  // text, json_object, json_schema
void ask_read_grammar(ask *a, fields *f);                            // llama-server's grammar, json_schema
// Holds the answers to a grammar; text may be NULL for any JSON.
void ask_hold(ask *a, fields *f, const char *field, irori_grammar_kind kind, const char *text);
void ask_hold_json(ask *a, fields *f, const char *field, const json_t *schema);
// Opens the model, makes the tokens, submits. Answers itself when that fails. The ask belongs to itself from here.
void ask_start(ask *a);
// The same, when all fields were right; else answers 400 and frees the ask.
void ask_start_read(ask *a, incoming *c, const fields *f);
// Opens the model and makes the tokens only; ST_OK, or an error told to *e. For counting.
int ask_prepare(ask *a, err *e);
void ask_free(ask *a);  // one that was not started
// Adds a bias that forbids them for each end token to (*bias)[*n].
int ask_forbid_ends(const models_open *m, irori_logit_bias **bias, size_t *n, err *e);

// For formats.
const char *ask_model_name(const ask *a);
void ask_usage(const ask *a, size_t *prompt, size_t *completion, size_t *cached);
void ask_timings(const ask *a, json_writer *w);  // llama-server's "timings" object
void random_id(char *out, size_t cap, const char *prefix);
// All answers that still run are ended; DONE still comes.
void ask_cancel(ask *a);

#endif

// Talks: conversations of people who speak by choosing, kept run ahead by one or more models, so that a round of
// candidates finds nothing left to run.
//
// A talk's models run through their schedulers: what was said in pieces between the steps of other requests, a round by
// stopping what only reads. Functions may take their time, are called from any thread but a scheduler's, and of one talk
// serve one caller at a time.
#ifndef SERVER_TALKS_H
#define SERVER_TALKS_H

#include "server/server.h"

typedef struct talks talks;
typedef struct talk talk;

enum { TALK_MODELS = 4, TALK_SECONDS = 3600, TALK_MOST_SECONDS = 604800 };

int talks_new(talks **out, models *m, shelf *s, err *e);
void talks_halt(talks *x);  // nothing more is run ahead: before the server's workers are waited for
void talks_free(talks *x);  // NULL is allowed; before models_stop

typedef struct talk_options {
    const json_t *profile;           // an object, or the id of a kept one; NULL: the built-in axes
    const char *model[TALK_MODELS];  // [0]: the first one, NULL: the default model; then those of the cascade
    int n_models;
    bool at_once;    // a model that is not open is left out, instead of opened
    double seconds;  // how long it stays unused
} talk_options;
// In use by the caller (talk_leave). ST_INVALID, ST_FORMAT (the profile), ST_NOTFOUND, ST_LIMIT, ST_NOMEM.
int talk_new(talks *x, const talk_options *o, talk **out, err *e);
// Found by others, until its time is over or talk_end. ST_LIMIT: too many are kept.
int talk_keep(talk *k, err *e);
// Takes the talk for the caller, waiting until `deadline` (os_seconds); ST_NOTFOUND, ST_BUSY.
int talk_use(talks *x, const char *id, double deadline, talk **out, err *e);
void talk_leave(talk *k);
int talk_end(talks *x, const char *id);  // ST_NOTFOUND
json_t *talk_describe(talk *k);
void talks_describe(talks *x, json_t *list);  // appends all
bool talk_is_id(const char *id);

// What was said: noted at once by all models, to be run by talk_run or by a round. What a model cannot hold it is left
// out for, and *e says it (ST_OK is returned).
int talk_say(talk *k, bool me, const char *text, err *e);
// Runs what was noted, on all models; others may use the talk meanwhile, so it need not be the caller's any more.
int talk_run(talks *x, const char *id, err *e);

// A round by the i-th model; times count from now. Texts live until the talk is used again.
int talk_round(talk *k, int i, const irori_round *r, irori_candidate *out, int *n, err *e);
int talk_models(const talk *k);                // their number
const char *talk_model(const talk *k, int i);  // its name; "": left out
const irori_profile *talk_profile(const talk *k);
const json_t *talk_messages(const talk *k);  // [{role, content}]
const json_t *talk_avoid(const talk *k);     // texts that were rejected
const char *talk_id(const talk *k);

// The person chose: it was said, and it is remembered for the kept profile across talks and starts.
int talk_choose(talk *k, const char *axis, const char *text, err *e);
void talk_reject(talk *k, const char *text);

// candidates.c: POST /v1/sessions and /v1/sessions/ID/append of sessions that have a profile.
void talk_route_new(incoming *c);
void talk_route_append(incoming *c, const char *id);

#endif

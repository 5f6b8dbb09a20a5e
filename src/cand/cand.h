// The door of the cand room: several short replies to choose from, before the moment has passed.
//
// For a person who speaks by choosing. What can be known ahead (who they are, what was said) lies in one sequence,
// already run. At the trigger each intent (an axis: to agree, to refuse, to ask, ...) gets a row of its own that
// shares the sequence and begins with the axis's tag, so that replies differ by intent whatever the model does, and no
// model is asked for several answers in one text. The rows take their steps together. What is not ready at the
// deadline, not a whole sentence or much like another reply comes from what the person chose before, from the
// profile's scenes, or from the axis's default replies, and says so.
//
// A profile is never changed once made; the rest is used from one thread at a time.
#ifndef CAND_CAND_H
#define CAND_CAND_H

#include "base/base.h"
#include "engine/engine.h"
#include "samp/samp.h"
#include "tok/tok.h"

enum {
    CAND_AXES = 16,
    CAND_MOST = 8,         // replies of a round
    CAND_MOST_TOKENS = 64  // of a reply
};

typedef struct cand_axis {
    const char *id;     // "agree"
    const char *tag;    // what the reply begins with in the model's eyes; never shown
    bool way_out;       // opens a way out of what is asked: one such axis is in every round
    double weight;      // how gladly it is taken without a cue
    const char **cues;  // parts of what was just said that speak for the axis
    size_t n_cues;
    const char **defaults;
    size_t n_defaults;
} cand_axis;

typedef struct cand_scene {
    const char **cues;  // parts of what was just said that open the scene
    size_t n_cues;
    struct {
        int axis;
        const char *text;
    } * replies;
    size_t n_replies;
} cand_scene;

typedef struct cand_profile {
    arena mem;
    const char *about;  // the system message: who speaks, how, to whom; "" when there is none
    cand_axis axes[CAND_AXES];
    int n_axes;
    cand_scene *scenes;
    size_t n_scenes;
} cand_profile;

// From JSON (docs/CANDIDATES.md). Without "axes" the built-in ones of the profile's "language" ("en", "ja") stand.
// ST_FORMAT with the place; ST_LIMIT; ST_NOMEM.
int cand_profile_new(cand_profile **out, const char *json, size_t n, err *e);
void cand_profile_free(cand_profile *p);                    // NULL is allowed
int cand_axis_find(const cand_profile *p, const char *id);  // -1: none

// How alike two texts are to a reader, 0..1: the Dice coefficient of their pairs of characters, case, spaces and
// punctuation aside.
double cand_similarity(const char *a, const char *b);

bool cand_alike(const char *a, const char *b);  // so much that they are one reply
// A reply from outside without its tag: its first line, whole sentences of it, into out[cap]. False: nothing that can be said.
bool cand_clean(const char *tag, const char *text, char *out, size_t cap);

// What the person chose before: the reply, and what had been said to it.
typedef struct cand_choice {
    char *heard, *text;
    int axis;
} cand_choice;
typedef struct cand_cache {
    cand_choice *list;  // oldest first
    size_t n, cap;
} cand_cache;
enum { CAND_CACHE_MOST = 512 };                                                    // the oldest give way
int cand_cache_add(cand_cache *c, const char *heard, int axis, const char *text);  // copies; ST_NOMEM
void cand_cache_done(cand_cache *c);

typedef enum cand_source { CAND_MODEL, CAND_CACHE, CAND_SCENE, CAND_DEFAULT } cand_source;

typedef struct cand_reply {
    char text[CAND_MOST_TOKENS * 16];  // NUL-terminated UTF-8
    int axis;
    cand_source source;
    double seconds;  // from the trigger until it was final
} cand_reply;

typedef struct cand_round {
    const cand_profile *profile;
    const cand_cache *cache;
    const char *heard;  // what was said last; "" when nothing was
    int n;              // replies wanted, 1..CAND_MOST
    int max_tokens;     // of each, 1..CAND_MOST_TOKENS
    double deadline;    // in os_seconds
    double started;     // the trigger, in os_seconds
    const int *axes;    // the axes to use, in order; NULL: those that what was heard makes likely
    int n_axes;
    const char *const *avoid;  // replies that are not wanted again
    size_t n_avoid;
    const int *avoid_axes;  // [n_avoid] their axes, -1 unknown
    float temperature;
    uint64_t seed;
    int tries;  // of a row, 1 and more
    // Told of text so far (final false), of each reply (final true); may be NULL.
    void (*event)(void *ctx, int index, const cand_reply *r, bool final);
    void *ctx;
} cand_round;

// A conversation run ahead to where each axis's reply begins, behind its tag. Engine, tokenizer and profile are borrowed.
typedef struct cand_ahead cand_ahead;
int cand_ahead_new(cand_ahead **out, engine *x, const tok *t, const cand_profile *p,
                   err *e);            // ST_NOMEM, ST_INVALID
void cand_ahead_free(cand_ahead *a);   // NULL is allowed
void cand_ahead_reset(cand_ahead *a);  // the conversation goes on: forgets what was run
// Runs the tags of these axes, but for those that were since the reset, behind prefix, a sequence that ends where the
// reply begins. cancel as in engine_step. Of a call that failed nothing is kept.
int cand_ahead_run(cand_ahead *a, const kv_seq *prefix, const int *axes, int n, bool (*cancel)(void *ctx),
                   void *ctx, err *e);

// Fills out[r->n]; gives how many there are: fewer than wanted only when even the defaults are used up. prefix: a
// sequence that ends where the reply begins, of which `ahead` is; NULL: no model, fall-backs only. Whatever goes wrong
// with the model, the fall-backs answer before the deadline; *e says what it was (code ST_OK: nothing).
int cand_round_run(const cand_round *r, cand_ahead *ahead, const kv_seq *prefix, cand_reply *out, err *e);

#endif

// Inside of the spec room: evidence, sources, costs.
#ifndef SPEC_OWN_H
#define SPEC_OWN_H

#include "spec/spec.h"

// How often guesses with evidence of one kind came true: counts that fade, so that they follow the text.
typedef struct spec_rate {
    double right, tries;
} spec_rate;

enum { SPEC_LEVELS = 8 };  // of evidence, weakest first

enum spec_source_kind { SPEC_LOOKUP, SPEC_DRAFT, SPEC_OUTSIDE, SPEC_SOURCES };

// lookup.c: where each short run of tokens was last seen.
typedef struct spec_lookup {
    int32_t *token;  // [cap] the history, as far as it is indexed
    int32_t *next;   // [cap] the place before with the same hash; 0: none
    int32_t *head;   // [cap] by hash: the latest place; 0: none
    size_t cap, n;   // n: tokens indexed
} spec_lookup;
// The longest match of history's end within history: where it goes on, and its length in *match (0: none).
size_t spec_lookup_find(spec_lookup *l, const int32_t *history, size_t n, int *match);
bool spec_lookup_reserve(spec_lookup *l, size_t n);  // room for n tokens; false: no memory
int spec_lookup_level(int match);
void spec_lookup_done(spec_lookup *l);

// draft.c: a smaller model that follows the history.
typedef struct spec_draft {
    engine *x;
    kv_seq *seq;
    int vocab;
    int32_t *held;  // [context] tokens its sequence holds
    size_t n_held;
    bool broken;  // it failed once: not asked again
    struct spec_memory *memory;
} spec_draft;
int spec_draft_init(spec_draft *d, engine *x, int vocab, struct spec_memory *memory, err *e);
void spec_draft_done(spec_draft *d);
size_t spec_draft_missing(const spec_draft *d, const int32_t *history,
                          size_t n);  // tokens it must read first
// The likeliest token after history[n] and guess[at], and its probability; asked for at = 0, 1, 2, ... -1: the draft
// cannot say (broken, or its context is full).
int32_t spec_draft_next(spec_draft *d, const int32_t *history, size_t n, const int32_t *guess, int at,
                        float *probability);
int spec_draft_level(float probability);

// cost.c: seconds of a run by its rows.
typedef struct spec_cost {
    double scale;                 // seconds of one row now; 0: not yet known
    double shape[SPEC_MOST + 2];  // [rows] times that; 0: not yet measured
} spec_cost;
double spec_cost_of(const spec_cost *c, int rows);
void spec_cost_learn(spec_cost *c, int rows, double seconds);

struct spec_memory {
    spec_cost cost;
    spec_rate rate[SPEC_SOURCES][SPEC_LEVELS];
    double token_seconds;       // of one token guessed by the draft; 0: not yet known
    double prompt_seconds;      // of one token the draft reads in bulk; 0: not yet known
    double spent;               // seconds of all runs and guesses
    double lost[SPEC_SOURCES];  // of these, by a source's guesses against plain runs
};

struct spec {
    spec_options o;
    spec_memory *m, *own;  // own: NULL when m is shared
    spec_lookup lookup;
    spec_draft draft;
    // The last guess:
    enum spec_source_kind source;
    int32_t guess[SPEC_MOST];
    int level[SPEC_MOST];
    int n_guess, n_right;
    double seconds;  // that sources took for it
    int run_rows;
    double run_seconds;  // that its run took
    bool open;           // its outcome is not all told yet
    // What lookup would have said, to learn from even when it is not asked:
    int32_t shadow;
    int shadow_level;  // -1: nothing
    spec_stats stats;
};

#endif

// Inside of the cand room.
#ifndef CAND_OWN_H
#define CAND_OWN_H

#include "cand/cand.h"

// axes.c: the built-in axes.
extern const char cand_axes_en[], cand_axes_ja[];  // JSON

// pick.c
// The axes of a round of n: those that what was heard makes likely, one way out among them.
void cand_pick_axes(const cand_round *r, int *axes);
bool cand_contains(const char *text, const char *part);  // letter case of ASCII aside
// Whether a reply can be said: two letters or more, none of the marks before them that belong inside, brackets in pairs.
bool cand_well_formed(const char *text);
// Whether `text` is much like one of the first n replies or something to avoid.
bool cand_taken(const cand_round *r, const cand_reply *replies, const bool *have, int n, const char *text);
// The next best thing for an axis; false when all is taken.
bool cand_fall_back(const cand_round *r, const cand_reply *replies, const bool *have, cand_reply *out);

// pace.c: what steps cost here, learnt as they are made.
typedef struct cand_pace {
    double seconds[CAND_MOST + 1];  // of a step of so many rows; 0: not known
    double tokens;                  // that a reply takes; 0: not known
} cand_pace;
double cand_pace_step(const cand_pace *p, int rows);  // seconds that a step takes; 0: not known
void cand_pace_stepped(cand_pace *p, int rows, double seconds);
void cand_pace_ended(cand_pace *p, int tokens);  // a reply ended by itself
// How many of `rows` rows go on together, the first of which has `made` tokens: as many as are likely to end within `left`
// seconds, at least one.
int cand_pace_fit(const cand_pace *p, int rows, int made, double left);

// ahead.c
struct cand_ahead {
    engine *x;
    const tok *tok;
    const cand_profile *profile;
    tok_ids tag[CAND_AXES];
    kv_seq *seq[CAND_AXES];  // ends behind the tag; NULL: not run
    float *logits;           // [axes][vocabulary] after the tag
    cand_pace pace;
};
const float *cand_ahead_logits(const cand_ahead *a, int axis);

// rows.c: replies made together.
typedef struct cand_row {
    int axis;  // whose tag it begins behind
    samp *samp;
    bool complete;  // a whole sentence came out
    char *text;     // [sizeof cand_reply.text] what came out
    // While it runs:
    kv_seq *seq;
    bool borrowed;  // seq is the axis's own, and goes back to what it was
    int start;      // length of seq before the reply
    tok_stream stream;
    int32_t tokens[CAND_MOST_TOKENS];
    int n_tokens;
    bool running;
    buf made;
} cand_row;
// Runs rows, whose axes were run ahead, until they end or the deadline. partial(ctx, row) after each token. ST_CANCELED:
// the deadline came in the middle of a step.
int cand_rows_run(cand_ahead *a, cand_row *rows, int n, int max_tokens, double deadline,
                  void (*partial)(void *ctx, int row), void *ctx, err *e);
bool cand_too_late(void *deadline);  // a double in os_seconds

#endif

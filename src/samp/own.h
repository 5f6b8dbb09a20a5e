// Inside of the samp room.
#ifndef SAMP_OWN_H
#define SAMP_OWN_H

#include "samp/samp.h"

typedef struct candidate {
    int32_t id;
    float logit;
} candidate;

struct samp {
    int vocab;
    samp_params p;    // bias points into own memory
    uint64_t random;  // state of the generator
    float *logits;    // [vocab] after bias and penalties
    candidate *cand;  // [vocab]
    float *prob;      // [vocab] beside cand, once needed
    int32_t *count;   // [vocab] occurrences in the window; all zero between calls
    int32_t *match;   // [dry_cap] match lengths
    size_t dry_cap;
    size_t bytes;  // of the one block all arrays lie in
};

// penalty.c: change s->logits by what the history holds.
void samp_penalize(samp *s, const int32_t *history, size_t n);
void samp_dry(samp *s, const int32_t *history, size_t n);

#endif

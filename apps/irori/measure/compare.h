// Two models of one vocabulary side by side: what one predicts of a text, measured against the other.
#ifndef IRORI_COMPARE_H
#define IRORI_COMPARE_H

#include "cli.h"

// Sums over the predictions compared, in nats.
typedef struct compare_sums {
    size_t n, agree;              // predictions; those whose likeliest token is the same
    double nll, nll_base;         // of the tokens that followed
    double worse, worse_squares;  // nll - nll_base of each, and its square
    double kl, kl_squares;        // KL(base || model)
} compare_sums;

// Mean of n values by their sum, and its standard error by the sum of their squares too. Both take the predictions as
// independent of each other.
double compare_mean(double sum, size_t n);
double compare_error(double sum, double squares, size_t n);

// Adds one prediction: logits of n tokens by the base (p) and by the model (q), and the token that followed. Its KL.
double compare_logits(const float *p, const float *q, int n, int32_t next, compare_sums *sums);

// Runs a window of ctx tokens through both sessions, from empty, and adds what they predict at positions ctx / 2 .. ctx - 2,
// which are those that eval ppl scores.
int compare_window(irori_session *base, irori_session *s, const int32_t *ids, size_t ctx, int vocabulary,
                   compare_sums *sums, irori_error *e);

#endif

// BLEU of a set of answers (Papineni and others 2002): the geometric mean of the shares of 1- to 4-grams that the references
// have, times a penalty for answers that are shorter.
#ifndef IRORI_BLEU_H
#define IRORI_BLEU_H

#include "base/base.h"

enum { BLEU_ORDERS = 4 };

// Counts over all answers so far; zero at first.
typedef struct bleu {
    uint64_t match[BLEU_ORDERS],
        made[BLEU_ORDERS];    // n-grams of the answers that the references have; all of theirs
    uint64_t length, wanted;  // words of answers and references
} bleu;

// Words are runs of letters and digits; every other visible character, and every one of the Chinese and Japanese scripts, is
// a word of its own. ST_NOMEM.
int bleu_add(bleu *b, const char *answer, size_t n, const char *reference, size_t m, err *e);
double bleu_score(const bleu *b);  // 0..100; not smoothed: 0 when no 4-gram matches

#endif

// What the grammar tests share: a vocabulary, and a walk that checks every mask on the way.
#ifndef TESTS_GRAM_SUPPORT_H
#define TESTS_GRAM_SUPPORT_H

#include "gram/gram.h"

// The demo model's vocabulary, opened once for the program; freed by done_vocab.
const gram_vocab *test_vocab(void);
const tok *test_tok(void);
void done_vocab(void);

// Whether the text is a sentence: taken byte by byte.
bool fits(gram *g, const char *text, size_t n);

// Walks the text token by token in the tokenizer's own way, then in random other cuts of the same bytes. At each
// place the mask must hold the token, and an end token exactly where the text may end. Answers like fits.
bool fits_tokens(gram *g, const char *text, size_t n, uint64_t seed);

// Compares a state's mask with trying each token.
void check_mask(gram_state *s);

#endif

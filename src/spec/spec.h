// The door of the spec room: guessing the next tokens, so that one run of the model can check several at once.
//
// A guess costs nothing but time: the caller runs the guessed tokens behind the last chosen one, chooses from each
// row of logits as it would have without, and keeps what agrees. Since a row's logits do not depend on its company
// (engine.h), what is chosen is the same token for token as without guesses, greedy or drawn (the verification of
// Leviathan et al. 2022, arXiv 2211.17192, for a drafter that is sure of each guess).
//
// What decides is expected tokens a second. Sources of guesses say with how much evidence they guess (the length of
// an earlier match, the draft model's probability); how often guesses of that evidence came true is counted, and so is
// the time of a run with n rows. A guess is made where the two promise more than plain decoding, and time lost by
// guesses that promised too much may never pass a hundredth of the time spent.
// Used from one thread at a time.
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H

#include "base/base.h"
#include "engine/engine.h"

typedef struct spec spec;

enum { SPEC_MOST = 16 };  // tokens of a guess; also what a run checks at most

// Guesses from outside: writes at most `most` tokens that may follow history[n] and gives their number.
typedef int spec_propose_fn(void *ctx, const int32_t *history, size_t n, int32_t *guess, int most);

// What was learnt of costs and of how often guesses come true; shared by the guessers of one model, so that a new
// conversation begins with it. ST_NOMEM.
typedef struct spec_memory spec_memory;
int spec_memory_new(spec_memory **out, err *e);
void spec_memory_free(spec_memory *m);  // NULL is allowed

typedef struct spec_options {
    spec_memory *memory;  // borrowed, from the same thread; NULL: the guesser has its own
    bool lookup;          // guess what followed the longest earlier occurrence of the latest tokens
    engine *draft;  // a smaller model over the same tokens; NULL: none. Borrowed; must not be the checked one
    int draft_vocab;           // its tokens from here on are not guessed; 0: none
    spec_propose_fn *propose;  // NULL: none
    void *propose_ctx;
    size_t tokens;  // longest history: its memory is taken at once; 0: as it grows
    int most;       // of a guess, 1..SPEC_MOST; 0: SPEC_MOST
    bool always;    // guess `most` tokens whenever a source has them, whatever it costs (to measure)
} spec_options;

// ST_INVALID, ST_LIMIT (no room for a sequence of the draft model), ST_NOMEM.
int spec_new(spec **out, const spec_options *o, err *e);
void spec_free(spec *s);  // NULL is allowed

// Guesses what follows history[n], in at most `most` tokens; `room`: how many may still come at all. Gives the number
// of tokens, often 0. What goes wrong in a source (no memory, a full context of the draft) ends that source only.
int spec_guess(spec *s, const int32_t *history, size_t n, int32_t *guess, int most, size_t room);
// What followed was run: `rows` rows, the guess's among them, took `seconds`. Also to be told when there was no guess.
void spec_ran(spec *s, int rows, double seconds);
// The token that was chosen at the place of guess[i] (i = 0, 1, ... up to the first that differs).
void spec_chosen(spec *s, int i, int32_t token);

typedef struct spec_stats {
    uint64_t runs, guesses;      // runs of the model; of these, with a guess
    uint64_t guessed, accepted;  // tokens
    double guess_seconds;        // spent by sources
    double saved_seconds;  // against running each token by itself, by the costs measured; may be negative
} spec_stats;
void spec_get_stats(const spec *s, spec_stats *out);

#endif

// The door of the samp room: from logits to a token.
//
// The chain, in order: logit bias, penalties, DRY, top-k, typical, top-p, min-p, temperature, draw. Each stage is off
// at its neutral value. All memory is taken when a sampler is made; choosing allocates nothing. The same seed,
// history and logits give the same token on every machine.
#ifndef SAMP_SAMP_H
#define SAMP_SAMP_H

#include "base/base.h"

typedef struct samp samp;

typedef struct samp_bias {
    int32_t token;
    float bias;
} samp_bias;

typedef struct samp_params {
    float temperature;  // 0: greedy; 0..100
    int top_k;          // 0: all
    float top_p;        // 1: all; 0 < p <= 1
    float min_p;        // 0: off; 0..1
    float typical_p;  // 1: all; 0 < p <= 1. Locally typical sampling, Meister et al. 2022 (arXiv 2202.00666)
    float repeat_penalty;                       // 1: off; > 0. CTRL, Keskar et al. 2019 (arXiv 1909.05858)
    float frequency_penalty, presence_penalty;  // 0: off; -2..2
    int penalty_window;                         // tokens looked back by the three above; -1: all
    float dry_multiplier;  // 0: off. "Don't repeat yourself": penalty multiplier * base^(match - allowed)
    float dry_base;
    int dry_allowed_length;
    int dry_window;  // 0: all
    uint64_t seed;
    const samp_bias *bias;  // copied
    size_t n_bias;
    const uint8_t *breaker;  // [vocab] 1: DRY matches do not cross the token; NULL: none. Borrowed
} samp_params;

// Neutral values: greedy, everything off.
samp_params samp_greedy(void);

// ST_INVALID with the field, value and range; ST_NOMEM.
int samp_new(samp **out, int vocab, const samp_params *p, err *e);
int samp_clone(const samp *s, samp **out, err *e);  // the same parameters and random state
void samp_free(samp *s);

// history: the n tokens before. logits: [vocab], not changed. NaN logits count as -INFINITY.
int32_t samp_choose(samp *s, const float *logits, const int32_t *history, size_t n);
// Among the tokens whose bit is set in allowed[ceil(vocab / 32)] (token t: bit t % 32 of allowed[t / 32]); at least
// one. NULL: all of them.
int32_t samp_choose_in(samp *s, const float *logits, const uint32_t *allowed, const int32_t *history,
                       size_t n);

// log softmax(logits)[token], in double precision.
double samp_logprob(const float *logits, int vocab, int32_t token);
// The same with the distribution cut to the allowed tokens.
double samp_logprob_in(const float *logits, int vocab, const uint32_t *allowed, int32_t token);

#endif

// Inside of the api room: what stands behind the opaque types of irori.h.
#ifndef API_OWN_H
#define API_OWN_H

#include <irori.h>
#include <stdatomic.h>

#include "base/base.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "gram/gram.h"
#include "kern/kern.h"
#include "kv/kv.h"
#include "model/model.h"
#include "samp/samp.h"
#include "sched/sched.h"
#include "spec/spec.h"
#include "tmpl/tmpl.h"
#include "tok/tok.h"

struct irori_model {
    gguf *file;
    tok *tok;
    tmpl *tmpl;          // NULL: the file has no chat template, or one that could not be read
    bool has_template;   // the file has one
    err template_error;  // why it could not be read
    bool has_engine;     // false: opened for its vocabulary only
    engine engine;
    gram_vocab *vocab;        // for grammars; made when first needed
    uint8_t *breaker;         // [vocabulary] tokens that end a DRY match; made when first needed
    spec_memory *guessing;    // what sessions learnt of guesses; made when first needed
    irori_adapter *adapters;  // those open
    irori_session *live;      // sessions whose logits lie in the engine's buffer, linked by next_live
    char name[128], license[64];
    char *prompt_cache;  // folder; NULL: none
};

struct irori_adapter {
    irori_model *m;
    engine_adapter engine;
    irori_adapter *next;  // of the model's
};

struct irori_session {
    irori_model *m;
    kv_seq *seq;
    int32_t *tokens;  // [context]
    size_t count;
    samp *samp;
    const float *logits;  // after the last token: in the engine's buffer while live, else in `kept`
    float *kept;          // [vocabulary], made when another session's run would overwrite the buffer
    bool is_live;
    irori_session *next_live;
    buf text;             // piece of text being made
    tok_ids next;         // tokens chosen in a generation and not yet run
    gram_state *grammar;  // NULL: anything may be generated
    size_t grammar_from;  // tokens held when it began; each since is one step of it
    uint32_t *mask;       // [ceil(vocabulary / 32)] tokens allowed next, while there is a grammar
    atomic_bool cancel;
    double until;  // a run past this point in time is stopped; 0: none
    // Guessed tokens that were run behind the session's own: it does not hold them yet, its sequence does.
    spec *spec;  // NULL: nothing is guessed
    int32_t ahead[SPEC_MOST];
    int n_ahead, at_ahead;    // of these, chosen since
    const float *ahead_rows;  // logits after each of ahead[]
    // Of the present turn, for irori_generation:
    size_t prompt_tokens, cached_tokens;
    double prompt_started, prompt_seconds;
};

static inline int api_vocab(const irori_model *m)
{
    return m->engine.model.params.vocab;
}

// irori_error and err have one layout (checked in model.c): a public pointer serves as the inner one.
static inline err *api_err(irori_error *e)
{
    return (err *)(void *)e;
}

// Public sampling options as the samp room takes them; bias and breakers are borrowed. NULL: the defaults.
int api_sampling(irori_model *m, const irori_sampling *o, samp_params *out, err *e);
// Makes the table of tokens that end a DRY match, once.
int api_need_breakers(irori_model *m, err *e);

irori_kv_stats api_kv_stats(const kv_stats *s);

// Refuses a model that was opened for its vocabulary only.
int api_need_engine(const irori_model *m, err *e);
// Also one that does not write text.
int api_need_text(const irori_model *m, err *e);

// Runs n rows of different sessions; afterwards each session with outputs > 0 is live with its last row's logits.
// *logits: all output rows.
typedef struct api_row {
    irori_session *s;
    const int32_t *ids;
    int n, outputs;
} api_row;
enum { API_MAX_ROWS = 256 };
int api_run(irori_model *m, const api_row *rows, size_t n, const float **logits, err *e);

// save.c: pages of earlier starts for tokens that begin like these; writes those of a prompt just run.
int api_load_prompt(irori_session *s, const int32_t *ids, size_t count);
void api_save_prompt(irori_session *s, size_t from);

gram *api_grammar_inner(irori_grammar *g);
// grammar.c: what a session may generate. The tokens allowed next into *allowed (NULL: all).
int api_grammar_mask(irori_session *s, const uint32_t **allowed, err *e);
int api_grammar_accept(irori_session *s, int32_t id, err *e);
void api_grammar_take_back(irori_session *s, size_t steps);
int api_grammar_room(irori_session *s, err *e);  // takes the memory of its masks
void api_grammar_restart(irori_session *s);      // a prompt was added: the grammar begins behind it
void api_grammar_truncate(irori_session *s, size_t count);  // the session will hold `count` tokens
// Tokens that must follow, appended to *ids; room: how many at most.
int api_grammar_forced(irori_session *s, tok_ids *ids, size_t room, err *e);

// Makes the session hold n more chosen tokens, running those that no guess has run already, with a guess behind them
// when that pays; at most `room` tokens can follow. Its logits are those after the last one. All or, failing, none.
int api_advance(irori_session *s, const int32_t *ids, size_t n, size_t room, err *e);
void api_settle(irori_session *s);  // forgets what was guessed beyond the session's tokens

// Copies what logits sessions have in the engine's buffer, before a run that is not theirs.
int api_keep_logits(irori_model *m, err *e);

// Token lists of several texts, for engine_texts; they lie in one array, so their places are set when it is whole.
typedef struct api_texts {
    tok_ids one;  // of the text that is being made: apart, as some tokenizers look at what stands before
    tok_ids ids;  // of those that are whole
    engine_text *text;
    size_t count;
} api_texts;
int api_texts_new(api_texts *t, size_t most, err *e);
int api_texts_end(api_texts *t, err *e);  // `one` is whole: it is taken and emptied
const engine_text *api_texts_ready(api_texts *t);
void api_texts_done(api_texts *t);

// Whether irori_rerank works.
bool api_ranks(const irori_model *m);

// Ids in range, room in the context and the KV store: so that nothing runs when not all can.
int api_check_fits(irori_session *s, const int32_t *ids, size_t count, err *e);

#endif

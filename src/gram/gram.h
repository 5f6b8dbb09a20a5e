// The door of the gram room: JSON Schema, regular expressions and GBNF as masks over a vocabulary.
//
// A grammar is compiled once and shared; a state walks along a text token by token and says which tokens may come
// next, so that whatever is generated is a sentence of the grammar. Underneath is a pushdown automaton over bytes
// whose terminals are regular expressions, matched by derivatives (Brzozowski 1964; Owens, Reppy & Turon 2009);
// docs/GRAMMAR.md tells how it works and what it supports, keyword by keyword.
//
// Threads: vocabularies never change once made. A grammar's inner tables grow as it is used, under its own lock, so
// any number of threads may walk states of one grammar; one state belongs to one thread at a time.
#ifndef GRAM_GRAM_H
#define GRAM_GRAM_H

#include "base/base.h"
#include "tok/tok.h"

// The tokens of a model laid out for masks: tries of their bytes, and sets of tokens that stay inside a JSON string.
typedef struct gram_vocab gram_vocab;

// Reads the tokenizer's pieces; it may be closed after. Control tokens can only be matched by name (tool calls),
// end tokens only end a text, tokens without bytes are never allowed. ST_NOMEM, ST_LIMIT.
int gram_vocab_new(gram_vocab **out, const tok *t, err *e);
void gram_vocab_free(gram_vocab *v);  // its grammars must be freed before; NULL is fine
size_t gram_vocab_bytes(const gram_vocab *v);

typedef struct gram gram;

// A word that may be written as text or, when it is a control token, as that token.
typedef struct gram_word {
    const char *word;
    size_t n;
    int32_t token;  // its id; -1: it is none
} gram_word;

// The control words of OpenAI's harmony format (harmony.c).
typedef struct gram_harmony {
    gram_word start, channel, constrain, message, end;
} gram_harmony;

// What stands before the sentence: anything but an end, up to and with the first occurrence of this word. n == 0:
// nothing, the sentence begins at once.
typedef struct gram_lead {
    gram_word word;
    const gram_harmony *harmony;  // not NULL: messages up to the beginning of the final one, and no word
} gram_lead;

// Each compiles a text. ST_FORMAT: it is not what its format allows, with the place; ST_UNSUPPORTED: names the
// keyword and where it stands; ST_LIMIT: larger or deeper than stated in docs/GRAMMAR.md; ST_NOMEM.
int gram_compile_regex(gram **out, const gram_vocab *v, gram_lead lead, const char *pattern, size_t n,
                       err *e);
int gram_compile_gbnf(gram **out, const gram_vocab *v, gram_lead lead, const char *text, size_t n,
                      err *e);  // starts at "root"
int gram_compile_json_schema(gram **out, const gram_vocab *v, gram_lead lead, const char *schema, size_t n,
                             err *e);
int gram_compile_json(gram **out, const gram_vocab *v, gram_lead lead, err *e);  // any JSON value

typedef struct gram_tool {
    const char *name;    // written as it stands: no byte that JSON escapes
    const char *schema;  // of its arguments, which are an object; n == 0: there are none
    size_t n;
} gram_tool;

// How a model writes tool calls: `open` and `begin`, then a call: before_name, a name, before_arguments, the arguments,
// `close`. A blank in these (not in `open`) stands for the blanks that JSON allows there.
typedef struct gram_calls {
    gram_word open;
    const char *begin;
    const char *before_name;
    gram_word before_arguments;
    const char *close;
    const char *next, *end;  // behind one `open`: what stands between calls, after the last; NULL: one call
    const char *think, *unthink;  // words of a block before all else in which calls are no calls; NULL: none
    const gram_harmony *harmony;  // not NULL: messages of that format, and no words of this structure
    bool raw;                     // arguments are any text up to `close`, no JSON
    bool bare;                    // a text that begins with before_name is a call without `open`
    bool text_after;              // free text may follow calls, and more calls
    bool must;                    // the text begins with a call (or with a block of thoughts)
    bool many;                    // more than one call
    const gram_tool *tool;
    size_t n_tools;  // at least 1
} gram_calls;

// Free text in which calls may stand: a call that names another tool, or whose arguments break its schema, fits
// nowhere. Errors of a schema name its tool.
int gram_compile_calls(gram **out, const gram_vocab *v, gram_lead lead, const gram_calls *c, err *e);
gram *gram_ref(gram *g);     // one more owner
void gram_free(gram *g);     // one owner less; NULL is fine
size_t gram_bytes(gram *g);  // memory held now: compiled form and tables

typedef struct gram_state gram_state;

// A state at the start of a text; holds the grammar. ST_NOMEM.
int gram_state_new(gram_state **out, gram *g, err *e);
int gram_state_fork(gram_state **out, const gram_state *s, err *e);  // same place, same past
void gram_state_free(gram_state *s);                                 // NULL is fine

// Which tokens may come next, one bit each: token t is bits[t / 32] >> (t % 32) & 1, for t in [0, n_tokens);
// tokens past the vocabulary are never allowed. End tokens are allowed exactly where the text may end. ST_LIMIT:
// the grammar's tables are full; ST_NOMEM.
int gram_state_mask(gram_state *s, uint32_t *bits, size_t n_tokens, err *e);

// Moves along a token. ST_INVALID when the grammar does not allow it here: the state is as it was. An end token
// is accepted where the text may end; nothing is accepted after it.
int gram_state_accept(gram_state *s, int32_t token, err *e);
int gram_state_accept_bytes(gram_state *s, const char *p, size_t n, err *e);  // the same for text: one step
void gram_state_rollback(gram_state *s, size_t n);  // takes back the last n accepted steps (at most all)
size_t gram_state_steps(const gram_state *s);
bool gram_state_may_end(gram_state *s);   // the text so far is a sentence
bool gram_state_must_end(gram_state *s);  // and nothing can follow

// The bytes that must come next whatever is chosen (up to 4096), appended to `out`: they need no model.
int gram_state_forced(gram_state *s, buf *out, err *e);
// The same as tokens, at most `room` of them, in the tokenizer's own way; the state stays where it is.
int gram_state_forced_tokens(gram_state *s, const tok *t, tok_ids *out, size_t room, err *e);

#endif

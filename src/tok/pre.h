// Pre-tokenizers: how a text is cut into the words that byte-level BPE merges within. Each is a row of a
// table: a name as in tokenizer.ggml.pre, regular expressions applied one inside the other's pieces, and what
// else the name implies. PCRE2 in UTF mode does the matching, compiled to machine code where it can.
#ifndef TOK_PRE_H
#define TOK_PRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum tok_pre_flag {
    TOK_PRE_IGNORE_MERGES = 1,  // a word that is a token is that token
    TOK_PRE_ADD_BOS = 2,        // BOS goes first unless tokenizer.ggml.add_bos_token says otherwise
    TOK_PRE_ADD_EOS = 4,        // likewise EOS or SEP at the end
    TOK_PRE_BY_CHAR = 8,        // merges join characters, not bytes
};

typedef struct tok_pre tok_pre;  // compiled; read-only, any thread

// ST_UNSUPPORTED: the name is not in the table; ST_NOMEM.
int tok_pre_new(tok_pre **out, const char *name, size_t n, err *e);
void tok_pre_free(tok_pre *p);
const char *tok_pre_id(const tok_pre *p);
unsigned tok_pre_flags(const tok_pre *p);

// Working memory of one thread for one pre-tokenizer; all zero before first use.
typedef struct tok_pre_run {
    void *match;  // pcre2_match_data
} tok_pre_run;
void tok_pre_run_done(tok_pre_run *r);

// Called for each word, left to right; together the words are the text. A non-zero result ends the cutting.
typedef int tok_pre_word_fn(void *ctx, const char *s, size_t n);

// s must be valid UTF-8. ST_NOMEM, ST_LIMIT (the matcher gave up), or what `word` returned.
int tok_pre_split(const tok_pre *p, tok_pre_run *r, const char *s, size_t n, tok_pre_word_fn *word, void *ctx,
                  err *e);

#endif

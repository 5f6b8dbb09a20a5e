// The door of the tok room: text to token ids and back, as the model's own vocabulary asks.
//
// Four kinds of vocabulary are read from GGUF metadata (tokenizer.ggml.*): byte-level BPE, SentencePiece BPE,
// SentencePiece unigram, WordPiece. A `tok` holds no pointer into the gguf after tok_open and never changes,
// so any number of threads may encode and decode with it at once; working memory belongs to each call.
//
// Special text. Control tokens (type 3, "<|im_start|>") are found in text only with TOK_SPECIAL: text of a
// user is encoded without it and can never become one, whatever it spells. User-defined tokens (type 4,
// "<tool_call>", runs of spaces) are ordinary text that is always matched as a whole, longest first, as in
// the tokenizers the models were trained with; they carry no authority. Unknown tokens (type 2) are treated
// as control tokens.
#ifndef TOK_TOK_H
#define TOK_TOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "gguf/gguf.h"

typedef struct tok tok;

// Reads the vocabulary. ST_FORMAT: arrays missing, empty, of unequal length, a malformed merge, a special id
// outside the vocabulary; ST_UNSUPPORTED: a model or pre-tokenizer irori does not know; ST_LIMIT; ST_NOMEM.
// Duplicate pieces: the last id is the one encoded to. Empty pieces: never encoded to. Merges that do not
// lead from ordinary tokens to an ordinary token are left out.
int tok_open(tok **out, const gguf *g, err *e);
void tok_close(tok *t);  // NULL is fine

uint32_t tok_count(const tok *t);
const char *tok_kind_name(const tok *t);  // "bpe", "spm", "unigram", "wordpiece"
const char *tok_pre_name(const tok *t);   // the pre-tokenizer's name ("qwen2"), "" where the kind has none

enum tok_flag {
    TOK_SPECIAL = 1,  // encode: text of control tokens becomes them; decode: control tokens show their text
    TOK_BOS = 2,      // encode: begin with BOS or CLS where the model's metadata asks for it
    TOK_EOS = 4,      // encode: end with EOS or SEP where the model's metadata asks for it
    TOK_START = 8,    // decode: a text begins here, so the space that SentencePiece puts before it is dropped
    TOK_RAW = 16,     // decode: bytes as they are, also where they are no UTF-8
};

// A list of token ids that grows. All zero is an empty list.
typedef struct tok_ids {
    int32_t *data;
    size_t count, cap;
} tok_ids;

int tok_ids_add(tok_ids *l, const int32_t *ids, size_t n);  // ST_NOMEM: the list is as it was
void tok_ids_done(tok_ids *l);

// Appends the tokens of s[0..n) to `out`. Pieces of a chat, trusted and not, are encoded one after another
// into one list; SentencePiece's space prefix is put only before text that starts the list or follows a
// special token. The text may hold any bytes; what is no UTF-8 is encoded byte by byte. ST_NOMEM; ST_LIMIT (2
// GiB of text); ST_UNSUPPORTED (a byte for which the vocabulary has neither a token nor an unknown token). On
// failure the list is as it was.
int tok_encode_append(const tok *t, tok_ids *out, const char *s, size_t n, unsigned flags, err *e);

// A stretch of a text: its bytes, and whether control tokens may be spelled in it.
typedef struct tok_range {
    size_t n;
    bool special;
} tok_range;

// Appends the tokens of a text that is partly trusted, as a rendered chat is: n_ranges ranges lie one after
// another from s on. A control token is found only where its whole text lies in ranges with `special`;
// otherwise the text is encoded as one, so that a word or a merge may cross from one range into the next.
// Errors as above.
int tok_encode_ranges(const tok *t, tok_ids *out, const char *s, const tok_range *ranges, size_t n_ranges,
                      err *e);

// tok_encode_append into a new array: mem_free(*ids). An empty result gives a valid pointer and count 0.
int tok_encode(const tok *t, const char *s, size_t n, unsigned flags, int32_t **ids, size_t *count, err *e);

// The bytes a token stands for in text (not NUL-terminated; may be part of a character; *n may be 0). Control
// and unknown tokens give nothing unless TOK_SPECIAL. An id outside the vocabulary gives nothing.
const char *tok_piece(const tok *t, int32_t id, unsigned flags, size_t *n);

// Special tokens: -1 where the vocabulary has none.
int32_t tok_bos(const tok *t);  // CLS in a BERT vocabulary
int32_t tok_eos(const tok *t);  // SEP in a BERT vocabulary
int32_t tok_eot(const tok *t);  // end of a turn; often absent where EOS does that work
int32_t tok_unk(const tok *t);
int32_t tok_pad(const tok *t);
bool tok_adds_bos(const tok *t);  // what TOK_BOS will do: templates that write BOS themselves need to know
bool tok_adds_eos(const tok *t);

// Whether generation ends with this token: EOS, EOT, end of message, and special tokens known by their text.
bool tok_is_eog(const tok *t, int32_t id);
bool tok_is_control(const tok *t, int32_t id);  // control or unknown: only TOK_SPECIAL makes it from text

// The token whose whole text is s: special tokens first, then ordinary pieces (by their bytes); -1 when
// absent.
int32_t tok_find(const tok *t, const char *s, size_t n);

// Streaming decode. Each token gives the bytes that are ready to show; the bytes of a character that is not
// complete are held back. Bytes that can no longer become a character give U+FFFD, one for each maximal
// ill-formed part (Unicode 3.9, as most decoders do), as soon as that is certain.
typedef struct tok_stream {
    const tok *t;
    unsigned flags;
    bool at_start;  // the leading space, if any, is still to be dropped
    uint8_t n_held;
    char held[3];
} tok_stream;

void tok_stream_init(tok_stream *s, const tok *t, unsigned flags);  // TOK_SPECIAL, TOK_START, TOK_RAW
// Appends to `out` (check out->failed once, at the end). ST_INVALID for an id outside the vocabulary.
int tok_stream_feed(tok_stream *s, int32_t id, buf *out);
void tok_stream_end(tok_stream *s, buf *out);  // what is still held becomes U+FFFD; ready for another text

// All at once. ST_INVALID, ST_NOMEM.
int tok_decode(const tok *t, const int32_t *ids, size_t n, unsigned flags, buf *out, err *e);

#endif

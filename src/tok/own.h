// What the files of this room share: the vocabulary's layout and the state of one encoding call.
//
// Pieces are kept as the bytes they stand for in text ("Ġthe" as " the", "▁the" as " the", "<0x0A>" as "\n"),
// so that encoding never has to escape the text. Load lifetime: everything in struct tok. Call lifetime:
// tok_enc.
#ifndef TOK_OWN_H
#define TOK_OWN_H

#include "base/base.h"
#include "tok/merge.h"
#include "tok/pre.h"
#include "tok/tok.h"
#include "tok/trie.h"

enum tok_kind { TOK_BPE, TOK_SPM, TOK_UNIGRAM, TOK_WORDPIECE };

// tokenizer.ggml.token_type
enum tok_type { TOK_NORMAL = 1, TOK_UNKNOWN, TOK_CONTROL, TOK_USER, TOK_UNUSED, TOK_BYTE };

enum tok_mark {
    TOK_MARK_EOG = 1,
    TOK_MARK_RSTRIP = 2,   // white space after it, in the same text, is swallowed
    TOK_MARK_LITERAL = 4,  // its text is not in the byte alphabet: no merge leads to it
};

// From the bytes of ordinary pieces to ids: open addressing over ids, the keys stay in the piece table.
struct tok_map_slot {
    uint32_t tag;
    int32_t id;  // -1: free
};
typedef struct tok_map {
    struct tok_map_slot *slots;
    size_t cap;
} tok_map;

// BPE's merge table: (left id, right id) -> rank and merged id.
struct tok_pair {
    int32_t left, right;  // left -1: free
    uint32_t rank;
    int32_t id;
};
typedef struct tok_pairs {
    struct tok_pair *slots;
    size_t cap;
} tok_pairs;

struct tok {
    enum tok_kind kind;
    uint32_t count;
    char *text;      // all pieces one after another
    uint32_t *at;    // piece i is text[at[i] .. at[i + 1])
    uint8_t *type;   // enum tok_type
    uint8_t *mark;   // enum tok_mark
    size_t longest;  // bytes of the longest ordinary piece
    tok_map map;
    int32_t byte_id[256];  // the token of each byte, -1: none

    tok_trie special;         // whole-matched tokens: user-defined, control, unknown
    bool special_first[256];  // the bytes they begin with

    tok_pre *pre;        // BPE
    bool by_char;        // BPE over characters with byte fallback, not over bytes
    bool ignore_merges;  // BPE: a word that is a token is not merged together
    tok_pairs pairs;
    uint32_t *rank;  // SPM: order of the scores, best first; equal scores share a rank
    bool words;      // SPM: no piece has a space after another character
    float *score;    // unigram
    float unknown_score;
    tok_trie pieces;                // unigram, WordPiece
    struct tok_charsmap *charsmap;  // unigram: the normalizer, NULL: none
    bool squeeze;                   // unigram: runs of spaces become one, none at the ends
    bool space_prefix;              // a space goes before the text (SPM, unigram, WordPiece)

    int32_t bos, eos, eot, eom, unk, pad, sep, cls;
    bool add_bos, add_eos;
};

// One call of tok_encode_append.
typedef struct tok_enc {
    const tok *t;
    tok_ids *out;
    err *e;
    tok_merge merge;
    tok_pre_run run;
    buf text;               // a rewritten text (space prefix, normalization)
    uint32_t epoch;         // counts the rewrites of `text`
    struct tok_word *seen;  // recent words and where their tokens are in `out`; NULL: not worth it
} tok_enc;

static inline const char *tok_text(const tok *t, int32_t id, size_t *n)
{
    *n = t->at[id + 1] - t->at[id];
    return t->text + t->at[id];
}

static inline bool tok_is_ordinary(const tok *t, int32_t id)
{
    return t->type[id] == TOK_NORMAL || t->type[id] == TOK_UNUSED;
}

// map.c
int tok_map_init(tok_map *m, size_t expected);
void tok_map_put(tok_map *m, const tok *t, int32_t id);
int32_t tok_map_get(const tok *t, const char *s, size_t n);
int tok_pairs_init(tok_pairs *p, size_t expected);
void tok_pairs_put(tok_pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id);  // keeps the first
const struct tok_pair *tok_pairs_get(const tok_pairs *p, int32_t left, int32_t right);     // NULL: none

// vocab.c, special.c, and one file per kind: what tok_open calls
int tok_vocab_load(tok *t, const gguf *g, err *e);
int tok_special_load(tok *t, const gguf *g, err *e);
int tok_bpe_load(tok *t, const gguf *g, err *e);
int tok_spm_load(tok *t, const gguf *g, err *e);
int tok_unigram_load(tok *t, const gguf *g, err *e);
int tok_unigram_load_pieces(tok *t, err *e);  // the trie of normal pieces, which WordPiece uses too
int tok_wordpiece_load(tok *t, err *e);

// The bytes that token text s stands for, appended to dst (room for n bytes); false: the text is not of the
// vocabulary's alphabet and was taken as it is.
bool tok_vocab_unescape(const tok *t, const char *s, size_t n, char *dst, size_t *len);

// The longest special token that s[0..n) begins with, control tokens only if asked: its id and length; -1:
// none.
int32_t tok_special_at(const tok *t, const char *s, size_t n, bool control, size_t *len);

// Encoders: append the tokens of a text without special tokens in it.
int tok_bpe_encode(tok_enc *c, const char *s, size_t n);
int tok_spm_encode(tok_enc *c, const char *s, size_t n, bool prefix);
int tok_unigram_encode(tok_enc *c, const char *s, size_t n, bool prefix);
int tok_wordpiece_encode(tok_enc *c, const char *s, size_t n);

// The normalizer of a SentencePiece model.
int tok_charsmap_new(struct tok_charsmap **out, const gguf *g, err *e);  // *out NULL: the model has none
void tok_charsmap_free(struct tok_charsmap *m);
// How the text at s[0..n) begins after normalization: *len bytes of it become out[0..*out_n), which is
// borrowed.
void tok_charsmap_next(const struct tok_charsmap *m, const char *s, size_t n, size_t *len, const char **out,
                       size_t *out_n);

// encode.c: helpers of the encoders
int tok_enc_id(tok_enc *c, int32_t id);
int tok_enc_bytes(tok_enc *c, const char *s, size_t n);  // byte tokens, or the unknown token once
int tok_enc_nomem(tok_enc *c);
// Appends the merged symbols of c->merge, falling back to bytes where a symbol has no token.
int tok_enc_merged(tok_enc *c, const char *s);
// Remembered words. get: true when the word's tokens were appended from an earlier place.
bool tok_enc_seen(tok_enc *c, const char *s, size_t n, struct tok_word **slot, int *rc);
void tok_enc_remember(struct tok_word *slot, const tok_enc *c, const char *s, size_t n, size_t first);

#endif

// Inside of the gram room: the vocabulary laid out for masks.
#ifndef GRAM_VOCAB_H
#define GRAM_VOCAB_H

#include "gram/rx.h"

// Strings as a tree of bytes in preorder: node i's subtree is [i, end[i]); the tokens of node i are
// ids[first[i]..first[i + 1]), those of its subtree ids[first[i]..first[end[i]]).
typedef struct gram_trie {
    uint8_t *byte;
    uint32_t *end, *first;  // [n], [n + 1]
    uint32_t *ids;
    size_t n, n_ids, cap, end_cap, first_cap, ids_cap;
} gram_trie;

// What tokens do from inside a JSON string that may go on as it likes. Two kinds of strings: with every spelling of
// a character, and with the shortest only.
typedef struct gram_body {
    uint32_t *mask;   // tokens that stay inside
    gram_trie after;  // tokens that leave it, by their bytes behind the closing quote
} gram_body;

enum { GRAM_BODY_ANY, GRAM_BODY_SHORT, GRAM_BODIES };
enum { GRAM_PLAIN_MOST = 64 };  // longest token, in characters, among the sets by length

struct gram_vocab {
    size_t n, words, deepest;  // tokens, uint32 of a mask, longest token in bytes
    buf text;
    uint32_t *at;  // [n + 1] token t's bytes are text[at[t]..at[t + 1]); control tokens as gram_control_name
    uint32_t *ends;
    size_t n_ends;
    gram_trie all;
    gram_trie rest;  // those with bytes other than whole characters that need no escape in JSON
    uint32_t *plain[GRAM_PLAIN_MOST + 1];  // the others, up to so many characters; NULL: as the one before
    size_t longest_plain;
    gram_body body[GRAM_BODIES];
};

static inline const char *gram_vocab_piece(const gram_vocab *v, uint32_t id, size_t *n)
{
    *n = v->at[id + 1] - v->at[id];
    return v->text.data + v->at[id];
}

static inline void gram_mask_set(uint32_t *bits, uint32_t id)
{
    bits[id / 32] |= (uint32_t)1 << (id % 32);
}

#endif

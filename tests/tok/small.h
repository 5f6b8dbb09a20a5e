// Small made-up vocabularies that several tests use.
#ifndef TESTS_TOK_SMALL_H
#define TESTS_TOK_SMALL_H

#include "tok/build.h"

// Byte-level BPE: ids 0..255 are the bytes, then hello and other merges, then special tokens (small_id finds
// them).
//   control: <|begin|> (BOS) <|end|> <|im_start|>; user-defined: <tool> <tool>s "  " <emoji>
void small_bpe(build *b, bool add_bos);
// SentencePiece BPE with byte fallback: <unk> <s> </s>, 256 byte tokens, letters a..e and pieces of them.
void small_spm(build *b, bool prefix);

tok *small_open(build *b);  // fails the test when it does not open; frees the builder
int32_t small_id(const tok *t, const char *text);

uint32_t small_random(uint64_t *state);  // xorshift64*: the same numbers everywhere

// The two ways to spell a byte's token text.
size_t small_byte_piece(unsigned byte, char out[5]);

#endif

// A vocabulary in the making; shared by the two files that read tokenizers.
#ifndef CONVERT_VOCAB_H
#define CONVERT_VOCAB_H

#include "convert/own.h"

// Types of tokens as GGUF numbers them.
enum { CONVERT_NORMAL = 1, CONVERT_UNKNOWN, CONVERT_CONTROL, CONVERT_USER, CONVERT_UNUSED, CONVERT_BYTE };

typedef struct convert_tokens {
    arena *mem;
    size_t n;
    gguf_str *text;  // p NULL: not given yet
    int32_t *type;
    float *score;
} convert_tokens;

int convert_tokens_new(convert_tokens *v, arena *mem, size_t n, err *e);
int convert_tokens_fill(convert_tokens *v, err *e);  // names the tokens that nobody gave
void convert_tokens_write(const convert_tokens *v, bool scores, gguf_writer *w);
size_t convert_table_rows(const convert_source *s);  // of the embedding table; 0 when it is not found

// tokenizer.model, if there is one (*done then). Format: SentencePiece's ModelProto, protocol buffers.
int convert_sentencepiece(const convert_source *s, arena *mem, gguf_writer *w, bool *done, err *e);

#endif

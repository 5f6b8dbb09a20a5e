// Small random models as GGUF files: any shape, and each way to be wrong.
//
// The vocabulary is of the SentencePiece kind: <unk> <s> </s> and the 256 bytes.
#ifndef TESTS_MODEL_TOY_H
#define TESTS_MODEL_TOY_H

#include "gguf/make.h"

enum { TOY_TOKENS = 259 };

typedef struct toy {
    const char *arch;  // "llama", "qwen3" or "qwen3moe"
    int layers, width, heads, kv_heads, head_dim, ff, context;
    int rows;             // of the embedding table; 0: TOY_TOKENS
    int window;           // 0: no key
    int experts, used;    // 0: none; then ff is the size of each
    bool over_all;        // their weights do not sum to 1
    int type, head_type;  // of the matrices; of the output head (-1: tied)
    uint64_t seed;
    void (*more)(make *m, const void *ctx);  // further keys and tensors; may be NULL
    const void *more_ctx;
    // What is wrong; NULL: nothing.
    const char *without;    // key (with the architecture's name) or tensor that is left out
    const char *misshapen;  // tensor with one row too many (a vector: one value)
    const char *other_key;  // key whose number is other_value
    uint32_t other_value;
    float other_float;  // for keys that hold floats
} toy;

// 3 layers of 64, 4 heads of 16 over 2, F16, tied.
toy toy_llama(void);
void toy_build(make *m, const toy *t);  // make_done(m) afterwards
// Builds and writes a file into a folder of this process; the path is one of four buffers in turn.
const char *toy_save(const toy *t, const char *name);
const char *toy_path(const char *name);
void toy_clean(void);               // removes the folder
float toy_random(uint64_t *state);  // about normal, the same numbers everywhere

#endif

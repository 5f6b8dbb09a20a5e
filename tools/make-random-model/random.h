// make-random-model: a model file of a real shape with random weights, for measuring speed and for tests.
//
// Seconds for gigabytes, and no buffers: a weight block is random bytes with its scale fields put right, and block
// k of a tensor depends on nothing but the seed, the tensor's name and k, so any piece can be made alone.
#ifndef RANDOM_RANDOM_H
#define RANDOM_RANDOM_H

#include "base/base.h"
#include "gguf/gguf.h"
#include "quant/quant.h"

typedef struct shape {
    const char *name;
    const char *arch;  // general.architecture
    int layers, width, ff, heads, kv_heads, head_dim, vocab, context;
    float rope_base, norm_eps;
    float rope_stretch;  // Llama 3's factor for the slow pairs; 0: none
    bool tied;           // token_embd.weight is also the output matrix
    int experts, used;   // 0: none; then ff is the size of each
} shape;

// shapes.c
const shape *shape_find(const char *name);  // NULL when unknown
const shape *shape_at(size_t i);            // NULL past the last

// Which type each matrix gets.
typedef struct mix {
    const char *name;  // "Q4_K_M"
    int base;          // enum quant_type of most matrices
    int head;          // of the output matrix
    int better;        // of attn_v and ffn_down in some layers
    uint32_t file_type;
} mix;

// mix.c: a mix by name, or a single type for all matrices. False when unknown or nothing weights can be of.
bool mix_find(const char *name, mix *out);
const char *mix_name_at(size_t i);  // of the mixes; NULL past the last
// layer -1: not of a layer. `part` is "attn_v", "output", ...
int mix_type(const mix *m, const shape *s, int layer, const char *part);

// blocks.c: the bytes [offset, offset + n) of a tensor of random weights of mean 0 and deviation 0.02.
typedef struct random_blocks {
    int type;
    uint64_t seed;
    float scale, minimum;  // for the scale fields; set by blocks_init
} random_blocks;
bool blocks_can(int type);
void blocks_init(random_blocks *b, int type, uint64_t seed);
void blocks_fill(const random_blocks *b, uint64_t offset, uint8_t *dst, size_t n);

// vocab.c: a byte-level BPE vocabulary of exactly s->vocab tokens, its control tokens where the family has them.
int vocab_write(gguf_writer *w, const shape *s);  // ST_OK, ST_NOMEM

#endif

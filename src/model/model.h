// The door of the model room: from an open GGUF to a graph ready to run.
//
// One file per architecture in arch/ reads its hyper-parameters and lists its operations with the builder of
// build.h; what is common to them (tensors by name and shape, rotary tables, checks) is here.
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/base.h"
#include "dev/dev.h"
#include "gguf/gguf.h"
#include "graph/graph.h"

// What becomes of a text's last hidden states (pooling_type in the file, its numbers).
enum model_pooling {
    MODEL_POOL_NONE,  // logits of the next token
    MODEL_POOL_MEAN,  // an embedding: their mean,
    MODEL_POOL_CLS,   // that of the first token,
    MODEL_POOL_LAST,  // that of the last
    MODEL_POOL_RANK,  // scores, by a head over one of them
};

typedef struct model_params {
    int vocab, width, layers, heads, kv_heads, head_dim, ff;
    int experts, experts_used, expert_ff;  // experts 0: none
    bool experts_over_all;                 // their weights are shares among all experts, not among those used
    int context;                           // trained context length
    int positions;  // most a sequence will have: LongRoPE turns otherwise within the length first trained for
    float norm_eps;
    int rope_dims;  // values of a head that turn
    float rope_base;
    bool rope_neox;
    int window;  // 0: full attention
    enum model_pooling pooling;
    bool both_ways;  // encoder: a token sees the whole text, which must be run in one step and leaves no past
    bool pools_first;  // the first token's hidden state is taken, not the last one's
    bool yarn_smooth;  // YaRN's ramp begins and ends where it is computed to, not at whole pairs
} model_params;

typedef struct model {
    const gguf *file;  // borrowed
    const struct model_arch *arch;
    const char *arch_name;  // general.architecture
    model_params params;
    graph graph;  // weights point into the file
    dev_kv_shape kv;
    int result_width;  // of a row of results: the vocabulary, the embedding, the scores
} model;

// Reads and checks everything the architecture needs. Errors: ST_UNSUPPORTED (architecture, scaling kind),
// ST_FORMAT (a key or tensor missing, misshapen, of the wrong type; the message names it with the numbers),
// ST_NOMEM. `form_of` is the device's. `context`: most positions a sequence will have; 0: min(trained, 4096;
// encoders: 8192).
int model_load(model *m, const gguf *file, int context, graph_form_fn *form_of, err *e);
void model_done(model *m);

// What an adapter file adds to a model's weights.
typedef struct model_adapter {
    arena mem;
    dev_lowrank *parts;  // [graph.n_weights]
} model_adapter;

// Reads a LoRA adapter; `file` must stay open while the parts are used. Errors: ST_FORMAT (no adapter, a half missing),
// ST_INVALID (of another model), ST_UNSUPPORTED (adapts what is no plain matrix), ST_NOMEM.
int model_adapter_load(model_adapter *out, const model *m, const gguf *file, err *e);
void model_adapter_done(model_adapter *a);

// The i-th architecture irori runs; NULL past the last.
const char *model_arch_at(size_t i);

// Parameters in all weight matrices and vectors, from the file's tensors.
uint64_t model_parameter_count(const gguf *file);
// The name of the most common matrix type, "Q4_K" say; with mixes as "Q4_K_M" when general.file_type says so.
const char *model_quantization_name(const gguf *file);

#endif

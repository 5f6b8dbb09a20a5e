// The door of the engine room: one model on one device with its KV store, and steps over rows of sequences.
//
// A step takes tokens of one or several sequences, runs them through the model together, and gives the logits
// that were asked for. Cutting work into steps is the caller's; the results do not depend on how it is cut.
// Used from one thread at a time.
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/base.h"
#include "dev/dev.h"
#include "kv/kv.h"
#include "model/model.h"

typedef struct engine_options {
    int threads;      // 0: all
    int context;      // most tokens of a sequence; 0: min(trained, 4096; encoders: 8192)
    int sequences;    // that may be full at once; 0: 1
    int batch;        // most tokens a step; 0: 512
    int outputs;      // most logits rows a step; 0: 64
    const char *cpu;  // NULL: best
    bool no_pin;
    kv_policy kv_policy;  // of new sequences; zero: F16
    const char *kv_spill_dir;
    uint64_t kv_spill_bytes;
    bool no_prefixes;       // do not keep pages for sequences that begin with the same tokens
    bool no_repack;         // use the weights as the file holds them: no copy, slower
    const char *cache_dir;  // where re-laid weights are kept (dev_load); NULL or "": nowhere
    size_t cache_least;     // bytes from which they are kept; 0: the device's choice
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
} engine_options;

typedef struct engine {
    const gguf *file;  // borrowed
    uint64_t hash;     // gguf_model_hash
    model model;
    dev *dev;
    dev_plan *plan;
    const dev_adapter *adapter;  // set at present
    kv *kv;
    int context, sequences, batch, outputs, threads;
    // Arrays of a step, [batch]:
    int32_t *token, *pos, *seq, *output;
    dev_kv_view *views;
    dev_observe_fn *observe;  // handed to every step; see dev.h. NULL: nobody looks
    void *observe_ctx;
} engine;

int engine_open(engine *x, const gguf *file, const engine_options *o, err *e);
void engine_close(engine *x);

// An adapter of the engine's model, ready to be set. It must be freed before the engine is closed.
typedef struct engine_adapter {
    dev_adapter *dev;
    uint64_t hash;  // of its file
} engine_adapter;
int engine_adapter_open(engine *x, const char *path, engine_adapter *out, err *e);
void engine_adapter_close(engine *x, engine_adapter *a);  // takes it off when it is set
// From the next step on the adapter's share, times `scale`, is added to the weights; NULL: none. What sequences hold
// stays as it was made.
void engine_set_adapter(engine *x, const engine_adapter *a, float scale);

// One piece of a step: n tokens appended to a sequence; logits after the last `outputs` of them are wanted (of a model
// that pools: the text's embedding or scores, with outputs 1).
typedef struct engine_row {
    kv_seq *seq;
    const int32_t *tokens;
    int n, outputs;
} engine_row;

// Runs all rows (different sequences; tokens together <= batch, outputs together <= outputs). *logits then holds
// the wanted rows in order, [model.result_width] each, until the next step. On failure (ST_LIMIT: no KV page left,
// ST_CANCELED, ST_NOMEM) no sequence has grown. cancel may be NULL.
int engine_step(engine *x, const engine_row *rows, int n_rows, const float **logits,
                bool (*cancel)(void *ctx), void *cancel_ctx, err *e);

// A whole text, beginning a sequence of its own.
typedef struct engine_text {
    const int32_t *tokens;
    int n;  // 1..context
} engine_text;

// Takes what the model gives at the end of text i, [model.result_width]; called with rising i.
typedef void engine_take_fn(void *ctx, size_t i, const float *result);

// Runs each text by itself, as many in one step as there is room for; nothing of them is kept, but for pages of the
// prefix tree. ST_LIMIT, ST_CANCELED, ST_NOMEM; then some texts have been taken.
int engine_texts(engine *x, const engine_text *texts, size_t n, engine_take_fn *take, void *take_ctx,
                 bool (*cancel)(void *ctx), void *cancel_ctx, err *e);

#endif

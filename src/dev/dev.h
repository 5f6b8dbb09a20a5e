// The door of the dev room: a device holds weights and KV pages and runs a graph over a batch.
//
// Today there is one kind, the CPU; others (Vulkan, CUDA) will stand behind the same table. A device is used
// from one thread at a time.
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "graph/graph.h"

typedef struct dev dev;
typedef struct dev_plan dev_plan;
typedef struct dev_adapter dev_adapter;

// KV memory. A page holds DEV_PAGE tokens of all layers; a block is one side, K or V, of one layer of a page, with
// all its KV heads. Each block has a level of its own: how precisely its values lie in memory, in one or more
// planes. A plane holds the KV heads one after the other.
//   F16 plane of K: for each head [head_dim][64] (a token is a column: scores of 16 keys are one vector, without
//   horizontal sums); of V: [64][head_dim].
// The other planes are laid out by kern (kern.h). What a level needs:
//   F16: F16. Q8: HIGH (the top 4 bits of each code), LOW (the other 4), SCALES. Q4: HIGH, SCALES. Q2: TWO (the top
//   2 bits), SCALES. ABSENT, always both sides of a layer together: nothing; attention passes over the page.
enum { DEV_PAGE = 64 };
enum dev_kv_side { DEV_KV_K, DEV_KV_V };
enum dev_kv_level {
    DEV_KV_F16,
    DEV_KV_Q8,
    DEV_KV_Q4,
    DEV_KV_Q2,
    DEV_KV_LEVELS,
    DEV_KV_ABSENT = DEV_KV_LEVELS
};
enum dev_kv_plane {
    DEV_KV_PLANE_F16,
    DEV_KV_PLANE_HIGH,
    DEV_KV_PLANE_LOW,
    DEV_KV_PLANE_TWO,
    DEV_KV_PLANE_SCALES,
    DEV_KV_PLANES
};

typedef struct dev_kv_shape {
    int layers, kv_heads, head_dim;
} dev_kv_shape;

typedef struct dev_kv_block {
    uint8_t *plane[DEV_KV_PLANES];  // aligned to 64; NULL where the level does not need it
    uint8_t level;                  // enum dev_kv_level
} dev_kv_block;

// The page a token is written into is at F16 on both sides of all layers.
typedef struct dev_kv_page {
    dev_kv_block (*block)[2];  // [layers][enum dev_kv_side]
    // [layers] attention the page received, summed over rows and heads, each of which gives 1 in all; units of
    // 1 / DEV_KV_MASS_UNIT, so that the sum is the same in whatever order threads add to it.
    _Atomic uint64_t *mass;
} dev_kv_page;
enum { DEV_KV_MASS_UNIT = 1 << 20 };

static inline size_t dev_kv_head_bytes(const dev_kv_shape *s)  // one head in the F16 plane of a block
{
    return (size_t)s->head_dim * DEV_PAGE * 2;
}
static inline size_t dev_kv_block_bytes(const dev_kv_shape *s)  // at F16
{
    return dev_kv_head_bytes(s) * (size_t)s->kv_heads;
}
static inline size_t dev_kv_page_bytes(const dev_kv_shape *s)  // at F16
{
    return dev_kv_block_bytes(s) * 2 * (size_t)s->layers;
}

// kv.c: from level to level. The same bits on every machine; from any thread.
// Bytes of a plane of one block.
size_t dev_kv_plane_bytes(const dev_kv_shape *s, enum dev_kv_side side, enum dev_kv_plane plane);
// F16 plane -> HIGH, SCALES and, unless NULL, LOW; keys are turned on the way (kern.h). False when a value is infinite, no
// number, or too large once turned: the block stays F16.
bool dev_kv_encode(const dev_kv_shape *s, enum dev_kv_side side, const dev_kv_block *b);
// What the block, at F16, would lose at Q8, Q4 and Q2: mean square errors, and the mean square they are measured against (of
// keys without the mean of each channel). False as from dev_kv_encode.
bool dev_kv_measure(const dev_kv_shape *s, enum dev_kv_side side, const dev_kv_block *b, float error[3],
                    float *whole);
// HIGH -> TWO.
void dev_kv_narrow(const dev_kv_shape *s, enum dev_kv_side side, const dev_kv_block *b);

// A sequence as a batch sees it: position p lies in page p / DEV_PAGE, slot p % DEV_PAGE.
typedef struct dev_kv_view {
    dev_kv_page *const *pages;
} dev_kv_view;

enum { DEV_MOST_BATCH = 8192 };  // tokens a step, whatever the plan
// Told the input of every matrix product, on one thread: x is [rows][width], multiplied with part `part` of the graph's
// weight `weight`. Only for plans in which matrices are used as the file holds them, so that inputs are floats.
typedef void dev_observe_fn(void *ctx, int weight, int part, const float *x, int rows, int width);

// Tokens of one or more sequences to run together. The tokens of one sequence stand next to each other, at
// rising consecutive positions; each sees all earlier positions of its sequence and itself.
typedef struct dev_batch {
    int n_tokens;           // 1..the plan's tokens
    const int32_t *token;   // [n_tokens] 0 <= id < vocabulary
    const int32_t *pos;     // [n_tokens]
    const int32_t *seq;     // [n_tokens] index into views
    int n_outputs;          // 0..the plan's outputs
    const int32_t *output;  // [n_outputs] indices of tokens whose logits are wanted, rising
    const dev_kv_view *views;
    // Asked between operations; true stops the run. May be NULL.
    bool (*cancel)(void *ctx);
    void *cancel_ctx;
    dev_observe_fn *observe;  // NULL, but when activations are studied
    void *observe_ctx;
} dev_batch;

// How weights are loaded.
typedef struct dev_load {
    // progress(ctx, done, total) is told bytes; it may be NULL.
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
    // Re-laid weights may be kept in a file of this folder, which is made when missing, and taken from it the next
    // time (docs/formats/weight-cache.md). NULL: they are not. Nothing that goes wrong with it fails a load.
    const char *cache_dir;
    const char *source;    // path of the model (of its first part), for the cache to notice that it changed
    uint64_t source_hash;  // gguf_model_hash
    size_t cache_least;    // bytes from which keeping pays; 0: 64 MiB
} dev_load;

// Bytes of re-laid weights: in memory of this process, and mapped from a cache file.
typedef struct dev_weight_bytes {
    size_t packed, mapped;
} dev_weight_bytes;

// What an adapter adds to one weight matrix W of n x k: (W + scale * b * a) x is computed as W x + scale * b (a x).
// LoRA: Hu et al. 2021 (arXiv 2106.09685).
typedef struct dev_lowrank {
    int rank;  // 0: nothing
    float scale;
    int type;       // of a and b: QT_F32 or QT_F16
    const void *a;  // [rank][k]
    const void *b;  // [n][rank]
} dev_lowrank;

typedef struct dev_ops {
    void (*free)(dev *d);
    // Takes the weight matrices of a graph over (re-laid for the device, original pages released); called once.
    int (*load)(dev *d, const graph *g, const dev_load *l, err *e);
    // Buffers and steps for batches up to the given sizes; the graph and the shape must outlive the plan.
    int (*plan)(dev *d, graph *g, const dev_kv_shape *kv, int tokens, int outputs, dev_plan **out, err *e);
    void (*plan_free)(dev_plan *p);
    // Runs one batch. *logits is [n_outputs][vocabulary], valid until the next run. 0 or ST_CANCELED; allocates
    // nothing.
    int (*run)(dev_plan *p, const dev_batch *b, const float **logits);
    // For each of the graph's weights what is added to it; copied. The adapter is for runs of this plan.
    int (*adapter_new)(dev_plan *p, const dev_lowrank *parts, dev_adapter **out, err *e);
    void (*adapter_free)(dev_adapter *a);  // not while it is set
    // From the next run on; everything the adapter adds is multiplied by `scale`. NULL: none.
    void (*set_adapter)(dev_plan *p, const dev_adapter *a, float scale);
    graph_layout (*layout)(const dev_plan *p);
    dev_weight_bytes (*weight_bytes)(const dev *d);
    const char *(*describe)(const dev *d);  // "cpu amx, 2 threads"
} dev_ops;

struct dev {
    const dev_ops *ops;
    graph_form_fn *form_of;  // the form in which its matmuls want their input
};

typedef struct dev_cpu_options {
    int threads;      // 0: as many as the process may use
    const char *isa;  // NULL: the best; else the most to use: "scalar", "avx2", "avx512", "amx", "neon"
    bool pin;         // bind worker threads to processors
    bool no_repack;   // multiply by the weights as the file holds them: no copy, slower
} dev_cpu_options;

int dev_cpu_new(dev **out, const dev_cpu_options *o, err *e);  // ST_INVALID, ST_NOMEM, ST_IO

// What the device takes for a graph beside its activations, known without taking it (for plans). Big arrays are
// of whole huge pages where the system has them; what is given is what a step writes to.
typedef struct dev_cpu_needs {
    size_t packed;    // re-laid weights
    size_t in_place;  // matrices that are multiplied as they lie in the file
    size_t scratch;   // of all threads: rows in the making, rotary tables, spans of attention
} dev_cpu_needs;
// For steps of at most `tokens` tokens of sequences of up to `depth`, on `threads` threads; huge: bytes of the pages that
// mem_pages_alloc gets, 4096 without huge ones.
dev_cpu_needs dev_cpu_count(const graph *g, bool no_repack, int threads, int tokens, int depth, size_t huge);

#endif

// The door of the plan room: what a model will take and how fast it will be, before it is loaded.
//
// Nothing here knows how fast a kernel is. A probe of a few seconds runs small graphs on the very device that will run
// the model, and gives the seconds of each kind of work (plan_rates). A prediction walks the model's graph and sums
// them up; bytes come from the same functions that lay weights, activations and pages out. What a prediction missed, when
// somebody looked, is kept and corrects later ones (plan_errors). Any thread, one call at a time.
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "base/base.h"
#include "dev/dev.h"
#include "gguf/gguf.h"
#include "kv/kv.h"
#include "model/model.h"

// ---- The machine (machine.c) ---------------------------------------------------------------------------------------
enum { PLAN_GPUS = 8 };
typedef struct plan_machine {
    char cpu[96];        // "" when the system does not say
    int processors;      // that this process may use; at least 1
    uint64_t cache[3];   // of levels 1 (data), 2, 3, as one processor sees them; 0: unknown
    uint64_t memory;     // of the machine, or what its container may take; 0: unknown
    uint64_t available;  // of it, now
    size_t huge;         // bytes of the pages big arrays get
    int n_gpus;
    char gpu[PLAN_GPUS][64];  // "NVIDIA (10de:2330)"; irori does not use them
} plan_machine;
// root: folder in which proc and sys are found, "" as a rule. What cannot be read stays unknown.
void plan_machine_read(plan_machine *m, const char *root);

// ---- How fast it is (probe.c, rates.c) -----------------------------------------------------------------------------
// Numbers of rows at which work is measured; between them time grows by straight lines.
enum { PLAN_POINTS = 4, PLAN_TILES = 6 };
extern const int plan_batch[PLAN_POINTS];  // tokens a matrix meets at once: 1, 8, 64, 512
extern const int plan_tile[PLAN_TILES];    // query rows that attend to a page at once: 1, 2, 4, 8, 16, 64
extern const int plan_head[2];             // values of a head: 64, 128

typedef struct plan_rates {
    char cpu[96], isa[16], date[16];  // date: when they were measured, "2026-12-01"
    int threads;
    double read_one, read_all;  // bytes a second that one thread and all together read
    double step;                // seconds an operation takes that does nothing: the barrier
    double norm, gate, store;  // seconds a value takes one thread, of rows that are normalised, gated, stored
    double embed;              // the same of a row that is looked up (Q4_K tables)
    // Seconds that a key with its value takes a KV head, of all threads together, by level, rows of the tile, and size
    // of the head.
    double attend[DEV_KV_LEVELS][PLAN_TILES][2];
    // Seconds for a weight, of all threads together, by type and by tokens; 0: not measured yet. And for an operation
    // with such weights beside them: threads do not end at once.
    double matmul[QT_COUNT][PLAN_POINTS], spread[QT_COUNT];
} plan_rates;

// Measures what *r does not hold yet: the machine's own rates, and those of the types whose bit is set in `types`.
// Takes at most about 5 seconds for the machine and a third of a second for a type. ST_NOMEM, ST_INVALID.
int plan_probe(plan_rates *r, const dev_cpu_options *o, uint64_t types, err *e);
// Types that a model's matrices have, as bits.
uint64_t plan_types(const graph *g);
// Kept in a file of the folder, one for each instruction set and number of threads. ST_NOTFOUND: there is none, or one of
// another processor or version, or damaged.
int plan_rates_load(plan_rates *r, const char *dir, const char *cpu, const char *isa, int threads);
bool plan_rates_save(const plan_rates *r, const char *dir);

// ---- Predictions (bytes.c, speed.c) --------------------------------------------------------------------------------
typedef struct plan_use {
    int threads, context, sequences, batch, outputs;  // as in engine_options, none of them 0
    bool no_repack;
    kv_policy kv;
    int prompt;        // tokens for the time to the first token
    int depth;         // tokens in the context while others are generated, and in memory
    uint64_t tables;   // bytes of vocabulary and template in memory
    uint64_t program;  // bytes of the process before
    size_t huge;
    bool untouched;  // the file\'s data is not looked at
} plan_use;

typedef struct plan_bytes {
    uint64_t weights;      // re-laid, or used as they lie
    uint64_t file;         // of the file's pages: header, rows of the embedding table, edges of tensors
    uint64_t kv;           // for `depth` tokens of each sequence
    uint64_t activations;  // with the threads' scratch
    uint64_t tables, program;
    uint64_t total;
} plan_bytes;

// The graph is m's; its plan of activations is made anew.
plan_bytes plan_count(model *m, const plan_use *u);
// The most tokens of context whose memory is at most `has`; 0: not even an empty one.
int plan_most_context(model *m, const plan_use *u, uint64_t has);
double plan_step_seconds(const model *m, const plan_use *u, const plan_rates *r);  // one token at `depth`
double plan_prompt_seconds(const model *m, const plan_use *u, const plan_rates *r);

// ---- Models that are not there (retype.c, sketch.c) ------------------------------------------------------------------
// Gives the matrices of m the types that a mix ("Q4_K_M") gives them; only good for predictions then. *file_bytes: what
// the file would have. ST_INVALID: no such mix.
int plan_retype(model *m, const char *mix, graph_form_fn *form_of, uint64_t *file_bytes, err *e);

typedef struct plan_shape {
    const char *arch;  // general.architecture, one that irori runs
    int layers, width, heads, kv_heads, head_dim;
    int ff;  // of an expert, where there are some
    int vocab, context, window, experts, experts_used;
    bool tied;  // the embedding is the output matrix
} plan_shape;
// A file with this header and no data, every matrix F16; enough for model_load. ST_INVALID, ST_NOMEM, ST_IO.
int plan_sketch(const plan_shape *s, gguf **out, err *e);

// ---- What predictions missed (errors.c) ----------------------------------------------------------------------------
enum plan_metric { PLAN_RSS, PLAN_SPEED, PLAN_TTFT, PLAN_METRICS };
// `class` names what was run: weight type, instruction set, threads. Adds measured / predicted to the folder's table;
// false when it could not be written.
bool plan_errors_add(const char *dir, const char *class, enum plan_metric what, double ratio);
// The median ratio of the latest, and of how many; 1 and 0 where there is none.
double plan_errors_median(const char *dir, const char *class, enum plan_metric what, int *count);

#endif

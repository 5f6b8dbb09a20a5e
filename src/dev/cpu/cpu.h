// Inside of the CPU device: shared by its files, seen by nobody else.
#ifndef DEV_CPU_CPU_H
#define DEV_CPU_CPU_H

#include <stdatomic.h>

#include "base/base.h"
#include "dev/dev.h"
#include "kern/kern.h"

typedef struct cpu_dev {
    dev base;
    pool *threads;
    const kern_table *kern;
    kern_weight *weights;  // [n_weights], by graph weight index: the first part
    int n_weights;
    bool no_repack;
    uint8_t *packed;  // one block that holds every packed matrix; NULL when it lies in the cache file
    size_t packed_bytes;
    os_map cache;  // the cache file, when the weights are used from it
    char description[96];
} cpu_dev;

enum {
    CPU_PARTIAL_FLOATS = 1 << 22,
    CPU_TRAIL_FLOATS = 1 << 18,  // a thread's; 130,000 tokens of context in tiles of KERN_ATTN_ROWS
};

// Who goes to which expert, from a ROUTE to the next. A row and one of its experts is a pair; pair row * used + rank
// has its row in the sorted values at place[pair].
typedef struct cpu_sorting {
    int *start;  // [experts + 1] sorted rows [start[e], start[e + 1]) are expert e's
    int *place;  // [pairs]
} cpu_sorting;

// What an adapter adds to a weight, packed like one.
typedef struct cpu_lowrank {
    kern_weight a, b;  // F32 or F16; a.n == b.k is the rank, 0 where there is nothing
    float scale;
} cpu_lowrank;

typedef struct cpu_adapter {
    cpu_lowrank *part;  // [weights of the graph]
    uint8_t *packed;
    size_t packed_bytes;
    float *inner;  // [GRAPH_MAX_WEIGHTS][inner_floats]: a x of the matrices of the present operation
    size_t inner_floats;
} cpu_adapter;

typedef struct cpu_plan {
    cpu_dev *dev;
    graph *g;
    dev_kv_shape kv;
    int max_tokens, max_outputs;
    uint8_t *buffer;  // all activations, laid out by graph_plan
    size_t buffer_bytes;
    graph_layout layout;
    float *rope;          // for each rope [max_tokens][2][half]: cosines, then sines, of the present batch
    size_t *rope_offset;  // [ropes] in floats
    size_t rope_floats;
    float *scratch;  // [threads][scratch_floats]
    size_t scratch_floats;
    float *partial;              // [CPU_PARTIAL_FLOATS] split attention: results of the spans, see attend.c
    float *trails;               // [threads][CPU_TRAIL_FLOATS] sums after each page, see attend.c
    cpu_sorting sorting;         // NULL pointers in a graph without experts
    atomic_int *counters;        // [ops][2]: how much of an operation's work is taken; zeroed before each run
    const cpu_adapter *adapter;  // NULL: none
    float adapter_scale;
    const dev_batch *batch;  // of the present run
    atomic_int canceled_at;  // operation after which all threads stop; INT_MAX while nobody asked
} cpu_plan;

// One thread's view of a run.
typedef struct cpu_worker {
    cpu_plan *plan;
    const dev_batch *batch;
    int ith, nth;
    float *scratch;
} cpu_worker;

static inline const graph_value *cpu_value(const cpu_plan *p, int id)
{
    return &p->g->values[id];
}

// Rows of a value in the present batch, and for the layout (the plan's largest).
static inline int cpu_rows(const cpu_plan *p, const graph_value *v)
{
    return (v->rows == GRAPH_TOKENS ? p->batch->n_tokens : p->batch->n_outputs) * v->each;
}
static inline int cpu_max_rows(const cpu_plan *p, const graph_value *v)
{
    return (v->rows == GRAPH_TOKENS ? p->max_tokens : p->max_outputs) * v->each;
}

static inline float *cpu_f32(const cpu_plan *p, const graph_value *v, int row)
{
    return (float *)(void *)(p->buffer + v->offset[GRAPH_F32]) + (size_t)row * (size_t)v->width;
}

// rows.c: row-wise operations, and writing a finished row in the forms its readers want.
void cpu_embed(cpu_worker *w, const graph_op *op, int index);
void cpu_norm(cpu_worker *w, const graph_op *op, int index);
void cpu_glu(cpu_worker *w, const graph_op *op, int index);
void cpu_pick(cpu_worker *w, const graph_op *op, int index);
void cpu_mean(cpu_worker *w, const graph_op *op, int index);
void cpu_store(cpu_worker *w, const graph_op *op, int index);
void cpu_rope_tables(cpu_worker *w);
// Writes columns [from, to) of a row of `v`, x[0] being column `from`, in every form its readers want. `from` is a
// multiple of 256; `to` is one too, or the width.
void cpu_emit(const cpu_plan *p, const graph_value *v, int row, int from, int to, const float *x);
// The contiguous share of `total` items that belongs to this thread.
void cpu_share(const cpu_worker *w, int total, int *from, int *to);

// experts.c
void cpu_route(cpu_worker *w, const graph_op *op, int index);
void cpu_blend(cpu_worker *w, const graph_op *op, int index);

// matmul.c
void cpu_matmul(cpu_worker *w, const graph_op *op, int index);
// adapter.c
enum { CPU_ADAPTER_ROWS = 8 };  // rows of input that are decoded at once, in scratch
int cpu_adapter_new(dev_plan *p, const dev_lowrank *parts, dev_adapter **out, err *e);
void cpu_adapter_free(dev_adapter *a);
void cpu_set_adapter(dev_plan *p, const dev_adapter *a, float scale);
bool cpu_adapted(const cpu_plan *p,
                 const graph_op *op);  // whether the adapter adds to a matrix of this product
void cpu_adapter_down(cpu_worker *w, const graph_op *op);  // inner = scale * a x; a barrier must follow
// Adds b inner to rows [t0, t1), columns of panels [p0, p1) of the i-th result.
void cpu_adapter_up(const cpu_worker *w, const graph_op *op, int i, int t0, int t1, int p0, int p1);

// attend.c: runs a barrier of its own when work is split along the context.
void cpu_attend(cpu_worker *w, const graph_op *op, int index);
size_t cpu_attend_scratch(int head_dim);  // floats of scratch a thread needs

// cpu.c: floats of scratch a thread needs for any operation of the graph.
size_t cpu_scratch_floats(const graph *g);
// attend.c: floats that the spans of one token take at a depth; 0: it has one span.
size_t cpu_attend_partial(const graph_attention *at, int depth);

// weights.c
int cpu_load(dev *d, const graph *g, const dev_load *l, err *e);
size_t cpu_packed_bytes(const graph_weight *w);  // of all its parts; 0: used as it lies in the file
kern_weight cpu_weight_part(const cpu_dev *d, int weight, int part);

// cache.c: the block of packed matrices in a file. offset[i] is where matrix i begins in the block, SIZE_MAX when
// it is not packed; total bytes of the block.
typedef struct cpu_cache {
    const graph *g;
    const size_t *offset;
    size_t bytes;
    pool *threads;
    char *path;       // NULL: nothing is kept
    uint64_t key;     // of the model
    uint64_t layout;  // of packed panels
} cpu_cache;
// Fills c->path, key and layout; c->path stays NULL when this model is not to be kept.
void cpu_cache_init(cpu_cache *c, const dev_load *l);
void cpu_cache_done(cpu_cache *c);
// Maps the file when it holds exactly these matrices; the block, or NULL.
const uint8_t *cpu_cache_map(const cpu_cache *c, os_map *map);
void cpu_cache_write(const cpu_cache *c, const uint8_t *block);

#endif

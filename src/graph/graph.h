// The door of the graph room: a model's forward pass as a list of operations, and the plan of its buffers.
//
// A model builds its graph once, when it is loaded. Operations stand in the order they run. A value is a table
// with one row of `width` floats for each token of the batch (or for each token whose logits are wanted); how
// many rows there are is known only when a batch comes, so every plan is made for the largest batch.
// Who reads a value decides in which forms its producer writes it (F32, or quantized for matmuls): that is
// the fusion of "normalise + quantize" and its like, without an operation of its own.
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

// A matrix of the model: n rows (outputs) x k columns (inputs), as the file holds it.
typedef struct graph_weight {
    const char *name;  // tensor name; for messages
    int type;          // enum quant_type
    int n, k;
    const void *data;  // borrowed: the mapped file
    bool lookup_only;  // read row by row (an embedding table), never multiplied
    int row0;          // its first row in the tensor, when it is a slice of one
    int parts;         // matrices of this shape that lie one after another, one an expert; 0 is taken as 1
} graph_weight;

enum graph_rows {
    GRAPH_TOKENS,   // one row a token of the batch
    GRAPH_OUTPUTS,  // one row a token whose logits are wanted
};

enum graph_form {
    GRAPH_F32,
    GRAPH_Q8_32,   // int8, a scale and a sum each 32
    GRAPH_Q8_256,  // int8, a scale each 256, a sum each 16
    GRAPH_FORMS
};

typedef struct graph_value {
    int width;
    enum graph_rows rows;
    int each;                    // rows for each token or output: 1, or as many as it uses experts
    unsigned forms;              // bit per enum graph_form that somebody reads; set by graph_finish
    int first, last;             // first and last operation that touches it
    size_t offset[GRAPH_FORMS];  // in the activation buffer; set by graph_plan
} graph_value;

enum graph_op_kind {
    GRAPH_EMBED,  // out[0] = table row of each token (times scale), plus the row of its position in weight[1] (if any),
                  // plus bias[0] (if any)
    GRAPH_NORM,  // x += add (if any); out[0] = norm(x). x = in[0] is updated in place, add = in[1]
    GRAPH_MATMUL,  // out[i] = in[0] * weight[i]^T (+ bias[i], then capped) for i < n_weights; one pass, one barrier.
    // With a choice in in[1], in[0] holds rows as ROUTE sorts them, and each meets its expert's part
    GRAPH_STORE,   // q = in[0], k = in[1], v = in[2]: norms of heads (vec, vec2 or NULL), rotary positions;
                   // q stays in place, k and v go to the KV pages of `layer`
    GRAPH_ATTEND,  // out[0] = attention of q = in[0] over the pages of `layer`
    GRAPH_GLU,     // out[0] = gate(in[0]) * in[1] (if any)
    GRAPH_PICK,    // out[0] = in[0] + add for the output tokens only; add = in[1] (if any)
    GRAPH_MEAN,  // out[0] = for each output token, the mean of in[0] over its sequence's tokens in the batch
    GRAPH_ROUTE,  // out[0] = the choice of experts for each row of in[1], by the scores in[0]; out[1] = its rows sorted
    GRAPH_BLEND,  // out[0] = sum over a row's experts of weight * its row of in[0]; in[1] = the choice
};

enum graph_gate {
    GRAPH_SILU,
    GRAPH_GELU,       // by erf
    GRAPH_GELU_TANH,  // by tanh
    GRAPH_TANH,
    GRAPH_CLAMPED,  // gpt-oss's clamped SiLU, see KERN_CLAMPED
};

// How a row is normalised.
typedef struct graph_rule {
    bool center;          // LayerNorm: the mean is taken away first; otherwise RMS norm
    const float *weight;  // [width]
    const float *bias;    // [width] or NULL
    float eps;
} graph_rule;

// What a block leaves to be added to the residual stream by the next operation that touches it.
typedef struct graph_addend {
    int value;         // GRAPH_NONE: nothing
    const float *rms;  // [width] the value is RMS-normalised by these weights first; NULL: added as it is
} graph_addend;

// Rotary position embedding: which pairs turn, how fast. Shared by the layers that use it.
typedef struct graph_rope {
    int half;               // pairs turned; 0: none
    bool neox;              // pairs (i, i + half) rather than (2i, 2i + 1)
    const float *inv_freq;  // [half] radians per position
    float scale;            // of the rotated values (YaRN's attention factor); 1 otherwise
} graph_rope;

// What attention needs to know of a layer.
typedef struct graph_attention {
    int layer;            // index of the layer's KV
    int heads, kv_heads;  // heads is a multiple of kv_heads
    int head_dim;
    int rope;       // index into graph.ropes
    int window;     // > 0: a token sees the last `window` positions, itself included
    float softcap;  // > 0: scores are softcap * tanh(s / softcap)
    float scale;    // of the scores, usually 1/sqrt(head_dim)
    float eps;      // of the head norms
    // A token sees all of its sequence in the batch; with a window, at most half of it to each side.
    bool both_ways;
    const float *sinks;  // [heads] a score more for each head, of a key without a value (gpt-oss); NULL: none
} graph_attention;

// How experts are chosen: the `used` highest scores win, the lower number where they are equal. Their weights are the
// softmax of the scores, over all experts or over the chosen alone (which is the same as over all, made to sum to 1).
// A choice is a value of [2][used]: numbers of the chosen, best first, and their weights. The sorted rows are each row
// once for every expert chosen, those of one expert next to each other, in the order of the rows.
typedef struct graph_choice {
    int experts, used;  // 1 <= used <= experts
    bool over_all;
} graph_choice;

enum { GRAPH_MAX_WEIGHTS = 3, GRAPH_MAX_INPUTS = 3, GRAPH_NONE = -1 };

typedef struct graph_op {
    enum graph_op_kind kind;
    int in[GRAPH_MAX_INPUTS];  // value indices, GRAPH_NONE where unused
    int out[GRAPH_MAX_WEIGHTS];
    int weight[GRAPH_MAX_WEIGHTS];         // indices into graph.weights (EMBED, MATMUL)
    const float *bias[GRAPH_MAX_WEIGHTS];  // [parts][n] or NULL
    int n_weights;
    graph_rule norm;          // NORM
    graph_addend add;         // NORM, PICK; its value is in[1]
    const float *vec, *vec2;  // STORE: head norms of q and k
    float eps;                // NORM, PICK: of the addend's norm
    float scale;              // EMBED
    float cap;                // MATMUL > 0: results are cap * tanh(result / cap)
    enum graph_gate gate;     // GLU
    graph_attention att;      // STORE, ATTEND
    graph_choice choice;      // ROUTE
} graph_op;

typedef struct graph {
    arena mem;
    graph_op *ops;
    int n_ops, cap_ops;
    graph_value *values;
    int n_values, cap_values;
    graph_weight *weights;
    int n_weights, cap_weights;
    graph_rope *ropes;
    int n_ropes, cap_ropes;
    int logits;     // the value that holds the result, [outputs][vocabulary]
    graph_op lost;  // where an operation goes that found no memory
    int failed;     // ST_NOMEM once an addition was lost; graph_finish reports it
} graph;

void graph_init(graph *g);
void graph_done(graph *g);

// Each returns an index. After a failed allocation they return 0 and graph_finish says so.
int graph_add_weight(graph *g, graph_weight w);  // the same tensor twice gives the same index
int graph_add_rope(graph *g, graph_rope r);
// positions: a table, or GRAPH_NONE; bias: [width] or NULL.
int graph_embed(graph *g, int weight, int positions, const float *bias, float scale);
// Returns the normalised value; `x` has `add` added to it first, in place.
int graph_norm(graph *g, int x, graph_addend add, graph_rule rule);
// out[i] for each of n weights; bias may be NULL, as may its entries.
void graph_matmul(graph *g, int x, const int *weight, const float *const *bias, int n, int *out);
// One product whose results are capped (0: not).
int graph_head(graph *g, int x, int weight, float cap);
void graph_store(graph *g, int q, int k, int v, const float *q_norm, const float *k_norm,
                 graph_attention att);
int graph_attend(graph *g, int q, graph_attention att);
int graph_glu(graph *g, enum graph_gate f, int gate, int up);  // up may be GRAPH_NONE
int graph_pick(graph *g, int x, graph_addend add, float eps);  // eps of the addend's norm
int graph_mean(graph *g, int x);
// Returns the choice; *sorted is the value that graph_expert_matmul multiplies first.
int graph_route(graph *g, int scores, int x, graph_choice c, int *sorted);
// As graph_matmul, for x with rows sorted by `choice` and weights of as many parts as there are experts.
void graph_expert_matmul(graph *g, int x, int choice, const int *weight, const float *const *bias, int n,
                         int *out);
int graph_blend(graph *g, int x, int choice);

// The form in which a matmul with this weight type wants its input; given by the device.
typedef enum graph_form graph_form_fn(int quant_type);

// Derives forms and lifetimes. Call once, after the last operation and before graph_plan.
int graph_finish(graph *g, int logits, graph_form_fn *form_of, err *e);

// Lays the values out for at most `tokens` tokens and `outputs` outputs; values whose lifetimes do not meet
// may share memory. Offsets are multiples of 64.
typedef struct graph_layout {
    size_t bytes;     // of the one buffer that holds all values
    size_t unshared;  // what one buffer per value would take
} graph_layout;
graph_layout graph_plan(graph *g, int tokens, int outputs);

// Parts of a quantized form, each [rows] x:
size_t graph_q8_row_bytes(int width);                                // codes, padded to 64
size_t graph_form_bytes(enum graph_form form, int width, int rows);  // all parts together
// Where scales and sums begin, from the form's offset.
size_t graph_q8_scale_offset(int width, int rows);
size_t graph_q8_sum_offset(enum graph_form form, int width, int rows);

#endif

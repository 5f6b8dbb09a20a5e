// What architecture files build with: keys and tensors that are checked as they are fetched (build.c, rope.c), and
// the blocks that most transformers share (blocks.c). Inside the model room only.
#ifndef MODEL_BUILD_H
#define MODEL_BUILD_H

#include "model/model.h"

// The first failure sticks in `rc` and `e`; later calls do nothing, so an architecture reads as one list.
typedef struct build {
    model *m;
    const gguf *g;
    err *e;
    int rc;
} build;

typedef struct model_arch {
    const char *name;  // general.architecture
    void (*params)(build *b);
    void (*graph)(build *b);
} model_arch;

// All architectures, ended by a NULL name entry.
extern const model_arch *const model_archs[];
extern const model_arch model_arch_bert, model_arch_gemma2, model_arch_gemma3, model_arch_gpt_oss,
    model_arch_gpt2, model_arch_llama, model_arch_modern_bert, model_arch_phi3, model_arch_qwen2,
    model_arch_qwen3, model_arch_qwen3moe, model_arch_starcoder2;

int build_fail(build *b, int code, const char *fmt, ...) ERR_PRINTF(3, 4);

// Keys are given without the architecture: "block_count" reads "llama.block_count".
uint32_t build_u32(build *b, const char *key, uint32_t least, uint32_t most);  // required
uint32_t build_u32_or(build *b, const char *key, uint32_t otherwise, uint32_t least, uint32_t most);
float build_f32(build *b, const char *key);  // required, finite
float build_f32_or(build *b, const char *key, float otherwise);
// The parameters every decoder has, from their usual keys.
void build_common_params(build *b);
// expert_count and what belongs to it; all 0 when `required` is false and there is no such key.
void build_expert_params(build *b, bool required);

// A matrix of n x k, by tensor name as in printf; fails when it is absent or of another shape or type.
int build_matrix(build *b, int n, int k, const char *fmt, ...) ERR_PRINTF(4, 5);
// Rows [row0, row0 + n) of a matrix of total x k, as a matrix of its own.
int build_rows(build *b, int row0, int n, int total, int k, const char *fmt, ...) ERR_PRINTF(6, 7);
uint64_t build_row_count(const build *b, const char *fmt, ...)
    ERR_PRINTF(2, 3);  // of a tensor; 0: there is none
// `parts` matrices of n x k in one tensor, one for each expert.
int build_experts(build *b, int parts, int n, int k, const char *fmt, ...) ERR_PRINTF(5, 6);
// The same as build_matrix, of a table that is only looked up.
int build_table(build *b, int n, int k, const char *fmt, ...) ERR_PRINTF(4, 5);
// A vector of n values as F32, owned by the graph; NULL when `optional` and absent.
const float *build_vector(build *b, int n, bool optional, const char *fmt, ...) ERR_PRINTF(4, 5);
// `rows` vectors of n values, likewise.
const float *build_vectors(build *b, int rows, int n, bool optional, const char *fmt, ...) ERR_PRINTF(5, 6);

// The rotary table from the model's keys (none, linear, llama3 factors, yarn, longrope).
int build_rope(build *b);
int build_rope_unscaled(build *b, float base);  // another one beside it, without scaling
// Whether a layer of a model that mixes them attends within the window: by attention.sliding_window_pattern, a number
// N (each N-th layer sees everything) or a flag for each layer; without the key N is `period`.
bool build_layer_slides(build *b, int layer, int period);

// ---- Shared blocks ----------------------------------------------------------------------------------------------
// How an architecture's blocks differ from the plainest (RMS norms, gated SiLU); rope and window may differ by layer.
typedef struct build_style {
    bool layer_norm;  // LayerNorm with weight and bias
    bool head_norms;  // RMS norm of each query and key head (blk.N.attn_q_norm, attn_k_norm)
    bool post_norms;  // RMS norm of a block's result before it is added (post_attention_norm, post_ffw_norm)
    bool biases;      // Q, K and V must have biases; any other bias is honoured where the file has it
    bool no_gate;     // feed-forward: down(f(up x)), without a gate
    bool positions;   // learned, from position_embd
    bool segments;    // the first row of token_types is added to every embedding
    bool sinks;       // a sink's score for each head (attn_sinks)
    bool no_norm;     // of a layer whose attention takes the stream as it is
    bool norm_after;  // blocks take the stream as it is; sum and result are normalised (attn_output_norm,
                      // layer_output_norm)
    bool embedding_norm;   // of the embeddings (token_embd_norm)
    const char *ff_norm;   // the norm before the feed-forward; NULL: ffn_norm
    enum graph_gate gate;  // f of the feed-forward
    int rope;
    int window;
    float embedding_scale;  // 0: 1
    float attention_scale;  // 0: 1 / sqrt(head_dim)
    float attention_cap;    // of scores; 0: none
    float logit_cap;        // 0: none
} build_style;

// The residual stream, and what is still to be added to it by the next norm or pick.
typedef struct build_stream {
    int x;
    graph_addend add;
} build_stream;

// The norm `name` of a layer (below 0: of the model) over the stream, with what was left to be added to it.
int build_norm(build *b, int layer, const char *name, build_stream *x, const build_style *s);
build_stream build_embedding(build *b, const build_style *s);
// Norm, QKV (separate, or fused as attn_qkv), rotary positions, attention, output projection.
void build_attention_block(build *b, int layer, build_stream *x, const build_style *s);
// Norm, feed-forward (gate and up separate, or fused as ffn_up). x may live on other rows than before (after a pick).
void build_ff_block(build *b, int layer, build_stream *x, const build_style *s);
// Norm, router, experts, their weighted sum; biases are honoured where the file has them.
void build_experts_block(build *b, int layer, build_stream *x, const build_style *s);
// Attention, then feed-forward or experts; behind the attention of the last layer only the rows whose logits are wanted go on.
void build_layer(build *b, int layer, build_stream *x, const build_style *s);
// What is to become of the last hidden states; after the architecture's own parameters.
void build_pooling_params(build *b);
// The end of the graph of a model that pools. x: hidden states, already picked unless their mean is wanted; gate: of
// the first matrix of a head that ranks.
void build_pooled(build *b, int x, enum graph_gate gate, const build_style *s);
// Final norm, and pooling or the output head (tied to the embedding when the file has no output.weight): the end of a graph.
void build_head(build *b, build_stream *x, const build_style *s);
// The whole of a decoder whose layers are alike.
void build_decoder(build *b, const build_style *s);

#endif

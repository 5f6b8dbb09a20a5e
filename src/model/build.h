// What architecture files build with: keys and tensors that are checked as they are fetched, and the blocks that
// most transformers share. Inside the model room only.
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
extern const model_arch model_arch_llama, model_arch_qwen3;

int build_fail(build *b, int code, const char *fmt, ...) ERR_PRINTF(3, 4);

// Keys are given without the architecture: "block_count" reads "llama.block_count".
uint32_t build_u32(build *b, const char *key, uint32_t least, uint32_t most);  // required
uint32_t build_u32_or(build *b, const char *key, uint32_t otherwise, uint32_t least, uint32_t most);
float build_f32(build *b, const char *key);  // required, finite
float build_f32_or(build *b, const char *key, float otherwise);
// The parameters every decoder has, from their usual keys.
void build_common_params(build *b);

// A matrix of n x k, by tensor name as in printf; fails when it is absent or of another shape or type.
int build_matrix(build *b, int n, int k, const char *fmt, ...) ERR_PRINTF(4, 5);
// The same as a table that is only looked up.
int build_table(build *b, int n, int k, const char *fmt, ...) ERR_PRINTF(4, 5);
// A vector of n values as F32, owned by the graph; NULL when `optional` and absent.
const float *build_vector(build *b, int n, bool optional, const char *fmt, ...) ERR_PRINTF(4, 5);

// The rotary table from the model's keys (none, linear, llama3 factors, yarn, longrope) for `context` positions.
int build_rope(build *b);

// Shared blocks. x is the residual stream; `add` what is still to be added to it (GRAPH_NONE or a value).
typedef struct build_attention {
    bool head_norms;  // RMS norm of each query and key head (blk.N.attn_q_norm, attn_k_norm)
    bool biases;      // optional attn_q/k/v.bias are honoured
    int rope;
    int window;
} build_attention;
// Norm, QKV, rotary positions, attention, output projection; gives the value to add to the residual stream.
int build_attention_block(build *b, int layer, int x, int add, const build_attention *o);
// Norm, gated SiLU feed-forward; gives the value to add. x may live on other rows than before (after a pick).
int build_swiglu_block(build *b, int layer, int x, int add);
// Final norm and output head (tied to the embedding when the file has no output.weight).
int build_head(build *b, int x, int add);
// The whole of a plain pre-norm decoder: embedding, layers of the two blocks above, head.
void build_decoder(build *b, const build_attention *o);

#endif

// The table of model types. A new one is a row here and, where its tensors have other names, a list above it.
#include <stdio.h>
#include <string.h>

#include "convert/own.h"

// clang-format off
static const convert_rename decoder_top[] = {
    {"embed_tokens", "token_embd", CONVERT_AS_IS}, {"norm", "output_norm", CONVERT_AS_IS},
    {"lm_head", "output", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename gemma_top[] = {
    {"embed_tokens", "token_embd", CONVERT_AS_IS}, {"norm", "output_norm", CONVERT_PLUS_ONE},
    {"lm_head", "output", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename gpt2_top[] = {
    {"wte", "token_embd", CONVERT_AS_IS}, {"wpe", "position_embd", CONVERT_AS_IS},
    {"ln_f", "output_norm", CONVERT_AS_IS}, {"lm_head", "output", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename bert_top[] = {
    {"embeddings.word_embeddings", "token_embd", CONVERT_AS_IS},
    {"embeddings.position_embeddings", "position_embd", CONVERT_AS_IS},
    {"embeddings.token_type_embeddings", "token_types", CONVERT_AS_IS},
    {"embeddings.LayerNorm", "token_embd_norm", CONVERT_AS_IS},
    {"classifier.dense", "cls", CONVERT_AS_IS}, {"classifier.out_proj", "cls.output", CONVERT_AS_IS},
    {"pooler.dense", "cls", CONVERT_AS_IS}, {"classifier", "cls.output", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename roberta_top[] = {
    {"embeddings.word_embeddings", "token_embd", CONVERT_AS_IS},
    {"embeddings.position_embeddings", "position_embd", CONVERT_SKIP_TWO},
    {"embeddings.token_type_embeddings", "token_types", CONVERT_LINE},
    {"embeddings.LayerNorm", "token_embd_norm", CONVERT_AS_IS},
    {"classifier.dense", "cls", CONVERT_AS_IS}, {"classifier.out_proj", "cls.output", CONVERT_AS_IS},
    {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename modernbert_top[] = {
    {"embeddings.tok_embeddings", "token_embd", CONVERT_AS_IS}, {"embeddings.norm", "token_embd_norm", CONVERT_AS_IS},
    {"final_norm", "output_norm", CONVERT_AS_IS},
    {"head.dense", "cls", CONVERT_AS_IS}, {"head.norm", "cls.norm", CONVERT_AS_IS},
    {"classifier", "cls.output", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};

#define ATTENTION(q, k) \
    {"self_attn.q_proj", "attn_q", q}, {"self_attn.k_proj", "attn_k", k}, \
    {"self_attn.v_proj", "attn_v", CONVERT_AS_IS}, {"self_attn.o_proj", "attn_output", CONVERT_AS_IS}
#define GATED \
    {"mlp.gate_proj", "ffn_gate", CONVERT_AS_IS}, {"mlp.up_proj", "ffn_up", CONVERT_AS_IS}, \
    {"mlp.down_proj", "ffn_down", CONVERT_AS_IS}
#define PRE_NORMS \
    {"input_layernorm", "attn_norm", CONVERT_AS_IS}, {"post_attention_layernorm", "ffn_norm", CONVERT_AS_IS}
#define HEAD_NORMS(how) {"self_attn.q_norm", "attn_q_norm", how}, {"self_attn.k_norm", "attn_k_norm", how}

static const convert_rename llama_layer[] = {
    ATTENTION(CONVERT_Q_PAIRS, CONVERT_K_PAIRS), GATED, PRE_NORMS,
    {"block_sparse_moe.gate", "ffn_gate_inp", CONVERT_AS_IS},
    {"block_sparse_moe.experts.#.w1", "ffn_gate_exps", CONVERT_AS_IS},
    {"block_sparse_moe.experts.#.w3", "ffn_up_exps", CONVERT_AS_IS},
    {"block_sparse_moe.experts.#.w2", "ffn_down_exps", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename qwen_layer[] = {
    ATTENTION(CONVERT_AS_IS, CONVERT_AS_IS), GATED, PRE_NORMS, HEAD_NORMS(CONVERT_AS_IS),
    {"mlp.gate", "ffn_gate_inp", CONVERT_AS_IS},
    {"mlp.experts.#.gate_proj", "ffn_gate_exps", CONVERT_AS_IS},
    {"mlp.experts.#.up_proj", "ffn_up_exps", CONVERT_AS_IS},
    {"mlp.experts.#.down_proj", "ffn_down_exps", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename gemma_layer[] = {
    ATTENTION(CONVERT_AS_IS, CONVERT_AS_IS), GATED, HEAD_NORMS(CONVERT_PLUS_ONE),
    {"input_layernorm", "attn_norm", CONVERT_PLUS_ONE},
    {"post_attention_layernorm", "post_attention_norm", CONVERT_PLUS_ONE},
    {"pre_feedforward_layernorm", "ffn_norm", CONVERT_PLUS_ONE},
    {"post_feedforward_layernorm", "post_ffw_norm", CONVERT_PLUS_ONE}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename phi3_layer[] = {
    {"self_attn.qkv_proj", "attn_qkv", CONVERT_AS_IS}, {"self_attn.o_proj", "attn_output", CONVERT_AS_IS},
    {"mlp.gate_up_proj", "ffn_up", CONVERT_AS_IS}, {"mlp.down_proj", "ffn_down", CONVERT_AS_IS}, PRE_NORMS,
    {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename gpt2_layer[] = {
    {"ln_1", "attn_norm", CONVERT_AS_IS}, {"attn.c_attn", "attn_qkv", CONVERT_TURNED},
    {"attn.c_proj", "attn_output", CONVERT_TURNED}, {"ln_2", "ffn_norm", CONVERT_AS_IS},
    {"mlp.c_fc", "ffn_up", CONVERT_TURNED}, {"mlp.c_proj", "ffn_down", CONVERT_TURNED}, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename starcoder2_layer[] = {
    ATTENTION(CONVERT_AS_IS, CONVERT_AS_IS), {"mlp.c_fc", "ffn_up", CONVERT_AS_IS},
    {"mlp.c_proj", "ffn_down", CONVERT_AS_IS}, PRE_NORMS, {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename gpt_oss_layer[] = {  // its fused experts are taken apart in plan.c
    ATTENTION(CONVERT_AS_IS, CONVERT_AS_IS), {"input_layernorm", "attn_norm", CONVERT_AS_IS},
    {"post_attention_layernorm", "post_attention_norm", CONVERT_AS_IS}, {"mlp.router", "ffn_gate_inp", CONVERT_AS_IS},
    {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename bert_layer[] = {
    {"attention.self.query", "attn_q", CONVERT_AS_IS}, {"attention.self.key", "attn_k", CONVERT_AS_IS},
    {"attention.self.value", "attn_v", CONVERT_AS_IS}, {"attention.output.dense", "attn_output", CONVERT_AS_IS},
    {"attention.output.LayerNorm", "attn_output_norm", CONVERT_AS_IS}, {"intermediate.dense", "ffn_up", CONVERT_AS_IS},
    {"output.dense", "ffn_down", CONVERT_AS_IS}, {"output.LayerNorm", "layer_output_norm", CONVERT_AS_IS},
    {NULL, NULL, CONVERT_AS_IS}};
static const convert_rename modernbert_layer[] = {
    {"attn.Wqkv", "attn_qkv", CONVERT_AS_IS}, {"attn.Wo", "attn_output", CONVERT_AS_IS},
    {"attn_norm", "attn_norm", CONVERT_AS_IS}, {"mlp.Wi", "ffn_up", CONVERT_AS_IS},
    {"mlp.Wo", "ffn_down", CONVERT_AS_IS}, {"mlp_norm", "ffn_norm", CONVERT_AS_IS}, {NULL, NULL, CONVERT_AS_IS}};

static const char *const plain_needs[] = {"attn_q", "attn_k", "attn_v", "attn_output", "attn_norm", "ffn_norm", "ffn_up",
                                          "ffn_down", NULL};
static const char *const expert_needs[] = {"attn_q", "attn_k", "attn_v", "attn_output", "attn_norm", "ffn_norm",
                                           "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", NULL};
static const char *const oss_needs[] = {"attn_q", "attn_k", "attn_v", "attn_output", "attn_norm", "post_attention_norm",
                                        "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "attn_sinks",
                                        NULL};
static const char *const fused_needs[] = {"attn_qkv", "attn_output", "attn_norm", "ffn_norm", "ffn_up", "ffn_down", NULL};
static const char *const bert_needs[] = {"attn_q", "attn_k", "attn_v", "attn_output", "attn_output_norm", "ffn_up",
                                         "ffn_down", "layer_output_norm", NULL};
static const char *const modern_needs[] = {"attn_qkv", "attn_output", "ffn_norm", "ffn_up", "ffn_down", NULL};

static const convert_family families[] = {
    {"llama|mistral", "llama", CONVERT_RMS, false, false, false, decoder_top, llama_layer, plain_needs},
    {"mixtral", "llama", CONVERT_RMS, false, false, false, decoder_top, llama_layer, expert_needs},
    {"qwen2", "qwen2", CONVERT_RMS, false, true, false, decoder_top, qwen_layer, plain_needs},
    {"qwen3", "qwen3", CONVERT_RMS, true, true, false, decoder_top, qwen_layer, plain_needs},
    {"qwen3_moe", "qwen3moe", CONVERT_RMS, true, true, false, decoder_top, qwen_layer, expert_needs},
    {"gemma2", "gemma2", CONVERT_RMS, true, false, false, gemma_top, gemma_layer, plain_needs},
    {"gemma3|gemma3_text", "gemma3", CONVERT_RMS, true, false, false, gemma_top, gemma_layer, plain_needs},
    {"phi3", "phi3", CONVERT_RMS, false, false, false, decoder_top, phi3_layer, fused_needs},
    {"gpt2", "gpt2", CONVERT_LAYER, false, false, false, gpt2_top, gpt2_layer, fused_needs},
    {"starcoder2", "starcoder2", CONVERT_LAYER, false, false, false, decoder_top, starcoder2_layer, plain_needs},
    {"gpt_oss", "gpt-oss", CONVERT_RMS, true, false, false, decoder_top, gpt_oss_layer, oss_needs},
    {"bert", "bert", CONVERT_LAYER, false, false, true, bert_top, bert_layer, bert_needs},
    {"xlm-roberta", "bert", CONVERT_LAYER, false, false, true, roberta_top, bert_layer, bert_needs},
    {"modernbert", "modern-bert", CONVERT_LAYER, false, false, true, modernbert_top, modernbert_layer, modern_needs},
};
// clang-format on

const convert_family *convert_family_find(const char *model_type)
{
    size_t n = strlen(model_type);
    for (size_t i = 0; i < COUNT_OF(families); i++)
        for (const char *at = families[i].model_types; at && n; at = strchr(at, '|')) {
            at += *at == '|';
            if (strncmp(at, model_type, n) == 0 && (at[n] == 0 || at[n] == '|'))
                return &families[i];
        }
    return NULL;
}

void convert_family_names(buf *out)
{
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        buf_add_str(out, i ? ", " : "");
        for (const char *at = families[i].model_types; *at; at++)
            buf_add_str(out, *at == '|' ? ", " : (char[2]){*at, 0});
    }
}

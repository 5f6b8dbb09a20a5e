// The table of architectures: a new one is a file beside this and a line here.
#include "model/build.h"

const model_arch *const model_archs[] = {
    &model_arch_bert,
    &model_arch_gemma2,
    &model_arch_gemma3,
    &model_arch_gpt_oss,
    &model_arch_gpt2,
    &model_arch_llama,
    &model_arch_modern_bert,
    &model_arch_phi3,
    &model_arch_qwen2,
    &model_arch_qwen3,
    &model_arch_qwen3moe,
    &model_arch_starcoder2,
    NULL,
};

const char *model_arch_at(size_t i)
{
    return i < sizeof model_archs / sizeof *model_archs - 1 ? model_archs[i]->name : NULL;
}

// What the well-known keys must be. A model file with a vocabulary of integers or a text where a count
// belongs is refused at open, with the key's name, instead of failing strangely later. Keys that are not
// listed may be anything: files carry what their makers like.
#include <stdio.h>
#include <string.h>

#include "gguf/internal.h"

// Allowed kinds of value. An array of a kind is its bit shifted by ARRAY.
enum {
    COUNT = 1,  // an integer >= 0
    INT = 2,    // any integer
    NUM = 4,    // an integer or a float
    BOOL = 8,
    STR = 16,
    ARRAY = 8,
    COUNTS = COUNT << ARRAY,
    INTS = INT << ARRAY,
    NUMS = NUM << ARRAY,
    BOOLS = BOOL << ARRAY,
    STRS = STR << ARRAY,
};

static const struct {
    unsigned bit;
    const char *text;
} kind_names[] = {
    {COUNT, "an integer >= 0"},
    {INT, "an integer"},
    {NUM, "a number"},
    {BOOL, "a bool"},
    {STR, "a string"},
    {COUNTS, "an array of integers >= 0"},
    {INTS, "an array of integers"},
    {NUMS, "an array of numbers"},
    {BOOLS, "an array of bools"},
    {STRS, "an array of strings"},
};

// A leading "*." stands for the architecture ("qwen3.", "clip."), a trailing "*" for anything.
static const struct {
    const char *pattern;
    unsigned kinds;
} rules[] = {
    {"general.alignment", COUNT},
    {"general.architecture", STR},
    {"general.author", STR},
    {"general.base_model.count", COUNT},
    {"general.basename", STR},
    {"general.description", STR},
    {"general.file_type", COUNT},
    {"general.finetune", STR},
    {"general.languages", STRS},
    {"general.license", STR},
    {"general.license.link", STR},
    {"general.license.name", STR},
    {"general.name", STR},
    {"general.organization", STR},
    {"general.quantization_version", COUNT},
    {"general.size_label", STR},
    {"general.tags", STRS},
    {"general.type", STR},
    {"general.version", STR},
    {"split.count", COUNT},
    {"split.no", COUNT},
    {"split.tensors.count", COUNT},
    {"tokenizer.chat_template", STR},
    {"tokenizer.chat_template.*", STR},
    {"tokenizer.chat_templates", STRS},
    {"tokenizer.ggml.add_bos_token", BOOL},
    {"tokenizer.ggml.add_eos_token", BOOL},
    {"tokenizer.ggml.add_sep_token", BOOL},
    {"tokenizer.ggml.add_space_prefix", BOOL},
    {"tokenizer.ggml.bos_token_id", COUNT},
    {"tokenizer.ggml.cls_token_id", COUNT},
    {"tokenizer.ggml.eom_token_id", COUNT},
    {"tokenizer.ggml.eos_token_id", COUNT},
    {"tokenizer.ggml.eot_token_id", COUNT},
    {"tokenizer.ggml.fim_mid_token_id", COUNT},
    {"tokenizer.ggml.fim_pad_token_id", COUNT},
    {"tokenizer.ggml.fim_pre_token_id", COUNT},
    {"tokenizer.ggml.fim_rep_token_id", COUNT},
    {"tokenizer.ggml.fim_sep_token_id", COUNT},
    {"tokenizer.ggml.fim_suf_token_id", COUNT},
    {"tokenizer.ggml.mask_token_id", COUNT},
    {"tokenizer.ggml.merges", STRS},
    {"tokenizer.ggml.middle_token_id", COUNT},
    {"tokenizer.ggml.model", STR},
    {"tokenizer.ggml.padding_token_id", COUNT},
    {"tokenizer.ggml.pre", STR},
    {"tokenizer.ggml.precompiled_charsmap", INTS},
    {"tokenizer.ggml.prefix_token_id", COUNT},
    {"tokenizer.ggml.remove_extra_whitespaces", BOOL},
    {"tokenizer.ggml.scores", NUMS},
    {"tokenizer.ggml.seperator_token_id", COUNT},  // the format's own spelling
    {"tokenizer.ggml.suffix_token_id", COUNT},
    {"tokenizer.ggml.token_type", INTS},
    {"tokenizer.ggml.token_type_count", COUNT},
    {"tokenizer.ggml.tokens", STRS},
    {"tokenizer.ggml.unknown_token_id", COUNT},
    {"tokenizer.huggingface.json", STR},
    {"*.attention.causal", BOOL},
    {"*.attention.clamp_kqv", NUM},
    {"*.attention.head_count", COUNT | COUNTS},
    {"*.attention.head_count_kv", COUNT | COUNTS},
    {"*.attention.key_length", COUNT},
    {"*.attention.layer_norm_epsilon", NUM},
    {"*.attention.layer_norm_rms_epsilon", NUM},
    {"*.attention.max_alibi_bias", NUM},
    {"*.attention.scale", NUM},
    {"*.attention.sliding_window", COUNT},
    {"*.attention.sliding_window_pattern", COUNT | BOOLS | INTS},
    {"*.attention.value_length", COUNT},
    {"*.attn_logit_softcapping", NUM},
    {"*.block_count", COUNT},
    {"*.context_length", COUNT},
    {"*.embedding_length", COUNT},
    {"*.embedding_scale", NUM},
    {"*.expert_count", COUNT},
    {"*.expert_feed_forward_length", COUNT},
    {"*.expert_gating_func", COUNT},
    {"*.expert_shared_count", COUNT},
    {"*.expert_shared_feed_forward_length", COUNT},
    {"*.expert_used_count", COUNT},
    {"*.expert_weights_norm", BOOL},
    {"*.expert_weights_scale", NUM},
    {"*.feed_forward_length", COUNT | COUNTS},
    {"*.final_logit_softcapping", NUM},
    {"*.leading_dense_block_count", COUNT},
    {"*.logit_scale", NUM},
    {"*.pooling_type", COUNT},
    {"*.residual_scale", NUM},
    {"*.rope.dimension_count", COUNT},
    {"*.rope.dimension_sections", INTS},
    {"*.rope.freq_base", NUM},
    {"*.rope.scale_linear", NUM},
    {"*.rope.scaling.attn_factor", NUM},
    {"*.rope.scaling.factor", NUM},
    {"*.rope.scaling.finetuned", BOOL},
    {"*.rope.scaling.original_context_length", COUNT},
    {"*.rope.scaling.type", STR},
    {"*.rope.scaling.yarn_attn_factor", NUM},
    {"*.rope.scaling.yarn_beta_fast", NUM},
    {"*.rope.scaling.yarn_beta_slow", NUM},
    {"*.rope.scaling.yarn_ext_factor", NUM},
    {"*.rope.scaling.yarn_log_multiplier", NUM},
    {"*.use_parallel_residual", BOOL},
    {"*.vocab_size", COUNT},
};

static bool matches(const char *pattern, const char *key, size_t n)
{
    if (pattern[0] == '*') {
        const char *dot = memchr(key, '.', n);
        if (!dot)
            return false;
        n -= (size_t)(dot - key);
        key = dot;
        pattern++;
    }
    size_t m = strlen(pattern);
    if (pattern[m - 1] == '*')
        return n >= m - 1 && memcmp(pattern, key, m - 1) == 0;
    return n == m && memcmp(pattern, key, n) == 0;
}

// The kinds that a value of this type is.
static unsigned kinds_of(uint32_t type)
{
    switch (type) {
    case GGUF_F32:
    case GGUF_F64: return NUM;
    case GGUF_BOOL: return BOOL;
    case GGUF_STRING: return STR;
    case GGUF_ARRAY: return 0;
    default: return COUNT | INT | NUM;  // an integer; its sign is looked at separately
    }
}

static int wrong_kind(const char *key, size_t n, const uint8_t *value, unsigned allowed, err *e)
{
    char need[200] = "";
    size_t at = 0;
    for (size_t i = 0; i < COUNT_OF(kind_names) && at < sizeof need; i++)
        if (allowed & kind_names[i].bit)
            at += (size_t)snprintf(need + at, sizeof need - at, "%s%s", at ? " or " : "", kind_names[i].text);
    uint32_t type = gguf_load_u32(value);
    bool array = type == GGUF_ARRAY;
    return err_set(e, ST_FORMAT, "key %.*s is %s%s (type %u), needed is %s", gguf_scan_shown(key, n), key,
                   array ? "an array of " : "", gguf_scan_type_name(array ? gguf_load_u32(value + 4) : type),
                   type, need);
}

// Refuses integers below 0; p is the first of `count` values of this type.
static int check_sign(const char *key, size_t n, uint32_t type, const uint8_t *p, uint64_t count, err *e)
{
    if (type != GGUF_I8 && type != GGUF_I16 && type != GGUF_I32 && type != GGUF_I64)
        return ST_OK;
    uint32_t size = gguf_scan_type_size(type);
    for (uint64_t i = 0; i < count; i++) {
        if (!(p[i * size + size - 1] & 0x80))
            continue;
        uint64_t v = UINT64_MAX;
        memcpy(&v, p + i * size, size);
        return err_set(e, ST_FORMAT, "key %.*s has value %lld, at least 0 needed", gguf_scan_shown(key, n),
                       key, (long long)v);
    }
    return ST_OK;
}

int gguf_keys_check(const char *key, size_t n, const uint8_t *value, err *e)
{
    size_t r = 0;
    while (r < COUNT_OF(rules) && !matches(rules[r].pattern, key, n))
        r++;
    if (r == COUNT_OF(rules))
        return ST_OK;
    uint32_t type = gguf_load_u32(value);
    bool array = type == GGUF_ARRAY;
    uint32_t elem = array ? gguf_load_u32(value + 4) : type;
    unsigned fits = rules[r].kinds & (array ? kinds_of(elem) << ARRAY : kinds_of(elem));
    if (!fits)
        return wrong_kind(key, n, value, rules[r].kinds, e);
    if (fits == COUNT)
        return check_sign(key, n, elem, value + 4, 1, e);
    return fits == COUNTS ? check_sign(key, n, elem, value + 16, gguf_load_u64(value + 8), e) : ST_OK;
}

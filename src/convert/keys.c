// config.json's numbers under GGUF's names.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/own.h"

typedef struct keys {
    gguf_writer *w;
    const convert_family *f;
    const json_t *c;
} keys;

static const char *named(const keys *k, const char *key, char out[96])
{
    snprintf(out, 96, "%s.%s", k->f->arch, key);
    return out;
}

static void put_u32(const keys *k, const char *key, double v)
{
    char name[96];
    if (v >= 0 && v <= UINT32_MAX)
        gguf_writer_u32(k->w, named(k, key, name), (uint32_t)v);
}

static void put_f32(const keys *k, const char *key, double v)
{
    char name[96];
    gguf_writer_f32(k->w, named(k, key, name), (float)v);
}

// The first of `names` in config.json as a count; nothing when none is there.
static void count(const keys *k, const char *key, const char *names)
{
    if (convert_has(k->c, names))
        put_u32(k, key, convert_number(k->c, names, 0));
}

static void real(const keys *k, const char *key, const char *names)
{
    if (convert_has(k->c, names))
        put_f32(k, key, convert_number(k->c, names, 0));
}

static const json_t *rope_of(const json_t *c)
{
    const json_t *rope = json_object_get(c, "rope_scaling");
    if (json_is_object(rope))
        return rope;
    rope = json_object_get(c, "rope_parameters");
    const json_t *full = json_object_get(rope, "full_attention");
    return full ? full : rope;
}

// GGUF does not say whether the ends of YaRN's ramp are rounded to whole pairs. Readers round for every architecture but
// gpt-oss (llama.cpp for that too, docs/QUANTIZATION.md); a model made otherwise would be read wrongly.
static int check_ramp(const convert_source *s, const keys *k, const json_t *rope, err *e)
{
    const char *kind = convert_text(rope, "rope_type") ? convert_text(rope, "rope_type")
                                                       : convert_text(rope, "type");
    bool whole = strcmp(k->f->arch, "gpt-oss") != 0;
    if (!kind || strcmp(kind, "yarn") != 0 || convert_flag(rope, "truncate", whole) == whole)
        return ST_OK;
    return err_set(e, ST_UNSUPPORTED, "%s/config.json: truncate of yarn is %s, irori has %s for %s", s->dir,
                   whole ? "false" : "true", whole ? "true" : "false", k->f->arch);
}

static void put_scaling(const keys *k, const json_t *rope)
{
    const char *kind = convert_text(rope, "rope_type") ? convert_text(rope, "rope_type")
                                                       : convert_text(rope, "type");
    char name[96];
    double factor = convert_number(rope, "factor", 1),
           old = convert_number(rope, "original_max_position_embeddings",
                                convert_number(k->c, "original_max_position_embeddings", 0));
    if (!kind || strcmp(kind, "default") == 0 || strcmp(kind, "llama3") == 0)
        return;
    bool longrope = strcmp(kind, "longrope") == 0 || strcmp(kind, "su") == 0;
    if (old > 0)
        put_u32(k, "rope.scaling.original_context_length", old);
    if (longrope) {  // the attention factor of the paper, arXiv 2402.13753
        double stretch = old > 0 ? convert_number(k->c, "max_position_embeddings", old) / old : 1;
        double factor_of = convert_number(rope, "attention_factor",
                                          stretch > 1 ? sqrt(1 + log(stretch) / log(old)) : 1);
        put_f32(k, "rope.scaling.attn_factor", factor_of);
        return;
    }
    gguf_writer_str(k->w, named(k, "rope.scaling.type", name), kind, strlen(kind));
    put_f32(k, "rope.scaling.factor", factor);
    if (strcmp(kind, "yarn") == 0 && convert_has(rope, "beta_fast"))
        put_f32(k, "rope.scaling.yarn_beta_fast", convert_number(rope, "beta_fast", 32));
    if (strcmp(kind, "yarn") == 0 && convert_has(rope, "beta_slow"))
        put_f32(k, "rope.scaling.yarn_beta_slow", convert_number(rope, "beta_slow", 1));
}

static void put_rope(const keys *k, double head)
{
    const json_t *rope = rope_of(k->c),
                 *near = json_object_get(json_object_get(k->c, "rope_parameters"), "sliding_attention");
    double base = convert_number(k->c, "rope_theta|global_rope_theta", convert_number(rope, "rope_theta", 0));
    double part = convert_number(k->c, "partial_rotary_factor",
                                 convert_number(rope, "partial_rotary_factor", 1));
    if (base > 0) {
        put_f32(k, "rope.freq_base", base);
        put_u32(k, "rope.dimension_count", floor(head * part));
    }
    double local = convert_number(k->c, "rope_local_base_freq|local_rope_theta",
                                  convert_number(near, "rope_theta", 0));
    if (local > 0)
        put_f32(k, "rope.freq_base_swa", local);
    put_scaling(k, rope);
}

static void put_attention(const keys *k)
{
    double width = convert_number(k->c, "hidden_size|n_embd", 0),
           heads = convert_number(k->c, "num_attention_heads|n_head", 1);
    double head = convert_number(k->c, "head_dim", width / heads);
    put_u32(k, "attention.head_count", heads);
    count(k, "attention.head_count_kv", "num_key_value_heads");
    if (convert_has(k->c, "head_dim") || k->f->writes_head_size) {
        put_u32(k, "attention.key_length", head);
        put_u32(k, "attention.value_length", head);
    }
    if (k->f->norms == CONVERT_RMS)
        put_f32(k, "attention.layer_norm_rms_epsilon", convert_number(k->c, "rms_norm_eps", 1e-6));
    else
        put_f32(k, "attention.layer_norm_epsilon",
                convert_number(k->c, "layer_norm_epsilon|layer_norm_eps|norm_epsilon|norm_eps", 1e-5));
    if (!k->f->no_window)
        count(k, "attention.sliding_window", "sliding_window|local_attention");
    real(k, "attn_logit_softcapping", "attn_logit_softcapping");
    real(k, "final_logit_softcapping", "final_logit_softcapping");
    // Gemma 2 27B scales by another number than its head size.
    double scalar = convert_number(k->c, "query_pre_attn_scalar", 0);
    if (scalar > 0 && scalar != head)
        put_f32(k, "attention.scale", 1 / sqrt(scalar));
    put_rope(k, head);
}

static void put_experts(const keys *k)
{
    count(k, "expert_count", "num_local_experts|num_experts");
    count(k, "expert_used_count", "num_experts_per_tok|experts_per_token");
    if (strcmp(k->f->arch, "gpt-oss") == 0)
        count(k, "expert_feed_forward_length", "intermediate_size");
    else
        count(k, "expert_feed_forward_length", "moe_intermediate_size");
}

static void put_general(const convert_source *s, const keys *k, const convert_options *o)
{
    const char *end = s->dir + strlen(s->dir), *name;
    while (end > s->dir + 1 && end[-1] == '/')
        end--;
    for (name = end; name > s->dir && name[-1] != '/'; name--)
        continue;
    gguf_writer_str(k->w, "general.architecture", k->f->arch, strlen(k->f->arch));
    gguf_writer_str(k->w, "general.type", "model", 5);
    gguf_writer_str(k->w, "general.name", name, (size_t)(end - name));
    gguf_writer_u32(k->w, "general.file_type", o->type == QT_F32 ? 0 : o->type == QT_F16 ? 1 : 32);
    gguf_writer_u32(k->w, "general.quantization_version", 2);
}

// How the vectors of a text become one: as sentence-transformers' folder beside the model says, else, of an encoder, their
// mean. A decoder without that folder writes text. The numbers are GGUF's: 1 mean, 2 the first token's, 3 the last one's,
// 4 the score of a classifier.
static int put_pooling(const convert_source *s, const keys *k, err *e)
{
    json_t *how;
    int rc = convert_source_json(s, "1_Pooling/config.json", &how, e);
    if (rc || (!how && !k->f->encoder))
        return rc;
    double kind = convert_flag(how, "pooling_mode_cls_token", false)   ? 2
                  : convert_flag(how, "pooling_mode_lasttoken", false) ? 3
                                                                       : 1;
    json_decref(how);
    if (convert_source_find(s, "classifier.weight") || convert_source_find(s, "classifier.out_proj.weight"))
        kind = 4;
    const char *of = convert_text(k->c, "classifier_pooling");
    if (kind == 4 && of && strcmp(of, "cls") != 0)
        return err_set(e, ST_UNSUPPORTED, "%s/config.json: classifier_pooling is \"%s\", irori has cls",
                       s->dir, of);
    put_u32(k, "pooling_type", kind);
    return ST_OK;
}

int convert_keys(const convert_source *s, const convert_family *f, const convert_options *o, gguf_writer *w,
                 err *e)
{
    keys k = {w, f, s->config};
    double width = convert_number(k.c, "hidden_size|n_embd", 0);
    if (!(width >= 1))
        return err_set(e, ST_FORMAT, "%s/config.json: hidden_size is missing", s->dir);
    put_general(s, &k, o);
    count(&k, "block_count", "num_hidden_layers|n_layer");
    double positions = convert_number(k.c, "max_position_embeddings|n_positions|n_ctx", 2048);
    put_u32(&k, "context_length",
            strcmp(s->config ? convert_text(s->config, "model_type") : "", "xlm-roberta") == 0
                ? positions - 2  // the first two positions are never used
                : positions);
    put_u32(&k, "embedding_length", width);
    double ff = convert_number(k.c, "intermediate_size|n_inner", 4 * width);
    put_u32(&k, "feed_forward_length", ff);
    count(&k, "vocab_size", "vocab_size");
    put_attention(&k);
    put_experts(&k);
    int rc = check_ramp(s, &k, rope_of(k.c), e);
    if (rc)
        return rc;
    if (json_is_false(json_object_get(k.c, "norm_topk_prob")))
        return err_set(e, ST_UNSUPPORTED,
                       "%s/config.json: norm_topk_prob is false; GGUF's readers weigh experts only with true",
                       s->dir);
    if (f->encoder) {
        char name[96];
        if (strcmp(f->arch, "bert") == 0)
            gguf_writer_u32(w, "tokenizer.ggml.token_type_count",
                            (uint32_t)convert_number(k.c, "type_vocab_size", 2));
        gguf_writer_bool(w, named(&k, "attention.causal", name), false);
    }
    return put_pooling(s, &k, e);
}

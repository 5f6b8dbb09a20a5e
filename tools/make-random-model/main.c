// make-random-model SHAPE[,NUMBER=N,...] TYPE OUT.gguf [--seed S]
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

enum { MOST_TENSORS = 512, A_LAYER = 21 };  // tensors, of a layer at most

// A tensor to fill: random weights, ones, or the rotary factors.
typedef struct tensor {
    random_blocks blocks;
    const shape *s;
} tensor;

typedef struct job {
    const shape *s;
    mix types;
    uint64_t seed;
    gguf_writer *w;
    tensor tensors[MOST_TENSORS];
    int count;
} job;

static int fill_random(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    const tensor *t = ctx;
    blocks_fill(&t->blocks, offset, dst, n);
    return ST_OK;
}

// Of whole floats: the writer's pieces are a multiple of four bytes.
static int fill_ones(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)ctx, (void)name, (void)offset;
    static const float one = 1;
    for (size_t i = 0; i < n; i += sizeof one)
        memcpy((char *)dst + i, &one, sizeof one);
    return ST_OK;
}

// Llama 3.1's stretch of the rotary waves: none for the short ones, the whole factor for the long ones, a ramp
// between 1/4 and all of the 8192 tokens first trained on (Llama team 2024, arXiv 2407.21783, and its code's 1 and 4).
static int fill_rope(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)name;
    const shape *s = ((const tensor *)ctx)->s;
    for (size_t i = 0; i < n; i += sizeof(float)) {
        uint64_t pair = (offset + i) / sizeof(float);
        double wave = 2 * 3.14159265358979323846 * pow(s->rope_base, 2.0 * (double)pair / s->head_dim);
        double ramp = (8192 / wave - 1) / (4 - 1);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        float factor = (float)(1 / ((1 - ramp) / s->rope_stretch + ramp));
        memcpy((char *)dst + i, &factor, sizeof factor);
    }
    return ST_OK;
}

static tensor *next_tensor(job *j)
{
    tensor *t = &j->tensors[j->count++];
    t->s = j->s;
    return t;
}

// `parts` matrices (0: one, of two dimensions) of `rows` rows of `width` values. layer -1: not of a layer.
static void matrices(job *j, int layer, const char *part, int width, int rows, int parts)
{
    char name[64];
    if (layer < 0)
        snprintf(name, sizeof name, "%s.weight", part);
    else
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, part);
    tensor *t = next_tensor(j);
    int type = mix_type(&j->types, j->s, layer, part);
    blocks_init(&t->blocks, type, hash_combine(j->seed, name, strlen(name)));
    uint64_t dims[3] = {(uint64_t)width, (uint64_t)rows, (uint64_t)parts};
    gguf_writer_tensor(j->w, name, type, parts ? 3 : 2, dims, fill_random, t);
}

static void matrix(job *j, int layer, const char *part, int width, int rows)
{
    matrices(j, layer, part, width, rows, 0);
}

static void vector(job *j, int layer, const char *part, int width, gguf_fill_fn *fill)
{
    char name[64];
    if (layer < 0)
        snprintf(name, sizeof name, "%s.weight", part);
    else
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, part);
    uint64_t dims[1] = {(uint64_t)width};
    gguf_writer_tensor(j->w, name, QT_F32, 1, dims, fill, next_tensor(j));
}

// A vector of small values: a bias, or several in one.
static void bias(job *j, int layer, const char *part, int width, int rows)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%d.%s", layer, part);
    tensor *t = next_tensor(j);
    blocks_init(&t->blocks, QT_F32, hash_combine(j->seed, name, strlen(name)));
    uint64_t dims[2] = {(uint64_t)width, (uint64_t)rows};
    gguf_writer_tensor(j->w, name, QT_F32, rows > 1 ? 2 : 1, dims, fill_random, t);
}

static void experts(job *j, int i)
{
    const shape *s = j->s;
    matrix(j, i, "ffn_gate_inp", s->width, s->experts);
    matrices(j, i, "ffn_gate_exps", s->width, s->ff, s->experts);
    matrices(j, i, "ffn_up_exps", s->width, s->ff, s->experts);
    matrices(j, i, "ffn_down_exps", s->ff, s->width, s->experts);
}

// What gpt-oss has beside the others: a bias for every matrix, and sinks.
static void oss_biases(job *j, int i)
{
    const shape *s = j->s;
    int q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    bias(j, i, "attn_q.bias", q, 1);
    bias(j, i, "attn_k.bias", kv, 1);
    bias(j, i, "attn_v.bias", kv, 1);
    bias(j, i, "attn_output.bias", s->width, 1);
    bias(j, i, "attn_sinks.weight", s->heads, 1);
    bias(j, i, "ffn_gate_inp.bias", s->experts, 1);
    bias(j, i, "ffn_gate_exps.bias", s->ff, s->experts);
    bias(j, i, "ffn_up_exps.bias", s->ff, s->experts);
    bias(j, i, "ffn_down_exps.bias", s->width, s->experts);
}

static void layer(job *j, int i)
{
    const shape *s = j->s;
    int q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    vector(j, i, "attn_norm", s->width, fill_ones);
    matrix(j, i, "attn_q", s->width, q);
    matrix(j, i, "attn_k", s->width, kv);
    matrix(j, i, "attn_v", s->width, kv);
    bool oss = strcmp(s->arch, "gpt-oss") == 0;
    if (strncmp(s->arch, "qwen3", 5) == 0) {
        vector(j, i, "attn_q_norm", s->head_dim, fill_ones);
        vector(j, i, "attn_k_norm", s->head_dim, fill_ones);
    }
    matrix(j, i, "attn_output", q, s->width);
    vector(j, i, oss ? "post_attention_norm" : "ffn_norm", s->width, fill_ones);
    if (s->experts) {
        experts(j, i);
        if (oss)
            oss_biases(j, i);
        return;
    }
    matrix(j, i, "ffn_gate", s->width, s->ff);
    matrix(j, i, "ffn_up", s->width, s->ff);
    matrix(j, i, "ffn_down", s->ff, s->width);
}

static void arch_u32(job *j, const char *key, int v)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", j->s->arch, key);
    gguf_writer_u32(j->w, name, (uint32_t)v);
}

static void arch_f32(job *j, const char *key, float v)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", j->s->arch, key);
    gguf_writer_f32(j->w, name, v);
}

static void metadata(job *j)
{
    const shape *s = j->s;
    char name[256];
    int n = snprintf(name, sizeof name, "random %.200s", s->name);
    gguf_writer_str(j->w, "general.architecture", s->arch, strlen(s->arch));
    gguf_writer_str(j->w, "general.name", name, (size_t)n);
    gguf_writer_u32(j->w, "general.file_type", j->types.file_type);
    gguf_writer_u32(j->w, "general.quantization_version", 2);
    arch_u32(j, "block_count", s->layers);
    arch_u32(j, "context_length", s->context);
    arch_u32(j, "embedding_length", s->width);
    arch_u32(j, "feed_forward_length", s->ff);
    arch_u32(j, "attention.head_count", s->heads);
    arch_u32(j, "attention.head_count_kv", s->kv_heads);
    arch_u32(j, "attention.key_length", s->head_dim);
    arch_u32(j, "attention.value_length", s->head_dim);
    arch_u32(j, "rope.dimension_count", s->head_dim);
    arch_u32(j, "vocab_size", s->vocab);
    arch_f32(j, "attention.layer_norm_rms_epsilon", s->norm_eps);
    arch_f32(j, "rope.freq_base", s->rope_base);
    if (s->experts) {
        arch_u32(j, "expert_count", s->experts);
        arch_u32(j, "expert_used_count", s->used);
        arch_u32(j, "expert_feed_forward_length", s->ff);
    }
    if (strcmp(s->arch, "gpt-oss") == 0) {
        arch_u32(j, "attention.sliding_window", 128);
        snprintf(name, sizeof name, "%s.rope.scaling.type", s->arch);
        gguf_writer_str(j->w, name, "yarn", 4);
        arch_f32(j, "rope.scaling.factor", 32);
        arch_u32(j, "rope.scaling.original_context_length", 4096);
    }
}

static int write_model(job *j, const char *path, err *e)
{
    const shape *s = j->s;
    if (gguf_writer_new(&j->w))
        return err_set(e, ST_NOMEM, "no memory");
    metadata(j);
    int rc = vocab_write(j->w, s);
    matrix(j, -1, "token_embd", s->width, s->vocab);
    vector(j, -1, "output_norm", s->width, fill_ones);
    if (!s->tied)
        matrix(j, -1, "output", s->width, s->vocab);
    if (s->rope_stretch > 0)
        vector(j, -1, "rope_freqs", s->head_dim / 2, fill_rope);
    for (int i = 0; i < s->layers; i++)
        layer(j, i);
    rc = rc ? err_set(e, rc, "no memory for the vocabulary") : gguf_writer_save(j->w, path, e);
    gguf_writer_free(j->w);
    return rc;
}

typedef struct number {
    const char *name;
    size_t at;
} number;
static const number numbers[] = {
    {"layers", offsetof(shape, layers)},
    {"width", offsetof(shape, width)},
    {"ff", offsetof(shape, ff)},
    {"heads", offsetof(shape, heads)},
    {"kv_heads", offsetof(shape, kv_heads)},
    {"head_dim", offsetof(shape, head_dim)},
    {"vocab", offsetof(shape, vocab)},
    {"context", offsetof(shape, context)},
    {"experts", offsetof(shape, experts)},
    {"used", offsetof(shape, used)},
};

// "qwen3-0.6b,layers=4": a named shape, some numbers of which are others. False when it is not that.
static bool shape_read(const char *text, shape *out)
{
    char name[32];
    size_t n = strcspn(text, ",");
    if (n >= sizeof name)
        return false;
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    const shape *s = shape_find(name);
    if (!s)
        return false;
    *out = *s;
    for (const char *at = text + n; *at;) {
        size_t i = 0, k = strcspn(++at, "=");
        while (i < COUNT_OF(numbers) &&
               (strlen(numbers[i].name) != k || strncmp(numbers[i].name, at, k) != 0))
            i++;
        char *end;
        long v = at[k] ? strtol(at + k + 1, &end, 10) : 0;
        if (i == COUNT_OF(numbers) || v < 1 || v > 1 << 24 || (*end && *end != ','))
            return false;
        *(int *)(void *)((char *)out + numbers[i].at) = (int)v;
        at = end;
    }
    out->name = text;
    return out->layers == s->layers || out->layers * A_LAYER + 4 <= MOST_TENSORS;
}

static int usage(void)
{
    fprintf(stderr, "usage: make-random-model SHAPE[,NUMBER=N,...] TYPE OUT.gguf [--seed S]\nnumbers:");
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        fprintf(stderr, " %s", numbers[i].name);
    fprintf(stderr, "\nshapes:");
    for (size_t i = 0; shape_at(i); i++)
        fprintf(stderr, " %s", shape_at(i)->name);
    fprintf(stderr, "\ntypes:");
    for (size_t i = 0; mix_name_at(i); i++)
        fprintf(stderr, " %s", mix_name_at(i));
    for (int t = 0; t < QT_COUNT; t++) {
        mix m;
        const quant_info *info = quant_type_info(t);
        if (info && mix_find(info->name, &m) && m.base == m.head)
            fprintf(stderr, " %s", info->name);
    }
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    static job j = {.seed = 1};
    const char *words[3];
    int n = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            char *end;
            j.seed = strtoull(argv[++i], &end, 0);
            if (end == argv[i] || *end)
                return usage();
        } else if (argv[i][0] == '-' || n == 3) {
            return usage();
        } else {
            words[n++] = argv[i];
        }
    }
    if (n != 3)
        return usage();
    static shape s;
    j.s = shape_read(words[0], &s) ? &s : NULL;
    if (!j.s || !mix_find(words[1], &j.types)) {
        fprintf(stderr, "make-random-model: no %s \"%s\"\n", j.s ? "type" : "shape", words[j.s ? 1 : 0]);
        return usage();
    }
    err e;
    if (write_model(&j, words[2], &e)) {
        fprintf(stderr, "make-random-model: %s\n", e.msg);
        return 1;
    }
    return 0;
}

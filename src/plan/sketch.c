// A model file of a shape, without its weights: a header over a hole, so that the loader itself says what the model
// would take.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plan/plan.h"

typedef struct sketch {
    const plan_shape *s;
    gguf_writer *w;
} sketch;

static bool is(const sketch *k, const char *arch)
{
    return strcmp(k->s->arch, arch) == 0;
}

// layer < 0: not of a layer. All matrices F16: plan_retype gives them their types.
static void tensor(sketch *k, int layer, const char *part, int type, int width, int rows, int parts)
{
    char name[64];
    if (layer < 0)
        snprintf(name, sizeof name, "%s", part);
    else
        snprintf(name, sizeof name, "blk.%d.%s", layer, part);
    uint64_t dims[3] = {(uint64_t)width, (uint64_t)rows, (uint64_t)parts};
    gguf_writer_tensor(k->w, name, type, parts > 1 ? 3 : rows > 1 ? 2 : 1, dims, NULL, NULL);
}

static void matrix(sketch *k, int layer, const char *part, int width, int rows)
{
    tensor(k, layer, part, QT_F16, width, rows, 1);
}

static void vector(sketch *k, int layer, const char *part, int n)
{
    tensor(k, layer, part, QT_F32, n, 1, 1);
}

static void attention(sketch *k, int i)
{
    const plan_shape *s = k->s;
    const int q = s->heads * s->head_dim, of_kv = s->kv_heads * s->head_dim;
    const bool biased = is(k, "qwen2") || is(k, "gpt-oss") || is(k, "starcoder2");
    vector(k, i, "attn_norm.weight", s->width);
    if (is(k, "phi3")) {
        matrix(k, i, "attn_qkv.weight", s->width, q + 2 * of_kv);
    } else {
        matrix(k, i, "attn_q.weight", s->width, q);
        matrix(k, i, "attn_k.weight", s->width, of_kv);
        matrix(k, i, "attn_v.weight", s->width, of_kv);
    }
    if (biased) {
        vector(k, i, "attn_q.bias", q);
        vector(k, i, "attn_k.bias", of_kv);
        vector(k, i, "attn_v.bias", of_kv);
    }
    if (strncmp(s->arch, "qwen3", 5) == 0 || is(k, "gemma3")) {
        vector(k, i, "attn_q_norm.weight", s->head_dim);
        vector(k, i, "attn_k_norm.weight", s->head_dim);
    }
    if (is(k, "gpt-oss"))
        vector(k, i, "attn_sinks.weight", s->heads);
    matrix(k, i, "attn_output.weight", q, s->width);
}

static void feed_forward(sketch *k, int i)
{
    const plan_shape *s = k->s;
    if (is(k, "gemma2") || is(k, "gemma3") || is(k, "gpt-oss"))
        vector(k, i, "post_attention_norm.weight", s->width);
    if (is(k, "gemma2") || is(k, "gemma3"))
        vector(k, i, "post_ffw_norm.weight", s->width);
    if (!is(k, "gpt-oss"))
        vector(k, i, "ffn_norm.weight", s->width);
    if (s->experts) {
        tensor(k, i, "ffn_gate_inp.weight", QT_F32, s->width, s->experts, 1);
        tensor(k, i, "ffn_gate_exps.weight", QT_F16, s->width, s->ff, s->experts);
        tensor(k, i, "ffn_up_exps.weight", QT_F16, s->width, s->ff, s->experts);
        tensor(k, i, "ffn_down_exps.weight", QT_F16, s->ff, s->width, s->experts);
        return;
    }
    if (is(k, "phi3")) {
        matrix(k, i, "ffn_up.weight", s->width, 2 * s->ff);
    } else {
        if (!is(k, "starcoder2"))
            matrix(k, i, "ffn_gate.weight", s->width, s->ff);
        matrix(k, i, "ffn_up.weight", s->width, s->ff);
    }
    matrix(k, i, "ffn_down.weight", s->ff, s->width);
}

static void key_u32(sketch *k, const char *key, int v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", k->s->arch, key);
    gguf_writer_u32(k->w, name, (uint32_t)v);
}

static void keys(sketch *k)
{
    const plan_shape *s = k->s;
    char name[96];
    gguf_writer_str(k->w, "general.architecture", s->arch, strlen(s->arch));
    gguf_writer_u32(k->w, "general.file_type", 1);
    key_u32(k, "block_count", s->layers);
    key_u32(k, "context_length", s->context);
    key_u32(k, "embedding_length", s->width);
    key_u32(k, "feed_forward_length", s->ff);
    key_u32(k, "attention.head_count", s->heads);
    key_u32(k, "attention.head_count_kv", s->kv_heads);
    key_u32(k, "attention.key_length", s->head_dim);
    key_u32(k, "attention.value_length", s->head_dim);
    if (s->window)
        key_u32(k, "attention.sliding_window", s->window);
    snprintf(name, sizeof name, "%s.attention.layer_norm_%sepsilon", s->arch,
             is(k, "starcoder2") ? "" : "rms_");
    gguf_writer_f32(k->w, name, 1e-6f);
    if (s->experts) {
        key_u32(k, "expert_count", s->experts);
        key_u32(k, "expert_used_count", s->experts_used);
        key_u32(k, "expert_feed_forward_length", s->ff);
    }
}

static void describe(sketch *k)
{
    const plan_shape *s = k->s;
    keys(k);
    matrix(k, -1, "token_embd.weight", s->width, s->vocab);
    vector(k, -1, "output_norm.weight", s->width);
    if (!s->tied)
        matrix(k, -1, "output.weight", s->width, s->vocab);
    for (int i = 0; i < s->layers; i++) {
        attention(k, i);
        feed_forward(k, i);
    }
}

// Opens a file of `bytes` that begins with the head and has nothing behind it. It is in memory: what is looked at of it takes
// small pages, where a file system would bring in 2 MiB of zeros for each tensor.
static int open_hole(const buf *head, uint64_t bytes, gguf **out, err *e)
{
    char path[64];
    int fd = memfd_create("irori-plan", MFD_CLOEXEC);
    if (fd < 0 || write(fd, head->data, head->len) != (ssize_t)head->len ||
        ftruncate(fd, (off_t)bytes) != 0) {
        int rc = err_set(e, ST_IO, "no room for a model's shape of %zu bytes: %s", head->len,
                         strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = gguf_open(out, path, e);
    close(fd);
    return rc;
}

static bool in_range(const plan_shape *s)
{
    const int most = 1 << 24;
    return s->arch && s->layers > 0 && s->layers <= 4096 && s->width > 0 && s->width <= 1 << 17 &&
           s->heads > 0 && s->heads <= 4096 && s->kv_heads > 0 && s->kv_heads <= s->heads &&
           s->head_dim > 0 && s->head_dim <= 512 && s->ff > 0 && s->ff <= 1 << 20 && s->vocab > 0 &&
           s->vocab <= most && s->context > 0 && s->experts >= 0 && s->experts <= 4096 && s->window >= 0 &&
           (s->experts == 0 || (s->experts_used > 0 && s->experts_used <= s->experts));
}

int plan_sketch(const plan_shape *s, gguf **out, err *e)
{
    *out = NULL;
    if (!in_range(s))
        return err_set(e, ST_INVALID, "the shape has a number that no model has");
    sketch k = {.s = s};
    buf head;
    uint64_t bytes = 0;
    if (gguf_writer_new(&k.w))
        return err_set(e, ST_NOMEM, "no memory for a model's shape");
    describe(&k);
    buf_init(&head);
    int rc = gguf_writer_head(k.w, &head, &bytes, e);
    if (!rc)
        rc = open_hole(&head, bytes, out, e);
    buf_done(&head);
    gguf_writer_free(k.w);
    return rc;
}

// See toy.h.
#include "model/toy.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

toy toy_llama(void)
{
    return (toy){.arch = "llama",
                 .layers = 3,
                 .width = 64,
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .ff = 96,
                 .context = 512,
                 .type = QT_F16,
                 .head_type = -1,
                 .seed = 1};
}

float toy_random(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(*state >> 40) / (float)(1 << 24) - 0.5f;
    }
    return sum * 1.7320508f;
}

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static void key_u32(make *m, const toy *t, const char *key, int v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", t->arch, key);
    if (!is(t->without, name))
        make_u32(m, name, is(t->other_key, name) ? t->other_value : (uint32_t)v);
}

static void key_f32(make *m, const toy *t, const char *key, float v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", t->arch, key);
    if (!is(t->without, name))
        make_f32(m, name, is(t->other_key, name) ? t->other_float : v);
}

// Random values of about 1/sqrt(k), or about 1 for a vector (k values, n == 0). parts > 0: so many matrices in one.
static void tensors(make *m, const toy *t, const char *name, int type, int parts, int n, int k,
                    uint64_t *state)
{
    if (is(t->without, name))
        return;
    uint64_t dims[3] = {(uint64_t)k, (uint64_t)n, (uint64_t)parts};
    if (is(t->misshapen, name))
        dims[n ? 1 : 0]++;
    size_t rows = (size_t)(n ? dims[1] : 1) * (size_t)(parts ? parts : 1), count = (size_t)dims[0] * rows;
    float *v = malloc(count * sizeof *v), size = n ? 1 / sqrtf((float)k) : 0.1f;
    for (size_t i = 0; i < count; i++)
        v[i] = size * toy_random(state) + (n ? 0 : 1);
    size_t row = quant_row_bytes(type, dims[0]);
    uint8_t *data = malloc(row * rows);
    for (size_t r = 0; r < rows; r++)
        quant_type_info(type)->encode(v + r * dims[0], data + r * row, dims[0]);
    make_tensor(m, name, type, parts ? 3 : n ? 2 : 1, dims, data);
    free(data);
    free(v);
}

static void tensor(make *m, const toy *t, const char *name, int type, int n, int k, uint64_t *state)
{
    tensors(m, t, name, type, 0, n, k, state);
}

static void layer_experts(make *m, const toy *t, int layer, uint64_t *state)
{
    static const char *const names[] = {"gate", "up", "down"};
    char name[64];
    snprintf(name, sizeof name, "blk.%d.ffn_gate_inp.weight", layer);
    tensor(m, t, name, QT_F32, t->experts, t->width, state);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "blk.%d.ffn_%s_exps.weight", layer, names[i]);
        tensors(m, t, name, t->type, t->experts, i < 2 ? t->ff : t->width, i < 2 ? t->width : t->ff, state);
    }
}

static void layer_tensors(make *m, const toy *t, int layer, uint64_t *state)
{
    int qn = t->heads * t->head_dim, kn = t->kv_heads * t->head_dim;
    bool norms = strncmp(t->arch, "qwen3", 5) == 0;
    const struct {
        const char *name;
        int n, k;
    } all[] = {
        {"attn_q", qn, t->width},        {"attn_k", kn, t->width},        {"attn_v", kn, t->width},
        {"attn_output", t->width, qn},   {"ffn_gate", t->ff, t->width},   {"ffn_up", t->ff, t->width},
        {"ffn_down", t->width, t->ff},   {"attn_norm", 0, t->width},      {"ffn_norm", 0, t->width},
        {"attn_q_norm", 0, t->head_dim}, {"attn_k_norm", 0, t->head_dim},
    };
    if (t->experts)
        layer_experts(m, t, layer, state);
    for (size_t i = 0; i < COUNT_OF(all) - (norms ? 0 : 2); i++) {
        char name[64];
        if (t->experts && strncmp(all[i].name, "ffn_", 4) == 0 && all[i].n)
            continue;
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, all[i].name);
        tensor(m, t, name, all[i].n ? t->type : QT_F32, all[i].n, all[i].k, state);
    }
}

static void tokenizer(make *m)
{
    char text[TOY_TOKENS][8];
    const char *tokens[TOY_TOKENS];
    float scores[TOY_TOKENS] = {0};
    int32_t types[TOY_TOKENS] = {2, 3, 3};
    static const char *const named[3] = {"<unk>", "<s>", "</s>"};
    for (int i = 0; i < TOY_TOKENS; i++) {
        tokens[i] = i < 3 ? named[i] : text[i];
        if (i < 3)
            continue;
        snprintf(text[i], sizeof text[i], "<0x%02X>", (unsigned)(i - 3));
        types[i] = 6;
    }
    make_str(m, "tokenizer.ggml.model", "llama");
    make_strs(m, "tokenizer.ggml.tokens", tokens, TOY_TOKENS);
    make_f32s(m, "tokenizer.ggml.scores", scores, TOY_TOKENS);
    make_i32s(m, "tokenizer.ggml.token_type", types, TOY_TOKENS);
    make_u32(m, "tokenizer.ggml.bos_token_id", 1);
    make_u32(m, "tokenizer.ggml.eos_token_id", 2);
    make_bool(m, "tokenizer.ggml.add_bos_token", true);
}

void toy_build(make *m, const toy *t)
{
    uint64_t state = t->seed;
    make_init(m);
    if (!is(t->without, "general.architecture"))
        make_str(m, "general.architecture", t->arch);
    key_u32(m, t, "block_count", t->layers);
    key_u32(m, t, "embedding_length", t->width);
    key_u32(m, t, "attention.head_count", t->heads);
    key_u32(m, t, "attention.head_count_kv", t->kv_heads);
    key_u32(m, t, "attention.key_length", t->head_dim);
    if (!is(t->without, "llama.attention.key_length")) {  // the others would bound it
        key_u32(m, t, "attention.value_length", t->head_dim);
        key_u32(m, t, "rope.dimension_count", t->head_dim);
    }
    key_u32(m, t, "feed_forward_length", t->ff);
    key_u32(m, t, "context_length", t->context);
    if (t->experts) {
        char name[64];
        key_u32(m, t, "expert_count", t->experts);
        key_u32(m, t, "expert_used_count", t->used);
        snprintf(name, sizeof name, "%s.expert_weights_norm", t->arch);
        make_bool(m, name, !t->over_all);
    }
    if (t->window)
        key_u32(m, t, "attention.sliding_window", t->window);
    key_f32(m, t, "attention.layer_norm_rms_epsilon", 1e-5f);
    key_f32(m, t, "rope.freq_base", 10000);
    tokenizer(m);
    int rows = t->rows ? t->rows : TOY_TOKENS;
    tensor(m, t, "token_embd.weight", t->head_type < 0 ? t->type : QT_F16, rows, t->width, &state);
    for (int layer = 0; layer < t->layers; layer++)
        layer_tensors(m, t, layer, &state);
    tensor(m, t, "output_norm.weight", QT_F32, 0, t->width, &state);
    if (t->head_type >= 0)
        tensor(m, t, "output.weight", t->head_type, rows, t->width, &state);
    if (t->more)
        t->more(m, t->more_ctx);
}

static char folder[64];

const char *toy_path(const char *name)
{
    static char paths[4][192];
    static int turn;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/irori-toy-XXXXXX");
        if (!mkdtemp(folder))
            folder[0] = 0;
    }
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

const char *toy_save(const toy *t, const char *name)
{
    const char *path = toy_path(name);
    make m;
    toy_build(&m, t);
    bool ok = make_save(&m, path);
    make_done(&m);
    return ok ? path : NULL;
}

void toy_clean(void)
{
    DIR *d = folder[0] ? opendir(folder) : NULL;
    if (!d)
        return;
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    rmdir(folder);
    folder[0] = 0;
}

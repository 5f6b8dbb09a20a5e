// See stories.h. Format: seven int32 (width, hidden width, layers, heads, KV heads, vocabulary, context; a positive
// vocabulary: the classifier is the embedding table), then float32 tables, each for all layers.
#include "api/stories.h"

#include <math.h>
#include <stdlib.h>

#include "api/support.h"
#include "gguf/make.h"

enum { PADDED = 16 };

typedef struct stories {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, context;
} stories;

static void matrix(make *m, const char *name, int layer, const float *v, int n, int k)
{
    char full[64];
    snprintf(full, sizeof full, name, layer);
    if (n)
        make_tensor(m, full, QT_F32, 2, (uint64_t[]){(uint64_t)k, (uint64_t)n}, v);
    else
        make_tensor(m, full, QT_F32, 1, (uint64_t[]){(uint64_t)k}, v);
}

// The rows of each head, padded with zero rows and scaled.
static void padded_rows(make *m, const char *name, int layer, const float *v, int heads, int hd, int dim,
                        float scale)
{
    float *p = calloc((size_t)(heads * PADDED * dim), sizeof *p);
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < hd * dim; i++)
            p[h * PADDED * dim + i] = v[h * hd * dim + i] * scale;
    matrix(m, name, layer, p, heads * PADDED, dim);
    free(p);
}

// The columns of each head, padded with zero columns.
static void padded_columns(make *m, const char *name, int layer, const float *v, int heads, int hd, int dim)
{
    float *p = calloc((size_t)(heads * PADDED * dim), sizeof *p);
    for (int row = 0; row < dim; row++)
        for (int i = 0; i < heads * hd; i++)
            p[row * heads * PADDED + i / hd * PADDED + i % hd] = v[row * heads * hd + i];
    matrix(m, name, layer, p, dim, heads * PADDED);
    free(p);
}

static void tensors(make *m, const stories *s, const float *at)
{
    int hd = s->dim / s->heads, kv = s->kv_heads * hd, L = s->layers, d = s->dim, f = s->hidden;
    matrix(m, "token_embd.weight", 0, at, s->vocab, d);
    const float *att_norm = at + s->vocab * d, *wq = att_norm + L * d, *wk = wq + L * d * d,
                *wv = wk + L * kv * d;
    const float *wo = wv + L * kv * d, *ffn_norm = wo + L * d * d, *w1 = ffn_norm + L * d,
                *w2 = w1 + L * f * d;
    const float *w3 = w2 + L * f * d, *norm = w3 + L * f * d;
    for (int l = 0; l < L; l++) {
        matrix(m, "blk.%d.attn_norm.weight", l, att_norm + l * d, 0, d);
        padded_rows(m, "blk.%d.attn_q.weight", l, wq + l * d * d, s->heads, hd, d,
                    sqrtf((float)PADDED / (float)hd));
        padded_rows(m, "blk.%d.attn_k.weight", l, wk + l * kv * d, s->kv_heads, hd, d, 1);
        padded_rows(m, "blk.%d.attn_v.weight", l, wv + l * kv * d, s->kv_heads, hd, d, 1);
        padded_columns(m, "blk.%d.attn_output.weight", l, wo + l * d * d, s->heads, hd, d);
        matrix(m, "blk.%d.ffn_norm.weight", l, ffn_norm + l * d, 0, d);
        matrix(m, "blk.%d.ffn_gate.weight", l, w1 + l * f * d, f, d);
        matrix(m, "blk.%d.ffn_down.weight", l, w2 + l * f * d, d, f);
        matrix(m, "blk.%d.ffn_up.weight", l, w3 + l * f * d, f, d);
    }
    matrix(m, "output_norm.weight", 0, norm, 0, d);
}

// Pieces: a float score, an int32 length, the bytes; spaces stand where GGUF has U+2581.
static void vocabulary(make *m, const char *file, size_t bytes, int count)
{
    char(*text)[64] = calloc((size_t)count, sizeof *text);
    const char **tokens = calloc((size_t)count, sizeof *tokens);
    float *scores = calloc((size_t)count, sizeof *scores);
    int32_t *types = calloc((size_t)count, sizeof *types), n;
    size_t at = 4;  // after the longest length
    for (int i = 0; i < count; i++) {
        memcpy(&scores[i], file + at, 4);
        memcpy(&n, file + at + 4, 4);
        at += 8;
        assert_true(n >= 0 && n < 20 && at + (size_t)n <= bytes);
        for (int32_t j = 0, to = 0; j < n; j++) {
            bool space = file[at + (size_t)j] == ' ';
            memcpy(text[i] + to, space ? "\xE2\x96\x81" : file + at + j, space ? 3 : 1);
            to += space ? 3 : 1;
        }
        at += (size_t)n;
        tokens[i] = i == 1 ? "<s>" : i == 2 ? "</s>" : text[i];
        types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1;
    }
    make_str(m, "tokenizer.ggml.model", "llama");
    make_strs(m, "tokenizer.ggml.tokens", tokens, (size_t)count);
    make_f32s(m, "tokenizer.ggml.scores", scores, (size_t)count);
    make_i32s(m, "tokenizer.ggml.token_type", types, (size_t)count);
    make_u32(m, "tokenizer.ggml.bos_token_id", 1);
    make_u32(m, "tokenizer.ggml.eos_token_id", 2);
    make_bool(m, "tokenizer.ggml.add_bos_token", true);
    free(text);
    free(tokens);
    free(scores);
    free(types);
}

bool stories_save(const char *path)
{
    size_t bytes, tok_bytes;
    char *file = load_text("tests/data/stories260K/stories260K.bin", &bytes);
    char *tok = load_text("tests/data/stories260K/tok512.bin", &tok_bytes);
    stories s;
    memcpy(&s, file, sizeof s);
    assert_true(s.vocab == 512 && s.dim % s.heads == 0 && s.dim / s.heads <= PADDED);
    make m;
    make_init(&m);
    make_str(&m, "general.architecture", "llama");
    make_u32(&m, "llama.block_count", (uint32_t)s.layers);
    make_u32(&m, "llama.embedding_length", (uint32_t)s.dim);
    make_u32(&m, "llama.attention.head_count", (uint32_t)s.heads);
    make_u32(&m, "llama.attention.head_count_kv", (uint32_t)s.kv_heads);
    make_u32(&m, "llama.attention.key_length", PADDED);
    make_u32(&m, "llama.attention.value_length", PADDED);
    make_u32(&m, "llama.rope.dimension_count", (uint32_t)(s.dim / s.heads));
    make_u32(&m, "llama.feed_forward_length", (uint32_t)s.hidden);
    make_u32(&m, "llama.context_length", (uint32_t)s.context);
    make_f32(&m, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    vocabulary(&m, tok, tok_bytes, s.vocab);
    tensors(&m, &s, (const float *)(const void *)(file + sizeof s));
    bool ok = make_save(&m, path);
    make_done(&m);
    free(file);
    free(tok);
    return ok;
}

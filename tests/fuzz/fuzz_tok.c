// Fuzzes the tokenizer: the first bytes choose a kind and say how the vocabulary is cut from what follows,
// the rest is text. Whatever opens must encode, decode to the same bytes where the kind promises it, and
// stream whole characters.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tok/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t n;
};

static unsigned take(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

static gguf_str take_str(struct input *in)
{
    size_t len = take(in) % 16;
    len = MIN(len, in->n);
    gguf_str s = {(const char *)in->p, len};
    in->p += len;
    in->n -= len;
    return s;
}

enum { TOKENS = 64, MERGES = 32 };

static void vocabulary(build *b, struct input *in, unsigned kind)
{
    static const char *const models[] = {"gpt2", "llama", "t5", "bert", "gemma4"};
    static const char *const pres[] = {"gpt-2",       "qwen2",      "gpt-4o", "deepseek-llm",
                                       "deepseek-v3", "bailingmoe", "tekken"};
    const char *model = models[kind % COUNT_OF(models)];
    const char *pre = pres[take(in) % COUNT_OF(pres)];
    gguf_str tokens[TOKENS], merges[MERGES];
    int32_t types[TOKENS];
    float scores[TOKENS];
    size_t n = take(in) % (TOKENS + 1), n_merges = take(in) % (MERGES + 1);
    for (size_t i = 0; i < n; i++) {
        unsigned how = take(in);
        types[i] = how % 8;
        scores[i] = (float)(how / 8) - 16;
        tokens[i] = take_str(in);
    }
    for (size_t i = 0; i < n_merges; i++)
        merges[i] = take_str(in);
    build_init(b);
    build_str(b, "tokenizer.ggml.model", model, strlen(model));
    build_str(b, "tokenizer.ggml.pre", pre, strlen(pre));
    build_strs(b, "tokenizer.ggml.tokens", tokens, n);
    build_i32s(b, "tokenizer.ggml.token_type", types, n);
    build_f32s(b, "tokenizer.ggml.scores", scores, n);
    build_strs(b, "tokenizer.ggml.merges", merges, n_merges);
    unsigned more = take(in);
    if (more & 1)
        build_u32(b, "tokenizer.ggml.unknown_token_id", take(in) % (TOKENS + 1));
    if (more & 2)
        build_bool(b, "tokenizer.ggml.add_space_prefix", more & 4);
    if (more & 8)
        build_bool(b, "tokenizer.ggml.remove_extra_whitespaces", true);
    if (more & 16) {
        gguf_str map = take_str(in), rest = take_str(in);
        buf all;
        buf_init(&all);
        buf_add_char(&all, (char)(map.n / 4 * 4));
        buf_add(&all, "\0\0\0", 3);
        buf_add(&all, map.p, map.n / 4 * 4);
        buf_add(&all, rest.p, rest.n);
        build_bytes(b, "tokenizer.ggml.precompiled_charsmap", all.data, all.len);
        buf_done(&all);
    }
}

static void check(bool good)
{
    if (!good)
        abort();
}

static void use(const tok *t, const char *s, size_t n, unsigned flags, bool faithful)
{
    tok_ids l = {0};
    err e = {0};
    int rc = tok_encode_append(t, &l, s, n, flags, &e);
    check(rc == 0 || e.msg[0]);
    buf raw, shown;
    buf_init(&raw);
    buf_init(&shown);
    check(tok_decode(t, l.data, l.count, TOK_RAW | TOK_SPECIAL, &raw, &e) == 0);
    check(tok_decode(t, l.data, l.count, TOK_SPECIAL, &shown, &e) == 0);
    if (!rc && faithful)
        check(raw.len == n && (n == 0 || memcmp(raw.data, s, n) == 0));
    for (size_t i = 0, len; i < shown.len; i += len) {
        uint32_t cp = 0;
        len = utf8_decode(shown.data + i, shown.len - i, &cp);
        check(len > 0);
    }
    for (size_t i = 0; i < l.count; i++)
        check(l.data[i] >= 0 && (uint32_t)l.data[i] < tok_count(t));
    for (size_t i = 0; !rc && !(flags & (TOK_SPECIAL | TOK_BOS)) && i < l.count; i++)
        check(!tok_is_control(t, l.data[i]) || l.data[i] == tok_unk(t));
    buf_done(&raw);
    buf_done(&shown);
    tok_ids_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    unsigned kind = take(&in);
    build b;
    tok *t = NULL;
    err e = {0};
    vocabulary(&b, &in, kind);
    int rc = build_open(&b, &t, &e);
    check(rc == 0 || e.msg[0]);
    if (!rc) {
        // Byte-level BPE without an unknown token gives back every text it accepts.
        bool faithful = strcmp(tok_kind_name(t), "bpe") == 0 && strcmp(tok_pre_name(t), "gemma4") != 0 &&
                        tok_unk(t) < 0;
        use(t, (const char *)in.p, in.n, 0, faithful);
        use(t, (const char *)in.p, in.n, TOK_SPECIAL | TOK_BOS | TOK_EOS, false);
        tok_find(t, (const char *)in.p, in.n);
    }
    tok_close(t);
    build_done(&b);
    return 0;
}

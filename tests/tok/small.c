// Small vocabularies: see small.h.
#include "tok/small.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 256 };

size_t small_byte_piece(unsigned byte, char out[5])
{
    bool printable = (byte > ' ' && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    uint32_t cp = byte;
    if (!printable)
        cp = byte <= ' ' ? 0x100 + byte : byte == 0xAD ? 0x143 : 0x100 + 33 + (byte - 0x7F);
    return utf8_encode(cp, out);
}

static gguf_str text(const char *s)
{
    return (gguf_str){s, strlen(s)};
}

void small_bpe(build *b, bool add_bos)
{
    static const char *const pieces[] = {"he", "ll", "hell", "hello", "Ġhello", "ãģ", "ãģĤ", "ĠĠ", "11"};
    static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "Ġ hello", "ã ģ", "ãģ Ĥ", "1 1"};
    static const char *const control[] = {"<|begin|>", "<|end|>", "<|im_start|>"};
    static const char *const user[] = {"<tool>", "<tool>s", "  ", "<emoji>"};
    char bytes[BYTES][5];
    gguf_str tokens[BYTES + 32];
    int32_t types[BYTES + 32];
    size_t n = 0;
    for (unsigned i = 0; i < BYTES; i++)
        tokens[n++] = (gguf_str){bytes[i], small_byte_piece(i, bytes[i])};
    for (size_t i = 0; i < COUNT_OF(pieces); i++)
        tokens[n++] = text(pieces[i]);
    for (size_t i = 0; i < n; i++)
        types[i] = 1;
    for (size_t i = 0; i < COUNT_OF(control); i++, n++) {
        tokens[n] = text(control[i]);
        types[n] = 3;
    }
    for (size_t i = 0; i < COUNT_OF(user); i++, n++) {
        tokens[n] = text(user[i]);
        types[n] = 4;
    }
    build_init(b);
    build_str(b, "tokenizer.ggml.model", "gpt2", 4);
    build_str(b, "tokenizer.ggml.pre", "gpt-2", 5);
    build_strs(b, "tokenizer.ggml.tokens", tokens, n);
    build_i32s(b, "tokenizer.ggml.token_type", types, n);
    build_cstrs(b, "tokenizer.ggml.merges", merges, COUNT_OF(merges));
    build_u32(b, "tokenizer.ggml.bos_token_id", BYTES + COUNT_OF(pieces));
    build_u32(b, "tokenizer.ggml.eos_token_id", BYTES + COUNT_OF(pieces) + 1);
    build_bool(b, "tokenizer.ggml.add_bos_token", add_bos);
}

void small_spm(build *b, bool prefix)
{
    static const struct {
        const char *text;
        float score;
        int32_t type;
    } pieces[] = {
        {"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}, {"▁", -20, 1},   {"a", -21, 1},
        {"b", -22, 1},   {"c", -23, 1}, {"d", -24, 1},  {"e", -25, 1},   {"あ", -26, 1},
        {"▁a", -1, 1},   {"ab", -2, 1}, {"bc", -2, 1},  {"abc", -3, 1},  {"▁▁", -4, 1},
        {"▁abc", -5, 1}, {"de", -6, 1}, {"cde", -7, 1}, {"<cut>", 0, 4},
    };
    char bytes[BYTES][7];
    gguf_str tokens[BYTES + COUNT_OF(pieces)];
    int32_t types[BYTES + COUNT_OF(pieces)];
    float scores[BYTES + COUNT_OF(pieces)];
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(pieces); i++, n++) {
        tokens[n] = text(pieces[i].text);
        types[n] = pieces[i].type;
        scores[n] = pieces[i].score;
    }
    for (unsigned i = 0; i < BYTES; i++, n++) {
        snprintf(bytes[i], sizeof bytes[i], "<0x%02X>", i);
        tokens[n] = text(bytes[i]);
        types[n] = 6;
        scores[n] = 0;
    }
    build_init(b);
    build_str(b, "tokenizer.ggml.model", "llama", 5);
    build_strs(b, "tokenizer.ggml.tokens", tokens, n);
    build_i32s(b, "tokenizer.ggml.token_type", types, n);
    build_f32s(b, "tokenizer.ggml.scores", scores, n);
    build_bool(b, "tokenizer.ggml.add_space_prefix", prefix);
}

tok *small_open(build *b)
{
    tok *t = NULL;
    err e = {0};
    if (build_open(b, &t, &e))
        fail_msg("%s", e.msg);
    build_done(b);
    return t;
}

int32_t small_id(const tok *t, const char *s)
{
    int32_t id = tok_find(t, s, strlen(s));
    if (id < 0)
        fail_msg("no token \"%s\"", s);
    return id;
}

uint32_t small_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545F4914F6CDD1Du) >> 32);
}

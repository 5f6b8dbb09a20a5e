// Fuzz target for grammars: the first byte chooses JSON schema, GBNF, regular expression or calls, then the text, and behind
// a NUL a sentence to try. Whatever comes must end in a grammar or an error; masks and steps must agree.
#include <stdlib.h>
#include <string.h>

#include "gram/gram.h"
#include "tok/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES = 256, TOKENS = BYTES + 3 };

// Tokens of all single bytes, two of several, and an end.
static gram_vocab *make_vocab(void)
{
    static char text[BYTES][4];
    gguf_str piece[TOKENS];
    int32_t type[TOKENS];
    unsigned extra = 0;
    for (unsigned b = 0; b < BYTES; b++) {
        bool plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        piece[b] = (gguf_str){text[b], utf8_encode(plain ? b : 256 + extra++, text[b])};
        type[b] = 1;
    }
    static const char *const more[] = {"\",", "ab", "<end>"};
    for (int i = 0; i < 3; i++) {
        piece[BYTES + i] = (gguf_str){more[i], strlen(more[i])};
        type[BYTES + i] = i == 2 ? 3 : 1;
    }
    static const char *const merges[] = {"\" ,", "a b"};
    build b;
    tok *t = NULL;
    gram_vocab *v = NULL;
    build_init(&b);
    build_str(&b, "tokenizer.ggml.model", "gpt2", 4);
    build_str(&b, "tokenizer.ggml.pre", "qwen2", 5);
    build_strs(&b, "tokenizer.ggml.tokens", piece, TOKENS);
    build_cstrs(&b, "tokenizer.ggml.merges", merges, 2);
    build_i32s(&b, "tokenizer.ggml.token_type", type, TOKENS);
    build_u32(&b, "tokenizer.ggml.eos_token_id", TOKENS - 1);
    if (build_open(&b, &t, NULL) || gram_vocab_new(&v, t, NULL))
        abort();
    tok_close(t);
    build_done(&b);
    return v;
}

static void walk(gram *g, const char *p, size_t n)
{
    gram_state *s;
    uint32_t bits[(TOKENS + 31) / 32];
    if (gram_state_new(&s, g, NULL))
        return;
    for (size_t i = 0; i < n && i < 64; i++) {
        unsigned char c = (unsigned char)p[i];
        if (gram_state_mask(s, bits, TOKENS, NULL))
            break;
        bool may = bits[c / 32] >> (c % 32) & 1, end = bits[(TOKENS - 1) / 32] >> ((TOKENS - 1) % 32) & 1;
        if (end != gram_state_may_end(s))
            abort();
        err e = {0};
        int rc = gram_state_accept(s, c, &e);
        if (rc == ST_LIMIT || rc == ST_NOMEM)
            break;
        if (may != (rc == 0))
            abort();
        if (rc)
            break;
    }
    gram_state_free(s);
}

// Calls of one tool with this schema, in the harmony format.
static int compile_harmony(gram **g, const gram_vocab *v, const char *schema, size_t n, err *e)
{
    const gram_harmony words = {{"<|start|>", 9, -1},
                                {"<|channel|>", 11, -1},
                                {"<|constrain|>", 13, -1},
                                {"<|message|>", 11, -1},
                                {"<|end|>", 7, -1}};
    const gram_tool tool = {"f", schema, n};
    const gram_calls c = {.harmony = &words, .tool = &tool, .n_tools = 1};
    return gram_compile_calls(g, v, (gram_lead){0}, &c, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static gram_vocab *v;  // for the whole run
    if (!v)
        v = make_vocab();
    if (size < 1)
        return 0;
    const char *text = (const char *)data + 1, *end = memchr(text, 0, size - 1);
    size_t n = end ? (size_t)(end - text) : size - 1;
    gram *g = NULL;
    err e = {0};
    gram_lead none = {0};
    int rc = data[0] == 'h'   ? compile_harmony(&g, v, text, n, &e)
             : data[0] == 's' ? gram_compile_json_schema(&g, v, none, text, n, &e)
             : data[0] == 'g' ? gram_compile_gbnf(&g, v, none, text, n, &e)
                              : gram_compile_regex(&g, v, none, text, n, &e);
    if (rc && !e.msg[0])
        abort();
    if (!rc && end)
        walk(g, end + 1, size - n - 2);
    gram_free(g);
    return 0;
}

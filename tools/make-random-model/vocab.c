// The vocabulary: the 256 byte tokens, some short pieces with the merges that make them, filler words, control
// tokens at the end. Text tokenizes and comes back; that it does so into sensible pieces does not matter here.
#include <string.h>

#include "random.h"

enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_UNUSED = 5 };

typedef struct list {
    buf text;   // all strings, one after another
    buf sizes;  // of each, size_t
    size_t count;
} list;

static void add(list *l, const char *s, size_t n)
{
    buf_add(&l->text, s, n);
    buf_add(&l->sizes, &n, sizeof n);
    l->count++;
}

static int write_list(gguf_writer *w, const char *key, const list *l)
{
    gguf_str *v = mem_calloc(MEM_OTHER, l->count + 1, sizeof *v);
    if (!v || l->text.failed || l->sizes.failed) {
        mem_free(v);
        return ST_NOMEM;
    }
    const char *at = l->text.data;
    for (size_t i = 0; i < l->count; i++) {
        memcpy(&v[i].n, l->sizes.data + i * sizeof(size_t), sizeof(size_t));
        v[i].p = at;
        at += v[i].n;
    }
    gguf_writer_array_str(w, key, v, l->count);
    mem_free(v);
    return ST_OK;
}

static void done(list *l)
{
    buf_done(&l->text);
    buf_done(&l->sizes);
}

// GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes in order for U+0100 and on.
static void add_bytes(list *tokens)
{
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < 256; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
        char s[4];
        add(tokens, s, utf8_encode(printable ? b : next++, s));
    }
}

// " e", "th", ...: a letter after a space, and pairs of frequent letters.
static void add_merges(list *tokens, list *merges)
{
    static const char letters[] = "etaoinshrdlu", space[] = "\xC4\xA0";  // U+0120 is the space
    for (int i = -1; i < 12; i++)
        for (int k = 0; k < 12; k++) {
            char token[8], merge[8];
            size_t n = i < 0 ? 2 : 1;
            memcpy(token, i < 0 ? space : &letters[i], n);
            token[n] = letters[k];
            add(tokens, token, n + 1);
            memcpy(merge, token, n);
            merge[n] = ' ';
            merge[n + 1] = letters[k];
            add(merges, merge, n + 2);
        }
}

// The i-th filler: five letters counting up, never made by a merge.
static void add_filler(list *tokens, size_t i)
{
    char s[5];
    for (int k = 4; k >= 0; k--, i /= 26)
        s[k] = (char)('a' + i % 26);
    add(tokens, s, sizeof s);
}

typedef struct control {
    int place;  // from the first control token
    const char *text;
} control;

typedef struct family {
    const char *arch;  // what general.architecture begins with
    const char *pre, *template;
    int reserved;  // ids kept for control tokens
    control controls[6];
    int bos, eos;
    bool add_bos;
} family;

static const family families[] = {
    {.arch = "qwen3",
     .pre = "qwen2",
     .reserved = 293,
     .bos = 0,
     .eos = 2,
     .controls = {{0, "<|endoftext|>"}, {1, "<|im_start|>"}, {2, "<|im_end|>"}},
     .template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                 "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"},
    {.arch = "gpt-oss",
     .pre = "gpt-4o",
     .reserved = 256,
     .bos = 0,
     .eos = 4,
     .controls = {{0, "<|startoftext|>"},
                  {4, "<|return|>"},
                  {7, "<|channel|>"},
                  {8, "<|start|>"},
                  {9, "<|end|>"},
                  {10, "<|message|>"}},
     .template = "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
                 "{% if add_generation_prompt %}<|start|>assistant<|channel|>final<|message|>{% endif %}"},
    {.arch = "llama",
     .pre = "llama-bpe",
     .reserved = 256,
     .bos = 0,
     .eos = 9,
     .add_bos = true,
     .controls = {{0, "<|begin_of_text|>"},
                  {1, "<|end_of_text|>"},
                  {6, "<|start_header_id|>"},
                  {7, "<|end_header_id|>"},
                  {9, "<|eot_id|>"}},
     .template =
         "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
         "{{ m.content }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant"
         "<|end_header_id|>\n\n{% endif %}"},
};

// Fills the end of the vocabulary; gives the type of each token added through `types`.
static void add_controls(const family *f, list *tokens, buf *types)
{
    for (int place = 0; place < f->reserved; place++) {
        const char *text = NULL;
        for (size_t i = 0; i < COUNT_OF(f->controls) && f->controls[i].text; i++)
            if (f->controls[i].place == place)
                text = f->controls[i].text;
        buf name;
        buf_init(&name);
        buf_printf(&name, "<|unused_%d|>", place);
        add(tokens, text ? text : name.data, text ? strlen(text) : name.len);
        buf_done(&name);
        int32_t type = text ? TYPE_CONTROL : TYPE_UNUSED;
        buf_add(types, &type, sizeof type);
    }
}

static int write_all(gguf_writer *w, const shape *s, const family *f, list *tokens, list *merges, buf *types)
{
    add_bytes(tokens);
    add_merges(tokens, merges);
    size_t first = (size_t)(s->vocab - f->reserved);
    for (size_t i = 0; tokens->count < first; i++)
        add_filler(tokens, i);
    for (size_t i = 0; i < first; i++) {
        int32_t normal = TYPE_NORMAL;
        buf_add(types, &normal, sizeof normal);
    }
    add_controls(f, tokens, types);
    gguf_writer_str(w, "tokenizer.ggml.model", "gpt2", 4);
    gguf_writer_str(w, "tokenizer.ggml.pre", f->pre, strlen(f->pre));
    int rc = write_list(w, "tokenizer.ggml.tokens", tokens);
    if (!rc)
        rc = write_list(w, "tokenizer.ggml.merges", merges);
    if (rc || types->failed)
        return ST_NOMEM;
    gguf_writer_array_i32(w, "tokenizer.ggml.token_type", (const int32_t *)(const void *)types->data,
                          tokens->count);
    gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)first + (uint32_t)f->bos);
    gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)first + (uint32_t)f->eos);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", f->add_bos);
    gguf_writer_str(w, "tokenizer.chat_template", f->template, strlen(f->template));
    return ST_OK;
}

int vocab_write(gguf_writer *w, const shape *s)
{
    const family *f = families;
    while (strncmp(s->arch, f->arch, strlen(f->arch)) != 0)
        f++;
    list tokens = {0}, merges = {0};
    buf types;
    buf_init(&types);
    int rc = write_all(w, s, f, &tokens, &merges, &types);
    buf_done(&types);
    done(&merges);
    done(&tokens);
    return rc;
}

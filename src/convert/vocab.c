// The tokenizer: tokenizer.json (byte-level BPE, SentencePiece BPE, unigram, WordPiece) or tokenizer.model, special tokens
// and the chat template, as GGUF's tokenizer.* keys.
#include <stdio.h>
#include <string.h>

#include "convert/vocab.h"

enum { MOST_TOKENS = 1 << 24 };

int convert_tokens_new(convert_tokens *v, arena *mem, size_t n, err *e)
{
    if (n < 1 || n > MOST_TOKENS)
        return err_set(e, ST_FORMAT, "a vocabulary of %zu tokens, allowed 1..%d", n, MOST_TOKENS);
    *v = (convert_tokens){.n = n, .mem = mem};
    v->text = arena_calloc(mem, n, sizeof *v->text);
    v->type = arena_calloc(mem, n, sizeof *v->type);
    v->score = arena_calloc(mem, n, sizeof *v->score);
    if (!v->text || !v->type || !v->score)
        return err_set(e, ST_NOMEM, "no memory for %zu tokens", n);
    return ST_OK;
}

int convert_tokens_fill(convert_tokens *v, err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        char name[32];
        if (v->text[i].p)
            continue;
        int k = snprintf(name, sizeof name, "[PAD%zu]", i);
        v->text[i] = (gguf_str){arena_strndup(v->mem, name, (size_t)k), (size_t)k};
        v->type[i] = CONVERT_UNUSED;
        if (!v->text[i].p)
            return err_set(e, ST_NOMEM, "no memory for %zu tokens", v->n);
    }
    return ST_OK;
}

void convert_tokens_write(const convert_tokens *v, bool scores, gguf_writer *w)
{
    gguf_writer_array_str(w, "tokenizer.ggml.tokens", v->text, v->n);
    gguf_writer_array_i32(w, "tokenizer.ggml.token_type", v->type, v->n);
    if (scores)
        gguf_writer_array_f32(w, "tokenizer.ggml.scores", v->score, v->n);
}

// Rows of the embedding table; the vocabulary is made as long.
size_t convert_table_rows(const convert_source *s)
{
    for (size_t i = 0; i < convert_source_count(s); i++) {
        const convert_tensor *t = convert_source_at(s, i);
        if (t->n_dims == 2 &&
            (strstr(t->name, "embed_tokens.weight") || strstr(t->name, "wte.weight") ||
             strstr(t->name, "word_embeddings.weight") || strstr(t->name, "tok_embeddings.weight")))
            return (size_t)MIN(t->dims[0], (uint64_t)MOST_TOKENS);
    }
    return 0;
}

static void set_token(convert_tokens *v, json_int_t id, const char *text, int type, float score)
{
    if (!text || id < 0 || (uint64_t)id >= v->n)
        return;  // a token without a row in the table can never be used
    v->text[id] = (gguf_str){text, strlen(text)};
    v->type[id] = type;
    v->score[id] = score;
}

// Tokens by name in a "vocab" object, or in order with scores in an array of pairs.
static int add_vocab(convert_tokens *v, const json_t *vocab, err *e)
{
    const char *text;
    json_t *entry;
    size_t i;
    if (json_is_object(vocab)) {
        json_object_foreach((json_t *)(uintptr_t)vocab, text, entry)
            set_token(v, json_integer_value(entry), text, CONVERT_NORMAL, 0);
        return ST_OK;
    }
    if (!json_is_array(vocab))
        return err_set(e, ST_FORMAT, "tokenizer.json: model.vocab is missing");
    json_array_foreach(vocab, i, entry)
        set_token(v, (json_int_t)i, json_string_value(json_array_get(entry, 0)), CONVERT_NORMAL,
                  (float)json_number_value(json_array_get(entry, 1)));
    return ST_OK;
}

static void add_added(convert_tokens *v, const json_t *list)
{
    size_t i;
    json_t *t;
    json_array_foreach(list, i, t)
        set_token(v, json_integer_value(json_object_get(t, "id")), convert_text(t, "content"),
                  convert_flag(t, "special", false) ? CONVERT_CONTROL : CONVERT_USER, 0);
}

static gguf_str joined(arena *mem, const char *a, const char *b)
{
    size_t n = strlen(a), k = strlen(b);
    char *text = arena_alloc(mem, n + k + 2);
    if (!text)
        return (gguf_str){0};
    memcpy(text, a, n);
    text[n] = ' ';
    memcpy(text + n + 1, b, k + 1);
    return (gguf_str){text, n + k + 1};
}

// Merges as "a b" strings, in whichever of the two ways the file writes them.
static int write_merges(const convert_source *s, arena *mem, const json_t *merges, gguf_writer *w, err *e)
{
    size_t n = json_array_size(merges), i;
    json_t *m;
    gguf_str *all = arena_calloc(mem, n + 1, sizeof *all);
    if (!all)
        return err_set(e, ST_NOMEM, "no memory for %zu merges", n);
    json_array_foreach(merges, i, m)
    {
        const char *text = json_string_value(m), *a = json_string_value(json_array_get(m, 0)),
                   *b = json_string_value(json_array_get(m, 1));
        if (!text && (!a || !b))
            return err_set(e, ST_FORMAT, "%s/tokenizer.json: merge %zu is no pair of tokens", s->dir, i);
        all[i] = text ? (gguf_str){text, strlen(text)} : joined(mem, a, b);
        if (!all[i].p)
            return err_set(e, ST_NOMEM, "no memory for %zu merges", n);
    }
    gguf_writer_array_str(w, "tokenizer.ggml.merges", all, n);
    return ST_OK;
}

// What a pre-tokenizer consists of, through sequences.
typedef struct pre {
    const char *split[4];
    int splits;
    bool byte_level, by_words, digits, other;
} pre;

static void look_at(const json_t *p, pre *out)
{
    const char *type = convert_text(p, "type");
    size_t i;
    json_t *each;
    if (!type)
        return;
    if (strcmp(type, "Sequence") == 0) {
        json_array_foreach(json_object_get(p, "pretokenizers"), i, each) look_at(each, out);
    } else if (strcmp(type, "ByteLevel") == 0) {
        out->byte_level = true;
        out->by_words = convert_flag(p, "use_regex", true);
    } else if (strcmp(type, "Split") == 0 && out->splits < 4) {
        const char *regex = convert_text(json_object_get(p, "pattern"), "Regex");
        out->split[out->splits++] = regex ? regex : "";
    } else if (strcmp(type, "Digits") == 0) {
        out->digits = true;
    } else {
        out->other = true;
    }
}

// The name under which GGUF's readers know the expressions. Only what tells them apart is looked at.
static const char *pre_name(const pre *p, bool ignores_merges)
{
    const char *s = p->split[0];
    if (p->splits == 0)
        return p->other || !p->by_words ? NULL : p->digits ? "starcoder" : "gpt-2";
    bool threes = strstr(s, "\\p{N}{1,3}") != NULL;
    if (p->splits == 3)
        return threes && strstr(p->split[1], "\\u4e00") ? "deepseek-v3" : threes ? "deepseek-v3" : NULL;
    if (p->splits != 1 || p->other)
        return NULL;
    if (strstr(s, "\\p{Lu}"))
        return threes ? "gpt-4o" : strstr(s, "\\p{N}") ? "tekken" : NULL;
    if (strstr(s, "\\p{L}\\p{M}"))
        return threes ? NULL : "qwen35";
    if (strstr(s, "[^\\r\\n\\p{L}\\p{N}]?"))
        return !threes ? "qwen2" : ignores_merges ? "llama-bpe" : "dbrx";
    return strncmp(s, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+", 30) == 0 ? "gpt-2" : NULL;
}

static int write_pre(const convert_source *s, const convert_family *f, const json_t *model, gguf_writer *w,
                     err *e)
{
    pre p = {0};
    look_at(json_object_get(s->tokenizer, "pre_tokenizer"), &p);
    const char *name = pre_name(&p, convert_flag(model, "ignore_merges", false));
    if (name && strcmp(f->arch, "modern-bert") == 0)
        name = "modern-bert";
    if (!name)
        return err_set(e, ST_UNSUPPORTED, "%s/tokenizer.json: no known pre-tokenizer cuts by \"%.120s\"",
                       s->dir, p.splits ? p.split[0] : "");
    gguf_writer_str(w, "tokenizer.ggml.pre", name, strlen(name));
    return ST_OK;
}

static int write_bpe(const convert_source *s, const convert_family *f, convert_tokens *v, const json_t *model,
                     gguf_writer *w, err *e)
{
    gguf_writer_str(w, "tokenizer.ggml.model", "gpt2", 4);
    int rc = write_pre(s, f, model, w, e);
    if (!rc)
        rc = convert_tokens_fill(v, e);
    if (rc)
        return rc;
    convert_tokens_write(v, false, w);
    return write_merges(s, v->mem, json_object_get(model, "merges"), w, e);
}

static bool is_byte(const char *s)
{
    return strncmp(s, "<0x", 3) == 0 && strlen(s) == 6;
}

// SentencePiece BPE written as merges: a piece's score is minus the rank of the first merge that makes it.
static int write_spm(convert_tokens *v, const json_t *model, gguf_writer *w, err *e)
{
    hash_map ids;
    json_t *merges = json_object_get(model, "merges"), *m;
    size_t i;
    int rc = hash_map_init(&ids, MEM_OTHER, v->n);
    for (i = 0; !rc && i < v->n; i++)
        if (v->text[i].p)
            rc = hash_map_put(&ids, v->text[i].p, v->text[i].n, (int32_t)i);
    for (i = 0; i < v->n; i++) {
        v->score[i] = v->type[i] == CONVERT_NORMAL ? -1e6f : 0;
        if (v->text[i].p && v->type[i] == CONVERT_NORMAL && is_byte(v->text[i].p))
            v->type[i] = CONVERT_BYTE;
    }
    json_array_foreach(merges, i, m)
    {
        char piece[512];
        const char *text = json_string_value(m), *a = json_string_value(json_array_get(m, 0)),
                   *b = json_string_value(json_array_get(m, 1)), *space = text ? strchr(text, ' ') : NULL;
        int n = a && b  ? snprintf(piece, sizeof piece, "%s%s", a, b)
                : space ? snprintf(piece, sizeof piece, "%.*s%s", (int)(space - text), text, space + 1)
                        : -1;
        int32_t id = n > 0 && (size_t)n < sizeof piece ? hash_map_get(&ids, piece, (size_t)n) : -1;
        if (id >= 0 && v->score[id] == -1e6f)
            v->score[id] = -(float)i;
    }
    hash_map_done(&ids);
    if (!rc)
        rc = convert_tokens_fill(v, e);
    if (rc)
        return rc == ST_NOMEM ? err_set(e, rc, "no memory for %zu tokens", v->n) : rc;
    gguf_writer_str(w, "tokenizer.ggml.model", "llama", 5);
    gguf_writer_str(w, "tokenizer.ggml.pre", "default", 7);
    convert_tokens_write(v, true, w);
    return ST_OK;
}

// Base64 of a normalizer's table into bytes.
static int write_charsmap(const char *text, arena *mem, gguf_writer *w, err *e)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text), k = 0;
    uint8_t *bytes = arena_calloc(mem, n + 1, sizeof *bytes);
    uint32_t bits = 0;
    if (!bytes)
        return err_set(e, ST_NOMEM, "no memory for the normalizer");
    int have = 0;
    for (size_t i = 0; i < n && text[i] != '='; i++) {
        const char *at = strchr(alphabet, text[i]);
        if (!at)
            return err_set(e, ST_FORMAT, "tokenizer.json: precompiled_charsmap is no base64");
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[k++] = (uint8_t)(bits >> have & 255);
        }
    }
    gguf_writer_array_u8(w, "tokenizer.ggml.precompiled_charsmap", bytes, k);
    return ST_OK;
}

// The first object with this type in a normalizer or pre-tokenizer, through sequences.
static const json_t *find_type(const json_t *p, const char *type)
{
    static const char *const lists[] = {"normalizers", "pretokenizers", "processors"};
    const char *own = convert_text(p, "type");
    size_t i;
    json_t *each;
    if (own && strcmp(own, type) == 0)
        return p;
    for (size_t k = 0; k < COUNT_OF(lists); k++)
        json_array_foreach(json_object_get(p, lists[k]), i, each)
        {
            const json_t *found = find_type(each, type);
            if (found)
                return found;
        }
    return NULL;
}

static int write_unigram(const convert_source *s, convert_tokens *v, const json_t *model, gguf_writer *w,
                         err *e)
{
    double unknown = convert_number(model, "unk_id", -1);
    if (unknown >= 0 && unknown < (double)v->n)
        v->type[(size_t)unknown] = CONVERT_UNKNOWN;
    int rc = convert_tokens_fill(v, e);
    const char *map = convert_text(find_type(json_object_get(s->tokenizer, "normalizer"), "Precompiled"),
                                   "precompiled_charsmap");
    if (!rc && map)
        rc = write_charsmap(map, v->mem, w, e);
    if (rc)
        return rc;
    gguf_writer_str(w, "tokenizer.ggml.model", "t5", 2);
    gguf_writer_str(w, "tokenizer.ggml.pre", "default", 7);
    gguf_writer_bool(w, "tokenizer.ggml.add_space_prefix", true);
    gguf_writer_bool(w, "tokenizer.ggml.remove_extra_whitespaces", true);
    convert_tokens_write(v, true, w);
    return ST_OK;
}

// WordPiece marks what goes on a word ("##ing"), GGUF what begins one.
static int write_wordpiece(convert_tokens *v, gguf_writer *w, err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        gguf_str *t = &v->text[i];
        if (!t->p || v->type[i] != CONVERT_NORMAL)
            continue;
        if (t->n >= 2 && memcmp(t->p, "##", 2) == 0) {
            *t = (gguf_str){t->p + 2, t->n - 2};
            continue;
        }
        char *text = arena_alloc(v->mem, t->n + 4);
        if (!text)
            return err_set(e, ST_NOMEM, "no memory for %zu tokens", v->n);
        memcpy(text, "\xE2\x96\x81", 3);
        memcpy(text + 3, t->p, t->n + 1);
        *t = (gguf_str){text, t->n + 3};
    }
    int rc = convert_tokens_fill(v, e);
    if (rc)
        return rc;
    gguf_writer_str(w, "tokenizer.ggml.model", "bert", 4);
    gguf_writer_str(w, "tokenizer.ggml.pre", "default", 7);
    convert_tokens_write(v, false, w);
    return ST_OK;
}

static int write_json(const convert_source *s, const convert_family *f, arena *mem, gguf_writer *w, err *e)
{
    const json_t *model = json_object_get(s->tokenizer, "model"), *vocab = json_object_get(model, "vocab");
    size_t rows = convert_table_rows(s),
           n = json_is_object(vocab) ? json_object_size(vocab) : json_array_size(vocab);
    const char *type = convert_text(model, "type");
    convert_tokens v;
    int rc = convert_tokens_new(&v, mem, rows ? rows : n, e);
    if (!rc)
        rc = add_vocab(&v, vocab, e);
    if (rc)
        return rc;
    add_added(&v, json_object_get(s->tokenizer, "added_tokens"));
    pre p = {0};
    look_at(json_object_get(s->tokenizer, "pre_tokenizer"), &p);
    if (type && strcmp(type, "Unigram") == 0)
        return write_unigram(s, &v, model, w, e);
    if (type && strcmp(type, "WordPiece") == 0)
        return write_wordpiece(&v, w, e);
    if (type && strcmp(type, "BPE") != 0)
        return err_set(e, ST_UNSUPPORTED,
                       "%s/tokenizer.json: model type \"%s\", allowed BPE, Unigram, WordPiece", s->dir, type);
    return p.byte_level ? write_bpe(s, f, &v, model, w, e) : write_spm(&v, model, w, e);
}

// Special tokens ------------------------------------------------------------------------------------------

// The text of tokenizer_config's "bos_token": a string, or an object with "content".
static const char *special_text(const convert_source *s, const char *name)
{
    const json_t *v = json_object_get(s->tokenizer_config, name);
    return json_is_object(v) ? convert_text(v, "content") : json_string_value(v);
}

static double id_of_text(const convert_source *s, const char *text)
{
    size_t i;
    json_t *t;
    if (!text)
        return -1;
    json_array_foreach(json_object_get(s->tokenizer, "added_tokens"), i, t)
    {
        const char *content = convert_text(t, "content");
        if (content && strcmp(content, text) == 0)
            return (double)json_integer_value(json_object_get(t, "id"));
    }
    const json_t *id = json_object_get(json_object_get(json_object_get(s->tokenizer, "model"), "vocab"),
                                       text);
    return json_is_integer(id) ? (double)json_integer_value(id) : -1;
}

static void write_special(const convert_source *s, gguf_writer *w)
{
    static const struct {
        const char *token, *config, *key;
    } rows[] = {
        {"bos_token", "bos_token_id", "tokenizer.ggml.bos_token_id"},
        {"eos_token", "eos_token_id", "tokenizer.ggml.eos_token_id"},
        {"unk_token", "unk_token_id", "tokenizer.ggml.unknown_token_id"},
        {"pad_token", "pad_token_id", "tokenizer.ggml.padding_token_id"},
        {"sep_token", "sep_token_id", "tokenizer.ggml.seperator_token_id"},
        {"cls_token", "cls_token_id", "tokenizer.ggml.cls_token_id"},
        {"mask_token", "mask_token_id", "tokenizer.ggml.mask_token_id"},
    };
    double n = (double)convert_table_rows(s);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double id = id_of_text(s, special_text(s, rows[i].token));
        const json_t *given = json_object_get(s->config, rows[i].config);
        if (id < 0 && json_is_array(given))  // several ends of text: the first
            given = json_array_get(given, 0);
        if (id < 0 && json_is_integer(given))
            id = (double)json_integer_value(given);
        if (id >= 0 && id < n)
            gguf_writer_u32(w, rows[i].key, (uint32_t)id);
    }
}

// Whether the post-processor puts a special token before (at 0) or after (at the end of) a text; -1: it does not say.
static int template_adds(const convert_source *s, bool end)
{
    const json_t *p = find_type(json_object_get(s->tokenizer, "post_processor"), "TemplateProcessing");
    const json_t *single = json_object_get(p, "single");
    size_t n = json_array_size(single);
    if (find_type(json_object_get(s->tokenizer, "post_processor"), "BertProcessing") ||
        find_type(json_object_get(s->tokenizer, "post_processor"), "RobertaProcessing"))
        return 1;
    return n ? json_object_get(json_array_get(single, end ? n - 1 : 0), "SpecialToken") != NULL : -1;
}

static void write_additions(const convert_source *s, gguf_writer *w)
{
    static const struct {
        const char *config, *key;
    } rows[] = {{"add_bos_token", "tokenizer.ggml.add_bos_token"},
                {"add_eos_token", "tokenizer.ggml.add_eos_token"}};
    for (int i = 0; i < 2; i++) {
        int adds = template_adds(s, i == 1);
        const json_t *flag = json_object_get(s->tokenizer_config, rows[i].config);
        if (adds < 0 && json_is_boolean(flag))
            adds = json_is_true(flag);
        if (adds >= 0)
            gguf_writer_bool(w, rows[i].key, adds == 1);
    }
}

static int write_template(const convert_source *s, gguf_writer *w, err *e)
{
    const json_t *t = json_object_get(s->tokenizer_config, "chat_template");
    const char *text = json_string_value(t);
    size_t i;
    json_t *each;
    json_array_foreach(t, i, each)  // several by name: "default"
    {
        const char *name = convert_text(each, "name");
        if (name && strcmp(name, "default") == 0)
            text = convert_text(each, "template");
    }
    if (text) {
        gguf_writer_str(w, "tokenizer.chat_template", text, strlen(text));
        return ST_OK;
    }
    buf path;
    char *file;
    size_t n;
    buf_init(&path);
    buf_printf(&path, "%s/chat_template.jinja", s->dir);
    int rc = path.failed ? err_set(e, ST_NOMEM, "no memory for a path")
                         : os_read_file(path.data, 1 << 24, &file, &n, e);
    buf_done(&path);
    if (rc)
        return rc == ST_NOTFOUND ? ST_OK : rc;
    gguf_writer_str(w, "tokenizer.chat_template", file, n);
    mem_free(file);
    return ST_OK;
}

int convert_vocab(const convert_source *s, const convert_family *f, gguf_writer *w, err *e)
{
    arena mem;
    arena_init(&mem, MEM_OTHER);
    bool done = false;
    int rc = convert_sentencepiece(s, &mem, w, &done, e);
    if (!rc && !done && !s->tokenizer)
        rc = err_set(e, ST_NOTFOUND, "%s: neither tokenizer.json nor tokenizer.model in it", s->dir);
    if (!rc && !done)
        rc = write_json(s, f, &mem, w, e);
    if (!rc) {
        write_special(s, w);
        write_additions(s, w);
        rc = write_template(s, w, e);
    }
    arena_done(&mem);
    return rc;
}

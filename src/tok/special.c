// Tokens with a meaning of their own: the named ids (BOS, EOS, ...), those that end a generation, and the
// search for the texts of whole-matched tokens.
#include <string.h>

#include "tok/own.h"

// One key of tokenizer.ggml.*; -1 when absent. All bits set is how some converters write "none".
static int load_id(const tok *t, const gguf *g, const char *key, int32_t *id, err *e)
{
    int32_t v = -1;
    uint64_t u = 0;
    *id = -1;
    if (!gguf_get_u64(g, key, &u)) {
        if (gguf_has(g, key) && !(gguf_get_i32(g, key, &v) && v == -1))
            return err_set(e, ST_FORMAT, "%s is not a token id", key);
        return ST_OK;
    }
    if (u == UINT32_MAX || u == UINT64_MAX)
        return ST_OK;
    if (u >= t->count)
        return err_set(e, ST_FORMAT, "%s is %llu, but the vocabulary has %u tokens", key,
                       (unsigned long long)u, t->count);
    *id = (int32_t)u;
    return ST_OK;
}

static bool is(const tok *t, int32_t id, const char *text)
{
    size_t n = 0;
    const char *s = tok_text(t, id, &n);
    return n == strlen(text) && memcmp(s, text, n) == 0;
}

// Special tokens that end a turn or a text in the models' published chat formats.
static const char *const ends[] = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>",         "<|end|>", "<|return|>",           "<|call|>",
    "<|calls|>",  "<|flush|>",  "<end_of_turn>",      "<turn|>", "<|endoftext|>",        "<|end_of_text|>",
    "<EOT>",      "_<EOT>",     "<end_of_utterance>", "<eos>",   "<｜end▁of▁sentence｜>"};

static bool may_end(const tok *t, uint32_t id)
{
    return t->type[id] == TOK_CONTROL || t->type[id] == TOK_USER;
}

static void mark_ends(tok *t)
{
    // Where an answer is made of several messages (OpenAI's harmony format), <|end|> only ends one of them.
    uint32_t harmony = 0;
    for (uint32_t i = 0; i < t->count; i++)
        harmony += may_end(t, i) && (is(t, (int32_t)i, "<|channel|>") || is(t, (int32_t)i, "<|return|>"));
    for (uint32_t i = 0; i < t->count; i++)
        for (size_t k = 0; k < COUNT_OF(ends) && may_end(t, i); k++)
            if (is(t, (int32_t)i, ends[k]) && !(harmony == 2 && strcmp(ends[k], "<|end|>") == 0))
                t->mark[i] |= TOK_MARK_EOG;
    const int32_t named[] = {t->eos, t->eot, t->eom};
    for (size_t k = 0; k < COUNT_OF(named); k++)
        if (named[k] >= 0)
            t->mark[named[k]] |= TOK_MARK_EOG;
}

static int load_trie(tok *t, err *e)
{
    int rc = tok_trie_init(&t->special);
    // User-defined tokens first, so that of two tokens with one text the control token is the one found.
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < t->count && !rc; i++) {
            bool user = t->type[i] == TOK_USER;
            bool control = t->type[i] == TOK_CONTROL || t->type[i] == TOK_UNKNOWN;
            size_t n = 0;
            const char *s = tok_text(t, (int32_t)i, &n);
            if (n == 0 || !(pass == 0 ? user : control))
                continue;
            rc = tok_trie_put(&t->special, s, n, (int32_t)i);
            t->special_first[(unsigned char)s[0]] = true;
        }
    }
    if (rc == ST_LIMIT)
        return err_set(e, rc, "the texts of the special tokens need more than %d trie nodes", TOK_TRIE_NODES);
    return rc ? err_set(e, rc, "no memory for the table of special tokens") : ST_OK;
}

// The special token with this text, when the metadata does not name one.
static void by_text(const tok *t, int32_t *id, const char *text)
{
    int32_t found = *id < 0 ? tok_find(t, text, strlen(text)) : -1;
    if (found >= 0 && t->type[found] != TOK_NORMAL)
        *id = found;
}

static void defaults(tok *t)
{
    if (t->kind == TOK_WORDPIECE) {
        by_text(t, &t->cls, "[CLS]");
        by_text(t, &t->sep, "[SEP]");
        by_text(t, &t->unk, "[UNK]");
        by_text(t, &t->pad, "[PAD]");
        t->bos = t->cls >= 0 ? t->cls : t->bos;
        t->eos = t->sep >= 0 ? t->sep : t->eos;
        return;
    }
    if (t->kind != TOK_BPE) {
        by_text(t, &t->bos, "<s>");
        by_text(t, &t->eos, "</s>");
        by_text(t, &t->unk, "<unk>");
        by_text(t, &t->pad, "<pad>");
        return;
    }
    by_text(t, &t->eos, "<|endoftext|>");
}

// Phi-3's added tokens swallow the white space after them (rstrip in its tokenizer.json); GGUF has no key for
// it.
static void mark_rstrip(tok *t, const gguf *g)
{
    gguf_str arch;
    if (t->kind != TOK_SPM || !gguf_get_str(g, "general.architecture", &arch) || arch.n != 4 ||
        memcmp(arch.p, "phi3", 4) != 0)
        return;
    for (uint32_t i = 0; i < t->count; i++) {
        bool special = t->type[i] == TOK_CONTROL || t->type[i] == TOK_USER;
        if (special && !is(t, (int32_t)i, "<s>") && !is(t, (int32_t)i, "<unk>") &&
            !is(t, (int32_t)i, "<|endoftext|>"))
            t->mark[i] |= TOK_MARK_RSTRIP;
    }
}

int tok_special_load(tok *t, const gguf *g, err *e)
{
    const struct {
        const char *key;
        int32_t *id;
    } named[] = {
        {"tokenizer.ggml.bos_token_id", &t->bos},       {"tokenizer.ggml.eos_token_id", &t->eos},
        {"tokenizer.ggml.eot_token_id", &t->eot},       {"tokenizer.ggml.eom_token_id", &t->eom},
        {"tokenizer.ggml.unknown_token_id", &t->unk},   {"tokenizer.ggml.padding_token_id", &t->pad},
        {"tokenizer.ggml.seperator_token_id", &t->sep}, {"tokenizer.ggml.cls_token_id", &t->cls},
    };
    for (size_t i = 0; i < COUNT_OF(named); i++) {
        int rc = load_id(t, g, named[i].key, named[i].id, e);
        if (rc)
            return rc;
    }
    int rc = load_trie(t, e);
    if (rc)
        return rc;
    defaults(t);
    mark_ends(t);
    mark_rstrip(t, g);

    unsigned pre = t->pre ? tok_pre_flags(t->pre) : 0;
    t->add_bos = t->kind == TOK_SPM || t->kind == TOK_WORDPIECE || (pre & TOK_PRE_ADD_BOS);
    t->add_eos = t->kind == TOK_UNIGRAM || t->kind == TOK_WORDPIECE || (pre & TOK_PRE_ADD_EOS);
    gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
    bool sep = false;
    if (gguf_get_bool(g, "tokenizer.ggml.add_sep_token", &sep))
        t->add_eos = sep;
    gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
    return ST_OK;
}

int32_t tok_special_at(const tok *t, const char *s, size_t n, bool control, size_t *len)
{
    int32_t id = -1;
    uint32_t node = 0;
    for (size_t k = 0; k < n && (node = tok_trie_step(&t->special, node, (unsigned char)s[k])); k++) {
        int32_t v = t->special.value[node];
        if (v < 0 || (!control && t->type[v] != TOK_USER))
            continue;
        id = v;
        *len = k + 1;
    }
    return id;
}

int32_t tok_find(const tok *t, const char *s, size_t n)
{
    uint32_t node = 0;
    size_t k = 0;
    while (k < n && (node = tok_trie_step(&t->special, node, (unsigned char)s[k])))
        k++;
    if (k == n && n > 0 && t->special.value[node] >= 0)
        return t->special.value[node];
    return tok_map_get(t, s, n);
}

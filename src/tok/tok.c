// Opening a tokenizer, and what may be asked about its tokens.
#include "tok/tok.h"

#include <string.h>

#include "tok/own.h"

static int choose_kind(tok *t, const gguf *g, err *e)
{
    static const struct {
        const char *name;
        enum tok_kind kind;
    } kinds[] = {{"gpt2", TOK_BPE},
                 {"gemma4", TOK_BPE},
                 {"llama", TOK_SPM},
                 {"t5", TOK_UNIGRAM},
                 {"bert", TOK_WORDPIECE}};
    gguf_str model;
    if (!gguf_get_str(g, "tokenizer.ggml.model", &model))
        return err_set(e, ST_FORMAT, "tokenizer.ggml.model is missing: the file has no vocabulary");
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strlen(kinds[i].name) == model.n && memcmp(kinds[i].name, model.p, model.n) == 0) {
            t->kind = kinds[i].kind;
            t->by_char = strcmp(kinds[i].name, "gemma4") == 0;
            return ST_OK;
        }
    }
    return err_set(e, ST_UNSUPPORTED,
                   "tokenizer.ggml.model is \"%.*s\"; irori knows gpt2, gemma4, llama, t5 and bert",
                   (int)MIN(model.n, (size_t)60), model.p);
}

// Byte-level BPE alone has pre-tokenizers; by_char must be known before the pieces are read.
static int choose_pre(tok *t, const gguf *g, err *e)
{
    if (t->kind != TOK_BPE)
        return ST_OK;
    gguf_str pre = {"default", 7};
    if (t->by_char)
        pre = (gguf_str){"gemma4", 6};
    else if (!gguf_get_str(g, "tokenizer.ggml.pre", &pre))
        log_msg(LOG_WARN,
                "the file does not name its pre-tokenizer (tokenizer.ggml.pre): taking \"default\", which "
                "may cut words in other places than the model was trained with");
    int rc = tok_pre_new(&t->pre, pre.p, pre.n, e);
    if (rc)
        return rc;
    t->by_char = tok_pre_flags(t->pre) & TOK_PRE_BY_CHAR;
    t->ignore_merges = tok_pre_flags(t->pre) & TOK_PRE_IGNORE_MERGES;
    return ST_OK;
}

static int load(tok *t, const gguf *g, err *e)
{
    int rc = choose_kind(t, g, e);
    if (!rc)
        rc = choose_pre(t, g, e);
    if (!rc)
        rc = tok_vocab_load(t, g, e);
    if (!rc)
        rc = tok_special_load(t, g, e);
    if (rc)
        return rc;
    switch (t->kind) {
    case TOK_BPE: return tok_bpe_load(t, g, e);
    case TOK_SPM: return tok_spm_load(t, g, e);
    case TOK_UNIGRAM: return tok_unigram_load(t, g, e);
    case TOK_WORDPIECE: return tok_wordpiece_load(t, e);
    }
    return ST_UNSUPPORTED;
}

int tok_open(tok **out, const gguf *g, err *e)
{
    tok *t = mem_calloc(MEM_TOKENIZER, 1, sizeof *t);
    if (!t)
        return err_set(e, ST_NOMEM, "no memory for a tokenizer");
    memset(t->byte_id, 0xFF, sizeof t->byte_id);  // all -1
    int rc = load(t, g, e);
    if (rc)
        tok_close(t);
    else
        *out = t;
    return rc;
}

void tok_close(tok *t)
{
    if (!t)
        return;
    tok_pre_free(t->pre);
    tok_trie_done(&t->special);
    tok_trie_done(&t->pieces);
    tok_charsmap_free(t->charsmap);
    mem_free(t->map.slots);
    mem_free(t->pairs.slots);
    mem_free(t->rank);
    mem_free(t->score);
    mem_free(t->text);
    mem_free(t->at);
    mem_free(t->type);
    mem_free(t->mark);
    mem_free(t);
}

uint32_t tok_count(const tok *t)
{
    return t->count;
}

const char *tok_kind_name(const tok *t)
{
    static const char *const names[] = {"bpe", "spm", "unigram", "wordpiece"};
    return names[t->kind];
}

const char *tok_pre_name(const tok *t)
{
    return t->pre ? tok_pre_id(t->pre) : "";
}

static bool inside(const tok *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->count;
}

const char *tok_piece(const tok *t, int32_t id, unsigned flags, size_t *n)
{
    *n = 0;
    if (!inside(t, id) || (tok_is_control(t, id) && !(flags & TOK_SPECIAL)))
        return "";
    return tok_text(t, id, n);
}

int32_t tok_bos(const tok *t)
{
    return t->bos;
}

int32_t tok_eos(const tok *t)
{
    return t->eos;
}

int32_t tok_eot(const tok *t)
{
    return t->eot;
}

int32_t tok_unk(const tok *t)
{
    return t->unk;
}

int32_t tok_pad(const tok *t)
{
    return t->pad;
}

bool tok_adds_bos(const tok *t)
{
    return t->add_bos && t->bos >= 0;
}

bool tok_adds_eos(const tok *t)
{
    return t->add_eos && t->eos >= 0;
}

bool tok_is_eog(const tok *t, int32_t id)
{
    return inside(t, id) && (t->mark[id] & TOK_MARK_EOG);
}

bool tok_is_control(const tok *t, int32_t id)
{
    return inside(t, id) && (t->type[id] == TOK_CONTROL || t->type[id] == TOK_UNKNOWN);
}

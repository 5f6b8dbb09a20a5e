// Ranking: how well documents fit a query.
//
// Three kinds of model do it: encoders with a head read query and document side by side; decoders with a head, and Qwen 3
// by its words for yes and no, are asked in a prompt. Every score comes out as a probability.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/own.h"

// The prompt of Qwen 3's rerankers, for files that do not bring one (arXiv 2506.05176).
static const char qwen3_prompt[] =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    "provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n"
    "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n"
    "<think>\n\n</think>\n\n";
static const char usual_instruction[] =
    "Given a web search query, retrieve relevant passages that answer the query";

// How a model ranks.
typedef struct way {
    gguf_str prompt;  // n 0: query and document are put side by side
    int yes, no;      // where their scores are in a result; no < 0: there is one score
} way;

typedef struct ranking {
    irori_model *m;
    const irori_text *query;
    irori_text instruction;
    way way;
    float *scores;
} ranking;

// Which of two scores speaks for the document: classifier.output_labels says, else the first.
static bool says_no_first(const irori_model *m)
{
    char key[96];
    enum gguf_value_type type;
    uint64_t n;
    gguf_str first;
    snprintf(key, sizeof key, "%s.classifier.output_labels", m->engine.model.arch_name);
    return gguf_get_array(m->file, key, &type, &n) && type == GGUF_STRING && n == 2 &&
           gguf_array_str(m->file, key, 0, &first) && first.n == 2 && memcmp(first.p, "no", 2) == 0;
}

// False when the model does not rank.
static bool find_way(const irori_model *m, way *w)
{
    const model_params *p = &m->engine.model.params;
    const bool qwen3 = strcmp(m->engine.model.arch_name, "qwen3") == 0;
    *w = (way){.no = -1};
    if (!p->both_ways && !gguf_get_str(m->file, "tokenizer.chat_template.rerank", &w->prompt) && qwen3)
        w->prompt = (gguf_str){qwen3_prompt, sizeof qwen3_prompt - 1};
    if (p->pooling == MODEL_POOL_RANK) {
        if (m->engine.model.result_width == 2) {
            w->yes = says_no_first(m);
            w->no = !w->yes;
        }
        return p->both_ways || w->prompt.n > 0;
    }
    w->yes = tok_find(m->tok, "yes", 3);
    w->no = tok_find(m->tok, "no", 2);
    return p->pooling == MODEL_POOL_NONE && qwen3 && w->yes >= 0 && w->no >= 0;
}

bool api_ranks(const irori_model *m)
{
    way w;
    return m->has_engine && find_way(m, &w);
}

static int add_pair(const ranking *r, api_texts *t, const irori_text *document, err *e)
{
    const tok *vocabulary = r->m->tok;
    const int32_t end = tok_eos(vocabulary);
    // RoBERTa's family ends the query and begins the document, both with the same token.
    const int between = strcmp(tok_kind_name(vocabulary), "unigram") == 0 ? 2 : 1;
    int rc = tok_encode_append(vocabulary, &t->one, r->query->data, r->query->bytes, TOK_BOS, e);
    for (int i = 0; i < between && !rc && end >= 0; i++)
        if (tok_ids_add(&t->one, &end, 1))
            rc = err_set(e, ST_NOMEM, "no memory for the tokens of a pair");
    if (!rc)
        rc = tok_encode_append(vocabulary, &t->one, document->data, document->bytes, TOK_EOS, e);
    return rc;
}

// The prompt with what its {names} stand for; only its own text may spell control tokens.
static int add_prompt(const ranking *r, api_texts *t, const irori_text *document, err *e)
{
    enum { MOST_RANGES = 64 };
    const struct {
        const char *name;
        const irori_text *text;
    } slots[] = {{"{instruction}", &r->instruction}, {"{query}", r->query}, {"{document}", document}};
    tok_range ranges[MOST_RANGES] = {{0, true}};
    size_t n = 1;
    buf text;
    buf_init(&text);
    for (const char *at = r->way.prompt.p, *end = at + r->way.prompt.n; at < end;) {
        size_t left = (size_t)(end - at), s = 0;
        while (s < COUNT_OF(slots) && (left < strlen(slots[s].name) || n + 2 > MOST_RANGES ||
                                       memcmp(at, slots[s].name, strlen(slots[s].name)) != 0))
            s++;
        if (s == COUNT_OF(slots)) {
            buf_add_char(&text, *at++);
            ranges[n - 1].n++;
            continue;
        }
        buf_add(&text, slots[s].text->data, slots[s].text->bytes);
        ranges[n++] = (tok_range){slots[s].text->bytes, false};
        ranges[n++] = (tok_range){0, true};
        at += strlen(slots[s].name);
    }
    int rc = text.failed ? err_set(e, ST_NOMEM, "no memory for a prompt")
                         : tok_encode_ranges(r->m->tok, &t->one, text.data, ranges, n, e);
    buf_done(&text);
    return rc;
}

// Shortens a text to about `part` of its bytes, at the start of a character.
static size_t cut(const irori_text *t, double part)
{
    size_t n = (size_t)((double)t->bytes * part);
    while (n > 0 && ((unsigned char)t->data[n] & 0xC0) == 0x80)
        n--;
    return n;
}

static int add_document(const ranking *r, api_texts *t, const irori_text *given, size_t i, bool truncate,
                        err *e)
{
    const size_t most = (size_t)r->m->engine.context;
    for (irori_text d = *given;;) {
        int rc = r->way.prompt.n ? add_prompt(r, t, &d, e) : add_pair(r, t, &d, e);
        size_t n = t->one.count;
        if (rc)
            return rc;
        if (n > 0 && n <= most)
            return api_texts_end(t, e);
        if (n == 0)
            return err_set(e, ST_INVALID, "query and document %zu are empty", i);
        if (!truncate || d.bytes == 0)
            return err_set(e, ST_LIMIT, "the query and document %zu have %zu tokens, the context is %zu%s", i,
                           n, most,
                           truncate ? "; the query alone is too long" : "; shorten them or have them cut");
        d.bytes = cut(&d, MIN(0.9, (double)most / (double)n));
        t->one.count = 0;
    }
}

static void take_score(void *ctx, size_t i, const float *result)
{
    const ranking *r = ctx;
    double against = r->way.no >= 0 ? (double)result[r->way.no] : 0;
    r->scores[i] = (float)(1 / (1 + exp(against - (double)result[r->way.yes])));
}

static int run(ranking *r, const irori_text *documents, size_t count, bool truncate, size_t *tokens, err *e)
{
    api_texts list;
    int rc = api_texts_new(&list, count, e);
    for (size_t i = 0; i < count && !rc; i++)
        rc = add_document(r, &list, &documents[i], i, truncate, e);
    if (!rc)
        rc = api_keep_logits(r->m, e);
    if (!rc)
        rc = engine_texts(&r->m->engine, api_texts_ready(&list), count, take_score, r, NULL, NULL, e);
    if (tokens)
        *tokens = list.ids.count;
    api_texts_done(&list);
    return rc;
}

int irori_rerank(irori_model *m, const irori_text *query, const irori_text *documents, size_t count,
                 const irori_rerank_options *options, float *scores, size_t *tokens, irori_error *error)
{
    static const irori_rerank_options defaults;
    const irori_rerank_options *o = options ? options : &defaults;
    err *e = api_err(error);
    ranking r = {.m = m, .query = query, .scores = scores};
    if (tokens)
        *tokens = 0;
    int rc = api_need_engine(m, e);
    if (rc || count == 0)
        return rc;
    if (!find_way(m, &r.way))
        return err_set(e, ST_UNSUPPORTED, "%s does not rank", gguf_path(m->file));
    const char *instruction = o->instruction ? o->instruction : usual_instruction;
    r.instruction = (irori_text){instruction, strlen(instruction)};
    return run(&r, documents, count, o->truncate, tokens, e);
}

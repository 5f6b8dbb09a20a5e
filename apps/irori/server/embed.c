// Texts as vectors and ranked documents, in OpenAI's, Ollama's and Jina's shapes. The library's call runs on the
// scheduler's thread, between its steps; the worker waits for it.
#include <string.h>

#include "server/sse.h"

typedef struct work {
    const models_open *m;
    irori_text *texts;
    size_t count;
    irori_embed_options embed;
    irori_rerank_options rerank;
    const irori_text *query;  // NULL: vectors are wanted
    irori_embeddings made;
    float *scores;
    size_t tokens;
    int rc;
    err e;
} work;

static void run(void *ctx, irori_model *m)
{
    work *w = ctx;
    irori_error *e = (irori_error *)(void *)&w->e;
    if (w->query)
        w->rc = irori_rerank(m, w->query, w->texts, w->count, &w->rerank, w->scores, &w->tokens, e);
    else
        w->rc = irori_embed(m, w->texts, w->count, &w->embed, &w->made, e);
}

// The texts of a string or an array of strings (or of objects with "text"), borrowed from the body.
static void read_texts(work *w, fields *f, const char *name)
{
    json_t *v = fields_get(f, name);
    size_t n = json_is_string(v) ? 1 : json_array_size(v);
    if (n == 0 || n > 2048 || !(w->texts = mem_calloc(MEM_OTHER, n, sizeof *w->texts))) {
        fields_wrong(f, name, "%s must be a string or an array of 1..2048 strings", name);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_is_string(v) ? v : json_array_get(v, i);
        if (json_is_object(one))
            one = json_object_get(one, "text");
        if (!json_is_string(one))
            fields_wrong(f, name, "%s[%zu] must be a string", name, i);
        else
            w->texts[w->count++] = (irori_text){json_string_value(one), json_string_length(one)};
    }
}

// Runs the work and answers what is wrong; true when there is a result, to be released.
static bool do_work(incoming *c, work *w, fields *f, const char *model)
{
    double took;
    if (f->wrong) {
        answer_field(c, f);
        return false;
    }
    w->rc = models_use(c->s->models, model, NAN, &w->m, &took, &w->e);
    if (!w->rc && irori_scheduler_call(w->m->scheduler, run, w))
        w->rc = err_set(&w->e, ST_CANCELED, "the server is stopping");
    if (!w->rc)
        return true;
    w->e.code = w->rc;
    answer_status(c, &w->e);
    return false;
}

static void work_done(incoming *c, work *w)
{
    if (w->m)
        models_release(c->s->models, w->m);
    irori_free(w->made.vectors);
    mem_free(w->scores);
    mem_free(w->texts);
}

static void put_floats(json_writer *w, const float *v, int n)
{
    json_arr(w);
    for (int i = 0; i < n; i++)
        json_num(w, (double)v[i]);
    json_end(w);
}

// RFC 4648, of little-endian floats.
static void put_base64(json_writer *w, const float *v, int n, buf *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)v;
    size_t bytes = (size_t)n * sizeof *v;
    buf_clear(text);
    for (size_t i = 0; i < bytes; i += 3) {
        unsigned x = (unsigned)p[i] << 16 | (i + 1 < bytes ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < bytes ? p[i + 2] : 0);
        buf_add_char(text, letters[x >> 18]);
        buf_add_char(text, letters[x >> 12 & 63]);
        buf_add_char(text, i + 1 < bytes ? letters[x >> 6 & 63] : '=');
        buf_add_char(text, i + 2 < bytes ? letters[x & 63] : '=');
    }
    json_strn(w, text->len ? text->data : "", text->len);
}

void route_embeddings(incoming *c)
{
    fields f = fields_of(c->body);
    work x = {0};
    const char *model = fields_text(&f, "model", NULL), *format = fields_text(&f, "encoding_format", "float");
    bool base64 = strcmp(format, "base64") == 0;
    if (!base64 && strcmp(format, "float") != 0)
        fields_wrong(&f, "encoding_format", "encoding_format is \"%.40s\", allowed float and base64", format);
    x.embed.dimensions = (int)fields_int(&f, "dimensions", 0, 1, 1 << 20);
    read_texts(&x, &f, "input");
    if (do_work(c, &x, &f, model)) {
        json_writer w;
        buf b, text;
        buf_init(&b);
        buf_init(&text);
        json_begin(&w, &b);
        json_obj(&w);
        put_str(&w, "object", "list");
        json_key(&w, "data");
        json_arr(&w);
        for (size_t i = 0; i < x.count; i++) {
            const float *v = x.made.vectors + i * (size_t)x.made.width;
            json_obj(&w);
            put_str(&w, "object", "embedding");
            put_int(&w, "index", (int64_t)i);
            json_key(&w, "embedding");
            if (base64)
                put_base64(&w, v, x.made.width, &text);
            else
                put_floats(&w, v, x.made.width);
            json_end(&w);
        }
        json_end(&w);
        put_str(&w, "model", x.m->name);
        json_key(&w, "usage");
        json_obj(&w);
        put_int(&w, "prompt_tokens", (int64_t)x.made.tokens);
        put_int(&w, "total_tokens", (int64_t)x.made.tokens);
        json_end(&w);
        json_end(&w);
        b.failed = b.failed || text.failed;
        buf_done(&text);
        answer_json(c->r, 200, &b);
    }
    work_done(c, &x);
}

// Ollama: /api/embed gives a list of vectors, the older /api/embeddings one.
void route_ollama_embed(incoming *c)
{
    fields f = fields_of(c->body);
    work x = {0};
    bool old = strcmp(http_path(c->r), "/api/embeddings") == 0;
    double started = os_seconds();
    const char *model = fields_text(&f, "model", NULL);
    if (!model || !*model)
        fields_wrong(&f, "model", "model is required");
    x.embed.truncate = fields_bool(&f, "truncate", true);
    x.embed.dimensions = (int)fields_int(&f, "dimensions", 0, 1, 1 << 20);
    read_texts(&x, &f, old ? "prompt" : "input");
    if (do_work(c, &x, &f, model)) {
        json_writer w;
        buf b;
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_str(&w, "model", x.m->name);
        json_key(&w, old ? "embedding" : "embeddings");
        if (!old)
            json_arr(&w);
        for (size_t i = 0; i < (old ? 1 : x.count); i++)
            put_floats(&w, x.made.vectors + i * (size_t)x.made.width, x.made.width);
        if (!old)
            json_end(&w);
        put_int(&w, "total_duration", (int64_t)((os_seconds() - started) * 1e9));
        put_int(&w, "prompt_eval_count", (int64_t)x.made.tokens);
        json_end(&w);
        answer_json(c->r, 200, &b);
    }
    work_done(c, &x);
}

// The place of the best score not told yet.
static size_t best(const float *scores, const bool *told, size_t n)
{
    size_t at = n;
    for (size_t i = 0; i < n; i++)
        if (!told[i] && (at == n || scores[i] > scores[at]))
            at = i;
    return at;
}

static void answer_ranks(incoming *c, const work *x, int64_t top, bool documents)
{
    json_writer w;
    buf b;
    bool *told = mem_calloc(MEM_OTHER, x->count, sizeof *told);
    buf_init(&b);
    b.failed = !told;
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "model", x->m->name);
    put_str(&w, "object", "list");
    json_key(&w, "results");
    json_arr(&w);
    for (int64_t k = 0; told && k < top; k++) {
        size_t i = best(x->scores, told, x->count);
        told[i] = true;
        json_obj(&w);
        put_int(&w, "index", (int64_t)i);
        put_num(&w, "relevance_score", (double)x->scores[i]);
        if (documents) {
            json_key(&w, "document");
            json_obj(&w);
            json_key(&w, "text");
            json_strn(&w, x->texts[i].data, x->texts[i].bytes);
            json_end(&w);
        }
        json_end(&w);
    }
    json_end(&w);
    json_key(&w, "usage");
    json_obj(&w);
    put_int(&w, "prompt_tokens", (int64_t)x->tokens);
    put_int(&w, "total_tokens", (int64_t)x->tokens);
    json_end(&w);
    json_end(&w);
    mem_free(told);
    answer_json(c->r, 200, &b);
}

void route_rerank(incoming *c)
{
    fields f = fields_of(c->body);
    work x = {0};
    const char *model = fields_text(&f, "model", NULL), *query = fields_text(&f, "query", NULL);
    irori_text question = {query ? query : "", query ? strlen(query) : 0};
    if (!query || !*query)
        fields_wrong(&f, "query", "query is required");
    x.query = &question;
    x.rerank.truncate = fields_bool(&f, "truncate", false);
    x.rerank.instruction = fields_text(&f, "instruction", NULL);
    read_texts(&x, &f, fields_get(&f, "texts") ? "texts" : "documents");
    int64_t top = fields_int(&f, "top_n", (int64_t)x.count, 1, INT32_MAX);
    bool documents = fields_bool(&f, "return_documents", false);
    x.scores = mem_calloc(MEM_OTHER, x.count + 1, sizeof *x.scores);
    if (!x.scores)
        fields_wrong(&f, "documents", "out of memory");
    if (do_work(c, &x, &f, model))
        answer_ranks(c, &x, MIN(top, (int64_t)x.count), documents);
    work_done(c, &x);
}

// llama-server's own routes: completion, infill, and the tokenizer's.
#include <string.h>

#include "server/chat.h"
#include "server/sse.h"

// ---- /completion ----

static const char *stop_type(const ask_choice *c)
{
    if (c->finish == ASK_LENGTH)
        return "limit";
    return c->stop >= 0 ? "word" : "eos";
}

static void put_final(ask *a, ask_choice *c, json_writer *w)
{
    size_t prompt, completion, cached;
    ask_usage(a, &prompt, &completion, &cached);
    put_bool(w, "stop", true);
    put_str(w, "stop_type", stop_type(c));
    put_str(w, "stopping_word", c->stop >= 0 ? a->stop[c->stop] : "");
    put_str(w, "model", ask_model_name(a));
    put_int(w, "tokens_predicted", (int64_t)completion);
    put_int(w, "tokens_evaluated", (int64_t)prompt);
    put_int(w, "tokens_cached", (int64_t)cached);
    put_bool(w, "truncated", a->n_cut > 0);
    ask_timings(a, w);
}

static void put_probabilities(ask *a, ask_choice *c, json_writer *w)
{
    if (!a->logprobs || !c->logprobs.len)
        return;
    put_entries(w, "completion_probabilities", &c->logprobs);
    buf_clear(&c->logprobs);
}

static void native_begin(ask *a)
{
    http_begin(a->r, 200, "text/event-stream");
}

static void native_part(ask *a, ask_choice *c, calls_part part, const char *p, size_t n)
{
    json_writer w;
    (void)part;
    sse_begin(a, NULL, &w);
    put_int(&w, "index", c->index);
    json_key(&w, "content");
    json_strn(&w, p, n);
    put_bool(&w, "stop", false);
    put_probabilities(a, c, &w);
    sse_send(a, &w);
}

static void native_end(ask *a, ask_choice *c)
{
    json_writer w;
    sse_begin(a, NULL, &w);
    put_int(&w, "index", c->index);
    put_str(&w, "content", "");
    put_final(a, c, &w);
    sse_send(a, &w);
}

static void native_done(ask *a)
{
    if (a->stream) {
        http_end(a->r);
        return;
    }
    json_writer w;
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    if (a->choices > 1)
        json_arr(&w);
    for (int i = 0; i < a->choices; i++) {
        ask_choice *c = &a->choice[i];
        json_obj(&w);
        put_int(&w, "index", i);
        put_buf(&w, "content", &c->text);
        put_probabilities(a, c, &w);
        put_final(a, c, &w);
        json_end(&w);
    }
    if (a->choices > 1)
        json_end(&w);
    answer_json(a->r, 200, &b);
}

static void native_fail(ask *a, int status, const char *message)
{
    buf_clear(&a->out);
    buf_add_str(&a->out, "error: ");
    error_text(&a->out, a->family, status, NULL, NULL, message);
    buf_add_str(&a->out, "\n\n");
    if (!a->out.failed)
        http_write(a->r, a->out.data, a->out.len);
    http_end(a->r);
}

static const ask_format native_format = {
    .begin = native_begin, .part = native_part, .end = native_end, .done = native_done, .fail = native_fail};

static ask *read_native(incoming *c, fields *f)
{
    ask *a = ask_new(c, &native_format, "cmpl-");
    *f = fields_of(c->body);
    if (!a)
        return NULL;
    a->sampling = (irori_sampling){.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f};
    ask_read_sampling(a, f);
    ask_read_stop(a, f, "stop");
    ask_read_grammar(a, f);
    a->stream = fields_bool(f, "stream", false);
    a->choices = (int)fields_int(f, "n", 1, 1, 64);
    int64_t most = fields_int(f, "max_tokens", -1, -1, INT32_MAX);
    a->max_tokens = fields_int(f, "n_predict", most, -1, INT32_MAX);
    a->top_logprobs = (int)fields_int(f, "n_probs", 0, 0, 20);
    a->logprobs = a->top_logprobs > 0;
    return a;
}

void route_completion(incoming *c)
{
    fields f;
    ask *a = read_native(c, &f);
    if (!a)
        return;
    a->prompt = fields_get(&f, "prompt");
    a->raw_special = true;
    if (!json_is_string(a->prompt) && !json_is_array(a->prompt))
        fields_wrong(&f, "prompt", "prompt must be a string or an array of token ids");
    ask_start_read(a, c, &f);
}

// The words with which models are taught to fill in, in the spellings of the families that are.
static const char *const fill_words[][3] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
    {"<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"},
    {"<PRE>", "<SUF>", "<MID>"},
};

// The one token that a word is; -1: it is not one.
static int32_t token_of(const irori_model *m, const char *word)
{
    int32_t *ids, id = -1;
    size_t n;
    if (irori_tokenize(m, word, strlen(word), IRORI_TOKENIZE_SPECIAL, &ids, &n, NULL))
        return -1;
    if (n == 1)
        id = ids[0];
    irori_free(ids);
    return id;
}

// Adds a text's tokens, after the token `before`.
static bool add_text(json_t *ids, const irori_model *m, int32_t before, const char *text)
{
    int32_t *more;
    size_t n;
    json_array_append_new(ids, json_integer(before));
    if (irori_tokenize(m, text, strlen(text), 0, &more, &n, NULL))
        return false;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(ids, json_integer(more[i]));
    irori_free(more);
    return true;
}

// The prompt that asks a model to fill in; NULL when it was not taught to.
static json_t *fill_prompt(const irori_model *m, const char *prefix, const char *suffix, const char *start)
{
    for (size_t i = 0; i < COUNT_OF(fill_words); i++) {
        int32_t id[3];
        for (int k = 0; k < 3; k++)
            id[k] = token_of(m, fill_words[i][k]);
        if (id[0] < 0 || id[1] < 0 || id[2] < 0)
            continue;
        json_t *ids = json_array();
        bool good = add_text(ids, m, id[0], prefix) && add_text(ids, m, id[1], suffix) &&
                    add_text(ids, m, id[2], start);
        if (!good)
            json_decref(ids);
        return good ? ids : NULL;
    }
    return NULL;
}

void route_infill(incoming *c)
{
    fields f;
    const models_open *m;
    double took;
    err e = {0};
    ask *a = read_native(c, &f);
    if (!a)
        return;
    const char *prefix = fields_text(&f, "input_prefix", ""), *suffix = fields_text(&f, "input_suffix", "");
    const char *start = fields_text(&f, "prompt", "");
    if (f.wrong) {
        answer_field(c, &f);
        ask_free(a);
        return;
    }
    int rc = models_use(c->s->models, a->model, a->keep_alive, &m, &took, &e);
    if (!rc) {
        json_t *prompt = fill_prompt(m->m, prefix, suffix, start);
        if (prompt)
            json_object_set_new(a->body, "prompt", prompt);  // the ask owns its body
        else
            rc = err_set(&e, ST_UNSUPPORTED,
                         "model \"%s\" was not taught to fill in: its vocabulary has no tokens for it",
                         m->name);
        a->prompt = prompt;
        models_release(c->s->models, m);
    }
    if (rc) {
        answer_status(c, &e);
        ask_free(a);
        return;
    }
    ask_start(a);
}

// ---- Tokens ----

static const models_open *use_model(incoming *c, fields *f)
{
    const models_open *m;
    double took;
    err e;
    const char *name = fields_text(f, "model", NULL);
    if (f->wrong) {
        answer_field(c, f);
        return NULL;
    }
    if (models_use(c->s->models, name, NAN, &m, &took, &e)) {
        answer_status(c, &e);
        return NULL;
    }
    return m;
}

static void put_tokens(json_writer *w, const irori_model *m, const int32_t *ids, size_t n, bool pieces)
{
    json_key(w, "tokens");
    json_arr(w);
    for (size_t i = 0; i < n; i++) {
        if (!pieces) {
            json_int(w, ids[i]);
            continue;
        }
        size_t bytes;
        const char *text = irori_token_text(m, ids[i], &bytes);
        json_obj(w);
        put_int(w, "id", ids[i]);
        json_key(w, "piece");
        json_strn(w, text ? text : "", bytes);
        json_end(w);
    }
    json_end(w);
}

void route_tokenize(incoming *c)
{
    fields f = fields_of(c->body);
    const char *text = fields_text(&f, "content", fields_text(&f, "prompt", ""));
    unsigned flags = (fields_bool(&f, "add_special", false) ? IRORI_TOKENIZE_BOS : 0u) |
                     (fields_bool(&f, "parse_special", true) ? IRORI_TOKENIZE_SPECIAL : 0u);
    bool pieces = fields_bool(&f, "with_pieces", false);
    const models_open *m = use_model(c, &f);
    int32_t *ids;
    size_t n;
    err e;
    if (!m)
        return;
    int rc = irori_tokenize(m->m, text, strlen(text), flags, &ids, &n, (irori_error *)(void *)&e);
    if (rc) {
        answer_status(c, &e);
    } else {
        json_writer w;
        buf b;
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_tokens(&w, m->m, ids, n, pieces);
        json_end(&w);
        irori_free(ids);
        answer_json(c->r, 200, &b);
    }
    models_release(c->s->models, m);
}

static void answer_text(incoming *c, const models_open *m, const char *key, const int32_t *ids, size_t n)
{
    buf text, b;
    buf_init(&text);
    buf_init(&b);
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *p = irori_token_text(m->m, ids[i], &bytes);
        buf_add(&text, p ? p : "", bytes);
    }
    json_writer w;
    json_begin(&w, &b);
    json_obj(&w);
    put_buf(&w, key, &text);
    json_end(&w);
    b.failed = b.failed || text.failed;
    buf_done(&text);
    answer_json(c->r, 200, &b);
}

void route_detokenize(incoming *c)
{
    fields f = fields_of(c->body);
    json_t *list = fields_array(&f, "tokens");
    if (!list)
        fields_wrong(&f, "tokens", "tokens must be an array of token ids");
    const models_open *m = use_model(c, &f);
    if (!m)
        return;
    size_t n = json_array_size(list);
    int32_t *ids = mem_alloc(MEM_OTHER, (n + 1) * sizeof *ids);
    for (size_t i = 0; ids && i < n; i++) {
        json_t *v = json_array_get(list, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= m->info.vocabulary)
            fields_wrong(&f, "tokens", "tokens[%zu] is no id of 0..%d", i, m->info.vocabulary - 1);
        else
            ids[i] = (int32_t)id;
    }
    if (f.wrong)
        answer_field(c, &f);
    else if (!ids)
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
    else
        answer_text(c, m, "content", ids, n);
    mem_free(ids);
    models_release(c->s->models, m);
}

// The tokens of a conversation, for the two routes that only look at them.
static ask *read_chat(incoming *c)
{
    fields f = fields_of(c->body);
    err e = {0};
    ask *a = ask_new(c, &native_format, "");
    if (!a)
        return NULL;
    ask_read_sampling(a, &f);
    ask_read_messages(a, &f, "messages");
    ask_read_tools(a, &f);
    int rc = f.wrong ? ST_OK : ask_prepare(a, &e);
    if (!f.wrong && !rc)
        return a;
    if (f.wrong)
        answer_field(c, &f);
    else
        answer_status(c, &e);
    ask_free(a);
    return NULL;
}

void route_apply_template(incoming *c)
{
    ask *a = read_chat(c);
    if (!a)
        return;
    answer_text(c, a->m, "prompt", a->ids, a->n_ids);
    ask_free(a);
}

void route_input_tokens(incoming *c)
{
    ask *a = read_chat(c);
    if (!a)
        return;
    answer_value(c->r, 200, json_pack("{s:I}", "input_tokens", (json_int_t)a->n_ids));
    ask_free(a);
}

// Ollama's API: chat and generate as newline-delimited JSON, and its lists of models.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/sse.h"
#include "store/store.h"

static void line_begin(ask *a, json_writer *w)
{
    char when[40];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time_text(when, now.tv_sec, now.tv_nsec);
    buf_clear(&a->out);
    json_begin(w, &a->out);
    json_obj(w);
    put_str(w, "model", ask_model_name(a));
    put_str(w, "created_at", when);
}

static void line_send(ask *a, json_writer *w)
{
    json_end(w);
    buf_add_char(&a->out, '\n');
    if (!a->out.failed)
        http_write(a->r, a->out.data, a->out.len);
}

static bool is_chat(const ask *a)
{
    return strcmp(http_path(a->r), "/api/chat") == 0;
}

static void put_call(const ask_call *call, json_writer *w)
{
    json_obj(w);
    json_key(w, "function");
    json_obj(w);
    put_buf(w, "name", &call->name);
    json_key(w, "arguments");  // an object here, not a string of JSON
    json_t *args = json_loadb(call->args.len ? call->args.data : "", call->args.len, 0, NULL);
    if (json_is_object(args))
        json_raw(w, call->args.data, call->args.len);
    else
        json_raw(w, "{}", 2);
    json_decref(args);
    json_end(w);
    json_end(w);
}

// A message (of chat) or response (of generate) with these texts; the calls from `first` on.
static void put_texts(ask *a, ask_choice *c, json_writer *w, const char *text, size_t n, const char *thought,
                      size_t n_thought, int first)
{
    if (is_chat(a)) {
        json_key(w, "message");
        json_obj(w);
        put_str(w, "role", "assistant");
        json_key(w, "content");
    } else {
        json_key(w, "response");
    }
    json_strn(w, text, n);
    if (n_thought) {
        json_key(w, "thinking");
        json_strn(w, thought, n_thought);
    }
    if (first < c->n_calls) {
        json_key(w, "tool_calls");
        json_arr(w);
        for (int i = first; i < c->n_calls; i++)
            put_call(&c->calls[i], w);
        json_end(w);
    }
    if (is_chat(a))
        json_end(w);
}

static void put_logprobs(ask *a, ask_choice *c, json_writer *w)
{
    if (!a->logprobs || !c->logprobs.len)
        return;
    put_entries(w, "logprobs", &c->logprobs);
    buf_clear(&c->logprobs);
}

static void put_false(json_writer *w)
{
    put_bool(w, "done", false);
}

static int64_t ns(double seconds)
{
    return (int64_t)(seconds * 1e9);
}

static void put_end(ask *a, ask_choice *c, json_writer *w)
{
    const irori_event *f = &a->figures;
    put_bool(w, "done", true);
    put_str(w, "done_reason", c->finish == ASK_LENGTH ? "length" : "stop");
    put_int(w, "total_duration", ns(os_seconds() - http_received(a->r)));
    put_int(w, "load_duration", ns(a->load_seconds));
    put_int(w, "prompt_eval_count", (int64_t)f->prompt_tokens);
    put_int(w, "prompt_eval_duration", ns(f->prompt_seconds));
    put_int(w, "eval_count", (int64_t)f->completion_tokens);
    put_int(w, "eval_duration", ns(f->decode_seconds));
}

static void ollama_begin(ask *a)
{
    http_begin(a->r, 200, "application/x-ndjson");
}

static void ollama_part(ask *a, ask_choice *c, calls_part part, const char *p, size_t n)
{
    json_writer w;
    if (part == CALLS_NAME || part == CALLS_ARGS)
        return;  // a call is told whole
    line_begin(a, &w);
    bool text = part == CALLS_TEXT, thought = part == CALLS_REASONING;
    put_texts(a, c, &w, text ? p : "", text ? n : 0, p, thought ? n : 0,
              part == CALLS_END ? c->n_calls - 1 : c->n_calls);
    put_logprobs(a, c, &w);
    put_false(&w);
    line_send(a, &w);
}

static void ollama_end(ask *a, ask_choice *c)
{
    (void)a;
    (void)c;
}

static void ollama_done(ask *a)
{
    ask_choice *c = &a->choice[0];
    json_writer w;
    line_begin(a, &w);
    if (a->stream) {
        put_texts(a, c, &w, "", 0, "", 0, c->n_calls);
        put_end(a, c, &w);
        line_send(a, &w);
        http_end(a->r);
        return;
    }
    put_texts(a, c, &w, c->text.len ? c->text.data : "", c->text.len,
              c->reasoning.len ? c->reasoning.data : "", c->reasoning.len, 0);
    put_logprobs(a, c, &w);
    put_end(a, c, &w);
    json_end(&w);
    buf whole = a->out;
    buf_init(&a->out);
    answer_json(a->r, 200, &whole);
}

static void ollama_fail(ask *a, int status, const char *message)
{
    buf_clear(&a->out);
    error_text(&a->out, a->family, status, NULL, NULL, message);
    buf_add_char(&a->out, '\n');
    if (!a->out.failed)
        http_write(a->r, a->out.data, a->out.len);
    http_end(a->r);
}

static const ask_format ollama_format = {
    .begin = ollama_begin, .part = ollama_part, .end = ollama_end, .done = ollama_done, .fail = ollama_fail};

// ---- Reading ----

// "5m", "1h30m", "300ms", or a number of seconds; negative: for ever.
static double read_duration(fields *f, const char *name)
{
    static const struct unit {
        const char *name;
        double seconds;
    } units[] = {{"ms", .001}, {"s", 1}, {"m", 60}, {"h", 3600}};
    json_t *v = fields_get(f, name);
    if (!v)
        return NAN;
    if (json_is_number(v))
        return json_number_value(v);
    const char *at = json_is_string(v) ? json_string_value(v) : "";
    double sum = 0, sign = *at == '-' ? -1 : 1;
    at += *at == '-';
    do {
        char *end;
        double x = strtod(at, &end);
        size_t u = 0;
        while (end > at && u < COUNT_OF(units) &&
               (strncmp(end, units[u].name, strlen(units[u].name)) != 0 || (u == 2 && end[1] == 's')))
            u++;
        if (end > at && *end == 0)
            return sign * (sum + x);
        if (end == at || u == COUNT_OF(units)) {
            fields_wrong(f, name, "%s must be seconds or a duration such as \"5m\"", name);
            return NAN;
        }
        sum += x * units[u].seconds;
        at = end + strlen(units[u].name);
    } while (*at);
    return sign * sum;
}

static void read_format(ask *a, fields *f)
{
    json_t *format = fields_get(f, "format");
    if (json_is_object(format))
        ask_hold_json(a, f, "format", format);
    else if (json_is_string(format) && strcmp(json_string_value(format), "json") == 0)
        ask_hold(a, f, "format", IRORI_GRAMMAR_JSON_SCHEMA, "{\"type\":\"object\"}");
    else if (format && !(json_is_string(format) && json_string_length(format) == 0))
        fields_wrong(f, "format", "format must be \"json\" or a JSON Schema");
}

// "think": true, false, or a level: given to the template.
static void read_think(ask *a, fields *f)
{
    json_t *think = fields_get(f, "think");
    if (!think)
        return;
    if (!json_is_boolean(think) && !json_is_string(think)) {
        fields_wrong(f, "think", "think must be true, false or a level");
        return;
    }
    if (!a->variables)
        a->variables = json_object();
    json_object_set_new(a->variables, "enable_thinking", json_boolean(!json_is_false(think)));
    if (json_is_string(think))
        json_object_set(a->variables, "reasoning_effort", think);
}

static void read_common(ask *a, fields *f)
{
    fields options = fields_of(fields_object(f, "options"));
    ask_read_sampling(a, &options);
    ask_read_stop(a, &options, "stop");
    a->max_tokens = fields_int(&options, "num_predict", -1, -2, INT32_MAX);
    if (a->max_tokens < 0)
        a->max_tokens = -1;
    fields_join(f, "options", &options);
    const char *model = fields_text(f, "model", NULL);
    if (!model || !*model)
        fields_wrong(f, "model", "model is required");
    else if (!a->model && !(a->model = mem_strndup(MEM_OTHER, model, strlen(model))))
        fields_wrong(f, "model", "out of memory");
    a->stream = fields_bool(f, "stream", true);
    a->keep_alive = read_duration(f, "keep_alive");
    a->logprobs = fields_bool(f, "logprobs", false);
    a->top_logprobs = (int)fields_int(f, "top_logprobs", 0, 0, 20);
    a->cut = fields_bool(f, "truncate", false);
    read_format(a, f);
    if (json_array_size(fields_get(f, "images")))
        fields_wrong(f, "images", "the models here read text, not images");
}

// Nothing to answer: the model is opened, or closed with keep_alive 0.
static void only_load(incoming *c, ask *a)
{
    err e = {0};
    bool unload = a->keep_alive == 0;
    int rc = unload ? models_unload(c->s->models, a->model, &e)
                    : models_use(c->s->models, a->model, a->keep_alive, &a->m, &a->load_seconds, &e);
    if (rc) {
        answer_status(c, &e);
        ask_free(a);
        return;
    }
    json_writer w;
    line_begin(a, &w);
    if (is_chat(a)) {
        json_key(&w, "message");
        json_obj(&w);
        put_str(&w, "role", "assistant");
        put_str(&w, "content", "");
        json_end(&w);
    } else {
        put_str(&w, "response", "");
    }
    put_bool(&w, "done", true);
    put_str(&w, "done_reason", unload ? "unload" : "load");
    json_end(&w);
    answer_json(a->r, 200, &a->out);
    ask_free(a);
}

void route_ollama_chat(incoming *c)
{
    ask *a = ask_new(c, &ollama_format, "");
    fields f = fields_of(c->body);
    if (!a)
        return;
    read_common(a, &f);
    if (!f.wrong && json_array_size(fields_get(&f, "messages")) == 0) {
        only_load(c, a);
        return;
    }
    ask_read_messages(a, &f, "messages");
    ask_read_tools(a, &f);
    read_think(a, &f);
    ask_start_read(a, c, &f);
}

void route_ollama_generate(incoming *c)
{
    ask *a = ask_new(c, &ollama_format, "");
    fields f = fields_of(c->body);
    if (!a)
        return;
    read_common(a, &f);
    const char *prompt = fields_text(&f, "prompt", ""), *system = fields_text(&f, "system", NULL);
    if (fields_get(&f, "suffix"))
        fields_wrong(&f, "suffix", "suffix is not supported here; POST /infill fills in between two texts");
    if (fields_get(&f, "template") || json_array_size(fields_get(&f, "context")))
        fields_wrong(&f, "template", "template and context are not supported: use /api/chat, or raw");
    if (!f.wrong && !*prompt) {
        only_load(c, a);
        return;
    }
    if (fields_bool(&f, "raw", false)) {
        a->prompt = json_object_get(c->body, "prompt");
        a->raw_special = true;
    } else {
        a->messages = json_array();
        if (system)
            json_array_append_new(a->messages, json_pack("{s:s,s:s}", "role", "system", "content", system));
        json_array_append_new(a->messages, json_pack("{s:s,s:s}", "role", "user", "content", prompt));
        read_think(a, &f);
    }
    ask_start_read(a, c, &f);
}

// ---- Lists ----

// The parts of a description that lists show.
static void put_details(json_writer *w, const json_t *file)
{
    char size[32];
    const json_t *architecture = json_object_get(file, "architecture");
    double n = (double)json_integer_value(json_object_get(file, "parameters"));
    snprintf(size, sizeof size, n >= 1e9 ? "%.1fB" : "%.1fM", n >= 1e9 ? n / 1e9 : n / 1e6);
    json_key(w, "details");
    json_obj(w);
    put_str(w, "parent_model", "");
    put_str(w, "format", "gguf");
    put_str(w, "family", json_is_string(architecture) ? json_string_value(architecture) : "");
    json_key(w, "families");
    json_arr(w);
    json_str(w, json_is_string(architecture) ? json_string_value(architecture) : "");
    json_end(w);
    put_str(w, "parameter_size", size);
    const char *q = json_string_value(json_object_get(file, "quantization"));
    put_str(w, "quantization_level", q ? q : "");
    json_end(w);
}

static void put_listed(server *s, json_writer *w, const models_item *m, bool running)
{
    char when[40], name[300];
    json_t *file = NULL;
    models_describe(s->models, m->name, &file, NULL);
    const char *hash = json_string_value(json_object_get(file, "hash"));
    snprintf(name, sizeof name, "%s%s", m->name, strrchr(m->name, ':') ? "" : ":latest");
    json_obj(w);
    put_str(w, "name", name);
    put_str(w, "model", name);
    time_text(when, m->file_time, 0);
    put_str(w, "modified_at", when);
    put_int(w, "size", (int64_t)(running ? m->bytes : m->file_bytes));
    put_str(w, "digest", m->digest[0] ? m->digest : hash ? hash : "");
    put_details(w, file);
    if (running) {
        double left = m->seconds_left < 0 ? 3.2e9 : m->seconds_left;  // for ever: about a century
        time_text(when, (int64_t)time(NULL) + (int64_t)left, 0);
        put_str(w, "expires_at", when);
        put_int(w, "size_vram", 0);
    }
    json_end(w);
    json_decref(file);
}

static void list(incoming *c, bool running)
{
    models_item *items;
    size_t n;
    err e;
    json_writer w;
    buf b;
    if (models_list(c->s->models, &items, &n, &e)) {
        answer_status(c, &e);
        return;
    }
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    json_key(&w, "models");
    json_arr(&w);
    for (size_t i = 0; i < n; i++)
        if (!running || items[i].is_open)
            put_listed(c->s, &w, &items[i], running);
    json_end(&w);
    json_end(&w);
    models_list_free(items, n);
    answer_json(c->r, 200, &b);
}

void route_ollama_tags(incoming *c)
{
    list(c, false);
}

void route_ollama_ps(incoming *c)
{
    list(c, true);
}

// What the store adds to a model: system message and parameters, these as Ollama's lines of a name and a value.
static void put_stored(json_writer *w, const char *text)
{
    store s;
    store_name name;
    store_manifest m = {0};
    buf lines;
    buf_init(&lines);
    if (!store_open(&s, NULL, NULL) && !store_name_parse(text, strlen(text), &name, NULL))
        (void)store_find(&s, &name, &m, NULL);
    json_t *all = m.parameters ? json_loads(m.parameters, 0, NULL) : NULL, *v, *one;
    const char *key;
    json_object_foreach(all, key, v)
    {
        for (size_t i = 0; i < (json_is_array(v) ? json_array_size(v) : 1); i++) {
            one = json_is_array(v) ? json_array_get(v, i) : v;
            char *value = json_dumps(one, JSON_ENCODE_ANY | JSON_REAL_PRECISION(7));
            buf_printf(&lines, "%s%s %s", lines.len ? "\n" : "", key, value ? value : "");
            free(value);
        }
    }
    put_buf(w, "parameters", &lines);
    if (m.system)
        put_str(w, "system", m.system);
    json_decref(all);
    buf_done(&lines);
    store_manifest_done(&m);
}

void route_ollama_show(incoming *c)
{
    fields f = fields_of(c->body);
    json_t *file;
    err e;
    const char *name = fields_text(&f, "model", fields_text(&f, "name", NULL));
    if (!name || f.wrong) {
        answer_error(c->r, c->family, 400, NULL, "model", "model is required");
        return;
    }
    if (models_describe(c->s->models, name, &file, &e)) {
        answer_status(c, &e);
        return;
    }
    json_t *metadata = json_object_get(file, "metadata");
    const char *chat = json_string_value(json_object_get(metadata, "tokenizer.chat_template"));
    const char *license = json_string_value(json_object_get(file, "license"));
    json_writer w;
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "license", license ? license : "");
    put_str(&w, "modelfile", "");
    put_stored(&w, name);
    put_str(&w, "template", chat ? chat : "");
    put_details(&w, file);
    json_key(&w, "model_info");
    char *text = json_dumps(metadata, JSON_COMPACT);
    json_raw(&w, text ? text : "{}", text ? strlen(text) : 2);
    free(text);
    json_key(&w, "capabilities");
    json_arr(&w);
    json_str(&w, "completion");
    if (chat)
        json_str(&w, "tools");
    if (chat && strstr(chat, "<think>"))
        json_str(&w, "thinking");
    json_end(&w);
    json_end(&w);
    json_decref(file);
    answer_json(c->r, 200, &b);
}

void route_ollama_version(incoming *c)
{
    static const char text[] = "{\"version\":\"" IRORI_VERSION "\"}";
    http_answer(c->r, 200, "application/json", text, sizeof text - 1);
}

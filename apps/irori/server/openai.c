// OpenAI's chat completions and completions.
#include <string.h>

#include "server/sessions.h"
#include "server/sse.h"

static const char *finish_name(ask_finish f)
{
    static const char *const names[] = {"stop", "length", "tool_calls", "stop"};
    return names[f];
}

static void put_usage(const ask *a, json_writer *w)
{
    size_t prompt, completion, cached, reasoning = 0;
    ask_usage(a, &prompt, &completion, &cached);
    for (int i = 0; i < a->choices; i++)
        reasoning += a->choice[i].n_reasoning;
    json_key(w, "usage");
    json_obj(w);
    put_int(w, "prompt_tokens", (int64_t)prompt);
    put_int(w, "completion_tokens", (int64_t)completion);
    put_int(w, "total_tokens", (int64_t)(prompt + completion));
    json_key(w, "prompt_tokens_details");
    json_obj(w);
    put_int(w, "cached_tokens", (int64_t)cached);
    json_end(w);
    json_key(w, "completion_tokens_details");
    json_obj(w);
    put_int(w, "reasoning_tokens", (int64_t)reasoning);
    json_end(w);
    json_end(w);
}

static void put_head(const ask *a, json_writer *w, const char *object)
{
    put_str(w, "id", a->id);
    put_str(w, "object", object);
    put_int(w, "created", a->created);
    put_str(w, "model", ask_model_name(a));
    put_str(w, "system_fingerprint", "irori-" IRORI_VERSION);
}

// ---- Chat, streamed ----

static void chunk_begin(ask *a, json_writer *w, int index)
{
    sse_begin(a, NULL, w);
    put_head(a, w, "chat.completion.chunk");
    json_key(w, "choices");
    json_arr(w);
    json_obj(w);
    put_int(w, "index", index);
    json_key(w, "delta");
    json_obj(w);
}

// Ends a choice; finish NULL: not yet. Log-probabilities told are taken out.
static void put_ending(json_writer *w, ask_choice *c, bool logprobs, const char *finish)
{
    json_key(w, "logprobs");
    if (logprobs) {
        json_obj(w);
        put_entries(w, "content", &c->logprobs);
        json_end(w);
        buf_clear(&c->logprobs);
    } else {
        json_none(w);
    }
    if (finish)
        put_str(w, "finish_reason", finish);
    else
        put_none(w, "finish_reason");
    json_end(w);
}

// Ends the delta; finish NULL: not yet.
static void chunk_end(ask *a, ask_choice *c, json_writer *w, const char *finish)
{
    json_end(w);
    put_ending(w, c, a->logprobs && c->logprobs.len, finish);
    json_end(w);
    if (a->include_usage)
        put_none(w, "usage");
    sse_send(a, w);
}

static void chat_begin(ask *a)
{
    json_writer w;
    http_begin(a->r, 200, "text/event-stream");
    for (int i = 0; i < a->choices; i++) {
        chunk_begin(a, &w, i);
        put_str(&w, "role", "assistant");
        put_str(&w, "content", "");
        chunk_end(a, &a->choice[i], &w, NULL);
    }
}

static void put_call_delta(ask_choice *c, json_writer *w, calls_part part, const char *p, size_t n)
{
    const ask_call *call = &c->calls[c->n_calls - 1];
    json_key(w, "tool_calls");
    json_arr(w);
    json_obj(w);
    put_int(w, "index", c->n_calls - 1);
    if (part == CALLS_NAME) {
        put_str(w, "id", call->id);
        put_str(w, "type", "function");
    }
    json_key(w, "function");
    json_obj(w);
    if (part == CALLS_NAME)
        put_buf(w, "name", &call->name);
    json_key(w, "arguments");
    json_strn(w, part == CALLS_NAME ? "" : p, part == CALLS_NAME ? 0 : n);
    json_end(w);
    json_end(w);
    json_end(w);
}

static void chat_part(ask *a, ask_choice *c, calls_part part, const char *p, size_t n)
{
    json_writer w;
    if (part == CALLS_END || (part >= CALLS_NAME && !c->n_calls))
        return;
    chunk_begin(a, &w, c->index);
    if (part == CALLS_TEXT || part == CALLS_REASONING) {
        json_key(&w, part == CALLS_TEXT ? "content" : "reasoning_content");
        json_strn(&w, p, n);
    } else {
        put_call_delta(c, &w, part, p, n);
    }
    chunk_end(a, c, &w, NULL);
}

static void chat_end(ask *a, ask_choice *c)
{
    json_writer w;
    chunk_begin(a, &w, c->index);
    chunk_end(a, c, &w, finish_name(c->finish));
}

static void end_stream(ask *a)
{
    static const char done[] = "data: [DONE]\n\n";
    http_write(a->r, done, sizeof done - 1);
    http_end(a->r);
}

static void usage_chunk(ask *a, const char *object)
{
    json_writer w;
    sse_begin(a, NULL, &w);
    put_head(a, &w, object);
    json_key(&w, "choices");
    json_arr(&w);
    json_end(&w);
    put_usage(a, &w);
    ask_timings(a, &w);
    sse_send(a, &w);
}

static void fail_stream(ask *a, int status, const char *message)
{
    buf_clear(&a->out);
    buf_add_str(&a->out, "data: ");
    error_text(&a->out, a->family, status, NULL, NULL, message);
    buf_add_str(&a->out, "\n\n");
    if (!a->out.failed)
        http_write(a->r, a->out.data, a->out.len);
    http_end(a->r);
}

// ---- Chat, whole ----

static void put_message(ask_choice *c, json_writer *w)
{
    json_key(w, "message");
    json_obj(w);
    put_str(w, "role", "assistant");
    if (c->text.len || !c->n_calls)
        put_buf(w, "content", &c->text);
    else
        put_none(w, "content");
    put_none(w, "refusal");
    if (c->reasoning.len)
        put_buf(w, "reasoning_content", &c->reasoning);
    if (c->n_calls) {
        json_key(w, "tool_calls");
        json_arr(w);
        for (int i = 0; i < c->n_calls; i++) {
            json_obj(w);
            put_str(w, "id", c->calls[i].id);
            put_str(w, "type", "function");
            json_key(w, "function");
            json_obj(w);
            put_buf(w, "name", &c->calls[i].name);
            put_buf(w, "arguments", &c->calls[i].args);
            json_end(w);
            json_end(w);
        }
        json_end(w);
    }
    json_end(w);
}

static void whole_chat(ask *a)
{
    json_writer w;
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_head(a, &w, "chat.completion");
    json_key(&w, "choices");
    json_arr(&w);
    for (int i = 0; i < a->choices; i++) {
        ask_choice *c = &a->choice[i];
        json_obj(&w);
        put_int(&w, "index", i);
        put_message(c, &w);
        put_ending(&w, c, a->logprobs, finish_name(c->finish));
    }
    json_end(&w);
    put_usage(a, &w);
    ask_timings(a, &w);
    json_end(&w);
    answer_json(a->r, 200, &b);
}

static void chat_done(ask *a)
{
    if (!a->stream) {
        whole_chat(a);
        return;
    }
    if (a->include_usage)
        usage_chunk(a, "chat.completion.chunk");
    end_stream(a);
}

static const ask_format chat_format = {
    .begin = chat_begin, .part = chat_part, .end = chat_end, .done = chat_done, .fail = fail_stream};

// ---- Reading ----

static void read_common(ask *a, fields *f)
{
    ask_read_sampling(a, f);
    ask_read_stop(a, f, "stop");
    a->choices = (int)fields_int(f, "n", 1, 1, 64);
    a->stream = fields_bool(f, "stream", false);
    fields options = fields_of(fields_object(f, "stream_options"));
    a->include_usage = fields_bool(&options, "include_usage", false);
    fields_join(f, "stream_options", &options);
    int64_t most = fields_int(f, "max_tokens", -1, 0, INT32_MAX);
    a->max_tokens = fields_int(f, "max_completion_tokens", most, 0, INT32_MAX);
}

void route_chat(incoming *c)
{
    ask *a = ask_new(c, &chat_format, "chatcmpl-");
    fields f = fields_of(c->body);
    if (!a)
        return;
    read_common(a, &f);
    ask_read_messages(a, &f, "messages");
    ask_read_tools(a, &f);
    sessions_continue(a, &f);
    ask_read_response_format(a, &f, "response_format");
    ask_read_grammar(a, &f);
    a->logprobs = fields_bool(&f, "logprobs", false);
    a->top_logprobs = (int)fields_int(&f, "top_logprobs", 0, 0, 20);
    if (a->top_logprobs && !a->logprobs)
        fields_wrong(&f, "top_logprobs", "top_logprobs needs logprobs: true");
    const char *format = fields_text(&f, "reasoning_format", "auto");
    a->split_reasoning = strcmp(format, "none") != 0;
    ask_start_read(a, c, &f);
}

// ---- Completions ----

static void put_text_choice(ask *a, ask_choice *c, json_writer *w, const char *p, size_t n,
                            const char *finish)
{
    json_obj(w);
    put_int(w, "index", c->index);
    json_key(w, "text");
    json_strn(w, p, n);
    put_ending(w, c, a->logprobs, finish);
}

static void text_chunk(ask *a, ask_choice *c, const char *p, size_t n, const char *finish)
{
    json_writer w;
    sse_begin(a, NULL, &w);
    put_head(a, &w, "text_completion");
    json_key(&w, "choices");
    json_arr(&w);
    put_text_choice(a, c, &w, p, n, finish);
    json_end(&w);
    if (a->include_usage)
        put_none(&w, "usage");
    sse_send(a, &w);
}

static bool echoes(const ask *a)
{
    return json_is_true(json_object_get(a->body, "echo"));
}

static void text_begin(ask *a)
{
    http_begin(a->r, 200, "text/event-stream");
    for (int i = 0; echoes(a) && i < a->choices; i++)
        text_chunk(a, &a->choice[i], json_string_value(a->prompt), json_string_length(a->prompt), NULL);
}

static void text_part(ask *a, ask_choice *c, calls_part part, const char *p, size_t n)
{
    (void)part;
    text_chunk(a, c, p, n, NULL);
}

static void text_end(ask *a, ask_choice *c)
{
    text_chunk(a, c, "", 0, finish_name(c->finish));
}

static void text_done(ask *a)
{
    if (a->stream) {
        if (a->include_usage)
            usage_chunk(a, "text_completion");
        end_stream(a);
        return;
    }
    json_writer w;
    buf b, text;
    buf_init(&b);
    buf_init(&text);
    json_begin(&w, &b);
    json_obj(&w);
    put_head(a, &w, "text_completion");
    json_key(&w, "choices");
    json_arr(&w);
    for (int i = 0; i < a->choices; i++) {
        ask_choice *c = &a->choice[i];
        buf_clear(&text);
        if (echoes(a))
            buf_add(&text, json_string_value(a->prompt), json_string_length(a->prompt));
        buf_add(&text, c->text.data ? c->text.data : "", c->text.len);
        put_text_choice(a, c, &w, text.data ? text.data : "", text.len, finish_name(c->finish));
    }
    json_end(&w);
    put_usage(a, &w);
    ask_timings(a, &w);
    json_end(&w);
    b.failed = b.failed || text.failed;
    buf_done(&text);
    answer_json(a->r, 200, &b);
}

static const ask_format text_format = {
    .begin = text_begin, .part = text_part, .end = text_end, .done = text_done, .fail = fail_stream};

void route_completions(incoming *c)
{
    ask *a = ask_new(c, &text_format, "cmpl-");
    fields f = fields_of(c->body);
    if (!a)
        return;
    read_common(a, &f);
    if (!fields_get(&f, "max_tokens"))
        a->max_tokens = 16;  // the API's own default
    json_t *prompt = fields_get(&f, "prompt");
    if (json_is_array(prompt) && json_array_size(prompt) == 1 && !json_is_integer(json_array_get(prompt, 0)))
        prompt = json_array_get(prompt, 0);
    bool ids = json_is_array(prompt) && json_is_integer(json_array_get(prompt, 0));
    if (!json_is_string(prompt) && !ids)
        fields_wrong(&f, "prompt", "prompt must be one string or one array of token ids");
    a->prompt = prompt;
    int64_t top = fields_int(&f, "logprobs", -1, 0, 20);
    a->logprobs = top >= 0;
    a->top_logprobs = (int)MAX(top, 0);
    if (fields_bool(&f, "echo", false) && (ids || a->logprobs))
        fields_wrong(&f, "echo", "echo goes with a prompt of text and without logprobs only");
    if (fields_get(&f, "suffix"))
        fields_wrong(&f, "suffix", "suffix is not supported here; POST /infill fills in between two texts");
    if (fields_int(&f, "best_of", a->choices, 1, 64) != a->choices)
        fields_wrong(&f, "best_of", "best_of must equal n");
    ask_start_read(a, c, &f);
}

// Anthropic's Messages API.
#include <string.h>

#include "server/sse.h"

// What a stream has open: content blocks come one after another.
typedef struct blocks {
    int index;  // of the open one, or of the next
    int open;   // 0 none, 1 text, 2 thinking, 3 tool_use
} blocks;

static const char *stop_reason(const ask_choice *c)
{
    if (c->finish == ASK_CALLS)
        return "tool_use";
    if (c->finish == ASK_LENGTH)
        return "max_tokens";
    return c->stop >= 0 ? "stop_sequence" : "end_turn";
}

static void put_stop(const ask *a, const ask_choice *c, json_writer *w)
{
    put_str(w, "stop_reason", stop_reason(c));
    if (c->stop >= 0)
        put_str(w, "stop_sequence", a->stop[c->stop]);
    else
        put_none(w, "stop_sequence");
}

static void put_usage(const ask *a, json_writer *w, bool output)
{
    size_t prompt, completion, cached;
    ask_usage(a, &prompt, &completion, &cached);
    json_key(w, "usage");
    json_obj(w);
    put_int(w, "input_tokens", (int64_t)(prompt - cached));
    put_int(w, "cache_creation_input_tokens", 0);
    put_int(w, "cache_read_input_tokens", (int64_t)cached);
    put_int(w, "output_tokens", output ? (int64_t)completion : 0);
    json_end(w);
}

static void put_head(const ask *a, json_writer *w)
{
    put_str(w, "id", a->id);
    put_str(w, "type", "message");
    put_str(w, "role", "assistant");
    put_str(w, "model", ask_model_name(a));
}

// ---- Streamed ----

static void event_begin(ask *a, json_writer *w, const char *type)
{
    sse_begin(a, type, w);
    put_str(w, "type", type);
}

static void messages_begin(ask *a)
{
    json_writer w;
    http_begin(a->r, 200, "text/event-stream");
    event_begin(a, &w, "message_start");
    json_key(&w, "message");
    json_obj(&w);
    put_head(a, &w);
    json_key(&w, "content");
    json_arr(&w);
    json_end(&w);
    put_none(&w, "stop_reason");
    put_none(&w, "stop_sequence");
    put_usage(a, &w, false);
    json_end(&w);
    sse_send(a, &w);
    event_begin(a, &w, "ping");
    sse_send(a, &w);
}

static void close_block(ask *a)
{
    blocks *b = a->own;
    json_writer w;
    if (!b->open)
        return;
    event_begin(a, &w, "content_block_stop");
    put_int(&w, "index", b->index++);
    sse_send(a, &w);
    b->open = 0;
}

static void open_block(ask *a, ask_choice *c, int kind)
{
    blocks *b = a->own;
    json_writer w;
    if (b->open == kind && kind != 3)
        return;
    close_block(a);
    b->open = kind;
    event_begin(a, &w, "content_block_start");
    put_int(&w, "index", b->index);
    json_key(&w, "content_block");
    json_obj(&w);
    if (kind == 3) {
        const ask_call *call = &c->calls[c->n_calls - 1];
        put_str(&w, "type", "tool_use");
        put_str(&w, "id", call->id);
        put_buf(&w, "name", &call->name);
        json_key(&w, "input");
        json_obj(&w);
        json_end(&w);
    } else {
        put_str(&w, "type", kind == 1 ? "text" : "thinking");
        put_str(&w, kind == 1 ? "text" : "thinking", "");
    }
    json_end(&w);
    sse_send(a, &w);
}

static void messages_part(ask *a, ask_choice *c, calls_part part, const char *p, size_t n)
{
    static const char *const types[] = {"text_delta", "thinking_delta", NULL, "input_json_delta"};
    static const char *const keys[] = {"text", "thinking", NULL, "partial_json"};
    blocks *b = a->own;
    json_writer w;
    if (part >= CALLS_NAME && !c->n_calls)
        return;
    if (part == CALLS_END) {
        close_block(a);
        return;
    }
    if (part == CALLS_NAME) {
        open_block(a, c, 3);
        return;
    }
    if (part != CALLS_ARGS)
        open_block(a, c, part == CALLS_TEXT ? 1 : 2);
    event_begin(a, &w, "content_block_delta");
    put_int(&w, "index", b->index);
    json_key(&w, "delta");
    json_obj(&w);
    put_str(&w, "type", types[part]);
    json_key(&w, keys[part]);
    json_strn(&w, p, n);
    json_end(&w);
    sse_send(a, &w);
}

static void messages_end(ask *a, ask_choice *c)
{
    (void)c;
    close_block(a);
}

// ---- Whole ----

static void put_block(json_writer *w, const char *type, const buf *text)
{
    json_obj(w);
    put_str(w, "type", type);
    put_buf(w, type, text);
    if (strcmp(type, "thinking") == 0)
        put_str(w, "signature", "");
    json_end(w);
}

static void put_content(const ask_choice *c, json_writer *w)
{
    json_key(w, "content");
    json_arr(w);
    if (c->reasoning.len)
        put_block(w, "thinking", &c->reasoning);
    if (c->text.len)
        put_block(w, "text", &c->text);
    for (int i = 0; i < c->n_calls; i++) {
        const ask_call *call = &c->calls[i];
        json_t *args = json_loadb(call->args.data, call->args.len, 0, NULL);
        json_obj(w);
        put_str(w, "type", "tool_use");
        put_str(w, "id", call->id);
        put_buf(w, "name", &call->name);
        json_key(w, "input");
        json_raw(w, json_is_object(args) ? call->args.data : "{}", json_is_object(args) ? call->args.len : 2);
        json_end(w);
        json_decref(args);
    }
    json_end(w);
}

static void messages_done(ask *a)
{
    ask_choice *c = &a->choice[0];
    json_writer w;
    if (a->stream) {
        event_begin(a, &w, "message_delta");
        json_key(&w, "delta");
        json_obj(&w);
        put_stop(a, c, &w);
        json_end(&w);
        put_usage(a, &w, true);
        sse_send(a, &w);
        event_begin(a, &w, "message_stop");
        sse_send(a, &w);
        http_end(a->r);
        return;
    }
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_head(a, &w);
    put_content(c, &w);
    put_stop(a, c, &w);
    put_usage(a, &w, true);
    json_end(&w);
    answer_json(a->r, 200, &b);
}

static void messages_fail(ask *a, int status, const char *message)
{
    buf_clear(&a->out);
    buf_add_str(&a->out, "event: error\ndata: ");
    error_text(&a->out, a->family, status, NULL, NULL, message);
    buf_add_str(&a->out, "\n\n");
    if (!a->out.failed)
        http_write(a->r, a->out.data, a->out.len);
    http_end(a->r);
}

static const ask_format messages_format = {.begin = messages_begin,
                                           .part = messages_part,
                                           .end = messages_end,
                                           .done = messages_done,
                                           .fail = messages_fail};

// ---- Reading: their messages as OpenAI's ----

// Text of a string or of text blocks; NULL after noting what is wrong.
static json_t *block_text(json_t *content, fields *f, const char *where)
{
    size_t i;
    json_t *block;
    buf b;
    if (json_is_string(content))
        return json_incref(content);
    buf_init(&b);
    json_array_foreach(content, i, block)
    {
        json_t *text = json_object_get(block, "text");
        if (json_is_string(text))
            buf_add(&b, json_string_value(text), json_string_length(text));
        else
            fields_wrong(f, where, "%s[%zu] must be a text block", where, i);
    }
    if (content && !json_is_array(content) && !json_is_null(content))
        fields_wrong(f, where, "%s must be a string or an array of blocks", where);
    json_t *all = f->wrong ? NULL : json_stringn(b.len ? b.data : "", b.len);
    buf_done(&b);
    return all;
}

static void add_message(json_t *out, const char *role, json_t *content)
{
    json_array_append_new(out, json_pack("{s:s, s:o}", "role", role, "content", content));
}

// An assistant's or a user's blocks: texts become one message, tool results one each before it.
static void add_blocks(json_t *out, const char *role, json_t *content, fields *f)
{
    json_t *calls = json_array(), *block;
    size_t i;
    buf text;
    buf_init(&text);
    json_array_foreach(content, i, block)
    {
        const char *type = json_string_value(json_object_get(block, "type"));
        json_t *t = json_object_get(block, "text");
        if (type && strcmp(type, "text") == 0 && json_is_string(t)) {
            buf_add(&text, json_string_value(t), json_string_length(t));
        } else if (type && strcmp(type, "tool_use") == 0 && json_is_string(json_object_get(block, "name"))) {
            json_t *input = json_object_get(block, "input");
            json_array_append_new(calls,
                                  json_pack("{s:O*, s:s, s:{s:O, s:O*}}", "id", json_object_get(block, "id"),
                                            "type", "function", "function", "name",
                                            json_object_get(block, "name"), "arguments", input));
        } else if (type && strcmp(type, "tool_result") == 0) {
            json_t *result = block_text(json_object_get(block, "content"), f, "content");
            if (result) {
                json_array_append_new(out,
                                      json_pack("{s:s, s:O*, s:o}", "role", "tool", "tool_call_id",
                                                json_object_get(block, "tool_use_id"), "content", result));
            }
        } else if (!type || (strcmp(type, "thinking") != 0 && strcmp(type, "redacted_thinking") != 0)) {
            fields_wrong(f, "messages", "content block %zu of type \"%.40s\" is not supported", i,
                         type ? type : "");
        }
    }
    if (text.len || json_array_size(calls)) {
        add_message(out, role, json_stringn(text.len ? text.data : "", text.len));
        if (json_array_size(calls))
            json_object_set(json_array_get(out, json_array_size(out) - 1), "tool_calls", calls);
    }
    json_decref(calls);
    buf_done(&text);
}

static void read_messages(ask *a, fields *f)
{
    json_t *list = fields_array(f, "messages"), *message, *system = fields_get(f, "system");
    size_t i;
    if (json_array_size(list) == 0)
        fields_wrong(f, "messages", "messages must be an array with at least one message");
    a->messages = json_array();
    if (system) {
        json_t *text = block_text(system, f, "system");
        if (text)
            add_message(a->messages, "system", text);
    }
    json_array_foreach(list, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        json_t *content = json_object_get(message, "content");
        if (!role ||
            (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0 && strcmp(role, "system") != 0))
            fields_wrong(f, "messages", "messages[%zu].role must be user or assistant", i);
        else if (json_is_string(content))
            add_message(a->messages, role, json_incref(content));
        else if (json_is_array(content))
            add_blocks(a->messages, role, content, f);
        else
            fields_wrong(f, "messages", "messages[%zu].content must be a string or an array of blocks", i);
    }
    if (!f->wrong && json_array_size(a->messages) == 0)
        fields_wrong(f, "messages", "messages hold no text");
}

// Their tools and tool_choice as OpenAI's, read by the common reader.
static void read_tools(ask *a, fields *f)
{
    json_t *list = fields_array(f, "tools"), *choice = fields_object(f, "tool_choice"), *tool,
           *out = json_array();
    size_t i;
    json_array_foreach(list, i, tool) json_array_append_new(
        out, json_pack("{s:s, s:{s:O*, s:O*, s:O*}}", "type", "function", "function", "name",
                       json_object_get(tool, "name"), "description", json_object_get(tool, "description"),
                       "parameters", json_object_get(tool, "input_schema")));
    const char *type = json_string_value(json_object_get(choice, "type"));
    json_t *as_openai = json_object();
    if (json_array_size(out))
        json_object_set(as_openai, "tools", out);
    if (type && strcmp(type, "tool") == 0)
        json_object_set_new(as_openai, "tool_choice",
                            json_pack("{s:O*}", "name", json_object_get(choice, "name")));
    else if (type)
        json_object_set_new(as_openai, "tool_choice",
                            json_string(strcmp(type, "any") == 0 ? "required" : type));
    if (json_is_true(json_object_get(choice, "disable_parallel_tool_use")))
        json_object_set_new(as_openai, "parallel_tool_calls", json_false());
    fields part = fields_of(as_openai);
    if (!f->wrong)
        ask_read_tools(a, &part);
    if (part.wrong)
        fields_wrong(f, part.param, "%s", part.message);
    json_decref(out);
    json_decref(as_openai);
}

static void read_thinking(ask *a, fields *f)
{
    json_t *thinking = fields_object(f, "thinking");
    const char *type = json_string_value(json_object_get(thinking, "type"));
    if (type)
        a->variables = json_pack("{s:b}", "enable_thinking", strcmp(type, "disabled") != 0);
}

static void free_blocks(void *own)
{
    mem_free(own);
}

static ask *read_ask(incoming *c, fields *f)
{
    ask *a = ask_new(c, &messages_format, "msg_");
    *f = fields_of(c->body);
    if (!a)
        return NULL;
    a->own = mem_calloc(MEM_OTHER, 1, sizeof(blocks));
    a->own_free = free_blocks;
    if (!a->own)
        fields_wrong(f, "messages", "out of memory");
    ask_read_sampling(a, f);
    ask_read_stop(a, f, "stop_sequences");
    read_messages(a, f);
    read_tools(a, f);
    read_thinking(a, f);
    return a;
}

void route_messages(incoming *c)
{
    fields f;
    ask *a = read_ask(c, &f);
    if (!a)
        return;
    a->stream = fields_bool(&f, "stream", false);
    if (!fields_get(&f, "max_tokens"))
        fields_wrong(&f, "max_tokens", "max_tokens is required");
    a->max_tokens = fields_int(&f, "max_tokens", -1, 1, INT32_MAX);
    ask_start_read(a, c, &f);
}

void route_count_tokens(incoming *c)
{
    fields f;
    err e = {0};
    ask *a = read_ask(c, &f);
    if (!a)
        return;
    int rc = f.wrong ? ST_OK : ask_prepare(a, &e);
    if (f.wrong) {
        answer_field(c, &f);
    } else if (rc) {
        answer_status(c, &e);
    } else {
        answer_value(c->r, 200, json_pack("{s:I}", "input_tokens", (json_int_t)a->n_ids));
    }
    ask_free(a);
}

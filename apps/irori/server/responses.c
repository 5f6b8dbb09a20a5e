// OpenAI's Responses API, stateful: an answer is kept with the conversation that led to it, and another request may go
// on from it by its id.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/chat.h"
#include "server/sse.h"

// Of a stream: the output items as they come, in order; of every request: what is kept.
typedef struct output {
    int64_t sequence;
    int index;    // of the open item, or of the next
    int open;     // 0 none, 1 message, 2 reasoning, 3 call
    char id[40];  // of the open item
    size_t from;  // where the open item's text begins in the choice's
    bool keep;
    char *previous;
    buf done;  // finished items, as JSON, separated by commas
} output;

static void free_output(void *own)
{
    output *o = own;
    if (!o)
        return;
    mem_free(o->previous);
    buf_done(&o->done);
    mem_free(o);
}

// ---- Items ----

static void put_text_part(json_writer *w, const char *type, const char *p, size_t n)
{
    json_obj(w);
    put_str(w, "type", type);
    json_key(w, "text");
    json_strn(w, p, n);
    if (strcmp(type, "output_text") == 0) {
        json_key(w, "annotations");
        json_arr(w);
        json_end(w);
    }
    json_end(w);
}

// The open item, without its content (status in_progress) or whole.
static void put_item(const ask *a, const ask_choice *c, json_writer *w, bool whole)
{
    const output *o = a->own;
    const buf *text = o->open == 2 ? &c->reasoning : &c->text;
    const char *p = text->len > o->from ? text->data + o->from : "";
    size_t n = text->len > o->from ? text->len - o->from : 0;
    json_obj(w);
    put_str(w, "id", o->id);
    put_str(w, "type", o->open == 1 ? "message" : o->open == 2 ? "reasoning" : "function_call");
    put_str(w, "status", whole ? "completed" : "in_progress");
    if (o->open == 3) {
        const ask_call *call = &c->calls[c->n_calls - 1];
        put_str(w, "call_id", call->id);
        put_buf(w, "name", &call->name);
        json_key(w, "arguments");
        json_strn(w, whole && call->args.len ? call->args.data : "", whole ? call->args.len : 0);
    } else {
        if (o->open == 1)
            put_str(w, "role", "assistant");
        if (o->open == 2) {
            json_key(w, "summary");
            json_arr(w);
            json_end(w);
        }
        json_key(w, "content");
        json_arr(w);
        if (whole)
            put_text_part(w, o->open == 1 ? "output_text" : "reasoning_text", p, n);
        json_end(w);
    }
    json_end(w);
}

static void put_usage(const ask *a, json_writer *w)
{
    size_t prompt, completion, cached;
    ask_usage(a, &prompt, &completion, &cached);
    json_key(w, "usage");
    json_obj(w);
    put_int(w, "input_tokens", (int64_t)prompt);
    json_key(w, "input_tokens_details");
    json_obj(w);
    put_int(w, "cached_tokens", (int64_t)cached);
    json_end(w);
    put_int(w, "output_tokens", (int64_t)completion);
    json_key(w, "output_tokens_details");
    json_obj(w);
    put_int(w, "reasoning_tokens", (int64_t)a->choice[0].n_reasoning);
    json_end(w);
    put_int(w, "total_tokens", (int64_t)(prompt + completion));
    json_end(w);
}

// What the request gave, said back; its default where it did not.
static void put_given(const ask *a, json_writer *w, const char *name, const char *otherwise)
{
    json_t *v = json_object_get(a->body, name);
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_key(w, name);
    json_raw(w, text ? text : otherwise, strlen(text ? text : otherwise));
    free(text);
}

static void put_response(const ask *a, json_writer *w, const char *status)
{
    const output *o = a->own;
    bool over = strcmp(status, "in_progress") != 0;
    json_obj(w);
    put_str(w, "id", a->id);
    put_str(w, "object", "response");
    put_int(w, "created_at", a->created);
    put_str(w, "status", status);
    put_str(w, "model", ask_model_name(a));
    put_none(w, "error");
    json_key(w, "incomplete_details");
    if (strcmp(status, "incomplete") == 0) {
        json_obj(w);
        put_str(w, "reason", "max_output_tokens");
        json_end(w);
    } else {
        json_none(w);
    }
    put_entries(w, "output", &o->done);
    put_given(a, w, "previous_response_id", "null");
    put_given(a, w, "instructions", "null");
    put_given(a, w, "metadata", "{}");
    put_given(a, w, "tools", "[]");
    put_given(a, w, "tool_choice", "\"auto\"");
    put_given(a, w, "text", "{\"format\":{\"type\":\"text\"}}");
    put_given(a, w, "max_output_tokens", "null");
    put_given(a, w, "truncation", "\"disabled\"");
    put_bool(w, "parallel_tool_calls", a->parallel);
    put_bool(w, "store", o->keep);
    put_num(w, "temperature", (double)a->sampling.temperature);
    put_num(w, "top_p", a->sampling.top_p > 0 ? (double)a->sampling.top_p : 1);
    if (over)
        put_usage(a, w);
    else
        put_none(w, "usage");
    json_end(w);
}

static const char *final_status(const ask *a)
{
    return a->choice[0].finish == ASK_LENGTH ? "incomplete" : "completed";
}

// ---- Events; without a stream the same walk only gathers the items ----

static void event_begin(ask *a, json_writer *w, const char *type)
{
    output *o = a->own;
    sse_begin(a, type, w);
    put_str(w, "type", type);
    put_int(w, "sequence_number", o->sequence++);
}

static void item_event(ask *a, json_writer *w, const char *type)
{
    const output *o = a->own;
    event_begin(a, w, type);
    put_int(w, "output_index", o->index);
    if (strstr(type, "output_item") == NULL)
        put_str(w, "item_id", o->id);
    if (strstr(type, "output_text") || strstr(type, "content_part") || strstr(type, "reasoning_text"))
        put_int(w, "content_index", 0);
}

static void response_event(ask *a, const char *type, const char *status)
{
    json_writer w;
    event_begin(a, &w, type);
    json_key(&w, "response");
    put_response(a, &w, status);
    sse_send(a, &w);
}

static void response_begin(ask *a)
{
    http_begin(a->r, 200, "text/event-stream");
    response_event(a, "response.created", "in_progress");
    response_event(a, "response.in_progress", "in_progress");
}

static void part_event(ask *a, ask_choice *c, const char *type, bool whole)
{
    const output *o = a->own;
    const buf *text = o->open == 2 ? &c->reasoning : &c->text;
    json_writer w;
    item_event(a, &w, type);
    json_key(&w, "part");
    put_text_part(&w, o->open == 1 ? "output_text" : "reasoning_text",
                  whole && text->len > o->from ? text->data + o->from : "", whole ? text->len - o->from : 0);
    sse_send(a, &w);
}

// What says that the text or the arguments of the open item are whole.
static void whole_event(ask *a, ask_choice *c)
{
    static const char *const types[] = {"response.output_text.done", "response.reasoning_text.done",
                                        "response.function_call_arguments.done"};
    const output *o = a->own;
    json_writer w;
    item_event(a, &w, types[o->open - 1]);
    if (o->open == 3) {
        put_buf(&w, "name", &c->calls[c->n_calls - 1].name);
        put_buf(&w, "arguments", &c->calls[c->n_calls - 1].args);
    } else {
        const buf *text = o->open == 2 ? &c->reasoning : &c->text;
        json_key(&w, "text");
        json_strn(&w, text->len > o->from ? text->data + o->from : "", text->len - o->from);
        if (o->open == 1) {
            json_key(&w, "logprobs");
            json_arr(&w);
            json_end(&w);
        }
    }
    sse_send(a, &w);
}

static void close_item(ask *a, ask_choice *c)
{
    output *o = a->own;
    json_writer w;
    if (!o->open)
        return;
    if (a->stream && a->begun) {
        whole_event(a, c);
        if (o->open < 3)
            part_event(a, c, "response.content_part.done", true);
        item_event(a, &w, "response.output_item.done");
        json_key(&w, "item");
        put_item(a, c, &w, true);
        sse_send(a, &w);
    }
    if (o->done.len)
        buf_add_char(&o->done, ',');
    json_begin(&w, &o->done);
    put_item(a, c, &w, true);
    o->open = 0;
    o->index++;
}

static void open_item(ask *a, ask_choice *c, int kind, size_t from)
{
    static const char *const prefixes[] = {"msg_", "rs_", "fc_"};
    output *o = a->own;
    json_writer w;
    if (o->open == kind && kind != 3)
        return;
    close_item(a, c);
    o->open = kind;
    o->from = from;
    random_id(o->id, sizeof o->id, prefixes[kind - 1]);
    if (!a->stream || !a->begun)
        return;
    item_event(a, &w, "response.output_item.added");
    json_key(&w, "item");
    put_item(a, c, &w, false);
    sse_send(a, &w);
    if (kind < 3)
        part_event(a, c, "response.content_part.added", false);
}

static void response_part(ask *a, ask_choice *c, calls_part part, const char *p, size_t n)
{
    static const char *const types[] = {"response.output_text.delta", "response.reasoning_text.delta", NULL,
                                        "response.function_call_arguments.delta"};
    json_writer w;
    if (part >= CALLS_NAME && !c->n_calls)
        return;
    if (part == CALLS_TEXT || part == CALLS_REASONING)
        open_item(a, c, part == CALLS_TEXT ? 1 : 2, (part == CALLS_TEXT ? &c->text : &c->reasoning)->len - n);
    if (part == CALLS_NAME)
        open_item(a, c, 3, 0);
    if (part == CALLS_END)
        close_item(a, c);
    if (!types[MIN(part, CALLS_ARGS)] || part == CALLS_END)
        return;
    item_event(a, &w, types[part]);
    json_key(&w, "delta");
    json_strn(&w, p, n);
    if (part == CALLS_TEXT) {
        json_key(&w, "logprobs");
        json_arr(&w);
        json_end(&w);
    }
    sse_send(a, &w);
}

static void response_end(ask *a, ask_choice *c)
{
    close_item(a, c);
}

// The items of an answer that was not streamed, from what was gathered.
static void gather(ask *a, ask_choice *c)
{
    output *o = a->own;
    int n = c->n_calls;
    if (c->reasoning.len) {
        open_item(a, c, 2, 0);
        close_item(a, c);
    }
    if (c->text.len || !n) {
        open_item(a, c, 1, 0);
        close_item(a, c);
    }
    for (c->n_calls = 1; c->n_calls <= n; c->n_calls++) {  // put_item shows the last call
        open_item(a, c, 3, 0);
        close_item(a, c);
    }
    c->n_calls = n;
    o->open = 0;
}

// Keeps the response and the conversation with its answer. False when it could not be written.
static bool keep(ask *a, ask_choice *c, err *e)
{
    json_t *message = json_pack("{s:s, s:o}", "role", "assistant", "content",
                                json_stringn(c->text.len ? c->text.data : "", c->text.len));
    json_t *calls = json_array();
    for (int i = 0; i < c->n_calls; i++)
        json_array_append_new(calls,
                              json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", c->calls[i].id, "type", "function",
                                        "function", "name", c->calls[i].name.data, "arguments",
                                        c->calls[i].args.len ? c->calls[i].args.data : "{}"));
    if (c->n_calls)
        json_object_set(message, "tool_calls", calls);
    json_decref(calls);
    json_array_append_new(a->messages, message);
    char *messages = json_dumps(a->messages, JSON_COMPACT),
         *input = json_dumps(json_object_get(a->body, "input"), JSON_COMPACT | JSON_ENCODE_ANY);
    json_writer w;
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    json_key(&w, "response");
    put_response(a, &w, final_status(a));
    json_key(&w, "messages");
    json_raw(&w, messages ? messages : "[]", messages ? strlen(messages) : 2);
    json_key(&w, "input");
    json_raw(&w, input ? input : "[]", input ? strlen(input) : 2);
    json_end(&w);
    bool good = !b.failed && messages && !shelf_put(a->s->shelf, "response", a->id, b.data, b.len, e);
    free(messages);
    free(input);
    buf_done(&b);
    return good;
}

static void response_fail(ask *a, int status, const char *message)
{
    json_writer w;
    event_begin(a, &w, "error");
    put_str(&w, "code", status == 500 ? "server_error" : "unavailable");
    put_str(&w, "message", message);
    put_none(&w, "param");
    sse_send(a, &w);
    http_end(a->r);
}

static void response_done(ask *a)
{
    output *o = a->own;
    ask_choice *c = &a->choice[0];
    err e = {0};
    if (!a->stream)
        gather(a, c);
    bool kept = !o->keep || keep(a, c, &e);
    if (a->stream && !kept) {
        response_fail(a, 500, e.msg);
    } else if (a->stream) {
        response_event(
            a, strcmp(final_status(a), "completed") == 0 ? "response.completed" : "response.incomplete",
            final_status(a));
        http_end(a->r);
    } else if (!kept) {
        answer_error(a->r, a->family, 500, NULL, NULL, "%s", e.msg);
    } else {
        json_writer w;
        buf b;
        buf_init(&b);
        json_begin(&w, &b);
        put_response(a, &w, final_status(a));
        answer_json(a->r, 200, &b);
    }
}

static const ask_format response_format = {.begin = response_begin,
                                           .part = response_part,
                                           .end = response_end,
                                           .done = response_done,
                                           .fail = response_fail,
                                           .keeps = true};

// ---- Reading: items as messages ----

static void add_call(json_t *messages, json_t *item)
{
    json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    json_t *call = json_pack("{s:O*, s:s, s:{s:O*, s:O*}}", "id", json_object_get(item, "call_id"), "type",
                             "function", "function", "name", json_object_get(item, "name"), "arguments",
                             json_object_get(item, "arguments"));
    if (!role || strcmp(role, "assistant") != 0) {  // calls of one turn belong to one message
        last = json_pack("{s:s, s:s}", "role", "assistant", "content", "");
        json_array_append_new(messages, last);
    }
    if (!json_object_get(last, "tool_calls"))
        json_object_set_new(last, "tool_calls", json_array());
    json_array_append_new(json_object_get(last, "tool_calls"), call);
}

static void add_item(json_t *messages, json_t *item, size_t i, fields *f)
{
    const char *type = json_string_value(json_object_get(item, "type"));
    if (!json_is_object(item)) {
        fields_wrong(f, "input", "input[%zu] must be an object", i);
    } else if (!type || strcmp(type, "message") == 0) {
        json_t *copy = json_copy(item);
        json_object_del(copy, "type");
        json_array_append_new(messages, copy);
    } else if (strcmp(type, "function_call") == 0) {
        add_call(messages, item);
    } else if (strcmp(type, "function_call_output") == 0) {
        json_array_append_new(messages, json_pack("{s:s, s:O*, s:O*}", "role", "tool", "tool_call_id",
                                                  json_object_get(item, "call_id"), "content",
                                                  json_object_get(item, "output")));
    } else if (strcmp(type, "reasoning") != 0) {
        fields_wrong(f, "input", "input[%zu] of type \"%.40s\" is not supported", i, type);
    }
}

// The conversation: the instructions, what went before, the new input. Owned by the caller.
static json_t *read_input(ask *a, fields *f)
{
    output *o = a->own;
    json_t *messages = json_array(), *input = fields_get(f, "input"), *item, *kept = NULL;
    const char *instructions = fields_text(f, "instructions", NULL);
    size_t i;
    err e;
    if (instructions)
        json_array_append_new(messages, json_pack("{s:s,s:s}", "role", "system", "content", instructions));
    if (o->previous && shelf_get(a->s->shelf, "response", o->previous, &kept, &e))
        fields_wrong(f, "previous_response_id", "%s", e.msg);
    json_array_foreach(json_object_get(kept, "messages"), i, item)
    {
        const char *role = json_string_value(json_object_get(item, "role"));
        if (!(instructions && i == 0 && role &&
              strcmp(role, "system") == 0))  // new ones take the place of the old
            json_array_append(messages, item);
    }
    json_decref(kept);
    if (json_is_string(input))
        json_array_append_new(messages, json_pack("{s:s,s:O}", "role", "user", "content", input));
    else if (json_is_array(input))
        json_array_foreach(input, i, item) add_item(messages, item, i, f);
    else
        fields_wrong(f, "input", "input must be a string or an array of items");
    return messages;
}

// Flat function tools as chat's nested ones, read by the common reader.
static void read_tools(ask *a, fields *f)
{
    json_t *list = fields_array(f, "tools"), *tool, *nested = json_array(), *part_object = json_object();
    size_t i;
    json_array_foreach(list, i, tool)
    {
        const char *type = json_string_value(json_object_get(tool, "type"));
        if (!type || strcmp(type, "function") != 0)
            fields_wrong(f, "tools", "tools[%zu] of type \"%.40s\" is not supported, allowed function", i,
                         type ? type : "");
        else
            json_array_append_new(nested, json_pack("{s:s, s:O}", "type", "function", "function", tool));
    }
    if (json_array_size(nested))
        json_object_set(part_object, "tools", nested);
    if (fields_get(f, "tool_choice"))
        json_object_set(part_object, "tool_choice", fields_get(f, "tool_choice"));
    if (fields_get(f, "parallel_tool_calls"))
        json_object_set(part_object, "parallel_tool_calls", fields_get(f, "parallel_tool_calls"));
    fields part = fields_of(part_object);
    if (!f->wrong)
        ask_read_tools(a, &part);
    if (part.wrong)
        fields_wrong(f, part.param, "%s", part.message);
    json_decref(nested);
    json_decref(part_object);
}

static void read_text_format(ask *a, fields *f)
{
    fields text = fields_of(fields_object(f, "text"));
    if (fields_get(&text, "format"))
        ask_read_response_format(a, &text, "format");
    fields_join(f, "text", &text);
}

void route_responses(incoming *c)
{
    ask *a = ask_new(c, &response_format, "resp_");
    fields f = fields_of(c->body);
    output *o;
    if (!a)
        return;
    a->own = o = mem_calloc(MEM_OTHER, 1, sizeof *o);
    a->own_free = free_output;
    if (!o) {
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
        ask_free(a);
        return;
    }
    buf_init(&o->done);
    o->keep = fields_bool(&f, "store", true);
    const char *previous = fields_text(&f, "previous_response_id", NULL);
    o->previous = previous ? mem_strndup(MEM_OTHER, previous, strlen(previous)) : NULL;
    ask_read_sampling(a, &f);
    a->stream = fields_bool(&f, "stream", false);
    a->max_tokens = fields_int(&f, "max_output_tokens", -1, 1, INT32_MAX);
    if (fields_bool(&f, "background", false) || fields_get(&f, "conversation"))
        fields_wrong(&f, "background",
                     "background and conversation are not supported; use previous_response_id");
    json_t *whole = json_pack("{s:o}", "messages", read_input(a, &f));
    fields input = fields_of(whole);
    if (!f.wrong)
        ask_read_messages(a, &input, "messages");
    if (input.wrong)
        fields_wrong(&f, "input", "input: %.200s", input.message);
    json_decref(whole);
    read_tools(a, &f);
    read_text_format(a, &f);
    ask_start_read(a, c, &f);
}

// GET /v1/responses/ID and /v1/responses/ID/input_items
void route_response_get(incoming *c)
{
    char id[64];
    size_t n = strcspn(c->rest, "/");
    json_t *kept;
    err e;
    snprintf(id, sizeof id, "%.*s", (int)MIN(n, sizeof id - 1), c->rest);
    bool items = strcmp(c->rest + n, "/input_items") == 0;
    if (!items && c->rest[n]) {
        answer_error(c->r, c->family, 404, NULL, NULL, "there is no %.200s here", http_path(c->r));
        return;
    }
    if (shelf_get(c->s->shelf, "response", id, &kept, &e)) {
        answer_error(c->r, c->family, status_of(e.code), NULL, "response_id", "%s", e.msg);
        return;
    }
    json_t *input = json_object_get(kept, "input");
    if (!items)
        answer_value(c->r, 200, json_incref(json_object_get(kept, "response")));
    else if (json_is_array(input))
        answer_value(c->r, 200, json_pack("{s:s, s:O, s:b}", "object", "list", "data", input, "has_more", 0));
    else
        answer_value(c->r, 200,
                     json_pack("{s:s, s:[{s:s, s:s, s:O}], s:b}", "object", "list", "data", "type", "message",
                               "role", "user", "content", input, "has_more", 0));
    json_decref(kept);
}

void route_response_delete(incoming *c)
{
    err e;
    if (shelf_delete(c->s->shelf, "response", c->rest, &e))
        answer_error(c->r, c->family, status_of(e.code), NULL, "response_id", "%s", e.msg);
    else
        answer_value(c->r, 200,
                     json_pack("{s:s, s:s, s:b}", "id", c->rest, "object", "response.deleted", "deleted", 1));
}

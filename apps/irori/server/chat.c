// See chat.h.
#include "server/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One content part's text. False after noting what is wrong.
static bool add_part(buf *b, json_t *part, fields *f)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const char *keys[] = {"text", "refusal"};
    if (json_is_string(part)) {
        buf_add(b, json_string_value(part), json_string_length(part));
        return true;
    }
    for (size_t i = 0; type && i < COUNT_OF(keys); i++) {
        json_t *text = json_object_get(part, keys[i]);
        if ((strstr(type, "text") || strcmp(type, "refusal") == 0) && json_is_string(text)) {
            buf_add(b, json_string_value(text), json_string_length(text));
            return true;
        }
    }
    if (type && (strstr(type, "image") || strstr(type, "audio") || strstr(type, "file")))
        fields_wrong(f, "content", "content of type \"%s\" is not supported: the models here read text",
                     type);
    else
        fields_wrong(f, "content", "a part of content has no type known here and no text");
    return false;
}

// The content as one string; NULL after noting what is wrong.
static json_t *plain_content(json_t *content, fields *f)
{
    if (!content || json_is_null(content))
        return json_string("");
    if (json_is_string(content))
        return json_incref(content);
    if (!json_is_array(content)) {
        fields_wrong(f, "content", "content must be a string or an array of parts");
        return NULL;
    }
    buf b;
    buf_init(&b);
    size_t i;
    json_t *part, *whole = NULL;
    bool good = true;
    json_array_foreach(content, i, part) good = good && add_part(&b, part, f);
    if (good)
        whole = json_stringn(b.len ? b.data : "", b.len);
    buf_done(&b);
    return whole;
}

static bool good_calls(json_t *calls, fields *f)
{
    size_t i;
    json_t *call;
    if (calls && !json_is_array(calls) && !json_is_null(calls)) {
        fields_wrong(f, "tool_calls", "tool_calls must be an array");
        return false;
    }
    json_array_foreach(calls, i, call)
    {
        json_t *function = json_object_get(call, "function"), *args = json_object_get(function, "arguments");
        if (!json_is_string(json_object_get(function, "name")) ||
            (args && !json_is_string(args) && !json_is_object(args))) {
            fields_wrong(f, "tool_calls", "tool call %zu needs function.name and function.arguments", i);
            return false;
        }
    }
    return true;
}

static json_t *plain_message(json_t *message, fields *f)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    const char *role = json_string_value(json_object_get(message, "role"));
    bool known = false;
    for (size_t i = 0; role && i < COUNT_OF(roles); i++)
        known = known || strcmp(role, roles[i]) == 0;
    if (!known) {
        fields_wrong(f, "role", "role must be system, developer, user, assistant or tool");
        return NULL;
    }
    json_t *content = plain_content(json_object_get(message, "content"), f);
    if (!content || !good_calls(json_object_get(message, "tool_calls"), f)) {
        json_decref(content);
        return NULL;
    }
    json_t *plain = json_copy(message);
    json_object_set_new(plain, "content", content);
    if (strcmp(role, "developer") == 0)
        json_object_set_new(plain, "role", json_string("system"));
    if (strcmp(role, "function") == 0)
        json_object_set_new(plain, "role", json_string("tool"));
    if (json_array_size(json_object_get(message, "tool_calls")) == 0)
        json_object_del(plain, "tool_calls");
    return plain;
}

json_t *chat_messages(fields *f, const char *name)
{
    json_t *list = fields_array(f, name), *out, *message;
    if (json_array_size(list) == 0) {
        fields_wrong(f, name, "%s must be an array with at least one message", name);
        return NULL;
    }
    out = json_array();
    size_t i;
    json_array_foreach(list, i, message)
    {
        fields part = fields_of(message);
        json_t *plain = json_is_object(message) ? plain_message(message, &part) : NULL;
        if (!plain) {
            char where[64];
            snprintf(where, sizeof where, "%s[%zu]", name, i);
            if (part.wrong)
                fields_join(f, where, &part);
            else
                fields_wrong(f, where, "a message must be an object");
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, plain);
    }
    return out;
}

// ---- Tools, for templates that know nothing of them ----

static void add_json(buf *b, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text)
        buf_add_str(b, text);
    else
        b->failed = true;
    free(text);
}

// What a system message says of the tools.
static void tools_text(buf *b, const json_t *tools)
{
    size_t i;
    json_t *tool;
    buf_add_str(b, "You may call tools: ");
    json_array_foreach(tools, i, tool)
    {
        const char *name = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        buf_printf(b, "%s%s", i ? ", " : "", name ? name : "");
    }
    buf_add_str(b, ".\nEach is described by one line of JSON:\n");
    json_array_foreach(tools, i, tool)
    {
        add_json(b, json_object_get(tool, "function"));
        buf_add_char(b, '\n');
    }
    buf_add_str(
        b, "To call one, write only:\n<tool_call>\n{\"name\": \"...\", \"arguments\": {...}}\n</tool_call>");
}

// Assistant messages with calls: the calls as text, as the model would have written them.
static void write_calls(json_t *message)
{
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t i;
    buf b;
    if (json_array_size(calls) == 0)
        return;
    buf_init(&b);
    buf_add_str(&b, json_string_value(json_object_get(message, "content")));
    json_array_foreach(calls, i, call)
    {
        json_t *function = json_object_get(call, "function"), *args = json_object_get(function, "arguments");
        buf_add_str(&b, b.len ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
        add_json(&b, json_object_get(function, "name"));
        buf_add_str(&b, ", \"arguments\": ");
        if (json_is_string(args))
            buf_add_str(&b, json_string_value(args));
        else
            add_json(&b, args ? args : json_null());
        buf_add_str(&b, "}\n</tool_call>");
    }
    if (!b.failed)
        json_object_set_new(message, "content", json_stringn(b.data, b.len));
    buf_done(&b);
}

// The messages with the tools written into them.
static json_t *with_tools(const ask *a)
{
    json_t *list = json_deep_copy(a->messages), *message;
    size_t i;
    json_array_foreach(list, i, message) write_calls(message);
    buf b;
    buf_init(&b);
    json_t *first = json_array_get(list, 0);
    bool has_system = strcmp(json_string_value(json_object_get(first, "role")), "system") == 0;
    if (has_system)
        buf_printf(&b, "%s\n\n", json_string_value(json_object_get(first, "content")));
    tools_text(&b, a->tools);
    json_t *text = b.failed ? NULL : json_stringn(b.data, b.len);
    buf_done(&b);
    if (has_system) {
        json_object_set_new(first, "content", text);
    } else {
        json_t *system = json_object();
        json_object_set_new(system, "role", json_string("system"));
        json_object_set_new(system, "content", text);
        json_array_insert_new(list, 0, system);
    }
    return list;
}

// ---- Tokens ----

static int render(ask *a, err *e)
{
    bool has_tools = json_array_size(a->tools) > 0 && a->tool_choice != ASK_NONE;
    bool write_tools = !a->m->style.template_tools && has_tools;
    json_t *list = write_tools ? with_tools(a) : json_incref(a->messages);
    char *messages = json_dumps(list, JSON_COMPACT);
    char *tools = has_tools && !write_tools ? json_dumps(a->tools, JSON_COMPACT) : NULL;
    char *variables = a->variables ? json_dumps(a->variables, JSON_COMPACT) : NULL;
    json_decref(list);
    irori_free(a->ids);
    a->ids = NULL;
    int rc = messages ? irori_chat_tokens(a->m->m, messages, tools, variables, !a->unanswered, &a->ids,
                                          &a->n_ids, (irori_error *)(void *)e)
                      : err_set(e, ST_NOMEM, "out of memory for the conversation");
    free(messages);
    free(tools);
    free(variables);
    if (rc == ST_FORMAT)
        rc = e->code = ST_INVALID;  // what the template says of this conversation
    return rc;
}

// Drops the oldest message that is not a system's; false when the last one would go.
static bool drop_oldest(ask *a)
{
    size_t n = json_array_size(a->messages);
    for (size_t i = 0; i + 1 < n; i++) {
        const char *role = json_string_value(json_object_get(json_array_get(a->messages, i), "role"));
        if (strcmp(role, "system") == 0)
            continue;
        json_array_remove(a->messages, i);
        a->n_cut++;
        return true;
    }
    return false;
}

int chat_tokens(ask *a, err *e)
{
    int rc = render(a, e);
    while (!rc && a->cut && a->n_ids >= (size_t)a->m->info.context && drop_oldest(a))
        rc = render(a, e);
    return rc;
}

bool chat_opens_thinking(const irori_model *m, const calls_style *style, const int32_t *ids, size_t count)
{
    static const char open[] = "<think>", close[] = "</think>";
    char tail[256];
    size_t at = sizeof tail;
    if (!style->thinks)
        return false;
    for (size_t i = count; i > 0 && at > 0; i--) {
        size_t n;
        const char *text = irori_token_text(m, ids[i - 1], &n);
        if (!text || n > at)
            break;
        at -= n;
        memcpy(tail + at, text, n);
    }
    const char *from = tail + at, *last = NULL, *next;
    size_t left = sizeof tail - at;
    while ((next = memmem(from, left, open, sizeof open - 1))) {
        last = next;
        left -= (size_t)(next + 1 - from);
        from = next + 1;
    }
    return last && !memmem(last, (size_t)(tail + sizeof tail - last), close, sizeof close - 1);
}

bool chat_prompt_thinks(const ask *a)
{
    return a->messages && chat_opens_thinking(a->m->m, &a->m->style, a->ids, a->n_ids);
}

// See calls.h. A small automaton: in each state the words that end it are looked for, and what may be the beginning
// of one is held back.
#include "server/calls.h"

#include <stdio.h>
#include <string.h>

enum state {
    S_TEXT,
    S_THINK,
    S_OBJECT,   // inside the JSON of a call
    S_AFTER,    // after it: closing words, or the next
    S_XML,      // between <function= and </function>
    S_NAMED,    // a name up to [ARGS]
    S_HEAD,     // harmony: between <|channel|> and <|message|>
    S_MESSAGE,  // harmony: text of a message; member: 0 text, 1 reasoning, 2 arguments
    S_BETWEEN   // harmony: between messages
};

calls_style calls_style_of(const char *t)
{
    calls_style s = {.syntax = CALLS_TAGS};
    if (!t)
        return s;
    s.thinks = strstr(t, "<think>") || strstr(t, "</think>");
    s.template_tools = strstr(t, "tools") != NULL;
    if (strstr(t, "<|channel|>")) {
        s.syntax = CALLS_HARMONY;
        s.special = true;
    } else if (strstr(t, "<function=")) {
        s.syntax = CALLS_TAGS_XML;
    } else if (strstr(t, "<tool_call>")) {
        s.syntax = CALLS_TAGS;
    } else if (strstr(t, "[TOOL_CALLS]")) {
        s.syntax = CALLS_LIST;
        s.named = strstr(t, "[ARGS]") != NULL;
        s.special = true;
    } else if (strstr(t, "<|python_tag|>") || strstr(t, "\"parameters\"")) {
        s.syntax = CALLS_BARE;
        s.special = true;
    }
    return s;
}

void calls_begin(calls_parser *p, const calls_style *style, const json_t *tools, bool split_reasoning,
                 bool inside_reasoning, calls_fn *fn, void *ctx)
{
    *p = (calls_parser){.style = *style,
                        .tools = json_array_size(tools) ? tools : NULL,
                        .split_reasoning = split_reasoning,
                        .fn = fn,
                        .ctx = ctx};
    buf *all[] = {&p->pend, &p->raw, &p->key, &p->name, &p->args};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_init(all[i]);
    p->state = style->syntax == CALLS_HARMONY ? S_BETWEEN : inside_reasoning ? S_THINK : S_TEXT;
    p->trim = p->state != S_TEXT && split_reasoning;
}

void calls_free(calls_parser *p)
{
    buf *all[] = {&p->pend, &p->raw, &p->key, &p->name, &p->args};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        buf_done(all[i]);
}

bool calls_failed(const calls_parser *p)
{
    return p->pend.failed || p->raw.failed || p->key.failed || p->name.failed || p->args.failed;
}

bool calls_reasoning(const calls_parser *p)
{
    return p->split_reasoning && (p->state == S_THINK || (p->state == S_MESSAGE && p->member == 1));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void tell_text(calls_parser *p, const char *text, size_t n)
{
    while (p->trim && n && is_space(*text)) {
        text++;
        n--;
    }
    if (n == 0)
        return;
    p->trim = false;
    for (size_t i = 0; i < n && !p->any_text; i++)
        p->any_text = !is_space(text[i]);
    p->fn(p->ctx, CALLS_TEXT, text, n);
}

static void tell_reasoning(calls_parser *p, const char *text, size_t n)
{
    if (!p->split_reasoning) {
        tell_text(p, text, n);
        return;
    }
    while (p->trim && n && is_space(*text)) {
        text++;
        n--;
    }
    if (n == 0)
        return;
    p->trim = false;
    p->fn(p->ctx, CALLS_REASONING, text, n);
}

static void drop(buf *b, size_t n)
{
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

// The first of `words` in the held text: its place and which; else where the first beginning of one stands (the end
// when there is none), and -1.
static int find_word(const buf *b, const char *const *words, size_t n_words, size_t *at)
{
    size_t maybe = b->len;
    for (size_t i = 0; i < b->len; i++)
        for (size_t w = 0; w < n_words; w++) {
            size_t len = strlen(words[w]), n = MIN(len, b->len - i);
            if (memcmp(b->data + i, words[w], n) != 0)
                continue;
            if (n == len) {
                *at = i;
                return (int)w;
            }
            maybe = MIN(maybe, i);
        }
    *at = maybe;
    return -1;
}

static const json_t *declared(const calls_parser *p, const char *name)
{
    size_t i;
    const json_t *tool;
    json_array_foreach(p->tools, i, tool)
    {
        const json_t *f = json_object_get(tool, "function");
        const char *its = json_string_value(json_object_get(f, "name"));
        if (its && strcmp(its, name) == 0)
            return f;
    }
    return NULL;
}

static void begin_object(calls_parser *p, const char *opening, size_t n)
{
    buf_clear(&p->raw);
    buf_clear(&p->key);
    buf_clear(&p->name);
    buf_clear(&p->args);
    buf_add(&p->raw, opening, n);
    p->depth = 0;
    p->in_string = p->escaped = p->want_key = p->in_key = p->told = p->capturing = p->began = false;
    p->member = 0;
    p->state = S_OBJECT;
}

// It was no call after all: what was held is text.
static void give_up(calls_parser *p)
{
    p->state = S_TEXT;
    tell_text(p, p->raw.data ? p->raw.data : "", p->raw.len);
    buf_clear(&p->raw);
}

static void tell_call(calls_parser *p)
{
    p->told = true;
    p->fn(p->ctx, CALLS_NAME, p->name.data, p->name.len);
}

static void tell_args(calls_parser *p)
{
    if (p->told && p->args.len) {
        p->fn(p->ctx, CALLS_ARGS, p->args.data, p->args.len);
        buf_clear(&p->args);
        p->began = true;
    }
}

static void end_call(calls_parser *p)
{
    tell_args(p);
    if (!p->began)
        p->fn(p->ctx, CALLS_ARGS, "{}", 2);
    p->fn(p->ctx, CALLS_END, "", 0);
    p->state = S_AFTER;
    buf_clear(&p->raw);
}

// A member of the object begins after its colon.
static void begin_member(calls_parser *p)
{
    const char *key = p->key.len ? p->key.data : "";
    p->want_key = false;
    p->member = strcmp(key, "name") == 0                                          ? 1
                : strcmp(key, "arguments") == 0 || strcmp(key, "parameters") == 0 ? 2
                                                                                  : 0;
    p->capturing = p->member == 2;
}

// One byte inside a string; true when it closes it.
static bool string_byte(calls_parser *p, char c)
{
    if (p->escaped)
        p->escaped = false;
    else if (c == '\\')
        p->escaped = true;
    else if (c == '"')
        p->in_string = false;
    if (!p->in_string)
        return true;
    if (p->in_key)
        buf_add_char(&p->key, c);
    else if (p->member == 1 && p->depth == 1)
        buf_add_char(&p->name, c);
    return false;
}

// Whether the name that is whole now may be called.
static bool check_name(calls_parser *p)
{
    if (!p->name.len || !declared(p, p->name.data))
        return false;
    tell_call(p);
    return true;
}

// One byte of the object. False: this is no call.
static bool object_byte(calls_parser *p, char c)
{
    if (p->depth == 0) {
        if (c != '{')
            return is_space(c);
        p->depth = 1;
        p->want_key = true;
        return true;
    }
    bool ends_member = !p->in_string && p->depth == 1 && (c == ',' || c == '}');
    if (p->capturing && !ends_member && (p->args.len || p->began || !is_space(c)))
        buf_add_char(&p->args, c);
    if (p->in_string) {
        if (!string_byte(p, c))
            return true;
        bool was_key = p->in_key;
        p->in_key = false;
        return was_key || p->member != 1 || p->depth != 1 || check_name(p);
    }
    if (c == '"') {
        p->in_string = true;
        p->in_key = p->depth == 1 && p->want_key;
        if (p->in_key)
            buf_clear(&p->key);
    } else if (c == ':' && p->depth == 1) {
        begin_member(p);
    } else if (c == ',' && p->depth == 1) {
        p->capturing = false;
        p->want_key = true;
        p->member = 0;
    } else if (c == '{' || c == '[') {
        p->depth++;
    } else if (c == '}' || c == ']') {
        p->depth--;
    }
    return true;
}

// Runs the object's bytes; false when it needs more.
static bool feed_object(calls_parser *p)
{
    size_t i = 0;
    bool good = true;
    while (i < p->pend.len && good) {
        char c = p->pend.data[i++];
        buf_add_char(&p->raw, c);
        good = object_byte(p, c);
        if (good && p->depth == 0 && !is_space(c))
            break;
    }
    bool closed = good && p->depth == 0 && p->raw.len && p->raw.data[p->raw.len - 1] == '}';
    drop(&p->pend, i);
    if (!good || (closed && !p->told)) {
        if (p->told)  // begun well, then broken: it ends here
            end_call(p);
        else
            give_up(p);
        return true;
    }
    if (closed) {
        p->capturing = false;
        end_call(p);
        return true;
    }
    tell_args(p);
    return false;
}

static void value_json(buf *out, const char *text, size_t n, const json_t *schema)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    json_t *v = type && strcmp(type, "string") == 0 ? NULL : json_loadb(text, n, JSON_DECODE_ANY, NULL);
    if (v) {
        buf_add(out, text, n);
        json_decref(v);
        return;
    }
    json_writer w;
    json_begin(&w, out);
    json_strn(&w, text, n);
}

// "<function=name>\n<parameter=key>\nvalue\n</parameter>..." as a call.
static bool tell_xml(calls_parser *p, const char *text, size_t n)
{
    static const char function[] = "<function=", open[] = "<parameter=", close[] = "</parameter>";
    const char *end = text + n, *name_at = memmem(text, n, function, sizeof function - 1);
    const char *at = name_at ? memchr(name_at, '>', (size_t)(end - name_at)) : NULL;
    if (!at)
        return false;
    name_at += sizeof function - 1;
    buf_clear(&p->name);
    buf_clear(&p->args);
    buf_add(&p->name, name_at, (size_t)(at - name_at));
    const json_t *f = p->name.len ? declared(p, p->name.data) : NULL;
    if (!f)
        return false;
    const json_t *properties = json_object_get(json_object_get(f, "parameters"), "properties");
    buf_add_char(&p->args, '{');
    while ((at = memmem(at, (size_t)(end - at), open, sizeof open - 1))) {
        const char *key = at + sizeof open - 1, *gt = memchr(key, '>', (size_t)(end - key));
        const char *stop = gt ? memmem(gt, (size_t)(end - gt), close, sizeof close - 1) : NULL;
        if (!stop)
            break;
        const char *from = gt + 1, *to = stop;
        from += from < to && *from == '\n';
        to -= to > from && to[-1] == '\n';
        if (p->args.len > 1)
            buf_add_char(&p->args, ',');
        json_writer w;
        json_begin(&w, &p->args);
        json_strn(&w, key, (size_t)(gt - key));
        buf_add_char(&p->args, ':');
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)MIN(gt - key, 127), key);
        value_json(&p->args, from, (size_t)(to - from), json_object_get(properties, name));
        at = stop;
    }
    buf_add_char(&p->args, '}');
    p->began = false;
    tell_call(p);
    end_call(p);
    return true;
}

static bool feed_xml(calls_parser *p)
{
    static const char *const words[] = {"</function>"};
    size_t at;
    if (find_word(&p->pend, words, 1, &at) < 0)
        return false;
    if (!tell_xml(p, p->pend.data, at)) {
        buf_add(&p->raw, p->pend.data, at);
        give_up(p);
        drop(&p->pend, at);
        return true;
    }
    drop(&p->pend, at + strlen(words[0]));
    return true;
}

// [TOOL_CALLS]name[ARGS]{...}: the name is known at [ARGS], the rest is arguments up to the object's end.
static bool feed_named(calls_parser *p)
{
    static const char *const words[] = {"[ARGS]", "{"};
    size_t at;
    int w = find_word(&p->pend, words, 2, &at);
    if (w < 0)
        return false;
    buf_clear(&p->name);
    for (size_t i = 0; i < at; i++)
        if (!is_space(p->pend.data[i]))
            buf_add_char(&p->name, p->pend.data[i]);
    buf_add(&p->raw, p->pend.data, at);
    if (!check_name(p)) {
        give_up(p);
        drop(&p->pend, at);
        return true;
    }
    drop(&p->pend, at + (w == 0 ? strlen(words[0]) : 0));
    // The arguments are the whole object: run it one level deeper.
    p->depth = 1;
    p->member = 2;
    p->capturing = true;
    p->state = S_OBJECT;
    return true;
}

// After [ARGS] the object closes at depth 1, and so does the call.
static bool named_is_closed(const calls_parser *p)
{
    return p->list && p->told && p->member == 2 && p->depth == 1 && !p->in_string &&
           p->args.len + p->began > 0;
}

static bool feed_named_object(calls_parser *p)
{
    size_t i = 0;
    while (i < p->pend.len) {
        char c = p->pend.data[i++];
        if (p->depth == 1 && !is_space(c) && c != '{')
            break;
        object_byte(p, c);
        if (c == '}' && named_is_closed(p)) {
            drop(&p->pend, i);
            end_call(p);
            return true;
        }
    }
    drop(&p->pend, i);
    tell_args(p);
    return false;
}

// What may come after a call: its closing word, a comma, the next object.
static bool feed_after(calls_parser *p)
{
    static const char *const closing[] = {"</tool_call>", "</function>", "<|eom_id|>", "<|eot_id|>"};
    size_t at = 0;
    while (at < p->pend.len &&
           (is_space(p->pend.data[at]) || (p->style.syntax != CALLS_TAGS && strchr(",;]", p->pend.data[at]))))
        at++;
    drop(&p->pend, at);
    if (p->pend.len == 0)
        return false;
    size_t where;
    int w = find_word(&p->pend, closing, COUNT_OF(closing), &where);
    if (w >= 0 && where == 0) {
        drop(&p->pend, strlen(closing[w]));
        return true;
    }
    if (w < 0 && where == 0)
        return false;  // may become one
    if (p->pend.data[0] == '{' && (p->style.syntax == CALLS_LIST || p->style.syntax == CALLS_BARE)) {
        begin_object(p, "", 0);
        return true;
    }
    p->state = S_TEXT;
    p->trim = true;
    return true;
}

static bool feed_think(calls_parser *p)
{
    static const char *const words[] = {"</think>"};
    size_t at;
    int w = find_word(&p->pend, words, 1, &at);
    tell_reasoning(p, p->pend.data, at);
    drop(&p->pend, at);
    if (w < 0)
        return false;
    if (!p->split_reasoning)
        tell_text(p, words[0], strlen(words[0]));
    drop(&p->pend, strlen(words[0]));
    p->state = S_TEXT;
    p->trim = p->split_reasoning;
    return true;
}

static void open_call(calls_parser *p, const char *word)
{
    p->list = false;
    begin_object(p, word, strlen(word));
}

static bool feed_text(calls_parser *p)
{
    const char *words[4];
    size_t n = 0, at;
    if (p->style.thinks && !p->any_text)
        words[n++] = "<think>";
    size_t calls_from = n;
    if (p->tools && p->style.syntax <= CALLS_TAGS_XML)
        words[n++] = "<tool_call>";
    if (p->tools && p->style.syntax == CALLS_LIST)
        words[n++] = "[TOOL_CALLS]";
    if (p->tools && p->style.syntax == CALLS_BARE) {
        words[n++] = "<|python_tag|>";
        size_t first = 0;
        while (first < p->pend.len && is_space(p->pend.data[first]))
            first++;
        if (!p->any_text && first < p->pend.len && p->pend.data[first] == '{') {
            drop(&p->pend, first);
            open_call(p, "");
            return true;
        }
    }
    int w = find_word(&p->pend, words, n, &at);
    tell_text(p, p->pend.data, at);
    drop(&p->pend, at);
    if (w < 0)
        return false;
    drop(&p->pend, strlen(words[w]));
    if ((size_t)w < calls_from && p->any_text) {
        tell_text(p, words[w], strlen(words[w]));  // reasoning comes first or not at all
    } else if ((size_t)w < calls_from) {
        if (!p->split_reasoning)
            tell_text(p, words[w], strlen(words[w]));
        p->state = S_THINK;
        p->trim = p->split_reasoning;
    } else if (p->style.syntax == CALLS_TAGS_XML) {
        begin_object(p, words[w], strlen(words[w]));
        p->state = S_XML;
    } else if (p->style.syntax == CALLS_LIST) {
        begin_object(p, words[w], strlen(words[w]));
        p->state = S_NAMED;
    } else {
        open_call(p, words[w]);
    }
    return true;
}

// After [TOOL_CALLS]: a list of objects, or a name.
static bool feed_list(calls_parser *p)
{
    size_t at = 0;
    while (at < p->pend.len && is_space(p->pend.data[at]))
        at++;
    if (at == p->pend.len)
        return false;
    p->list = p->pend.data[at] != '[' && p->pend.data[at] != '{';
    if (p->list)
        return feed_named(p);
    drop(&p->pend, at + (p->pend.data[at] == '['));
    p->state = S_OBJECT;
    return true;
}

// A harmony message's head: "analysis", "final", "commentary to=functions.name".
static bool feed_head(calls_parser *p)
{
    static const char *const words[] = {"<|message|>"};
    static const char to[] = "to=functions.";
    size_t at;
    if (find_word(&p->pend, words, 1, &at) < 0)
        return false;
    const char *head = p->pend.data, *target = memmem(head, at, to, sizeof to - 1), *end = head + at;
    buf before = p->key;  // what stood before the channel
    buf_init(&p->key);
    if (!target && before.len && (target = memmem(before.data, before.len, to, sizeof to - 1)))
        end = before.data + before.len;
    begin_object(p, "", 0);
    p->state = S_MESSAGE;
    p->member = at >= 8 && memcmp(head, "analysis", 8) == 0 && p->split_reasoning ? 1 : 0;
    if (target && p->tools) {
        target += sizeof to - 1;
        size_t n = 0;
        while (target + n < end && !is_space(target[n]) && target[n] != '<')
            n++;
        buf_add(&p->name, target, n);
        if (check_name(p))
            p->member = 2;
    }
    buf_done(&before);
    p->trim = p->member < 2;
    drop(&p->pend, at + strlen(words[0]));
    return true;
}

static bool feed_message(calls_parser *p)
{
    static const char *const words[] = {"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"};
    size_t at;
    int w = find_word(&p->pend, words, COUNT_OF(words), &at);
    if (p->member == 2) {
        buf_add(&p->args, p->pend.data, at);
        tell_args(p);
    } else if (p->member == 1) {
        tell_reasoning(p, p->pend.data, at);
    } else {
        tell_text(p, p->pend.data, at);
    }
    drop(&p->pend, at);
    if (w < 0)
        return false;
    if (p->member == 2)
        end_call(p);
    if (w < 4)
        drop(&p->pend, strlen(words[w]));
    buf_clear(&p->key);
    p->state = S_BETWEEN;
    return true;
}

static bool feed_between(calls_parser *p)
{
    static const char *const words[] = {"<|channel|>"};
    size_t at;
    int w = find_word(&p->pend, words, 1, &at);
    buf_add(&p->key, p->pend.data, at);  // "<|start|>assistant", perhaps " to=functions.name"
    drop(&p->pend, at);
    if (w < 0)
        return false;
    drop(&p->pend, strlen(words[0]));
    p->state = S_HEAD;
    return true;
}

static bool step(calls_parser *p)
{
    if (p->pend.len == 0)
        return false;
    switch (p->state) {
    case S_THINK: return feed_think(p);
    case S_OBJECT: return p->list ? feed_named_object(p) : feed_object(p);
    case S_AFTER: return feed_after(p);
    case S_XML: return feed_xml(p);
    case S_NAMED: return feed_list(p);
    case S_HEAD: return feed_head(p);
    case S_MESSAGE: return feed_message(p);
    case S_BETWEEN: return feed_between(p);
    default: return feed_text(p);
    }
}

void calls_feed(calls_parser *p, const char *text, size_t n)
{
    buf_add(&p->pend, text, n);
    while (!calls_failed(p) && step(p))
        ;
}

void calls_end(calls_parser *p)
{
    if (calls_failed(p))
        return;
    if (p->state == S_OBJECT || p->state == S_NAMED || p->state == S_XML) {
        buf_add(&p->raw, p->pend.data ? p->pend.data : "", p->pend.len);
        if (p->told)
            end_call(p);
        else
            give_up(p);
    } else if (p->state == S_THINK) {
        tell_reasoning(p, p->pend.data, p->pend.len);
    } else if (p->state == S_MESSAGE && p->member == 2) {
        end_call(p);
    } else if (p->state == S_TEXT || (p->state == S_MESSAGE && p->pend.len)) {
        tell_text(p, p->pend.data ? p->pend.data : "", p->pend.len);
    }
    buf_clear(&p->pend);
}

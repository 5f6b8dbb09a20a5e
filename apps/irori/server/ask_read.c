// The fields that the families share, from JSON into an ask.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/ask.h"
#include "server/chat.h"

static void read_bias(ask *a, fields *f)
{
    json_t *all = fields_get(f, "logit_bias"), *v;
    if (!all)
        return;
    bool pairs = json_is_array(all);  // llama-server's [[token, bias], ...]
    size_t n = pairs ? json_array_size(all) : json_object_size(all), i;
    a->bias = mem_calloc(MEM_OTHER, n + 1, sizeof *a->bias);
    const char *key;
    if (!a->bias || (!pairs && !json_is_object(all))) {
        fields_wrong(f, "logit_bias", "logit_bias must be an object of token ids and numbers");
        return;
    }
    char *end = NULL;
    json_object_foreach(all, key, v)
    {
        long id = strtol(key, &end, 10);
        double b = json_number_value(v);
        if (end == key || *end || id < 0 || id > INT32_MAX || !json_is_number(v) || !(b >= -100 && b <= 100))
            fields_wrong(f, "logit_bias", "logit_bias: \"%.40s\" is not a token id with a number -100..100",
                         key);
        else
            a->bias[a->n_bias++] = (irori_logit_bias){(int32_t)id, b <= -100 ? -INFINITY : (float)b};
    }
    for (i = 0; pairs && i < n; i++) {
        json_t *pair = json_array_get(all, i), *token = json_array_get(pair, 0);
        v = json_array_get(pair, 1);
        double b = json_is_false(v) ? -INFINITY : json_number_value(v);
        if (!json_is_integer(token) || (!json_is_number(v) && !json_is_false(v)) || b > 1e6 ||
            json_integer_value(token) < 0 || json_integer_value(token) > INT32_MAX)
            fields_wrong(f, "logit_bias", "logit_bias[%zu] is not [token id, number or false]", i);
        else
            a->bias[a->n_bias++] = (irori_logit_bias){(int32_t)json_integer_value(token), (float)b};
    }
}

static void read_seed(ask *a, fields *f)
{
    json_t *v = fields_get(f, "seed");
    int64_t seed = fields_int(f, "seed", -1, INT64_MIN, INT64_MAX);
    if (!v || seed == -1)
        return;  // a new one each time
    a->sampling.seed = seed ? (uint64_t)seed
                            : 0x9e3779b97f4a7c15u;  // 0 would be a new one: any fixed one will do
}

void ask_read_sampling(ask *a, fields *f)
{
    irori_sampling *s = &a->sampling;
    f->defaults = a->defaults;
    s->temperature = (float)fields_number(f, "temperature", (double)s->temperature, 0, 100);
    double top_p = fields_number(f, "top_p", (double)s->top_p, 0, 1);
    s->top_p = fields_get(f, "top_p") && top_p == 0 ? 1e-6f : (float)top_p;  // 0 is "off" to the library
    s->top_k = (int)MAX(fields_int(f, "top_k", s->top_k, -1, 1 << 28), 0);
    s->min_p = (float)fields_number(f, "min_p", (double)s->min_p, 0, 1);
    s->typical_p = (float)fields_number(f, "typical_p", 1, 0, 1);
    s->repeat_penalty = (float)fields_number(f, "repeat_penalty",
                                             fields_number(f, "repetition_penalty", 1, 0.01, 100), 0.01, 100);
    s->frequency_penalty = (float)fields_number(f, "frequency_penalty", 0, -2, 2);
    s->presence_penalty = (float)fields_number(f, "presence_penalty", 0, -2, 2);
    s->penalty_window = (int)fields_int(f, "repeat_last_n", 0, -1, 1 << 28);
    s->dry_multiplier = (float)fields_number(f, "dry_multiplier", 0, 0, 100);
    s->dry_base = (float)fields_number(f, "dry_base", 0, 0, 100);
    s->dry_allowed_length = (int)fields_int(f, "dry_allowed_length", 0, 0, 1 << 20);
    read_seed(a, f);
    read_bias(a, f);
    a->forbid_end = fields_bool(f, "ignore_eos", false);
    a->deadline = fields_number(f, "deadline", 0, 0, 1e9);
    const char *model = fields_text(f, "model", NULL);
    if (model && !(a->model = mem_strndup(MEM_OTHER, model, strlen(model))))
        fields_wrong(f, "model", "out of memory");
    const char *truncation = fields_text(f, "truncation", "disabled");
    a->cut = strcmp(truncation, "auto") == 0;
    if (!a->cut && strcmp(truncation, "disabled") != 0)
        fields_wrong(f, "truncation", "truncation is \"%.40s\", allowed auto and disabled", truncation);
}

void ask_read_stop(ask *a, fields *f, const char *name)
{
    json_t *v = fields_get(f, name);
    size_t n = json_is_string(v) ? 1 : json_array_size(v);
    if (!v)
        return;
    if ((!json_is_string(v) && !json_is_array(v)) || n > COUNT_OF(a->stop)) {
        fields_wrong(f, name, "%s must be a string or an array of at most %zu strings", name,
                     COUNT_OF(a->stop));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_is_string(v) ? v : json_array_get(v, i);
        if (!json_is_string(one) || json_string_length(one) > 1024)
            fields_wrong(f, name, "%s[%zu] must be a string of at most 1024 bytes", name, i);
        else if (json_string_length(one) > 0)
            a->stop[a->n_stop++] = json_string_value(one);
    }
}

static void read_choice(ask *a, fields *f)
{
    json_t *v = fields_get(f, "tool_choice");
    const char *word = json_string_value(v);
    const char *name = json_string_value(json_object_get(json_object_get(v, "function"), "name"));
    static const char *const words[] = {"auto", "none", "required"};
    if (!name)
        name = json_string_value(json_object_get(v, "name"));
    if (!v)
        return;
    for (size_t i = 0; word && i < COUNT_OF(words); i++)
        if (strcmp(word, words[i]) == 0) {
            a->tool_choice = (ask_tools)i;
            if (a->tool_choice == ASK_REQUIRED && json_array_size(a->tools) == 0)
                fields_wrong(f, "tool_choice", "tool_choice is \"required\", but there are no tools");
            return;
        }
    size_t i;
    json_t *tool;
    json_array_foreach(a->tools, i, tool)
    {
        const char *its = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (name && strcmp(its, name) == 0) {
            a->tool_choice = ASK_NAMED;
            a->tool_name = mem_strndup(MEM_OTHER, name, strlen(name));
        }
    }
    if (!a->tool_name)
        fields_wrong(f, "tool_choice",
                     "tool_choice must be auto, none, required, or name a declared function");
}

static bool good_name(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == n;
}

void ask_read_tools(ask *a, fields *f)
{
    json_t *list = fields_array(f, "tools"), *tool;
    size_t i;
    json_array_foreach(list, i, tool)
    {
        json_t *function = json_object_get(tool, "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        json_t *parameters = json_object_get(function, "parameters");
        if (!name || !good_name(name))
            fields_wrong(
                f, "tools",
                "tools[%zu].function.name must be 1..64 letters, digits, underscores, dots and hyphens", i);
        else if (parameters && !json_is_object(parameters) && !json_is_null(parameters))
            fields_wrong(f, "tools", "tools[%zu].function.parameters must be a JSON Schema object", i);
    }
    a->tools = json_incref(list);
    if (!f->wrong)
        read_choice(a, f);
    a->parallel = fields_bool(f, "parallel_tool_calls", true);
}

void ask_read_messages(ask *a, fields *f, const char *name)
{
    a->messages = f->wrong ? NULL : chat_messages(f, name);
    a->variables = json_incref(fields_object(f, "chat_template_kwargs"));
}

void ask_hold(ask *a, fields *f, const char *field, irori_grammar_kind kind, const char *text)
{
    if (a->held)
        fields_wrong(f, field, "%s: the answer is held to another grammar already", field);
    else if (text && !(a->grammar_text = mem_strndup(MEM_OTHER, text, strlen(text))))
        fields_wrong(f, field, "out of memory");
    a->held = true;
    a->grammar_kind = kind;
    a->grammar_field = field;
}

void ask_hold_json(ask *a, fields *f, const char *field, const json_t *schema)
{
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        ask_hold(a, f, field, IRORI_GRAMMAR_JSON_SCHEMA, text);
    else
        fields_wrong(f, field, "out of memory");
    free(text);
}

void ask_read_response_format(ask *a, fields *f, const char *name)
{
    fields format = fields_of(fields_object(f, name));
    const char *type = fields_text(&format, "type", "text");
    json_t *schema = fields_get(&format, "schema");  // the Responses API has it here, chat one level deeper
    fields inner = fields_of(fields_object(&format, "json_schema"));
    if (!schema)
        schema = fields_get(&inner, "schema");
    if (strcmp(type, "json_schema") == 0 && (json_is_object(schema) || json_is_boolean(schema)))
        ask_hold_json(a, f, name, schema);
    else if (strcmp(type, "json_schema") == 0)
        fields_wrong(&format, "json_schema", "json_schema.schema must be a JSON Schema");
    else if (strcmp(type, "json_object") == 0)
        ask_hold(a, f, name, IRORI_GRAMMAR_JSON_SCHEMA, "{\"type\":\"object\"}");
    else if (strcmp(type, "text") != 0)
        fields_wrong(&format, "type", "%s.type is \"%.40s\", allowed text, json_object and json_schema", name,
                     type);
    fields_join(f, name, &format);
}

void ask_read_grammar(ask *a, fields *f)
{
    const char *grammar = fields_text(f, "grammar", NULL);
    json_t *schema = fields_get(f, "json_schema");
    if (grammar && *grammar)
        ask_hold(a, f, "grammar", IRORI_GRAMMAR_GBNF, grammar);
    if (schema)
        ask_hold_json(a, f, "json_schema", schema);
}

void ask_start_read(ask *a, incoming *c, const fields *f)
{
    if (f->wrong) {
        answer_field(c, f);
        ask_free(a);
    } else {
        ask_start(a);
    }
}

// irori eval tools MODEL --url URL: tool calls in the shape of the Berkeley function-calling leaderboard, asked of a server of
// OpenAI's kind, irori's own say, as its users meet it.
//
// An item has a question and functions; --answers has, line by line, the calls that are right, with the values each argument may
// have. Without --answers no call is right (the leaderboard's "irrelevance"). Compared are names and values, not order.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/client.h"
#include "measure/eval.h"

enum { MOST_FILE = 1 << 28, ANSWER_TOKENS = 512 };

// ---- The functions as tools -------------------------------------------------------------------------------------------
// The leaderboard's types are Python's; JSON schema's are put in their place.
static void mend_types(json_t *schema)
{
    static const char *const names[][2] = {
        {"dict", "object"}, {"float", "number"}, {"tuple", "array"}, {"any", NULL}};
    const char *type = json_string_value(json_object_get(schema, "type"));
    for (size_t i = 0; type && i < COUNT_OF(names); i++)
        if (strcmp(type, names[i][0]) == 0) {
            if (names[i][1])
                json_object_set_new(schema, "type", json_string(names[i][1]));
            else
                json_object_del(schema, "type");
            break;
        }
    const char *key;
    json_t *v;
    json_object_foreach(schema, key, v)
    {
        if (json_is_object(v))
            mend_types(v);
    }
}

// OpenAI's function names have no dots; the answer's names are changed alike before they are compared.
static json_t *plain_name(const char *name)
{
    buf b;
    buf_init(&b);
    for (; *name; name++)
        buf_add_char(&b, *name == '.' ? '_' : *name);
    json_t *v = json_string(b.len ? b.data : "");
    buf_done(&b);
    return v;
}

static json_t *tools_of(const json_t *item)
{
    json_t *tools = json_array();
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(item, "function"), i, f)
    {
        json_t *function = json_deep_copy(f);
        const char *name = json_string_value(json_object_get(f, "name"));
        json_object_set_new(function, "name", plain_name(name ? name : ""));
        mend_types(json_object_get(function, "parameters"));
        json_array_append_new(tools, json_pack("{s:s, s:o}", "type", "function", "function", function));
    }
    return tools;
}

// ---- Comparing --------------------------------------------------------------------------------------------------------
// Case, spaces and these marks do not count.
static size_t squeeze(const char *text, char *out, size_t cap)
{
    size_t n = 0;
    for (; *text && n + 1 < cap; text++)
        if (!strchr(" ,./-_*^'\"", *text))
            out[n++] = (char)tolower((unsigned char)*text);
    out[n] = 0;
    return n;
}

static bool same_text(const char *a, const char *b)
{
    char x[1024], y[1024];
    return squeeze(a, x, sizeof x) == squeeze(b, y, sizeof y) && strcmp(x, y) == 0;
}

static bool among(const json_t *given, const json_t *allowed);

static bool same(const json_t *given, const json_t *wanted)
{
    size_t i;
    const json_t *v;
    if (json_is_number(given) && json_is_number(wanted))
        return fabs(json_number_value(given) - json_number_value(wanted)) < 1e-9;
    if (json_is_string(given) && json_is_string(wanted))
        return same_text(json_string_value(given), json_string_value(wanted));
    if (json_is_array(given) && json_is_array(wanted)) {
        bool equal = json_array_size(given) == json_array_size(wanted);
        json_array_foreach(wanted, i, v)
        {
            equal = equal && same(json_array_get(given, i), v);
        }
        return equal;
    }
    if (json_is_object(given) && json_is_object(wanted)) {  // of each member again a list of what it may be
        const char *key;
        bool equal = true;
        json_object_foreach((json_t *)(uintptr_t)wanted, key, v)
        {
            equal = equal && among(json_object_get(given, key), v);
        }
        return equal;
    }
    return given && json_equal((json_t *)(uintptr_t)given, (json_t *)(uintptr_t)wanted);
}

// Whether a value is one of those allowed; "" among them: it may be left out.
static bool among(const json_t *given, const json_t *allowed)
{
    size_t i;
    const json_t *v;
    json_array_foreach(allowed, i, v)
    {
        const char *text = json_string_value(v);
        if (given ? same(given, v) : text && !*text)
            return true;
    }
    return false;
}

// One call against {"name": {"argument": [values]}}.
static bool is_call(const json_t *call, const json_t *wanted)
{
    const json_t *function = json_object_get(call, "function");
    const char *name = json_string_value(json_object_get(function, "name")),
               *text = json_string_value(json_object_get(function, "arguments"));
    void *first = json_object_iter((json_t *)(uintptr_t)wanted);
    json_t *named = first ? plain_name(json_object_iter_key(first)) : NULL;
    json_t *args = text ? json_loads(text, 0, NULL) : NULL, *v;
    const json_t *params = first ? json_object_iter_value(first) : NULL;
    bool right = name && named && args && strcmp(name, json_string_value(named)) == 0;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)params, key, v)
    {
        right = right && among(json_object_get(args, key), v);
    }
    json_object_foreach(args, key, v)
    {
        right = right && json_object_get(params, key);
    }
    json_decref(args);
    json_decref(named);
    return right;
}

// Every wanted call is there once, and no other.
static bool are_right(const json_t *calls, const json_t *wanted)
{
    size_t n = json_array_size(wanted), i, k;
    const json_t *call, *w;
    bool used[64] = {false};
    if (json_array_size(calls) != n || n > COUNT_OF(used))
        return false;
    json_array_foreach(calls, i, call)
    {
        bool found = false;
        json_array_foreach(wanted, k, w)
        {
            if (!found && !used[k] && is_call(call, w))
                found = used[k] = true;
        }
        if (!found)
            return false;
    }
    return true;
}

// ---- Asking -----------------------------------------------------------------------------------------------------------
typedef struct asked {
    size_t n, right, malformed;  // malformed: arguments of a call that are no JSON object
} asked;

static bool is_malformed(const json_t *calls)
{
    size_t i;
    const json_t *call;
    bool bad = false;
    json_array_foreach(calls, i, call)
    {
        const char *text = json_string_value(json_object_get(json_object_get(call, "function"), "arguments"));
        json_t *v = text ? json_loads(text, 0, NULL) : NULL;
        bad |= !json_is_object(v);
        json_decref(v);
    }
    return bad;
}

static int ask(const cli_options *o, client *c, const json_t *item, const json_t *wanted, asked *sum, err *e)
{
    json_t *messages = json_array_get(json_object_get(item, "question"), 0), *answer;
    if (!json_is_array(messages))
        return err_set(e, ST_FORMAT, "\"question\" is not a list of conversations");
    json_t *request = json_pack("{s:s, s:O, s:o, s:f, s:i}", "model", o->model, "messages", messages, "tools",
                                tools_of(item), "temperature", 0.0, "max_tokens", ANSWER_TOKENS);
    int rc = request ? client_post(c, "/v1/chat/completions", request, &answer, e)
                     : err_set(e, ST_NOMEM, "out of memory for a request");
    json_decref(request);
    if (rc)
        return rc;
    const json_t *message = json_object_get(json_array_get(json_object_get(answer, "choices"), 0), "message");
    const json_t *calls = json_object_get(message, "tool_calls");
    sum->n++;
    sum->right += are_right(calls, wanted);
    sum->malformed += is_malformed(calls);
    json_decref(answer);
    return ST_OK;
}

// The next line that is not empty as JSON; NULL at the end (or when it is none, *bad then).
static json_t *next_line(const char **at, const char *end, bool *bad)
{
    while (*at < end && **at == '\n')
        ++*at;
    if (*at >= end)
        return NULL;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    stop = stop ? stop : end;
    json_t *v = json_loadb(*at, (size_t)(stop - *at), 0, NULL);
    *at = stop;
    *bad = !json_is_object(v);
    return v;
}

static int ask_all(const cli_options *o, client *c, const char *items, size_t n, const char *answers,
                   size_t m, asked *sum, err *e)
{
    const char *at = items, *right_at = answers;
    bool bad = false;
    int rc = ST_OK;
    cli_progress bar;
    cli_progress_start(&bar, "asking");
    while (!rc && !(o->chunks && sum->n == (size_t)o->chunks)) {
        cli_progress_step(&bar, (uint64_t)(at - items), n);
        json_t *item = next_line(&at, items + n, &bad);
        if (!item && !bad)
            break;
        json_t *right = answers && !bad ? next_line(&right_at, answers + m, &bad) : NULL;
        if (bad || (answers && !right))
            rc = err_set(e, ST_FORMAT, "item %zu or its answer is no JSON object", sum->n + 1);
        else
            rc = ask(o, c, item, json_object_get(right, "ground_truth"), sum, e);
        json_decref(item);
        json_decref(right);
    }
    cli_progress_end(&bar);
    return rc;
}

int eval_tools(const cli_options *o, report *r, irori_error *error)
{
    err *e = (err *)(void *)error;
    client *c = NULL;
    char *items = NULL, *answers = NULL;
    size_t n = 0, m = 0;
    asked sum = {0};
    int rc = client_new(&c, o->url, o->api_key, e);
    if (!rc)
        rc = os_read_file(o->file, MOST_FILE, &items, &n, e);
    if (!rc && o->answers)
        rc = os_read_file(o->answers, MOST_FILE, &answers, &m, e);
    if (!rc)
        rc = ask_all(o, c, items, n, answers, m, &sum, e);
    if (!rc) {
        eval_add_share(r, o->answers ? "tools" : "irrelevance", "accuracy", sum.right, sum.n);
        eval_add_share(r, o->answers ? "tools" : "irrelevance", "malformed", sum.malformed, sum.n);
    }
    mem_free(items);
    mem_free(answers);
    client_free(c);
    return rc;
}

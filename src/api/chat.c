// Conversations under the model's template.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/own.h"

// OpenAI's clients send the arguments of a tool call as a string of JSON; templates want the object.
static void open_arguments(json_t *message)
{
    size_t i;
    json_t *call;
    json_array_foreach(json_object_get(message, "tool_calls"), i, call)
    {
        json_t *function = json_object_get(call, "function");
        json_t *arguments = json_object_get(function, "arguments");
        if (!json_is_string(arguments))
            continue;
        json_t *object = json_loadb(json_string_value(arguments), json_string_length(arguments), 0, NULL);
        if (json_is_object(object))
            json_object_set(function, "arguments", object);
        json_decref(object);
    }
}

// The messages as templates expect them; mem_free it.
static int normalise(const char *messages, char **out, err *e)
{
    json_error_t why;
    *out = NULL;
    json_t *list = json_loads(messages, 0, &why);
    if (!json_is_array(list)) {
        json_decref(list);
        return err_set(e, ST_INVALID, "messages: %s", list ? "an array is needed" : why.text);
    }
    size_t i;
    json_t *message;
    json_array_foreach(list, i, message) open_arguments(message);
    char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    if (text)
        *out = mem_strndup(MEM_TEMPLATE, text, strlen(text));
    free(text);
    return *out ? ST_OK : err_set(e, ST_NOMEM, "no memory for the messages");
}

// A special token's text, NUL-terminated, for the template's bos_token and eos_token.
static const char *special_text(const tok *t, int32_t id, char *out, size_t cap)
{
    size_t n = 0;
    const char *p = id < 0 ? "" : tok_piece(t, id, TOK_SPECIAL, &n);
    n = MIN(n, cap - 1);
    memcpy(out, p, n);
    out[n] = 0;
    return out;
}

int irori_chat_tokens(const irori_model *m, const char *messages, const char *tools, const char *variables,
                      bool add_generation_prompt, int32_t **ids, size_t *count, irori_error *error)
{
    err *e = api_err(error);
    *ids = NULL;
    *count = 0;
    if (!m->tmpl && m->has_template)
        return err_set(e, m->template_error.code,
                       "%s: the model's chat template cannot be read (%s); give it plain text",
                       gguf_path(m->file), m->template_error.msg);
    if (!m->tmpl)
        return err_set(e, ST_UNSUPPORTED, "%s: the model has no chat template; give it plain text",
                       gguf_path(m->file));
    char bos[64], eos[64], *text;
    int rc = normalise(messages, &text, e);
    if (rc)
        return rc;
    tmpl_input in = {.messages_json = text,
                     .tools_json = tools,
                     .extra_json = variables,
                     .add_generation_prompt = add_generation_prompt,
                     .bos_token = special_text(m->tok, tok_bos(m->tok), bos, sizeof bos),
                     .eos_token = special_text(m->tok, tok_eos(m->tok), eos, sizeof eos),
                     .now = (int64_t)time(NULL)};
    tmpl_output out;
    rc = tmpl_render(m->tmpl, &in, &out, e);
    mem_free(text);
    if (rc)
        return rc;
    tok_ids list = {0};
    tok_range *ranges = mem_calloc(MEM_OTHER, out.n_segments + 1, sizeof *ranges);
    if (!ranges)
        rc = err_set(e, ST_NOMEM, "no memory for the conversation's tokens");
    for (size_t i = 0; !rc && i < out.n_segments; i++)
        ranges[i] = (tok_range){out.segments[i].len, out.segments[i].origin == TMPL_TRUSTED};
    // Most templates write the start token themselves; where one does not, the model still gets it once.
    int32_t start = tok_bos(m->tok);
    bool written = bos[0] && out.len >= strlen(bos) && memcmp(out.text, bos, strlen(bos)) == 0;
    if (!rc && tok_adds_bos(m->tok) && start >= 0 && !written)
        rc = tok_ids_add(&list, &start, 1);
    if (!rc)
        rc = tok_encode_ranges(m->tok, &list, out.text, ranges, out.n_segments, e);
    mem_free(ranges);
    tmpl_output_done(&out);
    if (rc) {
        tok_ids_done(&list);
        return rc;
    }
    *ids = list.data;
    *count = list.count;
    return ST_OK;
}

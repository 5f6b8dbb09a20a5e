// See hold.h. How calls are written is a matter of the template, as in calls.h; what the parser there takes for a call
// and what the grammar here allows must be the same.
#include "server/hold.h"

#include <stdlib.h>
#include <string.h>

#include "server/chat.h"

static void call_form(const calls_style *style, irori_calls *c)
{
    *c = (irori_calls){.open = "<tool_call>",
                       .begin = "",
                       .before_name = " { \"name\" : \"",
                       .before_arguments = "\" , \"arguments\" : ",
                       .close = " }"};
    switch (style->syntax) {
    case CALLS_TAGS:
        c->close = " } </tool_call>";
        c->text_after = true;
        break;
    case CALLS_TAGS_XML:
        c->before_name = " <function=";
        c->before_arguments = ">";
        c->close = "</function>";
        c->raw = c->text_after = true;
        break;
    case CALLS_LIST:
        c->open = "[TOOL_CALLS]";
        if (style->named) {
            c->before_name = c->close = "";
            c->before_arguments = "[ARGS]";
        } else {
            c->begin = " [";
            c->next = " , ";
            c->end = " ]";
        }
        break;
    case CALLS_BARE:
        c->open = "<|python_tag|>";
        c->before_arguments = "\" , \"parameters\" : ";
        c->next = " ; ";
        c->end = "";
        c->bare = true;
        break;
    case CALLS_HARMONY: c->harmony = true; break;
    }
    if (style->thinks) {
        c->think = "<think>";
        c->unthink = "</think>";
    }
}

static void free_tools(irori_tool *tools, size_t n)
{
    for (size_t i = 0; tools && i < n; i++)
        free((void *)(uintptr_t)tools[i].schema);
    mem_free(tools);
}

// The tools that may be called: all, or the one that was named.
static irori_tool *tools_of(const ask *a, size_t *n, err *e)
{
    irori_tool *tools = mem_calloc(MEM_OTHER, json_array_size(a->tools), sizeof *tools);
    size_t i;
    const json_t *tool;
    bool ok = tools != NULL;
    *n = 0;
    json_array_foreach(a->tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function"),
                     *parameters = json_object_get(function, "parameters");
        const char *name = json_string_value(json_object_get(function, "name"));
        if (!ok || (a->tool_choice == ASK_NAMED && strcmp(name, a->tool_name) != 0))
            continue;
        irori_tool *t = &tools[(*n)++];
        t->name = name;
        if (json_is_object(parameters)) {
            t->schema = json_dumps(parameters, JSON_COMPACT);
            t->schema_bytes = t->schema ? strlen(t->schema) : 0;
            ok = t->schema != NULL;
        }
    }
    if (!ok) {
        free_tools(tools, *n);
        err_set(e, ST_NOMEM, "out of memory for tools");
        return NULL;
    }
    return tools;
}

// Words of the answer before the grammar begins: the end of its reasoning, when the prompt has opened that, or the head of its
// final message.
static const char *after(const ask *a)
{
    if (a->messages && a->m->style.syntax == CALLS_HARMONY && a->held)
        return IRORI_HARMONY_FINAL;
    return chat_prompt_thinks(a) ? "</think>" : NULL;
}

static int hold_to_calls(ask *a, err *e)
{
    irori_calls c;
    call_form(&a->m->style, &c);
    c.must = a->tool_choice >= ASK_REQUIRED;
    c.many = a->parallel;
    irori_tool *tools = tools_of(a, &c.n_tools, e);
    if (!tools)
        return ST_NOMEM;
    c.tools = tools;
    int rc = irori_grammar_new_calls(&a->grammar, a->m->m, &c, after(a), (irori_error *)(void *)e);
    free_tools(tools, c.n_tools);
    return rc;
}

int hold_answer(ask *a, err *e)
{
    bool calls = a->messages && json_array_size(a->tools) > 0 && a->tool_choice != ASK_NONE;
    int rc = ST_OK;
    if (a->held && calls && a->tool_choice >= ASK_REQUIRED)
        return err_set(e, ST_INVALID, "tool_choice: %s holds the answer to another grammar already",
                       a->grammar_field);
    if (a->held)
        rc = irori_grammar_new(&a->grammar, a->m->m, a->grammar_kind, a->grammar_text ? a->grammar_text : "",
                               a->grammar_text ? strlen(a->grammar_text) : 0, after(a),
                               (irori_error *)(void *)e);
    else if (calls)
        rc = hold_to_calls(a, e);
    if (rc == ST_FORMAT || rc == ST_LIMIT)
        rc = e->code = ST_INVALID;  // of the request
    if (rc)
        err_prefix(e, "%s", a->held ? a->grammar_field : "tools");
    return rc;
}

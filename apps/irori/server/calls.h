// What a model writes, taken apart: text, reasoning, tool calls, as they stream in.
//
// Which words open what is a matter of the model's chat template; calls_style_of reads it there. A call is told
// once its name is known to be a declared one, its arguments then byte by byte as they come. What turns out not to be
// a call is text.
#ifndef SERVER_CALLS_H
#define SERVER_CALLS_H

#include <jansson.h>

#include "base/base.h"

typedef enum calls_syntax {
    CALLS_TAGS,      // <tool_call>{"name", "arguments"}</tool_call>
    CALLS_TAGS_XML,  // <tool_call><function=name><parameter=key>value</parameter></function></tool_call>
    CALLS_LIST,      // [TOOL_CALLS][{"name", "arguments"}, ...] or [TOOL_CALLS]name[ARGS]{...}
    CALLS_BARE,      // {"name", "parameters"} as the whole answer, perhaps after <|python_tag|>
    CALLS_HARMONY    // <|channel|>commentary to=functions.name<|message|>{...}<|call|>
} calls_syntax;

typedef struct calls_style {
    calls_syntax syntax;
    bool thinks;          // <think>...</think>
    bool named;           // of CALLS_LIST: with [ARGS]
    bool special;         // the words are control tokens: their text must be shown
    bool template_tools;  // the template writes tools and calls itself
} calls_style;

calls_style calls_style_of(const char *chat_template);

typedef enum calls_part {
    CALLS_TEXT,
    CALLS_REASONING,
    CALLS_NAME,  // a call begins; the text is its name
    CALLS_ARGS,  // a piece of its arguments' JSON
    CALLS_END    // of the call
} calls_part;

typedef void calls_fn(void *ctx, calls_part part, const char *p, size_t n);

typedef struct calls_parser {
    calls_style style;
    const json_t *tools;   // array of declared tools (OpenAI's shape), borrowed; NULL: calls are text
    bool split_reasoning;  // else it is text, with its words
    calls_fn *fn;
    void *ctx;
    int state;
    buf pend;       // seen, not told
    bool any_text;  // something other than white space was told
    bool trim;      // white space is left out until other text comes
    // The call under way:
    buf raw, key, name, args;
    int depth;
    bool in_string, escaped, want_key, in_key, told, capturing, began, list;
    int member;  // of the object: 0 other, 1 the name, 2 the arguments
} calls_parser;

// inside_reasoning: the prompt has opened it already.
void calls_begin(calls_parser *p, const calls_style *style, const json_t *tools, bool split_reasoning,
                 bool inside_reasoning, calls_fn *fn, void *ctx);
void calls_feed(calls_parser *p, const char *text, size_t n);
void calls_end(calls_parser *p);  // what is held back is told
void calls_free(calls_parser *p);
bool calls_reasoning(const calls_parser *p);  // what comes now is reasoning
bool calls_failed(const calls_parser *p);     // no memory

#endif

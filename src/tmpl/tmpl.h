// The door of the tmpl room: chat templates in a Jinja subset, rendered with every byte's origin known.
//
// The text is what Jinja2 gives with trim_blocks, lstrip_blocks and the loop-control tags, plus the names chat
// templates expect: tojson (keyword arguments, no HTML escaping), from_json, raise_exception, strftime_now, and the
// {% generation %} tag, which changes nothing. Where the text came from travels with it through every operation,
// so that a tokenizer can look for control tokens in the template's own words only.
//
// What is trusted: the template's text and literals; bos_token and eos_token; a message's "role" when it is a
// plain word ([A-Za-z0-9_-]+); numbers and sizes the template computes itself. Everything else that came in as
// JSON is data, keys included. Strings keep an origin per byte through slicing, joining, replacing, upper-casing
// and formatting; text made from a whole structure (tojson, str() of a list or mapping) is data throughout as
// soon as one byte in it is. Comparisons look at the text alone.
#ifndef TMPL_TMPL_H
#define TMPL_TMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum tmpl_origin {
    TMPL_TRUSTED = 0,  // may spell control tokens
    TMPL_DATA = 1,     // must be tokenized as plain text
};

// A parsed template: read-only after tmpl_parse, usable from any number of threads at once.
typedef struct tmpl tmpl;

// Parses src[0..n) (UTF-8; copied). Errors: ST_FORMAT (with line, what was found and what was expected),
// ST_LIMIT (nested deeper than 200, larger than 4 MiB), ST_NOMEM.
int tmpl_parse(tmpl **out, const char *src, size_t n, err *e);
void tmpl_free(tmpl *t);

// What a template is given. All text is UTF-8. messages_json must be given; without tools_json (and documents in
// extra_json) the template sees None, as its writers expect; other variables that are NULL stay undefined.
typedef struct tmpl_input {
    const char *messages_json;  // array of messages in OpenAI's shape
    const char *tools_json;     // array of tools
    const char *extra_json;     // object whose members become variables: enable_thinking, documents, ...
    bool add_generation_prompt;
    const char *bos_token, *eos_token;
    int64_t now;  // seconds since 1970, for strftime_now; shown in the process's time zone
} tmpl_input;

typedef struct tmpl_segment {
    size_t from, len;  // bytes of tmpl_output.text; segments adjoin, alternate in origin and cover the text
    enum tmpl_origin origin;
} tmpl_segment;

typedef struct tmpl_output {
    char *text;  // NUL-terminated
    size_t len;
    tmpl_segment *segments;
    size_t n_segments;
} tmpl_output;

// Renders into *out (tmpl_output_done frees it; left empty on failure). Errors: ST_INVALID with the template's own
// words when it calls raise_exception, and for JSON that cannot be read or has the wrong shape; ST_FORMAT when
// the template does what its language forbids (line in the message); ST_UNSUPPORTED for a language feature
// that is missing here; ST_LIMIT past a bound of work, nesting or memory; ST_NOMEM.
int tmpl_render(const tmpl *t, const tmpl_input *in, tmpl_output *out, err *e);
void tmpl_output_done(tmpl_output *out);

#endif

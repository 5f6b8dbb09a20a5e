// Writes JSON text into a buffer, commas and escapes included. Reading JSON is jansson's work elsewhere.
//   json_writer w; json_begin(&w, &out); json_obj(&w); json_key(&w, "n"); json_int(&w, 3); json_end(&w);
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct json_writer {
    buf *out;
    int depth;
    bool first[32];  // nothing written yet at this depth
    char closer[32];
    bool after_key;
} json_writer;

void json_begin(json_writer *w, buf *out);
void json_obj(json_writer *w);  // nesting up to 31 deep; deeper sets out->failed
void json_arr(json_writer *w);
void json_end(json_writer *w);  // closes the innermost object or array
void json_key(json_writer *w, const char *key);
void json_str(json_writer *w, const char *s);
void json_strn(json_writer *w, const char *s, size_t n);  // invalid UTF-8 becomes U+FFFD
void json_int(json_writer *w, int64_t v);
void json_num(json_writer *w, double v);  // a short text that reads back equal; not finite: null
void json_bool(json_writer *w, bool v);
void json_raw(json_writer *w, const char *s, size_t n);  // a value that is JSON text already
void json_none(json_writer *w);                          // null (jansson owns the name json_null)

#endif

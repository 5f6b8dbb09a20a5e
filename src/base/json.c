// The JSON writer.
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void json_begin(json_writer *w, buf *out)
{
    *w = (json_writer){.out = out};
    w->first[0] = true;
}

// Before a value: the comma that separates it from the one before.
static void lead(json_writer *w)
{
    if (w->after_key)
        w->after_key = false;
    else if (!w->first[w->depth])
        buf_add_char(w->out, ',');
    w->first[w->depth] = false;
}

static void open_with(json_writer *w, char open, char close)
{
    lead(w);
    buf_add_char(w->out, open);
    if (w->depth + 1 >= (int)(sizeof w->closer)) {
        w->out->failed = true;
        return;
    }
    w->depth++;
    w->first[w->depth] = true;
    w->closer[w->depth] = close;
}

void json_obj(json_writer *w)
{
    open_with(w, '{', '}');
}

void json_arr(json_writer *w)
{
    open_with(w, '[', ']');
}

void json_end(json_writer *w)
{
    if (w->depth == 0)
        return;
    buf_add_char(w->out, w->closer[w->depth]);
    w->depth--;
}

static void quoted(buf *out, const char *s, size_t n)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, (char)c);
            i++;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            buf_add_str(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
            i++;
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\u%04x", c);
            i++;
        } else if (c < 0x80) {
            buf_add_char(out, (char)c);
            i++;
        } else {
            uint32_t cp;
            size_t k = utf8_decode(s + i, n - i, &cp);
            if (k)
                buf_add(out, s + i, k);
            else
                buf_add_str(out, "\xEF\xBF\xBD");
            i += k ? k : 1;
        }
    }
    buf_add_char(out, '"');
}

void json_key(json_writer *w, const char *key)
{
    lead(w);
    quoted(w->out, key, strlen(key));
    buf_add_char(w->out, ':');
    w->after_key = true;
}

void json_strn(json_writer *w, const char *s, size_t n)
{
    lead(w);
    quoted(w->out, s, n);
}

void json_str(json_writer *w, const char *s)
{
    json_strn(w, s, strlen(s));
}

void json_int(json_writer *w, int64_t v)
{
    lead(w);
    buf_printf(w->out, "%" PRId64, v);
}

void json_num(json_writer *w, double v)
{
    lead(w);
    if (!isfinite(v)) {
        buf_add_str(w->out, "null");
        return;
    }
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    char *comma = strchr(text, ',');  // the decimal point of some locales
    if (comma)
        *comma = '.';
    buf_add_str(w->out, text);
}

void json_bool(json_writer *w, bool v)
{
    lead(w);
    buf_add_str(w->out, v ? "true" : "false");
}

void json_raw(json_writer *w, const char *s, size_t n)
{
    lead(w);
    buf_add(w->out, s, n);
}

void json_none(json_writer *w)
{
    lead(w);
    buf_add_str(w->out, "null");
}

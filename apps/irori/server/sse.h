// Server-sent events, and the small words of JSON that the formats write over and over.
#ifndef SERVER_SSE_H
#define SERVER_SSE_H

#include "server/ask.h"

static inline void put_str(json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_str(w, value);
}

static inline void put_buf(json_writer *w, const char *key, const buf *b)
{
    json_key(w, key);
    json_strn(w, b->len ? b->data : "", b->len);
}

static inline void put_int(json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_int(w, value);
}

static inline void put_none(json_writer *w, const char *key)
{
    json_key(w, key);
    json_none(w);
}

// Entries of an array, separated by commas, that are JSON text already.
static inline void put_entries(json_writer *w, const char *key, const buf *entries)
{
    json_key(w, key);
    json_arr(w);
    if (entries->len)
        json_raw(w, entries->data, entries->len);
    json_end(w);
}

// An event into a->out: sse_begin, the JSON by the writer, sse_send.
static inline void sse_begin(ask *a, const char *event, json_writer *w)
{
    buf_clear(&a->out);
    if (event)
        buf_printf(&a->out, "event: %s\n", event);
    buf_add_str(&a->out, "data: ");
    json_begin(w, &a->out);
    json_obj(w);
}

static inline void sse_send(ask *a, json_writer *w)
{
    json_end(w);
    buf_add_str(&a->out, "\n\n");
    if (!a->out.failed)
        http_write(a->r, a->out.data, a->out.len);
}

#endif

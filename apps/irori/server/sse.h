// Server-sent events, and arrays of entries that are JSON text already.
#ifndef SERVER_SSE_H
#define SERVER_SSE_H

#include "put.h"
#include "server/ask.h"

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

// The small words of JSON that reports and answers write over and over: a key and its value.
#ifndef IRORI_PUT_H
#define IRORI_PUT_H

#include "base/buf.h"
#include "base/json.h"

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

static inline void put_num(json_writer *w, const char *key, double value)  // not finite: null
{
    json_key(w, key);
    json_num(w, value);
}

static inline void put_bool(json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

static inline void put_none(json_writer *w, const char *key)
{
    json_key(w, key);
    json_none(w);
}

#endif

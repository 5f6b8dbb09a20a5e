// The in-memory GGUF builder of the tokenizer's tests (the format: version 3, little-endian).
#include "tok/build.h"

#include <string.h>

static void number(buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_add_char(b, (char)(v >> (8 * i) & 0xFF));
}

static void string(buf *b, const char *s, size_t n)
{
    number(b, n, 8);
    buf_add(b, s, n);
}

void build_init(build *b)
{
    buf_init(&b->out);
    b->keys = 0;
    buf_add_str(&b->out, "GGUF");
    number(&b->out, 3, 4);
    number(&b->out, 0, 8);  // tensors
    number(&b->out, 0, 8);  // keys: written at the end
}

void build_done(build *b)
{
    buf_done(&b->out);
}

static void begin(build *b, const char *key, enum gguf_value_type type)
{
    b->keys++;
    string(&b->out, key, strlen(key));
    number(&b->out, type, 4);
}

static void begin_array(build *b, const char *key, enum gguf_value_type elem, size_t n)
{
    begin(b, key, GGUF_ARRAY);
    number(&b->out, elem, 4);
    number(&b->out, n, 8);
}

void build_str(build *b, const char *key, const char *s, size_t n)
{
    begin(b, key, GGUF_STRING);
    string(&b->out, s, n);
}

void build_u32(build *b, const char *key, uint32_t v)
{
    begin(b, key, GGUF_U32);
    number(&b->out, v, 4);
}

void build_bool(build *b, const char *key, bool v)
{
    begin(b, key, GGUF_BOOL);
    number(&b->out, v, 1);
}

void build_strs(build *b, const char *key, const gguf_str *v, size_t n)
{
    begin_array(b, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        string(&b->out, v[i].p, v[i].n);
}

void build_cstrs(build *b, const char *key, const char *const *v, size_t n)
{
    begin_array(b, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        string(&b->out, v[i], strlen(v[i]));
}

void build_i32s(build *b, const char *key, const int32_t *v, size_t n)
{
    begin_array(b, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        number(&b->out, (uint32_t)v[i], 4);
}

void build_f32s(build *b, const char *key, const float *v, size_t n)
{
    begin_array(b, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], 4);
        number(&b->out, bits, 4);
    }
}

void build_bytes(build *b, const char *key, const void *v, size_t n)
{
    begin_array(b, key, GGUF_U8, n);
    buf_add(&b->out, v, n);
}

int build_open(build *b, tok **t, err *e)
{
    if (b->out.failed)
        return err_set(e, ST_NOMEM, "no memory to build the file");
    for (int i = 0; i < 8; i++)
        b->out.data[16 + i] = (char)(b->keys >> (8 * i) & 0xFF);
    for (size_t pad = (32 - b->out.len % 32) % 32; pad > 0; pad--)
        buf_add_char(&b->out, 0);
    if (b->out.failed)
        return err_set(e, ST_NOMEM, "no memory to build the file");
    gguf *g = NULL;
    int rc = gguf_open_memory(&g, b->out.data, b->out.len, e);
    if (rc)
        return rc;
    rc = tok_open(t, g, e);
    gguf_close(g);
    return rc;
}

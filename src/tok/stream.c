// Token ids back to text, one at a time: bytes are held back until they are whole characters.
#include <string.h>

#include "tok/own.h"

void tok_stream_init(tok_stream *s, const tok *t, unsigned flags)
{
    *s = (tok_stream){.t = t, .flags = flags, .at_start = flags & TOK_START};
}

static void replace(buf *out)
{
    buf_add(out, "\xEF\xBF\xBD", 3);
}

// The length of the longest part of s[0..n) that could begin a character; s does not begin with a whole one.
static size_t broken_part(const char *s, size_t n)
{
    size_t k = 1;
    while (k < n && k < 3 && utf8_incomplete_tail(s, k) == k && utf8_incomplete_tail(s, k + 1) == k + 1)
        k++;
    return k;
}

// Adds one byte to the held ones. False when it does not go on from them; they are then given up.
static bool hold(tok_stream *s, char byte, buf *out)
{
    char all[4];
    memcpy(all, s->held, s->n_held);
    size_t n = s->n_held;
    all[n++] = byte;
    uint32_t cp = 0;
    if (utf8_decode(all, n, &cp) == n) {
        buf_add(out, all, n);
        s->n_held = 0;
        return true;
    }
    if (n < 4 && utf8_incomplete_tail(all, n) == n) {
        memcpy(s->held, all, n);
        s->n_held = (uint8_t)n;
        return true;
    }
    replace(out);
    s->n_held = 0;
    return false;
}

static void put(tok_stream *s, const char *p, size_t n, buf *out)
{
    size_t i = 0;
    while (s->n_held && i < n)
        i += hold(s, p[i], out);
    while (i < n) {
        size_t from = i;
        uint32_t cp = 0;
        for (size_t len; i < n && (len = utf8_decode(p + i, n - i, &cp)) > 0;)
            i += len;
        buf_add(out, p + from, i - from);
        if (i == n)
            break;
        if (utf8_incomplete_tail(p + i, n - i) == n - i) {
            memcpy(s->held, p + i, n - i);
            s->n_held = (uint8_t)(n - i);
            break;
        }
        replace(out);
        i += broken_part(p + i, n - i);
    }
}

int tok_stream_feed(tok_stream *s, int32_t id, buf *out)
{
    if (id < 0 || (uint32_t)id >= s->t->count)
        return ST_INVALID;
    size_t n = 0;
    const char *p = tok_piece(s->t, id, s->flags, &n);
    bool control = tok_is_control(s->t, id);
    if (control) {
        // A character never goes on across a control token.
        if (s->n_held)
            replace(out);
        s->n_held = 0;
    } else if (n && s->at_start) {
        s->at_start = false;
        if (s->t->space_prefix && p[0] == ' ') {
            p++;
            n--;
        }
    }
    if (s->flags & TOK_RAW)
        buf_add(out, p, n);
    else
        put(s, p, n, out);
    return ST_OK;
}

void tok_stream_end(tok_stream *s, buf *out)
{
    if (s->n_held)
        replace(out);
    tok_stream_init(s, s->t, s->flags);
}

int tok_decode(const tok *t, const int32_t *ids, size_t n, unsigned flags, buf *out, err *e)
{
    tok_stream s;
    tok_stream_init(&s, t, flags);
    for (size_t i = 0; i < n; i++)
        if (tok_stream_feed(&s, ids[i], out))
            return err_set(e, ST_INVALID, "token %zu is %d, but the vocabulary has %u tokens", i, ids[i],
                           t->count);
    tok_stream_end(&s, out);
    return out->failed ? err_set(e, ST_NOMEM, "no memory for the decoded text") : ST_OK;
}

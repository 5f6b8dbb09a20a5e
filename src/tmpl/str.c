// Text with origins: building, cutting, comparing, searching.
#include "tmpl/str.h"

#include <string.h>

strbuf tmpl_sb(heap *h)
{
    return (strbuf){.h = h};
}

static void grow(strbuf *b, size_t extra)
{
    if (b->cap - b->n >= extra)
        return;
    if (extra > b->h->limit)
        tmpl_fail(b->h, ST_LIMIT, "the template makes a text of more than %zu bytes", b->h->limit);
    size_t cap = MAX((b->n + extra) + (b->n + extra) / 2, (size_t)32);
    char *p = tmpl_alloc(b->h, cap);
    uint8_t *o = tmpl_alloc(b->h, cap);
    if (b->n) {
        memcpy(p, b->p, b->n);
        memcpy(o, b->o, b->n);
    }
    b->p = p;
    b->o = o;
    b->cap = cap;
}

void tmpl_sb_add(strbuf *b, const char *p, size_t n, int origin)
{
    if (n == 0)
        return;
    grow(b, n);
    memcpy(b->p + b->n, p, n);
    memset(b->o + b->n, origin, n);
    b->n += n;
    tmpl_step(b->h, n / 64);
}

void tmpl_sb_puts(strbuf *b, const char *s)
{
    tmpl_sb_add(b, s, strlen(s), TMPL_TRUSTED);
}

void tmpl_sb_str(strbuf *b, const str *s)
{
    tmpl_sb_part(b, s, 0, s->n);
}

void tmpl_sb_part(strbuf *b, const str *s, size_t from, size_t n)
{
    if (n == 0)
        return;
    grow(b, n);
    memcpy(b->p + b->n, s->p + from, n);
    memcpy(b->o + b->n, s->o + from, n);
    b->n += n;
    tmpl_step(b->h, n / 64);
}

void tmpl_sb_cp(strbuf *b, uint32_t cp, int origin)
{
    char u[4];
    tmpl_sb_add(b, u, utf8_encode(cp, u), origin);
}

const str *tmpl_sb_done(strbuf *b)
{
    str *s = tmpl_alloc(b->h, sizeof *s);
    *s = (str){.p = b->p, .o = b->o, .n = b->n};
    return s;
}

const str *tmpl_str(heap *h, const char *p, size_t n, int origin)
{
    strbuf b = tmpl_sb(h);
    tmpl_sb_add(&b, p, n, origin);
    return tmpl_sb_done(&b);
}

const str *tmpl_str_z(heap *h, const char *s)
{
    return tmpl_str(h, s, strlen(s), TMPL_TRUSTED);
}

value tmpl_strv(heap *h, const char *s)
{
    return val_str(tmpl_str_z(h, s));
}

const str *tmpl_str_part(heap *h, const str *s, size_t from, size_t n)
{
    if (from == 0 && n == s->n)
        return s;
    str *part = tmpl_alloc(h, sizeof *part);
    *part = (str){.n = n};
    if (n) {
        part->p = s->p + from;
        part->o = s->o + from;
    }
    return part;
}

// `a = a + b` in a loop must not copy `a` each time: when `a` ends where its buffer ends, b is put behind it.
const str *tmpl_str_cat(heap *h, const str *a, const str *b)
{
    if (b->n == 0)
        return a;
    if (a->n == 0)
        return b;
    strbuf *own = a->own;
    if (!own || a->p + a->n != own->p + own->n || own->cap - own->n < b->n) {
        own = tmpl_alloc(h, sizeof *own);
        *own = tmpl_sb(h);
        tmpl_sb_str(own, a);
    }
    tmpl_sb_str(own, b);
    str *s = tmpl_alloc(h, sizeof *s);
    *s = (str){.n = a->n + b->n, .own = own};
    s->p = own->p + own->n - s->n;
    s->o = own->o + own->n - s->n;
    return s;
}

const str *tmpl_str_safe(heap *h, const str *s, bool safe)
{
    if (s->safe == safe)
        return s;
    str *c = tmpl_alloc(h, sizeof *c);
    *c = *s;
    c->safe = safe;
    return c;
}

const str *tmpl_str_escape(heap *h, const str *s)
{
    if (s->safe)
        return s;
    strbuf b = tmpl_sb(h);
    for (size_t i = 0; i < s->n; i++) {
        const char *e = NULL;
        switch (s->p[i]) {
        case '&': e = "&amp;"; break;
        case '<': e = "&lt;"; break;
        case '>': e = "&gt;"; break;
        case '"': e = "&#34;"; break;
        case '\'': e = "&#39;"; break;
        }
        tmpl_sb_add(&b, e ? e : &s->p[i], e ? strlen(e) : 1, s->o[i]);
    }
    return tmpl_str_safe(h, tmpl_sb_done(&b), true);
}

const str *tmpl_str_repeat(heap *h, const str *s, int64_t times)
{
    if (times <= 0 || s->n == 0)
        return tmpl_str_z(h, "");
    if ((uint64_t)times > h->limit / s->n)
        tmpl_fail(h, ST_LIMIT, "a text of %zu bytes repeated %lld times is more than %zu bytes", s->n,
                  (long long)times, h->limit);
    strbuf b = tmpl_sb(h);
    grow(&b, s->n * (size_t)times);
    for (int64_t i = 0; i < times; i++)
        tmpl_sb_str(&b, s);
    return tmpl_sb_done(&b);
}

const char *tmpl_str_c(heap *h, const str *s)
{
    char *z = tmpl_alloc(h, s->n + 1);
    if (s->n)
        memcpy(z, s->p, s->n);
    z[s->n] = 0;
    return z;
}

bool tmpl_str_is(const str *s, const char *z)
{
    return s->n == strlen(z) && (s->n == 0 || memcmp(s->p, z, s->n) == 0);
}

bool tmpl_str_eq(const str *a, const str *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

// Byte order of UTF-8 is code point order.
int tmpl_str_cmp(const str *a, const str *b)
{
    size_t n = MIN(a->n, b->n);
    int c = n ? memcmp(a->p, b->p, n) : 0;
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

int tmpl_str_origin(const str *s)
{
    return s->n && memchr(s->o, TMPL_DATA, s->n) ? TMPL_DATA : TMPL_TRUSTED;
}

size_t tmpl_str_len(const str *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += ((unsigned char)s->p[i] & 0xC0) != 0x80;
    return n;
}

size_t tmpl_str_at(const str *s, size_t cp)
{
    size_t at = 0;
    while (at < s->n && cp > 0) {
        at++;
        while (at < s->n && ((unsigned char)s->p[at] & 0xC0) == 0x80)
            at++;
        cp--;
    }
    return at;
}

uint32_t tmpl_str_next(const str *s, size_t *at)
{
    uint32_t cp = 0xFFFD;
    size_t n = utf8_decode(s->p + *at, s->n - *at, &cp);
    *at += n ? n : 1;
    return cp;
}

size_t tmpl_str_find(const str *s, size_t from, const str *what)
{
    if (what->n > s->n - from)
        return STR_NONE;
    if (what->n == 0)
        return from;
    const char *p = memmem(s->p + from, s->n - from, what->p, what->n);
    return p ? (size_t)(p - s->p) : STR_NONE;
}

size_t tmpl_str_rfind(heap *h, const str *s, const str *what)
{
    if (what->n > s->n)
        return STR_NONE;
    for (size_t at = s->n - what->n + 1; at-- > 0;) {
        tmpl_step(h, what->n / 64 + at % 64 / 63);
        if (what->n == 0 || memcmp(s->p + at, what->p, what->n) == 0)
            return at;
    }
    return STR_NONE;
}

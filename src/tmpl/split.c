// Taking text apart: strip, replace, split, lines. Pieces share the bytes and origins of the whole.
#include <string.h>

#include "tmpl/str.h"

static bool strippable(heap *h, uint32_t cp, const str *chars)
{
    if (!chars)
        return tmpl_cp_space(cp);
    tmpl_step(h, chars->n / 8);
    for (size_t at = 0; at < chars->n;)
        if (tmpl_str_next(chars, &at) == cp)
            return true;
    return false;
}

// Start of the character that ends at byte `end`.
static size_t char_before(const str *s, size_t end)
{
    do
        end--;
    while (end > 0 && ((unsigned char)s->p[end] & 0xC0) == 0x80);
    return end;
}

const str *tmpl_str_strip(heap *h, const str *s, const str *chars, int sides)
{
    size_t from = 0, to = s->n;
    tmpl_step(h, 1);
    while ((sides & STRIP_LEFT) && from < to) {
        size_t at = from;
        if (!strippable(h, tmpl_str_next(s, &at), chars))
            break;
        from = at;
    }
    while ((sides & STRIP_RIGHT) && from < to) {
        size_t at = char_before(s, to), next = at;
        if (!strippable(h, tmpl_str_next(s, &next), chars))
            break;
        to = at;
    }
    tmpl_step(h, (s->n - (to - from)) / 16);
    return tmpl_str_part(h, s, from, to - from);
}

// The empty string is found before every character and at the end.
static const str *replace_empty(heap *h, const str *s, const str *with, int64_t most)
{
    strbuf b = tmpl_sb(h);
    for (size_t at = 0; at < s->n;) {
        size_t from = at;
        tmpl_str_next(s, &at);
        if (most != 0)
            tmpl_sb_str(&b, with);
        most -= most > 0;
        tmpl_sb_part(&b, s, from, at - from);
    }
    if (most != 0)
        tmpl_sb_str(&b, with);
    return tmpl_sb_done(&b);
}

const str *tmpl_str_replace(heap *h, const str *s, const str *old, const str *with, int64_t most)
{
    if (old->n == 0)
        return replace_empty(h, s, with, most);
    strbuf b = tmpl_sb(h);
    size_t from = 0, at;
    tmpl_step(h, s->n / 64);
    while (most != 0 && (at = tmpl_str_find(s, from, old)) != STR_NONE) {
        tmpl_sb_part(&b, s, from, at - from);
        tmpl_sb_str(&b, with);
        from = at + old->n;
        most -= most > 0;
        tmpl_step(h, 1);
    }
    if (from == 0)
        return s;
    tmpl_sb_part(&b, s, from, s->n - from);
    return tmpl_sb_done(&b);
}

static void push_part(heap *h, seq *l, const str *s, size_t from, size_t to)
{
    tmpl_seq_push(h, l, val_str(tmpl_str_part(h, s, from, to - from)));
}

static size_t skip_space(const str *s, size_t at, bool space)
{
    while (at < s->n) {
        size_t next = at;
        if (tmpl_cp_space(tmpl_str_next(s, &next)) != space)
            break;
        at = next;
    }
    return at;
}

static seq *split_space(heap *h, const str *s, int64_t most)
{
    seq *l = tmpl_seq_new(h, 0);
    tmpl_step(h, s->n / 16);
    size_t at = skip_space(s, 0, true);
    while (at < s->n) {
        if (most-- == 0) {
            push_part(h, l, s, at, s->n);
            break;
        }
        size_t end = skip_space(s, at, false);
        push_part(h, l, s, at, end);
        at = skip_space(s, end, true);
    }
    return l;
}

seq *tmpl_str_split(heap *h, const str *s, const str *sep, int64_t most)
{
    tmpl_step(h, s->n / 64);
    if (!sep)
        return split_space(h, s, most);
    if (sep->n == 0)
        tmpl_fail(h, ST_FORMAT, "empty separator");
    seq *l = tmpl_seq_new(h, 0);
    size_t from = 0, at;
    while (most-- != 0 && (at = tmpl_str_find(s, from, sep)) != STR_NONE) {
        push_part(h, l, s, from, at);
        from = at + sep->n;
    }
    push_part(h, l, s, from, s->n);
    return l;
}

static void turn(seq *l)
{
    for (size_t i = 0, j = l->n; i + 1 < j; i++) {
        value v = l->v[i];
        l->v[i] = l->v[--j];
        l->v[j] = v;
    }
}

static seq *rsplit_space(heap *h, const str *s, int64_t most)
{
    seq *l = tmpl_seq_new(h, 0);
    for (;;) {
        s = tmpl_str_strip(h, s, NULL, STRIP_RIGHT);
        if (s->n == 0)
            return l;
        size_t from = s->n;
        if (most-- == 0) {
            tmpl_seq_push(h, l, val_str(s));
            return l;
        }
        while (from > 0) {
            size_t at = char_before(s, from), next = at;
            if (tmpl_cp_space(tmpl_str_next(s, &next)))
                break;
            from = at;
        }
        push_part(h, l, s, from, s->n);
        s = tmpl_str_part(h, s, 0, from);
    }
}

seq *tmpl_str_rsplit(heap *h, const str *s, const str *sep, int64_t most)
{
    seq *l;
    tmpl_step(h, s->n / 64);
    if (!sep) {
        l = rsplit_space(h, s, most);
    } else {
        if (sep->n == 0)
            tmpl_fail(h, ST_FORMAT, "empty separator");
        l = tmpl_seq_new(h, 0);
        size_t at;
        while (most-- != 0 && (at = tmpl_str_rfind(h, s, sep)) != STR_NONE) {
            tmpl_step(h, (s->n - at) / 64);
            push_part(h, l, s, at + sep->n, s->n);
            s = tmpl_str_part(h, s, 0, at);
        }
        tmpl_seq_push(h, l, val_str(s));
    }
    turn(l);
    return l;
}

static bool line_end(uint32_t cp)
{
    return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

seq *tmpl_str_lines(heap *h, const str *s, bool keep_ends)
{
    seq *l = tmpl_seq_new(h, 0);
    size_t from = 0;
    tmpl_step(h, s->n / 16);
    for (size_t at = 0; at < s->n;) {
        size_t end = at;
        uint32_t cp = tmpl_str_next(s, &at);
        if (!line_end(cp))
            continue;
        if (cp == '\r' && at < s->n && s->p[at] == '\n')
            at++;
        push_part(h, l, s, from, keep_ends ? at : end);
        from = at;
    }
    if (from < s->n)
        push_part(h, l, s, from, s->n);
    return l;
}

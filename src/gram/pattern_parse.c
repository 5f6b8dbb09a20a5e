// Reads a regular expression into a tree.
#include <string.h>

#include "gram/pattern_own.h"

enum {
    LONGEST = 1 << 16,     // bytes of a pattern
    DEEPEST = 200,         // nested groups
    MOST_TIMES = 1000000,  // of a repetition
};

typedef struct parser {
    arena *a;
    const char *s;
    size_t n, at;
    int depth;
    err *e;
} parser;

static int fail(parser *p, int code, const char *what)
{
    return err_set(p->e, code, "%s at byte %zu of \"%.*s\"", what, p->at, (int)MIN(p->n, 80), p->s);
}

static int peek(const parser *p)
{
    return p->at < p->n ? (unsigned char)p->s[p->at] : -1;
}

static bool take(parser *p, char c)
{
    if (peek(p) != (unsigned char)c)
        return false;
    p->at++;
    return true;
}

static pattern_node *make(parser *p, pattern_kind kind)
{
    pattern_node *x = arena_calloc(p->a, 1, sizeof *x);
    if (!x) {
        fail(p, ST_NOMEM, "no memory");
        return NULL;
    }
    x->kind = kind;
    x->nullable = kind != PATTERN_CLASS;
    x->anchored = kind >= PATTERN_START;
    return x;
}

static int hex_value(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// Exactly n hexadecimal digits; false leaves the place.
static bool hex_digits(parser *p, int n, uint32_t *out)
{
    uint32_t v = 0;
    if (p->n - p->at < (size_t)n)
        return false;
    for (int i = 0; i < n; i++) {
        int d = hex_value((unsigned char)p->s[p->at + (size_t)i]);
        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    p->at += (size_t)n;
    *out = v;
    return true;
}

static int unicode_escape(parser *p, uint32_t *c)
{
    if (take(p, '{')) {
        uint32_t v = 0;
        int digits = 0;
        for (; hex_value(peek(p)) >= 0 && digits < 6; digits++)
            v = v << 4 | (uint32_t)hex_value((unsigned char)p->s[p->at++]);
        if (!digits || !take(p, '}') || v > 0x10FFFF)
            return fail(p, ST_FORMAT, "a bad \\u{...}");
        *c = v;
        return ST_OK;
    }
    uint32_t low;
    if (!hex_digits(p, 4, c))
        return fail(p, ST_FORMAT, "a bad \\u escape");
    size_t back = p->at;
    if (*c >= 0xD800 && *c < 0xDC00 && take(p, '\\') && take(p, 'u') && hex_digits(p, 4, &low) &&
        low >= 0xDC00 && low < 0xE000) {
        *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
        return ST_OK;
    }
    p->at = back;
    return ST_OK;
}

// Behind a backslash: one character into *c, or a named class (*named is its letter).
static int escape(parser *p, bool in_class, uint32_t *c, int *named)
{
    *named = 0;
    int k = peek(p);
    if (k < 0)
        return fail(p, ST_FORMAT, "a backslash at the end");
    p->at++;
    switch (k) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 's':
    case 'S': *named = k; return ST_OK;
    case 'n': *c = '\n'; return ST_OK;
    case 'r': *c = '\r'; return ST_OK;
    case 't': *c = '\t'; return ST_OK;
    case 'v': *c = '\v'; return ST_OK;
    case 'f': *c = '\f'; return ST_OK;
    case 'u': return unicode_escape(p, c);
    case 'x': return hex_digits(p, 2, c) ? ST_OK : fail(p, ST_FORMAT, "a bad \\x escape");
    case 'c':
        if (p->at >= p->n || !((p->s[p->at] | 0x20) >= 'a' && (p->s[p->at] | 0x20) <= 'z'))
            return fail(p, ST_FORMAT, "a bad \\c escape");
        *c = (uint32_t)p->s[p->at++] & 31;
        return ST_OK;
    case 'b':
        if (in_class) {
            *c = '\b';
            return ST_OK;
        }
        return fail(p, ST_UNSUPPORTED, "word boundaries (\\b) are not supported,");
    case 'p':
    case 'P': return fail(p, ST_UNSUPPORTED, "Unicode properties (\\p) are not supported,");
    default: break;
    }
    if (k == '0' && !(peek(p) >= '0' && peek(p) <= '9')) {
        *c = 0;
        return ST_OK;
    }
    if (k >= '0' && k <= '9')
        return fail(p, ST_UNSUPPORTED, "back-references are not supported,");
    if ((k | 0x20) >= 'a' && (k | 0x20) <= 'z')
        return fail(p, ST_UNSUPPORTED, "an escape that is not known");
    p->at--;
    size_t len = utf8_decode(p->s + p->at, p->n - p->at, c);
    if (!len)
        return fail(p, ST_FORMAT, "no UTF-8");
    p->at += len;
    return ST_OK;
}

// One member of a class: a character or a named class.
static int class_atom(parser *p, uint32_t *c, int *named)
{
    *named = 0;
    if (take(p, '\\'))
        return escape(p, true, c, named);
    size_t len = utf8_decode(p->s + p->at, p->n - p->at, c);
    if (!len)
        return fail(p, ST_FORMAT, p->at >= p->n ? "a class without ]" : "no UTF-8");
    p->at += len;
    return ST_OK;
}

static int class_body(parser *p, pattern_ranges *out)
{
    bool negative = take(p, '^'), ok = true;
    while (peek(p) != ']') {
        uint32_t lo, hi;
        int named, named_hi = 0, rc = class_atom(p, &lo, &named);
        if (rc)
            return rc;
        if (named) {
            ok = ok && pattern_add_named(out, named);
            continue;
        }
        hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->n && p->s[p->at + 1] != ']') {
            size_t back = p->at++;
            if ((rc = class_atom(p, &hi, &named_hi)))
                return rc;
            if (named_hi) {  // [a-\d]: the minus stands for itself
                p->at = back;
                hi = lo;
                if (p->at++, !pattern_add(out, '-', '-'))
                    return fail(p, ST_NOMEM, "no memory");
            } else if (hi < lo) {
                return fail(p, ST_FORMAT, "a range the wrong way round");
            }
        }
        ok = ok && pattern_add(out, lo, hi);
        if (out->n > LONGEST)
            return fail(p, ST_LIMIT, "too large a class");
    }
    p->at++;
    if (ok && negative)
        ok = pattern_invert(out);
    pattern_sort(out);
    return ok ? ST_OK : fail(p, ST_NOMEM, "no memory");
}

// Takes the ranges over into a node.
static int class_node(parser *p, pattern_ranges *l, pattern_node **out)
{
    pattern_node *x = make(p, PATTERN_CLASS);
    pattern_range *r = x ? arena_alloc(p->a, (l->n + 1) * sizeof *r) : NULL;
    if (r && l->n)
        memcpy(r, l->r, l->n * sizeof *r);
    if (r) {
        x->range = r;
        x->n = l->n;
    }
    pattern_ranges_done(l);
    *out = x;
    return r ? ST_OK : fail(p, ST_NOMEM, "no memory");
}

static int disjunction(parser *p, pattern_node **out);

static int group(parser *p, pattern_node **out)
{
    bool look = false, negative = false;
    if (take(p, '?')) {
        int k = peek(p);
        p->at++;
        int next = peek(p);
        if (k == '=' || k == '!') {
            look = true;
            negative = k == '!';
        } else if (k == '<' && (next == '=' || next == '!')) {
            return fail(p, ST_UNSUPPORTED, "look-behind is not supported,");
        } else if (k == '<') {
            while (peek(p) >= 0 && peek(p) != '>')
                p->at++;
            if (!take(p, '>'))
                return fail(p, ST_FORMAT, "a group name without >");
        } else if (k != ':') {
            return fail(p, ST_UNSUPPORTED, "a kind of group that is not known");
        }
    }
    if (++p->depth > DEEPEST)
        return fail(p, ST_LIMIT, "groups nested too deep (200 allowed)");
    pattern_node *kid;
    int rc = disjunction(p, &kid);
    p->depth--;
    if (rc)
        return rc;
    if (!take(p, ')'))
        return fail(p, ST_FORMAT, "a group without )");
    *out = kid;
    if (look) {
        if (!(*out = make(p, PATTERN_LOOK)))
            return ST_NOMEM;
        (*out)->kid = kid;
        (*out)->negative = negative;
    }
    return ST_OK;
}

static int atom(parser *p, pattern_node **out)
{
    uint32_t c;
    int named = 0, rc;
    pattern_ranges l = {0};
    bool ok = true;
    switch (peek(p)) {
    case '(': p->at++; return group(p, out);
    case '^':
        p->at++;
        *out = make(p, PATTERN_START);
        return *out ? ST_OK : ST_NOMEM;
    case '$':
        p->at++;
        *out = make(p, PATTERN_END);
        return *out ? ST_OK : ST_NOMEM;
    case '*':
    case '+':
    case '?': return fail(p, ST_FORMAT, "a repetition of nothing");
    case '[':
        p->at++;
        if ((rc = class_body(p, &l))) {
            pattern_ranges_done(&l);
            return rc;
        }
        return class_node(p, &l, out);
    case '.':
        p->at++;
        ok = pattern_add(&l, '\n', '\n') && pattern_add(&l, '\r', '\r') && pattern_add(&l, 0x2028, 0x2029) &&
             pattern_invert(&l);
        break;
    case '\\':
        p->at++;
        if ((rc = escape(p, false, &c, &named)))
            return rc;
        ok = named ? pattern_add_named(&l, named) : pattern_add(&l, c, c);
        pattern_sort(&l);
        break;
    default: {
        size_t len = utf8_decode(p->s + p->at, p->n - p->at, &c);
        if (!len)
            return fail(p, ST_FORMAT, "no UTF-8");
        p->at += len;
        ok = pattern_add(&l, c, c);
    }
    }
    if (!ok) {
        pattern_ranges_done(&l);
        return fail(p, ST_NOMEM, "no memory");
    }
    return class_node(p, &l, out);
}

static bool number(parser *p, uint32_t *out)
{
    uint64_t v = 0;
    size_t from = p->at;
    while (peek(p) >= '0' && peek(p) <= '9' && v < (uint64_t)1 << 40)
        v = v * 10 + (uint64_t)(p->s[p->at++] - '0');
    *out = (uint32_t)MIN(v, UINT32_MAX - 1);
    return p->at > from;
}

// "{2,5}" at the place; false (and the place kept) when the brace is an ordinary character.
static bool braces(parser *p, uint32_t *least, uint32_t *most)
{
    size_t from = p->at++;
    if (number(p, least)) {
        *most = *least;
        if (take(p, ',') && !number(p, most))
            *most = RX_MANY;
        if (take(p, '}'))
            return true;
    }
    p->at = from;
    return false;
}

static int quantified(parser *p, pattern_node **out)
{
    int rc = atom(p, out);
    while (!rc) {
        uint32_t least = 0, most = RX_MANY;
        int k = peek(p);
        if (k == '{') {
            if (!braces(p, &least, &most))
                return ST_OK;
        } else if (k == '*' || k == '+' || k == '?') {
            p->at++;
            least = k == '+';
            most = k == '?' ? 1 : RX_MANY;
        } else {
            return ST_OK;
        }
        take(p, '?');  // lazy or greedy: the same texts
        if (most < least)
            return fail(p, ST_FORMAT, "a repetition whose bounds are the wrong way round");
        if (least > MOST_TIMES || (most > MOST_TIMES && most != RX_MANY))
            return fail(p, ST_LIMIT, "a repetition of more than 1000000 times");
        pattern_node *x = make(p, PATTERN_REPEAT);
        if (!x)
            return ST_NOMEM;
        *x = (pattern_node){.kind = PATTERN_REPEAT,
                            .least = least,
                            .most = most,
                            .kid = *out,
                            .nullable = least == 0 || (*out)->nullable,
                            .anchored = (*out)->anchored};
        *out = x;
        int after = peek(p);
        if (after == '*' || after == '+' || after == '?')
            return fail(p, ST_FORMAT, "a repetition of a repetition");
    }
    return rc;
}

static int sequence(parser *p, pattern_node **out)
{
    pattern_node *seq = make(p, PATTERN_SEQ), **tail = seq ? &seq->kid : NULL;
    if (!seq)
        return ST_NOMEM;
    while (peek(p) >= 0 && peek(p) != '|' && peek(p) != ')') {
        pattern_node *x;
        int rc = quantified(p, &x);
        if (rc)
            return rc;
        pattern_node *link = make(p, PATTERN_SEQ);  // a copy: a group's node may already have a sibling
        if (!link)
            return ST_NOMEM;
        *link = *x;
        link->next = NULL;
        *tail = link;
        tail = &link->next;
        seq->n++;
        seq->nullable = seq->nullable && link->nullable;
        seq->anchored = seq->anchored || link->anchored;
    }
    *out = seq;
    return ST_OK;
}

static int disjunction(parser *p, pattern_node **out)
{
    pattern_node *any = make(p, PATTERN_OR), **tail = any ? &any->kid : NULL;
    if (!any)
        return ST_NOMEM;
    any->nullable = false;
    do {
        pattern_node *x;
        int rc = sequence(p, &x);
        if (rc)
            return rc;
        *tail = x;
        tail = &x->next;
        any->n++;
        any->nullable = any->nullable || x->nullable;
        any->anchored = any->anchored || x->anchored;
    } while (take(p, '|'));
    *out = any->n == 1 ? any->kid : any;
    return ST_OK;
}

int pattern_parse(arena *a, const char *s, size_t n, pattern_node **out, err *e)
{
    parser p = {.a = a, .s = s, .n = n, .e = e};
    if (n > LONGEST)
        return err_set(e, ST_LIMIT, "a pattern of %zu bytes, allowed %d", n, LONGEST);
    int rc = disjunction(&p, out);
    if (!rc && p.at < n)
        return fail(&p, ST_FORMAT, "a ) without (");
    return rc;
}

// See guard.h.
#include "server/guard.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

typedef struct seen {
    int hosts, lengths, encodings;
    bool http11;
} seen;

static guard_verdict refuse(int *status, const char **why, int code, const char *text)
{
    *status = code;
    *why = text;
    return GUARD_REFUSE;
}

// RFC 9110, 5.6.2: the characters of a method or a field's name.
static bool is_token(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool letter = (p[i] | 32) >= 'a' && (p[i] | 32) <= 'z', digit = p[i] >= '0' && p[i] <= '9';
        if (!letter && !digit && (p[i] == 0 || !strchr("!#$%&'*+-.^_`|~", p[i])))
            return false;
    }
    return n > 0;
}

// "METHOD SP target SP HTTP/1.x", each of its parts visible ASCII.
static const char *check_request_line(const char *p, size_t n, seen *s)
{
    const char *first = memchr(p, ' ', n);
    if (!first || !is_token(p, (size_t)(first - p)) || first - p > 16)
        return "the request line has no proper method";
    const char *target = first + 1, *second = memchr(target, ' ', n - (size_t)(target - p));
    if (!second || second == target)
        return "the request line has no target";
    for (const char *c = target; c < second; c++)
        if (*c < 0x21 || *c == 0x7f)
            return "the target has characters outside visible ASCII";
    if (*target != '/' && !(second - target == 1 && *target == '*'))
        return "the target must be a path";
    for (const char *c = target; c + 2 < second; c++)
        if (c[0] == '%' && c[1] == '0' && c[2] == '0')
            return "the target has a NUL";
    size_t left = n - (size_t)(second + 1 - p);
    if (left != 8 || (memcmp(second + 1, "HTTP/1.1", 8) != 0 && memcmp(second + 1, "HTTP/1.0", 8) != 0))
        return "the version must be HTTP/1.1 or HTTP/1.0";
    s->http11 = second[8] == '1';
    return NULL;
}

static bool is_digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return n > 0 && n <= 18;
}

static const char *check_field(const char *p, size_t n, seen *s)
{
    const char *colon = memchr(p, ':', n);
    if (!colon || !is_token(p, (size_t)(colon - p)))
        return "a header line has no proper name";
    size_t name = (size_t)(colon - p);
    const char *v = colon + 1, *end = p + n;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    for (const char *c = v; c < end; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return "a header has control characters";
    size_t length = (size_t)(end - v);
    if (name == 4 && strncasecmp(p, "host", 4) == 0)
        s->hosts++;
    if (name == 14 && strncasecmp(p, "content-length", 14) == 0) {
        s->lengths++;
        if (!is_digits(v, length))
            return "Content-Length is not one decimal number";
    }
    if (name == 17 && strncasecmp(p, "transfer-encoding", 17) == 0) {
        s->encodings++;
        if (length != 7 || strncasecmp(v, "chunked", 7) != 0)
            return "the only Transfer-Encoding taken is chunked";
    }
    return NULL;
}

static const char *check_counts(const seen *s)
{
    if (s->hosts > 1 || (s->http11 && s->hosts == 0))
        return "exactly one Host header is needed";
    if (s->lengths > 1)
        return "Content-Length is given twice";
    if (s->encodings > 1)
        return "Transfer-Encoding is given twice";
    if (s->lengths && s->encodings)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (s->encodings && !s->http11)
        return "HTTP/1.0 has no Transfer-Encoding";
    return NULL;
}

guard_verdict guard_look(const char *p, size_t n, int *status, const char **why)
{
    seen s = {0};
    int lines = 0;
    for (size_t at = 0;;) {
        size_t left = (n < GUARD_MOST ? n : GUARD_MOST) - at, len = 0;
        while (len < left && p[at + len] != '\n' && p[at + len] != '\r' && p[at + len] != 0)
            len++;
        if (len == left || (p[at + len] == '\r' && len + 1 == left)) {
            if (n >= GUARD_MOST)
                return refuse(status, why, 431, "the header is longer than 16384 bytes");
            return GUARD_MORE;
        }
        if (p[at + len] != '\r' || p[at + len + 1] != '\n')
            return refuse(status, why, 400, "lines end with CRLF, and hold no CR, LF or NUL");
        const char *wrong = lines == 0 ? check_request_line(p + at, len, &s)
                            : len == 0 ? check_counts(&s)
                                       : check_field(p + at, len, &s);
        if (wrong)
            return refuse(status, why, 400, wrong);
        if (lines && len == 0)
            return GUARD_PASS;
        if (++lines > GUARD_LINES)
            return refuse(status, why, 431, "more than 100 header lines");
        at += len + 2;
    }
}

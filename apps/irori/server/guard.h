// The guard: looks at the raw head of an HTTP/1 request before any library reads it.
//
// A head passes when there is exactly one way to read it: strict CRLF lines, no NUL or other control characters, no
// folded lines, names that are tokens, one Host, one decimal Content-Length or one "chunked", never both. With one
// request a connection, nothing can then be smuggled past a proxy. (RFC 9112; libmicrohttpd 0.9.75 takes bare LF,
// repeated lengths and a length beside chunked.)
#ifndef SERVER_GUARD_H
#define SERVER_GUARD_H

#include <stddef.h>

enum { GUARD_MOST = 16384, GUARD_LINES = 100 };  // bytes of a head; header lines in it

typedef enum guard_verdict {
    GUARD_MORE,  // so far it may become a good head
    GUARD_PASS,
    GUARD_REFUSE
} guard_verdict;

// *status and *why (a static text) say how to refuse.
guard_verdict guard_look(const char *p, size_t n, int *status, const char **why);

#endif

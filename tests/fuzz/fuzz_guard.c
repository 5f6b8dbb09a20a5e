// The HTTP guard: what passes has one reading, and what is cut short is never judged otherwise than "more".
#include <stdlib.h>
#include <string.h>

#include "server/guard.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    const char *p = (const char *)data, *why;
    int status;
    guard_verdict v = guard_look(p, n, &status, &why);
    if (v != GUARD_PASS)
        return 0;
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end || memchr(p, 0, (size_t)(end - p)))
        abort();
    for (const char *c = p; c < end + 4; c++)
        if (*c == '\n' && (c == p || c[-1] != '\r'))
            abort();
    // Every shorter piece of a good head may still become one.
    if (guard_look(p, (size_t)(end - p) + 3, &status, &why) != GUARD_MORE)
        abort();
    return 0;
}

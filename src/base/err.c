// Status codes and messages.
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

int err_set(err *e, int code, const char *fmt, ...)
{
    if (!e)
        return code;
    e->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    utf8_make_printable(e->msg);
    return code;
}

int err_prefix(err *e, const char *fmt, ...)
{
    if (!e)
        return ST_INVALID;
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %.*s", (int)(sizeof e->msg - (size_t)n), old);
    utf8_make_printable(e->msg);
    return e->code;
}

const char *status_name(int code)
{
    switch (code) {
    case ST_OK: return "ok";
    case ST_INVALID: return "invalid argument";
    case ST_NOMEM: return "out of memory";
    case ST_IO: return "input/output error";
    case ST_FORMAT: return "bad format";
    case ST_UNSUPPORTED: return "not supported";
    case ST_LIMIT: return "limit exceeded";
    case ST_CANCELED: return "canceled";
    case ST_NOTFOUND: return "not found";
    case ST_BUSY: return "busy";
    default: return "unknown status";
    }
}

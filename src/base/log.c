// The log hook.
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

static struct {
    log_fn *fn;
    void *ctx;
    enum log_level most;
} hook;

void log_set(log_fn *fn, void *ctx, enum log_level most)
{
    hook.fn = fn;
    hook.ctx = ctx;
    hook.most = most;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    if (!hook.fn || level > hook.most)
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    utf8_make_printable(line);
    hook.fn(hook.ctx, level, line);
}

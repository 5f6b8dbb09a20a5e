// Messages for the person who runs irori. The library only calls the hook; the program decides where it goes.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

typedef void log_fn(void *ctx, enum log_level level, const char *line);

// Process-wide; set before other threads start. NULL drops everything (the default).
void log_set(log_fn *fn, void *ctx, enum log_level most);
// One line, as err_set makes it: no control characters, at most 511 bytes.
void log_msg(enum log_level level, const char *fmt, ...) ERR_PRINTF(2, 3);

#endif

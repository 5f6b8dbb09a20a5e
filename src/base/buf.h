// A byte buffer that grows. After a failed growth it keeps what it had, sets `failed`, and ignores further
// appends, so that a long run of appends needs one check at its end.
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

typedef struct buf {
    char *data;  // NUL-terminated once anything was appended; NULL before
    size_t len, cap;
    bool failed;  // an append was lost, nearly always for want of memory
} buf;

void buf_init(buf *b);
void buf_done(buf *b);
void buf_clear(buf *b);  // empties, keeps the memory, clears `failed`
bool buf_reserve(buf *b, size_t extra);
void buf_add(buf *b, const void *p, size_t n);
void buf_add_str(buf *b, const char *s);
void buf_add_char(buf *b, char c);
void buf_printf(buf *b, const char *fmt, ...) ERR_PRINTF(2, 3);
void buf_vprintf(buf *b, const char *fmt, va_list ap);
char *buf_take(buf *b);  // the data (mem_free it), never NULL unless failed; the buffer is empty after

#endif

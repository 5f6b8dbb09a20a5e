// Status codes and the message a person reads.
//
// Functions that can fail return 0 or a negative status. Where a person will read why, they also take an
// `err *` (may be NULL) and fill it once, at the place that knows most: what, where, found, allowed, what to do.
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum status {
    ST_OK = 0,
    ST_INVALID = -1,      // an argument or option outside its range
    ST_NOMEM = -2,        // an allocation failed
    ST_IO = -3,           // the operating system refused a read, write or map
    ST_FORMAT = -4,       // a file or text is not what its format allows
    ST_UNSUPPORTED = -5,  // well-formed, but irori does not do it
    ST_LIMIT = -6,        // past a stated bound (context, pages, queue)
    ST_CANCELED = -7,     // the caller asked to stop
    ST_NOTFOUND = -8,     // no such file, key, tensor, token
    ST_BUSY = -9,         // a queue is full: possible later
};

typedef struct err {
    int code;       // one of enum status
    char msg[504];  // one line, valid UTF-8 without control characters, NUL-terminated, cut when longer
} err;

#if defined(__GNUC__)
#define ERR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ERR_PRINTF(fmt, args)
#endif

// Writes the message and returns `code`, so that `return err_set(e, ST_FORMAT, ...)` reads as one step. What a
// file or a user put into the arguments cannot reach the terminal as control characters: they become '?'.
int err_set(err *e, int code, const char *fmt, ...) ERR_PRINTF(3, 4);

// Puts "CONTEXT: " before the message already there; for callers that know the file or tensor. Returns its code
// (ST_INVALID when e is NULL: keep your own code then).
int err_prefix(err *e, const char *fmt, ...) ERR_PRINTF(2, 3);

// The code's short English name, for logs ("out of memory", ...).
const char *status_name(int code);

#endif

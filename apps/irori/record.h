// The one seam through which run, chat and serve write the audit log. Off unless switched on by --audit or $IRORI_AUDIT:
// "on" keeps who, when, which model, and how; "content" also what was asked and answered, with what looks personal hidden.
//
// A request is written before it is run: where the log cannot be written, it is refused.
#ifndef IRORI_RECORD_H
#define IRORI_RECORD_H

#include <irori.h>

#include "base/base.h"

typedef enum record_level { RECORD_OFF, RECORD_ON, RECORD_CONTENT } record_level;

typedef struct record_request {
    const char *event;  // "run", "chat", "serve"
    const char *model, *path;
    const char *hash;  // of the model; NULL: read from the file (gguf_model_hash)
    bool hash_is_sha256;
    const char *client;  // of a server: who asks; NULL: this program's user
    const irori_sampling *sampling;
    int64_t max_tokens;
    const char *text;  // what is asked; only its SHA-256 is written unless content is
    size_t n;
} record_request;

// word: --audit's value, NULL: the environment's. ST_INVALID.
int record_level_of(const char *word, record_level *out, err *e);
// Nothing when off. id: names the request in the line of its answer (16 hex digits and a NUL).
int record_request_line(record_level level, const record_request *r, char id[17], err *e);
int record_answer_line(record_level level, const char *id, const char *finish, size_t prompt_tokens,
                       size_t completion_tokens, const char *text, size_t n, err *e);

#endif

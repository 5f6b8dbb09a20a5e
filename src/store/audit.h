// The audit log: who ran which model when and how, in JSON lines of which each holds the hash of the one before.
//
// A folder: log.jsonl, filled logs as log-000001.jsonl and on, and head.json, which says how many lines there are and what
// the last one's hash is. A changed, removed, or moved line breaks the chain; a cut end does not reach the head. Who can
// write all of these files can also make a new chain: against that, keep a head elsewhere (`irori audit head`) and verify
// against it.
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include "base/base.h"
#include "store/sha.h"

typedef struct store_audit {
    char dir[900];
    uint64_t most;  // bytes of a log before the next is begun; 0: 16 MiB
} store_audit;

typedef struct store_audit_head {
    uint64_t lines;
    char hash[STORE_HEX];  // of the last line; zeros before the first
    unsigned log;          // number of the log being written, from 1
    uint64_t bytes;        // of it
} store_audit_head;

// dir NULL: irori/audit in the user's state folder. Touches nothing. ST_INVALID.
int store_audit_open(store_audit *a, const char *dir, err *e);
// Adds a line of these fields (the inside of a JSON object, without braces) behind number, hash, time and user; on the
// disk when this returns. On failure nothing was added: ST_IO (full disk), ST_FORMAT (the log is not what the head says).
// Any number of processes and threads.
int store_audit_write(const store_audit *a, const char *fields, size_t n, err *e);
// Reads the whole chain. known: "LINES:HASH" of a head kept elsewhere, or NULL. ST_FORMAT says what was found where.
// *head: what there is (lines 0: no log).
int store_audit_verify(const store_audit *a, const char *known, store_audit_head *head, err *e);

// The lines before number `before` (0: all), newest first, at most `most` of them, without their ends; `line` returns false to
// stop. *lines: how many the log has. Nothing is verified. Errors of reading.
typedef bool store_audit_line(void *ctx, const char *p, size_t n);
int store_audit_tail(const store_audit *a, uint64_t before, size_t most, store_audit_line *line, void *ctx,
                     uint64_t *lines, err *e);

// Text without what looks like an e-mail address, a telephone or a card number; words in brackets stand there instead.
void store_redact(const char *text, size_t n, buf *out);

#endif

// One file over HTTP, in pieces, several at once, with a journal.
//
// The journal has a line with the SHA-256 of each piece that is on the disk, so that after a kill at any moment the next
// attempt compares what lies there with it and fetches only the rest. The whole file is hashed at the end.
#ifndef PULL_FETCH_H
#define PULL_FETCH_H

#include "pull/net.h"
#include "store/store.h"

enum { FETCH_PIECE = 16 << 20, FETCH_STREAMS = 4 };  // bytes of a piece; transfers at once

typedef struct fetch_job {
    const char *url;
    char digest[STORE_HEX];  // the SHA-256 it must have; "": not known, found out
    uint64_t bytes;          // that it must have; 0: not known, found out
    size_t piece;            // bytes; 0: FETCH_PIECE
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);  // false stops; done never goes back
    void *ctx;
} fetch_job;

typedef struct fetched {
    char data[STORE_PATH + 96], journal[STORE_PATH + 96];
    int lock;
} fetched;

// Gives the finished file, locked against other processes until fetch_done; job->digest and ->bytes are then known.
// ST_BUSY: another process fetches it. ST_FORMAT: the server's bytes are not what was promised (nothing is kept then).
// After any other error what came is kept for the next attempt.
int fetch_file(const net *n, const store *s, fetch_job *job, fetched *out, err *e);
void fetch_done(fetched *f);  // after the data was renamed: forgets the journal

#endif

// Inside of fetching: fetch.c moves pieces, fetch_file.c knows the file and its journal.
#ifndef PULL_FETCH_OWN_H
#define PULL_FETCH_OWN_H

#include "pull/fetch.h"

enum { FETCH_TRIES = 8 };  // failures in a row, without a byte in between

typedef struct stream {
    struct fetch *f;
    CURL *h;
    net_call call;
    size_t piece;
    uint64_t from, want, got;  // bytes: where the piece begins, its length, how much of it is there
    store_sha sha;             // of what is there
    bool busy, running;        // has a piece; is asking for it
    bool begun, lied;
    double again;  // not before this
} stream;

typedef struct fetch {
    const net *n;
    fetch_job *job;
    fetched *paths;
    char url[NET_URL];  // where the file is really, after redirects
    char etag[256];
    bool ranges;  // the server gives parts
    bool changed;
    int write_errno;
    uint64_t bytes, done_bytes, told;
    size_t piece, n_pieces, next;
    bool *done;
    int fd, journal;
    int tries;  // failures since the last byte
    CURLM *multi;
    stream streams[FETCH_STREAMS];
    int n_streams;
} fetch;

// fetch_file.c: asks for the first byte: where the file is, how long, and whether parts can be had.
int fetch_probe(fetch *f, err *e);
// fetch.c: fetches what is not done.
int fetch_pieces(fetch *f, err *e);

#endif

// A model from the network into the store: what the command and the server share.
#ifndef PULL_PULL_H
#define PULL_PULL_H

#include "pull/source.h"

typedef struct pull_options {
    net net;             // the token is taken over and freed
    const char *as;      // the name in the store; NULL: that of the source
    const char *digest;  // the SHA-256 of a URL's file (hex); NULL: not known
    size_t piece;        // 0: the usual
    // What happens; any may be NULL. digest: of the file that is being fetched, "" before. False stops.
    bool (*progress)(void *ctx, const char *digest, uint64_t done, uint64_t total);
    void (*say)(void *ctx, const char *step);  // "resolving", "fetching", "verifying", "writing"
    // Whether the person accepts a licence that is not plainly free ("": none is named).
    bool (*accepts)(void *ctx, const char *license, store_license kind, const char *base_models);
    const char *how;  // for the ledger: how it was accepted
    void *ctx;
} pull_options;

// ST_CANCELED: a callback said no. *out: what is in the store now (store_manifest_done it).
int pull_model(const store *s, const char *text, pull_options *o, store_manifest *out, err *e);
// A token from a file: its first word. ST_NOTFOUND, ST_IO, ST_INVALID.
int pull_read_token(const char *path, char **token, err *e);

#endif

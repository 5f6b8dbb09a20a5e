// Inside of the store room.
#ifndef STORE_OWN_H
#define STORE_OWN_H

#include "store/store.h"

enum { PATH = STORE_PATH + STORE_NAME + 96 };  // of anything inside a store

// name.c: a name as a file's name in manifests/, and back.
void name_to_file(const store_name *name, char out[STORE_NAME + 8]);
bool name_of_file(const char *file, store_name *out);

// store.c: one process at a time changes a store. The lock goes with the process that holds it.
int lock_store(const store *s, int *fd, err *e);  // makes the folders; ST_IO
void unlock_store(int fd);
void manifest_path(const store *s, const store_name *name, char out[PATH]);

// blob.c. Copies a file (to NULL: only reads it) and gives its hash; `done` counts on. ST_IO, ST_CANCELED.
typedef struct transfer {
    store_progress *progress;
    void *ctx;
    uint64_t done, total;
} transfer;
int copy_file(const char *from, const char *to, transfer *t, char hex[STORE_HEX], uint64_t *bytes, err *e);
// commit.c: links with the parts' own names for a split model, in splits/<digest of the first>.
int link_split(const store *s, const store_manifest *m, err *e);

#endif

// What the server keeps from one request to another, and from one start to the next: answers of the Responses API and
// sessions. One SQLite file in irori's state folder, written through (a kill at any time loses nothing that was
// acknowledged); in memory where there is no such folder. Functions are called from any thread.
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include <jansson.h>

#include "base/base.h"

typedef struct store store;

// path NULL: in memory.
int store_open(store **out, const char *path, err *e);
void store_close(store *s);

// A value under a kind ("response", "session") and an id; replaces. ST_IO.
int store_put(store *s, const char *kind, const char *id, const char *json, size_t n, err *e);
// json_decref *out. ST_NOTFOUND, ST_IO.
int store_get(store *s, const char *kind, const char *id, json_t **out, err *e);
int store_delete(store *s, const char *kind, const char *id, err *e);  // ST_NOTFOUND, ST_IO

#endif

// What the server keeps from one request to another, and from one start to the next: answers of the Responses API,
// sessions, chats of the page. One SQLite file in irori's state folder, written through (a kill at any time loses nothing that was
// acknowledged); in memory where there is no such folder. Functions are called from any thread.
#ifndef SERVER_SHELF_H
#define SERVER_SHELF_H

#include <jansson.h>

#include "base/base.h"

typedef struct shelf shelf;

// path NULL: in memory.
int shelf_open(shelf **out, const char *path, err *e);
void shelf_close(shelf *s);

// A value under a kind ("response", "session", "chat") and an id; replaces. ST_IO.
int shelf_put(shelf *s, const char *kind, const char *id, const char *json, size_t n, err *e);
// json_decref *out. ST_NOTFOUND, ST_IO.
int shelf_get(shelf *s, const char *kind, const char *id, json_t **out, err *e);
// Of a kind, by id: [{"id", "at" (seconds since 1970), "title" (of the value; "" when it has none)}]. ST_IO,
// ST_NOMEM.
int shelf_list(shelf *s, const char *kind, json_t **out, err *e);
int shelf_delete(shelf *s, const char *kind, const char *id, err *e);  // ST_NOTFOUND, ST_IO

#endif

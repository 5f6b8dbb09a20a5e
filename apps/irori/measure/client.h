// A client of an OpenAI-compatible server, for measuring it. One per thread.
#ifndef IRORI_CLIENT_H
#define IRORI_CLIENT_H

#include <jansson.h>

#include "base/base.h"

typedef struct client client;

// url: "http://127.0.0.1:11434", without the path; api_key may be NULL. ST_INVALID, ST_NOMEM.
int client_new(client **out, const char *url, const char *api_key, err *e);
void client_free(client *c);  // NULL is allowed

// POSTs a JSON body. *answer: the server's JSON (json_decref it). ST_IO: no answer, or one that says why not.
int client_post(client *c, const char *path, const json_t *body, json_t **answer, err *e);

// POSTs a body with "stream": true; `event` gets the JSON of each event as it comes. Errors as above.
typedef void client_event_fn(void *ctx, const json_t *event);
int client_stream(client *c, const char *path, const json_t *body, client_event_fn *event, void *ctx, err *e);

#endif

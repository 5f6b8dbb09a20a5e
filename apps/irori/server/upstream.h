// The upstream stage: an OpenAI-compatible server elsewhere that is asked for replies too. Off unless configured.
//
// What it answers is not trusted: it has until the deadline, one answer's size, no redirects, and its texts go through
// the same judgement as a model's.
#ifndef SERVER_UPSTREAM_H
#define SERVER_UPSTREAM_H

#include <irori.h>
#include <jansson.h>

#include "base/base.h"

typedef struct upstream upstream;

// url: "https://host/v1" ("http" too); model: its name there; key NULL: none. ST_INVALID, ST_NOMEM.
int upstream_new(upstream **out, const char *url, const char *model, const char *key, err *e);
void upstream_free(upstream *u);  // NULL is allowed
const char *upstream_url(const upstream *u);

// The body of the question for one axis: all that would leave this machine. json_decref it.
json_t *upstream_question(const upstream *u, const irori_profile *p, const json_t *messages,
                          const char *axis);
// Asks for a reply to each axis at once, until a point in time; reply(ctx, i, text, "upstream") for each that comes;
// false stops. Failures are no errors of the round: they are in upstream_failures.
void upstream_ask(upstream *u, const irori_profile *p, const json_t *messages, const char *const *axes, int n,
                  double until, bool (*reply)(void *ctx, int i, const char *text, const char *source),
                  void *ctx);
uint64_t upstream_failures(const upstream *u, char why[256]);  // and the last one's reason

#endif

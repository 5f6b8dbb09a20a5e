// What the files of the server share: its parts, routes, and answers in the shape a client's family expects.
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <jansson.h>
#include <stdatomic.h>

#include "record.h"
#include "server/fields.h"
#include "server/http.h"
#include "server/models.h"
#include "server/shelf.h"

typedef struct server_options {
    const char *host, *api_key;  // NULL: loopback; none
    const char *origins;         // further web pages that may call, separated by commas; NULL: none
    const char *ui_dir;          // folder of the page's files; NULL: those within the program
    bool log_prompts, quiet, no_ui;
    record_level audit;
    bool allow_private, allow_http, accept_license;  // for pulls
    const char *proxy;
} server_options;

typedef struct sessions sessions;
struct talks;
struct upstream;

typedef struct server {
    server_options o;
    http_server *http;
    models *models;
    sessions *sessions;
    struct talks *talks;
    struct upstream *upstream;  // NULL: not configured
    shelf *shelf;
    double started;
    int64_t started_at;  // seconds since 1970
    atomic_bool stopping;
    atomic_bool benching;               // one runs
    atomic_int pulls;                   // running
    atomic_uint_least64_t answered[6];  // by hundreds of the status
} server;

// Whose shapes a client expects; told by the path.
typedef enum family { FAMILY_OPENAI, FAMILY_OLLAMA, FAMILY_ANTHROPIC } family;
family family_of(const char *path);

// One request: the body is an object (empty for GET and DELETE). rest: what follows a route's prefix. The function
// gives the request back, now or later.
typedef struct incoming {
    server *s;
    http_request *r;
    json_t *body;      // borrowed; json_incref to keep it
    const char *rest;  // ""; or after the prefix
    family family;
} incoming;
typedef void route_fn(incoming *c);

// answer.c
void answer_json(http_request *r, int status, buf *b);          // frees the buffer
void answer_value(http_request *r, int status, json_t *value);  // takes the value over
// The family's error object. code and param may be NULL.
void answer_error(http_request *r, family f, int status, const char *code, const char *param, const char *fmt,
                  ...) ERR_PRINTF(6, 7);
void answer_field(incoming *c, const fields *f);  // 400 for a wrong field
void answer_status(incoming *c, const err *e);    // a library's error as the HTTP status that fits
void error_text(buf *b, family f, int status, const char *code, const char *param, const char *message);
int status_of(int code);                                          // of an err
void time_text(char out[40], int64_t seconds, long nanoseconds);  // RFC 3339, UTC

// route.c
void route_request(void *ctx, http_request *r);  // http_options.handle

// access.c: whether a request may come in. False after answering.
bool access_check(server *s, http_request *r);
void access_cors(http_request *r);  // headers for a web page that may call

// page.c: whether the path is of the page, whose files are no secret: they need no key.
bool page_is_path(const char *path);

// Routes, by file.
route_fn route_chat, route_completions;                               // openai.c
route_fn route_embeddings, route_ollama_embed, route_rerank;          // embed.c
route_fn route_responses, route_response_get, route_response_delete;  // responses.c
route_fn route_messages, route_count_tokens;                          // anthropic.c
route_fn route_ollama_chat, route_ollama_generate, route_ollama_tags, route_ollama_show, route_ollama_ps,
    route_ollama_version;  // ollama.c
route_fn route_ollama_pull, route_ollama_copy, route_ollama_delete, route_ollama_create,
    route_ollama_push;  // manage.c
route_fn route_completion, route_infill, route_tokenize, route_detokenize, route_apply_template,
    route_input_tokens;                                         // native.c
route_fn route_kv_policy, route_kv_policy_set, route_kv_pages;  // kv.c
route_fn route_session_new, route_session_append, route_sessions, route_session,
    route_session_delete;  // sessions.c
route_fn route_candidates, route_candidates_hold, route_candidates_choose, route_candidates_reject,
    route_candidates_upstream, route_candidates_would_send;                          // candidates.c
route_fn route_profiles, route_profile, route_profile_put, route_profile_delete;     // profiles.c
route_fn route_speculation, route_speculation_set;                                   // speculation.c
route_fn route_audit, route_audit_verify;                                            // audit.c
route_fn route_bench;                                                                // bench.c
route_fn route_plan;                                                                 // plan.c
route_fn route_page, route_home;                                                     // page.c
route_fn route_chats, route_kept_chat, route_kept_chat_put, route_kept_chat_delete;  // chats.c
route_fn route_health, route_models, route_model, route_metrics, route_slots,
    route_props;  // state.c

#endif

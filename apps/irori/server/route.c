// From a request to the function that answers it.
#include <string.h>

#include "server/server.h"

typedef struct route {
    const char *method, *path;
    route_fn *fn;
    bool prefix;  // the path may go on; the function gets the rest
} route;

static const route routes[] = {
    {"POST", "/v1/chat/completions", route_chat, false},
    {"POST", "/chat/completions", route_chat, false},
    {"POST", "/v1/completions", route_completions, false},
    {"POST", "/v1/chat/completions/input_tokens", route_input_tokens, false},
    {"POST", "/v1/embeddings", route_embeddings, false},
    {"POST", "/embeddings", route_embeddings, false},
    {"POST", "/api/embed", route_ollama_embed, false},
    {"POST", "/api/embeddings", route_ollama_embed, false},
    {"POST", "/v1/rerank", route_rerank, false},
    {"POST", "/v1/reranking", route_rerank, false},
    {"POST", "/rerank", route_rerank, false},
    {"POST", "/reranking", route_rerank, false},
    {"POST", "/v1/responses", route_responses, false},
    {"GET", "/v1/responses/", route_response_get, true},
    {"DELETE", "/v1/responses/", route_response_delete, true},
    {"POST", "/v1/messages", route_messages, false},
    {"POST", "/v1/messages/count_tokens", route_count_tokens, false},
    {"POST", "/api/chat", route_ollama_chat, false},
    {"POST", "/api/generate", route_ollama_generate, false},
    {"GET", "/api/tags", route_ollama_tags, false},
    {"POST", "/api/show", route_ollama_show, false},
    {"GET", "/api/ps", route_ollama_ps, false},
    {"GET", "/api/version", route_ollama_version, false},
    {"POST", "/api/pull", route_ollama_pull, false},
    {"POST", "/api/push", route_ollama_push, false},
    {"POST", "/api/create", route_ollama_create, false},
    {"POST", "/api/copy", route_ollama_copy, false},
    {"DELETE", "/api/delete", route_ollama_delete, false},
    {"POST", "/completion", route_completion, false},
    {"POST", "/completions", route_completion, false},
    {"POST", "/infill", route_infill, false},
    {"POST", "/tokenize", route_tokenize, false},
    {"POST", "/detokenize", route_detokenize, false},
    {"POST", "/apply-template", route_apply_template, false},
    {"GET", "/v1/models", route_models, false},
    {"GET", "/models", route_models, false},
    {"GET", "/v1/models/", route_model, true},
    {"GET", "/v1/plan", route_plan, false},
    {"GET", "/v1/kv/policy", route_kv_policy, false},
    {"POST", "/v1/kv/policy", route_kv_policy_set, false},
    {"GET", "/v1/kv/pages", route_kv_pages, false},
    {"GET", "/v1/speculation", route_speculation, false},
    {"POST", "/v1/speculation", route_speculation_set, false},
    {"POST", "/v1/bench", route_bench, false},
    {"GET", "/v1/audit", route_audit, false},
    {"GET", "/v1/audit/verify", route_audit_verify, false},
    {"POST", "/v1/sessions", route_session_new, false},
    {"GET", "/v1/sessions", route_sessions, false},
    {"POST", "/v1/sessions/", route_session_append, true},
    {"GET", "/v1/sessions/", route_session, true},
    {"DELETE", "/v1/sessions/", route_session_delete, true},
    {"POST", "/v1/candidates", route_candidates, false},
    {"POST", "/v1/candidates/hold", route_candidates_hold, false},
    {"POST", "/v1/candidates/choose", route_candidates_choose, false},
    {"POST", "/v1/candidates/reject", route_candidates_reject, false},
    {"GET", "/v1/candidates/upstream", route_candidates_upstream, false},
    {"POST", "/v1/candidates/upstream", route_candidates_would_send, false},
    {"GET", "/v1/profiles", route_profiles, false},
    {"GET", "/v1/profiles/", route_profile, true},
    {"PUT", "/v1/profiles/", route_profile_put, true},
    {"DELETE", "/v1/profiles/", route_profile_delete, true},
    {"GET", "/health", route_health, false},
    {"GET", "/v1/health", route_health, false},
    {"GET", "/metrics", route_metrics, false},
    {"GET", "/slots", route_slots, false},
    {"GET", "/props", route_props, false},
    {"GET", "/v1/ui/chats", route_chats, false},
    {"GET", "/v1/ui/chats/", route_kept_chat, true},
    {"PUT", "/v1/ui/chats/", route_kept_chat_put, true},
    {"DELETE", "/v1/ui/chats/", route_kept_chat_delete, true},
    {"GET", "/ui", route_page, false},
    {"GET", "/ui/", route_page, false},
    {"GET", "/ui/", route_page, true},
    {"GET", "/", route_home, false},
};

// HEAD is answered as GET: the library leaves the body out.
static bool same_method(const char *its, const char *method)
{
    return strcmp(its, method) == 0 || (strcmp(its, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static const route *find(const char *method, const char *path, bool *path_known)
{
    *path_known = false;
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        size_t n = strlen(routes[i].path);
        bool fits = routes[i].prefix ? strncmp(path, routes[i].path, n) == 0 && path[n]
                                     : strcmp(path, routes[i].path) == 0;
        *path_known = *path_known || fits;
        if (fits && same_method(routes[i].method, method))
            return &routes[i];
    }
    return NULL;
}

// The body as an object; NULL after answering.
static json_t *read_body(http_request *r, family f)
{
    size_t n;
    const char *p = http_body(r, &n);
    json_error_t why;
    if (n == 0)
        return json_object();
    json_t *body = json_loadb(p, n, 0, &why);
    if (json_is_object(body))
        return body;
    if (body)
        answer_error(r, f, 400, NULL, NULL, "the body must be a JSON object");
    else
        answer_error(r, f, 400, NULL, NULL, "the body is not JSON: %.200s (byte %d)", why.text, why.position);
    json_decref(body);
    return NULL;
}

void route_request(void *ctx, http_request *r)
{
    server *s = ctx;
    const char *path = http_path(r), *method = http_method(r);
    bool known;
    incoming c = {.s = s, .r = r, .family = family_of(path)};
    if (!access_check(s, r))
        return;
    access_cors(r);
    if (strcmp(method, "OPTIONS") == 0) {
        http_answer(r, 204, "text/plain", "", 0);
        return;
    }
    const route *to = find(method, path, &known);
    if (!to) {
        if (known)
            answer_error(r, c.family, 405, NULL, NULL, "%.20s is not a method of %.200s", method, path);
        else
            answer_error(r, c.family, 404, NULL, NULL, "there is no %.200s here", path);
        return;
    }
    c.rest = to->prefix ? path + strlen(to->path) : "";
    c.body = read_body(r, c.family);
    if (!c.body)
        return;
    json_t *body = c.body;  // the call may have been given back when the function returns
    to->fn(&c);
    json_decref(body);
}

// See upstream.h. libcurl's multi interface on the caller's thread.
#include "server/upstream.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ANSWER = 64 << 10 };

struct upstream {
    char *url, *model, *key;
    pthread_mutex_t lock;
    uint64_t failures;
    char why[256];
};

typedef struct question {
    CURL *easy;
    char *body;
    buf answer;
    bool too_long;
    struct curl_slist *head;
} question;

static char *copy(const char *s)
{
    return mem_strndup(MEM_OTHER, s, strlen(s));
}

int upstream_new(upstream **out, const char *url, const char *model, const char *key, err *e)
{
    *out = NULL;
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return err_set(e, ST_INVALID, "--upstream \"%.100s\" is no http or https address", url);
    upstream *u = mem_calloc(MEM_OTHER, 1, sizeof *u);
    if (!u)
        return err_set(e, ST_NOMEM, "no memory for the upstream server");
    pthread_mutex_init(&u->lock, NULL);
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        n--;
    buf b;
    buf_init(&b);
    buf_printf(&b, "%.*s/chat/completions", (int)n, url);
    u->url = b.failed ? NULL : copy(b.data);
    buf_done(&b);
    u->model = copy(model ? model : "");
    u->key = key ? copy(key) : NULL;
    if (!u->url || !u->model || (key && !u->key) || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        upstream_free(u);
        return err_set(e, ST_NOMEM, "no memory for the upstream server");
    }
    *out = u;
    return ST_OK;
}

void upstream_free(upstream *u)
{
    if (!u)
        return;
    mem_free(u->url);
    mem_free(u->model);
    mem_free(u->key);
    pthread_mutex_destroy(&u->lock);
    mem_free(u);
}

const char *upstream_url(const upstream *u)
{
    return u->url;
}

static void failed(upstream *u, const char *fmt, const char *what)
{
    pthread_mutex_lock(&u->lock);
    u->failures++;
    snprintf(u->why, sizeof u->why, fmt, what);
    pthread_mutex_unlock(&u->lock);
}

uint64_t upstream_failures(const upstream *u, char why[256])
{
    upstream *own = (upstream *)(uintptr_t)u;
    pthread_mutex_lock(&own->lock);
    uint64_t n = u->failures;
    snprintf(why, 256, "%s", u->why);
    pthread_mutex_unlock(&own->lock);
    utf8_make_printable(why);
    return n;
}

json_t *upstream_question(const upstream *u, const irori_profile *p, const json_t *messages, const char *axis)
{
    json_t *all = json_array(), *m;
    size_t i;
    buf wish;
    buf_init(&wish);
    if (*irori_profile_about(p))
        json_array_append_new(all,
                              json_pack("{s:s, s:s}", "role", "system", "content", irori_profile_about(p)));
    json_array_foreach((json_t *)messages, i, m) json_array_append(all, m);
    buf_printf(
        &wish,
        "Write the next reply of \"assistant\": one short sentence with this intent: %s. Only the sentence.",
        irori_profile_tag(p, axis));
    json_array_append_new(all,
                          json_pack("{s:s, s:s}", "role", "system", "content", wish.failed ? "" : wish.data));
    buf_done(&wish);
    return json_pack("{s:s, s:o, s:i, s:f, s:b}", "model", u->model, "messages", all, "max_tokens", 48,
                     "temperature", .7, "stream", 0);
}

static size_t on_bytes(char *p, size_t one, size_t n, void *ctx)
{
    question *q = ctx;
    if (q->answer.len + n * one > MOST_ANSWER) {
        q->too_long = true;
        return 0;  // ends the transfer
    }
    buf_add(&q->answer, p, n * one);
    return n * one;
}

static void begin(upstream *u, CURLM *multi, question *q, json_t *body, long ms)
{
    buf_init(&q->answer);
    q->body = json_dumps(body, JSON_COMPACT);
    q->easy = q->body ? curl_easy_init() : NULL;
    if (!q->easy)
        return;
    q->head = curl_slist_append(NULL, "Content-Type: application/json");
    if (u->key) {
        buf b;
        buf_init(&b);
        buf_printf(&b, "Authorization: Bearer %s", u->key);
        q->head = b.failed ? q->head : curl_slist_append(q->head, b.data);
        buf_done(&b);
    }
    curl_easy_setopt(q->easy, CURLOPT_URL, u->url);
    curl_easy_setopt(q->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(q->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(q->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(q->easy, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(q->easy, CURLOPT_HTTPHEADER, q->head);
    curl_easy_setopt(q->easy, CURLOPT_POSTFIELDS, q->body);
    curl_easy_setopt(q->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(q->easy, CURLOPT_WRITEDATA, q);
    curl_multi_add_handle(multi, q->easy);
}

// What an answer says; false: more is not wanted.
static bool finish(upstream *u, question *q, int i, CURLcode code,
                   bool (*reply)(void *ctx, int i, const char *text, const char *source), void *ctx)
{
    long status = 0;
    char number[32];
    curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    snprintf(number, sizeof number, "%ld", status);
    if (q->too_long)
        failed(u, "%s", "an answer of more than 64 KiB");
    else if (code)
        failed(u, "%s", curl_easy_strerror(code));
    else if (status != 200)
        failed(u, "HTTP status %s", number);
    if (q->too_long || code || status != 200)
        return true;
    json_t *answer = json_loadb(q->answer.len ? q->answer.data : "", q->answer.len, 0, NULL);
    const char *text = json_string_value(json_object_get(
        json_object_get(json_array_get(json_object_get(answer, "choices"), 0), "message"), "content"));
    bool go_on = true;
    if (text)
        go_on = reply(ctx, i, text, "upstream");
    else
        failed(u, "%s", "an answer that is no chat completion");
    json_decref(answer);
    return go_on;
}

static bool take_finished(upstream *u, CURLM *multi, question *q, int n,
                          bool (*reply)(void *ctx, int i, const char *text, const char *source), void *ctx)
{
    CURLMsg *m;
    int left;
    bool go_on = true;
    while ((m = curl_multi_info_read(multi, &left)))
        for (int i = 0; m->msg == CURLMSG_DONE && i < n; i++)
            if (q[i].easy == m->easy_handle)
                go_on = go_on && finish(u, &q[i], i, m->data.result, reply, ctx);
    return go_on;
}

void upstream_ask(upstream *u, const irori_profile *p, const json_t *messages, const char *const *axes, int n,
                  double until, bool (*reply)(void *ctx, int i, const char *text, const char *source),
                  void *ctx)
{
    question q[IRORI_MOST_CANDIDATES] = {{0}};
    CURLM *multi = curl_multi_init();
    int running = 1;
    bool go_on = true;
    for (int i = 0; multi && i < n; i++) {
        json_t *body = upstream_question(u, p, messages, axes[i]);
        begin(u, multi, &q[i], body, (long)MAX((until - os_seconds()) * 1e3, 1));
        json_decref(body);
    }
    while (multi && running && go_on && os_seconds() < until) {
        curl_multi_perform(multi, &running);
        go_on = take_finished(u, multi, q, n, reply, ctx);
        if (running && go_on)
            curl_multi_poll(multi, NULL, 0, 20, NULL);  // so that a client that left is noticed
    }
    if (running && go_on)
        failed(u, "%s", "no answer within the time");
    for (int i = 0; i < n; i++) {
        if (q[i].easy)
            curl_multi_remove_handle(multi, q[i].easy);
        curl_easy_cleanup(q[i].easy);
        curl_slist_free_all(q[i].head);
        buf_done(&q[i].answer);
        free(q[i].body);
    }
    curl_multi_cleanup(multi);
}

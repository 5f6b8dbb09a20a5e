// HTTP by libcurl; server-sent events are lines that begin with "data:".
#include "measure/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_SECONDS = 10, SILENT_SECONDS = 600, MOST_ANSWER = 64 << 20 };

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char url[1024];
    buf got;                 // what has come and is not used yet
    client_event_fn *event;  // NULL: the whole answer is kept
    void *ctx;
};

int client_new(client **out, const char *url, const char *api_key, err *e)
{
    *out = NULL;
    size_t n = strlen(url);
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return err_set(e, ST_INVALID, "--url is \"%s\", allowed http://HOST:PORT or https://HOST:PORT", url);
    client *c = mem_calloc(MEM_OTHER, 1, sizeof *c);
    if (!c)
        return err_set(e, ST_NOMEM, "out of memory for a connection");
    while (n && url[n - 1] == '/')
        n--;
    snprintf(c->url, sizeof c->url, "%.*s", (int)MIN(n, sizeof c->url - 1), url);
    buf_init(&c->got);
    c->curl = curl_easy_init();
    c->headers = curl_slist_append(NULL, "Content-Type: application/json");
    char key[512];
    snprintf(key, sizeof key, "Authorization: Bearer %s", api_key ? api_key : "");
    struct curl_slist *all = api_key && c->headers ? curl_slist_append(c->headers, key) : c->headers;
    if (!c->curl || !all) {
        client_free(c);
        return err_set(e, ST_NOMEM, "out of memory for a connection");
    }
    c->headers = all;
    *out = c;
    return ST_OK;
}

void client_free(client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    buf_done(&c->got);
    mem_free(c);
}

// Tells the events whose lines are whole, and keeps the rest.
static void tell_events(client *c)
{
    size_t at = 0;
    for (char *end; (end = memchr(c->got.data + at, '\n', c->got.len - at));
         at = (size_t)(end - c->got.data) + 1) {
        const char *line = c->got.data + at;
        size_t n = (size_t)(end - line);
        if (n < 5 || memcmp(line, "data:", 5) != 0)
            continue;
        json_t *event = json_loadb(line + 5, n - 5, JSON_DISABLE_EOF_CHECK, NULL);
        if (json_is_object(event))  // not "[DONE]"
            c->event(c->ctx, event);
        json_decref(event);
    }
    memmove(c->got.data, c->got.data + at, c->got.len - at);
    c->got.len -= at;
}

static size_t on_data(char *p, size_t size, size_t count, void *ctx)
{
    client *c = ctx;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    buf_add(&c->got, p, n);
    if (c->got.failed || c->got.len > MOST_ANSWER)
        return 0;
    if (c->event && status == 200)
        tell_events(c);
    return n;
}

static int refused(client *c, long status, err *e)
{
    json_t *answer = json_loadb(c->got.len ? c->got.data : "", c->got.len, 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    const char *why = json_string_value(json_is_object(error) ? json_object_get(error, "message") : error);
    int rc = err_set(e, ST_IO, "%s answered %ld%s%s", c->url, status, why ? ": " : "", why ? why : "");
    json_decref(answer);
    return rc;
}

static int post(client *c, const char *path, const json_t *body, err *e)
{
    char *text = json_dumps(body, JSON_COMPACT), url[1280], why[CURL_ERROR_SIZE] = "";
    if (!text)
        return err_set(e, ST_NOMEM, "out of memory for a request");
    snprintf(url, sizeof url, "%s%s", c->url, path);
    buf_clear(&c->got);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT,
                     1L);  // a server that says nothing for so long has gone
    curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENT_SECONDS);
    CURLcode rc = curl_easy_perform(c->curl);
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    free(text);
    if (rc != CURLE_OK)
        return err_set(e, ST_IO, "%s: %s", url, why[0] ? why : curl_easy_strerror(rc));
    return status == 200 ? ST_OK : refused(c, status, e);
}

int client_post(client *c, const char *path, const json_t *body, json_t **answer, err *e)
{
    *answer = NULL;
    c->event = NULL;
    int rc = post(c, path, body, e);
    if (rc)
        return rc;
    *answer = json_loadb(c->got.len ? c->got.data : "", c->got.len, 0, NULL);
    return *answer ? ST_OK : err_set(e, ST_IO, "%s%s did not answer with JSON", c->url, path);
}

int client_stream(client *c, const char *path, const json_t *body, client_event_fn *event, void *ctx, err *e)
{
    c->event = event;
    c->ctx = ctx;
    return post(c, path, body, e);
}

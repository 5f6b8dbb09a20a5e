// Answers and errors, in each family's shape.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/server.h"

family family_of(const char *path)
{
    if (strncmp(path, "/api/", 5) == 0)
        return FAMILY_OLLAMA;
    return strncmp(path, "/v1/messages", 12) == 0 ? FAMILY_ANTHROPIC : FAMILY_OPENAI;
}

void answer_json(http_request *r, int status, buf *b)
{
    static const char sorry[] = "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\"}}";
    if (b->failed)
        http_answer(r, 503, "application/json", sorry, sizeof sorry - 1);
    else
        http_answer(r, status, "application/json", b->data, b->len);
    buf_done(b);
}

static int add_dump(const char *p, size_t n, void *b)
{
    buf_add(b, p, n);
    return 0;
}

void answer_value(http_request *r, int status, json_t *value)
{
    buf b;
    buf_init(&b);
    if (!value || json_dump_callback(value, add_dump, &b, JSON_COMPACT | JSON_ENCODE_ANY))
        b.failed = true;
    json_decref(value);
    answer_json(r, status, &b);
}

static const char *openai_type(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    case 501: return "not_supported_error";
    case 503: return "unavailable_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

static const char *anthropic_type(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status >= 500 ? "api_error" : "invalid_request_error";
    }
}

static void pair(json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    if (value)
        json_str(w, value);
    else
        json_none(w);
}

void error_text(buf *b, family f, int status, const char *code, const char *param, const char *message)
{
    json_writer w;
    json_begin(&w, b);
    json_obj(&w);
    if (f == FAMILY_OLLAMA) {
        pair(&w, "error", message);
    } else if (f == FAMILY_ANTHROPIC) {
        pair(&w, "type", "error");
        json_key(&w, "error");
        json_obj(&w);
        pair(&w, "type", anthropic_type(status));
        pair(&w, "message", message);
        json_end(&w);
    } else {
        json_key(&w, "error");
        json_obj(&w);
        pair(&w, "message", message);
        pair(&w, "type", openai_type(status));
        pair(&w, "param", param);
        pair(&w, "code", code);
        json_end(&w);
    }
    json_end(&w);
}

void answer_error(http_request *r, family f, int status, const char *code, const char *param, const char *fmt,
                  ...)
{
    char message[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    buf b;
    buf_init(&b);
    error_text(&b, f, status, code, param, message);
    answer_json(r, status, &b);
}

void answer_field(incoming *c, const fields *f)
{
    answer_error(c->r, c->family, 400, NULL, f->param, "%s", f->message);
}

int status_of(int code)
{
    switch (code) {
    case ST_INVALID:
    case ST_LIMIT: return 400;
    case ST_NOTFOUND: return 404;
    case ST_BUSY: return 429;
    case ST_UNSUPPORTED: return 400;
    case ST_NOMEM:
    case ST_CANCELED: return 503;
    default: return 500;
    }
}

void answer_status(incoming *c, const err *e)
{
    const char *code = e->code == ST_LIMIT      ? "context_length_exceeded"
                       : e->code == ST_NOTFOUND ? "model_not_found"
                       : e->code == ST_BUSY     ? "queue_full"
                                                : NULL;
    answer_error(c->r, c->family, status_of(e->code), code, e->code == ST_NOTFOUND ? "model" : NULL, "%s",
                 e->msg);
}

void time_text(char out[40], int64_t seconds, long nanoseconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 40 - n, ".%09ldZ", nanoseconds);
}

// GET /v1/audit: lines of the audit log (record.h), newest first. GET /v1/audit/verify: whether its chain holds.
//
// What was asked and answered is in the answer only while the server itself keeps it (--audit content), also when older
// lines have it.
#include <stdlib.h>
#include <string.h>

#include "put.h"
#include "server/server.h"
#include "store/store.h"

enum { MOST_LINES = 500, USUAL_LINES = 50 };

static const char *const level_names[] = {"off", "on", "content"};

// A whole number of the query; false after answering.
static bool query_number(incoming *c, const char *name, uint64_t least, uint64_t most, uint64_t *out)
{
    const char *text = http_query(c->r, name);
    if (!text)
        return true;
    char *end;
    uint64_t v = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && !*end && v >= least && v <= most) {
        *out = v;
        return true;
    }
    answer_error(c->r, c->family, 400, NULL, name, "%s is \"%.40s\", allowed whole numbers %llu..%llu", name,
                 text, (unsigned long long)least, (unsigned long long)most);
    return false;
}

typedef struct listing {
    json_writer *w;
    bool content;
} listing;

static bool put_line(void *ctx, const char *p, size_t n)
{
    const listing *l = ctx;
    json_t *line = json_loadb(p, n, 0, NULL);
    if (!json_is_object(line)) {  // broken: verifying says where
        json_decref(line);
        return true;
    }
    if (!l->content) {
        json_object_del(line, "prompt");
        json_object_del(line, "answer");
    }
    char *text = json_dumps(line, JSON_COMPACT);
    if (text)
        json_raw(l->w, text, strlen(text));
    free(text);
    json_decref(line);
    return true;
}

void route_audit(incoming *c)
{
    uint64_t before = 0, count = USUAL_LINES;
    store_audit a;
    err e;
    json_writer w;
    buf b;
    if (!query_number(c, "before", 1, INT64_MAX, &before) || !query_number(c, "count", 1, MOST_LINES, &count))
        return;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "object", "audit");
    put_str(&w, "level", level_names[c->s->o.audit]);
    json_key(&w, "data");
    json_arr(&w);
    listing l = {.w = &w, .content = c->s->o.audit == RECORD_CONTENT};
    uint64_t lines = 0;
    if (store_audit_open(&a, NULL, &e) ||
        store_audit_tail(&a, before, (size_t)count, put_line, &l, &lines, &e)) {
        buf_done(&b);
        answer_status(c, &e);
        return;
    }
    json_end(&w);
    put_int(&w, "lines", (int64_t)lines);
    put_str(&w, "folder", a.dir);
    json_end(&w);
    answer_json(c->r, 200, &b);
}

void route_audit_verify(incoming *c)
{
    const char *known = http_query(c->r, "head");
    store_audit a;
    store_audit_head h = {0};
    err e = {0};
    json_writer w;
    buf b;
    int rc = store_audit_open(&a, NULL, &e);
    if (!rc)
        rc = store_audit_verify(&a, known, &h, &e);
    if (rc && rc != ST_FORMAT) {  // not a word about the log
        answer_status(c, &e);
        return;
    }
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "object", "audit.verification");
    put_bool(&w, "good", !rc);
    put_int(&w, "lines", (int64_t)h.lines);
    put_str(&w, "hash", h.hash);
    put_str(&w, "error", rc ? e.msg : "");
    json_end(&w);
    answer_json(c->r, 200, &b);
}

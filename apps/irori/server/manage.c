// Ollama's API over the store: pull, copy, delete, create. What it changes is on the disk before it is answered.
//
// A pull runs on a thread of its own, so that it holds no worker; it ends when its client leaves or the server stops, and
// keeps what came for the next attempt.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pull/pull.h"
#include "put.h"
#include "server/server.h"
#include "server/stored.h"

enum { PULLS = 2 };  // at once: more would share the line, not the work

// ---- Pull ----

typedef struct job {
    server *s;
    http_request *r;
    char *source;
    bool stream, accepts;  // accepts: the request says that the licence is accepted
    atomic_bool stop;      // the client left
    double told;           // when progress was last told
    char digest[STORE_HEX];
} job;

static void on_gone(void *ctx)
{
    atomic_store(&((job *)ctx)->stop, true);
}

static void on_slow(void *ctx, bool slow)
{
    (void)ctx;
    (void)slow;  // a line ten times a second at most: it may wait
}

static void send_line(job *j, buf *b)
{
    buf_add_char(b, '\n');
    if (j->stream && !b->failed)
        http_write(j->r, b->data, b->len);
    buf_done(b);
}

static void send_status(job *j, const char *status)
{
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "status", status);
    json_end(&w);
    send_line(j, &b);
}

static bool stopped(const job *j)
{
    return atomic_load(&j->stop) || atomic_load(&j->s->stopping);
}

static bool on_progress(void *ctx, const char *digest, uint64_t done, uint64_t total)
{
    job *j = ctx;
    double now = os_seconds();
    if (stopped(j))
        return false;
    if (now - j->told < 0.1 && done != total)
        return true;
    j->told = now;
    buf b;
    json_writer w;
    char status[64], full[STORE_HEX + 8];
    snprintf(status, sizeof status, "pulling %.12s", *digest ? digest : "file");
    snprintf(full, sizeof full, "sha256:%s", digest);
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "status", status);
    if (*digest)
        put_str(&w, "digest", full);
    put_int(&w, "total", (int64_t)total);
    put_int(&w, "completed", (int64_t)done);
    json_end(&w);
    send_line(j, &b);
    return true;
}

// In the words that Ollama's clients know.
static void on_step(void *ctx, const char *step)
{
    if (strcmp(step, "resolving") == 0)
        send_status(ctx, "pulling manifest");
    else if (strcmp(step, "verifying") == 0)
        send_status(ctx, "verifying sha256 digest");
    else if (strcmp(step, "writing") == 0)
        send_status(ctx, "writing manifest");
}

static bool on_license(void *ctx, const char *license, store_license kind, const char *base_models)
{
    (void)license;
    (void)kind;
    (void)base_models;
    const job *j = ctx;
    return j->accepts || j->s->o.accept_license;
}

static void finish(job *j, int rc, const err *e)
{
    if (!j->stream && rc) {
        answer_error(j->r, FAMILY_OLLAMA, status_of(rc), NULL, NULL, "%s", e->msg);
    } else if (!j->stream) {
        static const char good[] = "{\"status\":\"success\"}";
        http_answer(j->r, 200, "application/json", good, sizeof good - 1);
    } else if (rc) {
        buf b;
        buf_init(&b);
        error_text(&b, FAMILY_OLLAMA, status_of(rc), NULL, NULL, e->msg);
        send_line(j, &b);
        http_end(j->r);
    } else {
        send_status(j, "success");
        http_end(j->r);
    }
}

static void *run_pull(void *ctx)
{
    job *j = ctx;
    server *s = j->s;
    store st;
    store_manifest m = {0};
    err e = {0};
    pull_options o = {.net = {.allow_private = s->o.allow_private,
                              .allow_http = s->o.allow_http,
                              .proxy = s->o.proxy,
                              .stop = &s->stopping},
                      .progress = on_progress,
                      .say = on_step,
                      .accepts = on_license,
                      .how = j->accepts ? "accept_license of a request" : "serve --accept-license",
                      .ctx = j};
    int rc = store_open(&st, NULL, &e);
    if (!rc)
        rc = pull_model(&st, j->source, &o, &m, &e);
    store_manifest_done(&m);
    models_look(s->models);
    atomic_fetch_sub(&s->pulls, 1);  // before the end: the server may go once the last request is given back
    finish(j, rc, &e);
    mem_free(j->source);
    mem_free(j);
    return NULL;
}

static const char *model_field(fields *f)
{
    const char *name = fields_text(f, "model", fields_text(f, "name", NULL));
    if (!name || !*name)
        fields_wrong(f, "model", "model is required");
    return name;
}

void route_ollama_pull(incoming *c)
{
    fields f = fields_of(c->body);
    const char *name = model_field(&f);
    bool stream = fields_bool(&f, "stream", true), accepts = fields_bool(&f, "accept_license", false);
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    if (strstr(name, "://") || name[0] == '/' || name[0] == '.') {
        answer_error(c->r, c->family, 400, NULL, "model",
                     "\"%.100s\": only names are pulled here; `irori pull` takes URLs and files", name);
        return;
    }
    job *j = atomic_fetch_add(&c->s->pulls, 1) < PULLS ? mem_calloc(MEM_OTHER, 1, sizeof *j) : NULL;
    pthread_t thread;
    pthread_attr_t detached;
    if (j)
        *j = (job){.s = c->s,
                   .r = c->r,
                   .stream = stream,
                   .accepts = accepts,
                   .source = mem_strndup(MEM_OTHER, name, strlen(name))};
    if (!j || !j->source) {
        atomic_fetch_sub(&c->s->pulls, 1);
        mem_free(j);
        answer_error(c->r, c->family, 503, NULL, NULL, "%d pulls run already; try later", PULLS);
        return;
    }
    if (stream)
        http_begin(c->r, 200, "application/x-ndjson");
    http_watch_client(c->r, &(http_watch){.gone = on_gone, .slow = on_slow, .ctx = j});
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &detached, run_pull, j) != 0)
        run_pull(j);  // here, then: a worker is held meanwhile
    pthread_attr_destroy(&detached);
}

// ---- Copy, delete ----

static int parse(const char *text, store_name *out, err *e)
{
    return store_name_parse(text, strlen(text), out, e);
}

static void answer_done(incoming *c, int rc, const err *e)
{
    models_look(c->s->models);
    if (rc)
        answer_error(c->r, c->family, rc == ST_NOTFOUND ? 404 : status_of(rc), NULL, NULL, "%s", e->msg);
    else
        http_answer(c->r, 200, "application/json", "", 0);
}

void route_ollama_copy(incoming *c)
{
    fields f = fields_of(c->body);
    const char *from = fields_text(&f, "source", NULL), *to = fields_text(&f, "destination", NULL);
    store s;
    store_name old, new;
    err e = {0};
    if (!from || !to)
        fields_wrong(&f, "source", "source and destination are required");
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    int rc = store_open(&s, NULL, &e);
    if (!rc)
        rc = parse(from, &old, &e);
    if (!rc)
        rc = parse(to, &new, &e);
    if (!rc)
        rc = store_copy(&s, &old, &new, &e);
    answer_done(c, rc, &e);
}

void route_ollama_delete(incoming *c)
{
    fields f = fields_of(c->body);
    const char *text = model_field(&f);
    store s;
    store_name name;
    uint64_t freed;
    err e = {0};
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    int rc = store_open(&s, NULL, &e);
    if (!rc)
        rc = parse(text, &name, &e);
    if (!rc)
        rc = store_remove(&s, &name, &freed, &e);
    answer_done(c, rc, &e);
}

// ---- Create: a model of the store with another system message or parameters ----

static void refuse_fields(fields *f)
{
    static const struct refused {
        const char *field, *why;
    } refused[] = {{"template", "the template is that of the model file"},
                   {"files", "`irori pull FILE` takes files into the store"},
                   {"adapters", "adapters are given with --lora"},
                   {"quantize", "`irori quantize` makes another file"},
                   {"messages", "messages belong into the request"},
                   {"modelfile", "give from, system and parameters as fields"}};
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (fields_get(f, refused[i].field))
            fields_wrong(f, refused[i].field, "%s is not supported: %s", refused[i].field, refused[i].why);
}

// Sets the texts of a manifest to what the request says; parameters add to what the model had.
static int derive(store_manifest *m, fields *f, err *e)
{
    const char *system = fields_text(f, "system", NULL);
    json_t *more = fields_object(f, "parameters");
    if (system) {
        mem_free(m->system);
        m->system = mem_strndup(MEM_OTHER, system, strlen(system));
        if (!m->system)
            return err_set(e, ST_NOMEM, "no memory for a system message");
    }
    if (!more)
        return ST_OK;
    json_t *all = m->parameters ? json_loads(m->parameters, 0, NULL) : json_object();
    char *text = all && !json_object_update(all, more) ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    mem_free(m->parameters);
    m->parameters = text ? mem_strndup(MEM_OTHER, text, strlen(text)) : NULL;
    free(text);
    return m->parameters ? ST_OK : err_set(e, ST_NOMEM, "no memory for parameters");
}

static int create(fields *f, const char *name, const char *from, err *e)
{
    store s;
    store_name base, made = {0};
    store_manifest m = {0};
    int rc = store_open(&s, NULL, e);
    if (!rc)
        rc = parse(from, &base, e);
    if (!rc)
        rc = parse(name, &made, e);
    if (!rc)
        rc = store_find(&s, &base, &m, e);
    if (!rc)
        rc = derive(&m, f, e);
    m.name = made;
    m.created = (int64_t)time(NULL);
    if (!rc)
        rc = store_commit(&s, &m, NULL, e);
    store_manifest_done(&m);
    return rc;
}

void route_ollama_create(incoming *c)
{
    fields f = fields_of(c->body);
    const char *name = model_field(&f), *from = fields_text(&f, "from", NULL);
    bool stream = fields_bool(&f, "stream", true);
    err e = {0};
    refuse_fields(&f);
    if (!from)
        fields_wrong(&f, "from", "from is required: a model of the store");
    fields parameters = fields_of(fields_object(&f, "parameters"));
    stored_check(&parameters);
    fields_join(&f, "parameters", &parameters);
    fields_text(&f, "system", NULL);
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    int rc = create(&f, name, from, &e);
    if (rc) {
        answer_done(c, rc, &e);
        return;
    }
    models_look(c->s->models);
    static const char good[] = "{\"status\":\"success\"}\n";
    http_answer(c->r, 200, stream ? "application/x-ndjson" : "application/json", good, sizeof good - 1);
}

void route_ollama_push(incoming *c)
{
    answer_error(c->r, c->family, 501, NULL, NULL, "%s is not supported: irori sends no models anywhere",
                 http_path(c->r));
}

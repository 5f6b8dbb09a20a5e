// See sessions.h. One lock for the list; it is never held while the scheduler is called, whose events take it.
#include "server/sessions.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/sse.h"
#include "server/talks.h"

#define KIND "kept session"
#define SUFFIX ".kv"
enum { MOST = 64, USUAL_SECONDS = 600, MOST_SECONDS = 86400 };

typedef struct session {
    struct session *next;
    char id[40];
    char *model;           // its name
    const models_open *m;  // NULL: the server was started anew, and nobody has used the session since
    json_t *past;          // messages, or a string; copies, shared with no request: its reference counts are
                           // touched under the lock only
    json_t *tools, *variables;  // of messages; NULL: none
    irori_held *held;
    size_t tokens;
    int64_t created;
    double seconds, last_used;  // how long it stays unused
    bool busy;                  // something is being added, or its pages are being read
} session;

struct sessions {
    models *models;
    shelf *shelf;
    char *folder;  // of files with pages; NULL: there is none
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t keeper;
    bool running, stopped;
    session *first;
    size_t n;
};

static void drop(sessions *x, session *q)
{
    irori_held_release(q->held);
    if (q->m)
        models_release(x->models, q->m);
    mem_free(q->model);
    json_decref(q->past);
    json_decref(q->tools);
    json_decref(q->variables);
    mem_free(q);
}

// Under the lock.
static session *find(sessions *x, const char *id)
{
    session *q = x->first;
    while (q && strcmp(q->id, id) != 0)
        q = q->next;
    return q;
}

// Under the lock.
static void take_out(sessions *x, session *q)
{
    session **at = &x->first;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    x->n--;
}

// ---- For the next start: the words on the shelf, the pages in a file ----

static bool path_of(const sessions *x, const char *id, char *out, size_t cap)
{
    return x->folder && (size_t)snprintf(out, cap, "%s/%s%s", x->folder, id, SUFFIX) < cap;
}

// A session that is no more is none at the next start either.
static void forget(sessions *x, const char *id)
{
    char path[1024];
    shelf_delete(x->shelf, KIND, id, NULL);
    if (path_of(x, id, path, sizeof path))
        unlink(path);
}

static void forget_and_drop(sessions *x, session *q)
{
    forget(x, q->id);
    drop(x, q);
}

static void *keep(void *ctx)
{
    sessions *x = ctx;
    pthread_mutex_lock(&x->lock);
    while (!x->stopped) {
        struct timespec until;
        double now = os_seconds();
        session *old = x->first;
        while (old && (old->busy || now - old->last_used < old->seconds))
            old = old->next;
        if (old) {
            take_out(x, old);
            pthread_mutex_unlock(&x->lock);
            forget_and_drop(x, old);
            pthread_mutex_lock(&x->lock);
            continue;
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&x->changed, &x->lock, &until);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

// A session of an earlier start, without model and pages yet. What cannot be read is left out.
static void remember(sessions *x, const char *id)
{
    json_t *kept;
    err e;
    if (shelf_get(x->shelf, KIND, id, &kept, &e))
        return;
    const char *model = json_string_value(json_object_get(kept, "model"));
    json_t *past = json_object_get(kept, "past");
    session *q = model && past ? mem_calloc(MEM_OTHER, 1, sizeof *q) : NULL;
    char *name = q ? mem_strndup(MEM_OTHER, model, strlen(model)) : NULL;
    if (name) {
        snprintf(q->id, sizeof q->id, "%s", id);
        q->model = name;
        q->past = json_deep_copy(past);
        q->tools = json_deep_copy(json_object_get(kept, "tools"));
        q->variables = json_deep_copy(json_object_get(kept, "variables"));
        q->tokens = (size_t)json_integer_value(json_object_get(kept, "tokens"));
        q->created = json_integer_value(json_object_get(kept, "created"));
        q->seconds = json_number_value(json_object_get(kept, "seconds"));
        q->last_used = os_seconds();
        q->next = x->first;
        x->first = q;
        x->n++;
    } else {
        mem_free(q);
    }
    json_decref(kept);
}

// Files of sessions that are no more: a kill came between the two.
static void sweep(sessions *x)
{
    DIR *dir = opendir(x->folder);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char id[40], path[1024];
        size_t n = strlen(d->d_name);
        if (n < sizeof SUFFIX || n - (sizeof SUFFIX - 1) >= sizeof id || !strstr(d->d_name, SUFFIX))
            continue;
        snprintf(id, sizeof id, "%.*s", (int)(n - (sizeof SUFFIX - 1)), d->d_name);
        if (!find(x, id) && (size_t)snprintf(path, sizeof path, "%s/%s", x->folder, d->d_name) < sizeof path)
            unlink(path);
    }
    if (dir)
        closedir(dir);
}

int sessions_new(sessions **out, models *m, shelf *kept, const char *folder, err *e)
{
    sessions *x = mem_calloc(MEM_OTHER, 1, sizeof *x);
    json_t *ids, *id;
    size_t i;
    *out = x;
    if (!x)
        return err_set(e, ST_NOMEM, "no memory for sessions");
    x->models = m;
    x->shelf = kept;
    x->folder = folder ? mem_strndup(MEM_OTHER, folder, strlen(folder)) : NULL;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
    int rc = shelf_list(kept, KIND, &ids, e);
    if (rc)
        return rc;
    json_array_foreach(ids, i, id) remember(x, json_string_value(json_object_get(id, "id")));
    json_decref(ids);
    if (x->folder)
        sweep(x);
    x->running = pthread_create(&x->keeper, NULL, keep, x) == 0;
    return x->running ? ST_OK : err_set(e, ST_IO, "a thread could not be started");
}

void sessions_stop(sessions *x)
{
    pthread_mutex_lock(&x->lock);
    x->stopped = true;
    session *all = x->first;
    x->first = NULL;
    x->n = 0;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    if (x->running)
        pthread_join(x->keeper, NULL);
    x->running = false;
    for (session *q = all, *next; q; q = next) {
        next = q->next;
        drop(x, q);
    }
}

void sessions_free(sessions *x)
{
    if (!x)
        return;
    sessions_stop(x);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->changed);
    mem_free(x->folder);
    mem_free(x);
}

size_t sessions_count(sessions *x)
{
    pthread_mutex_lock(&x->lock);
    size_t n = x->n;
    pthread_mutex_unlock(&x->lock);
    return n;
}

static json_t *describe(const session *q)
{
    size_t held = q->held ? irori_held_tokens(q->held) : 0;
    return json_pack("{s:s, s:s, s:s, s:I, s:f, s:I, s:I, s:I}", "id", q->id, "object", "session", "model",
                     q->model, "created", (json_int_t)q->created, "expires_in",
                     MAX(q->seconds - (os_seconds() - q->last_used), 0.), "tokens", (json_int_t)q->tokens,
                     "held_tokens", (json_int_t)held, "bytes",
                     (json_int_t)(q->m ? held * q->m->info.kv_bytes_per_token : 0));
}

// ---- Running ahead ----

typedef struct ahead {
    sessions *x;
    char id[40];
    bool is_new, over;
    json_t *past;
    double seconds;
    int64_t created;
} ahead;

static void ahead_free(void *own)
{
    ahead *p = own;
    pthread_mutex_lock(&p->x->lock);
    session *q = p->is_new || p->over ? NULL : find(p->x, p->id);
    if (q)
        q->busy = false;
    pthread_mutex_unlock(&p->x->lock);
    json_decref(p->past);
    mem_free(p);
}

// Under the lock: the session that the tokens now belong to; NULL: there is none, or no room for one.
static session *settle(ask *a, ahead *p)
{
    session *q = p->is_new ? NULL : find(p->x, p->id);
    char *model = p->is_new && p->x->n < MOST && !p->x->stopped
                      ? mem_strndup(MEM_OTHER, a->m->name, strlen(a->m->name))
                      : NULL;
    if (model && (q = mem_calloc(MEM_OTHER, 1, sizeof *q))) {
        q->model = model;
        model = NULL;
        snprintf(q->id, sizeof q->id, "%s", p->id);
        q->created = a->created;
        q->seconds = p->seconds;
        q->tools = json_deep_copy(a->tools);
        q->variables = json_deep_copy(a->variables);
        q->next = p->x->first;
        p->x->first = q;
        p->x->n++;
    }
    mem_free(model);
    if (!q)
        return NULL;
    if (!q->m) {
        q->m = a->m;
        a->m = NULL;  // it is in use as long as the session lives
    }
    json_t *past = q->past;
    q->past = json_deep_copy(p->past);
    json_decref(past);
    q->tokens = a->n_ids;
    q->last_used = os_seconds();
    q->busy = false;
    p->over = true;
    return q;
}

// What the session will be, for the next start. Without its pages it is still a session: they are run again.
static int write_down(ask *a, const ahead *p, irori_held *held, err *e)
{
    char path[1024];
    err unwritten;
    if (path_of(p->x, p->id, path, sizeof path) && irori_held_tokens(held))
        irori_held_save(held, path, (irori_error *)(void *)&unwritten);
    json_t *kept = json_pack("{s:s, s:O, s:O*, s:O*, s:I, s:I, s:f}", "model", a->m->name, "past", p->past,
                             "tools", a->tools, "variables", a->variables, "tokens", (json_int_t)a->n_ids,
                             "created", (json_int_t)p->created, "seconds", p->seconds);
    char *text = kept ? json_dumps(kept, JSON_COMPACT) : NULL;
    int rc = text ? shelf_put(p->x->shelf, KIND, p->id, text, strlen(text), e)
                  : err_set(e, ST_NOMEM, "no memory to write the session down");
    free(text);
    json_decref(kept);
    return rc;
}

// The prompt was run: its pages are held from now on.
static void ahead_done(ask *a)
{
    ahead *p = a->own;
    irori_held *held, *old = NULL;
    json_t *told = NULL;
    err e;
    if (irori_scheduler_hold(&held, a->m->scheduler, a->ids, a->n_ids, (irori_error *)(void *)&e)) {
        answer_error(a->r, a->family, e.code == ST_LIMIT ? 429 : status_of(e.code), NULL, NULL, "%s", e.msg);
        return;
    }
    if (write_down(a, p, held, &e)) {
        irori_held_release(held);
        answer_error(a->r, a->family, 503, NULL, NULL, "%s", e.msg);
        return;
    }
    pthread_mutex_lock(&p->x->lock);
    session *q = settle(a, p);
    if (q) {
        old = q->held;
        q->held = held;
        told = describe(q);
    }
    bool lost = !q &&
                (p->is_new || !p->x->stopped);  // at the end of the server others stay for the next start
    pthread_mutex_unlock(&p->x->lock);
    irori_held_release(q ? old : held);
    if (lost)
        forget(p->x, p->id);
    if (q)
        answer_value(a->r, 200, told);
    else
        answer_error(a->r, a->family, 503, NULL, NULL, "the session ended, or there are too many");
}

static const ask_format ahead_format = {.done = ahead_done};

static ask *ahead_new(incoming *c, bool is_new)
{
    ask *a = ask_new(c, &ahead_format, "session-");
    ahead *p = a ? mem_calloc(MEM_OTHER, 1, sizeof *p) : NULL;
    if (!p) {
        if (a)
            answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
        ask_free(a);
        return NULL;
    }
    p->x = c->s->sessions;
    p->is_new = is_new;
    p->created = a->created;
    snprintf(p->id, sizeof p->id, "%s", a->id);
    a->own = p;
    a->own_free = ahead_free;
    a->max_tokens = 0;
    a->unanswered = true;
    return a;
}

// Messages, or a text: in p->past, and where the ask looks for them.
static void read_past(ask *a, fields *f)
{
    ahead *p = a->own;
    json_t *text = fields_get(f, "text");
    if (text && (!json_is_string(text) || json_string_length(text) == 0 || fields_get(f, "messages")))
        fields_wrong(f, "text", "text must be a string of at least one byte, in place of messages");
    else if (!text)
        ask_read_messages(a, f, "messages");
    p->past = json_incref(text ? text : a->messages);
    a->prompt = p->past;
}

void route_session_new(incoming *c)
{
    if (json_object_get(c->body, "profile")) {
        talk_route_new(c);
        return;
    }
    ask *a = ahead_new(c, true);
    fields f = fields_of(c->body);
    if (!a)
        return;
    const char *model = fields_text(&f, "model", NULL);
    a->model = model ? mem_strndup(MEM_OTHER, model, strlen(model)) : NULL;
    ((ahead *)a->own)->seconds = fields_number(&f, "seconds", USUAL_SECONDS, 1, MOST_SECONDS);
    read_past(a, &f);
    ask_read_tools(a, &f);
    if (!f.wrong && a->tool_choice != ASK_AUTO)
        fields_wrong(&f, "tool_choice", "a session makes no answer: tool_choice belongs to the request");
    if (!f.wrong && sessions_count(c->s->sessions) < MOST) {
        ask_start(a);
        return;
    }
    if (f.wrong)
        answer_field(c, &f);
    else
        answer_error(c->r, c->family, 429, NULL, NULL, "%d sessions are kept, the most allowed; delete one",
                     (int)MOST);
    ask_free(a);
}

// A session of an earlier start gets its model and pages when it is used. What cannot be had is run again.
static void wake(sessions *x, const char *id)
{
    char path[1024], *model = NULL;
    pthread_mutex_lock(&x->lock);
    session *q = find(x, id);
    if (q && !q->m && !q->busy && (model = mem_strndup(MEM_OTHER, q->model, strlen(q->model))))
        q->busy = true;
    pthread_mutex_unlock(&x->lock);
    if (!model)
        return;
    const models_open *m = NULL;
    irori_held *held = NULL;
    double took;
    err e;
    if (!models_use(x->models, model, NAN, &m, &took, &e) && path_of(x, id, path, sizeof path))
        irori_scheduler_hold_file(&held, m->scheduler, path, (irori_error *)(void *)&e);
    mem_free(model);
    pthread_mutex_lock(&x->lock);
    q = find(x, id);
    if (q) {
        q->busy = false;
        q->m = m;
        q->held = held;
    }
    pthread_mutex_unlock(&x->lock);
    if (!q)
        irori_held_release(held);
    if (!q && m)
        models_release(x->models, m);
}

// What there is of the session before what is added; the HTTP status of a failure, else 0.
static int append_to(ask *a, ahead *p, const char *id)
{
    int status = 0;
    json_t *more = p->past;
    pthread_mutex_lock(&p->x->lock);
    session *q = find(p->x, id);
    if (!q)
        status = 404;
    else if (q->busy)
        status = 409;
    else if (json_is_string(q->past) != json_is_string(more))
        status = 400;
    else if (json_is_string(more))
        p->past = json_pack("s+", json_string_value(q->past), json_string_value(more));
    else if ((p->past = json_deep_copy(q->past)))
        json_array_extend(p->past, more);
    if (!status && !p->past)
        status = 503;
    if (!status) {
        q->busy = true;
        snprintf(p->id, sizeof p->id, "%s", id);
        p->seconds = q->seconds;
        p->created = q->created;
        a->model = mem_strndup(MEM_OTHER, q->model, strlen(q->model));
        a->tools = json_deep_copy(q->tools);
        json_decref(a->variables);
        a->variables = json_deep_copy(q->variables);
    }
    pthread_mutex_unlock(&p->x->lock);
    if (p->past != more)
        json_decref(more);
    return status;
}

void route_session_append(incoming *c)
{
    char id[40];
    const char *slash = strchr(c->rest, '/');
    snprintf(id, sizeof id, "%.*s", slash ? (int)MIN(slash - c->rest, 39) : 0, c->rest);
    if (!slash || strcmp(slash, "/append") != 0) {
        answer_error(c->r, c->family, 404, NULL, NULL, "POST /v1/sessions/ID/append adds to a session");
        return;
    }
    if (talk_is_id(id)) {
        talk_route_append(c, id);
        return;
    }
    ask *a = ahead_new(c, false);
    fields f = fields_of(c->body);
    if (!a)
        return;
    ahead *p = a->own;
    read_past(a, &f);
    if (!f.wrong)
        wake(p->x, id);
    int status = f.wrong ? 400 : append_to(a, p, id);
    if (!status) {
        a->prompt = p->past;
        if (a->messages) {
            json_decref(a->messages);
            a->messages = json_incref(p->past);
        }
        ask_start(a);
        return;
    }
    if (f.wrong)
        answer_field(c, &f);
    else
        answer_error(c->r, c->family, status, NULL, NULL, "session \"%s\": %s", id,
                     status == 404   ? "there is none"
                     : status == 409 ? "something is being added already"
                     : status == 400 ? "messages are added to messages, text to text"
                                     : "out of memory");
    ask_free(a);
}

// ---- Looking, deleting, continuing ----

void route_sessions(incoming *c)
{
    sessions *x = c->s->sessions;
    json_t *list = json_array();
    pthread_mutex_lock(&x->lock);
    for (session *q = x->first; q; q = q->next)
        json_array_append_new(list, describe(q));
    pthread_mutex_unlock(&x->lock);
    talks_describe(c->s->talks, list);
    answer_value(c->r, 200, json_pack("{s:s, s:o, s:i}", "object", "list", "data", list, "limit", (int)MOST));
}

static void answer_none(incoming *c)
{
    answer_error(c->r, c->family, 404, NULL, NULL, "there is no session \"%.60s\"", c->rest);
}

void route_session(incoming *c)
{
    sessions *x = c->s->sessions;
    talk *k;
    if (talk_is_id(c->rest) && !talk_use(c->s->talks, c->rest, os_seconds() + 5, &k, NULL)) {
        json_t *of = talk_describe(k);
        talk_leave(k);
        answer_value(c->r, 200, of);
        return;
    }
    pthread_mutex_lock(&x->lock);
    session *q = find(x, c->rest);
    json_t *told = q ? describe(q) : NULL;
    pthread_mutex_unlock(&x->lock);
    if (q)
        answer_value(c->r, 200, told);
    else
        answer_none(c);
}

void route_session_delete(incoming *c)
{
    sessions *x = c->s->sessions;
    pthread_mutex_lock(&x->lock);
    session *q = find(x, c->rest);
    if (q)
        take_out(x, q);
    pthread_mutex_unlock(&x->lock);
    if (!q && talk_end(c->s->talks, c->rest)) {
        answer_none(c);
        return;
    }
    if (q)
        forget_and_drop(x, q);
    answer_value(c->r, 200,
                 json_pack("{s:s, s:s, s:b}", "id", c->rest, "object", "session.deleted", "deleted", 1));
}

void sessions_continue(ask *a, fields *f)
{
    sessions *x = a->s->sessions;
    const char *id = fields_text(f, "session", NULL);
    if (!id || f->wrong)
        return;
    wake(x, id);
    pthread_mutex_lock(&x->lock);
    session *q = find(x, id);
    if (!q || !json_is_array(q->past)) {
        fields_wrong(f, "session", "there is no session \"%.60s\" of messages; it may have ended", id);
    } else if (a->model && strcmp(a->model, q->model) != 0) {
        fields_wrong(f, "session", "the session is with model \"%.60s\"", q->model);
    } else {
        json_t *all = json_deep_copy(q->past);
        json_array_extend(all, a->messages);
        json_decref(a->messages);
        a->messages = all;
        if (!a->model)
            a->model = mem_strndup(MEM_OTHER, q->model, strlen(q->model));
        if (!a->tools)
            a->tools = json_deep_copy(q->tools);
        if (!a->variables)
            a->variables = json_deep_copy(q->variables);
        q->last_used = os_seconds();
    }
    pthread_mutex_unlock(&x->lock);
}

// See sessions.h. One lock for the list; it is never held while the scheduler is called, whose events take it.
#include "server/sessions.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/sse.h"
#include "server/talks.h"

enum { MOST = 64, USUAL_SECONDS = 600, MOST_SECONDS = 86400 };

typedef struct session {
    struct session *next;
    char id[40];
    const models_open *m;
    json_t *past;  // messages, or a string; copies, shared with no request: its reference counts are
                   // touched under the lock only
    json_t *tools, *variables;  // of messages; NULL: none
    irori_held *held;
    size_t tokens;
    int64_t created;
    double seconds, last_used;  // how long it stays unused
    bool busy;                  // something is being added
} session;

struct sessions {
    models *models;
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
    models_release(x->models, q->m);
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
            drop(x, old);
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

int sessions_new(sessions **out, models *m, err *e)
{
    sessions *x = mem_calloc(MEM_OTHER, 1, sizeof *x);
    *out = x;
    if (!x)
        return err_set(e, ST_NOMEM, "no memory for sessions");
    x->models = m;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
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
    size_t held = irori_held_tokens(q->held);
    return json_pack("{s:s, s:s, s:s, s:I, s:f, s:I, s:I, s:I}", "id", q->id, "object", "session", "model",
                     q->m->name, "created", (json_int_t)q->created, "expires_in",
                     MAX(q->seconds - (os_seconds() - q->last_used), 0.), "tokens", (json_int_t)q->tokens,
                     "held_tokens", (json_int_t)held, "bytes",
                     (json_int_t)(held * q->m->info.kv_bytes_per_token));
}

// ---- Running ahead ----

typedef struct ahead {
    sessions *x;
    char id[40];
    bool is_new, over;
    json_t *past;
    double seconds;
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
    if (p->is_new && p->x->n < MOST && !p->x->stopped && (q = mem_calloc(MEM_OTHER, 1, sizeof *q))) {
        snprintf(q->id, sizeof q->id, "%s", p->id);
        q->created = a->created;
        q->seconds = p->seconds;
        q->tools = json_deep_copy(a->tools);
        q->variables = json_deep_copy(a->variables);
        q->m = a->m;
        a->m = NULL;  // it is in use as long as the session lives
        q->next = p->x->first;
        p->x->first = q;
        p->x->n++;
    }
    if (!q)
        return NULL;
    json_t *past = q->past;
    q->past = json_deep_copy(p->past);
    json_decref(past);
    q->tokens = a->n_ids;
    q->last_used = os_seconds();
    q->busy = false;
    p->over = true;
    return q;
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
    pthread_mutex_lock(&p->x->lock);
    session *q = settle(a, p);
    if (q) {
        old = q->held;
        q->held = held;
        told = describe(q);
    }
    pthread_mutex_unlock(&p->x->lock);
    irori_held_release(q ? old : held);
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
        a->model = mem_strndup(MEM_OTHER, q->m->name, strlen(q->m->name));
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
        drop(x, q);
    answer_value(c->r, 200,
                 json_pack("{s:s, s:s, s:b}", "id", c->rest, "object", "session.deleted", "deleted", 1));
}

void sessions_continue(ask *a, fields *f)
{
    sessions *x = a->s->sessions;
    const char *id = fields_text(f, "session", NULL);
    if (!id || f->wrong)
        return;
    pthread_mutex_lock(&x->lock);
    session *q = find(x, id);
    if (!q || !json_is_array(q->past)) {
        fields_wrong(f, "session", "there is no session \"%.60s\" of messages; it may have ended", id);
    } else if (a->model && strcmp(a->model, q->m->name) != 0) {
        fields_wrong(f, "session", "the session is with model \"%.60s\"", q->m->name);
    } else {
        json_t *all = json_deep_copy(q->past);
        json_array_extend(all, a->messages);
        json_decref(a->messages);
        a->messages = all;
        if (!a->model)
            a->model = mem_strndup(MEM_OTHER, q->m->name, strlen(q->m->name));
        if (!a->tools)
            a->tools = json_deep_copy(q->tools);
        if (!a->variables)
            a->variables = json_deep_copy(q->variables);
        q->last_used = os_seconds();
    }
    pthread_mutex_unlock(&x->lock);
}

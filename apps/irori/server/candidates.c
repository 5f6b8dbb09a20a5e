// POST /v1/candidates and what goes with it: a round of replies to choose from, whole or as events, and its cascade.
// The wire format stands in docs/CANDIDATES.md.
#include <stdio.h>
#include <string.h>

#include "put.h"
#include "server/ask.h"
#include "server/talks.h"
#include "server/upstream.h"

enum { MOST_TEXTS = 64, CASCADE_MS = 3000 };

// A round under way. It lies on its worker's stack, and in a list in which others find it.
typedef struct round_now {
    struct round_now *next;
    char id[40];
    http_request *r;
    talk *k;
    bool stream;
    double started, deadline;
    irori_round o;
    const char *axes[16], *avoid[MOST_TEXTS];
    const char *stage[TALK_MODELS];  // of the cascade: names of models, "upstream"
    int mind[TALK_MODELS];           // which of the talk's models it is; -1: upstream
    int n_stages;
    double cascade_seconds;
    char text[IRORI_MOST_CANDIDATES][1100], axis[IRORI_MOST_CANDIDATES][64];
    const char *source[IRORI_MOST_CANDIDATES];
    double ms[IRORI_MOST_CANDIDATES];
    int n;
    char note[504];    // why the model did not answer
    const char *told;  // what is written now; begun: the head is out
    bool begun;
    atomic_bool gone;
    // Under the lock of the list:
    unsigned held;  // replies that stay as they are
    bool over;
} round_now;

static pthread_mutex_t running_lock = PTHREAD_MUTEX_INITIALIZER;
static round_now *running;

static void enter(round_now *x)
{
    random_id(x->id, sizeof x->id, "round-");
    pthread_mutex_lock(&running_lock);
    x->next = running;
    running = x;
    pthread_mutex_unlock(&running_lock);
}

static void leave(round_now *x)
{
    pthread_mutex_lock(&running_lock);
    round_now **at = &running;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    pthread_mutex_unlock(&running_lock);
}

// ---- What is told ----

static void put_reply(json_writer *w, const round_now *x, int i)
{
    put_str(w, "text", x->text[i]);
    put_str(w, "axis", x->axis[i]);
    put_str(w, "source", x->source[i]);
    put_num(w, "ms", x->ms[i]);
}

static void put_round(json_writer *w, const round_now *x, double total)
{
    put_str(w, "id", x->id);
    put_str(w, "object", "candidates");
    json_key(w, "candidates");
    json_arr(w);
    for (int i = 0; i < x->n; i++) {
        json_obj(w);
        put_reply(w, x, i);
        json_end(w);
    }
    json_end(w);
    put_num(w, "total_ms", total);
    if (x->note[0]) {
        put_str(w, "note", x->note);
    }
}

static double ms_since(const round_now *x)
{
    return (os_seconds() - x->started) * 1e3;
}

// One event. index -1: the whole round.
static void send(round_now *x, const char *event, int index)
{
    buf b;
    json_writer w;
    if (!x->begun)
        http_begin(x->r, 200, "text/event-stream");
    x->begun = true;
    buf_init(&b);
    buf_printf(&b, "event: %s\ndata: ", event);
    json_begin(&w, &b);
    json_obj(&w);
    if (index < 0) {
        put_round(&w, x, ms_since(x));
    } else {
        put_str(&w, "id", x->id);
        put_int(&w, "index", index);
        put_reply(&w, x, index);
    }
    json_end(&w);
    buf_add_str(&b, "\n\n");
    if (!b.failed)
        http_write(x->r, b.data, b.len);
    buf_done(&b);
}

static void take(round_now *x, int i, const irori_candidate *c)
{
    snprintf(x->text[i], sizeof x->text[i], "%s", c->text);
    snprintf(x->axis[i], sizeof x->axis[i], "%s", c->axis);
    x->source[i] = c->source;
    x->ms[i] = ms_since(x);
}

// On the scheduler's thread or the worker's, one at a time.
static void on_candidate(void *ctx, int index, const irori_candidate *c, bool last)
{
    round_now *x = ctx;
    take(x, index, c);
    send(x, last ? "candidate.final" : "candidate.partial", index);
}

static void on_gone(void *ctx)
{
    round_now *x = ctx;
    atomic_store(&x->gone, true);
}

// ---- The cascade ----

static bool is_shown(const round_now *x, const char *text)
{
    for (int i = 0; i < x->n; i++)
        if (irori_replies_alike(x->text[i], text))
            return true;
    for (size_t i = 0; i < x->o.avoid_count; i++)
        if (irori_replies_alike(x->avoid[i], text))
            return true;
    return false;
}

// A later stage's reply for the place `i`, unless the person is at the one there. False: no more are wanted.
static bool replace(void *ctx, int i, const char *text, const char *source)
{
    round_now *x = ctx;
    char clean[1024];
    if (!irori_reply_clean(talk_profile(x->k), x->axis[i], text, clean, sizeof clean) || is_shown(x, clean))
        return !atomic_load(&x->gone);
    pthread_mutex_lock(&running_lock);
    bool wanted = !x->over && !(x->held >> i & 1);
    if (wanted) {
        irori_candidate c = {clean, x->axis[i], source, 0};
        char axis[64];
        snprintf(axis, sizeof axis, "%s", x->axis[i]);
        c.axis = axis;
        take(x, i, &c);
        if (x->stream)
            send(x, "stage.replaced", i);
    }
    bool go_on = !x->over && !atomic_load(&x->gone);
    pthread_mutex_unlock(&running_lock);
    return go_on;
}

static void run_stage(server *s, round_now *x, int stage, double until)
{
    irori_candidate out[IRORI_MOST_CANDIDATES];
    const char *axes[IRORI_MOST_CANDIDATES];
    int n = 0;
    err e;
    for (int i = 0; i < x->n; i++)
        axes[i] = x->axis[i];
    if (x->mind[stage] < 0) {
        upstream_ask(s->upstream, talk_profile(x->k), talk_messages(x->k), axes, x->n, until, replace, x);
        return;
    }
    irori_round o = x->o;
    o.axes = axes;
    o.axes_count = (size_t)x->n;
    o.n = x->n;
    o.event = NULL;
    o.budget_ms = (until - os_seconds()) * 1e3;
    if (x->n == 0 || o.budget_ms <= 0 || talk_round(x->k, x->mind[stage], &o, out, &n, &e))
        return;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < x->n && strcmp(out[i].source, "model") == 0; k++)
            if (strcmp(out[i].axis, x->axis[k]) == 0) {
                replace(x, k, out[i].text, x->stage[stage]);
                break;
            }
}

static void run_cascade(server *s, round_now *x)
{
    double until = os_seconds() + x->cascade_seconds;
    for (int i = 0; i < x->n_stages && os_seconds() < until && !atomic_load(&x->gone); i++)
        run_stage(s, x, i, until);
}

// ---- Reading a request ----

static size_t read_texts(fields *f, const char *name, const char **out, size_t most)
{
    json_t *list = fields_array(f, name), *v;
    size_t i, n = 0;
    if (json_array_size(list) > most)
        fields_wrong(f, name, "%s has %zu texts, allowed up to %zu", name, json_array_size(list), most);
    json_array_foreach(list, i, v) if (n < most && !(out[n] = json_string_value(v)))
        fields_wrong(f, name, "%s[%zu] is no text", name, i);
    else if (n < most) n++;
    return f->wrong ? 0 : n;
}

static void read_round(round_now *x, fields *f)
{
    x->o = (irori_round){.n = (int)fields_int(f, "n", 4, 1, IRORI_MOST_CANDIDATES),
                         .budget_ms = fields_number(f, "budget_ms", 200, 1, 3600000),
                         .max_tokens = (int)fields_int(f, "max_tokens", 16, 1, 64),
                         .temperature = (float)fields_number(f, "temperature", .7, 0.01, 100),
                         .seed = (uint64_t)fields_int(f, "seed", 0, 0, INT64_MAX),
                         .axes = x->axes,
                         .avoid = x->avoid};
    x->o.axes_count = read_texts(f, "axes", x->axes, COUNT_OF(x->axes));
    x->o.avoid_count = read_texts(f, "avoid", x->avoid, MOST_TEXTS / 2);
    x->n_stages = (int)read_texts(f, "cascade", x->stage, TALK_MODELS - 1);
    x->cascade_seconds = fields_number(f, "cascade_ms", CASCADE_MS, 1, 600000) / 1e3;
    x->stream = fields_bool(f, "stream", false);
    x->deadline = x->started + x->o.budget_ms / 1e3;
}

// Names of the talk's models: the first, then the cascade's that are no upstream.
static void list_models(round_now *x, const char *first, talk_options *o)
{
    o->model[0] = first;
    o->n_models = 1;
    for (int i = 0; i < x->n_stages; i++) {
        x->mind[i] = strcmp(x->stage[i], "upstream") == 0 ? -1 : o->n_models;
        if (x->mind[i] > 0)
            o->model[o->n_models++] = x->stage[i];
    }
}

static bool said_by_me(const json_t *message, bool *wrong)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    *wrong = !role || (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0) ||
             !json_is_string(json_object_get(message, "content"));
    return !*wrong && role[0] == 'a';
}

// All messages into the talk; false: one is wrong (noted in f). *e: what a model cannot hold.
static int say_all(talk *k, fields *f, err *e)
{
    json_t *messages = fields_array(f, "messages"), *m;
    size_t i;
    bool wrong = false;
    int rc = ST_OK;
    err why = {0};
    json_array_foreach(messages, i, m)
    {
        said_by_me(m, &wrong);
        if (wrong)
            fields_wrong(
                f, "messages",
                "messages[%zu] needs a role (user: said to the person; assistant: by them) and a content", i);
    }
    json_array_foreach(messages, i, m)
    {
        if (rc || f->wrong)
            break;
        bool me = said_by_me(m, &wrong);
        rc = talk_say(k, me, json_string_value(json_object_get(m, "content")), &why);
    }
    *e = why;
    return rc;
}

// The cascade's models among those that the session was made with.
static void find_stages(round_now *x, const talk *k, fields *f)
{
    for (int i = 0; i < x->n_stages; i++) {
        if (x->mind[i] < 0)
            continue;
        x->mind[i] = 0;
        for (int m = 1; m < talk_models(k); m++)
            if (strcmp(talk_model(k, m), x->stage[i]) == 0)
                x->mind[i] = m;
        if (x->mind[i] == 0)
            fields_wrong(f, "cascade",
                         "the session was made without \"%.60s\": name the cascade when it is made",
                         x->stage[i]);
    }
}

// The talk of a round: that of the session, or one of its own. False after answering.
static bool get_talk(incoming *c, round_now *x, fields *f, talk **k)
{
    const char *session = fields_text(f, "session", NULL), *model = fields_text(f, "model", NULL);
    json_t *profile = fields_get(f, "profile");
    talk_options o = {.profile = profile, .at_once = true};
    err e = {0};
    int rc = ST_OK;
    *k = NULL;
    list_models(x, model, &o);
    if (session && (profile || model || fields_get(f, "messages")))
        fields_wrong(f, "session", "a session has its profile, model and messages: leave those out");
    if (profile && !json_is_string(profile) && !json_is_object(profile))
        fields_wrong(f, "profile", "profile must be the id of a kept profile, or a profile");
    if (!f->wrong)
        rc = session ? talk_use(c->s->talks, session, x->deadline, k, &e) : talk_new(c->s->talks, &o, k, &e);
    if (!rc && !f->wrong && !session)
        rc = say_all(*k, f, &e);
    if (!rc && !f->wrong && session)
        find_stages(x, *k, f);
    for (size_t i = 0; !rc && !f->wrong && i < x->o.axes_count; i++)
        if (!*irori_profile_tag(talk_profile(*k), x->axes[i]))
            fields_wrong(f, "axes", "axis \"%.40s\" is none of the profile's", x->axes[i]);
    for (int i = 0; !f->wrong && i < x->n_stages; i++)
        if (x->mind[i] < 0 && !c->s->upstream)
            fields_wrong(f, "cascade", "no upstream server is configured: start irori serve with --upstream");
    if (!rc && !f->wrong)
        return true;
    if (f->wrong)
        answer_field(c, f);
    else if (e.code == ST_FORMAT)
        answer_error(c->r, c->family, 400, NULL, "profile", "%s", e.msg);
    else
        answer_error(c->r, c->family, e.code == ST_BUSY ? 409 : status_of(e.code), NULL, NULL, "%s", e.msg);
    if (*k)
        talk_leave(*k);
    return false;
}

// What the request wants avoided, and what was rejected in the talk.
static void add_rejected(round_now *x)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)talk_avoid(x->k), i, v) if (x->o.avoid_count < MOST_TEXTS)
        x->avoid[x->o.avoid_count++] = json_string_value(v);
}

static void run(incoming *c, round_now *x)
{
    irori_candidate out[IRORI_MOST_CANDIDATES];
    err e = {0};
    add_rejected(x);
    if (x->stream) {
        x->o.event = on_candidate;
        x->o.ctx = x;
        http_watch w = {.gone = on_gone, .ctx = x};
        http_watch_client(c->r, &w);
    }
    x->o.budget_ms = MAX((x->deadline - os_seconds()) * 1e3, 1e-3);
    enter(x);
    int rc = talk_round(x->k, 0, &x->o, out, &x->n, &e);
    snprintf(x->note, sizeof x->note, "%s", rc ? "" : e.msg);
    for (int i = 0; i < x->n; i++) {
        double ms = x->stream && x->source[i] ? x->ms[i] : ms_since(x);
        take(x, i, &out[i]);
        x->ms[i] = ms;
    }
    if (!rc)
        run_cascade(c->s, x);
    leave(x);
    if (rc && !x->begun) {
        answer_error(c->r, c->family, status_of(rc), NULL, NULL, "%s", e.msg);
    } else if (x->stream) {
        send(x, "done", -1);
        http_end(c->r);
    } else {
        buf b;
        json_writer w;
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_round(&w, x, ms_since(x));
        json_end(&w);
        answer_json(c->r, 200, &b);
    }
}

void route_candidates(incoming *c)
{
    fields f = fields_of(c->body);
    round_now x = {.r = c->r, .started = os_seconds()};
    read_round(&x, &f);
    if (!get_talk(c, &x, &f, &x.k))
        return;
    run(c, &x);
    talk_leave(x.k);
}

// ---- The upstream server ----

void route_candidates_upstream(incoming *c)
{
    char why[256];
    const upstream *u = c->s->upstream;
    if (!u) {
        answer_value(c->r, 200, json_pack("{s:b}", "configured", 0));
        return;
    }
    uint64_t n = upstream_failures(u, why);
    answer_value(c->r, 200,
                 json_pack("{s:b, s:s, s:I, s:s, s:[sss]}", "configured", 1, "url", upstream_url(u),
                           "failures", (json_int_t)n, "last_failure", why, "sends", "the profile's about",
                           "the conversation's messages", "the intent's tag"));
}

// What a round would send, and sends nothing.
void route_candidates_would_send(incoming *c)
{
    static const char *const first[] = {"agree"};
    fields f = fields_of(c->body);
    round_now x = {.r = c->r, .started = os_seconds()};
    read_round(&x, &f);
    if (!c->s->upstream)
        fields_wrong(&f, "cascade", "no upstream server is configured: start irori serve with --upstream");
    if (!get_talk(c, &x, &f, &x.k))
        return;
    const char *const *axes = x.o.axes_count ? x.axes : first;
    json_t *all = json_array();
    for (size_t i = 0; i < MAX(x.o.axes_count, 1); i++)
        json_array_append_new(
            all, upstream_question(c->s->upstream, talk_profile(x.k), talk_messages(x.k), axes[i]));
    talk_leave(x.k);
    answer_value(c->r, 200, json_pack("{s:s, s:o}", "url", upstream_url(c->s->upstream), "would_send", all));
}

// ---- Sessions with a profile ----

void talk_route_new(incoming *c)
{
    fields f = fields_of(c->body);
    json_t *profile = fields_get(&f, "profile");
    const char *cascade[TALK_MODELS] = {NULL};
    talk_options o = {.profile = profile,
                      .seconds = fields_number(&f, "seconds", TALK_SECONDS, 1, TALK_MOST_SECONDS)};
    o.model[0] = fields_text(&f, "model", NULL);
    size_t n = read_texts(&f, "cascade", cascade, TALK_MODELS - 1);
    o.n_models = 1;
    for (size_t i = 0; i < n; i++)
        if (strcmp(cascade[i], "upstream") != 0)
            o.model[o.n_models++] = cascade[i];
    talk *k = NULL;
    err e = {0}, full = {0};
    int rc = ST_OK;
    if (!json_is_string(profile) && !json_is_object(profile))
        fields_wrong(&f, "profile", "profile must be the id of a kept profile, or a profile");
    if (!f.wrong)
        rc = talk_new(c->s->talks, &o, &k, &e);
    if (!rc && !f.wrong)
        rc = say_all(k, &f, &full);
    if (!rc && !f.wrong)
        rc = talk_keep(k, &e);
    json_t *told = NULL;
    if (!rc && !f.wrong) {
        rc = talk_run(c->s->talks, talk_id(k), &e);
        told = talk_describe(k);
        if (full.msg[0])
            json_object_set_new(told, "note", json_string(full.msg));
    }
    if (f.wrong)
        answer_field(c, &f);
    else if (rc)
        answer_error(c->r, c->family,
                     rc == ST_LIMIT    ? 429
                     : rc == ST_FORMAT ? 400
                                       : status_of(rc),
                     NULL, NULL, "%s", e.msg);
    else
        answer_value(c->r, 200, json_incref(told));
    json_decref(told);
    if (k)
        talk_leave(k);
}

void talk_route_append(incoming *c, const char *id)
{
    fields f = fields_of(c->body);
    talk *k;
    err e = {0}, full = {0};
    json_t *told = NULL;
    int rc = talk_use(c->s->talks, id, os_seconds() + 5, &k, &e);
    if (!rc) {
        rc = say_all(k, &f, &full);
        told = talk_describe(k);
        if (full.msg[0])
            json_object_set_new(told, "note", json_string(full.msg));
        talk_leave(k);  // a round may come while it is run
    }
    if (!rc && !f.wrong)
        rc = talk_run(c->s->talks, id, &e);
    if (f.wrong)
        answer_field(c, &f);
    else if (rc)
        answer_error(c->r, c->family, rc == ST_BUSY ? 409 : status_of(rc), NULL, NULL, "%s", e.msg);
    else
        answer_value(c->r, 200, json_incref(told));
    json_decref(told);
}

// ---- Pointing, choosing, rejecting ----

// The round stops replacing what the person is at; index -1: all of it, for good.
static bool hold(const char *id, int index)
{
    bool found = false;
    pthread_mutex_lock(&running_lock);
    for (round_now *x = running; x; x = x->next)
        if (strcmp(x->id, id) == 0) {
            found = true;
            x->over = x->over || index < 0;
            if (index >= 0)
                x->held |= 1u << index;
        }
    pthread_mutex_unlock(&running_lock);
    return found;
}

void route_candidates_hold(incoming *c)
{
    fields f = fields_of(c->body);
    const char *id = fields_text(&f, "id", "");
    int index = (int)fields_int(&f, "index", -1, -1, IRORI_MOST_CANDIDATES - 1);
    if (f.wrong)
        answer_field(c, &f);
    else
        answer_value(c->r, 200, json_pack("{s:s, s:b}", "id", id, "running", hold(id, index)));
}

// "session" and one text of it: 0 and the talk in use, else answered.
static int read_feedback(incoming *c, fields *f, talk **k, const char **text)
{
    err e = {0};
    const char *session = fields_text(f, "session", ""), *id = fields_text(f, "id", NULL);
    *text = fields_text(f, "text", "");
    if (!**text || strlen(*text) > 1000)
        fields_wrong(f, "text", "text must be a reply of 1..1000 bytes");
    if (f->wrong) {
        answer_field(c, f);
        return ST_INVALID;
    }
    if (id)
        hold(id, -1);  // it is over: the session is free soon
    int rc = talk_use(c->s->talks, session, os_seconds() + 5, k, &e);
    if (rc)
        answer_error(c->r, c->family, rc == ST_BUSY ? 409 : status_of(rc), NULL, "session", "%s", e.msg);
    return rc;
}

void route_candidates_choose(incoming *c)
{
    fields f = fields_of(c->body);
    talk *k;
    err e = {0};
    const char *text, *axis = fields_text(&f, "axis", "");
    char id[40];
    if (read_feedback(c, &f, &k, &text))
        return;
    int rc = talk_choose(k, axis, text, &e);
    json_t *told = talk_describe(k);
    snprintf(id, sizeof id, "%s", talk_id(k));
    talk_leave(k);
    if (!rc)
        rc = talk_run(c->s->talks, id, &e);
    if (rc)
        answer_error(c->r, c->family, status_of(rc), NULL, NULL, "%s", e.msg);
    else
        answer_value(c->r, 200, json_incref(told));
    json_decref(told);
}

void route_candidates_reject(incoming *c)
{
    fields f = fields_of(c->body);
    talk *k;
    const char *text;
    if (read_feedback(c, &f, &k, &text))
        return;
    talk_reject(k, text);
    answer_value(c->r, 200, talk_describe(k));
    talk_leave(k);
}

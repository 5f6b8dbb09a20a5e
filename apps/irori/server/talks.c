// See talks.h. The list has one lock; a talk is used by one caller at a time (`used`), and irori_talk_run may go on
// meanwhile on a scheduler's thread.
#include "server/talks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/ask.h"

enum { MOST = 64, PIECE = 32, AVOID = 32, CHOICES = 512 };

typedef struct mind {  // one model's half of a talk
    const models_open *m;
    irori_talk *t;
    irori_held *room;
    atomic_bool full;  // its memory does not hold the conversation
} mind;

struct talk {
    talks *x;
    talk *next;
    char id[40], profile_id[64];
    irori_profile *profile;
    mind mind[TALK_MODELS];
    int n_minds;
    json_t *messages, *avoid;
    int64_t created;
    double seconds, last_used;
    bool used;
    atomic_bool listed;
    int refs;  // callers that run it ahead or use it, and the list
};

struct talks {
    models *models;
    shelf *shelf;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    talk *first;
    size_t n;
    atomic_bool halted;
    pthread_mutex_t choices;  // held while a profile's choices are read and written
};

int talks_new(talks **out, models *m, shelf *s, err *e)
{
    talks *x = mem_calloc(MEM_OTHER, 1, sizeof *x);
    *out = x;
    if (!x)
        return err_set(e, ST_NOMEM, "no memory for talks");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);  // as os_seconds counts
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_init(&x->choices, NULL);
    pthread_cond_init(&x->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    x->models = m;
    x->shelf = s;
    return ST_OK;
}

void talks_halt(talks *x)
{
    atomic_store(&x->halted, true);
}

// ---- Calls on a scheduler's thread ----

typedef struct job {
    talk *k;
    mind *g;
    bool me;
    const char *text;  // NULL: the talk is made
    const irori_round *round;
    double deadline;
    irori_candidate *out;
    int *n;
    size_t left;
    int rc;
    irori_error e;
} job;

static void free_mind(void *ctx, irori_model *m)
{
    mind *g = ctx;
    (void)m;
    irori_talk_free(g->t);
    g->t = NULL;
}

static void make(void *ctx, irori_model *m)
{
    job *j = ctx;
    j->rc = irori_talk_new(&j->g->t, m, j->k->profile, &j->e);
}

static void note(void *ctx, irori_model *m)
{
    job *j = ctx;
    (void)m;
    j->rc = irori_talk_note(j->g->t, j->me, j->text, &j->e);
}

static void run_piece(void *ctx, irori_model *m)
{
    job *j = ctx;
    (void)m;
    j->rc = irori_talk_run(j->g->t, PIECE, &j->left, &j->e);
}

static void run_round(void *ctx, irori_model *m)
{
    job *j = ctx;
    irori_round r = *j->round;
    (void)m;
    r.budget_ms = MAX((j->deadline - os_seconds()) * 1e3, 1e-3);
    j->rc = irori_talk_round(j->g->t, &r, j->out, j->n, &j->e);
}

static int told(const job *j, err *e)
{
    return j->rc ? err_set(e, j->rc, "%s", j->e.message) : ST_OK;
}

// Runs fn between steps of the mind's model; without one, here.
static int call(const mind *g, void (*fn)(void *ctx, irori_model *m), void *ctx, err *e)
{
    if (!g->m) {
        fn(ctx, NULL);
        return ST_OK;
    }
    return irori_scheduler_call(g->m->scheduler, fn, ctx) ? err_set(e, ST_CANCELED, "the server is stopping")
                                                          : ST_OK;
}

// ---- Making and leaving ----

// Nobody has it any more.
static void drop(talk *k)
{
    for (int i = 0; i < k->n_minds; i++) {
        mind *g = &k->mind[i];
        if (g->t)
            call(g, free_mind, g, NULL);
        irori_held_release(g->room);
        if (g->m)
            models_release(k->x->models, g->m);
    }
    irori_profile_free(k->profile);
    json_decref(k->messages);
    json_decref(k->avoid);
    mem_free(k);
}

// Under the lock, which is let go while a talk is dropped.
static void unref(talk *k)
{
    talks *x = k->x;
    if (--k->refs > 0)
        return;
    pthread_mutex_unlock(&x->lock);
    drop(k);
    pthread_mutex_lock(&x->lock);
}

// Under the lock.
static void unlist(talk *k)
{
    talk **at = &k->x->first;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    k->x->n--;
    k->listed = false;
    unref(k);
}

// Under the lock: those whose time is over.
static void forget_old(talks *x)
{
    double now = os_seconds();
    for (talk *k = x->first, *next; k; k = next) {
        next = k->next;
        if (!k->used && k->refs == 1 && now - k->last_used > k->seconds) {
            unlist(k);
            next = x->first;  // the lock was let go
        }
    }
}

void talks_free(talks *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    while (x->first)
        unlist(x->first);
    pthread_mutex_unlock(&x->lock);
    pthread_mutex_destroy(&x->lock);
    pthread_mutex_destroy(&x->choices);
    pthread_cond_destroy(&x->changed);
    mem_free(x);
}

static int read_profile(talk *k, const json_t *profile, err *e)
{
    json_t *kept = NULL;
    int rc = ST_OK;
    if (json_is_string(profile)) {
        snprintf(k->profile_id, sizeof k->profile_id, "%s", json_string_value(profile));
        rc = shelf_get(k->x->shelf, "profile", k->profile_id, &kept, e);
        profile = kept;
    }
    char *text = rc ? NULL : profile ? json_dumps(profile, JSON_COMPACT) : strdup("{}");
    if (!rc && !text)
        rc = err_set(e, ST_NOMEM, "no memory for a profile");
    if (!rc)
        rc = irori_profile_new(&k->profile, text, strlen(text), (irori_error *)(void *)e);
    free(text);
    json_decref(kept);
    return rc;
}

// What was chosen under the kept profile, for every mind.
static void recall(talk *k)
{
    json_t *all = NULL, *c;
    size_t at;
    if (!*k->profile_id || shelf_get(k->x->shelf, "choices", k->profile_id, &all, NULL))
        return;
    json_array_foreach(all, at, c)
    {
        const char *heard = json_string_value(json_object_get(c, "heard")),
                   *axis = json_string_value(json_object_get(c, "axis")),
                   *text = json_string_value(json_object_get(c, "text"));
        for (int i = 0; heard && axis && text && i < k->n_minds; i++)
            irori_talk_remember(k->mind[i].t, heard, axis, text, NULL);  // an axis that is no more: left out
    }
    json_decref(all);
}

static int open_mind(talk *k, const talk_options *o, int i, err *e)
{
    mind *g = &k->mind[i];
    double took;
    int rc = o->at_once ? models_use_open(k->x->models, o->model[i], &g->m, e)
                        : models_use(k->x->models, o->model[i], NAN, &g->m, &took, e);
    if (rc == ST_BUSY && o->at_once)
        rc = ST_OK;  // fall-backs answer
    job j = {.k = k, .g = g};
    k->n_minds = i + 1;
    if (!rc)
        rc = call(g, make, &j, e);
    return rc ? rc : told(&j, e);
}

int talk_new(talks *x, const talk_options *o, talk **out, err *e)
{
    *out = NULL;
    talk *k = mem_calloc(MEM_OTHER, 1, sizeof *k);
    if (!k)
        return err_set(e, ST_NOMEM, "no memory for a talk");
    k->x = x;
    k->messages = json_array();
    k->avoid = json_array();
    k->created = (int64_t)time(NULL);
    k->seconds = o->seconds;
    k->last_used = os_seconds();
    k->used = true;
    k->refs = 1;
    random_id(k->id, sizeof k->id, "talk-");
    int rc = read_profile(k, o->profile, e);
    for (int i = 0; !rc && i < MAX(o->n_models, 1); i++)
        rc = open_mind(k, o, i, e);
    if (rc) {
        drop(k);
        return rc;
    }
    recall(k);
    *out = k;
    return ST_OK;
}

int talk_keep(talk *k, err *e)
{
    talks *x = k->x;
    int rc = ST_OK;
    pthread_mutex_lock(&x->lock);
    forget_old(x);
    if (x->n >= MOST) {
        rc = err_set(e, ST_LIMIT, "%d talks are kept, the most allowed; delete one", (int)MOST);
    } else {
        k->next = x->first;
        x->first = k;
        x->n++;
        k->listed = true;
        k->refs++;
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

bool talk_is_id(const char *id)
{
    return strncmp(id, "talk-", 5) == 0;
}

// Under the lock.
static talk *find(talks *x, const char *id)
{
    talk *k = x->first;
    while (k && strcmp(k->id, id) != 0)
        k = k->next;
    return k;
}

int talk_use(talks *x, const char *id, double deadline, talk **out, err *e)
{
    struct timespec until = {.tv_sec = (time_t)deadline};
    until.tv_nsec = (long)((deadline - (double)until.tv_sec) * 1e9);
    int rc = ST_OK;
    *out = NULL;
    pthread_mutex_lock(&x->lock);
    talk *k;
    while ((k = find(x, id)) && k->used && !rc)
        if (pthread_cond_timedwait(&x->changed, &x->lock, &until) == ETIMEDOUT)
            rc = err_set(e, ST_BUSY, "session \"%.40s\" is in use by another request", id);
    if (!k)
        rc = err_set(e, ST_NOTFOUND, "there is no session \"%.40s\" of a profile; it may have ended", id);
    if (!rc) {
        k->used = true;
        k->refs++;
        *out = k;
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

void talk_leave(talk *k)
{
    talks *x = k->x;
    pthread_mutex_lock(&x->lock);
    k->used = false;
    k->last_used = os_seconds();
    pthread_cond_broadcast(&x->changed);
    unref(k);
    forget_old(x);
    pthread_mutex_unlock(&x->lock);
}

int talk_end(talks *x, const char *id)
{
    pthread_mutex_lock(&x->lock);
    talk *k = find(x, id);
    if (k)
        unlist(k);
    pthread_mutex_unlock(&x->lock);
    return k ? ST_OK : ST_NOTFOUND;
}

json_t *talk_describe(talk *k)
{
    size_t most;
    const mind *g = &k->mind[0];
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:b}", "id", k->id, "object", "session", "model",
                     g->m ? g->m->name : "", "profile", k->profile_id, "created", (json_int_t)k->created,
                     "expires_in", MAX(k->seconds - (os_seconds() - k->last_used), 0.), "tokens",
                     (json_int_t)irori_talk_tokens(g->t, &most), "full", (int)atomic_load(&g->full));
}

void talks_describe(talks *x, json_t *list)
{
    pthread_mutex_lock(&x->lock);
    for (talk *k = x->first; k; k = k->next)
        json_array_append_new(list, k->used ? json_pack("{s:s, s:s, s:s}", "id", k->id, "object", "session",
                                                        "profile", k->profile_id)
                                            : talk_describe(k));
    pthread_mutex_unlock(&x->lock);
}

// ---- What was said ----

// Sets memory aside for what the mind now has to hold.
static int claim(mind *g, err *e)
{
    size_t need;
    irori_held *fresh;
    if (!g->m || irori_talk_tokens(g->t, &need) == 0)
        return ST_OK;
    irori_held_release(g->room);
    g->room = NULL;
    int rc = irori_scheduler_claim(&fresh, g->m->scheduler, need, (irori_error *)(void *)e);
    g->room = rc ? NULL : fresh;
    return rc;
}

int talk_say(talk *k, bool me, const char *text, err *e)
{
    int rc = ST_OK;
    err first = {0};
    json_array_append_new(k->messages,
                          json_pack("{s:s, s:s}", "role", me ? "assistant" : "user", "content", text));
    for (int i = 0; !rc && i < k->n_minds; i++) {
        mind *g = &k->mind[i];
        job j = {.k = k, .g = g, .me = me, .text = text};
        irori_talk_stop(g->t);
        rc = call(g, note, &j, e);
        if (rc)
            break;
        err why = {0};
        int cannot = told(&j, &why);
        if (!cannot)
            cannot = claim(g, &why);
        g->full = cannot != ST_OK;
        if (cannot && !first.code)
            first = why;
    }
    if (!rc)
        *e = first;
    return rc;
}

// One piece of one mind; *more: whether there is another.
static int run_some(talk *k, mind *g, bool *more, err *e)
{
    job j = {.k = k, .g = g};
    *more = false;
    if (g->full || !g->m)
        return ST_OK;
    int rc = call(g, run_piece, &j, e);
    if (rc)
        return rc;
    *more = j.left > 0 || j.rc == IRORI_CANCELED;  // stopped by a round, which goes before us
    return j.rc == IRORI_CANCELED ? ST_OK : told(&j, e);
}

int talk_run(talks *x, const char *id, err *e)
{
    int rc = ST_OK;
    bool more;
    pthread_mutex_lock(&x->lock);
    talk *k = find(x, id);
    if (k)
        k->refs++;
    pthread_mutex_unlock(&x->lock);
    if (!k)
        return err_set(e, ST_NOTFOUND, "there is no session \"%.40s\"", id);
    for (int i = 0; i < k->n_minds; i++)
        do
            rc = run_some(k, &k->mind[i], &more, e);
        while (!rc && more && k->listed && !atomic_load(&x->halted));
    pthread_mutex_lock(&x->lock);
    unref(k);
    pthread_mutex_unlock(&x->lock);
    return rc;
}

int talk_round(talk *k, int i, const irori_round *r, irori_candidate *out, int *n, err *e)
{
    mind *g = &k->mind[i];
    double seconds = r->budget_ms / 1e3;
    job j = {.k = k, .g = g, .round = r, .deadline = os_seconds() + seconds, .out = out, .n = n};
    irori_round alone = *r;
    int rc = ST_BUSY;
    j.e = (irori_error){0};
    if (g->m && !g->full) {
        irori_talk_stop(g->t);
        rc = irori_scheduler_call_by(g->m->scheduler, seconds, run_round, &j);
    }
    if (rc) {  // not begun: what needs no model answers
        alone.no_model = true;
        j.round = &alone;
        run_round(&j, NULL);
        if (!j.rc && !j.e.message[0])
            err_set((err *)(void *)&j.e, ST_OK, "%s",
                    !g->m     ? "the model is not open"
                    : g->full ? "the conversation does not fit the model's memory"
                              : "the model was busy until the deadline");
    }
    memcpy(e, &j.e, sizeof *e);
    e->code = j.rc;
    return j.rc;
}

int talk_models(const talk *k)
{
    return k->n_minds;
}

const char *talk_model(const talk *k, int i)
{
    return k->mind[i].m ? k->mind[i].m->name : "";
}

const irori_profile *talk_profile(const talk *k)
{
    return k->profile;
}

const json_t *talk_messages(const talk *k)
{
    return k->messages;
}

const json_t *talk_avoid(const talk *k)
{
    return k->avoid;
}

const char *talk_id(const talk *k)
{
    return k->id;
}

// ---- Choices ----

// Adds to the profile's choices on the shelf; the oldest give way.
static int keep_choice(talk *k, const char *heard, const char *axis, const char *text, err *e)
{
    json_t *all = NULL;
    err none;
    int rc = shelf_get(k->x->shelf, "choices", k->profile_id, &all, &none);
    if (rc || !json_is_array(all)) {
        json_decref(all);
        all = json_array();
    }
    json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "heard", heard, "axis", axis, "text", text));
    while (json_array_size(all) > CHOICES)
        json_array_remove(all, 0);
    char *dump = json_dumps(all, JSON_COMPACT);
    rc = dump ? shelf_put(k->x->shelf, "choices", k->profile_id, dump, strlen(dump), e)
              : err_set(e, ST_NOMEM, "no memory to keep a choice");
    free(dump);
    json_decref(all);
    return rc;
}

int talk_choose(talk *k, const char *axis, const char *text, err *e)
{
    const char *heard = irori_talk_heard(k->mind[0].t);
    int rc = ST_OK;
    for (int i = 0; !rc && *axis && i < k->n_minds; i++)
        rc = irori_talk_remember(k->mind[i].t, heard, axis, text, (irori_error *)(void *)e);
    if (!rc && *axis && *k->profile_id) {
        pthread_mutex_lock(&k->x->choices);
        rc = keep_choice(k, heard, axis, text, e);
        pthread_mutex_unlock(&k->x->choices);
    }
    json_array_clear(k->avoid);
    return rc ? rc : talk_say(k, true, text, e);
}

void talk_reject(talk *k, const char *text)
{
    if (json_array_size(k->avoid) >= AVOID)
        json_array_remove(k->avoid, 0);
    json_array_append_new(k->avoid, json_string(text));
}

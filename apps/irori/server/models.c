// See models.h. One lock for the table; files are opened outside of it, with the entry marked.
#include "server/models.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/stored.h"
#include "store/store.h"

typedef struct entry {
    models_open open;  // first: models_open is what users hold
    struct entry *next;
    char *name, *path, *chat_template;
    char *kv[2];  // policy and budget that were set since the start; NULL: the options'
    bool no_guess;
    char *system;  // of a model of the store, and the next three
    json_t *defaults;
    char digest[STORE_HEX];
    bool stored, gone,
        stale;  // gone: no longer in the store, so nobody finds it; stale: open, but another there now
    bool always, busy;  // busy: being opened or closed
    int users;
    double keep_alive, last_used;
} entry;

struct models {
    models_options o;
    char *folder;
    store store;  // root "": there is none
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t keeper;
    bool running, stopped;
    entry *first, *last;
    uint64_t loads, unloads;
};

static char *copy(const char *s)
{
    return mem_strndup(MEM_OTHER, s, strlen(s));
}

// The file's name without folder and ".gguf".
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".gguf") == 0)
        n -= 5;
    return mem_strndup(MEM_OTHER, name, n);
}

// Under the lock. A name, with or without ":latest".
static entry *find(models *x, const char *name)
{
    if (!name || !*name) {
        entry *m = x->first;
        while (m && m->gone)
            m = m->next;
        return m;
    }
    size_t n = strlen(name);
    if (n > 7 && strcmp(name + n - 7, ":latest") == 0)
        n -= 7;
    for (entry *m = x->first; m; m = m->next)
        if (!m->gone && strlen(m->name) == n && memcmp(m->name, name, n) == 0)
            return m;
    return NULL;
}

// Under the lock.
static int add(models *x, const char *path, bool always, entry **out)
{
    entry *m = mem_calloc(MEM_OTHER, 1, sizeof *m);
    if (!m)
        return ST_NOMEM;
    m->name = name_of(path);
    m->path = copy(path);
    if (!m->name || !m->path) {
        mem_free(m->name);
        mem_free(m->path);
        mem_free(m);
        return ST_NOMEM;
    }
    m->always = always;
    m->keep_alive = x->o.keep_alive;
    m->no_guess = x->o.no_guess;
    if (x->last)
        x->last->next = m;
    else
        x->first = m;
    x->last = m;
    if (out)
        *out = m;
    return ST_OK;
}

// Under the lock: files that came into the folder since.
static void look_into_folder(models *x)
{
    DIR *dir = x->folder ? opendir(x->folder) : NULL;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        size_t n = strlen(d->d_name);
        char path[4096];
        if (n <= 5 || strcmp(d->d_name + n - 5, ".gguf") != 0 || d->d_name[0] == '.')
            continue;
        const char *of = strstr(d->d_name, "-of-");  // of a split file only the first part is opened
        if (of && !strstr(d->d_name, "-00001-of-"))
            continue;
        if (snprintf(path, sizeof path, "%s/%s", x->folder, d->d_name) >= (int)sizeof path)
            continue;
        char *name = name_of(path);
        if (name && !find(x, name))
            add(x, path, false, NULL);
        mem_free(name);
    }
    if (dir)
        closedir(dir);
}

static bool differs(const entry *m, const store_manifest *sm)
{
    json_t *now = stored_parameters(sm->parameters);
    bool same = strcmp(m->digest, sm->files[0].digest) == 0 && !m->system == !sm->system &&
                (!m->system || strcmp(m->system, sm->system) == 0) && !m->defaults == !now &&
                (!now || json_equal(m->defaults, now));
    json_decref(now);
    return !same;
}

// Under the lock: a model of the store as it is now. One that is open stays what it is until it is closed.
static void take_stored(models *x, const store_manifest *sm)
{
    char name[STORE_NAME], path[STORE_PATH + 400];
    store_name_short(&sm->name, name);
    entry *m = find(x, name);
    for (entry *i = x->first; i && !m; i = i->next)
        if (i->stored && strcmp(i->name, name) == 0)
            m = i;
    if (m && m->stored && m->open.m)
        m->stale = differs(m, sm);
    if ((m && (!m->stored || m->open.m || m->busy)) ||
        store_model_path(&x->store, sm, path, sizeof path, NULL)) {
        if (m && m->stored)
            m->gone = false;
        return;
    }
    if (!m && add(x, path, false, &m))
        return;
    char *texts[3] = {copy(name), copy(path), sm->system ? copy(sm->system) : NULL};
    if (!texts[0] || !texts[1]) {
        for (int i = 0; i < 3; i++)
            mem_free(texts[i]);
        m->gone = true;
        return;
    }
    mem_free(m->name);
    mem_free(m->path);
    mem_free(m->system);
    json_decref(m->defaults);
    m->name = texts[0];
    m->path = texts[1];
    m->system = texts[2];
    m->defaults = stored_parameters(sm->parameters);
    snprintf(m->digest, sizeof m->digest, "%s", sm->files[0].digest);
    m->stored = true;
    m->gone = m->stale = false;
}

// Under the lock: models that came into the store or left it since.
static void look_into_store(models *x)
{
    store_manifest *list;
    size_t n, broken;
    if (!x->store.root[0] || store_list(&x->store, &list, &n, &broken, NULL))
        return;
    for (entry *m = x->first; m; m = m->next)
        m->gone = m->stored && !m->always;
    for (size_t i = 0; i < n; i++)
        take_stored(x, &list[i]);
    store_list_free(list, n);
}

void models_look(models *x)
{
    pthread_mutex_lock(&x->lock);
    look_into_folder(x);
    look_into_store(x);
    pthread_mutex_unlock(&x->lock);
}

// ---- Opening and closing ----

static void close_model(const models_open *o, char *chat_template)
{
    irori_scheduler_free(o->scheduler);
    irori_model_close(o->m);
    mem_free(chat_template);
}

// The chat template, and what names the content of the file.
static char *template_of(const char *path, char *hash, size_t cap)
{
    char *json;
    if (irori_describe_file(path, &json, NULL))
        return copy("");
    json_t *file = json_loads(json, JSON_ALLOW_NUL, NULL);
    irori_free(json);
    const char *text = json_string_value(
        json_object_get(json_object_get(file, "metadata"), "tokenizer.chat_template"));
    char *mine = copy(text ? text : "");
    const char *its = json_string_value(json_object_get(file, "hash"));
    snprintf(hash, cap, "%s", its ? its : "");
    json_decref(file);
    return mine;
}

static int64_t time_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_mtime : 0;
}

// How an entry is opened.
static irori_model_options options_of(const models *x, const entry *m)
{
    irori_model_options mo = x->o.open;
    if (m->kv[0]) {
        mo.kv = m->kv[0];
        mo.kv_budget = m->kv[1];
    }
    if (!mo.context)
        mo.context = (int)json_integer_value(json_object_get(m->defaults, "num_ctx"));
    return mo;
}

// Reads the file of an entry that is marked busy, without the lock.
static int open_model(const models *x, const entry *m, models_open *out, char **chat_template, err *e)
{
    models_open o = {.name = m->name, .path = m->path, .system = m->system, .stored = m->stored};
    irori_scheduler_options so = {.queue = x->o.queue, .no_guess = m->no_guess};
    irori_model_options mo = options_of(x, m);
    int rc = irori_model_open(&o.m, m->path, &mo, (irori_error *)(void *)e);
    if (!rc)
        rc = irori_scheduler_new(&o.scheduler, o.m, &so, (irori_error *)(void *)e);
    if (rc) {
        irori_model_close(o.m);
        return e->code = rc == ST_NOMEM ? rc : ST_FORMAT;  // whatever it is, it is not the client's mistake
    }
    irori_model_get_info(o.m, &o.info);
    *chat_template = template_of(m->path, o.hash, sizeof o.hash);
    if (m->stored)
        snprintf(o.hash, sizeof o.hash, "%s", m->digest);
    o.chat_template = *chat_template ? *chat_template : "";
    o.style = calls_style_of(o.chat_template);
    uint64_t kv = o.info.kv_bytes_per_token * (uint64_t)o.info.context * (uint64_t)o.info.sessions;
    o.bytes = o.info.file_bytes + o.info.activation_bytes + kv;
    o.file_time = time_of(m->path);
    *out = o;
    return ST_OK;
}

// Under the lock, which is let go meanwhile.
static void close_entry(models *x, entry *m)
{
    models_open o = m->open;
    char *chat_template = m->chat_template;
    m->open = (models_open){0};
    m->chat_template = NULL;
    m->busy = true;
    pthread_mutex_unlock(&x->lock);
    close_model(&o, chat_template);
    pthread_mutex_lock(&x->lock);
    m->busy = false;
    x->unloads++;
    pthread_cond_broadcast(&x->changed);
}

// Under the lock: closes unused models, the longest unused first, until `bytes` more fit.
static int make_room(models *x, const entry *for_whom, uint64_t bytes, err *e)
{
    for (;;) {
        uint64_t held = 0;
        entry *oldest = NULL;
        for (entry *m = x->first; m; m = m->next) {
            held += m->open.bytes;
            if (m != for_whom && !m->busy && m->open.m && !m->users && !m->always &&
                (!oldest || m->last_used < oldest->last_used))
                oldest = m;
        }
        uint64_t all;
        if (check_add(held, bytes, &all) && all <= x->o.budget)
            return ST_OK;
        if (bytes > x->o.budget)
            return err_set(
                e, ST_LIMIT,
                "%s needs some %llu MB, more than the %llu MB of all models together: take a smaller --ctx, "
                "fewer --slots, --kv uniform:q8, or raise --memory-budget",
                for_whom->name, (unsigned long long)bytes >> 20, (unsigned long long)x->o.budget >> 20);
        if (!oldest)
            return err_set(
                e, ST_LIMIT,
                "%s needs some %llu MB, %llu MB of %llu are taken by models in use; try later or raise "
                "--memory-budget",
                for_whom->name, (unsigned long long)bytes >> 20, (unsigned long long)held >> 20,
                (unsigned long long)x->o.budget >> 20);
        close_entry(x, oldest);
    }
}

// What opening the model will count for, known from its header; when that cannot be read, its opening says why.
static uint64_t planned_bytes(const models *x, const entry *m)
{
    irori_plan p;
    struct stat st;
    irori_model_options mo = options_of(x, m);
    if (!irori_plan_file(&p, m->path, &mo, &(irori_plan_options){.memory_only = true}, NULL))
        return p.model_bytes + p.activation_bytes + p.kv_bytes;
    return stat(m->path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

// Under the lock, which is let go while the file is read.
static int load(models *x, entry *m, err *e)
{
    const uint64_t least = planned_bytes(x, m);
    models_open o = {0};
    char *chat_template = NULL;
    m->busy = true;
    int rc = make_room(x, m, least, e);
    pthread_mutex_unlock(&x->lock);
    if (!rc)
        rc = open_model(x, m, &o, &chat_template, e);
    pthread_mutex_lock(&x->lock);
    if (!rc) {  // its true size is known now
        m->open = o;
        m->chat_template = chat_template;
        rc = make_room(x, m, 0, e);
        if (rc)
            close_entry(x, m);
        else
            x->loads++;
    }
    m->busy = false;
    pthread_cond_broadcast(&x->changed);
    return rc;
}

// Closes models whose time is over, about once a second.
static void *keep(void *ctx)
{
    models *x = ctx;
    pthread_mutex_lock(&x->lock);
    while (!x->stopped) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&x->changed, &x->lock, &until);
        double now = os_seconds();
        for (entry *m = x->first; m && !x->stopped; m = m->next)
            if (!m->busy && m->open.m && !m->users && !m->always && m->keep_alive >= 0 &&
                now - m->last_used >= m->keep_alive)
                close_entry(x, m);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

int models_new(models **out, const models_options *o, err *e)
{
    *out = NULL;
    models *x = mem_calloc(MEM_OTHER, 1, sizeof *x);
    if (!x)
        return err_set(e, ST_NOMEM, "no memory for the table of models");
    x->o = *o;
    if (!x->o.budget)
        x->o.budget = os_memory_bytes() / 4 * 3;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
    x->folder = o->folder ? copy(o->folder) : NULL;
    if (store_open(&x->store, NULL, NULL))
        x->store.root[0] = 0;
    look_into_folder(x);
    if (pthread_create(&x->keeper, NULL, keep, x) != 0) {
        models_free(x);
        return err_set(e, ST_IO, "a thread could not be started");
    }
    x->running = true;
    *out = x;
    return ST_OK;
}

int models_add(models *x, const char *path, bool always, err *e)
{
    entry *m;
    int rc = ST_OK;
    pthread_mutex_lock(&x->lock);
    if (access(path, F_OK) != 0)
        look_into_store(x);
    m = find(x, path);
    if (access(path, F_OK) != 0 && m && m->stored)
        m->always = always;
    else
        rc = add(x, path, always, &m);
    if (rc)
        err_set(e, rc, "no memory for the table of models");
    else if (always)
        rc = load(x, m, e);
    pthread_mutex_unlock(&x->lock);
    return rc;
}

void models_stop(models *x)
{
    pthread_mutex_lock(&x->lock);
    x->stopped = true;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    if (x->running)
        pthread_join(x->keeper, NULL);
    x->running = false;
    pthread_mutex_lock(&x->lock);
    for (entry *m = x->first; m; m = m->next) {
        while (m->busy)
            pthread_cond_wait(&x->changed, &x->lock);
        irori_scheduler *s = m->open.scheduler;
        m->open.scheduler = NULL;
        pthread_mutex_unlock(&x->lock);
        irori_scheduler_free(s);  // its requests end, and release the model
        pthread_mutex_lock(&x->lock);
    }
    pthread_mutex_unlock(&x->lock);
}

void models_free(models *x)
{
    if (!x)
        return;
    models_stop(x);
    for (entry *m = x->first, *next; m; m = next) {
        next = m->next;
        close_model(&m->open, m->chat_template);
        mem_free(m->kv[0]);
        mem_free(m->kv[1]);
        mem_free(m->system);
        json_decref(m->defaults);
        mem_free(m->name);
        mem_free(m->path);
        mem_free(m);
    }
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->changed);
    mem_free(x->folder);
    mem_free(x);
}

// Under the lock, which may be let go meanwhile: the model, looked for also in folder and store, and one that is open
// and unused but no longer what the store has is closed first.
static entry *find_fresh(models *x, const char *name)
{
    entry *m = find(x, name);
    if (!m) {
        look_into_folder(x);
        look_into_store(x);
        m = find(x, name);
    }
    if (m && m->stale && m->open.m && !m->users && !m->busy) {
        close_entry(x, m);
        look_into_store(x);
        m = find(x, name);
    }
    return m;
}

int models_use(models *x, const char *name, double keep_alive, const models_open **out, double *loaded,
               err *e)
{
    double started = os_seconds();
    int rc = ST_OK;
    *out = NULL;
    *loaded = 0;
    pthread_mutex_lock(&x->lock);
    entry *m = find_fresh(x, name);
    if (!m)
        rc = err_set(e, ST_NOTFOUND, "model \"%s\" not found", name ? name : "");
    while (!rc && m->busy && !x->stopped)
        pthread_cond_wait(&x->changed, &x->lock);
    if (x->stopped)
        rc = err_set(e, ST_CANCELED, "the server is stopping");
    if (!rc && !m->open.m) {
        rc = load(x, m, e);
        *loaded = os_seconds() - started;
    }
    if (!rc && x->stopped)
        rc = err_set(e, ST_CANCELED, "the server is stopping");
    if (!rc) {
        m->users++;
        if (!isnan(keep_alive))
            m->keep_alive = keep_alive;
        *out = &m->open;
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

int models_use_open(models *x, const char *name, const models_open **out, err *e)
{
    int rc = ST_OK;
    *out = NULL;
    pthread_mutex_lock(&x->lock);
    entry *m = find(x, name);
    if (!m)
        rc = err_set(e, ST_NOTFOUND, "model \"%s\" not found", name ? name : "");
    else if (m->busy || !m->open.m || x->stopped)
        rc = err_set(e, ST_BUSY, "model \"%s\" is not open", m->name);
    else
        m->users++;
    if (!rc)
        *out = &m->open;
    pthread_mutex_unlock(&x->lock);
    return rc;
}

json_t *models_defaults(models *x, const char *name)
{
    pthread_mutex_lock(&x->lock);
    const entry *m = find_fresh(x, name);
    json_t *mine = m && m->defaults ? json_deep_copy(m->defaults) : NULL;
    pthread_mutex_unlock(&x->lock);
    return mine;
}

void models_release(models *x, const models_open *open)
{
    entry *m = (entry *)(uintptr_t)open;
    pthread_mutex_lock(&x->lock);
    m->users--;
    m->last_used = os_seconds();
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

int models_get_kv(models *x, const models_open *open, char *out[2], err *e)
{
    entry *m = (entry *)(uintptr_t)open;
    const char *policy = x->o.open.kv ? x->o.open.kv : "f16";
    const char *budget = x->o.open.kv_budget ? x->o.open.kv_budget : "";
    pthread_mutex_lock(&x->lock);
    out[0] = copy(m->kv[0] ? m->kv[0] : policy);
    out[1] = copy(m->kv[0] ? m->kv[1] : budget);
    pthread_mutex_unlock(&x->lock);
    if (out[0] && out[1])
        return ST_OK;
    mem_free(out[0]);
    mem_free(out[1]);
    return err_set(e, ST_NOMEM, "no memory for the policy's text");
}

typedef struct kv_change {
    const char *policy, *budget;
    int rc;
    err *e;
} kv_change;

static void change_kv(void *ctx, irori_model *m)
{
    kv_change *c = ctx;
    c->rc = irori_model_set_kv(m, c->policy, c->budget, (irori_error *)(void *)c->e);
}

int models_set_kv(models *x, const models_open *open, const char *policy, const char *budget, err *e)
{
    entry *m = (entry *)(uintptr_t)open;
    kv_change c = {.policy = policy, .budget = budget, .e = e};
    char *kv[2] = {copy(policy), copy(budget)};
    int rc = kv[0] && kv[1] ? ST_OK : err_set(e, ST_NOMEM, "no memory for the policy's text");
    if (!rc)
        rc = irori_scheduler_call(open->scheduler, change_kv, &c);
    if (rc == ST_CANCELED)
        err_set(e, rc, "the server is stopping");
    else if (!rc)
        rc = c.rc;
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < 2 && !rc; i++) {
        char *old = m->kv[i];
        m->kv[i] = kv[i];
        kv[i] = old;
    }
    pthread_mutex_unlock(&x->lock);
    mem_free(kv[0]);
    mem_free(kv[1]);
    return rc;
}

void models_set_guess(models *x, const models_open *open, bool on)
{
    entry *m = (entry *)(uintptr_t)open;
    pthread_mutex_lock(&x->lock);
    m->no_guess = !on;
    irori_scheduler_set_guesses(open->scheduler, on);
    pthread_mutex_unlock(&x->lock);
}

int models_unload(models *x, const char *name, err *e)
{
    int rc = ST_OK;
    pthread_mutex_lock(&x->lock);
    entry *m = find(x, name);
    if (!m)
        rc = err_set(e, ST_NOTFOUND, "model \"%s\" not found", name ? name : "");
    else if (m->users || m->busy || m->always)
        rc = err_set(e, ST_BUSY, "model \"%s\" is %s", m->name, m->always ? "kept always" : "in use");
    else if (m->open.m)
        close_entry(x, m);
    pthread_mutex_unlock(&x->lock);
    return rc;
}

static int fill(models_item *i, const entry *m)
{
    struct stat st;
    i->name = copy(m->name);
    i->path = copy(m->path);
    i->file_bytes = stat(m->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    i->file_time = time_of(m->path);
    snprintf(i->digest, sizeof i->digest, "%s", m->digest);
    i->always = m->always;
    i->is_open = !m->busy && m->open.m && m->open.scheduler;
    if (i->is_open) {
        i->bytes = m->open.bytes;
        double left = m->keep_alive - (m->users ? 0 : os_seconds() - m->last_used);
        i->seconds_left = m->always || m->keep_alive < 0 ? -1 : MAX(left, 0);
        irori_scheduler_get_stats(m->open.scheduler, &i->stats);
    }
    return i->name && i->path ? ST_OK : ST_NOMEM;
}

int models_list(models *x, models_item **out, size_t *n, err *e)
{
    size_t count = 0;
    int rc = ST_OK;
    pthread_mutex_lock(&x->lock);
    look_into_folder(x);
    look_into_store(x);
    for (const entry *m = x->first; m; m = m->next)
        count++;
    *n = 0;
    *out = mem_calloc(MEM_OTHER, count + 1, sizeof **out);
    if (!*out)
        rc = ST_NOMEM;
    for (const entry *m = x->first; m && !rc; m = m->next)
        if (!m->gone)
            rc = fill(&(*out)[(*n)++], m);
    pthread_mutex_unlock(&x->lock);
    if (rc) {
        models_list_free(*out, *n);
        *out = NULL;
        *n = 0;
        return err_set(e, rc, "no memory for the list of models");
    }
    return rc;
}

void models_list_free(models_item *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++) {
        mem_free(list[i].name);
        mem_free(list[i].path);
    }
    mem_free(list);
}

int models_describe(models *x, const char *name, json_t **out, err *e)
{
    *out = NULL;
    pthread_mutex_lock(&x->lock);
    look_into_folder(x);
    look_into_store(x);
    entry *m = find(x, name);
    char *path = m ? copy(m->path) : NULL, *json = NULL;
    pthread_mutex_unlock(&x->lock);
    if (!m)
        return err_set(e, ST_NOTFOUND, "model \"%s\" not found", name ? name : "");
    int rc = path ? irori_describe_file(path, &json, (irori_error *)(void *)e)
                  : err_set(e, ST_NOMEM, "no memory");
    mem_free(path);
    if (rc)
        return rc;
    *out = json_loads(json, JSON_ALLOW_NUL, NULL);
    irori_free(json);
    return *out ? ST_OK : err_set(e, ST_NOMEM, "no memory to describe model \"%s\"", name ? name : "");
}

irori_model_options models_usual(const models *x)
{
    return x->o.open;
}

uint64_t models_budget(const models *x)
{
    return x->o.budget;
}

int models_plan(models *x, const char *name, bool memory_only, irori_plan *out, bool *stored, err *e)
{
    pthread_mutex_lock(&x->lock);
    entry *m = find(x, name);
    char *path = m ? copy(m->path) : NULL, *policy = m && m->kv[0] ? copy(m->kv[0]) : NULL;
    char *budget = policy ? copy(m->kv[1]) : NULL;
    irori_model_options mo = m ? options_of(x, m) : x->o.open;
    *stored = m && m->stored;
    pthread_mutex_unlock(&x->lock);
    if (policy) {  // the entry's own may change meanwhile
        mo.kv = policy;
        mo.kv_budget = budget;
    }
    int rc = ST_OK;
    if (!m)
        rc = err_set(e, ST_NOTFOUND, "model \"%s\" not found", name);
    else if (!path || (policy && !budget))
        rc = err_set(e, ST_NOMEM, "no memory");
    else
        rc = irori_plan_file(out, path, &mo, &(irori_plan_options){.memory_only = memory_only},
                             (irori_error *)(void *)e);
    mem_free(path);
    mem_free(policy);
    mem_free(budget);
    return rc;
}

const char *models_default(models *x)
{
    pthread_mutex_lock(&x->lock);
    const entry *m = find(x, NULL);
    const char *name = m ? m->name : NULL;
    pthread_mutex_unlock(&x->lock);
    return name;
}

void models_counts(models *x, uint64_t *loads, uint64_t *unloads)
{
    pthread_mutex_lock(&x->lock);
    *loads = x->loads;
    *unloads = x->unloads;
    pthread_mutex_unlock(&x->lock);
}

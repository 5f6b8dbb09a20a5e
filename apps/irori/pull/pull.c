// See pull.h.
#include "pull/pull.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pull/fetch.h"

typedef struct pulling {
    const store *s;
    pull_options *o;
    source src;
    store_manifest m;
    fetched *files;
    size_t n_fetched;
    uint64_t before, total;  // bytes of the files that are done; of all, as far as is known
    uint64_t told;
    const char *digest;
} pulling;

static void say(const pull_options *o, const char *step)
{
    if (o->say)
        o->say(o->ctx, step);
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    pulling *p = ctx;
    uint64_t all = MAX(p->total, p->before + total);
    p->told = MAX(p->told, p->before + done);
    return !p->o->progress || p->o->progress(p->o->ctx, p->digest, MIN(p->told, all), all);
}

// Asks once for a licence that is not plainly free; what the ledger has is not asked again.
static int ask(const pulling *p, const char *license, err *e)
{
    store_license kind = store_license_of(license);
    store_acceptance before = {0};
    if (kind == STORE_LICENSE_ALLOWED)
        return ST_OK;
    if (p->m.n_files && p->m.files[0].digest[0])
        store_accepted(p->s, &p->m, &before);
    if (before.accepted || (p->o->accepts && p->o->accepts(p->o->ctx, license, kind, p->m.base_models)))
        return ST_OK;
    return err_set(e, ST_CANCELED, "%s: its licence%s%s %s; not taken in. --accept-license accepts it",
                   p->src.shown, *license ? " " : " is not named, so it", license,
                   kind == STORE_LICENSE_READ ? "needs reading" : "does not allow commercial use");
}

static int describe(pulling *p, err *e)
{
    const source *src = &p->src;
    store_manifest *m = &p->m;
    m->name = src->name;
    m->created = (int64_t)time(NULL);
    m->source = mem_strndup(MEM_OTHER, src->shown, strlen(src->shown));
    m->license = mem_strndup(MEM_OTHER, src->license ? src->license : "",
                             src->license ? strlen(src->license) : 0);
    m->files = mem_calloc(MEM_OTHER, src->n_files, sizeof *m->files);
    p->files = mem_calloc(MEM_OTHER, src->n_files, sizeof *p->files);
    if (!m->source || !m->license || !m->files || !p->files)
        return err_set(e, ST_NOMEM, "no memory to pull %s", src->shown);
    for (size_t i = 0; i < src->n_files; i++) {
        store_file *f = &m->files[m->n_files++];
        memcpy(f->digest, src->files[i].digest, sizeof f->digest);
        f->bytes = src->files[i].bytes;
        f->name = mem_strndup(MEM_OTHER, src->files[i].name, strlen(src->files[i].name));
        p->total += f->bytes;
        if (!f->name)
            return err_set(e, ST_NOMEM, "no memory to pull %s", src->shown);
    }
    m->system = p->src.system;
    m->parameters = p->src.parameters;
    p->src.system = p->src.parameters = NULL;
    return ST_OK;
}

// Files that the store has already are not fetched.
static int fetch_all(pulling *p, err *e)
{
    int rc = store_check_room(p->s, 0, e);
    for (size_t i = 0; i < p->m.n_files && !rc; i++) {
        store_file *f = &p->m.files[i];
        uint64_t bytes;
        fetch_job job = {.url = p->src.files[i].url,
                         .bytes = f->bytes,
                         .piece = p->o->piece,
                         .progress = on_progress,
                         .ctx = p};
        memcpy(job.digest, f->digest, sizeof job.digest);
        p->digest = f->digest;
        p->files[i].lock = -1;
        p->n_fetched = i + 1;
        if (f->digest[0] && store_has_blob(p->s, f->digest, &bytes) && bytes == f->bytes) {
            if (!on_progress(p, f->bytes, f->bytes))
                rc = err_set(e, ST_CANCELED, "stopped");
        } else {
            rc = fetch_file(&p->o->net, p->s, &job, &p->files[i], e);
            memcpy(f->digest, job.digest, sizeof f->digest);
            f->bytes = job.bytes;
        }
        p->before += f->bytes;
    }
    return rc;
}

static int take_in(pulling *p, err *e)
{
    const char *partials[STORE_FILES];
    for (size_t i = 0; i < p->m.n_files; i++)
        partials[i] = p->files[i].lock >= 0 ? p->files[i].data : NULL;
    char blob[STORE_PATH + 96];
    int rc = ST_OK;
    store_blob_path(p->s, p->m.files[0].digest, blob);
    if (p->m.n_files == 1)  // what the file itself says, before it is taken in
        rc = store_read_license(partials[0] ? partials[0] : blob, &p->m, e);
    if (partials[0] &&
        (rc == ST_FORMAT || rc == ST_UNSUPPORTED)) {  // no model file, now and at the next attempt
        (void)unlink(partials[0]);
        fetch_done(&p->files[0]);
        return err_prefix(e, "%s", p->src.shown);
    }
    if (!rc)
        rc = ask(p, p->m.license, e);
    if (!rc)
        say(p->o, "writing");
    if (!rc)
        rc = store_commit(p->s, &p->m, partials, e);
    for (size_t i = 0; i < p->m.n_files && !rc; i++)
        fetch_done(&p->files[i]);
    store_acceptance before;
    if (!rc && store_license_of(p->m.license) != STORE_LICENSE_ALLOWED) {
        store_accepted(p->s, &p->m, &before);
        if (!before.accepted)
            rc = store_accept(p->s, &p->m, p->o->how ? p->o->how : "", e);
    }
    return rc;
}

static int pull(pulling *p, const char *text, err *e)
{
    pull_options *o = p->o;
    say(o, "resolving");
    int rc = source_find(&o->net, text, &p->src, e);
    if (!rc && o->as)
        rc = store_name_parse(o->as, strlen(o->as), &p->src.name, e);
    if (!rc && o->digest && (p->src.n_files != 1 || p->src.files[0].digest[0]))
        rc = err_set(e, ST_INVALID, "--sha256 is for the file of a URL; a registry says the hash itself");
    if (!rc && o->digest && !store_digest_parse(o->digest, p->src.files[0].digest))
        rc = err_set(e, ST_INVALID, "--sha256 is \"%.80s\", must be 64 hex digits", o->digest);
    if (!rc)
        rc = describe(p, e);
    if (!rc && *p->m.license)  // known before the gigabytes: asked before them
        rc = ask(p, p->m.license, e);
    if (!rc) {
        say(o, "fetching");
        rc = fetch_all(p, e);
    }
    if (!rc) {
        say(o, "verifying");
        rc = take_in(p, e);
    }
    return rc;
}

int pull_model(const store *s, const char *text, pull_options *o, store_manifest *out, err *e)
{
    pulling p = {.s = s, .o = o};
    int rc = pull(&p, text, e);
    for (size_t i = 0; i < p.n_fetched; i++)
        if (p.files[i].lock >= 0)
            close(p.files[i].lock);  // what came stays for the next attempt
    mem_free(p.files);
    source_done(&p.src);
    mem_free(o->net.token);
    o->net.token = NULL;
    if (rc)
        store_manifest_done(&p.m);
    *out = p.m;
    return rc;
}

int pull_read_token(const char *path, char **token, err *e)
{
    char *text;
    size_t n;
    int rc = os_read_file(path, 8192, &text, &n, e);
    if (rc)
        return rc;
    size_t from = strspn(text, " \t\r\n"), len = strcspn(text + from, " \t\r\n");
    *token = len && len <= 4096 ? mem_strndup(MEM_OTHER, text + from, len) : NULL;
    mem_free(text);
    return *token ? ST_OK : err_set(e, ST_INVALID, "%s: holds no token of at most 4096 bytes", path);
}

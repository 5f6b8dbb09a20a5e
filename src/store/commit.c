// Changes to a store: taking models in, copying and removing names, giving unused blobs back.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gguf/gguf.h"
#include "store/own.h"

static int write_manifest(const store *s, const store_manifest *m, err *e)
{
    char path[PATH];
    buf b;
    buf_init(&b);
    store_manifest_write(m, &b);
    manifest_path(s, &m->name, path);
    int rc = b.failed ? err_set(e, ST_NOMEM, "%s: no memory for its manifest", m->name.text)
                      : os_write_file(path, b.data, b.len, e);
    buf_done(&b);
    return rc;
}

int link_split(const store *s, const store_manifest *m, err *e)
{
    char dir[PATH];
    if (m->n_files == 1)
        return ST_OK;
    snprintf(dir, sizeof dir, "%s/splits/%s", s->root, m->files[0].digest);
    if (!os_make_dirs(dir))
        return err_set(e, ST_IO, "%s: the folder cannot be made", dir);
    for (size_t i = 0; i < m->n_files; i++) {
        char link[PATH + 260], to[128];
        snprintf(to, sizeof to, "../../blobs/sha256-%s", m->files[i].digest);
        snprintf(link, sizeof link, "%s/%s", dir, m->files[i].name);
        (void)unlink(link);
        if (symlink(to, link) != 0)
            return err_set(e, ST_IO, "%s: the link cannot be made: %s", link, strerror(errno));
    }
    return ST_OK;
}

// "org/name, org/name" of general.base_model.*; a text of the file, so made printable.
static void read_bases(const gguf *g, buf *out)
{
    uint32_t n = 0;
    gguf_get_u32(g, "general.base_model.count", &n);
    for (uint32_t i = 0; i < MIN(n, 16u); i++) {
        char key[64];
        gguf_str name, org = {0};
        snprintf(key, sizeof key, "general.base_model.%u.organization", i);
        gguf_get_str(g, key, &org);
        snprintf(key, sizeof key, "general.base_model.%u.name", i);
        if (!gguf_get_str(g, key, &name))
            continue;
        buf_printf(out, "%s%.*s%s%.*s", out->len ? ", " : "", (int)MIN(org.n, 80), org.n ? org.p : "",
                   org.n ? "/" : "", (int)MIN(name.n, 120), name.n ? name.p : "");
    }
    if (out->len)
        utf8_make_printable(out->data);
}

int store_read_license(const char *path, store_manifest *m, err *e)
{
    gguf *g;
    int rc = gguf_open(&g, path, e);
    if (rc)
        return rc;
    gguf_str id = {0};
    buf bases;
    buf_init(&bases);
    gguf_get_str(g, "general.license", &id);
    read_bases(g, &bases);
    if (id.n || !m->license) {
        mem_free(m->license);
        m->license = mem_strndup(MEM_OTHER, id.n ? id.p : "", MIN(id.n, 100));
    }
    mem_free(m->base_models);
    m->base_models = bases.len ? buf_take(&bases) : mem_strndup(MEM_OTHER, "", 0);
    if (m->license)
        utf8_make_printable(m->license);
    buf_done(&bases);
    gguf_close(g);
    return m->license && m->base_models ? ST_OK : err_set(e, ST_NOMEM, "%s: no memory for its licence", path);
}

static int take_blob(const store *s, const store_file *f, const char *partial, err *e)
{
    char path[STORE_PATH + 96];
    uint64_t bytes;
    store_blob_path(s, f->digest, path);
    if (store_has_blob(s, f->digest, &bytes) && bytes == f->bytes) {
        if (partial)
            (void)unlink(partial);
        return ST_OK;
    }
    if (!partial)
        return err_set(e, ST_NOTFOUND, "the file sha256-%.12s is not in the store", f->digest);
    (void)chmod(partial, 0400);  // nothing writes to it any more
    if (rename(partial, path) != 0)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    os_sync_dir_of(path);
    return ST_OK;
}

static void remove_split(const store *s, const char *digest)
{
    char dir[PATH], path[PATH + 260];
    snprintf(dir, sizeof dir, "%s/splits/%s", s->root, digest);
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        (void)unlink(path);
    }
    if (d)
        closedir(d);
    (void)rmdir(dir);
}

static bool is_used(const store_manifest *list, size_t n, const char *hex)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < list[i].n_files; k++)
            if (strcmp(list[i].files[k].digest, hex) == 0)
                return true;
    return false;
}

// Under the lock, so every blob that is wanted has its manifest: removes those that no manifest names. With a manifest
// that cannot be read nothing is removed: it may name any of them.
static int drop_unused(const store *s, uint64_t *freed, err *e)
{
    store_manifest *list;
    size_t n, broken;
    char path[PATH];
    int rc = store_list(s, &list, &n, &broken, e);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "%s/blobs", s->root);
    DIR *d = broken ? NULL : opendir(path);
    for (struct dirent *f; d && (f = readdir(d));) {
        char hex[STORE_HEX];
        uint64_t bytes;
        if (!store_digest_parse(f->d_name, hex) || is_used(list, n, hex) || !store_has_blob(s, hex, &bytes))
            continue;
        if (unlinkat(dirfd(d), f->d_name, 0) == 0)
            *freed += bytes;
        remove_split(s, hex);
    }
    if (d)
        closedir(d);
    store_list_free(list, n);
    return ST_OK;
}

// Under the lock. What a manifest of that name held before goes when nobody else has it; what stays for some reason is
// found by the next change.
static int replace_manifest(const store *s, const store_manifest *m, err *e)
{
    uint64_t freed = 0;
    int rc = write_manifest(s, m, e);
    (void)drop_unused(s, &freed, NULL);
    return rc;
}

int store_commit(const store *s, store_manifest *m, const char *const *partials, err *e)
{
    char path[STORE_PATH + 400];
    int lock, rc = lock_store(s, &lock, e);
    if (rc)
        return rc;
    uint64_t freed = 0;
    if (m->n_files == 1 && partials && partials[0])  // looked at before anything is changed
        rc = store_read_license(partials[0], m, e);
    for (size_t i = 0; i < m->n_files && !rc; i++)
        rc = take_blob(s, &m->files[i], partials ? partials[i] : NULL, e);
    if (!rc)
        rc = link_split(s, m, e);
    if (!rc)
        rc = store_model_path(s, m, path, sizeof path, e);
    if (!rc)
        rc = store_read_license(path, m, e);
    if (!rc)
        rc = replace_manifest(s, m, e);
    else
        (void)drop_unused(s, &freed, NULL);
    unlock_store(lock);
    return rc;
}

int store_copy(const store *s, const store_name *from, const store_name *to, err *e)
{
    store_manifest m;
    int lock, rc = lock_store(s, &lock, e);
    if (rc)
        return rc;
    rc = store_find(s, from, &m, e);
    if (!rc && strcmp(from->text, to->text) != 0) {
        m.name = *to;
        m.created = (int64_t)time(NULL);
        rc = replace_manifest(s, &m, e);
    }
    store_manifest_done(&m);
    unlock_store(lock);
    return rc;
}

int store_remove(const store *s, const store_name *name, uint64_t *freed, err *e)
{
    char path[PATH];
    store_manifest m;
    *freed = 0;
    int lock, rc = lock_store(s, &lock, e);
    if (rc)
        return rc;
    rc = store_find(s, name, &m, e);
    if (rc == ST_FORMAT || rc == ST_UNSUPPORTED)  // a broken one can be removed too; its blobs stay
        rc = ST_OK;
    manifest_path(s, name, path);
    if (!rc && unlink(path) != 0)
        rc = err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    if (!rc) {
        os_sync_dir_of(path);
        rc = drop_unused(s, freed, e);
    }
    store_manifest_done(&m);
    unlock_store(lock);
    return rc;
}

// Whether a process works on it: pulls hold a lock on their journal, imports carry the process in their name.
static bool in_work(int dir, const char *name)
{
    long pid;
    if (sscanf(name, "import-%ld-", &pid) == 1)
        return kill((pid_t)pid, 0) == 0 || errno != ESRCH;
    char journal[300];
    const char *dot = strrchr(name, '.');
    snprintf(journal, sizeof journal, "%.*s.journal", dot ? (int)(dot - name) : (int)strlen(name), name);
    int fd = openat(dir, journal, O_RDWR | O_CLOEXEC);
    bool busy = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return busy;
}

int store_clean_partials(const store *s, bool pulls, uint64_t *freed, err *e)
{
    char path[PATH];
    int lock, rc = lock_store(s, &lock, e);
    *freed = 0;
    if (rc)
        return rc;
    snprintf(path, sizeof path, "%s/partial", s->root);
    DIR *d = opendir(path);
    for (struct dirent *f; d && (f = readdir(d));) {
        struct stat st;
        if (f->d_name[0] == '.' || (!pulls && strncmp(f->d_name, "import-", 7) != 0) ||
            in_work(dirfd(d), f->d_name) || fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (unlinkat(dirfd(d), f->d_name, 0) == 0)
            *freed += (uint64_t)st.st_blocks * 512;
    }
    if (d)
        closedir(d);
    unlock_store(lock);
    return ST_OK;
}

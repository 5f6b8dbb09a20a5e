// Where a store is, its lock, and looking models up.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/own.h"

enum { MANIFEST_BYTES = 4 << 20 };

int store_open(store *s, const char *dir, err *e)
{
    if (!dir)
        dir = getenv("IRORI_MODELS");
    if (dir && *dir) {
        if (snprintf(s->root, sizeof s->root, "%s", dir) >= (int)sizeof s->root)
            return err_set(e, ST_INVALID, "the store's folder has a path of over %d bytes", STORE_PATH - 1);
        return ST_OK;
    }
    if (!os_data_dir("irori/models", s->root, sizeof s->root))
        return err_set(
            e, ST_INVALID,
            "no folder for models: HOME is not set; set it, XDG_DATA_HOME or IRORI_MODELS to a folder");
    return ST_OK;
}

void manifest_path(const store *s, const store_name *name, char out[PATH])
{
    char file[STORE_NAME + 8];
    name_to_file(name, file);
    snprintf(out, PATH, "%s/manifests/%s", s->root, file);
}

static int make_folders(const store *s, err *e)
{
    static const char *const below[] = {"blobs", "manifests", "partial", "splits"};
    for (size_t i = 0; i < COUNT_OF(below); i++) {
        char path[PATH];
        snprintf(path, sizeof path, "%s/%s", s->root, below[i]);
        if (!os_make_dirs(path))
            return err_set(e, ST_IO, "%s: the folder cannot be made: %s", path, strerror(errno));
    }
    return ST_OK;
}

// While this waited, the store may have been moved, and the lock with it: the name must still be this file's.
static bool still_there(int fd, const char *path)
{
    struct stat mine, its;
    return fstat(fd, &mine) == 0 && stat(path, &its) == 0 && mine.st_ino == its.st_ino &&
           mine.st_dev == its.st_dev;
}

int lock_store(const store *s, int *fd, err *e)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/lock", s->root);
    for (;;) {
        int rc = make_folders(s, e), failed;
        if (rc)
            return rc;
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (*fd < 0)
            return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
        while ((failed = flock(*fd, LOCK_EX)) != 0 && errno == EINTR)
            ;
        if (failed) {
            close(*fd);
            return err_set(e, ST_IO, "%s: cannot be locked: %s", path, strerror(errno));
        }
        if (still_there(*fd, path))
            return ST_OK;
        close(*fd);
    }
}

void unlock_store(int fd)
{
    close(fd);
}

void store_blob_path(const store *s, const char *hex, char out[STORE_PATH + 96])
{
    snprintf(out, STORE_PATH + 96, "%s/blobs/sha256-%s", s->root, hex);
}

bool store_has_blob(const store *s, const char *hex, uint64_t *bytes)
{
    char path[STORE_PATH + 96];
    struct stat st;
    store_blob_path(s, hex, path);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *bytes = (uint64_t)st.st_size;
    return true;
}

static int read_manifest(const char *path, store_manifest *out, err *e)
{
    char *json;
    size_t n;
    int rc = os_read_file(path, MANIFEST_BYTES, &json, &n, e);
    if (rc)
        return rc;
    rc = store_manifest_read(json, n, out, e);
    if (rc)
        err_prefix(e, "%s", path);
    mem_free(json);
    return rc;
}

int store_find(const store *s, const store_name *name, store_manifest *out, err *e)
{
    char path[PATH];
    manifest_path(s, name, path);
    *out = (store_manifest){0};
    int rc = read_manifest(path, out, e);
    out->name = *name;
    if (rc == ST_NOTFOUND)
        return err_set(e, rc, "no model \"%s\" in the store %s; `irori list` shows what there is", name->text,
                       s->root);
    return rc;
}

int store_model_path(const store *s, const store_manifest *m, char *out, size_t cap, err *e)
{
    for (size_t i = 0; i < m->n_files; i++) {
        uint64_t bytes;
        if (!store_has_blob(s, m->files[i].digest, &bytes))
            return err_set(e, ST_NOTFOUND,
                           "%s: its file sha256-%.12s is missing from the store; pull it again", m->name.text,
                           m->files[i].digest);
        if (bytes != m->files[i].bytes)
            return err_set(e, ST_FORMAT,
                           "%s: its file sha256-%.12s has %llu bytes, should have %llu; pull it again",
                           m->name.text, m->files[i].digest, (unsigned long long)bytes,
                           (unsigned long long)m->files[i].bytes);
    }
    char path[STORE_PATH + 400];
    if (m->n_files == 1)
        store_blob_path(s, m->files[0].digest, path);
    else
        snprintf(path, sizeof path, "%s/splits/%s/%s", s->root, m->files[0].digest, m->files[0].name);
    if (snprintf(out, cap, "%s", path) >= (int)cap)
        return err_set(e, ST_LIMIT, "%s: its path is too long", m->name.text);
    return ST_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const store_manifest *)a)->name.text, ((const store_manifest *)b)->name.text);
}

static int add_to_list(store_manifest **list, size_t *n, size_t *cap, const store_manifest *m)
{
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        store_manifest *p = mem_realloc(MEM_OTHER, *list, more * sizeof *p);
        if (!p)
            return ST_NOMEM;
        *list = p;
        *cap = more;
    }
    (*list)[(*n)++] = *m;
    return ST_OK;
}

int store_list(const store *s, store_manifest **out, size_t *n, size_t *broken, err *e)
{
    char path[PATH];
    size_t cap = 0;
    int rc = ST_OK;
    *out = NULL;
    *n = *broken = 0;
    snprintf(path, sizeof path, "%s/manifests", s->root);
    DIR *d = opendir(path);
    if (!d && errno != ENOENT)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    for (struct dirent *f; d && !rc && (f = readdir(d));) {
        store_manifest m;
        store_name name;
        if (!name_of_file(f->d_name, &name))
            continue;  // another's, or one that is being written
        rc = store_find(s, &name, &m, e);
        if (rc == ST_NOTFOUND || rc == ST_FORMAT || rc == ST_UNSUPPORTED) {
            *broken += rc != ST_NOTFOUND;
            rc = ST_OK;
        } else if (!rc && add_to_list(out, n, &cap, &m)) {
            store_manifest_done(&m);
            rc = err_set(e, ST_NOMEM, "no memory for the list of models");
        }
    }
    if (d)
        closedir(d);
    if (rc) {
        store_list_free(*out, *n);
        *out = NULL;
        *n = 0;
    } else if (*n) {
        qsort(*out, *n, sizeof **out, by_name);
    }
    return rc;
}

void store_list_free(store_manifest *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_manifest_done(&list[i]);
    mem_free(list);
}

int store_partial_path(const store *s, const char *key, const char *suffix, char out[STORE_PATH + 96], err *e)
{
    int rc = make_folders(s, e);
    if (!rc && snprintf(out, STORE_PATH + 96, "%s/partial/%s%s", s->root, key, suffix) >= STORE_PATH + 96)
        rc = err_set(e, ST_LIMIT, "the path of a partial file is too long");
    return rc;
}

int store_check_room(const store *s, uint64_t bytes, err *e)
{
    const uint64_t reserve = (uint64_t)256 << 20;  // a full disk breaks more than this program
    uint64_t available, total, needed;
    int rc = make_folders(s, e);
    if (rc || !os_disk_space(s->root, &available, &total))
        return rc;
    if (!check_add(bytes, reserve, &needed) || needed > available)
        return err_set(
            e, ST_LIMIT,
            "%s: %.1f GB are needed and 0.3 GB should stay free, but the disk has %.1f GB; `irori rm` makes "
            "room, `irori move` takes the store to another disk",
            s->root, (double)bytes / 1e9, (double)available / 1e9);
    return ST_OK;
}

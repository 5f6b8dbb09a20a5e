// Moving a store. Everything is copied and compared first; then a link takes the folder's place in one step, and only
// after that the old folder is emptied. A kill before the step leaves the old store as it was and a copy that the next
// attempt goes on with; after it, the new one and rests of the old beside the link.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/own.h"

static const char *const folders[] = {"blobs", "manifests"};  // partial/ begins anew, splits/ are made again

// Calls fn for each regular file of the store that moves: its path below the root.
typedef int each_fn(void *ctx, const char *below, const struct stat *st, err *e);
static int each_file(const char *root, each_fn *fn, void *ctx, err *e)
{
    int rc = ST_OK;
    for (size_t i = 0; i < COUNT_OF(folders) && !rc; i++) {
        char path[PATH];
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        DIR *d = opendir(path);
        for (struct dirent *f; d && !rc && (f = readdir(d));) {
            char below[300];
            struct stat st;
            if (fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
                snprintf(below, sizeof below, "%s/%s", folders[i], f->d_name) < (int)sizeof below)
                rc = fn(ctx, below, &st, e);
        }
        if (d)
            closedir(d);
    }
    struct stat st;
    char ledger[PATH];
    snprintf(ledger, sizeof ledger, "%s/ledger.jsonl", root);
    if (!rc && stat(ledger, &st) == 0)
        rc = fn(ctx, "ledger.jsonl", &st, e);
    return rc;
}

typedef struct moving {
    const char *from, *to;
    transfer t;
} moving;

static int count_file(void *ctx, const char *below, const struct stat *st, err *e)
{
    (void)below;
    (void)e;
    ((moving *)ctx)->t.total += (uint64_t)st->st_size;
    return ST_OK;
}

static int copy_one(void *ctx, const char *below, const struct stat *st, err *e)
{
    moving *x = ctx;
    char from[PATH + 300], to[PATH + 300], partial[PATH + 320], hex[STORE_HEX], was[STORE_HEX];
    struct stat there;
    uint64_t bytes;
    snprintf(from, sizeof from, "%s/%s", x->from, below);
    snprintf(to, sizeof to, "%s/%s", x->to, below);
    bool blob = strncmp(below, "blobs/", 6) == 0;
    if (blob && stat(to, &there) == 0 &&
        there.st_size == st->st_size) {  // an earlier attempt renamed it, so it is whole
        x->t.done += (uint64_t)st->st_size;
        return ST_OK;
    }
    snprintf(partial, sizeof partial, "%s.partial", to);
    int rc = copy_file(from, partial, &x->t, hex, &bytes, e);
    if (!rc && blob && (!store_digest_parse(below + 6, was) || strcmp(was, hex) != 0))
        rc = err_set(e, ST_FORMAT,
                     "%s: holds other bytes than its name says; `irori verify` tells whose it is", from);
    if (!rc && chmod(partial, blob ? 0400 : 0600) == 0 && rename(partial, to) != 0)
        rc = err_set(e, ST_IO, "%s: %s", to, strerror(errno));
    if (rc)
        (void)unlink(partial);
    os_sync_dir_of(to);
    return rc;
}

static int remove_one(void *ctx, const char *below, const struct stat *st, err *e)
{
    (void)st;
    (void)e;
    char path[PATH + 300];
    snprintf(path, sizeof path, "%s/%s", (const char *)ctx, below);
    (void)unlink(path);
    return ST_OK;
}

// partial/ and splits/ and what is in them: nothing that cannot be made again.
static void remove_rest(const char *root)
{
    static const char *const rest[] = {"blobs", "manifests", "partial", "splits", "lock"};
    each_file(root, remove_one, (void *)(uintptr_t)root, NULL);
    for (size_t i = 0; i < COUNT_OF(rest); i++) {
        char path[PATH];
        snprintf(path, sizeof path, "%s/%s", root, rest[i]);
        DIR *d = opendir(path);
        for (struct dirent *f; d && (f = readdir(d));) {
            char inner[PATH + 260];
            snprintf(inner, sizeof inner, "%s/%s", path, f->d_name);
            DIR *dd = f->d_name[0] == '.' || strcmp(rest[i], "splits") != 0 ? NULL : opendir(inner);
            for (struct dirent *l; dd && (l = readdir(dd));)
                (void)unlinkat(dirfd(dd), l->d_name, 0);
            if (dd)
                closedir(dd);
            if (f->d_name[0] != '.')
                (void)(unlink(inner) == 0 || rmdir(inner));
        }
        if (d)
            closedir(d);
        (void)(unlink(path) == 0 || rmdir(path));
    }
    (void)rmdir(root);
}

// The folder `root` becomes a link to `dir`; what it was goes to `old`.
static int put_link(const char *root, const char *dir, const char *old, err *e)
{
    char link[PATH];
    snprintf(link, sizeof link, "%s.link", root);
    (void)unlink(link);
    if (symlink(dir, link) != 0)
        return err_set(e, ST_IO, "%s: the link cannot be made: %s", link, strerror(errno));
#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, link, AT_FDCWD, root, RENAME_EXCHANGE) == 0) {
        (void)rename(link, old);  // now the folder, or the link of an earlier move
        os_sync_dir_of(root);
        return ST_OK;
    }
#endif
    if (rename(root, old) != 0 || rename(link, root) != 0)
        return err_set(e, ST_IO, "%s: cannot be renamed: %s", root, strerror(errno));
    os_sync_dir_of(root);
    return ST_OK;
}

static bool is_inside(const char *dir, const char *root)
{
    size_t n = strlen(root);
    return strncmp(dir, root, n) == 0 && (dir[n] == 0 || dir[n] == '/');
}

// All that is known before anything is changed. real: where the store is now; target: where it goes.
static int prepare(const store *s, const char *dir, char *real, char *target, moving *x, err *e)
{
    store there = {0};
    if (!realpath(s->root, real))
        return err_set(e, ST_IO, "%s: %s", s->root, strerror(errno));
    if (!os_make_dirs(dir) || !realpath(dir, target))
        return err_set(e, ST_IO, "%s: the folder cannot be made: %s", dir, strerror(errno));
    if (is_inside(target, real) || is_inside(real, target))
        return err_set(e, ST_INVALID, "%s: the store %s cannot move into or around itself", dir, real);
    if (strlen(target) >= STORE_PATH || strlen(real) >= STORE_PATH)
        return err_set(e, ST_INVALID, "%s: a path of over %d bytes", dir, STORE_PATH - 1);
    memcpy(there.root, target, strlen(target) + 1);
    int rc = each_file(real, count_file, x, e);
    return rc ? rc : store_check_room(&there, x->t.total, e);
}

int store_move(const store *s, const char *dir, store_progress *progress, void *ctx, err *e)
{
    char real[PATH_MAX], target[PATH_MAX], old[STORE_PATH + 16];
    moving x = {.t = {.progress = progress, .ctx = ctx}, .from = real, .to = target};
    int lock, rc = lock_store(s, &lock, e);
    if (rc)
        return rc;
    rc = prepare(s, dir, real, target, &x, e);
    if (!rc)
        rc = each_file(real, copy_one, &x, e);
    store there = {0};
    store_manifest *list = NULL;
    size_t n = 0, broken;
    if (!rc) {
        memcpy(there.root, target, strlen(target) + 1);
        rc = store_list(&there, &list, &n, &broken, e);
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = link_split(&there, &list[i], e);
    store_list_free(list, n);
    snprintf(old, sizeof old, "%s.moved", s->root);
    if (!rc)
        rc = put_link(s->root, target, old, e);
    if (!rc) {  // `old` is the folder, or the link that led to `real`
        bool was_link = unlink(old) == 0;
        remove_rest(was_link ? real : old);
    }
    unlock_store(lock);
    return rc;
}

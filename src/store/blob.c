// Bytes in and out: copying with a hash, importing local files, verifying.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>  // FICLONE
#endif

#include "store/own.h"

enum { BLOCK = 1 << 20, LONGEST = 4096 };  // bytes read at once, of a path

// The whole content at once, sharing blocks; false where the file system cannot.
static bool clone_file(int from, int to)
{
#ifdef FICLONE
    return ioctl(to, FICLONE, from) == 0;
#else
    (void)from;
    (void)to;
    return false;
#endif
}

static bool write_block(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

// to < 0: only reads. What was read is what is hashed and what is written.
static int copy_bytes(int from, int to, const char *path, transfer *t, char hex[STORE_HEX], uint64_t *bytes,
                      err *e)
{
    store_sha sha;
    char *block = mem_alloc(MEM_OTHER, BLOCK);
    int rc = block ? ST_OK : err_set(e, ST_NOMEM, "%s: no memory to read it", path);
    *bytes = 0;
    store_sha_init(&sha);
    while (!rc) {
        ssize_t n = read(from, block, BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            break;
        if (n < 0) {
            rc = err_set(e, ST_IO, "%s: cannot be read: %s", path, strerror(errno));
        } else if (to >= 0 && !write_block(to, block, (size_t)n)) {
            rc = err_set(e, ST_IO, "%s: its copy cannot be written: %s", path, strerror(errno));
        } else {
            store_sha_add(&sha, block, (size_t)n);
            *bytes += (uint64_t)n;
            t->done += (uint64_t)n;
            if (t->progress && !t->progress(t->ctx, MIN(t->done, t->total), t->total))
                rc = err_set(e, ST_CANCELED, "stopped");
        }
    }
    mem_free(block);
    store_sha_end(&sha, hex);
    return rc;
}

int copy_file(const char *path, const char *copy, transfer *t, char hex[STORE_HEX], uint64_t *bytes, err *e)
{
    struct stat st;
    int from = open(path, O_RDONLY | O_CLOEXEC), to = -1, rc = ST_OK;
    if (from < 0)
        return err_set(e, errno == ENOENT ? ST_NOTFOUND : ST_IO, "%s: %s", path, strerror(errno));
    if (fstat(from, &st) != 0 || !S_ISREG(st.st_mode))
        rc = err_set(e, ST_INVALID, "%s: not a file", path);
    if (!rc && copy && (to = open(copy, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
        rc = err_set(e, ST_IO, "%s: %s", copy, strerror(errno));
    if (!rc && copy && clone_file(from, to)) {  // hashed from the copy: the file may still change
        rc = copy_bytes(to, -1, copy, t, hex, bytes, e);
    } else if (!rc) {
        rc = copy_bytes(from, to, path, t, hex, bytes, e);
    }
    if (!rc && copy && fsync(to) != 0)
        rc = err_set(e, ST_IO, "%s: %s", copy, strerror(errno));
    close(from);
    if (to >= 0)
        close(to);
    if (rc && copy)
        (void)unlink(copy);
    return rc;
}

// ---- Importing ----

// How many parts "...-00001-of-0000N.gguf" has; 1 when it is not split. *digits: where the number stands.
static unsigned parts_of(const char *path, size_t *digits)
{
    size_t n = strlen(path);
    unsigned first, parts;
    if (n < 20 || sscanf(path + n - 20, "-%5u-of-%5u.gguf", &first, &parts) != 2 || first != 1 || parts < 1 ||
        parts > STORE_FILES)
        return 1;
    *digits = n - 19;
    return parts;
}

typedef struct import {
    const store *s;
    store_manifest *m;
    char (*partials)[STORE_PATH + 96];
    transfer t;
} import;

static int import_part(import *x, const char *path, size_t i, err *e)
{
    char key[64];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    store_file *f = &x->m->files[i];
    snprintf(key, sizeof key, "import-%ld-%016llx-%zu", (long)getpid(), (unsigned long long)os_random_seed(),
             i);
    f->name = mem_strndup(MEM_OTHER, name, strlen(name));
    if (!f->name)
        return err_set(e, ST_NOMEM, "%s: no memory to import it", path);
    int rc = store_partial_path(x->s, key, "", x->partials[i], e);
    if (!rc)
        rc = copy_file(path, x->partials[i], &x->t, f->digest, &f->bytes, e);
    if (rc)
        x->partials[i][0] = 0;
    return rc;
}

// The path of part i, counted from 0.
static void part_path(const char *path, unsigned parts, size_t digits, unsigned i, char out[LONGEST])
{
    snprintf(out, LONGEST, "%s", path);
    unsigned number = i + 1;
    for (size_t at = digits + 5; parts > 1 && at > digits; number /= 10)
        out[--at] = (char)('0' + number % 10);
}

static int sum_parts(const char *path, unsigned parts, size_t digits, uint64_t *sum, err *e)
{
    for (unsigned i = 0; i < parts; i++) {
        char part[LONGEST];
        os_file_id id;
        part_path(path, parts, digits, i, part);
        if (!os_get_file_id(part, &id))
            return err_set(e, ST_NOTFOUND, "%s: %s", part, strerror(errno));
        *sum += id.size;
    }
    return ST_OK;
}

static int import_all(import *x, const char *path, unsigned parts, size_t digits, err *e)
{
    char part[LONGEST];
    const char *partials[STORE_FILES];
    int rc = strlen(path) < sizeof part ? sum_parts(path, parts, digits, &x->t.total, e)
                                        : err_set(e, ST_INVALID, "a path of over 4095 bytes");
    if (!rc)
        rc = store_check_room(x->s, x->t.total, e);
    for (unsigned i = 0; i < parts && !rc; i++) {
        part_path(path, parts, digits, i, part);
        rc = import_part(x, part, i, e);
        partials[i] = x->partials[i];
    }
    if (!rc)
        rc = store_commit(x->s, x->m, partials, e);
    for (unsigned i = 0; i < parts; i++)
        if (x->partials[i][0])
            (void)unlink(x->partials[i]);  // still there only when something failed
    return rc;
}

int store_import(const store *s, const char *path, const store_name *name, store_progress *progress,
                 void *ctx, store_manifest *out, err *e)
{
    size_t digits = 0;
    unsigned parts = parts_of(path, &digits);
    *out = (store_manifest){.name = *name, .created = (int64_t)time(NULL), .n_files = parts};
import x = {.s = s, .m = out, .t = {.progress = progress, .ctx = ctx } };
    x.partials = mem_calloc(MEM_OTHER, parts, sizeof *x.partials);
    out->files = mem_calloc(MEM_OTHER, parts, sizeof *out->files);
    out->source = mem_strndup(MEM_OTHER, path, strlen(path));
    int rc = x.partials && out->files && out->source
                 ? ST_OK
                 : err_set(e, ST_NOMEM, "%s: no memory to import it", path);
    if (!out->files)
        out->n_files = 0;
    uint64_t freed;
    if (!rc)
        rc = store_clean_partials(s, false, &freed, e);
    if (!rc)
        rc = import_all(&x, path, parts, digits, e);
    mem_free(x.partials);
    if (rc)
        store_manifest_done(out);
    return rc;
}

int store_verify(const store *s, const store_manifest *m, store_progress *progress, void *ctx, err *e)
{
    transfer t = {.progress = progress, .ctx = ctx, .total = store_manifest_bytes(m)};
    for (size_t i = 0; i < m->n_files; i++) {
        char path[STORE_PATH + 96], hex[STORE_HEX];
        uint64_t bytes;
        store_blob_path(s, m->files[i].digest, path);
        int rc = copy_file(path, NULL, &t, hex, &bytes, e);
        if (rc == ST_NOTFOUND)
            return err_set(e, rc, "%s: its file sha256-%.12s is missing; pull it again", m->name.text,
                           m->files[i].digest);
        if (rc)
            return rc;
        if (bytes != m->files[i].bytes || strcmp(hex, m->files[i].digest) != 0)
            return err_set(
                e, ST_FORMAT,
                "%s: its file sha256-%.12s holds other bytes: %llu with SHA-256 %.12s, should be %llu; "
                "remove the model and pull it again",
                m->name.text, m->files[i].digest, (unsigned long long)bytes, hex,
                (unsigned long long)m->files[i].bytes);
    }
    return ST_OK;
}

// OUT.partial: the result while it is written, and the notes that let an interrupted run go on. See own.h.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quantize/own.h"

// After the file's bytes: the key, then a hash for each tensor; 0 while the tensor is not whole.
enum { NOTE = sizeof(uint64_t) };

static int fail(const quantize_output *x, const char *doing, err *e)
{
    return err_set(e, ST_IO, "%s: %s: %s", x->partial, doing, strerror(errno));
}

static bool write_all(int fd, const void *p, size_t n, uint64_t at)
{
    const char *from = p;
    while (n > 0) {
        ssize_t k = pwrite(fd, from, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        from += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return true;
}

static bool read_all(int fd, void *p, size_t n, uint64_t at)
{
    char *to = p;
    while (n > 0) {
        ssize_t k = pread(fd, to, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        to += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return true;
}

// Whether the file is one of ours with this key and this head.
static bool is_same(const quantize_output *x, const buf *head)
{
    struct stat st;
    uint64_t key;
    if (fstat(x->fd, &st) != 0 || (uint64_t)st.st_size != x->file_bytes + NOTE * (1 + x->n) ||
        !read_all(x->fd, &key, sizeof key, x->file_bytes) || key != x->key)
        return false;
    char *there = mem_alloc(MEM_OTHER, head->len);
    bool same = there && read_all(x->fd, there, head->len, 0) && memcmp(there, head->data, head->len) == 0;
    mem_free(there);
    return same;
}

int quantize_output_open(quantize_output *x, const char *path, const buf *head, uint64_t file_bytes,
                         uint64_t key, size_t n_tensors, err *e)
{
    *x = (quantize_output){.path = path,
                           .fd = -1,
                           .head_bytes = head->len,
                           .file_bytes = file_bytes,
                           .key = key,
                           .n = n_tensors};
    buf name;
    buf_init(&name);
    buf_printf(&name, "%s.partial", path);
    x->partial = buf_take(&name);
    if (!x->partial)
        return err_set(e, ST_NOMEM, "%s: no memory", path);
    x->fd = open(x->partial, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (x->fd < 0)
        return fail(x, "cannot be created", e);
    if (is_same(x, head))
        return ST_OK;
    uint64_t free_bytes, total;
    if (ftruncate(x->fd, 0) != 0)
        return fail(x, "cannot be emptied", e);
    if (os_disk_space(path, &free_bytes, &total) && free_bytes < file_bytes)
        return err_set(e, ST_IO, "%s: needs %llu bytes, the disk has %llu left", path,
                       (unsigned long long)file_bytes, (unsigned long long)free_bytes);
    if (ftruncate(x->fd, (off_t)(file_bytes + NOTE * (1 + n_tensors))) != 0 ||
        !write_all(x->fd, head->data, head->len, 0) || !write_all(x->fd, &key, sizeof key, file_bytes))
        return fail(x, "cannot be written", e);
    return ST_OK;
}

bool quantize_output_has(quantize_output *x, size_t i, uint64_t offset, uint64_t bytes, size_t band)
{
    uint64_t noted, hash = 0;
    if (!read_all(x->fd, &noted, sizeof noted, x->file_bytes + NOTE * (1 + i)) || noted == 0)
        return false;
    char *p = mem_alloc(MEM_BUFFERS, band);
    bool ok = p != NULL;
    for (uint64_t at = 0; ok && at < bytes; at += band) {
        size_t n = (size_t)MIN(bytes - at, band);
        ok = read_all(x->fd, p, n, x->head_bytes + offset + at);
        if (ok)
            hash = hash_combine(hash, p, n);
    }
    mem_free(p);
    return ok && hash == noted;
}

int quantize_output_write(quantize_output *x, uint64_t at, const void *p, size_t n, err *e)
{
    return write_all(x->fd, p, n, x->head_bytes + at) ? ST_OK : fail(x, "cannot be written", e);
}

int quantize_output_done(quantize_output *x, size_t i, uint64_t hash, err *e)
{
    return write_all(x->fd, &hash, sizeof hash, x->file_bytes + NOTE * (1 + i))
               ? ST_OK
               : fail(x, "cannot be written", e);
}

int quantize_output_finish(quantize_output *x, err *e)
{
    if (ftruncate(x->fd, (off_t)x->file_bytes) != 0 || fsync(x->fd) != 0)
        return fail(x, "cannot be finished", e);
    if (rename(x->partial, x->path) != 0)
        return err_set(e, ST_IO, "%s: cannot rename %s to it: %s", x->path, x->partial, strerror(errno));
    return ST_OK;
}

void quantize_output_close(quantize_output *x, bool drop)
{
    if (x->fd >= 0) {
        close(x->fd);
        if (drop)
            remove(x->partial);
    }
    mem_free(x->partial);
    *x = (quantize_output){.fd = -1};
}

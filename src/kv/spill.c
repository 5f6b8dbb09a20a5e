// The spill file: F16 planes of blocks that were made coarser, so that they can come back to the bit.
//
// The file has no name: it is unlinked as soon as it is open, so nothing is left of it however the program ends. It is a
// row of extents of one page each, taken when the first block of a page comes; in it each block has its slot, a checksum
// before the values. So a page comes back in a few long reads, and a block that was not spilled is a hole that takes no room
// on the disk. A full disk is no error: the block then keeps its precision.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kv/own.h"

static uint64_t checksum(int64_t slot, const void *data, size_t n)
{
    return hash_combine((uint64_t)slot + 1, data, n);
}

int kv_spill_init(kv_spill *f, const char *dir, size_t block_bytes, int blocks, int extents, err *e)
{
    *f = (kv_spill){.fd = -1,
                    .block_bytes = block_bytes,
                    .slot_bytes = block_bytes + KV_SPILL_HEAD,
                    .blocks = blocks,
                    .extents = extents};
    f->free = mem_alloc(MEM_KV, (size_t)extents * sizeof *f->free + 1);
    f->buffer = mem_alloc(MEM_KV, f->slot_bytes);
    f->list = mem_alloc(MEM_KV, (size_t)blocks * sizeof *f->list);
    if (!f->free || !f->buffer || !f->list)
        return err_set(e, ST_NOMEM, "no memory for the table of a KV spill file");
    if (os_cpu_count() > 1 && pool_new(&f->readers, 2, false, e))
        return ST_NOMEM;
    const char *temp = getenv("TMPDIR");
    char path[4096];
    dir = dir && *dir ? dir : temp && *temp ? temp : "/tmp";
    if ((size_t)snprintf(path, sizeof path, "%s/irori-kv-XXXXXX", dir) >= sizeof path)
        return err_set(e, ST_INVALID, "%s: the name of the folder is too long", dir);
    f->fd = mkostemp(path, O_CLOEXEC);
    if (f->fd < 0)
        return err_set(e, ST_IO, "%s: no spill file for keys and values can be made: %s", dir,
                       strerror(errno));
    unlink(path);
    return ST_OK;
}

void kv_spill_done(kv_spill *f)
{
    if (f->free && f->fd >= 0)  // one that was never opened is all zero
        close(f->fd);
    pool_free(f->readers);
    mem_free(f->free);
    mem_free(f->buffer);
    mem_free(f->list);
    *f = (kv_spill){.fd = -1};
}

static bool write_all(int fd, const uint8_t *p, size_t n, off_t at)
{
    while (n) {
        ssize_t k = pwrite(fd, p, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

// All parts full, from `at` on.
static bool read_parts(int fd, struct iovec *part, int n, off_t at)
{
    while (n) {
        ssize_t k = preadv(fd, part, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        at += k;
        for (; n && (size_t)k >= part->iov_len; part++, n--)
            k -= (ssize_t)part->iov_len;
        if (n) {
            part->iov_base = (uint8_t *)part->iov_base + k;
            part->iov_len -= (size_t)k;
        }
    }
    return true;
}

// The place for a page's blocks, taken with the first of them.
static bool take_extent(kv_spill *f, kv_spilled *of)
{
    if (of->extent < 0 && f->n_free)
        of->extent = f->free[--f->n_free];
    else if (of->extent < 0 && f->fresh < f->extents)
        of->extent = f->fresh++;
    return of->extent >= 0;
}

bool kv_spill_put(kv_spill *f, kv_spilled *of, int block, const uint8_t *values)
{
    if (f->fd < 0 || f->full || !take_extent(f, of))
        return false;
    const int64_t slot = (int64_t)of->extent * f->blocks + block;
    uint64_t head[KV_SPILL_HEAD / 8] = {checksum(slot, values, f->block_bytes)};
    memcpy(f->buffer, head, sizeof head);
    memcpy(f->buffer + sizeof head, values, f->block_bytes);
    if (!write_all(f->fd, f->buffer, f->slot_bytes, (off_t)slot * (off_t)f->slot_bytes)) {
        f->full = true;
        if (!f->told)
            log_msg(
                LOG_WARN,
                "the spill file for keys and values cannot grow (%s): they keep their precision until it can",
                strerror(errno));
        f->told = true;
        if (of->count == 0)
            kv_spill_drop(f, of);
        return false;
    }
    of->count++;
    f->used++;
    return true;
}

void kv_spill_drop(kv_spill *f, kv_spilled *of)
{
    if (of->extent < 0)
        return;
    f->free[f->n_free++] = of->extent;
    f->used -= of->count;
    *of = (kv_spilled){.extent = -1};
}

// ---- Reading -------------------------------------------------------------------------------------------------------
// Blocks of a page that lie next to each other are read by one call, a few at a time, so that checksums find them in the
// cache and two threads share the work.
enum { READ_TOGETHER = 2 };

typedef struct reading {
    const kv_spill *f;
    int32_t extent;
    kv_spill_read *list;
    int n;
    atomic_int next;
} reading;

// list[0..n): neighbours in the file.
static void read_run(const kv_spill *f, int32_t extent, kv_spill_read *list, int n)
{
    uint64_t head[READ_TOGETHER][KV_SPILL_HEAD / 8];
    struct iovec part[2 * READ_TOGETHER];
    const int64_t slot = (int64_t)extent * f->blocks + list[0].block;
    for (int i = 0; i < n; i++) {
        part[2 * i] = (struct iovec){head[i], KV_SPILL_HEAD};
        part[2 * i + 1] = (struct iovec){list[i].values, f->block_bytes};
    }
    const bool whole = read_parts(f->fd, part, 2 * n, (off_t)slot * (off_t)f->slot_bytes);
    for (int i = 0; i < n; i++)
        list[i].good = whole && head[i][0] == checksum(slot + i, list[i].values, f->block_bytes);
    // Where one cannot be read, the others still may.
    for (int i = 0; n > 1 && !whole && i < n; i++)
        read_run(f, extent, list + i, 1);
}

static void read_share(void *ctx, int ith, int nth)
{
    reading *r = ctx;
    int from, to;
    (void)ith;
    (void)nth;
    while (pool_next(&r->next, r->n, READ_TOGETHER, &from, &to))
        for (int end; from < to; from = end) {
            for (end = from + 1; end < to && r->list[end].block == r->list[end - 1].block + 1;)
                end++;
            read_run(r->f, r->extent, r->list + from, end - from);
        }
}

void kv_spill_get(const kv_spill *f, const kv_spilled *of, kv_spill_read *list, int n)
{
    reading r = {.f = f, .extent = of->extent, .list = list, .n = n};
    if (n <= READ_TOGETHER || !f->readers)
        read_share(&r, 0, 1);
    else
        pool_run(f->readers, read_share, &r);
}

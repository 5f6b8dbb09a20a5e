// The spill file: F16 planes of blocks that were made coarser, so that they can come back to the bit.
//
// The file has no name: it is unlinked as soon as it is open, so nothing is left of it however the program ends. It is a
// row of slots of one block each, a checksum before the values. A full disk is no error: the block then keeps its
// precision.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv/own.h"

static uint64_t checksum(int32_t slot, const void *data, size_t n)
{
    return hash_combine((uint64_t)slot + 1, data, n);
}

int kv_spill_init(kv_spill *f, const char *dir, size_t block_bytes, int64_t slots, err *e)
{
    *f = (kv_spill){.fd = -1, .block_bytes = block_bytes, .slot_bytes = block_bytes + KV_SPILL_HEAD};
    f->slots = (int32_t)MIN(slots, INT32_MAX);
    f->free = mem_alloc(MEM_KV, (size_t)f->slots * sizeof *f->free);
    f->buffer = mem_alloc(MEM_KV, f->slot_bytes);
    if (!f->free || !f->buffer)
        return err_set(e, ST_NOMEM, "no memory for the table of a KV spill file");
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
    mem_free(f->free);
    mem_free(f->buffer);
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

static bool read_all(int fd, uint8_t *p, size_t n, off_t at)
{
    while (n) {
        ssize_t k = pread(fd, p, n, at);
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

int32_t kv_spill_put(kv_spill *f, const uint8_t *block)
{
    if (f->fd < 0 || f->full)
        return -1;
    int32_t slot = f->n_free ? f->free[f->n_free - 1] : f->fresh;
    if (slot >= f->slots)
        return -1;
    uint64_t head[KV_SPILL_HEAD / 8] = {checksum(slot, block, f->block_bytes)};
    memcpy(f->buffer, head, sizeof head);
    memcpy(f->buffer + sizeof head, block, f->block_bytes);
    if (!write_all(f->fd, f->buffer, f->slot_bytes, (off_t)slot * (off_t)f->slot_bytes)) {
        f->full = true;
        if (!f->told)
            log_msg(
                LOG_WARN,
                "the spill file for keys and values cannot grow (%s): they keep their precision until it can",
                strerror(errno));
        f->told = true;
        return -1;
    }
    if (f->n_free)
        f->n_free--;
    else
        f->fresh++;
    f->used++;
    return slot;
}

bool kv_spill_get(const kv_spill *f, int32_t slot, uint8_t *block)
{
    const off_t at = (off_t)slot * (off_t)f->slot_bytes;
    uint64_t sum;
    return f->fd >= 0 && read_all(f->fd, (uint8_t *)&sum, sizeof sum, at) &&
           read_all(f->fd, block, f->block_bytes, at + KV_SPILL_HEAD) &&
           sum == checksum(slot, block, f->block_bytes);
}

void kv_spill_drop(kv_spill *f, int32_t slot)
{
    f->free[f->n_free++] = slot;
    f->used--;
    f->full = false;  // there is room for one again
}

// The packed weights in a file, for the next start to map (docs/formats/weight-cache.md).
//
// A file is written under a name of its own and renamed when complete, so a name never stands for half a file. It is not
// forced to the disk, which would take longer than packing: as long as the system runs, what was written is what is
// read. After a restart of the system (another boot id) the checksums of all weights are compared once; the
// disk has to be read then anyway. Whatever is wrong, the answer is the same: pack, and write the file anew.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dev/cpu/cpu.h"

#define SUFFIX ".weights"
#define UNFINISHED ".partial"

enum {
    ALIGN = 2 << 20,  // of the block in the file: huge pages of the file are huge pages of the block
    SAMPLE = 4096,    // bytes at either end of a weight that are compared at each start
    WRITE_STEP = 8 << 20,
};
static const uint64_t least_bytes = (uint64_t)64 << 20;   // below this, packing takes no time worth saving
static const uint64_t folder_bytes = (uint64_t)32 << 30;  // all files together
static const uint64_t spare_bytes = (uint64_t)2 << 30;    // always left free on the disk; also a tenth of it

// In the machine's own byte order: `order` reads differently elsewhere. `check` is over everything but itself and `boot`,
// entries included.
typedef struct cache_head {
    char magic[8];
    uint64_t check, boot;
    uint32_t order, n_entries;
    uint64_t key, layout, block_at, block_bytes;
} cache_head;

typedef struct cache_entry {
    int32_t type, n, k, parts;
    uint64_t offset, bytes;
    uint64_t sample, whole;  // checksums
} cache_entry;

static const char magic[8] = "IRORIWT1";

static size_t head_bytes(const cpu_cache *c)
{
    return sizeof(cache_head) + (size_t)c->g->n_weights * sizeof(cache_entry);
}

// A fingerprint of how panels are laid: what packing makes of a pattern, for each type the model has. A change of
// kern_pack makes old files stale without anyone having to remember a version.
static bool layout_print(const cpu_cache *c, uint64_t *out)
{
    enum { ROWS = 2 * KERN_PANEL, COLUMNS = 2 * KERN_SUPER, MOST = ROWS * COLUMNS * 4 };
    bool seen[QT_COUNT] = {false};
    uint8_t *pattern = mem_alloc(MEM_OTHER, 2 * (size_t)MOST), *packed = pattern + MOST;
    if (!pattern)
        return false;
    for (size_t i = 0; i < MOST; i++)
        pattern[i] = (uint8_t)((i * 2654435761u) >> 13);
    *out = 0;
    for (int i = 0; i < c->g->n_weights; i++) {
        int type = c->g->weights[i].type;
        if (c->offset[i] == SIZE_MAX || seen[type])
            continue;
        seen[type] = true;
        kern_pack(type, ROWS, COLUMNS, pattern, packed, 0, ROWS);
        *out = hash_combine(*out ^ (uint64_t)type, packed, kern_packed_bytes(type, ROWS, COLUMNS));
    }
    mem_free(pattern);
    return true;
}

void cpu_cache_init(cpu_cache *c, const dev_load *l)
{
    os_file_id id;
    uint64_t least = l->cache_least ? l->cache_least : least_bytes;
    if (!l->cache_dir || c->bytes < least || c->bytes > folder_bytes || !os_get_file_id(l->source, &id) ||
        !layout_print(c, &c->layout))
        return;
    // The file is named for the place, so that a changed model takes over the file of the old one; what it must
    // hold is in the key. Both keep models apart that differ only where gguf_model_hash does not look.
    uint64_t name = hash_combine(0, (uint64_t[]){id.device, id.inode}, 16);
    c->key = hash_combine(l->source_hash, (uint64_t[]){id.size, id.modified}, 16);
    size_t cap = strlen(l->cache_dir) + 32;
    c->path = mem_alloc(MEM_OTHER, cap);
    if (c->path)
        snprintf(c->path, cap, "%s/%016llx" SUFFIX, l->cache_dir, (unsigned long long)name);
}

void cpu_cache_done(cpu_cache *c)
{
    mem_free(c->path);
    c->path = NULL;
}

// ---- Checksums, shared out among the threads -------------------------------------------------------------------

typedef struct summing {
    const cpu_cache *c;
    const uint8_t *block;
    cache_entry *entry;
    bool whole;
} summing;

static void sum_worker(void *ctx, int ith, int nth)
{
    const summing *s = ctx;
    for (int i = ith; i < s->c->g->n_weights; i += nth) {
        cache_entry *e = &s->entry[i];
        const uint8_t *p = s->block + e->offset;
        size_t edge = MIN((size_t)e->bytes, SAMPLE);
        e->sample = hash_combine(hash_bytes(p, edge), p + e->bytes - edge, edge);
        if (s->whole)
            e->whole = hash_bytes(p, (size_t)e->bytes);
    }
}

// Entries as they must be for this model, checksums still 0.
static void list_entries(const cpu_cache *c, cache_entry *entry)
{
    for (int i = 0; i < c->g->n_weights; i++) {
        const graph_weight *w = &c->g->weights[i];
        bool packed = c->offset[i] != SIZE_MAX;
        entry[i] = (cache_entry){.type = w->type,
                                 .n = w->n,
                                 .k = w->k,
                                 .parts = w->parts,
                                 .offset = packed ? c->offset[i] : 0,
                                 .bytes = packed ? cpu_packed_bytes(w) : 0};
    }
}

static void fill_head(const cpu_cache *c, cache_head *h)
{
    cache_entry *entry = (cache_entry *)(void *)(h + 1);
    memcpy(h->magic, magic, sizeof magic);
    h->order = 0x01020304;
    h->n_entries = (uint32_t)c->g->n_weights;
    h->key = c->key;
    h->layout = c->layout;
    h->block_at = round_up(head_bytes(c), ALIGN);
    h->block_bytes = c->bytes;
    h->boot = 0;
    h->check = 0;
    h->check = hash_combine(hash_bytes(h, sizeof *h), entry, (size_t)c->g->n_weights * sizeof *entry);
    h->boot = os_boot_id();
}

// ---- Reading ---------------------------------------------------------------------------------------------------

// Says why a file is not used; NULL when it is.
static const char *fault_of(const cpu_cache *c, const os_map *m, cache_head *want)
{
    const cache_head *h = (const cache_head *)(const void *)m->data;
    size_t n = head_bytes(c);
    if (m->size < n || m->size != round_up(n, ALIGN) + c->bytes)
        return "has another size";
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return "is not a weight cache of this version";
    if (h->key != c->key)
        return "belongs to an earlier state of the model";
    if (h->layout != c->layout)
        return "has the layout of another version";
    summing s = {.c = c,
                 .block = m->data + round_up(n, ALIGN),
                 .entry = (cache_entry *)(void *)(want + 1),
                 .whole = h->boot != os_boot_id() || h->boot == 0};
    list_entries(c, s.entry);
    pool_run(c->threads, sum_worker, &s);
    const cache_entry *had = (const cache_entry *)(const void *)(h + 1);
    for (int i = 0; !s.whole && i < c->g->n_weights; i++)
        s.entry[i].whole = had[i].whole;  // not looked at; the head's checksum covers it
    fill_head(c, want);
    want->boot = h->boot;
    return memcmp(h, want, n) == 0 ? NULL : "is damaged";
}

// From now on this start of the system vouches for the file.
static void renew_boot(const char *path, uint64_t boot)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;  // read-only: compared again next time
    if (pwrite(fd, &boot, sizeof boot, offsetof(cache_head, boot)) != (ssize_t)sizeof boot)
        log_msg(LOG_INFO, "%s: %s", path, strerror(errno));
    close(fd);
}

const uint8_t *cpu_cache_map(const cpu_cache *c, os_map *map)
{
    *map = (os_map){0};
    err e;
    if (!c->path)
        return NULL;
    int rc = os_map_file(map, c->path, &e);
    cache_head *want = rc ? NULL : mem_calloc(MEM_OTHER, 1, head_bytes(c));
    if (!want) {
        os_unmap(map);
        if (rc && rc != ST_NOTFOUND)
            log_msg(LOG_INFO, "%s", e.msg);
        return NULL;
    }
    const char *fault = fault_of(c, map, want);
    uint64_t boot = os_boot_id();
    mem_free(want);
    if (fault) {
        log_msg(LOG_INFO, "%s: %s, and is made anew", c->path, fault);
        os_unmap(map);
        return NULL;
    }
    if (((const cache_head *)(const void *)map->data)->boot != boot)
        renew_boot(c->path, boot);
    os_touch(c->path);  // the least recently used file is the first to go
    const uint8_t *block = map->data + round_up(head_bytes(c), ALIGN);
    if (c->bytes < os_memory_bytes() / 2)
        os_map_populate(block, c->bytes);
    return block;
}

// ---- Writing ---------------------------------------------------------------------------------------------------

static bool write_all(int fd, const uint8_t *p, size_t n, uint64_t at)
{
    while (n) {
        ssize_t k = pwrite(fd, p, MIN(n, WRITE_STEP), (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return true;
}

static bool write_file(const cpu_cache *c, const cache_head *h, const uint8_t *block, const char *partial)
{
    int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, block, c->bytes, h->block_at) &&
              write_all(fd, (const uint8_t *)h, head_bytes(c), 0);
    int why = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && rename(partial, c->path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok)
        unlink(partial);
    errno = why;
    return ok;
}

// Makes room; false when the disk would be left too full.
static bool make_room(const char *dir, uint64_t bytes)
{
    uint64_t available, total;
    os_trim_dir(dir, UNFINISHED, spare_bytes);  // of programs that were killed: the oldest go
    os_trim_dir(dir, SUFFIX, folder_bytes - bytes);
    return os_disk_space(dir, &available, &total) && available >= bytes &&
           available - bytes >= MAX(spare_bytes, total / 10);
}

static void write_to(const cpu_cache *c, const uint8_t *block, cache_head *h, char *partial, size_t cap)
{
    size_t n = (size_t)(strrchr(c->path, '/') - c->path);
    snprintf(partial, cap, "%.*s", (int)n, c->path);
    if (!os_make_dirs(partial)) {
        log_msg(LOG_INFO, "%s: %s; weights are not kept", partial, strerror(errno));
        return;
    }
    if (!make_room(partial, ALIGN + c->bytes)) {
        log_msg(LOG_INFO, "%s: too little space is left on the disk; weights are not kept", partial);
        return;
    }
    summing s = {.c = c, .block = block, .entry = (cache_entry *)(void *)(h + 1), .whole = true};
    list_entries(c, s.entry);
    pool_run(c->threads, sum_worker, &s);
    fill_head(c, h);
    snprintf(partial, cap, "%s.%016llx" UNFINISHED, c->path, (unsigned long long)os_random_seed());
    if (!write_file(c, h, block, partial))
        log_msg(LOG_INFO, "%s: %s; weights are not kept", c->path, strerror(errno));
}

void cpu_cache_write(const cpu_cache *c, const uint8_t *block)
{
    if (!c->path)
        return;
    size_t cap = strlen(c->path) + 32;
    char *partial = mem_alloc(MEM_OTHER, cap);
    cache_head *h = mem_calloc(MEM_OTHER, 1, head_bytes(c));
    if (partial && h)
        write_to(c, block, h, partial, cap);
    mem_free(partial);
    mem_free(h);
}

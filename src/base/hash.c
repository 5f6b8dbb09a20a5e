// Hashes and the string table (open addressing, linear probing, at most two thirds full).
#include "base/hash.h"

#include <string.h>

// The whole of libxxhash is in its header: no library to link, and a cross build needs only the header.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/os.h"

struct hash_slot {
    const char *key;  // NULL: free
    size_t n;
    uint32_t hash;
    int32_t value;
};

enum { FEWEST = 16 };  // slots of the smallest table

uint64_t hash_bytes(const void *p, size_t n)
{
    return XXH3_64bits(p, n);
}

uint64_t hash_combine(uint64_t h, const void *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, h);
}

static int grow(hash_map *m, size_t cap)
{
    if (cap > SIZE_MAX / sizeof(struct hash_slot))
        return ST_NOMEM;
    hash_map bigger = {.cap = cap, .seed = m->seed, .tag = m->tag};
    bigger.slots = mem_calloc((enum mem_tag)m->tag, cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return ST_NOMEM;
    for (size_t i = 0; i < m->cap; i++) {
        const struct hash_slot *s = &m->slots[i];
        if (!s->key)
            continue;
        size_t at = s->hash & (cap - 1);
        while (bigger.slots[at].key)
            at = (at + 1) & (cap - 1);
        bigger.slots[at] = *s;
    }
    bigger.count = m->count;
    mem_free(m->slots);
    *m = bigger;
    return ST_OK;
}

int hash_map_init(hash_map *m, int mem_tag, size_t expected)
{
    *m = (hash_map){.seed = os_random_seed(), .tag = mem_tag};
    size_t cap = FEWEST;
    while (cap / 3 * 2 < expected && cap <= SIZE_MAX / 4)
        cap *= 2;
    return grow(m, cap);
}

void hash_map_done(hash_map *m)
{
    mem_free(m->slots);
    *m = (hash_map){0};
}

// The slot that holds the key, or the free one where it would go.
static struct hash_slot *find(const hash_map *m, uint32_t hash, const char *key, size_t n)
{
    size_t at = hash & (m->cap - 1);
    for (;; at = (at + 1) & (m->cap - 1)) {
        struct hash_slot *s = &m->slots[at];
        if (!s->key || (s->hash == hash && s->n == n && (n == 0 || memcmp(s->key, key, n) == 0)))
            return s;
    }
}

int hash_map_put(hash_map *m, const char *key, size_t n, int32_t value)
{
    if (m->count + 1 > m->cap / 3 * 2) {
        int rc = grow(m, m->cap ? m->cap * 2 : FEWEST);
        if (rc)
            return rc;
    }
    if (!key)
        key = "";  // NULL marks a free slot
    uint32_t hash = (uint32_t)hash_combine(m->seed, key, n);
    struct hash_slot *s = find(m, hash, key, n);
    if (!s->key)
        m->count++;
    *s = (struct hash_slot){key, n, hash, value};
    return ST_OK;
}

int32_t hash_map_get(const hash_map *m, const char *key, size_t n)
{
    if (!m->cap)
        return -1;
    const struct hash_slot *s = find(m, (uint32_t)hash_combine(m->seed, key, n), key, n);
    return s->key ? s->value : -1;
}

// Hashes: XXH3 (libxxhash) for tables and checksums; not for secrets.
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *p, size_t n);
uint64_t hash_combine(uint64_t h, const void *p, size_t n);  // seeds with h: order matters

// A table from byte strings to int32 values >= 0, built once and then read; the keys are borrowed and must
// outlive it. Reading is thread-safe.
typedef struct hash_map {
    struct hash_slot *slots;
    size_t cap, count;  // cap is a power of two
    uint64_t seed;      // of this process: a file cannot be made whose keys all fall on one slot
    int tag;            // enum mem_tag of its memory
} hash_map;

int hash_map_init(hash_map *m, int mem_tag, size_t expected);  // ST_NOMEM
void hash_map_done(hash_map *m);
int hash_map_put(hash_map *m, const char *key, size_t n, int32_t value);  // replaces; ST_NOMEM
int32_t hash_map_get(const hash_map *m, const char *key, size_t n);       // -1 when absent

#endif

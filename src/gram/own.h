// Inside of the gram room: small containers that the parts share.
#ifndef GRAM_OWN_H
#define GRAM_OWN_H

#include "gram/gram.h"

#define GRAM_ABSENT UINT32_MAX

// Makes room for one more element behind the n at *p (a pointer to an array); false when there is no memory.
bool gram_grow(void *p, size_t *cap, size_t n, size_t elem);

// A hash table of numbered things kept elsewhere: finds a number by the hash of the thing and a comparison.
typedef struct gram_index {
    uint32_t *slot;  // id + 1; 0: empty
    uint32_t *hash;
    size_t cap, count;
} gram_index;

typedef bool gram_same(const void *owner, uint32_t id, const void *key);
void gram_index_done(gram_index *x);
uint32_t gram_index_find(const gram_index *x, uint64_t hash, gram_same *same, const void *owner,
                         const void *key);                       // GRAM_ABSENT when it is not there
bool gram_index_add(gram_index *x, uint64_t hash, uint32_t id);  // false: no memory
size_t gram_index_bytes(const gram_index *x);

// Mixes two numbers into a hash (the finisher of SplitMix64, Steele, Lea & Flood 2014).
static inline uint64_t gram_mix(uint64_t h, uint64_t v)
{
    uint64_t z = (h ^ v) + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

// The bytes a control token is matched by: 0xFF, which is in no text, and its number.
enum { GRAM_CONTROL_BYTES = 4 };
static inline void gram_control_name(uint32_t id, char out[GRAM_CONTROL_BYTES])
{
    out[0] = (char)0xFF;
    for (int i = 0; i < 3; i++)
        out[1 + i] = (char)(id >> (16 - 8 * i) & 0xFF);
}

#endif

// Arrays that grow and the hash index.
#include "gram/own.h"

#include <string.h>

bool gram_grow(void *p, size_t *cap, size_t n, size_t elem)
{
    if (n < *cap)
        return true;
    size_t want = n < 8 ? 16 : n * 2;
    void *old;
    memcpy(&old, p, sizeof old);
    void *fresh = mem_realloc(MEM_GRAMMAR, old, want * elem);
    if (!fresh)
        return false;
    memcpy(p, &fresh, sizeof fresh);
    *cap = want;
    return true;
}

void gram_index_done(gram_index *x)
{
    mem_free(x->slot);
    mem_free(x->hash);
    *x = (gram_index){0};
}

uint32_t gram_index_find(const gram_index *x, uint64_t hash, gram_same *same, const void *owner,
                         const void *key)
{
    if (!x->cap)
        return GRAM_ABSENT;
    for (size_t at = hash & (x->cap - 1); x->slot[at]; at = (at + 1) & (x->cap - 1))
        if (x->hash[at] == (uint32_t)hash && same(owner, x->slot[at] - 1, key))
            return x->slot[at] - 1;
    return GRAM_ABSENT;
}

static void place(gram_index *x, uint32_t hash, uint32_t slot)
{
    size_t at = hash & (x->cap - 1);
    while (x->slot[at])
        at = (at + 1) & (x->cap - 1);
    x->slot[at] = slot;
    x->hash[at] = hash;
}

bool gram_index_add(gram_index *x, uint64_t hash, uint32_t id)
{
    if (x->count * 2 >= x->cap) {
        gram_index old = *x;
        size_t cap = old.cap ? old.cap * 2 : 64;
        x->slot = mem_calloc(MEM_GRAMMAR, cap, sizeof *x->slot);
        x->hash = mem_calloc(MEM_GRAMMAR, cap, sizeof *x->hash);
        if (!x->slot || !x->hash) {
            mem_free(x->slot);
            mem_free(x->hash);
            *x = old;
            return false;
        }
        x->cap = cap;
        for (size_t i = 0; i < old.cap; i++)
            if (old.slot[i])
                place(x, old.hash[i], old.slot[i]);
        mem_free(old.slot);
        mem_free(old.hash);
    }
    place(x, (uint32_t)hash, id + 1);
    x->count++;
    return true;
}

size_t gram_index_bytes(const gram_index *x)
{
    return x->cap * (sizeof *x->slot + sizeof *x->hash);
}

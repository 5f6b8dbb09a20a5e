// Arena: a chain of blocks, each twice the one before up to 1 MiB.
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/check.h"

struct arena_block {
    arena_block *next;
    size_t size, used;  // of the bytes that follow
};

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20, HEAD = (sizeof(arena_block) + 15) / 16 * 16 };

void arena_init(arena *a, enum mem_tag tag)
{
    *a = (arena){.tag = tag};
}

void arena_done(arena *a)
{
    for (arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    arena_init(a, a->tag);
}

void arena_reset(arena *a)
{
    for (arena_block *b = a->first; b; b = b->next)
        b->used = 0;
    a->last = a->first;
    a->used = 0;
}

static arena_block *block_add(arena *a, size_t n)
{
    size_t size = a->last ? MIN(a->last->size * 2, (size_t)LARGEST_BLOCK) : FIRST_BLOCK;
    if (size < n)
        size = n;
    arena_block *b = size > SIZE_MAX - HEAD ? NULL : mem_alloc(a->tag, HEAD + size);
    if (!b)
        return NULL;
    *b = (arena_block){.next = a->last ? a->last->next : NULL, .size = size};
    if (a->last)
        a->last->next = b;
    else
        a->first = b;
    return b;
}

void *arena_alloc(arena *a, size_t n)
{
    if (n > SIZE_MAX - 16)
        return NULL;
    n = (n + 15) & ~(size_t)15;
    arena_block *b = a->last;
    while (b && b->size - b->used < n)  // after a reset, later blocks are empty and may fit
        b = b->next;
    if (!b && !(b = block_add(a, n)))
        return NULL;
    a->last = b;
    char *p = (char *)b + HEAD + b->used;
    b->used += n;
    a->used += n;
    return p;
}

void *arena_calloc(arena *a, size_t count, size_t size)
{
    uint64_t n;
    if (!check_mul(count, size, &n) || n > SIZE_MAX)
        return NULL;
    void *p = arena_alloc(a, (size_t)n);
    if (p)
        memset(p, 0, (size_t)n);
    return p;
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
    char *p = n == SIZE_MAX ? NULL : arena_alloc(a, n + 1);
    if (!p)
        return NULL;
    if (n)  // s may be NULL then
        memcpy(p, s, n);
    p[n] = 0;
    return p;
}

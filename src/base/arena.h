// Many small allocations freed at once. A load arena lives as long as the thing loaded; a request arena is
// reset between requests and keeps its blocks. Not thread-safe.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/mem.h"

typedef struct arena_block arena_block;

typedef struct arena {
    arena_block *first, *last;
    enum mem_tag tag;
    size_t used;  // bytes handed out since the last reset
} arena;

void arena_init(arena *a, enum mem_tag tag);
void arena_done(arena *a);   // frees everything
void arena_reset(arena *a);  // forgets everything, keeps the blocks for reuse

// Aligned to 16, not zeroed; NULL when there is no memory.
void *arena_alloc(arena *a, size_t n);
void *arena_calloc(arena *a, size_t count, size_t size);
char *arena_strndup(arena *a, const char *s, size_t n);  // adds a NUL

#endif

// The compact name tables (open addressing, linear probing).
#include <string.h>

#include "gguf/internal.h"

int gguf_index_init(gguf_index *x, size_t n)
{
    x->cap = n + n / 3 + 1;
    x->seed = os_random_seed();
    x->slots = mem_calloc(MEM_GGUF, x->cap, sizeof *x->slots);
    return x->slots ? ST_OK : ST_NOMEM;
}

// Both gguf_key and gguf_tensor begin with their name.
static const char *name_at(const void *table, size_t stride, size_t i)
{
    return *(const char *const *)((const char *)table + i * stride);
}

// The slot with the name, or the free one where it would go.
static uint32_t *find_slot(const gguf_index *x, const void *table, size_t stride, const char *name)
{
    size_t at = (size_t)(hash_combine(x->seed, name, strlen(name)) % x->cap);
    while (x->slots[at] && strcmp(name_at(table, stride, x->slots[at] - 1), name) != 0)
        at = at + 1 < x->cap ? at + 1 : 0;
    return &x->slots[at];
}

size_t gguf_index_add(gguf_index *x, const void *table, size_t stride, size_t i)
{
    uint32_t *slot = find_slot(x, table, stride, name_at(table, stride, i));
    if (!*slot)
        *slot = (uint32_t)i + 1;
    return *slot - 1;
}

size_t gguf_index_find(const gguf_index *x, const void *table, size_t stride, const char *name)
{
    uint32_t *slot = find_slot(x, table, stride, name);
    return *slot ? *slot - 1 : SIZE_MAX;
}

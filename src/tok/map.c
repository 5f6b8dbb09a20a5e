// The two tables of the vocabulary: pieces to ids, and BPE's pairs of ids to merges.
#include <string.h>

#include "tok/own.h"

static size_t capacity(size_t expected)
{
    size_t cap = 16;
    while (cap / 3 * 2 < expected)
        cap *= 2;
    return cap;
}

int tok_map_init(tok_map *m, size_t expected)
{
    m->cap = capacity(expected);
    m->slots = mem_alloc(MEM_TOKENIZER, m->cap * sizeof *m->slots);
    if (!m->slots)
        return ST_NOMEM;
    memset(m->slots, 0xFF, m->cap * sizeof *m->slots);  // every id -1
    return ST_OK;
}

static struct tok_map_slot *find(const tok_map *m, const tok *t, const char *s, size_t n, uint32_t *tag)
{
    uint64_t h = hash_bytes(s, n);
    *tag = (uint32_t)(h >> 32);
    for (size_t i = h & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct tok_map_slot *x = &m->slots[i];
        if (x->id < 0)
            return x;
        if (x->tag != *tag)
            continue;
        size_t len = 0;
        const char *p = tok_text(t, x->id, &len);
        if (len == n && memcmp(p, s, n) == 0)
            return x;
    }
}

void tok_map_put(tok_map *m, const tok *t, int32_t id)
{
    size_t n = 0;
    uint32_t tag = 0;
    const char *s = tok_text(t, id, &n);
    struct tok_map_slot *x = find(m, t, s, n, &tag);
    *x = (struct tok_map_slot){tag, id};
}

int32_t tok_map_get(const tok *t, const char *s, size_t n)
{
    uint32_t tag = 0;
    if (n == 0 || n > t->longest)
        return -1;
    return find(&t->map, t, s, n, &tag)->id;
}

int tok_pairs_init(tok_pairs *p, size_t expected)
{
    p->cap = capacity(expected);
    p->slots = mem_alloc(MEM_TOKENIZER, p->cap * sizeof *p->slots);
    if (!p->slots)
        return ST_NOMEM;
    memset(p->slots, 0xFF, p->cap * sizeof *p->slots);  // every left -1
    return ST_OK;
}

static size_t pair_home(const tok_pairs *p, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 32) & (p->cap - 1);
}

void tok_pairs_put(tok_pairs *p, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    size_t i = pair_home(p, left, right);
    for (; p->slots[i].left >= 0; i = (i + 1) & (p->cap - 1))
        if (p->slots[i].left == left && p->slots[i].right == right)
            return;
    p->slots[i] = (struct tok_pair){left, right, rank, id};
}

const struct tok_pair *tok_pairs_get(const tok_pairs *p, int32_t left, int32_t right)
{
    for (size_t i = pair_home(p, left, right);; i = (i + 1) & (p->cap - 1)) {
        const struct tok_pair *x = &p->slots[i];
        if (x->left < 0)
            return NULL;
        if (x->left == left && x->right == right)
            return x;
    }
}

// The hash trie: see trie.h.
#include "tok/trie.h"

#include <string.h>

#include "base/base.h"

static size_t home(uint32_t key, size_t cap)
{
    return (key * 2654435769u >> 7) & (cap - 1);
}

static struct tok_trie_edge *slot(struct tok_trie_edge *edges, size_t cap, uint32_t key)
{
    size_t i = home(key, cap);
    while (edges[i].child && edges[i].key != key)
        i = (i + 1) & (cap - 1);
    return &edges[i];
}

int tok_trie_init(tok_trie *r)
{
    *r = (tok_trie){.edge_cap = 64, .n_nodes = 1, .node_cap = 32};
    r->edges = mem_calloc(MEM_TOKENIZER, r->edge_cap, sizeof *r->edges);
    r->value = mem_alloc(MEM_TOKENIZER, r->node_cap * sizeof *r->value);
    if (!r->edges || !r->value) {
        tok_trie_done(r);
        return ST_NOMEM;
    }
    r->value[0] = -1;
    return ST_OK;
}

void tok_trie_done(tok_trie *r)
{
    mem_free(r->edges);
    mem_free(r->value);
    *r = (tok_trie){0};
}

static int grow(tok_trie *r)
{
    if (r->n_nodes == r->node_cap) {
        int32_t *v = mem_realloc(MEM_TOKENIZER, r->value, (size_t)r->node_cap * 2 * sizeof *v);
        if (!v)
            return ST_NOMEM;
        r->value = v;
        r->node_cap *= 2;
    }
    if (r->n_nodes < r->edge_cap / 2)
        return ST_OK;
    size_t cap = r->edge_cap * 2;
    struct tok_trie_edge *edges = mem_calloc(MEM_TOKENIZER, cap, sizeof *edges);
    if (!edges)
        return ST_NOMEM;
    for (size_t i = 0; i < r->edge_cap; i++)
        if (r->edges[i].child)
            *slot(edges, cap, r->edges[i].key) = r->edges[i];
    mem_free(r->edges);
    r->edges = edges;
    r->edge_cap = cap;
    return ST_OK;
}

int tok_trie_put(tok_trie *r, const char *s, size_t n, int32_t value)
{
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t next = tok_trie_step(r, node, (unsigned char)s[i]);
        if (!next) {
            if (r->n_nodes == TOK_TRIE_NODES)
                return ST_LIMIT;
            int rc = grow(r);
            if (rc)
                return rc;
            next = r->n_nodes++;
            r->value[next] = -1;
            uint32_t key = node << 8 | (unsigned char)s[i];
            *slot(r->edges, r->edge_cap, key) = (struct tok_trie_edge){key, next};
        }
        node = next;
    }
    r->value[node] = value;
    return ST_OK;
}

// A trie over bytes: which entries begin at a place in a text. Edges live in one hash table keyed by (node,
// byte), so that a vocabulary of 100,000 pieces takes a few megabytes and a step is one probe.
#ifndef TOK_TRIE_H
#define TOK_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tok_trie_edge {
    uint32_t key;    // node << 8 | byte
    uint32_t child;  // 0: free (nothing leads back to the root)
};

typedef struct tok_trie {
    struct tok_trie_edge *edges;
    int32_t *value;   // by node; -1: no entry ends here
    size_t edge_cap;  // a power of two
    uint32_t n_nodes, node_cap;
} tok_trie;

enum { TOK_TRIE_NODES = 1 << 24 };  // so that a key fits 32 bits

int tok_trie_init(tok_trie *r);
void tok_trie_done(tok_trie *r);
// Enters s (n > 0) with a value >= 0; an entry already there is replaced. ST_NOMEM, ST_LIMIT.
int tok_trie_put(tok_trie *r, const char *s, size_t n, int32_t value);

// The node below `node` (0 is the root) along a byte; 0 when there is none.
static inline uint32_t tok_trie_step(const tok_trie *r, uint32_t node, unsigned char byte)
{
    uint32_t key = node << 8 | byte;
    size_t mask = r->edge_cap - 1;
    for (size_t i = (key * 2654435769u >> 7) & mask;; i = (i + 1) & mask) {
        const struct tok_trie_edge *e = &r->edges[i];
        if (e->key == key || e->child == 0)
            return e->child;
    }
}

#endif

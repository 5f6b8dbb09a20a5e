// The merge loop that byte-level BPE and SentencePiece BPE share: neighbours are joined, the best-ranked pair
// first, the leftmost of equals first, until no pair may be joined. A linked list of symbols and a heap of
// pairs make it O(n log n) also for a megabyte without a space.
#ifndef TOK_MERGE_H
#define TOK_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOK_NO_RANK UINT32_MAX

typedef struct tok_sym {
    uint32_t at, len;     // its bytes in the word; len 0: swallowed by a symbol to its left
    int32_t id;           // its token, -1: none
    uint32_t prev, next;  // indices; UINT32_MAX: none
    uint32_t rank;        // of joining it with `next`; TOK_NO_RANK: they may not be joined
    int32_t joined;       // the token that would give
} tok_sym;

typedef struct tok_merge {
    tok_sym *syms;
    uint64_t *heap;  // rank << 32 | index of the left symbol; entries may be out of date
    size_t n, cap;
    size_t heap_n, heap_cap;
} tok_merge;

// The rank of joining l and r (neighbours), and the token it gives; TOK_NO_RANK when they may not be joined.
typedef uint32_t tok_join_fn(const void *ctx, const tok_sym *l, const tok_sym *r, int32_t *joined);

bool tok_merge_start(tok_merge *m, size_t n);  // room for n symbols, none yet; false: no memory
void tok_merge_done(tok_merge *m);

static inline void tok_merge_add(tok_merge *m, uint32_t at, uint32_t len, int32_t id)
{
    m->syms[m->n++] = (tok_sym){.at = at, .len = len, .id = id, .rank = TOK_NO_RANK};
}

// Joins all that may be joined; the result is the list from syms[0] along `next`. false: no memory.
bool tok_merge_run(tok_merge *m, tok_join_fn *join, const void *ctx);

#endif

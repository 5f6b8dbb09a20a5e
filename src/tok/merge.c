// The merge loop: see merge.h.
#include "tok/merge.h"

#include "base/base.h"

#define NONE UINT32_MAX

bool tok_merge_start(tok_merge *m, size_t n)
{
    m->n = 0;
    if (n <= m->cap)
        return true;
    size_t cap = MAX(n, (size_t)64);
    mem_free(m->syms);
    m->cap = 0;
    m->syms = mem_alloc(MEM_TOKENIZER, cap * sizeof *m->syms);
    if (!m->syms)
        return false;
    m->cap = cap;
    return true;
}

void tok_merge_done(tok_merge *m)
{
    mem_free(m->syms);
    mem_free(m->heap);
    *m = (tok_merge){0};
}

static void push(tok_merge *m, uint64_t key)
{
    size_t i = m->heap_n++;
    while (i > 0 && m->heap[(i - 1) / 2] > key) {
        m->heap[i] = m->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    m->heap[i] = key;
}

static uint64_t pop(tok_merge *m)
{
    uint64_t top = m->heap[0], last = m->heap[--m->heap_n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= m->heap_n)
            break;
        if (child + 1 < m->heap_n && m->heap[child + 1] < m->heap[child])
            child++;
        if (m->heap[child] >= last)
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
    return top;
}

static void pair(tok_merge *m, uint32_t left, tok_join_fn *join, const void *ctx)
{
    tok_sym *l = &m->syms[left];
    l->rank = l->next == NONE ? TOK_NO_RANK : join(ctx, l, &m->syms[l->next], &l->joined);
    if (l->rank != TOK_NO_RANK)
        push(m, (uint64_t)l->rank << 32 | left);
}

bool tok_merge_run(tok_merge *m, tok_join_fn *join, const void *ctx)
{
    // At most n - 1 pairs at first, and each join takes one out and puts two in.
    if (m->heap_cap < 2 * m->n) {
        mem_free(m->heap);
        m->heap_cap = 0;
        m->heap = mem_alloc(MEM_TOKENIZER, 2 * m->cap * sizeof *m->heap);
        if (!m->heap)
            return false;
        m->heap_cap = 2 * m->cap;
    }
    m->heap_n = 0;
    for (size_t i = 0; i < m->n; i++) {
        m->syms[i].prev = i ? (uint32_t)i - 1 : NONE;
        m->syms[i].next = i + 1 < m->n ? (uint32_t)i + 1 : NONE;
    }
    for (size_t i = 0; i + 1 < m->n; i++)
        pair(m, (uint32_t)i, join, ctx);
    while (m->heap_n) {
        uint64_t key = pop(m);
        uint32_t i = (uint32_t)key;
        tok_sym *l = &m->syms[i];
        if (l->len == 0 || l->rank != key >> 32)
            continue;  // out of date: one of the two was joined with another since
        tok_sym *r = &m->syms[l->next];
        l->len += r->len;
        l->id = l->joined;
        r->len = 0;
        l->next = r->next;
        if (l->next != NONE)
            m->syms[l->next].prev = i;
        pair(m, i, join, ctx);
        if (l->prev != NONE)
            pair(m, l->prev, join, ctx);
    }
    return true;
}

// Masks: which tokens fit a configuration.
//
// In general the tree of all tokens is walked once together with the automaton; branches that fit nothing are cut.
// Inside a JSON string nearly all tokens fit, and which do is known beforehand (vocab.h): only what stands behind a
// closing quote depends on the grammar. A configuration that is nearly such a string (a key that must not be one of
// those declared) starts from the string's mask, and both are walked side by side while they differ.
#include <string.h>

#include "gram/machine.h"

static void set_tokens(const gram_trie *t, uint32_t from, uint32_t to, uint32_t *bits)
{
    for (uint32_t k = from; k < to; k++)
        gram_mask_set(bits, t->ids[k]);
}

static void clear_tokens(const gram_trie *t, uint32_t from, uint32_t to, uint32_t *bits)
{
    for (uint32_t k = from; k < to; k++)
        bits[t->ids[k] / 32] &= ~((uint32_t)1 << (t->ids[k] % 32));
}

static void walk(gram *g, const gram_trie *t, uint32_t config, uint32_t *bits)
{
    uint32_t *at = g->walk, *until = at + g->vocab->deepest + 2;
    size_t depth = 0;
    at[0] = config;
    until[0] = (uint32_t)t->n;
    for (uint32_t i = 0; i < t->n;) {
        while (i >= until[depth])
            depth--;
        uint32_t to = gram_step(g, at[depth], t->byte[i]);
        if (to == GRAM_DEAD) {
            i = t->end[i];
            continue;
        }
        set_tokens(t, t->first[i], t->first[i + 1], bits);
        at[++depth] = to;
        until[depth] = t->end[i++];
    }
}

// `bits` holds the mask of `base`; makes it that of `config`. Costs little where the two soon come to the same.
static void walk_apart(gram *g, uint32_t config, uint32_t base, uint32_t *bits)
{
    const gram_trie *t = &g->vocab->all;
    size_t deep = g->vocab->deepest + 2, depth = 0;
    uint32_t *at = g->walk, *beside = at + deep, *until = beside + deep;
    at[0] = config;
    beside[0] = base;
    until[0] = (uint32_t)t->n;
    for (uint32_t i = 0; i < t->n;) {
        while (i >= until[depth])
            depth--;
        uint32_t a = gram_step(g, at[depth], t->byte[i]), b = gram_step(g, beside[depth], t->byte[i]);
        if (a == b) {
            i = t->end[i];
            continue;
        }
        if (a == GRAM_DEAD) {
            clear_tokens(t, t->first[i], t->first[t->end[i]], bits);
            i = t->end[i];
            continue;
        }
        set_tokens(t, t->first[i], t->first[i + 1], bits);
        depth++;
        at[depth] = a;
        beside[depth] = b;
        until[depth] = t->end[i++];
    }
}

// ---- Strings ---------------------------------------------------------------------------------------------------
// A thread inside a JSON string: characters, then the closing quote.
typedef struct body {
    int kind;              // GRAM_BODY_*; GRAM_BODIES: no such thread
    uint32_t least, most;  // characters that are to come
    bool but;              // some strings are left out
    rx free;               // the expression without bounds and exceptions
} body;

static bool is_quote(const rx_pool *p, rx a)
{
    const rx_node *n = &p->node[a];
    if (n->op == RX_OP_CAT)
        n = &p->node[n->a];
    return n->op == RX_OP_SET && memcmp(&p->set[n->a], &(rx_set){{(uint64_t)1 << '"'}}, sizeof(rx_set)) == 0;
}

// Which characters a repetition repeats.
static int kind_of(const gram *g, rx a)
{
    const rx_node *n = &g->rx.node[a];
    for (int k = 0; k < GRAM_BODIES; k++)
        if (n->op == RX_OP_REPEAT && g->body[k] != RX_NONE && n->a == g->rx.node[g->body[k]].a)
            return k;
    return GRAM_BODIES;
}

static body body_of(gram *g, rx at)
{
    body b = {.kind = GRAM_BODIES};
    const rx_pool *p = &g->rx;
    rx_node n = p->node[at];
    if (n.op != RX_OP_CAT || !is_quote(p, n.b))
        return b;
    rx chars = n.a;
    if (p->node[chars].op == RX_OP_AND) {
        // One repetition of characters and complements: all but some strings.
        rx_node and = p->node[chars];
        for (uint32_t i = 0; i < and.b; i++) {
            rx kid = p->kid[and.a + i];
            if (kind_of(g, kid) < GRAM_BODIES)
                chars = kid;
            else if (p->node[kid].op != RX_OP_NOT)
                return b;
        }
        b.but = true;
    }
    int kind = kind_of(g, chars);
    if (kind == GRAM_BODIES)
        return b;
    b.least = p->node[chars].b;
    b.most = p->node[chars].c;
    b.free = rx_cat(&g->rx, g->body[kind], n.b);
    b.kind = g->rx.failed ? GRAM_BODIES : kind;
    return b;
}

// Adds what fits the configuration of one thread inside a free string.
static void add_free_string(gram *g, uint32_t config, int kind, uint32_t *bits)
{
    const gram_body *b = &g->vocab->body[kind];
    for (size_t i = 0; i < g->vocab->words; i++)
        bits[i] |= b->mask[i];
    walk(g, &b->after, gram_step(g, config, '"'), bits);
}

// A string with bounds: whole characters by their number, the rest by a walk.
static void add_bounded_string(gram *g, uint32_t config, uint32_t most, uint32_t *bits)
{
    const gram_vocab *v = g->vocab;
    size_t len = MIN(most, v->longest_plain);
    while (!v->plain[len])
        len--;
    memcpy(bits, v->plain[len], v->words * sizeof *bits);
    walk(g, &v->rest, config, bits);
}

// Masks of configurations with threads inside strings; false when there is none.
static bool fill_string(gram *g, uint32_t config, uint32_t *bits)
{
    const gram_config c = g->config[config];
    gram_thread base[8];  // threads inside a string, freed of bounds and exceptions
    size_t n = 0;
    bool same = true;  // the base allows the same tokens
    for (uint32_t i = 0; i < c.n && n < COUNT_OF(base); i++) {
        gram_thread t = g->thread[c.thread + i];
        body b = body_of(g, t.at);
        if (b.kind == GRAM_BODIES)
            continue;
        // A bound that no token can reach is none.
        bool far = b.least == 0 && b.most >= g->vocab->deepest;
        if (c.n == 1 && !b.but && !far) {
            add_bounded_string(g, config, b.most, bits);
            return true;
        }
        if (!far || (b.most != RX_MANY && (c.n > 1 || b.but)))
            continue;
        base[n++] = (gram_thread){b.free, t.list};
        same = same && !b.but;
        add_free_string(g, gram_config_one(g, b.free, t.list), b.kind, bits);
    }
    if (n && !(same && n == c.n))
        walk_apart(g, config, gram_config_many(g, base, n), bits);
    return n > 0;
}

static void fill(gram *g, uint32_t config, uint32_t *bits)
{
    memset(bits, 0, g->vocab->words * sizeof *bits);
    if (config > GRAM_DONE && !fill_string(g, config, bits))
        walk(g, &g->vocab->all, config, bits);
    if (g->config[config].accepting)
        for (size_t i = 0; i < g->vocab->n_ends; i++)
            gram_mask_set(bits, g->vocab->ends[i]);
}

const uint32_t *gram_mask_of(gram *g, uint32_t config)
{
    uint32_t known = g->config[config].mask;
    if (known)
        return g->mask[known - 1];
    size_t slot = g->next_mask;
    if (!g->mask[slot] &&
        !(g->mask[slot] = mem_alloc(MEM_GRAMMAR, (g->vocab->words + 1) * sizeof **g->mask))) {
        gram_lost(g, ST_NOMEM);
        return NULL;
    }
    if (g->mask_of[slot])
        g->config[g->mask_of[slot]].mask = 0;
    g->mask_of[slot] = 0;
    fill(g, config, g->mask[slot]);
    if (g->failed)
        return NULL;
    g->mask_of[slot] = config;
    g->config[config].mask = (uint32_t)slot + 1;
    g->next_mask = (slot + 1) % GRAM_MASKS;
    return g->mask[slot];
}

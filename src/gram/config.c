// Configurations: where a text stands in a grammar, and what a byte does to it.
#include <stdlib.h>
#include <string.h>

#include "gram/machine.h"

enum { MOST_CONFIGS = 1 << 20, MOST_FRAMES = 1 << 22, MOST_THREADS = 1 << 22 };

typedef struct list_key {
    const gram_frame *frame;
    uint32_t n;
} list_key;

static int compare_frames(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(gram_frame));
}

static bool same_list(const void *owner, uint32_t id, const void *key)
{
    const gram *g = owner;
    const list_key *k = key;
    const gram_list *l = &g->list[id];
    return l->n == k->n && memcmp(g->frame + l->frame, k->frame, k->n * sizeof *k->frame) == 0;
}

// The list of these frames, which it sorts.
static uint32_t list_of(gram *g, gram_frame *f, size_t n)
{
    if (n > 1) {
        size_t kept = 0;
        qsort(f, n, sizeof *f, compare_frames);
        for (size_t i = 0; i < n; i++)
            if (i == 0 || memcmp(&f[i], &f[i - 1], sizeof *f) != 0)
                f[kept++] = f[i];
        n = kept;
    }
    uint64_t h = n;
    for (size_t i = 0; i < n; i++)
        h = gram_mix(h, (uint64_t)f[i].to << 32 | f[i].list);
    list_key key = {f, (uint32_t)n};
    uint32_t id = gram_index_find(&g->lists, h, same_list, g, &key);
    if (id != GRAM_ABSENT)
        return id;
    if (g->n_frame + n > MOST_FRAMES)
        gram_lost(g, ST_LIMIT);
    for (size_t i = 0; i < n && !g->failed; i++) {
        if (gram_grow(&g->frame, &g->frame_cap, g->n_frame, sizeof *g->frame))
            g->frame[g->n_frame++] = f[i];
        else
            gram_lost(g, ST_NOMEM);
    }
    if (g->failed)
        return GRAM_BOTTOM;
    if (!gram_grow(&g->list, &g->list_cap, g->n_list, sizeof *g->list) ||
        !gram_index_add(&g->lists, h, (uint32_t)g->n_list)) {
        gram_lost(g, ST_NOMEM);
        return GRAM_BOTTOM;
    }
    g->list[g->n_list] = (gram_list){(uint32_t)(g->n_frame - n), (uint32_t)n, GRAM_ABSENT};
    return (uint32_t)g->n_list++;
}

// Whether a return to this place would only return again: then the frame can be left out.
static bool only_ends(const gram *g, uint32_t place)
{
    const gram_place *s = &g->place[place];
    return s->final && s->unfolded && s->n_edges == 0 && place != GRAM_STOP_PLACE;
}

static uint32_t list_push(gram *g, uint32_t to, uint32_t list)
{
    if (only_ends(g, to))
        return list;
    return list_of(g, &(gram_frame){to, list}, 1);
}

// ---- Configurations --------------------------------------------------------------------------------------------
typedef struct config_key {
    const gram_thread *thread;
    uint32_t n;
    bool accepting;
} config_key;

static bool same_config(const void *owner, uint32_t id, const void *key)
{
    const gram *g = owner;
    const config_key *k = key;
    const gram_config *c = &g->config[id];
    if (id == GRAM_DONE)
        return false;
    return c->n == k->n && c->accepting == k->accepting &&
           memcmp(g->thread + c->thread, k->thread, k->n * sizeof *k->thread) == 0;
}

static int compare_threads(const void *a, const void *b)
{
    const gram_thread *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->list < y->list ? -1 : x->list > y->list;
}

// Threads of one expression become one with the union of their lists.
static size_t merge_threads(gram *g, gram_thread *t, size_t n)
{
    size_t kept = 0;
    if (n > 1)
        qsort(t, n, sizeof *t, compare_threads);
    for (size_t i = 0; i < n;) {
        size_t j = i + 1;
        while (j < n && t[j].at == t[i].at)
            j++;
        gram_thread one = t[i];
        size_t frames = 0;
        for (size_t k = i; k < j && t[j - 1].list != one.list; k++) {
            const gram_list *l = &g->list[t[k].list];
            for (uint32_t f = 0; f < l->n; f++) {
                if (!gram_grow(&g->merged, &g->merged_cap, frames, sizeof *g->merged)) {
                    gram_lost(g, ST_NOMEM);
                    return 0;
                }
                g->merged[frames++] = g->frame[l->frame + f];
            }
        }
        if (frames)
            one.list = list_of(g, g->merged, frames);
        t[kept++] = one;
        i = j;
    }
    return kept;
}

// The configuration of the n threads at t (sorted, merged), which must not lie in g->thread.
static uint32_t config_of(gram *g, const gram_thread *t, size_t n, bool accepting)
{
    if (g->failed || (n == 0 && !accepting))
        return GRAM_DEAD;
    uint64_t h = accepting;
    for (size_t i = 0; i < n; i++)
        h = gram_mix(h, (uint64_t)t[i].at << 32 | t[i].list);
    config_key key = {t, (uint32_t)n, accepting};
    uint32_t id = gram_index_find(&g->configs, h, same_config, g, &key);
    if (id != GRAM_ABSENT)
        return id;
    if (g->n_config >= MOST_CONFIGS || g->n_thread + n > MOST_THREADS)
        gram_lost(g, ST_LIMIT);
    for (size_t i = 0; i < n && !g->failed; i++) {
        if (gram_grow(&g->thread, &g->thread_cap, g->n_thread, sizeof *g->thread))
            g->thread[g->n_thread++] = t[i];
        else
            gram_lost(g, ST_NOMEM);
    }
    if (g->failed)
        return GRAM_DEAD;
    if (!gram_grow(&g->config, &g->config_cap, g->n_config, sizeof *g->config) ||
        !gram_index_add(&g->configs, h, (uint32_t)g->n_config)) {
        gram_lost(g, ST_NOMEM);
        return GRAM_DEAD;
    }
    g->config[g->n_config] = (gram_config){(uint32_t)(g->n_thread - n), (uint32_t)n, accepting, 0, NULL};
    return (uint32_t)g->n_config++;
}

uint32_t gram_config_one(gram *g, rx at, uint32_t list)
{
    return config_of(g, &(gram_thread){at, list}, 1, false);
}

uint32_t gram_config_many(gram *g, gram_thread *t, size_t n)
{
    return config_of(g, t, merge_threads(g, t, n), false);
}

// ---- Closure: all that can be matched next from a set of places ------------------------------------------------
static void add_work(gram *g, uint32_t place, uint32_t list)
{
    gram_frame f = {place, list};
    for (size_t i = 0; i < g->n_seen; i++)
        if (memcmp(&g->seen[i], &f, sizeof f) == 0)
            return;
    if (!gram_grow(&g->work, &g->work_cap, g->n_work, sizeof f) ||
        !gram_grow(&g->seen, &g->seen_cap, g->n_seen, sizeof f)) {
        gram_lost(g, ST_NOMEM);
        return;
    }
    g->work[g->n_work++] = f;
    g->seen[g->n_seen++] = f;
    if (g->n_seen > 4096)  // grammars this ambiguous in one place are no use, and the search above is linear
        gram_lost(g, ST_LIMIT);
}

static void add_thread(gram *g, rx at, uint32_t list)
{
    if (!gram_grow(&g->made, &g->made_cap, g->n_made, sizeof *g->made))
        gram_lost(g, ST_NOMEM);
    else
        g->made[g->n_made++] = (gram_thread){at, list};
}

static void add_call(gram *g, uint32_t rule, uint32_t to, uint32_t list)
{
    // A call with nothing behind it hands on the frames of its own list.
    bool tail = only_ends(g, to);
    uint32_t n = tail ? g->list[list].n : 1;
    for (uint32_t i = 0; i < n; i++) {
        gram_frame f = tail ? g->frame[g->list[list].frame + i] : (gram_frame){to, list};
        if (!gram_grow(&g->call, &g->call_cap, g->n_call, sizeof *g->call)) {
            gram_lost(g, ST_NOMEM);
            return;
        }
        g->call[g->n_call++] = (gram_call){rule, f};
    }
}

static void visit(gram *g, uint32_t place, uint32_t list)
{
    if (place == GRAM_STOP_PLACE) {
        g->made_accepting = true;
        return;
    }
    if (!g->place[place].unfolded)
        gram_unfold(g, place);
    const gram_place s = g->place[place];
    if (s.final)
        for (uint32_t i = 0; i < g->list[list].n && !g->failed; i++) {
            gram_frame f = g->frame[g->list[list].frame + i];
            add_work(g, f.to, f.list);
        }
    for (uint32_t i = 0; i < s.n_edges && !g->failed; i++) {
        gram_edge x = g->edge[s.edge + i];
        if (x.kind == GRAM_CALL) {
            add_call(g, x.what, x.to, list);
            if (!g->rule[x.what].nullable)
                continue;
        } else if (x.kind == GRAM_MATCH) {
            if (x.what != RX_EMPTY && rx_alive(&g->rx, x.what))
                add_thread(g, x.what, list_push(g, x.to, list));
            if (!g->rx.node[x.what].nullable)
                continue;
        }
        add_work(g, x.to, list);
    }
}

// Starts the pending rule of lowest rank with all its callers in one list.
static void start_rule(gram *g)
{
    uint32_t rule = g->call[0].rule;
    for (size_t i = 1; i < g->n_call; i++)
        if (g->rule[g->call[i].rule].rank < g->rule[rule].rank)
            rule = g->call[i].rule;
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < g->n_call; i++) {
        if (g->call[i].rule != rule) {
            g->call[kept++] = g->call[i];
            continue;
        }
        if (!gram_grow(&g->merged, &g->merged_cap, n, sizeof *g->merged)) {
            gram_lost(g, ST_NOMEM);
            return;
        }
        g->merged[n++] = g->call[i].frame;
    }
    g->n_call = kept;
    add_work(g, g->rule[rule].start, list_of(g, g->merged, n));
}

// From the work prepared by add_work to threads in g->made.
static void run_closure(gram *g)
{
    while (!g->failed && (g->n_work || g->n_call)) {
        if (g->n_work) {
            gram_frame f = g->work[--g->n_work];
            visit(g, f.to, f.list);
        } else {
            start_rule(g);
        }
    }
}

static void begin(gram *g)
{
    g->n_work = g->n_seen = g->n_call = g->n_made = 0;
    g->made_accepting = false;
}

static uint32_t end(gram *g)
{
    g->n_made = merge_threads(g, g->made, g->n_made);
    return config_of(g, g->made, g->n_made, g->made_accepting);
}

// What follows a list.
static uint32_t popped(gram *g, uint32_t list)
{
    uint32_t known = g->list[list].popped;
    if (known != GRAM_ABSENT || g->failed)
        return known;
    begin(g);
    for (uint32_t i = 0; i < g->list[list].n; i++) {
        gram_frame f = g->frame[g->list[list].frame + i];
        add_work(g, f.to, f.list);
    }
    run_closure(g);
    known = end(g);
    g->list[list].popped = known;
    return known;
}

uint32_t gram_config_start(gram *g, uint32_t root)
{
    begin(g);
    add_work(g, g->rule[root].start, GRAM_BOTTOM);
    run_closure(g);
    return end(g);
}

// The threads of another configuration join those being made.
static void join(gram *g, uint32_t config)
{
    gram_config c = g->config[config];
    g->made_accepting |= c.accepting;
    for (uint32_t i = 0; i < c.n; i++)
        add_thread(g, g->thread[c.thread + i].at, g->thread[c.thread + i].list);
}

static uint32_t step(gram *g, uint32_t config, int cls)
{
    const gram_config c = g->config[config];
    // What is popped first, because making it uses the same scratch.
    for (uint32_t i = 0; i < c.n && !g->failed; i++) {
        gram_thread t = g->thread[c.thread + i];
        rx at = rx_step(&g->rx, t.at, cls);  // moves the nodes
        if (g->rx.node[at].nullable)
            popped(g, t.list);
    }
    begin(g);
    for (uint32_t i = 0; i < c.n && !g->failed; i++) {
        gram_thread t = g->thread[c.thread + i];
        rx at = rx_step(&g->rx, t.at, cls);
        if (at != RX_EMPTY && rx_alive(&g->rx, at))
            add_thread(g, at, t.list);
        if (g->rx.node[at].nullable)
            join(g, popped(g, t.list));
    }
    if (g->rx.failed)
        gram_lost(g, g->rx.failed);
    return g->failed ? GRAM_DEAD : end(g);
}

uint32_t gram_config_step(gram *g, uint32_t config, int cls)
{
    if (g->failed || config <= GRAM_DONE)
        return GRAM_DEAD;
    if (!g->config[config].row) {
        size_t n = (size_t)g->rx.n_cls * sizeof(uint32_t);
        uint32_t *row = arena_alloc(&g->rows, n);
        if (!row) {
            gram_lost(g, ST_NOMEM);
            return GRAM_DEAD;
        }
        memset(row, 0xFF, n);
        g->config[config].row = row;
    }
    uint32_t to = step(g, config, cls);
    if (!g->failed)
        g->config[config].row[cls] = to;
    return to;
}

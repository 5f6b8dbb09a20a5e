// Building an automaton: places, rules, and what is worked out once all are there.
#include "gram/machine.h"

#include <string.h>

#include "gram/harmony.h"

enum { MOST_PLACES = 1 << 21, MOST_EDGES = 1 << 23 };

int gram_lost(gram *g, int why)
{
    if (!g->failed)
        g->failed = why;
    return g->failed;
}

// Makes the rule of a whole text: what stands before the sentence, and the sentence, which `root` will be.
static void begin_text(gram *g, gram_lead lead)
{
    char name[GRAM_CONTROL_BYTES];
    rx until = RX_EMPTY;
    if (lead.harmony) {
        until = rx_cat(&g->rx, gram_harmony_before(&g->rx, lead.harmony, false),
                       gram_harmony_final(&g->rx, lead.harmony));
    } else if (lead.word.n && lead.word.token >= 0) {
        gram_control_name((uint32_t)lead.word.token, name);
        until = rx_until(&g->rx, name, sizeof name, false);
    } else if (lead.word.n) {
        until = rx_until(&g->rx, lead.word.word, lead.word.n, false);
    }
    uint32_t from = gram_add_place(g, false);
    g->entry = gram_add_rule(g);
    g->before_root = gram_add_place(g, false);
    gram_set_edges(g, from, &(gram_edge){GRAM_MATCH, until, g->before_root}, 1);
    if (!g->failed)
        g->rule[g->entry].start = from;
}

int gram_machine_new(gram **out, const gram_vocab *v, gram_lead lead, err *e)
{
    *out = NULL;
    gram *g = mem_calloc(MEM_GRAMMAR, 1, sizeof *g);
    if (!g)
        return err_set(e, ST_NOMEM, "no memory for a grammar");
    atomic_init(&g->owners, 1);
    pthread_mutex_init(&g->lock, NULL);
    g->vocab = v;
    arena_init(&g->rows, MEM_GRAMMAR);
    int rc = rx_pool_init(&g->rx);
    g->walk = mem_alloc(MEM_GRAMMAR, 3 * (v->deepest + 2) * sizeof *g->walk);
    bool ok = !rc && g->walk && gram_grow(&g->list, &g->list_cap, 0, sizeof *g->list) &&
              gram_grow(&g->frame, &g->frame_cap, 0, sizeof *g->frame) &&
              gram_grow(&g->config, &g->config_cap, 0, sizeof *g->config);
    if (!ok) {
        gram_free(g);
        return err_set(e, ST_NOMEM, "no memory for a grammar");
    }
    gram_add_place(g, true);  // GRAM_STOP_PLACE
    g->frame[g->n_frame++] = (gram_frame){GRAM_STOP_PLACE, GRAM_BOTTOM};
    g->list[g->n_list++] = (gram_list){0, 1, GRAM_ABSENT};
    g->config[g->n_config++] = (gram_config){0};  // GRAM_DEAD
    g->config[g->n_config++] = (gram_config){0};  // GRAM_DONE
    begin_text(g, lead);
    *out = g;
    return ST_OK;
}

gram *gram_ref(gram *g)
{
    atomic_fetch_add(&g->owners, 1);
    return g;
}

void gram_free(gram *g)
{
    if (!g || atomic_fetch_sub(&g->owners, 1) > 1)
        return;
    gram_objects_free(g->objects);
    rx_pool_done(&g->rx);
    gram_index_done(&g->lists);
    gram_index_done(&g->configs);
    arena_done(&g->rows);
    void *const own[] = {g->place, g->edge, g->rule, g->frame, g->list,   g->thread, g->config,
                         g->work,  g->seen, g->call, g->made,  g->merged, g->walk};
    for (size_t i = 0; i < COUNT_OF(own); i++)
        mem_free(own[i]);
    for (size_t i = 0; i < GRAM_MASKS; i++)
        mem_free(g->mask[i]);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

size_t gram_bytes(gram *g)
{
    pthread_mutex_lock(&g->lock);
    size_t n = sizeof *g + rx_pool_bytes(&g->rx) + g->rows.used + gram_index_bytes(&g->lists) +
               gram_index_bytes(&g->configs) + g->place_cap * sizeof *g->place +
               g->edge_cap * sizeof *g->edge + g->rule_cap * sizeof *g->rule +
               g->frame_cap * sizeof *g->frame + g->list_cap * sizeof *g->list +
               g->thread_cap * sizeof *g->thread + g->config_cap * sizeof *g->config;
    for (size_t i = 0; i < GRAM_MASKS; i++)
        n += g->mask[i] ? g->vocab->words * sizeof *g->mask[i] : 0;
    pthread_mutex_unlock(&g->lock);
    return n;
}

uint32_t gram_add_place(gram *g, bool final)
{
    if (g->n_place >= MOST_PLACES) {
        gram_lost(g, ST_LIMIT);
        return 0;
    }
    if (!gram_grow(&g->place, &g->place_cap, g->n_place, sizeof *g->place)) {
        gram_lost(g, ST_NOMEM);
        return 0;
    }
    g->place[g->n_place] = (gram_place){.final = final, .unfolded = true};
    return (uint32_t)g->n_place++;
}

uint32_t gram_add_lazy_place(gram *g, uint32_t seed, bool final)
{
    uint32_t s = gram_add_place(g, final);
    if (s) {
        g->place[s].unfolded = false;
        g->place[s].seed = seed;
    }
    return s;
}

void gram_set_edges(gram *g, uint32_t place, const gram_edge *list, size_t n)
{
    if (g->n_edge + n > MOST_EDGES)
        gram_lost(g, ST_LIMIT);
    size_t first = g->n_edge;
    for (size_t i = 0; i < n && !g->failed; i++) {
        if (gram_grow(&g->edge, &g->edge_cap, g->n_edge, sizeof *g->edge))
            g->edge[g->n_edge++] = list[i];
        else
            gram_lost(g, ST_NOMEM);
    }
    if (g->failed)
        return;
    g->place[place].edge = (uint32_t)first;
    g->place[place].n_edges = (uint32_t)n;
    g->place[place].unfolded = true;
}

uint32_t gram_add_rule(gram *g)
{
    if (!gram_grow(&g->rule, &g->rule_cap, g->n_rule, sizeof *g->rule)) {
        gram_lost(g, ST_NOMEM);
        return 0;
    }
    g->rule[g->n_rule] = (gram_rule){0};
    return (uint32_t)g->n_rule++;
}

// ---- Once all rules are there ----------------------------------------------------------------------------------
// Which places can reach the end of their rule, by any text or (empty) by none: a least fixed point, spread from
// the final places backwards.
typedef struct spread {
    gram *g;
    bool empty;
    bool *reached;          // [n_place]
    uint32_t *into, *from;  // edges into place p: from[into[p]..into[p + 1]) as (place, edge) pairs
    uint32_t *edge;
    uint32_t *call_at, *caller;  // edges that call rule r: caller[call_at[r]..call_at[r + 1])
    uint32_t *owner;             // [n_edge] the place an edge leaves
    uint32_t *queue;
    size_t n_queue;
} spread;

static bool *rule_flag(spread *s, uint32_t rule)
{
    return s->empty ? &s->g->rule[rule].nullable : &s->g->rule[rule].productive;
}

static void reach(spread *s, uint32_t place)
{
    if (!s->reached[place]) {
        s->reached[place] = true;
        s->queue[s->n_queue++] = place;
    }
}

// Whether the edge itself can be passed.
static bool passes(spread *s, const gram_edge *x)
{
    if (x->kind == GRAM_CALL)
        return *rule_flag(s, x->what);
    if (x->kind == GRAM_MATCH)
        return s->empty ? s->g->rx.node[x->what].nullable : rx_alive(&s->g->rx, x->what);
    return true;
}

static bool spread_alloc(spread *s)
{
    gram *g = s->g;
    s->reached = mem_calloc(MEM_GRAMMAR, g->n_place + 1, sizeof *s->reached);
    s->into = mem_calloc(MEM_GRAMMAR, g->n_place + 2, sizeof *s->into);
    s->edge = mem_alloc(MEM_GRAMMAR, (g->n_edge + 1) * sizeof *s->edge);
    s->owner = mem_alloc(MEM_GRAMMAR, (g->n_edge + 1) * sizeof *s->owner);
    s->caller = mem_alloc(MEM_GRAMMAR, (g->n_edge + 1) * sizeof *s->caller);
    s->call_at = mem_calloc(MEM_GRAMMAR, g->n_rule + 2, sizeof *s->call_at);
    s->queue = mem_alloc(MEM_GRAMMAR, (g->n_place + 1) * sizeof *s->queue);
    return s->reached && s->into && s->edge && s->owner && s->caller && s->call_at && s->queue;
}

static void spread_done(spread *s)
{
    void *const own[] = {s->reached, s->into, s->edge, s->owner, s->caller, s->call_at, s->queue};
    for (size_t i = 0; i < COUNT_OF(own); i++)
        mem_free(own[i]);
}

static void spread_index(spread *s)
{
    gram *g = s->g;
    for (uint32_t p = 0; p < g->n_place; p++)
        for (uint32_t i = 0; i < g->place[p].n_edges; i++) {
            const gram_edge *x = &g->edge[g->place[p].edge + i];
            s->owner[g->place[p].edge + i] = p;
            s->into[x->to + 2]++;
            if (x->kind == GRAM_CALL)
                s->call_at[x->what + 2]++;
        }
    for (size_t p = 0; p < g->n_place; p++)
        s->into[p + 1] += s->into[p];
    for (size_t r = 0; r < g->n_rule; r++)
        s->call_at[r + 1] += s->call_at[r];
    for (uint32_t p = 0; p < g->n_place; p++)
        for (uint32_t i = 0; i < g->place[p].n_edges; i++) {
            uint32_t at = g->place[p].edge + i;
            const gram_edge *x = &g->edge[at];
            s->edge[s->into[x->to + 1]++] = at;
            if (x->kind == GRAM_CALL)
                s->caller[s->call_at[x->what + 1]++] = at;
        }
}

// A rule whose start is reached opens all calls of it.
static void open_rule(spread *s, uint32_t rule)
{
    if (*rule_flag(s, rule))
        return;
    *rule_flag(s, rule) = true;
    for (uint32_t i = s->call_at[rule]; i < s->call_at[rule + 1]; i++)
        if (s->reached[s->g->edge[s->caller[i]].to])
            reach(s, s->owner[s->caller[i]]);
}

static bool spread_run(gram *g, bool empty)
{
    spread s = {.g = g, .empty = empty};
    bool ok = spread_alloc(&s);
    uint32_t *starts = mem_alloc(MEM_GRAMMAR, (g->n_rule + 1) * 2 * sizeof *starts), *next = starts;
    uint32_t *head = mem_alloc(MEM_GRAMMAR, (g->n_place + 1) * sizeof *head);
    if (ok && starts && head) {
        spread_index(&s);
        memset(head, 0xFF, (g->n_place + 1) * sizeof *head);
        for (uint32_t r = 0; r < g->n_rule; r++) {  // rules by their start
            next[r] = head[g->rule[r].start];
            head[g->rule[r].start] = r;
        }
        for (uint32_t p = 0; p < g->n_place; p++)
            if (g->place[p].final || (!empty && !g->place[p].unfolded))
                reach(&s, p);
        while (s.n_queue) {
            uint32_t p = s.queue[--s.n_queue];
            for (uint32_t r = head[p]; r != GRAM_ABSENT; r = next[r])
                open_rule(&s, r);
            for (uint32_t i = s.into[p]; i < s.into[p + 1]; i++)
                if (passes(&s, &g->edge[s.edge[i]]))
                    reach(&s, s.owner[s.edge[i]]);
        }
        // What cannot reach an end is taken out.
        for (uint32_t p = 0; p < g->n_place && !empty; p++) {
            uint32_t kept = 0, first = g->place[p].edge;
            for (uint32_t i = 0; i < g->place[p].n_edges; i++)
                if (s.reached[g->edge[first + i].to] && passes(&s, &g->edge[first + i]))
                    g->edge[first + kept++] = g->edge[first + i];
            g->place[p].n_edges = kept;
        }
    } else {
        ok = false;
    }
    mem_free(starts);
    mem_free(head);
    spread_done(&s);
    return ok || gram_lost(g, ST_NOMEM) == ST_OK;
}

// ---- Ranks -----------------------------------------------------------------------------------------------------
typedef struct ranker {
    gram *g;
    uint32_t *mark;  // [n_place] round of the last visit
    uint32_t *work;
    uint32_t *callee, *first;  // left calls of rule r: callee[first[r]..first[r + 1])
    size_t n_callee, callee_cap;
} ranker;

// The rules that rule r calls before it has read anything.
static bool left_calls(ranker *k, uint32_t r)
{
    gram *g = k->g;
    size_t n = 0;
    k->work[n++] = g->rule[r].start;
    k->mark[g->rule[r].start] = r + 1;
    while (n > 0) {
        const gram_place s = g->place[k->work[--n]];
        for (uint32_t i = 0; i < s.n_edges; i++) {
            const gram_edge x = g->edge[s.edge + i];
            bool empty = x.kind == GRAM_EPSILON || (x.kind == GRAM_MATCH && g->rx.node[x.what].nullable) ||
                         (x.kind == GRAM_CALL && g->rule[x.what].nullable);
            if (x.kind == GRAM_CALL) {
                if (!gram_grow(&k->callee, &k->callee_cap, k->n_callee, sizeof *k->callee))
                    return false;
                k->callee[k->n_callee++] = x.what;
            }
            if (empty && k->mark[x.to] != r + 1) {
                k->mark[x.to] = r + 1;
                k->work[n++] = x.to;
            }
        }
    }
    return true;
}

// Longest chains of left calls, callers first (Kahn 1962); the number of a rule in a circle, or GRAM_ABSENT.
static uint32_t order(ranker *k, uint32_t *waiting)
{
    gram *g = k->g;
    size_t n = 0, done = 0;
    for (size_t i = 0; i < k->n_callee; i++)
        waiting[k->callee[i]]++;
    for (uint32_t r = 0; r < g->n_rule; r++)
        if (!waiting[r])
            k->work[n++] = r;
    while (n > 0) {
        uint32_t r = k->work[--n];
        done++;
        for (uint32_t i = k->first[r]; i < k->first[r + 1]; i++) {
            uint32_t c = k->callee[i];
            g->rule[c].rank = MAX(g->rule[c].rank, g->rule[r].rank + 1);
            if (--waiting[c] == 0)
                k->work[n++] = c;
        }
    }
    for (uint32_t r = 0; r < g->n_rule && done < g->n_rule; r++)
        if (waiting[r])
            return r;
    return GRAM_ABSENT;
}

static int rank_rules(gram *g, const char *const *names, err *e)
{
    ranker k = {.g = g};
    size_t places = MAX(g->n_place, g->n_rule) + 1;
    k.mark = mem_calloc(MEM_GRAMMAR, places, sizeof *k.mark);
    k.work = mem_alloc(MEM_GRAMMAR, places * sizeof *k.work);
    k.first = mem_calloc(MEM_GRAMMAR, g->n_rule + 1, sizeof *k.first);
    uint32_t *waiting = mem_calloc(MEM_GRAMMAR, g->n_rule + 1, sizeof *waiting);
    bool ok = k.mark && k.work && k.first && waiting;
    for (uint32_t r = 0; r < g->n_rule && ok; r++) {
        k.first[r] = (uint32_t)k.n_callee;
        ok = left_calls(&k, r);
    }
    int rc = ok ? ST_OK : err_set(e, gram_lost(g, ST_NOMEM), "no memory for a grammar");
    if (ok) {
        k.first[g->n_rule] = (uint32_t)k.n_callee;
        uint32_t circle = order(&k, waiting);
        if (circle != GRAM_ABSENT)
            rc = err_set(
                e, ST_UNSUPPORTED,
                "rule \"%s\" begins with itself, perhaps through other rules (left recursion): write it as "
                "a repetition",
                names[circle]);
    }
    mem_free(k.mark);
    mem_free(k.work);
    mem_free(k.first);
    mem_free(k.callee);
    mem_free(waiting);
    return rc;
}

int gram_machine_finish(gram *g, uint32_t root, const char *const *names, err *e)
{
    uint32_t to = gram_add_place(g, true);
    gram_set_edges(g, g->before_root, &(gram_edge){GRAM_CALL, root, to}, 1);
    root = g->entry;
    if (!g->rx.frozen)
        rx_freeze(&g->rx);
    if (g->rx.failed)
        gram_lost(g, g->rx.failed);
    if (!g->failed)
        spread_run(g, true);
    if (!g->failed)
        spread_run(g, false);
    if (!g->failed && !g->rule[root].productive)
        return err_set(e, ST_INVALID, "no text at all fits the grammar");
    int rc = g->failed ? ST_OK : rank_rules(g, names, e);
    if (rc)
        return rc;
    if (!g->failed)
        g->start = gram_config_start(g, root);
    if (g->rx.failed)
        gram_lost(g, g->rx.failed);
    if (g->failed)
        return err_set(e, g->failed,
                       g->failed == ST_LIMIT ? "the grammar is too large" : "no memory for a grammar");
    return ST_OK;
}

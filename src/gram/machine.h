// Inside of the gram room: the automaton of a grammar.
//
// A grammar is a set of rules; a rule is a small graph of states whose edges match a regular expression or call a
// rule. Where a text stands is a configuration: a set of threads, each a regular expression being matched and a
// list of what follows it. A list is a set of frames (state to go on in, list behind it), so lists are a graph in
// which common ends are shared, as in generalised parsing (Tomita 1985): ambiguity cannot multiply them. All
// calls of one rule from one place share one list. Everything is numbered and found again by its content, so equal
// places are one configuration, and what was computed for it (steps, mask) is kept.
#ifndef GRAM_MACHINE_H
#define GRAM_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "gram/pattern.h"
#include "gram/vocab.h"

typedef enum gram_edge_kind { GRAM_EPSILON, GRAM_MATCH, GRAM_CALL } gram_edge_kind;

typedef struct gram_edge {
    gram_edge_kind kind;
    uint32_t what;  // rx or rule
    uint32_t to;
} gram_edge;

typedef struct gram_place {
    uint32_t edge, n_edges;
    bool final;     // its rule may end here
    bool unfolded;  // edges are there; otherwise made on the first visit
    uint32_t seed;  // for gram_unfold, of a place that is not unfolded
} gram_place;

typedef struct gram_rule {
    uint32_t start;
    uint32_t rank;  // callers at a rule's own start have lower ranks than those they call there
    bool nullable, productive;
} gram_rule;

typedef struct gram_frame {
    uint32_t to, list;
} gram_frame;

typedef struct gram_list {
    uint32_t frame, n;  // sorted
    uint32_t popped;    // configuration after it; GRAM_ABSENT: not made
} gram_list;

typedef struct gram_thread {
    rx at;
    uint32_t list;
} gram_thread;

typedef struct gram_config {
    uint32_t thread, n;  // sorted by rx, each once
    bool accepting;      // the text may end
    uint32_t mask;       // slot in the grammar's store of masks + 1, or 0
    uint32_t *row;       // configurations after each byte class, or NULL
} gram_config;

enum { GRAM_DEAD, GRAM_DONE };  // configurations: nothing fits; the text has ended, nothing may follow
enum { GRAM_STOP_PLACE };       // the place at the bottom of every list
enum { GRAM_BOTTOM };           // the list that holds only it
enum { GRAM_MASKS = 128 };      // masks kept

typedef struct gram_call {
    uint32_t rule;
    gram_frame frame;
} gram_call;

struct gram_objects;  // object.h: objects and arrays of a JSON schema

struct gram {
    atomic_int owners;
    pthread_mutex_t lock;
    const gram_vocab *vocab;
    rx_pool rx;
    rx body[GRAM_BODIES];  // characters* of the two kinds of JSON string; RX_NONE where the grammar has none
    struct gram_objects *objects;
    gram_place *place;
    gram_edge *edge;
    gram_rule *rule;
    gram_frame *frame;
    gram_list *list;
    gram_thread *thread;
    gram_config *config;
    size_t n_place, place_cap, n_edge, edge_cap, n_rule, rule_cap, n_frame, frame_cap, n_list, list_cap;
    size_t n_thread, thread_cap, n_config, config_cap;
    gram_index lists, configs;
    uint32_t entry, before_root;  // rule of a whole text; its place before the sentence
    uint32_t start;               // configuration of an empty text
    arena rows;
    // Scratch of closures and steps.
    gram_frame *work, *seen;
    gram_call *call;
    gram_thread *made;
    gram_frame *merged;
    size_t work_cap, n_work, seen_cap, n_seen, call_cap, n_call, made_cap, n_made, merged_cap;
    bool made_accepting;
    // Masks, replaced in turn.
    uint32_t *mask[GRAM_MASKS], mask_of[GRAM_MASKS];
    size_t next_mask;
    uint32_t *walk;  // [3 * (deepest + 2)] scratch of walks over a trie
    int failed;      // ST_NOMEM or ST_LIMIT, for good
};

// machine.c
int gram_machine_new(gram **out, const gram_vocab *v, gram_lead lead, err *e);
uint32_t gram_add_place(gram *g, bool final);                      // without edges; 0 when it failed
uint32_t gram_add_lazy_place(gram *g, uint32_t seed, bool final);  // edges come from gram_unfold
// All edges of a place in one go.
void gram_set_edges(gram *g, uint32_t place, const gram_edge *list, size_t n);
uint32_t gram_add_rule(gram *g);  // without a start
int gram_lost(gram *g, int why);  // notes a failure; returns it
// The rules are complete: ranks them, takes out what can match nothing, and makes the first configuration.
// ST_INVALID: no text at all fits; ST_UNSUPPORTED: left recursion, naming the rule out of `names`.
int gram_machine_finish(gram *g, uint32_t root, const char *const *names, err *e);

// object.c: the edges of a lazy place.
void gram_unfold(gram *g, uint32_t place);
void gram_objects_free(struct gram_objects *o);

// config.c. Results are GRAM_DEAD once the grammar failed.
uint32_t gram_config_start(gram *g, uint32_t root);
uint32_t gram_config_step(gram *g, uint32_t config, int cls);
static inline uint32_t gram_step(gram *g, uint32_t config, uint8_t byte)
{
    int cls = g->rx.cls[byte];
    const uint32_t *row = g->config[config].row;
    return row && row[cls] != GRAM_ABSENT ? row[cls] : gram_config_step(g, config, cls);
}
// The configuration of one thread; of n of them, not in g->thread, which it sorts.
uint32_t gram_config_one(gram *g, rx at, uint32_t list);
uint32_t gram_config_many(gram *g, gram_thread *t, size_t n);

// mask.c: the tokens allowed in a configuration, [vocab->words]; NULL when the grammar failed.
const uint32_t *gram_mask_of(gram *g, uint32_t config);

#endif

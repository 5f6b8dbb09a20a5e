// Objects and arrays: places made as texts come to them.
#include "gram/object.h"

#include <string.h>

enum { MOST_SEEDS = 1 << 20 };

typedef enum phase {
    OBJECT_OPEN,   // behind "{": a key or the end
    OBJECT_KEY,    // behind ",": a key
    OBJECT_AFTER,  // behind a value: "," or the end
    OBJECT_VALUE,  // behind a colon: the value of key `which`
    ARRAY_OPEN,
    ARRAY_ITEM,
    ARRAY_AFTER
} phase;

// What a lazy place stands for.
typedef struct object_seed {
    uint32_t phase, what;  // object or array
    uint32_t count;        // members or items so far, as far as it matters
    uint32_t which;        // OBJECT_VALUE: key; ARRAY_*: items that count for contains
    uint32_t set;          // of an object: offset of the keys seen
    uint32_t words;        // of the set
    uint32_t place;
} object_seed;

typedef struct seed_key {
    const object_seed *seed;
    const uint64_t *set;
} seed_key;

static bool same_seed(const void *owner, uint32_t id, const void *key)
{
    const gram_objects *o = owner;
    const seed_key *k = key;
    const object_seed *s = &o->seed[id];
    return s->phase == k->seed->phase && s->what == k->seed->what && s->count == k->seed->count &&
           s->which == k->seed->which && s->words == k->seed->words &&
           (s->words == 0 || memcmp(o->sets + s->set, k->set, s->words * sizeof *k->set) == 0);
}

// The place of a seed, made when it is new. set: [s.words], not inside o->sets.
static uint32_t place_of(gram *g, object_seed s, const uint64_t *set)
{
    gram_objects *o = g->objects;
    uint64_t h = gram_mix((uint64_t)s.phase << 32 | s.what, (uint64_t)s.count << 32 | s.which);
    for (uint32_t i = 0; i < s.words; i++)
        h = gram_mix(h, set[i]);
    uint32_t id = gram_index_find(&o->seeds, h, same_seed, o, &(seed_key){&s, set});
    if (id != GRAM_ABSENT)
        return o->seed[id].place;
    if (o->n_seed >= MOST_SEEDS)
        gram_lost(g, ST_LIMIT);
    s.set = (uint32_t)o->n_sets;
    for (uint32_t i = 0; i < s.words && !g->failed; i++) {
        if (gram_grow(&o->sets, &o->sets_cap, o->n_sets, sizeof *o->sets))
            o->sets[o->n_sets++] = set[i];
        else
            gram_lost(g, ST_NOMEM);
    }
    s.place = gram_add_lazy_place(g, (uint32_t)o->n_seed, false);
    if (!g->failed && (!gram_grow(&o->seed, &o->seed_cap, o->n_seed, sizeof *o->seed) ||
                       !gram_index_add(&o->seeds, h, (uint32_t)o->n_seed)))
        gram_lost(g, ST_NOMEM);
    if (g->failed)
        return GRAM_STOP_PLACE;
    o->seed[o->n_seed++] = s;
    return s.place;
}

gram_objects *object_new(gram *g, rx blank)
{
    gram_objects *o = mem_calloc(MEM_GRAMMAR, 1, sizeof *o);
    if (!o)
        return NULL;
    arena_init(&o->a, MEM_GRAMMAR);
    rx_pool *p = &g->rx;
    o->comma = rx_cat(p, blank, rx_cat(p, rx_byte(p, ','), blank));
    o->colon = rx_cat(p, blank, rx_cat(p, rx_byte(p, ':'), blank));
    o->close_object = rx_cat(p, blank, rx_byte(p, '}'));
    o->close_array = rx_cat(p, blank, rx_byte(p, ']'));
    o->end = gram_add_place(g, true);
    return o;
}

void gram_objects_free(gram_objects *o)
{
    if (!o)
        return;
    mem_free(o->object);
    mem_free(o->array);
    mem_free(o->seed);
    mem_free(o->sets);
    gram_index_done(&o->seeds);
    arena_done(&o->a);
    mem_free(o);
}

static bool productive(const gram *g, uint32_t rule)
{
    return rule != GRAM_ABSENT && g->rule[rule].productive;
}

static bool key_possible(gram *g, const object_key *k)
{
    return productive(g, k->rule) && rx_alive(&g->rx, k->text);
}

static bool has(const uint64_t *set, uint32_t i)
{
    return set[i / 64] >> (i % 64) & 1;
}

bool object_possible(gram *g, const gram_object *o)
{
    uint32_t named = 0, other = 0;
    for (uint32_t i = 0; i < o->n_named; i++) {
        bool can = key_possible(g, &o->key[i]);
        named += can;
        if (!can && has(o->required, i))
            return false;
    }
    for (uint32_t i = 0; i < o->n_other; i++)
        other += key_possible(g, &o->key[o->n_named + i]);
    return o->n_required <= o->most && o->least <= o->most && (other > 0 || named >= o->least);
}

// Items that may stand at place i.
static uint32_t at(const uint32_t *rules, const gram_array *a, uint32_t i)
{
    return rules[MIN(i, a->n_first)];
}

// The most items there can be: before the first place where none is possible.
static uint32_t most_items(gram *g, const gram_array *a)
{
    for (uint32_t i = 0; i <= a->n_first && i < a->most; i++)
        if (!productive(g, at(a->item, a, i)))
            return i;
    return a->most;
}

// How many of the items from place `from` on, up to `most`, could count for contains.
static uint32_t could_count(gram *g, const gram_array *a, uint32_t from, uint32_t most)
{
    uint32_t n = 0;
    if (!a->contained)
        return 0;
    for (uint32_t i = from; i < MIN(a->n_first, most); i++)
        n += productive(g, a->contained[i]);
    uint32_t rest = MAX(from, a->n_first);
    if (rest < most && productive(g, a->contained[a->n_first]))
        n = most == RX_MANY ? RX_MANY : n + (most - rest);
    return n;
}

bool object_array_possible(gram *g, const gram_array *a)
{
    uint32_t most = most_items(g, a);
    return a->least <= most && could_count(g, a, 0, most) >= a->least_inside &&
           a->least_inside <= a->most_inside;
}

// ---- Edges -----------------------------------------------------------------------------------------------------
typedef struct edges {
    gram_edge *list;
    size_t n, cap;
} edges;

static void add_edge(gram *g, edges *x, gram_edge_kind kind, uint32_t what, uint32_t to)
{
    if (gram_grow(&x->list, &x->cap, x->n, sizeof *x->list))
        x->list[x->n++] = (gram_edge){kind, what, to};
    else
        gram_lost(g, ST_NOMEM);
}

// A count only matters up to the bounds.
static uint32_t count_up(uint32_t count, uint32_t least, uint32_t most)
{
    return MIN(count + 1, most == RX_MANY ? least : most);
}

static uint32_t missing(const gram_object *o, const uint64_t *set)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n_named; i++)
        n += has(o->required, i) && !has(set, i);
    return n;
}

// Whether key i may come next: there is room for it and for the required ones still missing.
static bool may_come(gram *g, const gram_object *o, const object_seed *s, const uint64_t *set, uint32_t i)
{
    bool named = i < o->n_named;
    if (named && has(set, i))
        return false;
    uint32_t others = missing(o, set) - (named && has(o->required, i));
    if (o->most != RX_MANY && s->count + 1 + others > o->most)
        return false;
    return key_possible(g, &o->key[i]);
}

static void object_edges(gram *g, const object_seed *s, uint64_t *set, edges *out)
{
    gram_objects *x = g->objects;
    const gram_object *o = &x->object[s->what];
    bool more = false;
    uint32_t keys = o->n_named + o->n_other;
    if (s->phase == OBJECT_VALUE) {
        if (s->which < o->n_named)
            set[s->which / 64] |= (uint64_t)1 << (s->which % 64);
        object_seed after = {.phase = OBJECT_AFTER,
                             .what = s->what,
                             .count = count_up(s->count, o->least, o->most),
                             .words = s->words};
        add_edge(g, out, GRAM_CALL, o->key[s->which].rule, place_of(g, after, set));
        return;
    }
    for (uint32_t i = 0; i < keys && !g->failed && !(s->phase == OBJECT_AFTER && more); i++) {
        if (!may_come(g, o, s, set, i))
            continue;
        more = true;
        object_seed value = *s;
        value.phase = OBJECT_VALUE;
        value.which = i;
        if (s->phase != OBJECT_AFTER)
            add_edge(g, out, GRAM_MATCH, o->key[i].text, place_of(g, value, set));
    }
    if (s->phase == OBJECT_AFTER && more) {
        object_seed key = *s;
        key.phase = OBJECT_KEY;
        add_edge(g, out, GRAM_MATCH, x->comma, place_of(g, key, set));
    }
    if (s->phase != OBJECT_KEY && missing(o, set) == 0 && s->count >= o->least)
        add_edge(g, out, GRAM_MATCH, x->close_object, x->end);
}

// The item at place s->count and what comes behind it; `inside`: it counts.
static void item_edge(gram *g, const object_seed *s, const gram_array *a, uint32_t rule, bool inside,
                      edges *out)
{
    uint32_t most = most_items(g, a);
    uint32_t counted = s->which + inside;
    if (!productive(g, rule) || s->count >= most || counted > a->most_inside)
        return;
    // From here on enough must be able to count.
    uint32_t still = a->least_inside > counted ? a->least_inside - counted : 0;
    if (could_count(g, a, s->count + 1, most) < still)
        return;
    object_seed after = {.phase = ARRAY_AFTER,
                         .what = s->what,
                         .count = count_up(s->count, MAX(a->least, a->n_first), a->most),
                         .which = MIN(counted, a->most_inside == RX_MANY ? a->least_inside : a->most_inside)};
    add_edge(g, out, GRAM_CALL, rule, place_of(g, after, NULL));
}

static void array_edges(gram *g, const object_seed *s, edges *out)
{
    gram_objects *x = g->objects;
    const gram_array *a = &x->array[s->what];
    if (s->phase == ARRAY_AFTER) {
        edges next = {0};
        object_seed item = *s;
        item.phase = ARRAY_ITEM;
        array_edges(g, &item, &next);
        if (next.n)
            add_edge(g, out, GRAM_MATCH, x->comma, place_of(g, item, NULL));
        mem_free(next.list);
    } else {
        const uint32_t *plain = a->outside ? a->outside : a->item;
        item_edge(g, s, a, at(plain, a, s->count), false, out);
        if (a->contained)
            item_edge(g, s, a, at(a->contained, a, s->count), true, out);
    }
    if (s->phase != ARRAY_ITEM && s->count >= a->least && s->which >= a->least_inside)
        add_edge(g, out, GRAM_MATCH, x->close_array, x->end);
}

void gram_unfold(gram *g, uint32_t place)
{
    gram_objects *o = g->objects;
    object_seed s = o->seed[g->place[place].seed];
    uint64_t few[8], *set = few;
    edges list = {0};
    if (s.words > COUNT_OF(few) && !(set = mem_alloc(MEM_GRAMMAR, s.words * sizeof *set))) {
        gram_lost(g, ST_NOMEM);
        return;
    }
    if (s.words)
        memcpy(set, o->sets + s.set, s.words * sizeof *set);
    if (s.phase <= OBJECT_VALUE)
        object_edges(g, &s, set, &list);
    else
        array_edges(g, &s, &list);
    if (!g->failed)
        gram_set_edges(g, place, list.list, list.n);
    if (set != few)
        mem_free(set);
    mem_free(list.list);
}

uint32_t object_place(gram *g, const gram_object *o)
{
    gram_objects *x = g->objects;
    uint32_t words = (o->n_named + 63) / 64;
    uint64_t *none = mem_calloc(MEM_GRAMMAR, words + 1, sizeof *none);
    uint32_t place = 0;
    if (none && gram_grow(&x->object, &x->object_cap, x->n_object, sizeof *o)) {
        x->object[x->n_object] = *o;
        object_seed open = {.phase = OBJECT_OPEN, .what = (uint32_t)x->n_object++, .words = words};
        place = place_of(g, open, none);
    } else {
        gram_lost(g, ST_NOMEM);
    }
    mem_free(none);
    return place;
}

uint32_t object_array_place(gram *g, const gram_array *a)
{
    gram_objects *x = g->objects;
    if (!gram_grow(&x->array, &x->array_cap, x->n_array, sizeof *a)) {
        gram_lost(g, ST_NOMEM);
        return 0;
    }
    x->array[x->n_array] = *a;
    return place_of(g, (object_seed){.phase = ARRAY_OPEN, .what = (uint32_t)x->n_array++}, NULL);
}

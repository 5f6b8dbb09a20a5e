// Inside of the gram room: objects and arrays of a JSON schema as automata whose places are made when visited.
//
// The members of an object come in any order: a place is the set of declared keys already there and a count. Only the
// orders that texts try are ever made.
#ifndef GRAM_OBJECT_H
#define GRAM_OBJECT_H

#include "gram/machine.h"

// A kind of key and the rule of its values.
typedef struct object_key {
    rx text;  // with quotes, the colon, and blanks
    uint32_t rule;
} object_key;

typedef struct gram_object {
    object_key *key;  // [n_named] each at most once, then [n_other] any number of times
    uint32_t n_named, n_other;
    uint64_t *required;  // [(n_named + 63) / 64]
    uint32_t n_required;
    uint32_t least, most;  // members; RX_MANY: no bound
} gram_object;

typedef struct gram_array {
    uint32_t
        *item;  // [n_first + 1] rules of the first items and of the rest; GRAM_ABSENT: none may stand there
    uint32_t *contained;  // the same for items that count for `contains`; NULL without it
    uint32_t *outside;    // and for those that do not, where their number is bounded; NULL: as item
    uint32_t n_first;
    uint32_t least, most;                // items
    uint32_t least_inside, most_inside;  // of them, that count
} gram_array;

typedef struct gram_objects {
    gram_object *object;
    gram_array *array;
    size_t n_object, object_cap, n_array, array_cap;
    struct object_seed *seed;
    size_t n_seed, seed_cap;
    uint64_t *sets;  // sets of keys, at their seeds' offsets
    size_t n_sets, sets_cap;
    gram_index seeds;
    rx comma, colon, close_object, close_array;
    uint32_t end;  // a final place
    arena a;       // keys and items
} gram_objects;

gram_objects *object_new(gram *g, rx blank);  // NULL: no memory
// The place behind the opening bracket and blanks; it leads to `end` places. The descriptions are kept.
uint32_t object_place(gram *g, const gram_object *o);
uint32_t object_array_place(gram *g, const gram_array *a);

// Whether some text fits, given which rules are productive so far.
bool object_possible(gram *g, const gram_object *o);
bool object_array_possible(gram *g, const gram_array *a);

#endif

// What the files of the pattern parser share.
#ifndef GRAM_PATTERN_OWN_H
#define GRAM_PATTERN_OWN_H

#include "gram/pattern.h"

// pattern_class.c. false: no memory.
void pattern_sort(pattern_ranges *l);
bool pattern_add_named(pattern_ranges *l, int letter);  // d w s and D W S

typedef enum pattern_kind {
    PATTERN_EMPTY,
    PATTERN_CLASS,
    PATTERN_SEQ,
    PATTERN_OR,
    PATTERN_REPEAT,
    PATTERN_START,
    PATTERN_END,
    PATTERN_LOOK
} pattern_kind;

typedef struct pattern_node {
    pattern_kind kind;
    bool negative;              // of a LOOK
    bool nullable, anchored;    // can match without a character; holds anchors or looks
    uint32_t least, most;       // of a REPEAT
    pattern_range *range;       // [n] of a CLASS
    struct pattern_node *kid;   // first child
    struct pattern_node *next;  // sibling
    size_t n;
} pattern_node;

// pattern_parse.c: nodes live in the arena.
int pattern_parse(arena *a, const char *s, size_t n, pattern_node **out, err *e);

#endif

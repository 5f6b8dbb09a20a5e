// Regular expressions over bytes, as a graph of shared nodes, matched by derivatives.
//
// The derivative of an expression by a byte is the expression of what may follow that byte. Equal expressions are
// one node (children of "or" and "and" are sorted, trivial ones dropped), so that the derivatives of a node are the
// states of a deterministic automaton, made as they are visited. Unlike Thompson's automata this gives intersection
// and complement for nothing, which JSON Schema needs all over.
//
// Leaves that count: comparing a decimal number with a bound, remainders, and "everything up to a word" are nodes of
// their own that carry the state of a small automaton.
#ifndef GRAM_RX_H
#define GRAM_RX_H

#include "gram/own.h"

typedef uint32_t rx;  // a node's number

enum { RX_NONE, RX_EMPTY, RX_ALL };  // no text; the empty text; every text
enum { RX_MANY = UINT32_MAX };       // no upper bound of a repetition

typedef enum rx_op {
    RX_OP_NONE,
    RX_OP_EMPTY,
    RX_OP_SET,     // one byte out of set a
    RX_OP_CAT,     // a, then b
    RX_OP_OR,      // any of the b children from a on
    RX_OP_AND,     // all of them
    RX_OP_NOT,     // not a
    RX_OP_REPEAT,  // a, b to c times
    RX_OP_BOUND,   // digits and a point: compares with bound a >> 3 (num.h)
    RX_OP_MULTIPLE,
    RX_OP_UNTIL,   // up to and with the first word a; b bytes of it are matched
    RX_OP_WITHOUT  // any text in which word a does not occur
} rx_op;

typedef struct rx_node {
    uint8_t op;
    bool nullable;   // matches the empty text
    bool sure;       // built without and, not, and leaves: matches something unless RX_NONE
    uint8_t life;    // 0: unknown, 1: matches something, 2: matches nothing
    uint32_t depth;  // of the recursion that a derivative takes
    uint32_t a, b, c;
} rx_node;

typedef struct rx_set {
    uint64_t bits[4];
} rx_set;

// A decimal number >= 0: digits before the point without leading zeros ("0" alone), after it without trailing ones.
typedef struct rx_decimal {
    uint32_t at;  // in the pool's text
    uint32_t whole, fraction;
} rx_decimal;

typedef struct rx_word {
    uint32_t at, n;
    uint32_t *fall;  // [n + 1] Knuth-Morris-Pratt
} rx_word;

typedef struct rx_modulus {
    uint64_t m;  // multiples of m / 10^places
    uint32_t places;
} rx_modulus;

typedef struct rx_pool {
    rx_node *node;
    uint32_t **row;  // derivatives by byte class, or NULL
    size_t n, cap, row_cap;
    uint32_t *kid;
    size_t n_kid, kid_cap;
    rx_set *set;
    size_t n_set, set_cap;
    gram_index nodes, sets;
    buf text;  // digits and words
    rx_decimal *decimal;
    size_t n_decimal, decimal_cap;
    rx_word *word;
    size_t n_word, word_cap;
    rx_modulus *modulus;
    size_t n_modulus, modulus_cap;
    bool frozen;  // byte classes are made: no new sets
    uint8_t cls[256];
    uint8_t member[256];  // [n_cls] one byte of each class
    int n_cls;
    arena rows;
    uint32_t *seen;  // scratch of rx_alive
    size_t seen_cap;
    uint32_t round;
    uint32_t *stack;
    size_t stack_cap;
    size_t limit;  // most nodes
    int failed;    // ST_NOMEM or ST_LIMIT once something was lost; results are RX_NONE from then on
} rx_pool;

int rx_pool_init(rx_pool *p);  // ST_NOMEM
void rx_pool_done(rx_pool *p);
size_t rx_pool_bytes(const rx_pool *p);

rx rx_of_set(rx_pool *p, const rx_set *s);
rx rx_byte(rx_pool *p, int byte);
rx rx_bytes(rx_pool *p, int lo, int hi);
rx rx_literal(rx_pool *p, const char *s, size_t n);
rx rx_cat(rx_pool *p, rx a, rx b);
rx rx_or(rx_pool *p, rx a, rx b);
rx rx_or_all(rx_pool *p, const rx *list, size_t n);
rx rx_and(rx_pool *p, rx a, rx b);
rx rx_not(rx_pool *p, rx a);
rx rx_repeat(rx_pool *p, rx a, uint32_t least, uint32_t most);
rx rx_char_range(rx_pool *p, uint32_t lo, uint32_t hi);  // the UTF-8 of code points, surrogates left out
// Up to and with the first occurrence of a word, or texts without it. n >= 1.
rx rx_until(rx_pool *p, const char *word, size_t n, bool without);

// Decimal numbers without sign, as JSON writes them without exponent (the caller intersects with that form).
enum { RX_LESS = 1, RX_EQUAL = 2, RX_GREATER = 4 };
// Those that compare so with whole.fraction (digits; whole has no leading zero).
rx rx_compare(rx_pool *p, const char *whole, size_t n_whole, const char *fraction, size_t n_fraction,
              int how);
// Multiples of m / 10^places; m in 1..10^9, places in 0..18.
rx rx_multiple(rx_pool *p, uint64_t m, uint32_t places);

// The alphabet is complete: bytes no set tells apart become one class.
void rx_freeze(rx_pool *p);
rx rx_step(rx_pool *p, rx a, int cls);  // the derivative by a byte class; after rx_freeze
bool rx_alive(rx_pool *p, rx a);        // matches something; after rx_freeze
bool rx_matches(rx_pool *p, rx a, const char *s, size_t n);  // after rx_freeze

// leaf.c: the counting leaves.
rx rx_leaf_step(rx_pool *p, rx a, int byte);
bool rx_leaf_nullable(const rx_pool *p, const rx_node *n);
// rx.c, for leaf.c: the node of an operation.
rx rx_node_of(rx_pool *p, rx_op op, uint32_t a, uint32_t b, uint32_t c);
rx rx_lost(rx_pool *p, int why);

#endif

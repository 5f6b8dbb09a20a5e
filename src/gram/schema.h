// Inside of the gram room: JSON schemas.
//
// What a place of a document must satisfy is a goal: a set of schemas to be met or not met. A goal is worked out into
// cases that need no further choice (anyOf, oneOf, if, not are multiplied out); a case has, for each type, plain
// constraints, which become a regular expression or an object or array automaton. Goals are numbered by content, one
// rule of the grammar each, so recursive schemas need nothing special.
#ifndef GRAM_SCHEMA_H
#define GRAM_SCHEMA_H

#include <jansson.h>

#include "gram/number.h"
#include "gram/object.h"

typedef struct schema_literal {
    const json_t *schema;
    bool negative;  // must not be met
} schema_literal;

enum schema_type {
    TYPE_NULL = 1,
    TYPE_FALSE = 2,
    TYPE_TRUE = 4,
    TYPE_NUMBER = 8,
    TYPE_STRING = 16,
    TYPE_OBJECT = 32,
    TYPE_ARRAY = 64,
    TYPE_ANY = 127
};

// A growing list of literals.
typedef struct schema_list {
    schema_literal *at;
    size_t n, cap;
} schema_list;

// What a case asks of each type.
typedef struct schema_case {
    unsigned types;
    rx number;  // RX_ALL: any
    bool integer;
    rx string;         // of the content as JSON writes it; RX_ALL: any
    bool string_open;  // `string` is made of complements only: must be cut to strings
    uint32_t min_length, max_length;
    schema_list facets;  // schemas whose properties, patternProperties, additionalProperties hold together
    schema_list names;   // of propertyNames
    const json_t **required;  // strings
    size_t n_required, required_cap;
    uint32_t min_members, max_members;
    schema_list tuples;  // schemas whose prefixItems, items, additionalItems hold together
    uint32_t min_items, max_items;
    const json_t *contains;  // NULL: none; the schema that holds contains, minContains, maxContains
} schema_case;

typedef struct schema_goal {
    uint32_t literal, n;  // in `literals`
    uint32_t rule;
    bool done;
} schema_goal;

// One way to meet a goal, as it stands in the grammar.
typedef struct schema_way {
    uint32_t goal;
    enum { WAY_TEXT, WAY_OBJECT, WAY_ARRAY } kind;
    rx text;
    gram_object object;
    gram_array array;
} schema_way;

typedef struct schema {
    gram *g;
    json_t *root;
    json_t *ids;  // "$id" and "$anchor" texts to schemas (borrowed), as an object of integers into `named`
    const json_t **named;
    size_t n_named, named_cap;
    json_t *made;   // array of schemas made on the way
    bool siblings;  // "$ref" does not hide the keywords beside it (from draft 2019-09 on)
    schema_list literals;
    schema_goal *goal;
    size_t n_goal, goal_cap;
    gram_index goals;
    schema_way *way;
    size_t n_way, way_cap;
    rx blank, quote, open_brace, open_bracket, short_char, any_char;
    size_t steps;  // work done, bounded
    err *e;
} schema;

// schema_doc.c
int schema_load(schema *s, const char *text, size_t n);
void schema_unload(schema *s);
// The schema a $ref names. ST_NOTFOUND as ST_FORMAT, ST_UNSUPPORTED for other documents.
int schema_follow(schema *s, const json_t *from, const json_t *ref, const json_t **out);
// "keyword X at #/path: why".
int schema_fail(schema *s, int code, const json_t *at, const char *keyword, const char *why);
// Keeps a schema that was made; takes it over. NULL: no memory (also when v is NULL).
const json_t *schema_keep(schema *s, json_t *v);
bool schema_push(schema_list *l, const json_t *v, bool negative);

// schema_case.c: works a goal out; `done` is called with each case.
typedef int schema_case_fn(schema *s, void *ctx, const schema_case *c);
int schema_cases(schema *s, const schema_literal *l, size_t n, schema_case_fn *done, void *ctx);
// schema_disjoint.c: whether no document can meet both; only what is plain to see.
bool schema_disjoint(schema *s, const json_t *a, const json_t *b);
unsigned schema_types(const json_t *v, bool *integer);  // of the keyword "type"; 0: malformed

// schema_string.c
int schema_format(schema *s, const json_t *at, const char *name,
                  rx *out);  // RX_ALL: not a format that is checked
int schema_pattern(schema *s, const json_t *at, const char *keyword, const char *pattern, rx *out);
// Whether a pattern is found in a text. Negative: a status.
int schema_pattern_matches(schema *s, const json_t *at, const char *pattern, const char *text);
rx schema_string_rx(schema *s, const schema_case *c);  // the content of the strings of a case

// schema_rule.c
uint32_t schema_rule(schema *s, const schema_literal *l, size_t n);  // of a goal; GRAM_ABSENT: no memory
int schema_build(schema *s);                                         // all goals that are wanted, and theirs
// The rules are complete, once rx_freeze is done. ST_INVALID: nothing meets the goal of rule `root`.
int schema_settle(schema *s, uint32_t root);

// json.c: what all schemas of one grammar share, made by the first of them.
int schema_prepare(schema *s);

#endif

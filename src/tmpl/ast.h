// What the parser makes of a template: one kind of node for everything, in the template's arena, read-only after.
#ifndef TMPL_AST_H
#define TMPL_AST_H

#include "tmpl/value.h"

enum node_kind {
    // expressions
    N_CONST,   // k
    N_NAME,    // id
    N_ATTR,    // a.text
    N_ITEM,    // a[b]
    N_SLICE,   // a[b:c:d], each of b c d may be NULL
    N_CALL,    // a(list)
    N_ARG,     // in calls: a; text = keyword; op = 1 for *a, 2 for **a
    N_FILTER,  // a|text(list); a NULL in filter blocks: the block's text
    N_TEST,    // a is text(list)
    N_NEG,
    N_POS,
    N_NOT,
    N_BINARY,  // a op b
    N_AND,
    N_OR,
    N_COMPARE,  // a, then list of N_BINARY (op, b)
    N_CONCAT,   // list
    N_COND,     // b if a else c (NULL: undefined)
    N_LIST,
    N_TUPLE,
    N_DICT,  // list: key, value, key, value ...
    // statements
    N_DATA,         // k
    N_OUTPUT,       // a
    N_IF,           // a, list, orelse
    N_FOR,          // a (target) in b if c, list, orelse; op = 1: recursive
    N_SET,          // a (target) = b
    N_SETBLOCK,     // a (target), b (filters on the text or NULL), list
    N_MACRO,        // id, text, params, list; op = which special names the body uses (USES_*)
    N_CALLBLOCK,    // a (the call), text, params, list, op as N_MACRO
    N_FILTERBLOCK,  // b (filters), list
    N_SCOPE,        // params (names with values, evaluated outside), list
    N_BREAK,
    N_CONTINUE,
};

typedef struct node node;
typedef struct node_list {
    node **v;
    size_t n;
} node_list;

enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOTIN,
};

struct node {
    uint8_t kind;
    uint8_t op;
    int line;
    int id;           // of a variable's name: index into the template's names
    const str *text;  // of an attribute, filter, test, keyword, macro
    value k;
    node *a, *b, *c, *d;
    node_list list, orelse;
    node_list params;  // N_NAME nodes; a = default or NULL
};

struct tmpl {
    arena arena;
    hash_map ids;       // name -> id
    const str **names;  // id -> name
    int n_names, cap_names;
    node_list body;
};

// parse.c: statements
node_list tmpl_parse_source(heap *h, struct tmpl *t, const char *src, size_t n);

#endif

// Tokens of a template: plain text between the tags, names, literals and operators inside them.
#ifndef TMPL_LEX_H
#define TMPL_LEX_H

#include "tmpl/value.h"

enum token_type {
    T_END,
    T_DATA,
    T_PRINT,
    T_PRINT_END,
    T_BLOCK,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_OP
};

// Operators of two characters are first * 256 + second.
#define OP2(a, b) ((a)*256 + (b))

typedef struct token {
    uint8_t type;
    int op;  // T_OP
    int line;
    const char
        *p;  // T_DATA, T_NAME: the text; T_STRING: between the quotes, escapes untouched; numbers: as written
    size_t n;
} token;

typedef struct token_list {
    token *v;
    size_t n, cap;
} token_list;

token_list tmpl_lex(heap *h, const char *src, size_t n);
const str *tmpl_lex_unescape(heap *h, const token *t);  // the text a string literal stands for

#endif

// Between the two halves of the parser: statements (parse.c) and expressions (expr.c).
#ifndef TMPL_PARSE_H
#define TMPL_PARSE_H

#include "tmpl/ast.h"
#include "tmpl/lex.h"

typedef struct parser {
    heap *h;
    struct tmpl *t;
    const token *at;  // the current token; the list ends with T_END
    int depth;
    int loops;    // around here, up to the innermost body whose text is captured
    int special;  // USES_* seen since the innermost macro began
} parser;

// Names with a meaning inside macros; a macro takes further arguments only when its body asks for them.
enum { USES_CALLER = 1, USES_KWARGS = 2, USES_VARARGS = 4 };

enum { PARSE_DEPTH_MAX = 200 };

node *tmpl_parse_node(parser *p, int kind);
void tmpl_parse_push(parser *p, node_list *l, node *n);
void tmpl_parse_down(parser *p);  // one level deeper; fails past the bound
int tmpl_parse_id(parser *p, const token *name);
bool tmpl_parse_is_op(const parser *p, int op);
bool tmpl_parse_is_name(const parser *p, const char *name);
bool tmpl_parse_skip_op(parser *p, int op);
bool tmpl_parse_skip_name(parser *p, const char *name);
void tmpl_parse_expect_op(parser *p, int op);
const token *tmpl_parse_expect_name(parser *p, const char *what);
_Noreturn void tmpl_parse_unexpected(parser *p, const char *expected);

// expr.c
node *tmpl_parse_expr(parser *p);
node *tmpl_parse_or(parser *p);  // without "if ... else ..."
// Expressions up to the end of the tag, a closing bracket or the name `stop`; several make a tuple.
node *tmpl_parse_tuple(parser *p, bool cond, const char *stop, bool in_brackets);
node *tmpl_parse_postfix(parser *p, node *n);  // .a [b] (c)
node *tmpl_parse_filters(parser *p, node *n);  // |a is b (c)
node *tmpl_parse_filter(parser *p, node *n);   // one filter, its name current
node *tmpl_parse_target(parser *p, const char *stop);

#endif

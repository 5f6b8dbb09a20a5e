// The expression half of the parser: precedence from "if else" down to literals, as in Jinja2's grammar.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tmpl/parse.h"
#include "tmpl/str.h"

static node *two(parser *p, int kind, node *a, node *b)
{
    node *n = tmpl_parse_node(p, kind);
    n->line = a->line;
    n->a = a;
    n->b = b;
    return n;
}

static node *binary(parser *p, int op, node *a, node *b)
{
    node *n = two(p, N_BINARY, a, b);
    n->op = (uint8_t)op;
    return n;
}

static node *constant(parser *p, value v)
{
    node *n = tmpl_parse_node(p, N_CONST);
    n->k = v;
    return n;
}

node *tmpl_parse_expr(parser *p)
{
    tmpl_parse_down(p);
    node *n = tmpl_parse_or(p);
    while (tmpl_parse_skip_name(p, "if")) {
        node *cond = tmpl_parse_or(p);
        node *orelse = tmpl_parse_skip_name(p, "else") ? tmpl_parse_expr(p) : NULL;
        n = two(p, N_COND, cond, n);
        n->c = orelse;
    }
    p->depth--;
    return n;
}

static node *parse_not(parser *p);

static node *parse_and(parser *p)
{
    node *n = parse_not(p);
    while (tmpl_parse_skip_name(p, "and"))
        n = two(p, N_AND, n, parse_not(p));
    return n;
}

node *tmpl_parse_or(parser *p)
{
    node *n = parse_and(p);
    while (tmpl_parse_skip_name(p, "or"))
        n = two(p, N_OR, n, parse_and(p));
    return n;
}

static node *parse_unary(parser *p, bool filters);

static node *parse_pow(parser *p)
{
    node *n = parse_unary(p, true);
    while (tmpl_parse_skip_op(p, OP2('*', '*')))
        n = binary(p, OP_POW, n, parse_unary(p, true));
    return n;
}

static node *parse_product(parser *p)
{
    node *n = parse_pow(p);
    for (;;) {
        int op;
        if (tmpl_parse_skip_op(p, '*'))
            op = OP_MUL;
        else if (tmpl_parse_skip_op(p, '/'))
            op = OP_DIV;
        else if (tmpl_parse_skip_op(p, OP2('/', '/')))
            op = OP_FLOORDIV;
        else if (tmpl_parse_skip_op(p, '%'))
            op = OP_MOD;
        else
            return n;
        n = binary(p, op, n, parse_pow(p));
    }
}

static node *parse_concat(parser *p)
{
    node *n = parse_product(p);
    if (!tmpl_parse_is_op(p, '~'))
        return n;
    node *all = tmpl_parse_node(p, N_CONCAT);
    tmpl_parse_push(p, &all->list, n);
    while (tmpl_parse_skip_op(p, '~'))
        tmpl_parse_push(p, &all->list, parse_product(p));
    return all;
}

static node *parse_sum(parser *p)
{
    node *n = parse_concat(p);
    for (;;) {
        if (tmpl_parse_skip_op(p, '+'))
            n = binary(p, OP_ADD, n, parse_concat(p));
        else if (tmpl_parse_skip_op(p, '-'))
            n = binary(p, OP_SUB, n, parse_concat(p));
        else
            return n;
    }
}

// The comparison operator here, skipped; -1 when there is none.
static int comparison(parser *p)
{
    static const struct {
        int token;
        int op;
    } ops[] = {
        {OP2('=', '='), OP_EQ}, {OP2('!', '='), OP_NE}, {'<', OP_LT},
        {OP2('<', '='), OP_LE}, {'>', OP_GT},           {OP2('>', '='), OP_GE},
    };
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        if (tmpl_parse_skip_op(p, ops[i].token))
            return ops[i].op;
    if (tmpl_parse_skip_name(p, "in"))
        return OP_IN;
    if (tmpl_parse_is_name(p, "not") && p->at[1].type == T_NAME && p->at[1].n == 2 &&
        memcmp(p->at[1].p, "in", 2) == 0) {
        p->at += 2;
        return OP_NOTIN;
    }
    return -1;
}

static node *parse_compare(parser *p)
{
    node *first = parse_sum(p), *n = NULL;
    for (int op; (op = comparison(p)) >= 0;) {
        if (!n)
            n = two(p, N_COMPARE, first, NULL);
        tmpl_parse_push(p, &n->list, binary(p, op, first, parse_sum(p)));
    }
    return n ? n : first;
}

static node *parse_not(parser *p)
{
    if (!tmpl_parse_skip_name(p, "not"))
        return parse_compare(p);
    tmpl_parse_down(p);
    node *n = tmpl_parse_node(p, N_NOT);
    n->a = parse_not(p);
    p->depth--;
    return n;
}

static node *parse_number(parser *p)
{
    char digits[80];
    size_t n = 0;
    const token *t = p->at++;
    for (size_t i = 0; i < t->n; i++) {
        if (t->p[i] == '_')
            continue;
        if (n + 1 == sizeof digits)
            tmpl_fail(p->h, ST_LIMIT, "a number of %zu digits (at most %zu)", t->n, sizeof digits - 1);
        digits[n++] = t->p[i];
    }
    digits[n] = 0;
    if (t->type == T_FLOAT)
        return constant(p, val_float(strtod(digits, NULL)));
    char kind = n > 1 ? (char)(digits[1] | 32) : 0;
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    char *from = digits + (base == 10 ? 0 : 2), *end;
    errno = 0;
    long long v = strtoll(from, &end, base);
    if (base == 10 && digits[0] == '0' && v != 0)
        tmpl_fail(p->h, ST_FORMAT, "the number %s begins with 0", digits);
    if (errno == ERANGE)
        tmpl_fail(p->h, ST_LIMIT, "the number %s does not fit 64 bits", digits);
    if (*end || end == from)
        tmpl_fail(p->h, ST_FORMAT, "%s is no number", digits);
    return constant(p, val_int(v));
}

static node *parse_list(parser *p)
{
    node *n = tmpl_parse_node(p, N_LIST);
    p->at++;
    while (!tmpl_parse_is_op(p, ']')) {
        tmpl_parse_push(p, &n->list, tmpl_parse_expr(p));
        if (!tmpl_parse_is_op(p, ']'))
            tmpl_parse_expect_op(p, ',');
    }
    p->at++;
    return n;
}

static node *parse_dict(parser *p)
{
    node *n = tmpl_parse_node(p, N_DICT);
    p->at++;
    while (!tmpl_parse_is_op(p, '}')) {
        tmpl_parse_push(p, &n->list, tmpl_parse_expr(p));
        tmpl_parse_expect_op(p, ':');
        tmpl_parse_push(p, &n->list, tmpl_parse_expr(p));
        if (!tmpl_parse_is_op(p, '}'))
            tmpl_parse_expect_op(p, ',');
    }
    p->at++;
    return n;
}

static node *parse_string(parser *p)
{
    const str *s = tmpl_lex_unescape(p->h, p->at++);
    while (p->at->type == T_STRING)  // "a" "b" is one text
        s = tmpl_str_cat(p->h, s, tmpl_lex_unescape(p->h, p->at++));
    str *alone = tmpl_alloc(p->h, sizeof *alone);
    *alone = *s;
    alone->own = NULL;  // renders run in parallel: none may grow a literal in place
    return constant(p, val_str(alone));
}

static node *parse_name(parser *p)
{
    static const struct {
        const char *name;
        value v;
    } words[] = {
        {"true", {.type = V_BOOL, .b = true}},
        {"True", {.type = V_BOOL, .b = true}},
        {"false", {.type = V_BOOL}},
        {"False", {.type = V_BOOL}},
        {"none", {.type = V_NONE}},
        {"None", {.type = V_NONE}},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (tmpl_parse_skip_name(p, words[i].name))
            return constant(p, words[i].v);
    p->special |= tmpl_parse_is_name(p, "caller") ? USES_CALLER : 0;
    p->special |= tmpl_parse_is_name(p, "kwargs") ? USES_KWARGS : 0;
    p->special |= tmpl_parse_is_name(p, "varargs") ? USES_VARARGS : 0;
    node *n = tmpl_parse_node(p, N_NAME);
    n->id = tmpl_parse_id(p, p->at);
    p->at++;
    return n;
}

static node *parse_primary(parser *p)
{
    switch (p->at->type) {
    case T_NAME: return parse_name(p);
    case T_STRING: return parse_string(p);
    case T_INT:
    case T_FLOAT: return parse_number(p);
    }
    node *n;
    tmpl_parse_down(p);
    if (tmpl_parse_skip_op(p, '(')) {
        n = tmpl_parse_tuple(p, true, NULL, true);
        tmpl_parse_expect_op(p, ')');
    } else if (tmpl_parse_is_op(p, '[')) {
        n = parse_list(p);
    } else if (tmpl_parse_is_op(p, '{')) {
        n = parse_dict(p);
    } else {
        tmpl_parse_unexpected(p, "an expression");
    }
    p->depth--;
    return n;
}

static node *parse_unary(parser *p, bool filters)
{
    node *n;
    bool neg = tmpl_parse_is_op(p, '-');
    if (neg || tmpl_parse_is_op(p, '+')) {
        tmpl_parse_down(p);
        n = tmpl_parse_node(p, neg ? N_NEG : N_POS);
        p->at++;
        n->a = parse_unary(p, false);
        p->depth--;
    } else {
        n = parse_primary(p);
    }
    n = tmpl_parse_postfix(p, n);
    return filters ? tmpl_parse_filters(p, n) : n;
}

static bool tuple_end(const parser *p, const char *stop)
{
    return p->at->type == T_PRINT_END || p->at->type == T_BLOCK_END || tmpl_parse_is_op(p, ')') ||
           (stop && tmpl_parse_is_name(p, stop));
}

node *tmpl_parse_tuple(parser *p, bool cond, const char *stop, bool in_brackets)
{
    node_list l = {0};
    bool comma = false;
    node *tuple = tmpl_parse_node(p, N_TUPLE);
    while (!tuple_end(p, stop)) {
        tmpl_parse_push(p, &l, cond ? tmpl_parse_expr(p) : tmpl_parse_or(p));
        if (!tmpl_parse_skip_op(p, ','))
            break;
        comma = true;
    }
    if (l.n == 1 && !comma)
        return l.v[0];
    if (l.n == 0 && !in_brackets)
        tmpl_parse_unexpected(p, "an expression");
    tuple->list = l;
    return tuple;
}

static node *parse_arg(parser *p)
{
    node *n = tmpl_parse_node(p, N_ARG);
    if (tmpl_parse_skip_op(p, '*')) {
        n->op = 1;
    } else if (tmpl_parse_skip_op(p, OP2('*', '*'))) {
        n->op = 2;
    } else if (p->at->type == T_NAME && p->at[1].type == T_OP && p->at[1].op == '=') {
        n->text = tmpl_str(p->h, p->at->p, p->at->n, TMPL_TRUSTED);
        p->at += 2;
    }
    n->a = tmpl_parse_expr(p);
    return n;
}

static void parse_args(parser *p, node_list *l)
{
    bool keyword = false;
    tmpl_parse_expect_op(p, '(');
    while (!tmpl_parse_is_op(p, ')')) {
        node *a = parse_arg(p);
        if (keyword && !a->text && a->op == 0)
            tmpl_fail(p->h, ST_FORMAT, "a plain argument after a keyword argument");
        keyword = keyword || a->text || a->op == 2;
        tmpl_parse_push(p, l, a);
        if (!tmpl_parse_is_op(p, ')'))
            tmpl_parse_expect_op(p, ',');
    }
    p->at++;
}

static node *parse_call(parser *p, node *callee)
{
    node *n = two(p, N_CALL, callee, NULL);
    parse_args(p, &n->list);
    return n;
}

static node *slice_part(parser *p)
{
    return tmpl_parse_is_op(p, ':') || tmpl_parse_is_op(p, ']') || tmpl_parse_is_op(p, ',')
               ? NULL
               : tmpl_parse_expr(p);
}

static node *parse_subscript(parser *p, node *of)
{
    node *first = slice_part(p);
    if (tmpl_parse_skip_op(p, ':')) {
        node *n = two(p, N_SLICE, of, first);
        n->c = slice_part(p);
        if (tmpl_parse_skip_op(p, ':'))
            n->d = slice_part(p);
        tmpl_parse_expect_op(p, ']');
        return n;
    }
    if (!first)
        tmpl_parse_unexpected(p, "an index");
    if (tmpl_parse_is_op(p, ',')) {
        node *tuple = tmpl_parse_node(p, N_TUPLE);
        tmpl_parse_push(p, &tuple->list, first);
        while (tmpl_parse_skip_op(p, ','))
            tmpl_parse_push(p, &tuple->list, tmpl_parse_expr(p));
        first = tuple;
    }
    tmpl_parse_expect_op(p, ']');
    return two(p, N_ITEM, of, first);
}

node *tmpl_parse_postfix(parser *p, node *n)
{
    for (;;) {
        if (tmpl_parse_skip_op(p, '.')) {
            if (p->at->type == T_INT) {
                n = two(p, N_ITEM, n, NULL);
                n->b = parse_number(p);
                continue;
            }
            const token *name = tmpl_parse_expect_name(p, "an attribute's name");
            n = two(p, N_ATTR, n, NULL);
            n->text = tmpl_str(p->h, name->p, name->n, TMPL_TRUSTED);
        } else if (tmpl_parse_skip_op(p, '[')) {
            n = parse_subscript(p, n);
        } else if (tmpl_parse_is_op(p, '(')) {
            n = parse_call(p, n);
        } else {
            return n;
        }
    }
}

static const str *dotted_name(parser *p, const char *what)
{
    const token *name = tmpl_parse_expect_name(p, what);
    const str *s = tmpl_str(p->h, name->p, name->n, TMPL_TRUSTED);
    while (tmpl_parse_skip_op(p, '.')) {
        name = tmpl_parse_expect_name(p, what);
        s = tmpl_str_cat(p->h, s, tmpl_str_z(p->h, "."));
        s = tmpl_str_cat(p->h, s, tmpl_str(p->h, name->p, name->n, TMPL_TRUSTED));
    }
    return s;
}

node *tmpl_parse_filter(parser *p, node *n)
{
    node *f = tmpl_parse_node(p, N_FILTER);
    f->a = n;
    f->text = dotted_name(p, "a filter's name");
    if (tmpl_parse_is_op(p, '('))
        parse_args(p, &f->list);
    return f;
}

static bool test_argument(const parser *p)
{
    if (tmpl_parse_is_name(p, "else") || tmpl_parse_is_name(p, "or") || tmpl_parse_is_name(p, "and"))
        return false;
    if (tmpl_parse_is_name(p, "is"))
        tmpl_fail(p->h, ST_FORMAT, "a test cannot be tested again with another \"is\"");
    return (p->at->type >= T_NAME && p->at->type <= T_FLOAT) || tmpl_parse_is_op(p, '[') ||
           tmpl_parse_is_op(p, '{');
}

static node *parse_test(parser *p, node *n)
{
    node *t = tmpl_parse_node(p, N_TEST);
    bool negated = tmpl_parse_skip_name(p, "not");
    t->a = n;
    t->text = dotted_name(p, "a test's name");
    if (tmpl_parse_is_op(p, '(')) {
        parse_args(p, &t->list);
    } else if (test_argument(p)) {
        node *arg = tmpl_parse_node(p, N_ARG);
        arg->a = tmpl_parse_postfix(p, parse_primary(p));
        tmpl_parse_push(p, &t->list, arg);
    }
    if (!negated)
        return t;
    node *inverse = tmpl_parse_node(p, N_NOT);
    inverse->a = t;
    return inverse;
}

node *tmpl_parse_filters(parser *p, node *n)
{
    for (;;) {
        if (tmpl_parse_skip_op(p, '|'))
            n = tmpl_parse_filter(p, n);
        else if (tmpl_parse_skip_name(p, "is"))
            n = parse_test(p, n);
        else if (tmpl_parse_is_op(p, '('))
            n = parse_call(p, n);
        else
            return n;
    }
}

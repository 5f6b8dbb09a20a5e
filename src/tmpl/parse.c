// The statement half of the parser, and the small tools both halves share.
#include "tmpl/parse.h"

#include <stdio.h>
#include <string.h>

#include "tmpl/str.h"

node *tmpl_parse_node(parser *p, int kind)
{
    node *n = tmpl_array(p->h, 1, sizeof *n);
    n->kind = (uint8_t)kind;
    n->line = p->at->line;
    return n;
}

void tmpl_parse_push(parser *p, node_list *l, node *n)
{
    if ((l->n & (l->n - 1)) == 0) {  // full at 0, 1, 2, 4, 8 ...
        node **v = tmpl_alloc(p->h, MAX(l->n * 2, (size_t)1) * sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
    }
    l->v[l->n++] = n;
}

void tmpl_parse_down(parser *p)
{
    p->h->line = p->at->line;
    if (++p->depth > PARSE_DEPTH_MAX)
        tmpl_fail(p->h, ST_LIMIT, "the template nests more than %d levels deep", PARSE_DEPTH_MAX);
}

int tmpl_parse_id(parser *p, const token *name)
{
    struct tmpl *t = p->t;
    int32_t id = hash_map_get(&t->ids, name->p, name->n);
    if (id >= 0)
        return id;
    const str *s = tmpl_str(p->h, name->p, name->n, TMPL_TRUSTED);
    if (t->n_names == t->cap_names) {
        int cap = t->cap_names ? t->cap_names * 2 : 32;
        const str **grown = tmpl_alloc(p->h, (size_t)cap * sizeof *grown);
        if (t->n_names)
            memcpy(grown, t->names, (size_t)t->n_names * sizeof *grown);
        t->names = grown;
        t->cap_names = cap;
    }
    if (hash_map_put(&t->ids, s->p, s->n, t->n_names) != ST_OK)
        tmpl_fail(p->h, ST_NOMEM, "no memory for a template's names");
    t->names[t->n_names] = s;
    return t->n_names++;
}

bool tmpl_parse_is_op(const parser *p, int op)
{
    return p->at->type == T_OP && p->at->op == op;
}

bool tmpl_parse_is_name(const parser *p, const char *name)
{
    return p->at->type == T_NAME && p->at->n == strlen(name) && memcmp(p->at->p, name, p->at->n) == 0;
}

bool tmpl_parse_skip_op(parser *p, int op)
{
    bool is = tmpl_parse_is_op(p, op);
    p->at += is;
    return is;
}

bool tmpl_parse_skip_name(parser *p, const char *name)
{
    bool is = tmpl_parse_is_name(p, name);
    p->at += is;
    return is;
}

void tmpl_parse_unexpected(parser *p, const char *expected)
{
    static const char *const names[] = {
        [T_END] = "the end of the template",
        [T_DATA] = "plain text",
        [T_PRINT] = "{{",
        [T_PRINT_END] = "}}",
        [T_BLOCK] = "{%",
        [T_BLOCK_END] = "%}",
    };
    p->h->line = p->at->line;
    if (p->at->type <= T_BLOCK_END)
        tmpl_fail(p->h, ST_FORMAT, "expected %s, found %s", expected, names[p->at->type]);
    tmpl_fail(p->h, ST_FORMAT, "expected %s, found '%.*s'", expected, (int)MIN(p->at->n, (size_t)60),
              p->at->p);
}

void tmpl_parse_expect_op(parser *p, int op)
{
    if (tmpl_parse_skip_op(p, op))
        return;
    char what[] = "'?'";
    what[1] = (char)op;  // only single characters are ever required
    tmpl_parse_unexpected(p, what);
}

const token *tmpl_parse_expect_name(parser *p, const char *what)
{
    if (p->at->type != T_NAME)
        tmpl_parse_unexpected(p, what);
    return p->at++;
}

static void expect_end(parser *p)
{
    if (p->at->type != T_BLOCK_END)
        tmpl_parse_unexpected(p, "%}");
    p->at++;
}

// Names ending a body, separated by spaces; the tag is left just behind the name that was met.
static node_list parse_body(parser *p, const char *ends, const char **met);

static node_list parse_until(parser *p, const char *end)
{
    tmpl_parse_skip_op(p, ':');
    expect_end(p);
    const char *met;
    return parse_body(p, end, &met);
}

// A body whose text is captured: a loop outside it cannot be left from within.
static node_list parse_captured(parser *p, const char *end)
{
    int loops = p->loops;
    p->loops = 0;
    node_list l = parse_until(p, end);
    p->loops = loops;
    return l;
}

static node *name_target(parser *p)
{
    static const char *const words[] = {"true", "True", "false", "False", "none", "None"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (tmpl_parse_is_name(p, words[i]))
            tmpl_parse_unexpected(p, "a variable's name");
    node *n = tmpl_parse_node(p, N_NAME);
    n->id = tmpl_parse_id(p, tmpl_parse_expect_name(p, "a variable's name"));
    return n;
}

static node *target_item(parser *p)
{
    if (tmpl_parse_skip_op(p, '(')) {
        tmpl_parse_down(p);
        node *n = tmpl_parse_target(p, NULL);
        tmpl_parse_expect_op(p, ')');
        p->depth--;
        return n;
    }
    node *n = name_target(p);
    if (!tmpl_parse_skip_op(p, '.'))
        return n;
    const token *field = tmpl_parse_expect_name(p, "a namespace's field");
    node *attr = tmpl_parse_node(p, N_ATTR);
    attr->a = n;
    attr->text = tmpl_str(p->h, field->p, field->n, TMPL_TRUSTED);
    return attr;
}

node *tmpl_parse_target(parser *p, const char *stop)
{
    node *first = target_item(p);
    if (!tmpl_parse_is_op(p, ','))
        return first;
    node *tuple = tmpl_parse_node(p, N_TUPLE);
    tmpl_parse_push(p, &tuple->list, first);
    while (tmpl_parse_skip_op(p, ',')) {
        if (tmpl_parse_is_op(p, ')') || tmpl_parse_is_op(p, '=') || (stop && tmpl_parse_is_name(p, stop)))
            break;
        tmpl_parse_push(p, &tuple->list, target_item(p));
    }
    return tuple;
}

static node *parse_for(parser *p)
{
    node *n = tmpl_parse_node(p, N_FOR);
    n->a = tmpl_parse_target(p, "in");
    if (!tmpl_parse_skip_name(p, "in"))
        tmpl_parse_unexpected(p, "'in'");
    n->b = tmpl_parse_tuple(p, false, "recursive", false);
    if (tmpl_parse_skip_name(p, "if"))
        n->c = tmpl_parse_expr(p);
    n->op = tmpl_parse_skip_name(p, "recursive");
    tmpl_parse_skip_op(p, ':');
    expect_end(p);
    const char *met;
    p->loops++;
    n->list = parse_body(p, "else endfor", &met);
    p->loops--;
    if (strncmp(met, "else", 4) == 0)
        n->orelse = parse_until(p, "endfor");
    return n;
}

static node *parse_if(parser *p)
{
    node *n = tmpl_parse_node(p, N_IF), *top = n;
    for (;;) {
        n->a = tmpl_parse_tuple(p, false, NULL, false);
        tmpl_parse_skip_op(p, ':');
        expect_end(p);
        const char *met;
        n->list = parse_body(p, "elif else endif", &met);
        if (strncmp(met, "elif", 4) == 0) {
            node *next = tmpl_parse_node(p, N_IF);
            tmpl_parse_push(p, &n->orelse, next);
            n = next;
            continue;
        }
        if (strncmp(met, "else", 4) == 0)
            n->orelse = parse_until(p, "endif");
        return top;
    }
}

// Filters applied to a block's text: name|name(...)
static node *parse_block_filters(parser *p)
{
    node *n = tmpl_parse_filter(p, NULL);
    while (tmpl_parse_skip_op(p, '|'))
        n = tmpl_parse_filter(p, n);
    return n;
}

static node *parse_set(parser *p)
{
    node *n = tmpl_parse_node(p, N_SET);
    n->a = tmpl_parse_target(p, NULL);
    if (tmpl_parse_skip_op(p, '=')) {
        n->b = tmpl_parse_tuple(p, true, NULL, false);
        return n;
    }
    n->kind = N_SETBLOCK;
    if (tmpl_parse_skip_op(p, '|'))
        n->b = parse_block_filters(p);
    n->list = parse_captured(p, "endset");
    return n;
}

static void parse_params(parser *p, node_list *l)
{
    tmpl_parse_expect_op(p, '(');
    while (!tmpl_parse_is_op(p, ')')) {
        if (l->n)
            tmpl_parse_expect_op(p, ',');
        node *name = name_target(p);
        if (tmpl_parse_skip_op(p, '='))
            name->a = tmpl_parse_expr(p);
        else if (l->n && l->v[l->n - 1]->a)
            tmpl_fail(p->h, ST_FORMAT, "a parameter without default after one with a default");
        tmpl_parse_push(p, l, name);
    }
    p->at++;
}

static void parse_macro_body(parser *p, node *n, const char *end)
{
    int before = p->special;
    p->special = 0;
    n->list = parse_captured(p, end);
    n->op = (uint8_t)p->special;
    p->special |= before;
}

static node *parse_macro(parser *p)
{
    node *n = tmpl_parse_node(p, N_MACRO);
    n->id = name_target(p)->id;
    n->text = p->t->names[n->id];
    parse_params(p, &n->params);
    parse_macro_body(p, n, "endmacro");
    return n;
}

static node *parse_call_block(parser *p)
{
    node *n = tmpl_parse_node(p, N_CALLBLOCK);
    n->text = tmpl_str_z(p->h, "caller");
    if (tmpl_parse_is_op(p, '('))
        parse_params(p, &n->params);
    n->a = tmpl_parse_expr(p);
    if (n->a->kind != N_CALL)
        tmpl_fail(p->h, ST_FORMAT, "{%% call %%} needs a call");
    parse_macro_body(p, n, "endcall");
    return n;
}

static node *parse_filter_block(parser *p)
{
    node *n = tmpl_parse_node(p, N_FILTERBLOCK);
    n->b = parse_block_filters(p);
    n->list = parse_captured(p, "endfilter");
    return n;
}

static node *parse_with(parser *p)
{
    node *n = tmpl_parse_node(p, N_SCOPE);
    while (p->at->type != T_BLOCK_END && !tmpl_parse_is_op(p, ':')) {
        if (n->params.n)
            tmpl_parse_expect_op(p, ',');
        node *name = name_target(p);
        tmpl_parse_expect_op(p, '=');
        name->a = tmpl_parse_expr(p);
        tmpl_parse_push(p, &n->params, name);
    }
    n->list = parse_until(p, "endwith");
    return n;
}

static node *parse_generation(parser *p)
{
    node *n = tmpl_parse_node(p, N_SCOPE);
    n->list = parse_until(p, "endgeneration");
    return n;
}

static node *parse_jump(parser *p, int kind)
{
    if (p->loops == 0)
        tmpl_fail(p->h, ST_FORMAT, "break or continue outside a loop");
    return tmpl_parse_node(p, kind);
}

static node *parse_break(parser *p)
{
    return parse_jump(p, N_BREAK);
}

static node *parse_continue(parser *p)
{
    return parse_jump(p, N_CONTINUE);
}

// At the name of a tag; leaves behind the tag's %}.
static node *parse_statement(parser *p)
{
    static const struct {
        const char *name;
        node *(*parse)(parser *);
    } tags[] = {
        {"if", parse_if},           {"for", parse_for},
        {"set", parse_set},         {"macro", parse_macro},
        {"call", parse_call_block}, {"filter", parse_filter_block},
        {"with", parse_with},       {"generation", parse_generation},
        {"break", parse_break},     {"continue", parse_continue},
    };
    tmpl_parse_down(p);
    for (size_t i = 0; i < COUNT_OF(tags); i++)
        if (tmpl_parse_skip_name(p, tags[i].name)) {
            node *n = tags[i].parse(p);
            expect_end(p);
            p->depth--;
            return n;
        }
    static const char *const other[] = {"include", "import",     "from", "extends",
                                        "block",   "autoescape", "do",   "trans"};
    for (size_t i = 0; i < COUNT_OF(other); i++)
        if (tmpl_parse_is_name(p, other[i]))
            tmpl_fail(p->h, ST_UNSUPPORTED, "the tag {%% %s %%} is not supported in chat templates",
                      other[i]);
    tmpl_parse_unexpected(p, "a tag's name");
}

static const char *end_met(parser *p, const char *ends)
{
    for (const char *s = ends; s;) {
        size_t n = strcspn(s, " ");
        if (p->at->type == T_NAME && p->at->n == n && memcmp(p->at->p, s, n) == 0)
            return s;
        s = s[n] ? s + n + 1 : NULL;
    }
    return NULL;
}

static node_list parse_body(parser *p, const char *ends, const char **met)
{
    node_list l = {0};
    for (;;) {
        node *n = tmpl_parse_node(p, N_DATA);
        p->h->line = p->at->line;
        switch (p->at->type) {
        case T_DATA:
            n->k = val_str(tmpl_str(p->h, p->at->p, p->at->n, TMPL_TRUSTED));
            p->at++;
            tmpl_parse_push(p, &l, n);
            break;
        case T_PRINT:
            p->at++;
            n->kind = N_OUTPUT;
            n->a = tmpl_parse_tuple(p, true, NULL, false);
            if (p->at->type != T_PRINT_END)
                tmpl_parse_unexpected(p, "}}");
            p->at++;
            tmpl_parse_push(p, &l, n);
            break;
        case T_BLOCK:
            p->at++;
            if (ends && (*met = end_met(p, ends))) {
                p->at++;
                return l;
            }
            tmpl_parse_push(p, &l, parse_statement(p));
            break;
        default:
            if (ends) {
                char what[64];
                snprintf(what, sizeof what, "{%% %s %%}", strrchr(ends, ' ') ? strrchr(ends, ' ') + 1 : ends);
                tmpl_parse_unexpected(p, what);
            }
            return l;
        }
    }
}

node_list tmpl_parse_source(heap *h, struct tmpl *t, const char *src, size_t n)
{
    token_list tokens = tmpl_lex(h, src, n);
    parser p = {.h = h, .t = t, .at = tokens.v};
    const char *met;
    return parse_body(&p, NULL, &met);
}

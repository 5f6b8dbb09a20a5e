// GBNF, the grammar notation of llama.cpp: rules "name ::= ...", literals, classes, groups, | * + ? {m,n}, comments.
//
// A rule that does not come back to itself is a regular expression and becomes one terminal; only what recurses
// becomes calls. Left recursion is refused (machine.c).
#include <stdlib.h>
#include <string.h>

#include "gram/machine.h"

enum {
    LONGEST = 1 << 20,    // bytes of a grammar
    DEEPEST = 200,        // nested groups
    DEEPEST_RULES = 500,  // rules inside rules while folding; deeper ones become calls
    MOST_TIMES = 100000,  // of a repetition
};

typedef enum node_kind { RX, SEQ, OR, REPEAT, REF } node_kind;

typedef struct node {
    node_kind kind;
    rx at;                 // RX
    uint32_t least, most;  // REPEAT
    uint32_t rule;         // REF
    size_t where;          // REF: place in the text
    struct node *kid, *next;
} node;

typedef enum fold_state { NEW, BUSY, DONE } fold_state;

typedef struct rule {
    const char *name;
    size_t n, where;
    node *body;  // NULL: used but not (yet) defined
    fold_state state;
    uint32_t machine;  // rule of the automaton
} rule;

typedef struct link {
    uint32_t from;
    gram_edge edge;
} link;

typedef struct parser {
    gram *g;
    arena a;
    const char *s;
    size_t n, at;
    int depth;
    rule *rule;
    size_t n_rule, rule_cap;
    hash_map names;
    link *link;
    size_t n_link, link_cap;
    err *e;
} parser;

static int fail(parser *p, int code, const char *what)
{
    size_t line = 1;
    for (size_t i = 0; i < p->at && i < p->n; i++)
        line += p->s[i] == '\n';
    return err_set(p->e, code, "GBNF line %zu: %s", line, what);
}

static int peek(const parser *p)
{
    return p->at < p->n ? (unsigned char)p->s[p->at] : -1;
}

static bool take(parser *p, const char *word)
{
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->s + p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

// Blanks and comments; line ends too where a rule may go on.
static void skip(parser *p, bool lines)
{
    for (int c = peek(p); c == ' ' || c == '\t' || c == '#' || (lines && (c == '\n' || c == '\r'));
         c = peek(p)) {
        if (c == '#')
            while (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
                p->at++;
        else
            p->at++;
    }
}

static node *make(parser *p, node_kind kind)
{
    node *x = arena_calloc(&p->a, 1, sizeof *x);
    if (x)
        x->kind = kind;
    else
        fail(p, ST_NOMEM, "no memory");
    return x;
}

static bool word_char(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// The rule of a name, which is made when it is new.
static int rule_of(parser *p, uint32_t *out)
{
    size_t from = p->at;
    while (word_char(peek(p)))
        p->at++;
    if (p->at == from)
        return fail(p, ST_FORMAT, "a rule name was expected");
    int32_t known = hash_map_get(&p->names, p->s + from, p->at - from);
    if (known >= 0) {
        *out = (uint32_t)known;
        return ST_OK;
    }
    if (!gram_grow(&p->rule, &p->rule_cap, p->n_rule, sizeof *p->rule) ||
        hash_map_put(&p->names, p->s + from, p->at - from, (int32_t)p->n_rule))
        return fail(p, ST_NOMEM, "no memory");
    p->rule[p->n_rule] = (rule){.name = p->s + from, .n = p->at - from, .where = from};
    *out = (uint32_t)p->n_rule++;
    return ST_OK;
}

// \x41 \u0041 \U00000041 behind the letter: `digits` of them.
static int hex(parser *p, int digits, uint32_t *c)
{
    *c = 0;
    for (int i = 0; i < digits; i++) {
        int k = peek(p), d = k >= '0' && k <= '9'                 ? k - '0'
                             : (k | 32) >= 'a' && (k | 32) <= 'f' ? (k | 32) - 'a' + 10
                                                                  : -1;
        if (d < 0)
            return fail(p, ST_FORMAT, "a bad escape");
        *c = *c << 4 | (uint32_t)d;
        p->at++;
    }
    return *c <= 0x10FFFF ? ST_OK : fail(p, ST_FORMAT, "an escape beyond U+10FFFF");
}

static int character(parser *p, uint32_t *c)
{
    if (take(p, "\\")) {
        static const char from[] = "nrt\\\"[]-^", to[] = "\n\r\t\\\"[]-^";
        int k = peek(p);
        p->at++;
        if (k == 'x' || k == 'u' || k == 'U')
            return hex(p, k == 'x' ? 2 : k == 'u' ? 4 : 8, c);
        const char *f = k > 0 ? strchr(from, k) : NULL;
        if (!f)
            return fail(p, ST_FORMAT, "an escape that is not known");
        *c = (uint32_t)to[f - from];
        return ST_OK;
    }
    size_t len = utf8_decode(p->s + p->at, p->n - p->at, c);
    if (!len)
        return fail(p, ST_FORMAT, p->at < p->n ? "no UTF-8" : "the text ends inside a literal");
    p->at += len;
    return ST_OK;
}

static int literal(parser *p, node **out)
{
    buf b;
    buf_init(&b);
    int rc = ST_OK;
    while (!rc && !take(p, "\"")) {
        uint32_t c;
        char s[4];
        rc = peek(p) == '\n' ? fail(p, ST_FORMAT, "a literal without its closing quote") : character(p, &c);
        if (!rc)
            buf_add(&b, s, utf8_encode(c, s));
    }
    if (!rc && (*out = make(p, RX)))
        (*out)->at = rx_literal(&p->g->rx, b.data, b.len);
    if (!rc && (b.failed || !*out))
        rc = fail(p, ST_NOMEM, "no memory");
    buf_done(&b);
    return rc;
}

static int class(parser *p, node **out)
{
    pattern_ranges l = {0};
    bool negative = take(p, "^");
    int rc = ST_OK;
    while (!rc && !take(p, "]")) {
        uint32_t lo, hi;
        if ((rc = character(p, &lo)))
            break;
        hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->n && p->s[p->at + 1] != ']') {
            p->at++;
            rc = character(p, &hi);
        }
        if (!rc && hi < lo)
            rc = fail(p, ST_FORMAT, "a range the wrong way round");
        if (!rc && !pattern_add(&l, lo, hi))
            rc = fail(p, ST_NOMEM, "no memory");
    }
    if (!rc && negative && !pattern_invert(&l))
        rc = fail(p, ST_NOMEM, "no memory");
    if (!rc && (*out = make(p, RX)))
        (*out)->at = pattern_class(&p->g->rx, l.r, l.n, PATTERN_TEXT);
    pattern_ranges_done(&l);
    return rc ? rc : *out ? ST_OK : ST_NOMEM;
}

static int alternatives(parser *p, node **out);

static int item(parser *p, node **out)
{
    int rc = ST_OK;
    *out = NULL;
    if (take(p, "\""))
        return literal(p, out);
    if (take(p, "["))
        return class(p, out);
    if (take(p, ".")) {
        if ((*out = make(p, RX)))
            (*out)->at = pattern_any(&p->g->rx, PATTERN_TEXT);
        return *out ? ST_OK : ST_NOMEM;
    }
    if (take(p, "(")) {
        if (++p->depth > DEEPEST)
            return fail(p, ST_LIMIT, "groups nested too deep (200 allowed)");
        skip(p, true);
        rc = alternatives(p, out);
        p->depth--;
        if (!rc && !take(p, ")"))
            rc = fail(p, ST_FORMAT, "a group without )");
        return rc;
    }
    if (!word_char(peek(p)))
        return fail(p, peek(p) == '<' || peek(p) == '!' ? ST_UNSUPPORTED : ST_FORMAT,
                    "a literal, class, group or rule name was expected");
    if (!(*out = make(p, REF)))
        return ST_NOMEM;
    (*out)->where = p->at;
    return rule_of(p, &(*out)->rule);
}

static int count(parser *p, uint32_t *out)
{
    uint32_t v = 0;
    while (peek(p) >= '0' && peek(p) <= '9' && v <= MOST_TIMES)
        v = v * 10 + (uint32_t)(p->s[p->at++] - '0');
    *out = v;
    return v <= MOST_TIMES ? ST_OK : fail(p, ST_LIMIT, "a repetition of more than 100000 times");
}

// "{2}", "{2,}", "{2,5}", "{,5}", behind the brace.
static int braces(parser *p, uint32_t *least, uint32_t *most)
{
    skip(p, false);
    int rc = count(p, least);
    *most = *least;
    skip(p, false);
    if (!rc && take(p, ",")) {
        skip(p, false);
        *most = RX_MANY;
        if (peek(p) != '}')
            rc = count(p, most);
        skip(p, false);
    }
    if (!rc && !take(p, "}"))
        rc = fail(p, ST_FORMAT, "a bad repetition");
    return !rc && *most < *least ? fail(p, ST_FORMAT, "a repetition whose bounds are the wrong way round")
                                 : rc;
}

static int repeated(parser *p, node **out)
{
    int rc = item(p, out);
    skip(p, p->depth > 0);
    while (!rc) {
        uint32_t least = 0, most = RX_MANY;
        if (take(p, "+"))
            least = 1;
        else if (take(p, "?"))
            most = 1;
        else if (take(p, "{"))
            rc = braces(p, &least, &most);
        else if (!take(p, "*"))
            break;
        node *x = rc ? NULL : make(p, REPEAT);
        if (!x)
            return rc ? rc : ST_NOMEM;
        x->kid = *out;
        x->least = least;
        x->most = most;
        *out = x;
        skip(p, p->depth > 0);
    }
    return rc;
}

static int sequence(parser *p, node **out)
{
    node *seq = make(p, SEQ), **tail = seq ? &seq->kid : NULL;
    int rc = seq ? ST_OK : ST_NOMEM;
    skip(p, p->depth > 0);
    while (!rc && peek(p) >= 0 && !strchr("|)\r\n", peek(p))) {
        rc = repeated(p, tail);
        if (!rc)
            tail = &(*tail)->next;
    }
    *out = seq;
    return rc;
}

static int alternatives(parser *p, node **out)
{
    node *any = make(p, OR), **tail = any ? &any->kid : NULL;
    int rc = any ? ST_OK : ST_NOMEM;
    *out = any;
    while (!rc) {
        rc = sequence(p, tail);
        if (rc || !take(p, "|"))
            break;
        tail = &(*tail)->next;
        skip(p, true);
    }
    return rc;
}

static int parse(parser *p)
{
    for (skip(p, true); peek(p) >= 0; skip(p, true)) {
        uint32_t r;
        int rc = rule_of(p, &r);
        skip(p, false);
        if (!rc && !take(p, "::="))
            rc = fail(p, ST_FORMAT, "\"::=\" was expected behind a rule's name");
        if (!rc && p->rule[r].body)
            rc = fail(p, ST_FORMAT, "a rule is defined twice");
        skip(p, true);
        node *body = NULL;
        if (!rc)
            rc = alternatives(p, &body);
        if (!rc && peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
            rc = fail(p, ST_FORMAT, "the end of the rule was expected");
        if (rc)
            return rc;
        p->rule[r].body = body;
    }
    for (size_t r = 0; r < p->n_rule; r++)
        if (!p->rule[r].body) {
            p->at = p->rule[r].where;
            char what[128];
            size_t n = MIN(p->rule[r].n, 80);
            memcpy(what, p->rule[r].name, n);
            memcpy(what + n, " is used but not defined", sizeof " is used but not defined");
            return fail(p, ST_FORMAT, what);
        }
    return ST_OK;
}

// ---- Folding into regular expressions --------------------------------------------------------------------------
static void fold(parser *p, node *x, int depth);

static void fold_rule(parser *p, uint32_t r, int depth)
{
    rule *q = &p->rule[r];
    if (q->state != NEW || depth > DEEPEST_RULES)
        return;
    q->state = BUSY;
    fold(p, q->body, depth + 1);
    q->state = DONE;
}

static void become(node *x, rx at)
{
    x->kind = RX;
    x->at = at;
    x->kid = NULL;
}

// Neighbours that are expressions become one; the whole, when all are.
static void fold_list(parser *p, node *x)
{
    rx_pool *rp = &p->g->rx;
    node **at = &x->kid;
    while (*at && (*at)->next) {
        node *a = *at, *b = a->next;
        if (a->kind != RX || b->kind != RX) {
            at = &a->next;
            continue;
        }
        a->at = x->kind == SEQ ? rx_cat(rp, a->at, b->at) : rx_or(rp, a->at, b->at);
        a->next = b->next;
    }
    if (!x->kid)
        become(x, RX_EMPTY);
    else if (x->kid->kind == RX && !x->kid->next)
        become(x, x->kid->at);
}

static void fold(parser *p, node *x, int depth)
{
    for (node *k = x->kid; k; k = k->next)
        fold(p, k, depth);
    if (x->kind == SEQ || x->kind == OR) {
        fold_list(p, x);
    } else if (x->kind == REPEAT && x->kid->kind == RX) {
        become(x, rx_repeat(&p->g->rx, x->kid->at, x->least, x->most));
    } else if (x->kind == REF) {
        fold_rule(p, x->rule, depth);
        const rule *q = &p->rule[x->rule];
        if (q->state == DONE && q->body->kind == RX)
            become(x, q->body->at);
    }
}

// ---- The automaton ---------------------------------------------------------------------------------------------
static void connect(parser *p, uint32_t from, gram_edge_kind kind, uint32_t what, uint32_t to)
{
    if (!gram_grow(&p->link, &p->link_cap, p->n_link, sizeof *p->link)) {
        gram_lost(p->g, ST_NOMEM);
        return;
    }
    p->link[p->n_link++] = (link){from, {kind, what, to}};
}

static void emit(parser *p, const node *x, uint32_t from, uint32_t to);

static void emit_repeat(parser *p, const node *x, uint32_t from, uint32_t to)
{
    gram *g = p->g;
    for (uint32_t i = 0; i < x->least && !g->failed; i++) {
        uint32_t next = gram_add_place(g, false);
        emit(p, x->kid, from, next);
        from = next;
    }
    if (x->most == RX_MANY) {
        uint32_t loop = gram_add_place(g, false);
        connect(p, from, GRAM_EPSILON, 0, loop);
        emit(p, x->kid, loop, loop);
        from = loop;
    }
    for (uint32_t i = x->least; i < x->most && x->most != RX_MANY && !g->failed; i++) {
        uint32_t next = gram_add_place(g, false);
        connect(p, from, GRAM_EPSILON, 0, to);
        emit(p, x->kid, from, next);
        from = next;
    }
    connect(p, from, GRAM_EPSILON, 0, to);
}

static void emit(parser *p, const node *x, uint32_t from, uint32_t to)
{
    if (p->g->failed)
        return;
    switch (x->kind) {
    case RX: connect(p, from, GRAM_MATCH, x->at, to); return;
    case REF: connect(p, from, GRAM_CALL, p->rule[x->rule].machine, to); return;
    case OR:
        for (const node *k = x->kid; k; k = k->next)
            emit(p, k, from, to);
        return;
    case SEQ:
        for (const node *k = x->kid; k; k = k->next) {
            uint32_t next = k->next ? gram_add_place(p->g, false) : to;
            emit(p, k, from, next);
            from = next;
        }
        return;
    case REPEAT: emit_repeat(p, x, from, to);
    }
}

// Hands the links to their places, each place's together.
static void settle(parser *p)
{
    gram *g = p->g;
    uint32_t *at = mem_calloc(MEM_GRAMMAR, g->n_place + 2, sizeof *at);
    gram_edge *sorted = mem_alloc(MEM_GRAMMAR, (p->n_link + 1) * sizeof *sorted);
    if (at && sorted) {
        for (size_t i = 0; i < p->n_link; i++)
            at[p->link[i].from + 2]++;
        for (size_t i = 0; i < g->n_place; i++)
            at[i + 1] += at[i];
        for (size_t i = 0; i < p->n_link; i++)
            sorted[at[p->link[i].from + 1]++] = p->link[i].edge;
        for (uint32_t i = 1; i < g->n_place && !g->failed; i++)
            if (at[i + 1] > at[i])
                gram_set_edges(g, i, sorted + at[i], at[i + 1] - at[i]);
    } else {
        gram_lost(g, ST_NOMEM);
    }
    mem_free(at);
    mem_free(sorted);
}

static int build(parser *p)
{
    gram *g = p->g;
    int32_t root = hash_map_get(&p->names, "root", 4);
    if (root < 0)
        return err_set(p->e, ST_FORMAT, "GBNF: there is no rule \"root\"");
    for (uint32_t r = 0; r < p->n_rule; r++)
        fold_rule(p, r, 0);
    for (size_t r = 0; r < p->n_rule; r++)
        p->rule[r].machine = gram_add_rule(g);
    char **names = mem_calloc(MEM_GRAMMAR, p->n_rule + 2, sizeof *names);
    if (!names)
        gram_lost(g, ST_NOMEM);
    for (size_t r = 0; r < p->n_rule && !g->failed; r++) {
        uint32_t start = gram_add_place(g, false), end = gram_add_place(g, true);
        char **name = &names[p->rule[r].machine];
        *name = arena_strndup(&p->a, p->rule[r].name, p->rule[r].n);
        if (g->failed || !*name)
            break;
        g->rule[p->rule[r].machine].start = start;
        emit(p, p->rule[r].body, start, end);
    }
    if (!g->failed)
        settle(p);
    int rc = gram_machine_finish(g, p->rule[root].machine, (const char *const *)names, p->e);
    mem_free(names);
    return rc;
}

int gram_compile_gbnf(gram **out, const gram_vocab *v, gram_lead lead, const char *text, size_t n, err *e)
{
    *out = NULL;
    if (n > LONGEST)
        return err_set(e, ST_LIMIT, "a GBNF grammar of %zu bytes, allowed %d", n, LONGEST);
    parser p = {.s = text, .n = n, .e = e};
    int rc = gram_machine_new(&p.g, v, lead, e);
    if (rc)
        return rc;
    arena_init(&p.a, MEM_GRAMMAR);
    rc = hash_map_init(&p.names, MEM_GRAMMAR, 64);
    if (rc)
        err_set(e, rc, "no memory for a grammar");
    if (!rc)
        rc = parse(&p);
    if (!rc)
        rc = build(&p);
    hash_map_done(&p.names);
    arena_done(&p.a);
    mem_free(p.rule);
    mem_free(p.link);
    if (rc)
        gram_free(p.g);
    else
        *out = p.g;
    return rc;
}

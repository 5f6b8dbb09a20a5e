// From the tree of a regular expression to rx nodes.
//
// A tree without anchors is built from its leaves up. Where there are anchors or look-aheads it is built from the
// right: each part gets the expression of all that follows it, so that "$" is "what follows, and it is empty", and a
// look-ahead is an intersection with what follows.
#include "gram/pattern.h"

#include "gram/pattern_own.h"

typedef struct builder {
    rx_pool *p;
    pattern_form form;
    rx rest;  // any text in that form
    const char *source;
    size_t n;
    err *e;
    int rc;
} builder;

typedef enum place { AT_START, INSIDE, PERHAPS } place;

static rx refuse(builder *b, const char *what)
{
    if (!b->rc)
        b->rc = err_set(b->e, ST_UNSUPPORTED, "%s in \"%.*s\"", what, (int)MIN(b->n, 80), b->source);
    return RX_NONE;
}

static rx plain(builder *b, const pattern_node *x);

// A chain of siblings, the last one first: the depth of recursion is that of groups, not of lengths.
static rx plain_seq(builder *b, const pattern_node *x, rx after)
{
    const pattern_node *few[64], **list = few;
    if (x->n > COUNT_OF(few) && !(list = mem_alloc(MEM_GRAMMAR, x->n * sizeof *list)))
        return rx_lost(b->p, ST_NOMEM);
    size_t n = 0;
    for (const pattern_node *k = x->kid; k; k = k->next)
        list[n++] = k;
    while (n > 0)
        after = rx_cat(b->p, plain(b, list[--n]), after);
    if (list != few)
        mem_free(list);
    return after;
}

static rx plain(builder *b, const pattern_node *x)
{
    rx out = RX_NONE;
    switch (x->kind) {
    case PATTERN_CLASS: return pattern_class(b->p, x->range, x->n, b->form);
    case PATTERN_SEQ: return plain_seq(b, x, RX_EMPTY);
    case PATTERN_OR:
        for (const pattern_node *k = x->kid; k; k = k->next)
            out = rx_or(b->p, out, plain(b, k));
        return out;
    case PATTERN_REPEAT: return rx_repeat(b->p, plain(b, x->kid), x->least, x->most);
    default: return RX_EMPTY;
    }
}

static rx anchored(builder *b, const pattern_node *x, rx after, place at);

static rx anchored_seq(builder *b, const pattern_node *x, rx after, place at)
{
    struct step {
        const pattern_node *x;
        place at;
    } few[32], *list = few;
    if (x->n > COUNT_OF(few) && !(list = mem_alloc(MEM_GRAMMAR, x->n * sizeof *list)))
        return rx_lost(b->p, ST_NOMEM);
    size_t n = 0;
    for (const pattern_node *k = x->kid; k; k = k->next) {
        list[n++] = (struct step){k, at};
        bool empty = k->kind >= PATTERN_START || k->kind == PATTERN_EMPTY;
        if (!empty)
            at = !k->nullable ? INSIDE : at == AT_START ? PERHAPS : at;
    }
    while (n-- > 0)
        after = anchored(b, list[n].x, after, list[n].at);
    if (list != few)
        mem_free(list);
    return after;
}

static rx anchored(builder *b, const pattern_node *x, rx after, place at)
{
    if (!x->anchored)
        return rx_cat(b->p, plain(b, x), after);
    rx out = RX_NONE;
    switch (x->kind) {
    case PATTERN_SEQ: return anchored_seq(b, x, after, at);
    case PATTERN_OR:
        for (const pattern_node *k = x->kid; k; k = k->next)
            out = rx_or(b->p, out, anchored(b, k, after, at));
        return out;
    case PATTERN_REPEAT:
        if (x->most > 1)
            return refuse(b, "an anchor or look-ahead inside a repetition is not supported,");
        out = anchored(b, x->kid, after, at);
        return x->least == 0 ? rx_or(b->p, out, after) : out;
    case PATTERN_START:
        if (at == PERHAPS)
            return refuse(b, "a ^ behind what may be empty is not supported,");
        return at == AT_START ? after : RX_NONE;
    case PATTERN_END: return b->p->node[after].nullable ? RX_EMPTY : RX_NONE;
    default: {
        rx look = anchored(b, x->kid, b->rest, at);
        return rx_and(b->p, after, x->negative ? rx_not(b->p, look) : look);
    }
    }
}

int pattern_compile(rx_pool *p, const char *s, size_t n, pattern_form form, bool whole, rx *out, err *e)
{
    arena a;
    arena_init(&a, MEM_GRAMMAR);
    pattern_node *tree = NULL;
    *out = RX_NONE;
    int rc = pattern_parse(&a, s, n, &tree, e);
    if (!rc) {
        rx any = pattern_any(p, form);
        builder b = {p, form, rx_repeat(p, any, 0, RX_MANY), s, n, e, ST_OK};
        *out = anchored(&b, tree, whole ? RX_EMPTY : b.rest, AT_START);
        if (!whole) {
            rx later = anchored(&b, tree, b.rest, INSIDE);
            if (later == *out)
                *out = rx_cat(p, b.rest, later);
            else
                *out = rx_or(p, *out, rx_cat(p, rx_repeat(p, any, 1, RX_MANY), later));
        }
        rc = b.rc;
    }
    arena_done(&a);
    if (!rc && p->failed)
        rc = err_set(e, p->failed, "the pattern \"%.*s\" is too large", (int)MIN(n, 80), s);
    return rc;
}

// Tool calls in free text, as a grammar.
//
// Free text is what the word that opens a call does not occur in; behind that word only a call fits. So a text is a
// circle of free text, word, call, and each call is one of the declared tools with the rule of its own schema.
#include <string.h>

#include "gram/harmony.h"
#include "gram/schema.h"

typedef struct maker {
    gram *g;
    const gram_calls *c;
    err *e;
    schema *schema;         // [n_tools], one document each: "$ref" stays within it
    uint32_t *arguments;    // [n_tools] rules; GRAM_ABSENT where they are raw
    gram_edge *head;        // [n_tools] up to the arguments
    rx blank, free, until;  // free text; free text up to and with `open` and `begin`
    uint32_t call, last;    // places before a call's name, and behind the last call
} maker;

static int no_memory(maker *m)
{
    return err_set(m->e, ST_NOMEM, "no memory for a grammar of tool calls");
}

// The text, in which a blank stands for JSON's blanks.
static rx spaced(maker *m, const char *s, size_t n)
{
    rx_pool *p = &m->g->rx;
    rx a = RX_EMPTY;
    while (n > 0) {
        rx one = s[n - 1] == ' ' ? m->blank : rx_byte(p, (unsigned char)s[n - 1]);
        a = rx_cat(p, one, a);
        n--;
    }
    return a;
}

static rx word_rx(maker *m, const gram_word *w)
{
    return rx_or(&m->g->rx, spaced(m, w->word, w->n), w->token < 0 ? RX_NONE : gram_word_rx(&m->g->rx, w));
}

// Free text, and what leads up to a call, for both ways to write `open`.
static void lay_text(maker *m)
{
    rx_pool *p = &m->g->rx;
    const gram_word *w = &m->c->open;
    const gram_harmony *h = m->c->harmony;
    if (h) {
        m->until = gram_harmony_before(p, h, false);
        m->free = rx_cat(p, m->until, rx_cat(p, gram_harmony_final(p, h), gram_harmony_text(p, h)));
        return;
    }
    m->free = rx_until(p, w->word, w->n, true);
    m->until = rx_until(p, w->word, w->n, false);
    if (w->token < 0)
        return;
    char name[GRAM_CONTROL_BYTES];
    gram_control_name((uint32_t)w->token, name);
    rx without = rx_until(p, name, sizeof name, true);
    m->until = rx_or(p, rx_and(p, m->until, without),
                     rx_and(p, rx_until(p, name, sizeof name, false), m->free));
    m->free = rx_and(p, m->free, without);
}

static rx any_blanks(maker *m)
{
    rx_set space = {{(uint64_t)1 << ' ' | 1 << '\t' | 1 << '\n' | 1 << '\r'}};
    return rx_repeat(&m->g->rx, rx_of_set(&m->g->rx, &space), 0, RX_MANY);
}

// The rule of a tool's arguments. Its schema need not say that they are an object.
static int arguments_of(maker *m, size_t i)
{
    static const char none[] = "{\"additionalProperties\":false}";
    const gram_tool *t = &m->c->tool[i];
    schema *s = &m->schema[i];
    int rc = t->n ? schema_load(s, t->schema, t->n) : schema_load(s, none, sizeof none - 1);
    if (!rc && !json_is_object(s->root) && !json_is_boolean(s->root))
        rc = err_set(m->e, ST_FORMAT, "JSON schema: neither an object nor true or false");
    const json_t *object = rc ? NULL : schema_keep(s, json_pack("{s:s}", "type", "object"));
    if (rc)
        return rc;
    if (object)
        m->arguments[i] = schema_rule(s, (schema_literal[]){{s->root, false}, {object, false}}, 2);
    return object && m->arguments[i] != GRAM_ABSENT ? schema_build(s) : no_memory(m);
}

static int lay_tool(maker *m, size_t i)
{
    rx_pool *p = &m->g->rx;
    const gram_calls *c = m->c;
    const char *name = c->tool[i].name;
    rx head;
    if (c->harmony) {
        head = gram_harmony_call(p, c->harmony, name);
    } else {
        head = rx_cat(p, rx_literal(p, name, strlen(name)), word_rx(m, &c->before_arguments));
        head = rx_cat(p, spaced(m, c->before_name, strlen(c->before_name)), head);
    }
    m->head[i] = (gram_edge){GRAM_MATCH, head, gram_add_place(m->g, false)};
    int rc = c->raw ? ST_OK : arguments_of(m, i);
    return rc ? err_prefix(m->e, "tool \"%s\"", name) : ST_OK;
}

// The expressions around calls: what closes one, stands between two, ends the last, and opens the first.
typedef struct around {
    rx close, next, end, opening, thoughts, not_bare;
} around;

// From `call` to `last`: the calls behind one opening word.
static void lay_calls(maker *m, const around *a)
{
    gram *g = m->g;
    const gram_calls *c = m->c;
    uint32_t after = gram_add_place(g, false),
             closed = c->end && !c->harmony ? gram_add_place(g, false) : m->last;
    for (size_t i = 0; i < c->n_tools; i++) {
        gram_edge values = {GRAM_CALL, m->arguments[i], after};
        if (c->raw)
            values = (gram_edge){GRAM_EPSILON, 0, after};
        gram_set_edges(g, m->head[i].to, &values, 1);
    }
    gram_set_edges(g, m->call, m->head, c->n_tools);
    gram_set_edges(g, after, &(gram_edge){GRAM_MATCH, a->close, closed}, 1);
    gram_edge on[] = {{GRAM_MATCH, a->end, m->last}, {GRAM_MATCH, a->next, m->call}};
    if (c->end && !c->harmony)
        gram_set_edges(g, closed, on, c->many ? 2 : 1);
}

// The whole text: thoughts, free text, the first opening; behind calls more of both.
static uint32_t lay_whole(maker *m, const around *a, rx blanks)
{
    gram *g = m->g;
    rx_pool *p = &g->rx;
    const gram_calls *c = m->c;
    bool many = c->many && !c->harmony;
    uint32_t start = gram_add_place(g, false), text = gram_add_place(g, false);
    uint32_t end = gram_add_place(g, true), rule = gram_add_rule(g);
    gram_edge first[] = {{GRAM_EPSILON, 0, text}, {GRAM_MATCH, a->thoughts, text}};
    gram_set_edges(g, start, first, c->think ? 2 : 1);
    gram_edge must[] = {{GRAM_MATCH, a->opening, m->call}, {GRAM_MATCH, blanks, m->call}};
    gram_edge may[] = {{GRAM_MATCH, rx_and(p, m->free, a->not_bare), end},
                       {GRAM_MATCH, rx_and(p, m->until, a->not_bare), m->call},
                       {GRAM_MATCH, blanks, m->call}};
    if (c->must)
        gram_set_edges(g, text, must + c->bare, 1);
    else
        gram_set_edges(g, text, may, c->bare ? 3 : 2);
    gram_edge more[] = {
        {GRAM_MATCH, a->opening, m->call}, {GRAM_MATCH, m->free, end}, {GRAM_MATCH, m->until, m->call}};
    if (many && c->text_after)
        gram_set_edges(g, m->last, more + 1, 2);
    else if (many && !c->end)
        gram_set_edges(g, m->last, more, 1);
    if (!g->failed)
        g->rule[rule].start = start;
    return rule;
}

static around lay_words(maker *m, rx blanks)
{
    rx_pool *p = &m->g->rx;
    const gram_calls *c = m->c;
    around a = {RX_EMPTY, RX_NONE, RX_NONE, RX_NONE, RX_NONE, RX_ALL};
    if (c->harmony) {
        a.opening = gram_harmony_before(p, c->harmony, true);
        return a;
    }
    size_t n = strlen(c->close);
    a.close = c->raw ? rx_until(p, c->close, n, false) : spaced(m, c->close, n);
    a.next = c->next ? spaced(m, c->next, strlen(c->next)) : RX_NONE;
    a.end = c->end ? spaced(m, c->end, strlen(c->end)) : RX_NONE;
    rx begin = spaced(m, c->begin, strlen(c->begin));
    a.opening = rx_cat(p, m->blank, rx_cat(p, word_rx(m, &c->open), begin));
    m->until = rx_cat(p, m->until, begin);
    if (c->think)
        a.thoughts = rx_cat(p, blanks,
                            rx_cat(p, rx_literal(p, c->think, strlen(c->think)),
                                   rx_until(p, c->unthink, strlen(c->unthink), false)));
    if (c->bare) {
        const char *brace = c->before_name + strspn(c->before_name, " ");
        a.not_bare = rx_not(p, rx_cat(p, blanks, rx_cat(p, rx_byte(p, (unsigned char)*brace), RX_ALL)));
    }
    return a;
}

static int compile(maker *m)
{
    gram *g = m->g;
    rx_pool *p = &g->rx;
    const gram_calls *c = m->c;
    int rc = ST_OK;
    for (size_t i = 0; i < c->n_tools && !rc; i++) {
        m->schema[i] = (schema){.g = g, .e = m->e};
        rc = schema_prepare(&m->schema[i]);
    }
    if (rc)
        return rc;
    m->blank = m->schema[0].blank;
    m->call = gram_add_place(g, false);
    m->last = gram_add_place(g, true);
    lay_text(m);
    for (size_t i = 0; i < c->n_tools && !rc; i++)
        rc = lay_tool(m, i);
    if (rc)
        return rc;
    // All expressions first: the alphabet is closed before the rules of schemas can be finished.
    rx blanks = any_blanks(m);
    around a = lay_words(m, blanks);
    uint32_t root = lay_whole(m, &a, blanks);
    lay_calls(m, &a);
    rx_freeze(p);
    for (size_t i = 0; i < c->n_tools && !c->raw; i++)
        if (schema_settle(&m->schema[i], m->arguments[i]))
            return err_prefix(m->e, "tool \"%s\"", c->tool[i].name);
    return gram_machine_finish(g, root, NULL, m->e);
}

int gram_compile_calls(gram **out, const gram_vocab *v, gram_lead lead, const gram_calls *c, err *e)
{
    err own = {0};
    maker m = {.c = c, .e = e ? e : &own};
    *out = NULL;
    int rc = gram_machine_new(&m.g, v, lead, m.e);
    if (rc)
        return rc;
    m.schema = mem_calloc(MEM_GRAMMAR, c->n_tools, sizeof *m.schema);
    m.arguments = mem_calloc(MEM_GRAMMAR, c->n_tools, sizeof *m.arguments);
    m.head = mem_calloc(MEM_GRAMMAR, c->n_tools, sizeof *m.head);
    rc = m.schema && m.arguments && m.head ? compile(&m) : no_memory(&m);
    for (size_t i = 0; m.schema && i < c->n_tools; i++)
        schema_unload(&m.schema[i]);
    mem_free(m.schema);
    mem_free(m.arguments);
    mem_free(m.head);
    if (rc)
        gram_free(m.g);
    else
        *out = m.g;
    return rc;
}

// JSON schemas, and any JSON at all, as grammars.
#include <string.h>

#include "gram/schema.h"

// Blanks between the parts of a JSON text: a few, or a line break and an indentation. A model that only writes blanks
// must come to an end.
enum { MOST_BLANKS = 3, MOST_INDENT = 40 };

static rx blanks(rx_pool *p)
{
    rx_set any = {{(uint64_t)1 << ' ' | 1 << '\t' | 1 << '\n' | 1 << '\r'}};
    rx_set side = {{(uint64_t)1 << ' ' | 1 << '\t'}};
    rx indent = rx_repeat(p, rx_of_set(p, &side), 0, MOST_INDENT);
    rx line = rx_cat(p, rx_repeat(p, rx_byte(p, '\r'), 0, 1), rx_cat(p, rx_byte(p, '\n'), indent));
    return rx_or(p, rx_repeat(p, rx_of_set(p, &any), 0, MOST_BLANKS), line);
}

int schema_prepare(schema *s)
{
    gram *g = s->g;
    rx_pool *p = &g->rx;
    s->blank = blanks(p);
    s->quote = rx_byte(p, '"');
    s->open_brace = rx_byte(p, '{');
    s->open_bracket = rx_byte(p, '[');
    s->any_char = pattern_json_char(p);
    s->short_char = pattern_any(p, PATTERN_JSON);
    g->body[GRAM_BODY_ANY] = rx_repeat(p, s->any_char, 0, RX_MANY);
    g->body[GRAM_BODY_SHORT] = rx_repeat(p, s->short_char, 0, RX_MANY);
    if (!g->objects)
        g->objects = object_new(g, s->blank);
    return g->objects && !g->failed && !p->failed ? ST_OK
                                                  : err_set(s->e, ST_NOMEM, "no memory for a JSON schema");
}

// Blanks may stand before the value.
static int finish(schema *s, uint32_t root)
{
    gram *g = s->g;
    rx_freeze(&g->rx);
    int rc = schema_settle(s, root);
    if (rc)
        return rc;
    uint32_t text = gram_add_rule(g), from = gram_add_place(g, false), middle = gram_add_place(g, false);
    gram_set_edges(g, from, &(gram_edge){GRAM_MATCH, s->blank, middle}, 1);
    gram_set_edges(g, middle, &(gram_edge){GRAM_CALL, root, g->objects->end}, 1);
    if (!g->failed)
        g->rule[text].start = from;
    return gram_machine_finish(g, text, NULL, s->e);
}

int gram_compile_json_schema(gram **out, const gram_vocab *v, gram_lead lead, const char *text, size_t n,
                             err *e)
{
    schema s = {.e = e};
    *out = NULL;
    int rc = gram_machine_new(&s.g, v, lead, e);
    if (rc)
        return rc;
    rc = schema_prepare(&s);
    if (!rc)
        rc = schema_load(&s, text, n);
    uint32_t root = GRAM_ABSENT;
    if (!rc && !json_is_object(s.root) && !json_is_boolean(s.root))
        rc = err_set(e, ST_FORMAT, "JSON schema: neither an object nor true or false");
    if (!rc) {
        root = schema_rule(&s, &(schema_literal){s.root, false}, 1);
        rc = root == GRAM_ABSENT ? err_set(e, ST_NOMEM, "no memory for a JSON schema") : schema_build(&s);
    }
    if (!rc)
        rc = finish(&s, root);
    schema_unload(&s);
    if (rc)
        gram_free(s.g);
    else
        *out = s.g;
    return rc;
}

int gram_compile_json(gram **out, const gram_vocab *v, gram_lead lead, err *e)
{
    return gram_compile_json_schema(out, v, lead, "true", 4, e);
}

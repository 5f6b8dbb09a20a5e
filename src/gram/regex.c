// A regular expression as a grammar of one rule.
#include "gram/machine.h"

int gram_compile_regex(gram **out, const gram_vocab *v, gram_lead lead, const char *pattern, size_t n, err *e)
{
    gram *g;
    rx all = RX_NONE;
    int rc = gram_machine_new(&g, v, lead, e);
    *out = NULL;
    if (rc)
        return rc;
    rc = pattern_compile(&g->rx, pattern, n, PATTERN_TEXT, true, &all, e);
    if (!rc) {
        uint32_t from = gram_add_place(g, false), to = gram_add_place(g, true), rule = gram_add_rule(g);
        gram_set_edges(g, from, &(gram_edge){GRAM_MATCH, all, to}, 1);
        if (!g->failed)
            g->rule[rule].start = from;
        rc = gram_machine_finish(g, rule, NULL, e);
    }
    if (rc)
        gram_free(g);
    else
        *out = g;
    return rc;
}

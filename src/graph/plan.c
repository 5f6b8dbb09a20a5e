// The plan of activation buffers: values that never live at the same time share bytes.
//
// Offline interval packing, largest first, each at the lowest offset free over its whole life ("greedy by
// size", Pisarchyk & Lee 2020, arXiv 2001.03288).
#include <stdlib.h>

#include "base/check.h"
#include "graph/graph.h"

size_t graph_q8_row_bytes(int width)
{
    return (size_t)round_up((uint64_t)width, 64);
}

size_t graph_q8_scale_offset(int width, int rows)
{
    return graph_q8_row_bytes(width) * (size_t)rows;
}

size_t graph_q8_sum_offset(enum graph_form form, int width, int rows)
{
    size_t scales = (size_t)width / (form == GRAPH_Q8_32 ? 32 : 256);
    return graph_q8_scale_offset(width, rows) + (size_t)round_up(scales * 4 * (size_t)rows, 64);
}

size_t graph_form_bytes(enum graph_form form, int width, int rows)
{
    if (form == GRAPH_F32)
        return (size_t)round_up((uint64_t)width * 4 * (uint64_t)rows, 64);
    size_t sums = (size_t)width / (form == GRAPH_Q8_32 ? 32 : 16);
    return graph_q8_sum_offset(form, width, rows) + (size_t)round_up(sums * 2 * (size_t)rows, 64);
}

typedef struct piece {  // one form of one value
    int value;
    enum graph_form form;
    size_t bytes, offset;
} piece;

static int larger_first(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->value != y->value ? x->value - y->value : (int)x->form - (int)y->form;
}

static bool meet(const graph *g, const piece *a, const piece *b)
{
    const graph_value *x = &g->values[a->value], *y = &g->values[b->value];
    return x->first <= y->last && y->first <= x->last;
}

// The lowest offset at which pieces[i] touches none of the placed pieces it meets in time.
static size_t lowest_free(const graph *g, const piece *pieces, int i)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int j = 0; j < i; j++)
            if (meet(g, &pieces[i], &pieces[j]) && at < pieces[j].offset + pieces[j].bytes &&
                pieces[j].offset < at + pieces[i].bytes) {
                at = pieces[j].offset + pieces[j].bytes;
                moved = true;
            }
    }
    return at;
}

graph_layout graph_plan(graph *g, int tokens, int outputs)
{
    graph_layout layout = {0};
    piece *pieces = arena_alloc(&g->mem, (size_t)g->n_values * GRAPH_FORMS * sizeof *pieces);
    if (!pieces)
        return layout;
    int n = 0;
    for (int i = 0; i < g->n_values; i++) {
        const graph_value *v = &g->values[i];
        int rows = (v->rows == GRAPH_TOKENS ? tokens : outputs) * v->each;
        for (int f = 0; f < GRAPH_FORMS; f++)
            if (v->forms >> f & 1)
                pieces[n++] = (piece){i, (enum graph_form)f,
                                      graph_form_bytes((enum graph_form)f, v->width, rows), 0};
    }
    qsort(pieces, (size_t)n, sizeof *pieces, larger_first);
    for (int i = 0; i < n; i++) {
        piece *p = &pieces[i];
        p->offset = lowest_free(g, pieces, i);
        g->values[p->value].offset[p->form] = p->offset;
        layout.bytes = MAX(layout.bytes, p->offset + p->bytes);
        layout.unshared += p->bytes;
    }
    return layout;
}

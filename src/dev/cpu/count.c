// What the CPU device would take for a graph: the sums of weights.c and cpu.c, without the memory.
#include "dev/cpu/cpu.h"

// Bytes that are resident of an array of n bytes whose first `used` are written to.
static size_t resident(size_t n, size_t used, size_t huge)
{
    size_t page = n >= huge ? huge : 4096;
    return (size_t)round_up(used, page);
}

static size_t rope_bytes(const graph *g, int tokens)
{
    size_t n = 0;
    for (int i = 0; i < g->n_ropes; i++)
        n += (size_t)tokens * 2 * (size_t)g->ropes[i].half * sizeof(float);
    return n;
}

dev_cpu_needs dev_cpu_count(const graph *g, bool no_repack, int threads, int tokens, int depth, size_t huge)
{
    dev_cpu_needs needs = {0};
    for (int i = 0; i < g->n_weights; i++) {
        const graph_weight *w = &g->weights[i];
        size_t packed = no_repack || w->lookup_only ? 0 : cpu_packed_bytes(w);
        needs.packed += (size_t)round_up(packed, 64);
        if (!packed && !w->lookup_only)
            needs.in_place += (size_t)w->n * (size_t)w->parts * quant_row_bytes(w->type, (uint64_t)w->k);
    }
    needs.packed = (size_t)round_up(needs.packed, needs.packed >= huge ? huge : 4096);
    size_t partial = 0;
    for (int i = 0; i < g->n_ops; i++)
        if (g->ops[i].kind == GRAPH_ATTEND)
            partial = MAX(partial, cpu_attend_partial(&g->ops[i].att, depth));
    if (partial > CPU_PARTIAL_FLOATS)
        partial = 0;  // attend.c then goes through whole tiles
    const size_t scratch = cpu_scratch_floats(g) * sizeof(float) * (size_t)threads;
    const size_t trails = CPU_TRAIL_FLOATS * sizeof(float) * (size_t)threads;
    const size_t trail = CPU_TRAIL_FLOATS * sizeof(float) / 4;  // a tile's at 4,096 tokens of context
    needs.scratch = resident(scratch, scratch, huge) + rope_bytes(g, tokens) +
                    resident(CPU_PARTIAL_FLOATS * sizeof(float), partial * sizeof(float), huge) +
                    resident(trails, trail * (size_t)threads, huge);
    return needs;
}

// The CPU device: threads, kernels, and the walk over a graph's operations.
//
// All threads walk the list together with a barrier after each operation; inside, an operation shares its work
// out by a counter (matmul, attention) or by equal parts (rows).
#include "dev/cpu/cpu.h"

#include <limits.h>
#include <stdio.h>

static void cpu_free(dev *base)
{
    cpu_dev *d = (cpu_dev *)base;
    pool_free(d->threads);
    mem_pages_free(MEM_WEIGHTS, d->packed, d->packed_bytes);
    os_unmap(&d->cache);
    mem_free(d->weights);
    mem_free(d);
}

static void cpu_plan_free(dev_plan *plan)
{
    cpu_plan *p = (cpu_plan *)plan;
    if (!p)
        return;
    mem_pages_free(MEM_BUFFERS, p->buffer, p->buffer_bytes);
    mem_pages_free(MEM_BUFFERS, p->rope, p->rope_floats * sizeof *p->rope);
    mem_pages_free(MEM_BUFFERS, p->scratch,
                   p->scratch_floats * sizeof *p->scratch * (size_t)pool_threads(p->dev->threads));
    mem_pages_free(MEM_BUFFERS, p->partial, CPU_PARTIAL_FLOATS * sizeof *p->partial);
    mem_pages_free(MEM_BUFFERS, p->trails,
                   CPU_TRAIL_FLOATS * sizeof *p->trails * (size_t)pool_threads(p->dev->threads));
    mem_free(p->rope_offset);
    mem_free(p->sorting.start);
    mem_free(p->sorting.place);
    mem_free(p->counters);
    mem_free(p);
}

// Widest row any operation computes in scratch, and the attention's needs.
size_t cpu_scratch_floats(const graph *g)
{
    size_t n = KERN_SUPER;
    for (int i = 0; i < g->n_ops; i++) {
        const graph_op *op = &g->ops[i];
        if (op->kind == GRAPH_EMBED || op->kind == GRAPH_NORM || op->kind == GRAPH_PICK)
            n = MAX(n, 2 * (size_t)g->values[op->out[0]].width);  // EMBED: a token's row and a position's
        if (op->kind == GRAPH_MATMUL)
            n = MAX(n, CPU_ADAPTER_ROWS * (size_t)g->values[op->in[0]].width);
        if (op->kind == GRAPH_ATTEND)
            n = MAX(n, cpu_attend_scratch(op->att.head_dim));
        if (op->kind == GRAPH_ROUTE)
            n = MAX(n, (size_t)op->choice.experts);
    }
    return (size_t)round_up(n, 1024);  // whole pages: threads share none
}

static int sorting_alloc(cpu_plan *p)
{
    size_t experts = 0, pairs = 0;
    for (int i = 0; i < p->g->n_ops; i++) {
        const graph_op *op = &p->g->ops[i];
        if (op->kind != GRAPH_ROUTE)
            continue;
        experts = MAX(experts, (size_t)op->choice.experts);
        pairs = MAX(pairs, (size_t)cpu_max_rows(p, cpu_value(p, op->out[1])));
    }
    if (pairs == 0)
        return ST_OK;
    p->sorting.start = mem_calloc(MEM_BUFFERS, experts + 1, sizeof *p->sorting.start);
    p->sorting.place = mem_calloc(MEM_BUFFERS, pairs, sizeof *p->sorting.place);
    return p->sorting.start && p->sorting.place ? ST_OK : ST_NOMEM;
}

static int plan_alloc(cpu_plan *p)
{
    size_t threads = (size_t)pool_threads(p->dev->threads);
    p->rope_offset = mem_calloc(MEM_BUFFERS, (size_t)p->g->n_ropes + 1, sizeof *p->rope_offset);
    if (!p->rope_offset || sorting_alloc(p))
        return ST_NOMEM;
    for (int i = 0; i < p->g->n_ropes; i++) {
        p->rope_offset[i] = p->rope_floats;
        p->rope_floats += (size_t)p->max_tokens * 2 * (size_t)p->g->ropes[i].half;
    }
    p->layout = graph_plan(p->g, p->max_tokens, p->max_outputs);
    p->buffer_bytes = p->layout.bytes;
    p->scratch_floats = cpu_scratch_floats(p->g);
    p->buffer = mem_pages_alloc(MEM_BUFFERS, p->buffer_bytes);
    p->rope = mem_pages_alloc(MEM_BUFFERS, p->rope_floats * sizeof *p->rope);
    p->scratch = mem_pages_alloc(MEM_BUFFERS, p->scratch_floats * sizeof *p->scratch * threads);
    p->partial = mem_pages_alloc(MEM_BUFFERS, CPU_PARTIAL_FLOATS * sizeof *p->partial);
    p->trails = mem_pages_alloc(MEM_BUFFERS, CPU_TRAIL_FLOATS * sizeof *p->trails * threads);
    p->counters = mem_calloc(MEM_BUFFERS, (size_t)p->g->n_ops * 2, sizeof *p->counters);
    return p->layout.bytes && p->buffer && p->rope && p->scratch && p->partial && p->trails && p->counters
               ? ST_OK
               : ST_NOMEM;
}

static int cpu_plan_new(dev *d, graph *g, const dev_kv_shape *kv, int tokens, int outputs, dev_plan **out,
                        err *e)
{
    *out = NULL;
    cpu_plan *p = mem_calloc(MEM_BUFFERS, 1, sizeof *p);
    if (!p)
        return err_set(e, ST_NOMEM, "no memory for the plan");
    p->dev = (cpu_dev *)d;
    p->g = g;
    p->kv = *kv;
    p->max_tokens = tokens;
    p->max_outputs = outputs;
    if (plan_alloc(p)) {
        cpu_plan_free((dev_plan *)p);
        return err_set(e, ST_NOMEM, "no memory for activations of %d tokens; use a smaller batch", tokens);
    }
    *out = (dev_plan *)p;
    return ST_OK;
}

static void (*const op_fns[])(cpu_worker *w, const graph_op *op, int index) = {
    [GRAPH_EMBED] = cpu_embed, [GRAPH_NORM] = cpu_norm,     [GRAPH_MATMUL] = cpu_matmul,
    [GRAPH_STORE] = cpu_store, [GRAPH_ATTEND] = cpu_attend, [GRAPH_GLU] = cpu_glu,
    [GRAPH_PICK] = cpu_pick,   [GRAPH_MEAN] = cpu_mean,     [GRAPH_ROUTE] = cpu_route,
    [GRAPH_BLEND] = cpu_blend,
};

static void walk(void *ctx, int ith, int nth)
{
    cpu_plan *p = ctx;
    cpu_worker w = {.plan = p,
                    .batch = p->batch,
                    .ith = ith,
                    .nth = nth,
                    .scratch = p->scratch + (size_t)ith * p->scratch_floats};
    cpu_rope_tables(&w);  // read first by an operation that has a barrier before it
    for (int i = 0; i < p->g->n_ops; i++) {
        op_fns[p->g->ops[i].kind](&w, &p->g->ops[i], i);
        if (ith == 0 && p->batch->cancel && p->batch->cancel(p->batch->cancel_ctx))
            atomic_store(&p->canceled_at, i);
        pool_barrier(p->dev->threads);
        if (atomic_load(&p->canceled_at) <= i)  // thread 0 may already be one operation further
            return;
    }
}

static int cpu_run(dev_plan *plan, const dev_batch *b, const float **logits)
{
    cpu_plan *p = (cpu_plan *)plan;
    p->batch = b;
    atomic_store(&p->canceled_at, INT_MAX);
    for (int i = 0; i < p->g->n_ops * 2; i++)
        atomic_store_explicit(&p->counters[i], 0, memory_order_relaxed);
    pool_run(p->dev->threads, walk, p);
    p->batch = NULL;
    *logits = cpu_f32(p, cpu_value(p, p->g->logits), 0);
    return atomic_load(&p->canceled_at) != INT_MAX ? ST_CANCELED : ST_OK;
}

static graph_layout cpu_layout(const dev_plan *p)
{
    return ((const cpu_plan *)p)->layout;
}

static dev_weight_bytes cpu_weight_bytes(const dev *base)
{
    const cpu_dev *d = (const cpu_dev *)base;
    return (dev_weight_bytes){.packed = d->packed ? d->packed_bytes : 0,
                              .mapped = d->cache.data ? d->packed_bytes : 0};
}

static const char *cpu_describe(const dev *d)
{
    return ((const cpu_dev *)d)->description;
}

static enum graph_form cpu_form_of(int quant_type)
{
    switch (kern_act_of(kern_family_of(quant_type))) {
    case KERN_ACT_Q8_32: return GRAPH_Q8_32;
    case KERN_ACT_Q8_256: return GRAPH_Q8_256;
    default: return GRAPH_F32;
    }
}

static enum graph_form cpu_form_as_is(int quant_type)
{
    (void)quant_type;
    return GRAPH_F32;
}

static const dev_ops cpu_ops = {
    .free = cpu_free,
    .load = cpu_load,
    .plan = cpu_plan_new,
    .plan_free = cpu_plan_free,
    .run = cpu_run,
    .adapter_new = cpu_adapter_new,
    .adapter_free = cpu_adapter_free,
    .set_adapter = cpu_set_adapter,
    .layout = cpu_layout,
    .weight_bytes = cpu_weight_bytes,
    .describe = cpu_describe,
};

int dev_cpu_new(dev **out, const dev_cpu_options *o, err *e)
{
    *out = NULL;
    int isa = o->isa ? kern_isa_from_name(o->isa) : KERN_ISA_COUNT;
    if (isa < 0)
        return err_set(e, ST_INVALID, "cpu: \"%s\" is not known, use scalar, avx2, avx512, amx or neon",
                       o->isa);
    cpu_dev *d = mem_calloc(MEM_OTHER, 1, sizeof *d);
    if (!d)
        return err_set(e, ST_NOMEM, "no memory for the device");
    int rc = pool_new(&d->threads, o->threads > 0 ? o->threads : os_cpu_count(), o->pin, e);
    if (rc) {
        mem_free(d);
        return rc;
    }
    d->base.ops = &cpu_ops;
    d->base.form_of = o->no_repack ? cpu_form_as_is : cpu_form_of;
    d->no_repack = o->no_repack;
    d->kern = kern_get((enum kern_isa)isa);
    snprintf(d->description, sizeof d->description, "cpu %s, %d thread%s", kern_isa_name(d->kern->isa),
             pool_threads(d->threads), pool_threads(d->threads) == 1 ? "" : "s");
    *out = &d->base;
    return ST_OK;
}

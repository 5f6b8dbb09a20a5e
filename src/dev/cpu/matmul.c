// Matrix products: one input against up to three weight matrices, panels shared out among the threads. Of experts,
// each multiplies its own stretch of the sorted rows; one counter serves them all, so that no thread waits for an expert.
#include <string.h>

#include "dev/cpu/cpu.h"

// The input in the form the weight's family reads.
static kern_act input_of(const cpu_plan *p, const graph_value *v, enum kern_family family)
{
    kern_act a = {.kind = kern_act_of(family), .k = v->width};
    if (a.kind == KERN_ACT_F32) {
        a.x = cpu_f32(p, v, 0);
        a.ldx = (size_t)v->width;
        return a;
    }
    enum graph_form form = a.kind == KERN_ACT_Q8_32 ? GRAPH_Q8_32 : GRAPH_Q8_256;
    const uint8_t *at = p->buffer + v->offset[form];
    int rows = cpu_max_rows(p, v);
    a.q = (const int8_t *)at;
    a.ldq = graph_q8_row_bytes(v->width);
    a.d = (const float *)(const void *)(at + graph_q8_scale_offset(v->width, rows));
    a.sum = (const int16_t *)(const void *)(at + graph_q8_sum_offset(form, v->width, rows));
    return a;
}

// Panels a thread takes at once. A single token reads each panel once, so long pieces let memory stream, up to
// 256 KiB and a quarter of an even share; with many tokens a panel is already much work.
static int chunk_panels(const kern_weight *w, int tokens, int panels, int nth)
{
    int chunk = tokens < 8 ? (int)(262144 / w->panel_bytes) : 4;
    return MAX(1, MIN(chunk, panels / (nth * 4)));
}

// What comes after the product, for rows [t0, t1) and the columns of panels [p0, p1): the bias, the cap.
static void finish(const cpu_plan *p, const graph_op *op, const float *bias, float *y, int ldy, int t0,
                   int t1, int p0, int p1)
{
    const kern_table *kern = p->dev->kern;
    int from = p0 * KERN_PANEL, n = MIN(p1 * KERN_PANEL, ldy) - from;
    for (int t = t0; t < t1; t++) {
        float *row = y + (size_t)t * (size_t)ldy + from;
        if (bias)
            kern->add(row, bias + from, n, row);
        if (op->cap > 0)
            kern->softcap(row, n, op->cap, row);
    }
}

// What a thread has taken of an operation: panels [from, to), counted through all its matrices and experts.
typedef struct share {
    atomic_int *next;
    int base;  // panels before the present matrix
    int from, to;
    bool more;
} share;

// Part `part` of the i-th matrix times rows [t0, t1): this thread's shares of it.
static void multiply(cpu_worker *w, const graph_op *op, int i, int part, int t0, int t1, share *s)
{
    cpu_plan *p = w->plan;
    const kern_weight kw = cpu_weight_part(p->dev, op->weight[i], part);
    const graph_value *in = cpu_value(p, op->in[0]), *out = cpu_value(p, op->out[i]);
    const float *bias = op->bias[i] ? op->bias[i] + (size_t)part * (size_t)kw.n : NULL;
    kern_act a = input_of(p, in, kw.family);
    int panels = (kw.n + KERN_PANEL - 1) / KERN_PANEL;
    int chunk = chunk_panels(&kw, t1 - t0, panels, w->nth);
    kern_matmul_fn *kernel = kw.family == KERN_DECODE ? p->dev->kern->matmul_decode
                                                      : p->dev->kern->matmul[kw.type];
    float *y = cpu_f32(p, out, 0);
    for (;;) {
        if (s->from >= s->to && !(s->more = pool_next(s->next, INT32_MAX, chunk, &s->from, &s->to)))
            break;
        if (s->from >= s->base + panels)
            break;  // belongs to the next matrix
        int p0 = s->from - s->base, p1 = MIN(s->to - s->base, panels);
        kernel(&kw, &a, t0, t1, p0, p1, y, (size_t)out->width);
        if (p->adapter)
            cpu_adapter_up(w, op, i, t0, t1, p0, p1);
        if (bias || op->cap > 0)
            finish(p, op, bias, y, out->width, t0, t1, p0, p1);
        s->from = s->base + p1;
    }
    s->base += panels;
}

static void observe(const cpu_plan *p, const graph_op *op, int part, int t0, int t1)
{
    const graph_value *in = cpu_value(p, op->in[0]);
    if (in->forms >> GRAPH_F32 & 1)
        for (int i = 0; i < op->n_weights; i++)
            p->batch->observe(p->batch->observe_ctx, op->weight[i], part, cpu_f32(p, in, t0), t1 - t0,
                              in->width);
}

void cpu_matmul(cpu_worker *w, const graph_op *op, int index)
{
    cpu_plan *p = w->plan;
    int rows = cpu_rows(p, cpu_value(p, op->in[0]));
    bool experts = op->in[1] != GRAPH_NONE;
    if (cpu_adapted(p, op)) {
        cpu_adapter_down(w, op);
        pool_barrier(p->dev->threads);
    }
    int parts = experts ? p->g->weights[op->weight[0]].parts : 1;
    share s = {.next = &p->counters[2 * index], .more = rows > 0};
    bool observed = w->ith == 0 && p->batch->observe;  // inputs do not change while they are multiplied
    for (int part = 0; part < parts; part++) {
        int t0 = experts ? p->sorting.start[part] : 0, t1 = experts ? p->sorting.start[part + 1] : rows;
        if (observed && t0 < t1)
            observe(p, op, part, t0, t1);
        for (int i = 0; i < op->n_weights && t0 < t1 && s.more; i++)
            multiply(w, op, i, part, t0, t1, &s);
    }
}

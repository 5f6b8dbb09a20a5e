// Matrix products: one input against up to three weight matrices, panels shared out among the threads.
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

// Panels a thread takes at once. A single token reads each panel once, so pieces of about 64 KiB keep the
// memory streams long and the shares even; with many tokens a panel is already much work.
static int chunk_panels(const kern_weight *w, int tokens, int panels, int nth)
{
    int chunk = tokens < 8 ? (int)(65536 / w->panel_bytes) : 4;
    return MAX(1, MIN(chunk, panels / (nth * 4)));
}

// What comes after the product, for the columns of panels [p0, p1): the i-th matrix's bias, the cap.
static void finish(const cpu_plan *p, const graph_op *op, int i, float *y, int rows, int p0, int p1)
{
    const kern_table *kern = p->dev->kern;
    int ldy = cpu_value(p, op->out[i])->width, from = p0 * KERN_PANEL, n = MIN(p1 * KERN_PANEL, ldy) - from;
    for (int t = 0; t < rows; t++) {
        float *row = y + (size_t)t * (size_t)ldy + from;
        if (op->bias[i])
            kern->add(row, op->bias[i] + from, n, row);
        if (op->cap > 0)
            kern->softcap(row, n, op->cap, row);
    }
}

void cpu_matmul(cpu_worker *w, const graph_op *op, int index)
{
    cpu_plan *p = w->plan;
    const graph_value *in = cpu_value(p, op->in[0]);
    int rows = cpu_rows(p, in);
    if (rows == 0)
        return;
    atomic_int *next = &p->counters[2 * index];
    int base = 0;  // panels of the matrices before this one: one counter serves all
    int from = 0, to = 0;
    bool more = true;
    for (int i = 0; i < op->n_weights && more; i++) {
        const kern_weight *kw = &p->dev->weights[op->weight[i]];
        const graph_value *out = cpu_value(p, op->out[i]);
        kern_act a = input_of(p, in, kw->family);
        int panels = (kw->n + KERN_PANEL - 1) / KERN_PANEL;
        int chunk = chunk_panels(kw, rows, panels, w->nth);
        kern_matmul_fn *multiply = kw->family == KERN_DECODE ? p->dev->kern->matmul_decode
                                                             : p->dev->kern->matmul[kw->type];
        float *y = cpu_f32(p, out, 0);
        for (;;) {
            if (from >= to && !(more = pool_next(next, INT32_MAX, chunk, &from, &to)))
                break;
            if (from >= base + panels)
                break;  // belongs to the next matrix
            int p0 = from - base, p1 = MIN(to - base, panels);
            multiply(kw, &a, 0, rows, p0, p1, y, (size_t)out->width);
            if (op->bias[i] || op->cap > 0)
                finish(p, op, i, y, rows, p0, p1);
            from = base + p1;
        }
        base += panels;
    }
}

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

static void add_bias(float *y, size_t ldy, const float *bias, int n, int rows, int p0, int p1)
{
    int from = p0 * KERN_PANEL, to = MIN(p1 * KERN_PANEL, n);
    for (int t = 0; t < rows; t++)
        for (int i = from; i < to; i++)
            y[(size_t)t * ldy + (size_t)i] += bias[i];
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
            if (op->bias[i])
                add_bias(y, (size_t)out->width, op->bias[i], kw->n, rows, p0, p1);
            from = base + p1;
        }
        base += panels;
    }
}

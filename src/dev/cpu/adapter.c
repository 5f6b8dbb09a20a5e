// Adapters: low-rank products beside the weights, which stay as they are packed.
//
// A product W x with an adapter runs in two steps with a barrier between: inner = scale * a x, a few values a row; then
// each panel of W x has b inner added as soon as it is made. The input is the one W meets: where that is quantized,
// its codes times their scales.
#include <string.h>

#include "dev/cpu/cpu.h"

enum { UP_ROWS = 32, UP_PANELS = 4 };  // of results that wait on the stack: 16 KiB

// With the room that keeps what follows aligned.
static size_t room(int type, int n, int k)
{
    return (size_t)round_up(kern_packed_bytes(type, n, k), 64);
}

static kern_weight pack(int type, int n, int k, const void *x, uint8_t **at)
{
    kern_weight w = {.type = type, .family = KERN_FLOAT, .n = n, .k = k, .data = *at};
    w.panel_bytes = kern_packed_bytes(type, n, k) / (size_t)((n + KERN_PANEL - 1) / KERN_PANEL);
    kern_pack(type, n, k, x, *at, 0, n);
    *at += room(type, n, k);
    return w;
}

static int fill(cpu_adapter *a, const cpu_plan *p, const dev_lowrank *parts)
{
    int most = 0;
    for (int i = 0; i < p->g->n_weights; i++) {
        const dev_lowrank *l = &parts[i];
        const graph_weight *w = &p->g->weights[i];
        if (l->rank)
            a->packed_bytes += room(l->type, l->rank, w->k) + room(l->type, w->n, l->rank);
        most = MAX(most, l->rank);
    }
    a->inner_floats = (size_t)MAX(p->max_tokens, p->max_outputs) * (size_t)most;
    a->part = mem_calloc(MEM_WEIGHTS, (size_t)p->g->n_weights, sizeof *a->part);
    a->packed = mem_pages_alloc(MEM_WEIGHTS, a->packed_bytes);
    a->inner = mem_calloc(MEM_BUFFERS, GRAPH_MAX_WEIGHTS * a->inner_floats, sizeof *a->inner);
    if (!a->part || !a->packed || !a->inner)
        return ST_NOMEM;
    uint8_t *at = a->packed;
    for (int i = 0; i < p->g->n_weights; i++) {
        const dev_lowrank *l = &parts[i];
        if (!l->rank)
            continue;
        a->part[i].a = pack(l->type, l->rank, p->g->weights[i].k, l->a, &at);
        a->part[i].b = pack(l->type, p->g->weights[i].n, l->rank, l->b, &at);
        a->part[i].scale = l->scale;
    }
    return ST_OK;
}

int cpu_adapter_new(dev_plan *plan, const dev_lowrank *parts, dev_adapter **out, err *e)
{
    *out = NULL;
    cpu_adapter *a = mem_calloc(MEM_WEIGHTS, 1, sizeof *a);
    if (!a || fill(a, (const cpu_plan *)plan, parts)) {
        cpu_adapter_free((dev_adapter *)a);
        return err_set(e, ST_NOMEM, "no memory for the adapter");
    }
    *out = (dev_adapter *)a;
    return ST_OK;
}

void cpu_adapter_free(dev_adapter *adapter)
{
    cpu_adapter *a = (cpu_adapter *)adapter;
    if (!a)
        return;
    mem_free(a->part);
    mem_pages_free(MEM_WEIGHTS, a->packed, a->packed_bytes);
    mem_free(a->inner);
    mem_free(a);
}

void cpu_set_adapter(dev_plan *plan, const dev_adapter *a, float scale)
{
    cpu_plan *p = (cpu_plan *)plan;
    p->adapter = (const cpu_adapter *)a;
    p->adapter_scale = scale;
}

bool cpu_adapted(const cpu_plan *p, const graph_op *op)
{
    for (int i = 0; p->adapter && i < op->n_weights; i++)
        if (p->adapter->part[op->weight[i]].a.n)
            return true;
    return false;
}

// A row of a value that is kept in quantized form only.
static void decode_row(const cpu_plan *p, const graph_value *v, int row, float *x)
{
    enum graph_form form = v->forms >> GRAPH_Q8_32 & 1 ? GRAPH_Q8_32 : GRAPH_Q8_256;
    int block = form == GRAPH_Q8_32 ? 32 : 256;
    const uint8_t *at = p->buffer + v->offset[form];
    const int8_t *q = (const int8_t *)at + (size_t)row * graph_q8_row_bytes(v->width);
    const float *d = (const float *)(const void *)(at + graph_q8_scale_offset(v->width, cpu_max_rows(p, v))) +
                     (size_t)row * (size_t)(v->width / block);
    for (int i = 0; i < v->width; i++)
        x[i] = d[i / block] * (float)q[i];
}

// Rows [t0, t1) of an operation's input in F32.
static kern_act input_rows(cpu_worker *w, const graph_value *v, int t0, int t1)
{
    kern_act a = {.kind = KERN_ACT_F32, .k = v->width, .ldx = (size_t)v->width};
    if (v->forms >> GRAPH_F32 & 1) {
        a.x = cpu_f32(w->plan, v, t0);
        return a;
    }
    for (int t = t0; t < t1; t++)
        decode_row(w->plan, v, t, w->scratch + (size_t)(t - t0) * a.ldx);
    a.x = w->scratch;
    return a;
}

// Inner values of rows [t0, t1): all panels of all matrices, or the one numbered `only`.
static void down_rows(cpu_worker *w, const graph_op *op, int t0, int t1, int only)
{
    const cpu_plan *p = w->plan;
    const kern_act a = input_rows(w, cpu_value(p, op->in[0]), t0, t1);
    for (int i = 0, number = 0; i < op->n_weights; i++) {
        const cpu_lowrank *l = &p->adapter->part[op->weight[i]];
        const int rank = l->a.n;
        const float scale = l->scale * p->adapter_scale;
        float *inner = p->adapter->inner + (size_t)i * p->adapter->inner_floats + (size_t)t0 * (size_t)rank;
        for (int panel = 0; panel * KERN_PANEL < rank; panel++, number++) {
            if (only >= 0 && number != only)
                continue;
            p->dev->kern->matmul[l->a.type](&l->a, &a, 0, t1 - t0, panel, panel + 1, inner, (size_t)rank);
            for (int t = 0; t < t1 - t0; t++)
                for (int r = panel * KERN_PANEL; r < MIN((panel + 1) * KERN_PANEL, rank); r++)
                    inner[t * rank + r] *= scale;
        }
    }
}

void cpu_adapter_down(cpu_worker *w, const graph_op *op)
{
    const cpu_plan *p = w->plan;
    const int rows = cpu_rows(p, cpu_value(p, op->in[0]));
    const int tiles = (rows + CPU_ADAPTER_ROWS - 1) / CPU_ADAPTER_ROWS;
    int panels = 0, from, to;
    for (int i = 0; i < op->n_weights; i++)
        panels += (p->adapter->part[op->weight[i]].a.n + KERN_PANEL - 1) / KERN_PANEL;
    const bool split = tiles < w->nth;  // few rows: threads share out the panels too
    const int pieces = split ? panels : 1;
    cpu_share(w, tiles * pieces, &from, &to);
    for (int u = from; u < to; u++) {
        int t0 = u / pieces * CPU_ADAPTER_ROWS;
        down_rows(w, op, t0, MIN(t0 + CPU_ADAPTER_ROWS, rows), split ? u % pieces : -1);
    }
}

void cpu_adapter_up(const cpu_worker *w, const graph_op *op, int i, int t0, int t1, int p0, int p1)
{
    enum { COLUMNS = UP_PANELS * KERN_PANEL };
    const cpu_plan *p = w->plan;
    const kern_table *kern = p->dev->kern;
    const kern_weight *b = &p->adapter->part[op->weight[i]].b;
    const graph_value *out = cpu_value(p, op->out[i]);
    const float *inner = p->adapter->inner + (size_t)i * p->adapter->inner_floats;
    if (!b->n)
        return;
    for (int panel = p0; panel < p1; panel += UP_PANELS) {
        const int column = panel * KERN_PANEL, panels = MIN(UP_PANELS, p1 - panel);
        kern_weight some = *b;  // these panels alone, so that their columns are the first
        some.n = MIN(panels * KERN_PANEL, b->n - column);
        some.data += (size_t)panel * b->panel_bytes;
        for (int t = t0; t < t1; t += UP_ROWS) {
            float y[UP_ROWS * COLUMNS];
            const int rows = MIN(UP_ROWS, t1 - t);
            const kern_act a = {
                .kind = KERN_ACT_F32, .k = b->k, .x = inner + (size_t)t * (size_t)b->k, .ldx = (size_t)b->k};
            kern->matmul[b->type](&some, &a, 0, rows, 0, panels, y, COLUMNS);
            for (int r = 0; r < rows; r++) {
                float *row = cpu_f32(p, out, t + r) + column;
                kern->add(row, y + r * COLUMNS, some.n, row);
            }
        }
    }
}

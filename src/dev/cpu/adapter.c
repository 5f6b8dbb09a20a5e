// Adapters: low-rank products beside the weights, which stay as they are packed.
//
// A product W x with an adapter runs in two steps with a barrier between: inner = scale * a x, a few values a row; then
// each panel of W x has b inner added as soon as it is made. The input is the one W meets: where that is quantized,
// its codes times their scales.
#include <string.h>

#include "dev/cpu/cpu.h"

enum { TILE = 16 };  // rows a step, whose results wait on the stack

static size_t packed_bytes(const dev_lowrank *l, const graph_weight *w)
{
    if (!l->rank)
        return 0;
    return kern_packed_bytes(QT_F32, l->rank, w->k) + kern_packed_bytes(QT_F32, w->n, l->rank);
}

static kern_weight pack(int n, int k, const float *x, uint8_t **at)
{
    size_t bytes = kern_packed_bytes(QT_F32, n, k);
    kern_weight w = {.type = QT_F32, .family = KERN_FLOAT, .n = n, .k = k, .data = *at};
    w.panel_bytes = bytes / (size_t)((n + KERN_PANEL - 1) / KERN_PANEL);
    kern_pack(QT_F32, n, k, x, *at, 0, n);
    *at += bytes;
    return w;
}

static int fill(cpu_adapter *a, const cpu_plan *p, const dev_lowrank *parts)
{
    int most = 0;
    for (int i = 0; i < p->g->n_weights; i++) {
        a->packed_bytes += packed_bytes(&parts[i], &p->g->weights[i]);
        most = MAX(most, parts[i].rank);
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
        a->part[i].a = pack(l->rank, p->g->weights[i].k, l->a, &at);
        a->part[i].b = pack(p->g->weights[i].n, l->rank, l->b, &at);
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

// Columns of one panel of the inner values, for rows [t0, t1).
static void down_tile(cpu_worker *w, const graph_op *op, int i, int t0, int t1, int panel)
{
    const cpu_plan *p = w->plan;
    const cpu_lowrank *l = &p->adapter->part[op->weight[i]];
    const graph_value *in = cpu_value(p, op->in[0]);
    const int rank = l->a.n, from = panel * KERN_PANEL, to = MIN(from + KERN_PANEL, rank);
    const bool plain = in->forms >> GRAPH_F32 & 1;
    const float scale = l->scale * p->adapter_scale;
    float *inner = p->adapter->inner + (size_t)i * p->adapter->inner_floats;
    for (int t = t0; t < t1; t++) {
        const float *x = plain ? cpu_f32(p, in, t) : w->scratch;
        if (!plain)
            decode_row(p, in, t, w->scratch);
        kern_act a = {.kind = KERN_ACT_F32, .k = in->width, .x = x, .ldx = (size_t)in->width};
        float *y = inner + (size_t)t * (size_t)rank;
        p->dev->kern->matmul[QT_F32](&l->a, &a, 0, 1, panel, panel + 1, y, (size_t)rank);
        for (int r = from; r < to; r++)
            y[r] *= scale;
    }
}

void cpu_adapter_down(cpu_worker *w, const graph_op *op)
{
    const cpu_plan *p = w->plan;
    const int rows = cpu_rows(p, cpu_value(p, op->in[0])), tiles = (rows + TILE - 1) / TILE;
    for (int i = 0; i < op->n_weights; i++) {
        const int panels = (p->adapter->part[op->weight[i]].a.n + KERN_PANEL - 1) / KERN_PANEL;
        int from, to;
        cpu_share(w, tiles * panels, &from, &to);
        for (int u = from; u < to; u++) {
            int t0 = u / panels * TILE;
            down_tile(w, op, i, t0, MIN(t0 + TILE, rows), u % panels);
        }
    }
}

void cpu_adapter_up(const cpu_worker *w, const graph_op *op, int i, int t0, int t1, int p0, int p1)
{
    const cpu_plan *p = w->plan;
    const kern_weight *b = &p->adapter->part[op->weight[i]].b;
    const graph_value *out = cpu_value(p, op->out[i]);
    if (!b->n)
        return;
    kern_act a = {.kind = KERN_ACT_F32, .k = b->k, .ldx = (size_t)b->k};
    a.x = p->adapter->inner + (size_t)i * p->adapter->inner_floats;
    for (int panel = p0; panel < p1; panel++) {
        const int column = panel * KERN_PANEL, n = MIN(KERN_PANEL, b->n - column);
        kern_weight one = *b;  // the panel alone, so that its columns are the first
        one.n = n;
        one.data += (size_t)panel * b->panel_bytes;
        for (int t = t0; t < t1; t += TILE) {
            float y[TILE * KERN_PANEL];
            const int rows = MIN(TILE, t1 - t);
            kern_act tile = a;
            tile.x += (size_t)t * tile.ldx;
            p->dev->kern->matmul[QT_F32](&one, &tile, 0, rows, 0, 1, y, KERN_PANEL);
            for (int r = 0; r < rows; r++) {
                float *row = cpu_f32(p, out, t + r) + column;
                p->dev->kern->add(row, y + r * KERN_PANEL, n, row);
            }
        }
    }
}

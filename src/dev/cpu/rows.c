// Operations that work row by row: embedding, norms, gates, rotary positions, and what goes into the KV pages.
#include <math.h>
#include <string.h>

#include "dev/cpu/cpu.h"

enum { BLOCK = KERN_SUPER };  // columns of a unit of work; also the largest quantization block

void cpu_share(const cpu_worker *w, int total, int *from, int *to)
{
    *from = (int)((int64_t)total * w->ith / w->nth);
    *to = (int)((int64_t)total * (w->ith + 1) / w->nth);
}

static void emit_q8(const cpu_plan *p, const graph_value *v, enum graph_form form, int row, int from, int to,
                    const float *x)
{
    int rows = cpu_max_rows(p, v), block = form == GRAPH_Q8_32 ? 32 : 256,
        sums = form == GRAPH_Q8_32 ? 32 : 16;
    size_t ldq = graph_q8_row_bytes(v->width);
    uint8_t *at = p->buffer + v->offset[form];
    int8_t *q = (int8_t *)at + (size_t)row * ldq;
    float *d = (float *)(void *)(at + graph_q8_scale_offset(v->width, rows)) +
               (size_t)row * (size_t)(v->width / block);
    int16_t *sum = (int16_t *)(void *)(at + graph_q8_sum_offset(form, v->width, rows)) +
                   (size_t)row * (size_t)(v->width / sums);
    if (form == GRAPH_Q8_32)
        p->dev->kern->quantize_q8_32(x, to - from, q + from, d + from / 32, sum + from / 32);
    else
        p->dev->kern->quantize_q8_256(x, to - from, q + from, d + from / 256, sum + from / 16);
    if (to == v->width)
        memset(q + to, 0, ldq - (size_t)to);
}

void cpu_emit(const cpu_plan *p, const graph_value *v, int row, int from, int to, const float *x)
{
    if (v->forms >> GRAPH_F32 & 1) {
        float *y = cpu_f32(p, v, row) + from;
        if (y != x)
            memcpy(y, x, (size_t)(to - from) * sizeof *y);
    }
    if (v->forms >> GRAPH_Q8_32 & 1)
        emit_q8(p, v, GRAPH_Q8_32, row, from, to, x);
    if (v->forms >> GRAPH_Q8_256 & 1)
        emit_q8(p, v, GRAPH_Q8_256, row, from, to, x);
}

static void table_row(const graph_weight *table, int row, float *x)
{
    size_t bytes = quant_row_bytes(table->type, (uint64_t)table->k);
    const uint8_t *at = (const uint8_t *)table->data + (size_t)row * bytes;
    quant_type_info(table->type)->decode(at, x, (size_t)table->k);
}

void cpu_embed(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const graph_weight *table = &p->g->weights[op->weight[0]];
    const graph_value *out = cpu_value(p, op->out[0]);
    const graph_weight *places = op->weight[1] == GRAPH_NONE ? NULL : &p->g->weights[op->weight[1]];
    float *x = w->scratch;
    int from, to;
    cpu_share(w, w->batch->n_tokens, &from, &to);
    for (int t = from; t < to; t++) {
        table_row(table, w->batch->token[t], x);
        if (op->scale != 1)
            for (int i = 0; i < table->k; i++)
                x[i] *= op->scale;
        if (places) {
            table_row(places, w->batch->pos[t], x + table->k);
            p->dev->kern->add(x, x + table->k, table->k, x);
        }
        if (op->bias[0])
            p->dev->kern->add(x, op->bias[0], table->k, x);
        cpu_emit(p, out, t, 0, out->width, x);
    }
}

// row + addend to `out`, which may be the row.
static void add_to(const cpu_worker *w, const graph_op *op, const float *row, int t, float *out)
{
    const kern_table *kern = w->plan->dev->kern;
    const graph_value *v = cpu_value(w->plan, op->in[1]);
    const float *x = cpu_f32(w->plan, v, t);
    if (op->add.rms) {
        kern->rms_norm(x, op->add.rms, v->width, op->eps, w->scratch);
        x = w->scratch;
    }
    kern->add(row, x, v->width, out);
}

void cpu_norm(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const kern_table *kern = p->dev->kern;
    const graph_value *x = cpu_value(p, op->in[0]), *out = cpu_value(p, op->out[0]);
    int from, to;
    cpu_share(w, cpu_rows(p, x), &from, &to);
    for (int t = from; t < to; t++) {
        float *row = cpu_f32(p, x, t);
        if (op->in[1] != GRAPH_NONE)
            add_to(w, op, row, t, row);
        if (op->norm.center)
            kern->center(row, x->width, w->scratch);
        kern->rms_norm(op->norm.center ? w->scratch : row, op->norm.weight, x->width, op->norm.eps,
                       w->scratch);
        if (op->norm.bias)
            kern->add(w->scratch, op->norm.bias, x->width, w->scratch);
        cpu_emit(p, out, t, 0, out->width, w->scratch);
    }
}

static const enum kern_gate gates[] = {[GRAPH_SILU] = KERN_SILU,
                                       [GRAPH_GELU] = KERN_GELU,
                                       [GRAPH_GELU_TANH] = KERN_GELU_TANH,
                                       [GRAPH_TANH] = KERN_TANH,
                                       [GRAPH_CLAMPED] = KERN_CLAMPED};

void cpu_glu(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const graph_value *gate = cpu_value(p, op->in[0]), *out = cpu_value(p, op->out[0]);
    const graph_value *up = op->in[1] == GRAPH_NONE ? NULL : cpu_value(p, op->in[1]);
    int blocks = (out->width + BLOCK - 1) / BLOCK, from, to;
    cpu_share(w, cpu_rows(p, out) * blocks, &from, &to);
    for (int u = from; u < to; u++) {
        int t = u / blocks, c = u % blocks * BLOCK, n = MIN(BLOCK, out->width - c);
        p->dev->kern->glu(gates[op->gate], cpu_f32(p, gate, t) + c, up ? cpu_f32(p, up, t) + c : NULL, n,
                          w->scratch);
        cpu_emit(p, out, t, c, c + n, w->scratch);
    }
}

void cpu_pick(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const graph_value *x = cpu_value(p, op->in[0]), *out = cpu_value(p, op->out[0]);
    int from, to;
    cpu_share(w, w->batch->n_outputs, &from, &to);
    for (int i = from; i < to; i++) {
        int t = w->batch->output[i];
        const float *row = cpu_f32(p, x, t);
        if (op->in[1] != GRAPH_NONE) {
            add_to(w, op, row, t, w->scratch);
            row = w->scratch;
        }
        cpu_emit(p, out, i, 0, out->width, row);
    }
}

// The batch's tokens [*from, *to) of the sequence that token t belongs to.
static void sequence_of(const dev_batch *b, int t, int *from, int *to)
{
    for (*from = t; *from > 0 && b->seq[*from - 1] == b->seq[t];)
        --*from;
    for (*to = t + 1; *to < b->n_tokens && b->seq[*to] == b->seq[t];)
        ++*to;
}

void cpu_mean(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const graph_value *x = cpu_value(p, op->in[0]), *out = cpu_value(p, op->out[0]);
    int blocks = (out->width + BLOCK - 1) / BLOCK, from, to, first, end;
    cpu_share(w, w->batch->n_outputs * blocks, &from, &to);
    for (int u = from; u < to; u++) {
        int row = u / blocks, c = u % blocks * BLOCK, n = MIN(BLOCK, out->width - c);
        double sum[BLOCK] = {0};
        sequence_of(w->batch, w->batch->output[row], &first, &end);
        for (int t = first; t < end; t++)
            for (int i = 0; i < n; i++)
                sum[i] += (double)cpu_f32(p, x, t)[c + i];
        for (int i = 0; i < n; i++)
            w->scratch[i] = (float)(sum[i] / (end - first));
        cpu_emit(p, out, row, c, c + n, w->scratch);
    }
}

void cpu_rope_tables(cpu_worker *w)
{
    cpu_plan *p = w->plan;
    for (int r = 0; r < p->g->n_ropes; r++) {
        const graph_rope *rope = &p->g->ropes[r];
        int from, to;
        cpu_share(w, w->batch->n_tokens, &from, &to);
        for (int t = from; t < to; t++) {
            float *c = p->rope + p->rope_offset[r] + (size_t)t * 2 * (size_t)rope->half;
            for (int i = 0; i < rope->half; i++) {
                float angle = (float)w->batch->pos[t] * rope->inv_freq[i];
                c[i] = cosf(angle) * rope->scale;
                c[rope->half + i] = sinf(angle) * rope->scale;
            }
        }
    }
}

// Where a head's F16 values begin in a block of the page that holds position `pos`.
static uint16_t *kv_head(const cpu_plan *p, const dev_kv_view *view, int pos, int layer, int head, int side)
{
    const dev_kv_block *block = &view->pages[pos / DEV_PAGE]->block[layer][side];
    return (uint16_t *)(void *)(block->plane[DEV_KV_PLANE_F16] + dev_kv_head_bytes(&p->kv) * (size_t)head);
}

void cpu_store(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const kern_table *kern = p->dev->kern;
    const graph_attention *at = &op->att;
    const graph_value *q = cpu_value(p, op->in[0]), *k = cpu_value(p, op->in[1]),
                      *v = cpu_value(p, op->in[2]);
    const graph_rope *rope = &p->g->ropes[at->rope];
    int hd = at->head_dim, units = at->heads + at->kv_heads, from, to;
    cpu_share(w, w->batch->n_tokens * units, &from, &to);
    for (int u = from; u < to; u++) {
        int t = u / units, head = u % units - at->heads, pos = w->batch->pos[t];
        bool query = head < 0;
        float *x = query ? cpu_f32(p, q, t) + (head + at->heads) * hd : cpu_f32(p, k, t) + head * hd;
        const float *norm = query ? op->vec : op->vec2;
        if (norm)
            kern->rms_norm(x, norm, hd, at->eps, x);
        const float *c = p->rope + p->rope_offset[at->rope] + (size_t)t * 2 * (size_t)rope->half;
        kern->rope(x, c, c + rope->half, rope->half, rope->neox);
        if (query) {
            for (int i = 0; i < hd; i++)
                x[i] *= at->scale;
        } else {
            const dev_kv_view *view = &w->batch->views[w->batch->seq[t]];
            int slot = pos % DEV_PAGE;
            kern->put_k_f16(x, hd, kv_head(p, view, pos, at->layer, head, DEV_KV_K), slot);
            kern->f32_to_f16(cpu_f32(p, v, t) + head * hd, hd,
                             kv_head(p, view, pos, at->layer, head, DEV_KV_V) + slot * hd);
        }
    }
}

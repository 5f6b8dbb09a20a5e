// Mixture of experts: which experts a row goes to, its copies brought together by expert, and the weighted sum of what
// the experts answer.
//
// The expert's matmuls (matmul.c) then see contiguous rows, be it one token or a whole prompt. A row's own numbers never
// depend on what stands beside it: the choice looks at its scores alone, and the sum goes through its experts from the
// best down, wherever their rows lie.
#include <math.h>
#include <string.h>

#include "dev/cpu/cpu.h"

// The number of the highest score after (last, of score `below`) in falling order; equal ones go by number.
static int next_best(const float *score, int n, int last, float below)
{
    int best = -1;
    for (int e = 0; e < n; e++) {
        bool left = last < 0 || score[e] < below || (score[e] == below && e > last);
        if (left && (best < 0 || score[e] > score[best]))
            best = e;
    }
    return best;
}

// choice = [numbers of the chosen][their weights], see graph_choice. Scores are copied to scratch, where those that are
// not numbers count as lowest: a broken model must not choose an expert that does not exist.
static void choose(const float *given, const graph_choice *c, float *score, float *choice)
{
    for (int e = 0; e < c->experts; e++)
        score[e] = isnan(given[e]) ? -INFINITY : given[e];
    float *weight = choice + c->used, sum = 0;
    int last = -1;
    for (int i = 0; i < c->used; i++) {
        last = next_best(score, c->experts, last, last < 0 ? 0 : score[last]);
        choice[i] = (float)last;
    }
    float top = score[(int)choice[0]];
    for (int i = 0; i < c->used; i++)
        sum += weight[i] = expf(score[(int)choice[i]] - top);
    if (c->over_all) {
        sum = 0;
        for (int e = 0; e < c->experts; e++)
            sum += expf(score[e] - top);
    }
    for (int i = 0; i < c->used; i++)
        weight[i] /= sum;
}

static int expert_of(const cpu_plan *p, const graph_value *choice, int pair)
{
    int used = choice->width / 2;
    return (int)cpu_f32(p, choice, pair / used)[pair % used];
}

// Counting sort of the pairs by expert; pairs of one expert stay in the order of their rows.
static void sort_pairs(cpu_plan *p, const graph_value *choice, int experts)
{
    int pairs = cpu_rows(p, choice) * (choice->width / 2), *start = p->sorting.start;
    memset(start, 0, ((size_t)experts + 1) * sizeof *start);
    for (int i = 0; i < pairs; i++)
        start[expert_of(p, choice, i) + 1]++;
    for (int e = 0; e < experts; e++)
        start[e + 1] += start[e];
    for (int i = 0; i < pairs; i++)  // start[e] moves through e's rows, up to where those of e + 1 begin
        p->sorting.place[i] = start[expert_of(p, choice, i)]++;
    for (int e = experts; e > 0; e--)
        start[e] = start[e - 1];
    start[0] = 0;
}

static void copy_q8(const cpu_plan *p, enum graph_form form, const graph_value *from, int row,
                    const graph_value *to, int at)
{
    int rows = cpu_max_rows(p, from), copies = cpu_max_rows(p, to), width = from->width;
    size_t q = graph_q8_row_bytes(width),
           d = (size_t)width / (form == GRAPH_Q8_32 ? 32 : 256) * sizeof(float),
           sum = (size_t)width / (form == GRAPH_Q8_32 ? 32 : 16) * sizeof(int16_t);
    const uint8_t *src = p->buffer + from->offset[form];
    uint8_t *dst = p->buffer + to->offset[form];
    memcpy(dst + (size_t)at * q, src + (size_t)row * q, q);
    memcpy(dst + graph_q8_scale_offset(width, copies) + (size_t)at * d,
           src + graph_q8_scale_offset(width, rows) + (size_t)row * d, d);
    memcpy(dst + graph_q8_sum_offset(form, width, copies) + (size_t)at * sum,
           src + graph_q8_sum_offset(form, width, rows) + (size_t)row * sum, sum);
}

// A row of `from` to row `at` of `to`, in every form that is read.
static void copy_row(const cpu_plan *p, const graph_value *from, int row, const graph_value *to, int at)
{
    if (to->forms >> GRAPH_F32 & 1)
        memcpy(cpu_f32(p, to, at), cpu_f32(p, from, row), (size_t)to->width * sizeof(float));
    for (int form = GRAPH_Q8_32; form <= GRAPH_Q8_256; form++)
        if (to->forms >> form & 1)
            copy_q8(p, (enum graph_form)form, from, row, to, at);
}

void cpu_route(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const graph_value *scores = cpu_value(p, op->in[0]), *x = cpu_value(p, op->in[1]),
                      *choice = cpu_value(p, op->out[0]), *sorted = cpu_value(p, op->out[1]);
    int from, to;
    cpu_share(w, cpu_rows(p, choice), &from, &to);
    for (int t = from; t < to; t++)
        choose(cpu_f32(p, scores, t), &op->choice, w->scratch, cpu_f32(p, choice, t));
    pool_barrier(p->dev->threads);
    if (w->ith == 0)
        sort_pairs(p, choice, op->choice.experts);
    pool_barrier(p->dev->threads);
    cpu_share(w, cpu_rows(p, sorted), &from, &to);
    for (int i = from; i < to; i++)
        copy_row(p, x, i / op->choice.used, sorted, p->sorting.place[i]);
}

void cpu_blend(cpu_worker *w, const graph_op *op, int index)
{
    (void)index;
    cpu_plan *p = w->plan;
    const graph_value *x = cpu_value(p, op->in[0]), *choice = cpu_value(p, op->in[1]),
                      *out = cpu_value(p, op->out[0]);
    int used = choice->width / 2, blocks = (out->width + KERN_SUPER - 1) / KERN_SUPER, from, to;
    cpu_share(w, cpu_rows(p, out) * blocks, &from, &to);
    for (int u = from; u < to; u++) {
        int t = u / blocks, c = u % blocks * KERN_SUPER, n = MIN(KERN_SUPER, out->width - c);
        const float *weight = cpu_f32(p, choice, t) + used;
        for (int i = 0; i < used; i++) {
            const float *y = cpu_f32(p, x, p->sorting.place[t * used + i]) + c;
            for (int j = 0; j < n; j++)
                w->scratch[j] = (i ? w->scratch[j] : 0) + weight[i] * y[j];
        }
        cpu_emit(p, out, t, c, c + n, w->scratch);
    }
}

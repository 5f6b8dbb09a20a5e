// Seconds of a step: a walk over the graph's operations, each by its measured rate. What a number of rows costs lies
// between measured points on a straight line.
#include <math.h>

#include "plan/plan.h"

// One step of the walk.
typedef struct stride {
    const model *m;
    const plan_use *u;
    const plan_rates *r;
    int tokens, first;  // positions [first, first + tokens) are run
    int outputs;
    double coarse;  // part of the context that the policy keeps at `level`; the rest is F16
    enum dev_kv_level level;
} stride;

// v[i] at at[i], i < n; straight lines between, and from the origin past the last.
static double between(const int *at, const double *v, int n, double x)
{
    if (x >= at[n - 1])
        return v[n - 1] * x / at[n - 1];
    for (int i = 1; i < n; i++)
        if (x < at[i])
            return v[i - 1] + (v[i] - v[i - 1]) * MAX(0, x - at[i - 1]) / (at[i] - at[i - 1]);
    return v[0];
}

static double rows_of(const stride *s, int value)
{
    const graph_value *v = &s->m->graph.values[value];
    return (double)(v->rows == GRAPH_TOKENS ? s->tokens : s->outputs) * v->each;
}

static int width_of(const stride *s, int value)
{
    return s->m->graph.values[value].width;
}

// Rows that are dealt out one by one: the thread with the most sets the time.
static double dealt(const stride *s, double rows)
{
    return ceil(rows / s->r->threads);
}

static double matmul(const stride *s, const graph_op *op)
{
    const graph *g = &s->m->graph;
    const double rows = rows_of(s, op->in[0]);
    double seconds = s->r->spread[g->weights[op->weight[0]].type];
    for (int i = 0; i < op->n_weights; i++) {
        const graph_weight *w = &g->weights[op->weight[i]];
        double parts = 1, each = rows;
        if (op->in[1] != GRAPH_NONE) {  // experts: as many as the tokens choose by chance
            const double used = (double)g->values[op->in[0]].each / w->parts;
            parts = w->parts * (1 - pow(1 - MIN(1, used), rows / g->values[op->in[0]].each));
            each = rows / parts;
        }
        seconds += parts * between(plan_batch, s->r->matmul[w->type], PLAN_POINTS, each) * (double)w->n *
                   w->k;
    }
    return seconds;
}

// As tiling_start of dev/cpu/attend.c cuts it.
static int tile_tokens(const stride *s, const graph_attention *at)
{
    const int group = at->heads / at->kv_heads, parts = (group + 63) / 64;
    int tokens = MAX(1, 64 / group);
    while (tokens * group > 12 && s->tokens / tokens * at->kv_heads * parts < 4 * s->r->threads)
        tokens = (tokens + 1) / 2;
    return MIN(tokens, s->tokens);
}

// Seconds of a key and its value for `rows` query rows of a head of hd values.
static double key_seconds(const plan_rates *r, int level, double rows, int hd)
{
    double v[2][PLAN_TILES];
    for (int i = 0; i < PLAN_TILES; i++)
        for (int k = 0; k < 2; k++)
            v[k][i] = r->attend[level][i][k];
    const double narrow = between(plan_tile, v[0], PLAN_TILES, rows),
                 wide = between(plan_tile, v[1], PLAN_TILES, rows);
    const double each = MAX((wide - narrow) / (plan_head[1] - plan_head[0]), 0);
    return MAX(narrow + each * (hd - plan_head[0]), narrow * hd / plan_head[0] / 4);
}

static double attend(const stride *s, const graph_op *op)
{
    const graph_attention *at = &op->att;
    const int group = at->heads / at->kv_heads, rows = MIN(64, group), parts = (group + rows - 1) / rows;
    const int each = tile_tokens(s, at), tiles = (s->tokens + each - 1) / each * at->kv_heads * parts;
    double keys = 0, near = 0;  // of a KV head: all that tiles go through, and of these the newest, at F16
    for (int t = 0; t < s->tokens; t += each) {
        const int end = s->first + MIN(t + each, s->tokens), start = at->both_ways ? 0 : s->first + t;
        const int from = at->window > 0 ? MAX(0, start + 1 - at->window) / DEV_PAGE * DEV_PAGE : 0;
        const double seen = ceil((double)end / DEV_PAGE) * DEV_PAGE - from;
        keys += seen;
        near += MIN(seen, s->first < end ? seen * (1 - s->coarse) : seen);
    }
    double seconds = 0;
    for (int k = 0; k < 2; k++) {
        const int level = k ? (int)s->level : DEV_KV_F16;
        const double n = (k ? keys - near : near) * at->kv_heads * parts, of = (double)each * rows;
        seconds += n * key_seconds(s->r, level, of, at->head_dim);
    }
    // Tiles of one span do not come out even where they are few.
    if (s->first + s->tokens <= 1024)
        seconds *= dealt(s, tiles) * s->r->threads / tiles;
    return seconds + s->r->step * (s->first >= 1024 ? 2 : 1);
}

static double op_seconds(const stride *s, const graph_op *op)
{
    const plan_rates *r = s->r;
    switch (op->kind) {
    case GRAPH_EMBED: return dealt(s, s->tokens) * width_of(s, op->out[0]) * r->embed;
    case GRAPH_NORM: return dealt(s, rows_of(s, op->in[0])) * width_of(s, op->in[0]) * r->norm;
    case GRAPH_MATMUL: return matmul(s, op);
    case GRAPH_STORE:
        return dealt(s, (double)s->tokens * (op->att.heads + op->att.kv_heads)) * op->att.head_dim * r->store;
    case GRAPH_ATTEND: return attend(s, op);
    case GRAPH_GLU: {
        const int width = width_of(s, op->out[0]), block = MIN(256, width);
        return dealt(s, rows_of(s, op->out[0]) * ((width + block - 1) / block)) * block * r->gate;
    }
    case GRAPH_PICK:
    case GRAPH_MEAN: return dealt(s, s->outputs) * width_of(s, op->out[0]) * r->norm;
    case GRAPH_ROUTE:
    case GRAPH_BLEND: {  // rows copied or summed, one for each expert used
        const int many = op->kind == GRAPH_ROUTE ? op->out[1] : op->in[0];
        return dealt(s, rows_of(s, many)) * width_of(s, many) * r->norm;
    }
    }
    return 0;
}

// How the policy keeps a context of n tokens, once it has had its way.
static void set_levels(stride *s, int n)
{
    const kv_policy *o = &s->u->kv;
    const int pages = s->u->sequences * ((s->u->context + DEV_PAGE - 1) / DEV_PAGE + 1);
    const double bits = kv_count(&s->m->kv, o, pages, 1, MAX(1, n), s->u->huge).bits;
    const int recent = MIN(n, o->recent + DEV_PAGE / 2);
    s->level = bits > 12 ? DEV_KV_F16 : bits > 6 ? DEV_KV_Q8 : bits > 3 ? DEV_KV_Q4 : DEV_KV_Q2;
    s->coarse = s->level == DEV_KV_F16 || n == 0 ? 0 : (double)(n - recent) / n;
}

static double seconds_of(stride *s)
{
    double seconds = 0;
    set_levels(s, s->first);
    for (int i = 0; i < s->m->graph.n_ops; i++)
        seconds += s->r->step + op_seconds(s, &s->m->graph.ops[i]);
    return seconds;
}

double plan_step_seconds(const model *m, const plan_use *u, const plan_rates *r)
{
    return seconds_of(&(stride){.m = m, .u = u, .r = r, .tokens = 1, .first = u->depth, .outputs = 1});
}

double plan_prompt_seconds(const model *m, const plan_use *u, const plan_rates *r)
{
    double seconds = 0;
    for (int at = 0; at < u->prompt; at += u->batch) {
        const int tokens = MIN(u->batch, u->prompt - at);
        seconds += seconds_of(&(stride){
            .m = m, .u = u, .r = r, .tokens = tokens, .first = at, .outputs = at + tokens == u->prompt});
    }
    return seconds;
}

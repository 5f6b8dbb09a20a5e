// Building a graph: arrays that grow, and what can be derived once it is whole.
#include "graph/graph.h"

#include <string.h>

#include "base/check.h"

void graph_init(graph *g)
{
    *g = (graph){.logits = GRAPH_NONE};
    arena_init(&g->mem, MEM_GRAPH);
}

void graph_done(graph *g)
{
    mem_free(g->ops);
    mem_free(g->values);
    mem_free(g->weights);
    mem_free(g->ropes);
    arena_done(&g->mem);
    *g = (graph){.logits = GRAPH_NONE};
}

// Room for one more in an array; false (and g->failed set) when there is no memory.
static bool grow(graph *g, void **array, int n, int *cap, size_t size)
{
    if (n < *cap)
        return true;
    int more = *cap ? *cap * 2 : 64;
    void *p = mem_realloc(MEM_GRAPH, *array, (size_t)more * size);
    if (!p) {
        g->failed = ST_NOMEM;
        return false;
    }
    *array = p;
    *cap = more;
    return true;
}

int graph_add_weight(graph *g, graph_weight w)
{
    for (int i = 0; i < g->n_weights; i++)
        if (g->weights[i].data == w.data && g->weights[i].n == w.n &&
            g->weights[i].lookup_only == w.lookup_only)
            return i;
    if (!grow(g, (void **)&g->weights, g->n_weights, &g->cap_weights, sizeof *g->weights))
        return 0;
    g->weights[g->n_weights] = w;
    g->weights[g->n_weights].parts = w.parts ? w.parts : 1;
    return g->n_weights++;
}

int graph_add_rope(graph *g, graph_rope r)
{
    if (!grow(g, (void **)&g->ropes, g->n_ropes, &g->cap_ropes, sizeof *g->ropes))
        return 0;
    g->ropes[g->n_ropes] = r;
    return g->n_ropes++;
}

static int add_value(graph *g, int width, enum graph_rows rows)
{
    if (!grow(g, (void **)&g->values, g->n_values, &g->cap_values, sizeof *g->values))
        return 0;
    g->values[g->n_values] = (graph_value){.width = width, .rows = rows, .each = 1, .first = -1, .last = -1};
    return g->n_values++;
}

// A value with rows like those of `like`.
static int add_value_like(graph *g, int like, int width)
{
    int v = add_value(g, width, g->values[like].rows);
    g->values[v].each = g->values[like].each;
    return v;
}

static graph_op *add_op(graph *g, enum graph_op_kind kind)
{
    if (!grow(g, (void **)&g->ops, g->n_ops, &g->cap_ops, sizeof *g->ops))
        return &g->lost;
    graph_op *op = &g->ops[g->n_ops++];
    *op = (graph_op){.kind = kind, .scale = 1};
    for (int i = 0; i < GRAPH_MAX_INPUTS; i++)
        op->in[i] = GRAPH_NONE;
    for (int i = 0; i < GRAPH_MAX_WEIGHTS; i++)
        op->out[i] = op->weight[i] = GRAPH_NONE;
    return op;
}

int graph_embed(graph *g, int weight, int positions, const float *bias, float scale)
{
    int out = add_value(g, g->n_weights ? g->weights[weight].k : 0, GRAPH_TOKENS);
    graph_op *op = add_op(g, GRAPH_EMBED);
    op->weight[0] = weight;
    op->weight[1] = positions;
    op->out[0] = out;
    op->bias[0] = bias;
    op->scale = scale;
    return out;
}

int graph_norm(graph *g, int x, graph_addend add, graph_rule rule)
{
    if (g->failed)
        return 0;
    int out = add_value_like(g, x, g->values[x].width);
    graph_op *op = add_op(g, GRAPH_NORM);
    op->in[0] = x;
    op->in[1] = add.value;
    op->out[0] = out;
    op->add = add;
    op->norm = rule;
    op->eps = rule.eps;
    return out;
}

void graph_expert_matmul(graph *g, int x, int choice, const int *weight, const float *const *bias, int n,
                         int *out)
{
    for (int i = 0; i < n; i++)
        out[i] = g->failed ? 0 : add_value_like(g, x, g->weights[weight[i]].n);
    if (g->failed)
        return;
    graph_op *op = add_op(g, GRAPH_MATMUL);
    op->in[0] = x;
    op->in[1] = choice;
    op->n_weights = n;
    for (int i = 0; i < n; i++) {
        op->weight[i] = weight[i];
        op->bias[i] = bias ? bias[i] : NULL;
        op->out[i] = out[i];
    }
}

void graph_matmul(graph *g, int x, const int *weight, const float *const *bias, int n, int *out)
{
    graph_expert_matmul(g, x, GRAPH_NONE, weight, bias, n, out);
}

int graph_head(graph *g, int x, int weight, float cap)
{
    int out;
    graph_matmul(g, x, &weight, NULL, 1, &out);
    if (!g->failed)
        g->ops[g->n_ops - 1].cap = cap;
    return out;
}

void graph_store(graph *g, int q, int k, int v, const float *q_norm, const float *k_norm, graph_attention att)
{
    if (g->failed)
        return;
    graph_op *op = add_op(g, GRAPH_STORE);
    op->in[0] = q;
    op->in[1] = k;
    op->in[2] = v;
    op->vec = q_norm;
    op->vec2 = k_norm;
    op->att = att;
}

int graph_attend(graph *g, int q, graph_attention att)
{
    if (g->failed)
        return 0;
    int out = add_value_like(g, q, att.heads * att.head_dim);
    graph_op *op = add_op(g, GRAPH_ATTEND);
    op->in[0] = q;
    op->out[0] = out;
    op->att = att;
    return out;
}

int graph_glu(graph *g, enum graph_gate f, int gate, int up)
{
    if (g->failed)
        return 0;
    int out = add_value_like(g, gate, g->values[gate].width);
    graph_op *op = add_op(g, GRAPH_GLU);
    op->gate = f;
    op->in[0] = gate;
    op->in[1] = up;
    op->out[0] = out;
    return out;
}

int graph_pick(graph *g, int x, graph_addend add, float eps)
{
    if (g->failed)
        return 0;
    int out = add_value(g, g->values[x].width, GRAPH_OUTPUTS);
    graph_op *op = add_op(g, GRAPH_PICK);
    op->in[0] = x;
    op->in[1] = add.value;
    op->out[0] = out;
    op->add = add;
    op->eps = eps;
    return out;
}

int graph_mean(graph *g, int x)
{
    if (g->failed)
        return 0;
    int out = add_value(g, g->values[x].width, GRAPH_OUTPUTS);
    graph_op *op = add_op(g, GRAPH_MEAN);
    op->in[0] = x;
    op->out[0] = out;
    return out;
}

int graph_route(graph *g, int scores, int x, graph_choice c, int *sorted)
{
    *sorted = 0;
    if (g->failed)
        return 0;
    int choice = add_value_like(g, x, 2 * c.used);
    *sorted = add_value_like(g, x, g->values[x].width);
    g->values[*sorted].each = c.used;
    graph_op *op = add_op(g, GRAPH_ROUTE);
    op->in[0] = scores;
    op->in[1] = x;
    op->out[0] = choice;
    op->out[1] = *sorted;
    op->choice = c;
    return choice;
}

int graph_blend(graph *g, int x, int choice)
{
    if (g->failed)
        return 0;
    int out = add_value_like(g, choice, g->values[x].width);
    graph_op *op = add_op(g, GRAPH_BLEND);
    op->in[0] = x;
    op->in[1] = choice;
    op->out[0] = out;
    return out;
}

static void touch(graph *g, int value, int at)
{
    if (value == GRAPH_NONE)
        return;
    graph_value *v = &g->values[value];
    if (v->first < 0)
        v->first = at;
    v->last = at;
}

int graph_finish(graph *g, int logits, graph_form_fn *form_of, err *e)
{
    if (g->failed)
        return err_set(e, g->failed, "no memory for the model's graph");
    g->logits = logits;
    for (int i = 0; i < g->n_ops; i++) {
        const graph_op *op = &g->ops[i];
        // The first two write plain rows first, whoever reads them; a choice is no matmul's operand.
        bool plain = op->kind == GRAPH_MATMUL || op->kind == GRAPH_ATTEND;
        if (op->kind == GRAPH_ROUTE)
            g->values[op->out[0]].forms |= 1u << GRAPH_F32;
        for (int j = 0; j < GRAPH_MAX_WEIGHTS; j++) {
            touch(g, op->out[j], i);
            if (op->out[j] != GRAPH_NONE && plain)
                g->values[op->out[j]].forms |= 1u << GRAPH_F32;
        }
        for (int j = 0; j < GRAPH_MAX_INPUTS; j++) {
            touch(g, op->in[j], i);
            bool copied = op->kind == GRAPH_ROUTE && j == 1;  // in the forms of the copy, see below
            if (op->in[j] != GRAPH_NONE && op->kind != GRAPH_MATMUL && !copied)
                g->values[op->in[j]].forms |= 1u << GRAPH_F32;
        }
        if (op->kind == GRAPH_MATMUL)
            for (int j = 0; j < op->n_weights; j++)
                g->values[op->in[0]].forms |= 1u << form_of(g->weights[op->weight[j]].type);
    }
    for (int i = 0; i < g->n_ops; i++)
        if (g->ops[i].kind == GRAPH_ROUTE)
            g->values[g->ops[i].in[1]].forms |= g->values[g->ops[i].out[1]].forms;
    g->values[logits].forms |= 1u << GRAPH_F32;
    touch(g, logits, g->n_ops);
    return ST_OK;
}

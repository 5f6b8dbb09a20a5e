// Bytes that a model will hold resident: the sums of the rooms that take them, and the pages of the file that stay mapped.
#include <math.h>

#include "plan/plan.h"

enum {
    PAGE = 4096,
    AROUND = 65536,  // Linux's fault_around_bytes: what a fault on a mapped file brings in with its page,
    WIDE_AROUND = 1 << 19,  // or a whole piece of the page cache, up to 512 KiB
};

// ---- Activations ---------------------------------------------------------------------------------------------------
typedef struct touched {
    uint8_t *page;  // one byte a page of the buffer
    size_t pages, size;
} touched;

static void touch(touched *t, size_t from, size_t n)
{
    for (size_t i = from / t->size; n && i <= (from + n - 1) / t->size && i < t->pages; i++)
        t->page[i] = 1;
}

// What a step of `rows` rows writes of a form laid out for `most`.
static void touch_form(touched *t, const graph_value *v, enum graph_form f, int rows, int most)
{
    const size_t at = v->offset[f], n = (size_t)rows;
    if (f == GRAPH_F32) {
        touch(t, at, n * (size_t)v->width * 4);
        return;
    }
    const size_t scales = (size_t)v->width / (f == GRAPH_Q8_32 ? 32 : 256),
                 sums = (size_t)v->width / (f == GRAPH_Q8_32 ? 32 : 16);
    touch(t, at, n * graph_q8_row_bytes(v->width));
    touch(t, at + graph_q8_scale_offset(v->width, most), n * scales * 4);
    touch(t, at + graph_q8_sum_offset(f, v->width, most), n * sums * 2);
}

static uint64_t activation_bytes(graph *g, const plan_use *u)
{
    graph_layout layout = graph_plan(g, u->batch, u->outputs);
    const int rows = MIN(u->batch, MAX(1, u->prompt));
    touched t = {.size = layout.bytes >= u->huge ? u->huge : PAGE};
    t.pages = layout.bytes / t.size + 1;
    t.page = mem_calloc(MEM_OTHER, t.pages, 1);
    if (!t.page)
        return layout.bytes;
    for (int i = 0; i < g->n_values; i++) {
        const graph_value *v = &g->values[i];
        const bool tokens = v->rows == GRAPH_TOKENS;
        for (int f = 0; f < GRAPH_FORMS; f++)
            if (v->forms >> f & 1)
                touch_form(&t, v, (enum graph_form)f, (tokens ? rows : 1) * v->each,
                           (tokens ? u->batch : u->outputs) * v->each);
    }
    uint64_t n = 0;
    for (size_t i = 0; i < t.pages; i++)
        n += t.page[i] * t.size;
    mem_free(t.page);
    return n;
}

// ---- The file ------------------------------------------------------------------------------------------------------
// The share of faults on this file that bring in a wide piece, from some pages of its data, which are touched: in which
// pieces the system keeps a file depends on how it was written and read.
static double wide_share(const gguf *file)
{
    enum { TRIES = 48 };
    const size_t n = gguf_tensor_count(file);
    const gguf_tensor *first = gguf_tensor_at(file, 0), *last = n ? gguf_tensor_at(file, n - 1) : NULL;
    if (!first || last->data < first->data || (size_t)(last->data - first->data) < TRIES * (size_t)AROUND)
        return 0;
    const size_t step = (size_t)(last->data - first->data) / TRIES;
    const uint64_t before = os_rss_bytes();
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < TRIES; i++)
        sum = (uint8_t)(sum + first->data[i * step + step / 2]);
    const uint64_t after = os_rss_bytes();
    os_map_dontneed(first->data, (size_t)(last->data - first->data));
    const double mean = after > before ? (double)(after - before) / TRIES : AROUND;
    return MAX(0, MIN((mean - AROUND) / (WIDE_AROUND - AROUND), 1));
}

static uint64_t header_bytes(const gguf *file)
{
    uint64_t data = 0;
    for (size_t i = 0; i < gguf_tensor_count(file); i++)
        data += gguf_tensor_at(file, i)->size;
    return gguf_file_bytes(file) - MIN(data, gguf_file_bytes(file));
}

// Rows of the tables that `tokens` different tokens, as far apart as chance has it, bring in with their neighbours.
static uint64_t lookup_bytes(const graph *g, int tokens, double around)
{
    double n = 0;
    for (int i = 0; i < g->n_ops; i++)
        for (int k = 0; g->ops[i].kind == GRAPH_EMBED && k < 2; k++) {
            if (g->ops[i].weight[k] == GRAPH_NONE)
                continue;
            const graph_weight *w = &g->weights[g->ops[i].weight[k]];
            const double row = (double)quant_row_bytes(w->type, (uint64_t)w->k), all = row * w->n;
            const double windows = all / around + 1, hit = MIN(1, (1 + row / around) / windows);
            n += MIN(all, around * windows * (1 - pow(1 - hit, tokens)));
        }
    return (uint64_t)n;
}

static uint64_t mapped_bytes(const model *m, const plan_use *u)
{
    const int tokens = u->depth;
    const double wide = u->untouched ? 0 : wide_share(m->file);
    const uint64_t near = lookup_bytes(&m->graph, tokens, AROUND);
    const uint64_t far = lookup_bytes(&m->graph, tokens, WIDE_AROUND);
    const double data = (1 - wide) * (double)near + wide * (double)far;
    return header_bytes(m->file) + (uint64_t)MIN(data, (double)gguf_file_bytes(m->file));
}

static uint64_t kv_bytes(const model *m, const plan_use *u)
{
    const int pages = u->sequences * ((u->context + DEV_PAGE - 1) / DEV_PAGE + 1);
    return kv_count(&m->kv, &u->kv, pages, u->sequences, u->depth, u->huge).bytes;
}

int plan_most_context(model *m, const plan_use *u, uint64_t has)
{
    plan_use at = *u;
    at.context = at.depth = 1;
    const uint64_t base = plan_count(m, &at).total - kv_bytes(m, &at);
    int low = 0, high = m->params.context;
    while (low < high) {
        at.context = at.depth = low + (high - low + 1) / 2;
        if (base + kv_bytes(m, &at) + (uint64_t)at.context * sizeof(int32_t) <= has)
            low = at.context;
        else
            high = at.context - 1;
    }
    return low;
}

plan_bytes plan_count(model *m, const plan_use *u)
{
    const dev_cpu_needs cpu = dev_cpu_count(&m->graph, u->no_repack, u->threads, u->batch, u->depth, u->huge);
    plan_bytes b = {.weights = cpu.packed + cpu.in_place,
                    .tables = u->tables + m->graph.mem.used + (uint64_t)u->context * sizeof(int32_t),
                    .program = u->program};
    b.activations = activation_bytes(&m->graph, u) + cpu.scratch;
    b.kv = kv_bytes(m, u);
    b.file = mapped_bytes(m, u);
    b.total = b.weights + b.file + b.kv + b.activations + b.tables + b.program;
    return b;
}

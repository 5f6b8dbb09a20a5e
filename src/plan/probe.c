// The probe: small graphs on the device itself, timed. What a rate means is in plan.h; each is the time of a run with
// many operations of one kind, less what those operations would take if they did nothing. Everything is measured a few
// times, some time apart, and the best counts: a machine is disturbed in spells, and never too fast.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plan/plan.h"

enum {
    SIDE = 2048,               // columns of a matrix, and the width of rows
    LARGE = 8192,              // rows of a large matrix,
    SMALL = 1024,              // and of a small one: their difference tells what an operation costs by itself
    LEAST_WEIGHTS = 40 << 20,  // bytes read by a run, so that they come from memory and not from a cache
    MOST_WEIGHTS = 256 << 20,
    READ_BYTES = 64 << 20,
    ROWS = 256,    // tokens in the runs of row-wise operations
    REPEAT = 8,    // operations of one kind in these
    STEPS = 256,   // operations that do nothing
    DEPTH = 1024,  // tokens that are attended to: one span
    TABLE = 64,    // rows of embedding tables
    BUSY = 7,      // most runs of one measurement
};
static const double ENOUGH = 0.02;  // seconds after which three runs will do
enum { PASSES = 4 };
static const double BUDGET = 4.8;  // seconds that all passes together may take

// The better of what is known and what was seen.
static void keep(double *rate, double seen)
{
    if (*rate == 0 || seen < *rate)
        *rate = seen;
}

// A graph on a device, its weights, pages and batch. Everything is freed by rig_done.
typedef struct rig {
    dev *d;
    bool own_dev;
    graph g;
    dev_plan *plan;
    uint8_t *data;  // of the weights, as a file would hold them
    size_t data_bytes, used;
    uint8_t *planes;
    size_t plane_bytes;
    dev_kv_block (*blocks)[2];
    _Atomic uint64_t *mass;
    dev_kv_page *pages, **page;
    dev_kv_view view;
    dev_kv_shape shape;
    int32_t *numbers;  // token, pos, seq, output of a batch
    int tokens;
} rig;

static int rig_new(rig *x, const dev_cpu_options *o, size_t data_bytes, err *e)
{
    *x = (rig){.own_dev = true, .data_bytes = data_bytes};
    graph_init(&x->g);
    x->data = mem_pages_alloc(MEM_OTHER, data_bytes);
    if (!x->data)
        return err_set(e, ST_NOMEM, "no memory for the probe, %zu MB", data_bytes >> 20);
    memset(x->data, 0x11, data_bytes);  // small numbers in every format
    return dev_cpu_new(&x->d, o, e);
}

static void rig_done(rig *x)
{
    if (x->plan)
        x->d->ops->plan_free(x->plan);
    graph_done(&x->g);
    if (x->d && x->own_dev)
        x->d->ops->free(x->d);
    mem_pages_free(MEM_OTHER, x->data, x->data_bytes);
    mem_pages_free(MEM_OTHER, x->planes, x->plane_bytes);
    mem_free(x->blocks);
    mem_free(x->mass);
    mem_free(x->pages);
    mem_free(x->page);
    mem_free(x->numbers);
}

static int weight(rig *x, int type, int n, int k, bool lookup_only)
{
    const size_t bytes = quant_row_bytes(type, (uint64_t)k) * (size_t)n;
    const uint8_t *at = x->data + x->used;
    x->used += (size_t)round_up(bytes, 64);
    return graph_add_weight(
        &x->g, (graph_weight){
                   .name = "probe", .type = type, .n = n, .k = k, .data = at, .lookup_only = lookup_only});
}

static size_t weight_bytes(int type, int n, int k)
{
    return (size_t)round_up(quant_row_bytes(type, (uint64_t)k) * (size_t)n, 64);
}

static int table(rig *x, int width)
{
    return graph_embed(&x->g, weight(x, QT_Q4_K, TABLE, width, true), GRAPH_NONE, NULL, 1);
}
static size_t table_bytes(int width)
{
    return weight_bytes(QT_Q4_K, TABLE, width);
}

// One sequence of `tokens` tokens at a level, all pages of their own.
static int make_pages(rig *x, enum dev_kv_level level, int tokens, err *e)
{
    static const unsigned planes_of[DEV_KV_LEVELS] = {
        1 << DEV_KV_PLANE_F16, 1 << DEV_KV_PLANE_HIGH | 1 << DEV_KV_PLANE_LOW | 1 << DEV_KV_PLANE_SCALES,
        1 << DEV_KV_PLANE_HIGH | 1 << DEV_KV_PLANE_SCALES, 1 << DEV_KV_PLANE_TWO | 1 << DEV_KV_PLANE_SCALES};
    const int n = (tokens + DEV_PAGE - 1) / DEV_PAGE;
    const size_t layers = (size_t)x->shape.layers, blocks = (size_t)n * layers;
    size_t bytes[2][DEV_KV_PLANES], each = 0;
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < DEV_KV_PLANES; k++) {
            bytes[side][k] = planes_of[level] >> k & 1
                                 ? (size_t)round_up(dev_kv_plane_bytes(&x->shape, (enum dev_kv_side)side,
                                                                       (enum dev_kv_plane)k),
                                                    64)
                                 : 0;
            each += bytes[side][k];
        }
    x->plane_bytes = each * blocks;
    x->planes = mem_pages_alloc(MEM_OTHER, x->plane_bytes);
    x->blocks = mem_calloc(MEM_OTHER, blocks, sizeof *x->blocks);
    x->mass = mem_calloc(MEM_OTHER, blocks, sizeof *x->mass);
    x->pages = mem_calloc(MEM_OTHER, (size_t)n, sizeof *x->pages);
    x->page = mem_calloc(MEM_OTHER, (size_t)n, sizeof(dev_kv_page *));
    if (!x->planes || !x->blocks || !x->mass || !x->pages || !x->page)
        return err_set(e, ST_NOMEM, "no memory for the probe, %zu MB", x->plane_bytes >> 20);
    memset(x->planes, 0x11, x->plane_bytes);
    uint8_t *at = x->planes;
    for (size_t i = 0; i < blocks; i++)
        for (int side = 0; side < 2; side++) {
            x->blocks[i][side].level = (uint8_t)level;
            for (int k = 0; k < DEV_KV_PLANES; at += bytes[side][k++])
                x->blocks[i][side].plane[k] = bytes[side][k] ? at : NULL;
        }
    for (int i = 0; i < n; i++) {
        x->pages[i] = (dev_kv_page){x->blocks + (size_t)i * layers, x->mass + (size_t)i * layers};
        x->page[i] = &x->pages[i];
    }
    x->view.pages = x->page;
    return ST_OK;
}

// The graph is whole: forms, weights, plan and the batch's arrays. `form`: read from all values of kind `by` too.
static int prepare(rig *x, int tokens, int result, enum graph_op_kind by, unsigned form, err *e)
{
    int rc = graph_finish(&x->g, result, x->d->form_of, e);
    for (int i = 0; !rc && i < x->g.n_ops; i++)
        if (form && x->g.ops[i].kind == by)
            x->g.values[x->g.ops[i].out[0]].forms |= form;
    if (!rc && x->own_dev && x->g.n_weights)
        rc = x->d->ops->load(x->d, &x->g, &(dev_load){0}, e);
    if (!rc)
        rc = x->d->ops->plan(x->d, &x->g, &x->shape, tokens, 1, &x->plan, e);
    x->tokens = tokens;
    x->numbers = mem_calloc(MEM_OTHER, (size_t)tokens * 4, sizeof *x->numbers);
    return rc || x->numbers ? rc : err_set(e, ST_NOMEM, "no memory for the probe");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Median seconds of a run of `tokens` tokens of which the first stands at `pos`.
static double run(rig *x, int tokens, int pos)
{
    const size_t n = (size_t)tokens;
    int32_t *token = x->numbers, *at = token + n, *seq = at + n, *output = seq + n;
    for (int i = 0; i < tokens; i++) {
        token[i] = i % TABLE;
        at[i] = pos + i;
        seq[i] = 0;
    }
    output[0] = tokens - 1;
    dev_batch b = {.n_tokens = tokens,
                   .token = token,
                   .pos = at,
                   .seq = seq,
                   .n_outputs = 1,
                   .output = output,
                   .views = &x->view};
    const float *logits;
    double seconds[BUSY], total = 0;
    int runs = 0;
    x->d->ops->run(x->plan, &b, &logits);
    while (runs < BUSY && (runs < 3 || total < ENOUGH)) {
        double start = os_seconds();
        x->d->ops->run(x->plan, &b, &logits);
        seconds[runs] = os_seconds() - start;
        total += seconds[runs++];
    }
    qsort(seconds, (size_t)runs, sizeof *seconds, compare);
    return seconds[runs / 2];
}

static double above(double seconds, double base)
{
    return seconds > base ? seconds - base : seconds * 0.01;  // never nothing: the clock is not that sharp
}

// ---- Plain reading -------------------------------------------------------------------------------------------------
typedef struct reading {
    const uint64_t *data;
    size_t n;
    bool alone;
    _Atomic uint64_t sum;
} reading;

static void read_share(void *ctx, int ith, int nth)
{
    reading *r = ctx;
    if (r->alone) {
        if (ith)
            return;
        nth = 1;
    }
    size_t from = r->n * (size_t)ith / (size_t)nth / 8 * 8,
           to = r->n * (size_t)(ith + 1) / (size_t)nth / 8 * 8;
    uint64_t s[8] = {0};
    for (size_t i = from; i < to; i += 8)
        for (int j = 0; j < 8; j++)
            s[j] += r->data[i + (size_t)j];
    atomic_fetch_add(&r->sum, s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7]);
}

static int probe_reading(plan_rates *r, bool pin, err *e)
{
    pool *threads;
    int rc = pool_new(&threads, r->threads, pin, e);
    uint8_t *data = rc ? NULL : mem_pages_alloc(MEM_OTHER, READ_BYTES);
    if (!rc && !data)
        rc = err_set(e, ST_NOMEM, "no memory for the probe, %d MB", READ_BYTES >> 20);
    if (!rc) {
        memset(data, 0x11, READ_BYTES);
        for (int alone = 1; alone >= 0; alone--) {
            double seconds[5];
            for (int i = 0; i < 5; i++) {
                reading x = {(const uint64_t *)(const void *)data, READ_BYTES / 8, alone, 0};
                double start = os_seconds();
                pool_run(threads, read_share, &x);
                seconds[i] = os_seconds() - start;
            }
            qsort(seconds, 5, sizeof *seconds, compare);
            double *rate = alone ? &r->read_one : &r->read_all;
            *rate = MAX(*rate, READ_BYTES / seconds[0]);
        }
        mem_pages_free(MEM_OTHER, data, READ_BYTES);
    }
    if (threads)
        pool_free(threads);
    return rc;
}

// ---- Operations over rows ------------------------------------------------------------------------------------------
static int probe_step(plan_rates *r, const dev_cpu_options *o, err *e)
{
    rig x;
    int rc = rig_new(&x, o, table_bytes(256), e);
    if (!rc) {
        int v = table(&x, 256);
        graph_rule rule = {.eps = 1e-6f};
        for (int i = 0; i < STEPS; i++)
            v = graph_norm(&x.g, v, (graph_addend){.value = GRAPH_NONE}, rule);
        rc = prepare(&x, 1, v, GRAPH_NORM, 0, e);
    }
    if (!rc)
        keep(&r->step, run(&x, 1, 0) / (STEPS + 1));
    rig_done(&x);
    return rc;
}

enum row_kind { ROW_EMBED, ROW_NORM, ROW_GATE };

// Seconds a value takes one thread.
static int probe_rows(plan_rates *r, const dev_cpu_options *o, enum row_kind kind, double *out, err *e)
{
    static const enum graph_op_kind ops[] = {GRAPH_EMBED, GRAPH_NORM, GRAPH_GLU};
    rig x;
    int rc = rig_new(&x, o, table_bytes(SIDE), e);
    if (!rc) {
        int in = table(&x, SIDE), v = in;
        for (int i = 0; i < REPEAT; i++)
            if (kind == ROW_EMBED)
                v = graph_embed(&x.g, 0, GRAPH_NONE, NULL, 1);
            else if (kind == ROW_NORM)
                v = graph_norm(&x.g, in, (graph_addend){.value = v}, (graph_rule){.eps = 1e-6f});
            else
                v = graph_glu(&x.g, GRAPH_SILU, in, in);
        rc = prepare(&x, ROWS, v, ops[kind], 1u << GRAPH_Q8_256, e);
    }
    if (!rc) {
        double base = kind == ROW_EMBED ? r->step : r->step + r->embed * ROWS * SIDE / r->threads;
        double more = kind == ROW_EMBED ? 1 : 0;
        keep(out, above(run(&x, ROWS, 0), base + r->step * (REPEAT + more)) * r->threads /
                      ((double)ROWS * SIDE * (REPEAT + more)));
    }
    rig_done(&x);
    return rc;
}

static const float one_each[128] = {1};

static int probe_store(plan_rates *r, const dev_cpu_options *o, err *e)
{
    enum { HEADS = 16, KV_HEADS = 8, HD = 128 };
    static const float turns[HD / 2] = {1};
    rig x;
    int rc = rig_new(&x, o, table_bytes(HEADS * HD) + 2 * table_bytes(KV_HEADS * HD), e);
    x.shape = (dev_kv_shape){REPEAT, KV_HEADS, HD};
    if (!rc)
        rc = make_pages(&x, DEV_KV_F16, ROWS, e);
    if (!rc) {
        int q = table(&x, HEADS * HD), k = table(&x, KV_HEADS * HD), v = table(&x, KV_HEADS * HD);
        graph_add_rope(&x.g, (graph_rope){.half = HD / 2, .neox = true, .inv_freq = turns, .scale = 1});
        for (int i = 0; i < REPEAT; i++)
            graph_store(&x.g, q, k, v, one_each, one_each,
                        (graph_attention){.layer = i,
                                          .heads = HEADS,
                                          .kv_heads = KV_HEADS,
                                          .head_dim = HD,
                                          .scale = 0.1f,
                                          .eps = 1e-6f});
        rc = prepare(&x, ROWS, q, GRAPH_STORE, 0, e);
    }
    if (!rc) {
        const double width = (HEADS + 2 * KV_HEADS) * HD, base = r->embed * ROWS * width / r->threads;
        keep(&r->store, above(run(&x, ROWS, 0), base + r->step * (REPEAT + 3)) * r->threads /
                            ((double)ROWS * (HEADS + KV_HEADS) * HD * REPEAT));
    }
    rig_done(&x);
    return rc;
}

// ---- Attention -----------------------------------------------------------------------------------------------------
// Seconds that a key and its value take `rows` query rows of one head, of all threads together.
static int probe_attend(const plan_rates *r, const dev_cpu_options *o, enum dev_kv_level level, int rows,
                        int hd, double *out, err *e)
{
    const int kv_heads = MAX(8, 4 * r->threads), heads = kv_heads * rows;
    // As much as does not stay in a cache, but few of what takes long.
    const int layers = rows > 16 ? 1 : MAX(1, MIN(8, 16 / MAX(1, r->threads)) / (rows > 4 ? 4 : 1));
    rig x;
    int rc = rig_new(&x, o, table_bytes(heads * hd), e), v = 0;
    x.shape = (dev_kv_shape){layers, kv_heads, hd};
    if (!rc)
        rc = make_pages(&x, level, DEPTH, e);
    if (!rc) {
        int q = table(&x, heads * hd);
        for (int i = 0; i < layers; i++)
            v = graph_attend(
                &x.g, q,
                (graph_attention){
                    .layer = i, .heads = heads, .kv_heads = kv_heads, .head_dim = hd, .scale = 1});
        rc = prepare(&x, 1, v, GRAPH_ATTEND, 0, e);
    }
    if (!rc) {
        double base = r->embed * heads * hd + r->step * (layers + 1);
        *out = above(run(&x, 1, DEPTH - 1), base) / ((double)kv_heads * DEPTH * layers);
    }
    rig_done(&x);
    return rc;
}

static int probe_attention(plan_rates *r, const dev_cpu_options *o, err *e)
{
    int rc = ST_OK;
    for (int level = 0; !rc && level < DEV_KV_LEVELS; level++)
        for (int i = 0; !rc && i < PLAN_TILES; i++) {
            double narrow, wide;
            rc = probe_attend(r, o, (enum dev_kv_level)level, plan_tile[i], 64, &narrow, e);
            if (!rc)
                rc = probe_attend(r, o, (enum dev_kv_level)level, plan_tile[i], 128, &wide, e);
            if (rc)
                break;
            keep(&r->attend[level][i][0], narrow);
            keep(&r->attend[level][i][1], wide);
        }
    return rc;
}

// ---- Matrices ------------------------------------------------------------------------------------------------------
// Seconds of a run of `tokens` tokens through weights [first, first + n) of the rig, each an operation.
static int time_weights(const plan_rates *r, const rig *all, int first, int n, int tokens, double *out,
                        err *e)
{
    rig x = {.d = all->d};
    int v = 0;
    graph_init(&x.g);
    for (int i = 0; i < all->g.n_weights; i++)
        graph_add_weight(&x.g, all->g.weights[i]);
    int in = graph_embed(&x.g, 0, GRAPH_NONE, NULL, 1);
    for (int w = first; w < first + n; w++)
        graph_matmul(&x.g, in, &w, NULL, 1, &v);
    int rc = prepare(&x, tokens, v, GRAPH_EMBED, 0, e);
    if (!rc)
        *out = above(run(&x, tokens, 0), (n + 1) * r->step + r->embed * tokens * SIDE / r->threads);
    rig_done(&x);
    return rc;
}

// One token and a few: what a weight costs and what an operation does, from large and small matrices.
static int time_tokens(plan_rates *r, const rig *x, int type, int large, int small, err *e)
{
    for (int i = 0; i < 2; i++) {
        double many, few;
        int rc = time_weights(r, x, 1, large, plan_batch[i], &many, e);
        if (!rc)
            rc = time_weights(r, x, 1 + large, small, plan_batch[i], &few, e);
        if (rc)
            return rc;
        const double n = (double)large * LARGE * SIDE, k = (double)small * SMALL * SIDE;
        double each = (many * small - few * large) / (n * small - k * large);
        each = MAX(many / n * 0.7, MIN(each, many / n));
        keep(&r->matmul[type][i], each);
        if (i == 0)
            keep(&r->spread[type], MAX(many * 1e-4, many - each * n) / large);
    }
    return ST_OK;
}

static int probe_type(plan_rates *r, const dev_cpu_options *o, int type, size_t weights, err *e)
{
    const size_t bytes = weight_bytes(type, LARGE, SIDE), less = weight_bytes(type, SMALL, SIDE);
    const int large = (int)MAX((size_t)2, weights / bytes), small = (int)MAX((size_t)2, weights / less);
    rig x;
    int rc = rig_new(&x, o, table_bytes(SIDE) + (size_t)large * bytes + (size_t)small * less, e);
    if (!rc) {
        int v = table(&x, SIDE);
        for (int i = 0; i < large + small; i++)
            weight(&x, type, i < large ? LARGE : SMALL, SIDE, false);
        rc = graph_finish(&x.g, v, x.d->form_of, e);
    }
    if (!rc)
        rc = x.d->ops->load(x.d, &x.g, &(dev_load){0}, e);
    if (!rc)
        rc = time_tokens(r, &x, type, large, small, e);
    for (int i = 2; !rc && i < PLAN_POINTS; i++) {
        double seconds;
        rc = time_weights(r, &x, 1 + large, 2, plan_batch[i], &seconds, e);
        if (!rc)
            keep(&r->matmul[type][i], seconds / (2.0 * SMALL * SIDE));
    }
    rig_done(&x);
    return rc;
}

uint64_t plan_types(const graph *g)
{
    uint64_t types = 0;
    for (int i = 0; i < g->n_weights; i++)
        if (!g->weights[i].lookup_only)
            types |= (uint64_t)1 << g->weights[i].type;
    return types;
}

static void set_date(plan_rates *r)
{
    time_t now = time(NULL);
    struct tm t;
    if (!gmtime_r(&now, &t) || !strftime(r->date, sizeof r->date, "%Y-%m-%d", &t))
        r->date[0] = 0;
}

static int probe_machine(plan_rates *r, const dev_cpu_options *o, err *e)
{
    int rc = probe_reading(r, o->pin, e);
    if (!rc)
        rc = probe_step(r, o, e);
    if (!rc)
        rc = probe_rows(r, o, ROW_EMBED, &r->embed, e);
    if (!rc)
        rc = probe_rows(r, o, ROW_NORM, &r->norm, e);
    if (!rc)
        rc = probe_rows(r, o, ROW_GATE, &r->gate, e);
    if (!rc)
        rc = probe_store(r, o, e);
    return rc ? rc : probe_attention(r, o, e);
}

int plan_probe(plan_rates *r, const dev_cpu_options *o, uint64_t types, err *e)
{
    const bool machine = r->read_all == 0;
    const double start = os_seconds();
    double pass_seconds = 0;
    uint64_t wanted = 0;
    int rc = ST_OK;
    plan_machine m;
    plan_machine_read(&m, "");
    const size_t weights = (size_t)MAX(LEAST_WEIGHTS, MIN(2 * m.cache[2], MOST_WEIGHTS));
    for (int type = 0; type < QT_COUNT; type++)
        if (r->matmul[type][0] == 0)
            wanted |= types & (uint64_t)1 << type;
    if (machine)
        set_date(r);
    for (int pass = 0; !rc && pass < PASSES && os_seconds() - start + pass_seconds < BUDGET; pass++) {
        const double began = os_seconds();
        if (machine)
            rc = probe_machine(r, o, e);
        for (int type = 0; !rc && type < QT_COUNT; type++)
            if (wanted >> type & 1)
                rc = probe_type(r, o, type, weights, e);
        pass_seconds = os_seconds() - began;
    }
    return rc;
}

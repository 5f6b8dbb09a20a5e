// Weights of the CPU device: packed once into the panels the kernels read (kern.h), all in one block, which the next
// start may map from a file (cache.c).
#include "dev/cpu/cpu.h"

typedef struct loading {
    cpu_dev *d;
    const graph *g;
    const size_t *offset;  // [n_weights] in the packed block; SIZE_MAX: used as it lies in the file
    _Atomic uint64_t done;
    uint64_t total;
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
} loading;

enum { PACK_ROWS = 256 };  // rows a step of work: small enough to share, large enough for long reads

size_t cpu_packed_bytes(const graph_weight *w)
{
    return kern_packed_bytes(w->type, w->n, w->k) * (size_t)w->parts;
}

// Rows [row, end) of one part.
static void pack_rows(loading *l, int weight, int part, int row, int end)
{
    const graph_weight *w = &l->g->weights[weight];
    size_t row_bytes = quant_row_bytes(w->type, (uint64_t)w->k);
    const uint8_t *src = (const uint8_t *)w->data + (size_t)part * (size_t)w->n * row_bytes;
    uint8_t *dst = l->d->packed + l->offset[weight] + (size_t)part * kern_packed_bytes(w->type, w->n, w->k);
    kern_pack(w->type, w->n, w->k, src, dst, row, end);
    // The file's pages are not needed again: what stays resident is the packed copy.
    os_map_dontneed(src + (size_t)row * row_bytes, (size_t)(end - row) * row_bytes);
}

static void pack_worker(void *ctx, int ith, int nth)
{
    loading *l = ctx;
    int unit = 0;
    for (int i = 0; i < l->g->n_weights; i++) {
        if (l->offset[i] == SIZE_MAX)
            continue;
        const graph_weight *w = &l->g->weights[i];
        size_t row_bytes = quant_row_bytes(w->type, (uint64_t)w->k);
        int steps = (w->n + PACK_ROWS - 1) / PACK_ROWS;
        for (int s = 0; s < steps * w->parts; s++, unit++) {
            if (unit % nth != ith)
                continue;
            int row = s % steps * PACK_ROWS, end = MIN(row + PACK_ROWS, w->n);
            pack_rows(l, i, s / steps, row, end);
            uint64_t done = atomic_fetch_add(&l->done, (uint64_t)(end - row) * row_bytes);
            if (ith == 0 && l->progress)
                l->progress(l->ctx, done, l->total);
        }
    }
}

// Where each matrix goes in the block of packed ones.
static void lay_out(cpu_dev *d, const graph *g, size_t *offset)
{
    for (int i = 0; i < g->n_weights; i++) {
        const graph_weight *w = &g->weights[i];
        size_t bytes = w->lookup_only || d->no_repack ? 0 : cpu_packed_bytes(w);
        offset[i] = bytes ? d->packed_bytes : SIZE_MAX;
        d->packed_bytes += (size_t)round_up(bytes, 64);
    }
}

static void describe_weights(cpu_dev *d, const graph *g, const size_t *offset, const uint8_t *block)
{
    for (int i = 0; i < g->n_weights; i++) {
        const graph_weight *w = &g->weights[i];
        bool packed = offset[i] != SIZE_MAX;
        int panels = (w->n + KERN_PANEL - 1) / KERN_PANEL;
        d->weights[i] = (kern_weight){
            .type = packed ? kern_packed_type(w->type) : w->type,
            .family = packed ? kern_family_of(w->type) : KERN_DECODE,
            .n = w->n,
            .k = w->k,
            .panel_bytes = packed ? kern_packed_bytes(w->type, w->n, w->k) / (size_t)panels
                                  : quant_row_bytes(w->type, (uint64_t)w->k) * KERN_PANEL,
            .data = packed ? block + offset[i] : w->data,
        };
    }
}

kern_weight cpu_weight_part(const cpu_dev *d, int weight, int part)
{
    kern_weight w = d->weights[weight];
    size_t bytes = w.family == KERN_DECODE ? (size_t)w.n * quant_row_bytes(w.type, (uint64_t)w.k)
                                           : (size_t)((w.n + KERN_PANEL - 1) / KERN_PANEL) * w.panel_bytes;
    w.data += (size_t)part * bytes;
    return w;
}

static int pack(cpu_dev *d, const graph *g, const size_t *offset, const dev_load *l, err *e)
{
    d->packed = mem_pages_alloc(MEM_WEIGHTS, d->packed_bytes);
    if (!d->packed)
        return err_set(e, ST_NOMEM, "no memory for %zu MB of weights", d->packed_bytes >> 20);
    loading w = {.d = d, .g = g, .offset = offset, .progress = l->progress, .ctx = l->progress_ctx};
    w.total = d->packed_bytes;
    pool_run(d->threads, pack_worker, &w);
    // Again as a whole: reading a page brings in its neighbours, also those a thread beside had given back.
    for (int i = 0; i < g->n_weights; i++)
        if (offset[i] != SIZE_MAX) {
            const graph_weight *x = &g->weights[i];
            size_t rows = (size_t)x->n * (size_t)x->parts;
            os_map_dontneed(x->data, rows * quant_row_bytes(x->type, (uint64_t)x->k));
        }
    return ST_OK;
}

int cpu_load(dev *base, const graph *g, const dev_load *l, err *e)
{
    cpu_dev *d = (cpu_dev *)base;
    size_t *offset = mem_calloc(MEM_OTHER, (size_t)g->n_weights, sizeof *offset);
    d->weights = mem_calloc(MEM_WEIGHTS, (size_t)g->n_weights, sizeof *d->weights);
    if (!offset || !d->weights) {
        mem_free(offset);
        return err_set(e, ST_NOMEM, "no memory for the weight table");
    }
    d->n_weights = g->n_weights;
    lay_out(d, g, offset);
    int rc = ST_OK;
    if (d->packed_bytes) {
        cpu_cache c = {.g = g, .offset = offset, .bytes = d->packed_bytes, .threads = d->threads};
        cpu_cache_init(&c, l);
        const uint8_t *block = cpu_cache_map(&c, &d->cache);
        if (!block && !(rc = pack(d, g, offset, l, e))) {
            cpu_cache_write(&c, d->packed);
            block = d->packed;
        }
        cpu_cache_done(&c);
        if (!rc)
            describe_weights(d, g, offset, block);
    } else {
        describe_weights(d, g, offset, NULL);
    }
    mem_free(offset);
    if (!rc && l->progress)
        l->progress(l->progress_ctx, d->packed_bytes, d->packed_bytes);
    return rc;
}

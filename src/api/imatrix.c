// Importance of the columns of all matrices, gathered while the model reads a text.
#include <string.h>

#include "api/own.h"
#include "quantize/quantize.h"

typedef struct gather {
    irori_model *m;
    quantize_sums *sums;  // [weights of the graph]; columns 0 where nothing is gathered
    int n;
} gather;

static void observe(void *ctx, int weight, int part, const float *x, int rows, int width)
{
    gather *g = ctx;
    quantize_sums *s = &g->sums[weight];
    if (s->columns != width || part >= s->matrices)
        return;
    double *sum2 = s->sum2 + (size_t)part * (size_t)width;
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < width; i++) {
            double v = (double)x[(size_t)t * (size_t)width + (size_t)i];
            sum2[i] += v * v;
        }
    s->count[part] += rows;
}

// Slices of one tensor read the same input: only its first is counted.
static int gather_init(gather *g, irori_model *m, err *e)
{
    const graph *all = &m->engine.model.graph;
    *g = (gather){.m = m, .n = all->n_weights};
    g->sums = mem_calloc(MEM_OTHER, (size_t)g->n, sizeof *g->sums);
    bool ok = g->sums != NULL;
    for (int i = 0; ok && i < g->n; i++) {
        const graph_weight *w = &all->weights[i];
        if (w->lookup_only || w->row0 > 0)
            continue;
        quantize_sums *s = &g->sums[i];
        *s = (quantize_sums){.name = w->name, .columns = w->k, .matrices = MAX(w->parts, 1)};
        s->sum2 = mem_calloc(MEM_OTHER, (size_t)s->columns * (size_t)s->matrices, sizeof *s->sum2);
        s->count = mem_calloc(MEM_OTHER, (size_t)s->matrices, sizeof *s->count);
        ok = s->sum2 && s->count;
    }
    m->engine.observe = observe;
    m->engine.observe_ctx = g;
    return ok ? ST_OK : err_set(e, ST_NOMEM, "no memory for sums over the columns of %d matrices", g->n);
}

static void gather_done(gather *g)
{
    for (int i = 0; g->sums && i < g->n; i++) {
        mem_free(g->sums[i].sum2);
        mem_free(g->sums[i].count);
    }
    mem_free(g->sums);
}

// Brings the matrices that were reached to the front; gives their number.
static size_t gather_reached(gather *g)
{
    size_t n = 0;
    for (int i = 0; i < g->n; i++) {
        bool reached = false;
        for (int k = 0; k < g->sums[i].matrices && g->sums[i].columns; k++)
            reached = reached || g->sums[i].count[k] > 0;
        quantize_sums s = g->sums[i];
        if (!reached)
            continue;
        g->sums[i] = g->sums[n];
        g->sums[n++] = s;
    }
    return n;
}

static int read_windows(irori_session *s, const int32_t *ids, size_t windows, size_t ctx,
                        const irori_imatrix_options *o, irori_error *error)
{
    err *e = api_err(error);
    double *logprob = mem_alloc(MEM_OTHER, ctx * sizeof *logprob);
    int rc = logprob ? ST_OK : err_set(e, ST_NOMEM, "no memory for a window of %zu tokens", ctx);
    for (size_t i = 0; !rc && i < windows; i++) {
        rc = irori_session_truncate(s, 0, error);
        if (!rc)  // scores of all tokens, so that the last layer and the head see all of them too
            rc = irori_session_score(s, ids + i * ctx, ctx, 1, logprob, error);
        if (!rc && o->progress && !o->progress(o->ctx, (i + 1) * ctx, windows * ctx))
            rc = err_set(e, ST_CANCELED, "stopped");
    }
    mem_free(logprob);
    return rc;
}

static int measure(irori_model *m, const char *text, size_t bytes, const char *source, const char *out,
                   size_t ctx, const irori_imatrix_options *o, irori_error *error)
{
    int32_t *ids = NULL;
    size_t count = 0, windows = 0;
    irori_session *s = NULL;
    gather g = {0};
    int rc = irori_tokenize(m, text, bytes, IRORI_TOKENIZE_BOS, &ids, &count, error);
    if (!rc && (windows = count / ctx) == 0)
        rc = err_set(api_err(error), ST_INVALID, "the text has %zu tokens, a window needs %zu", count, ctx);
    if (o->chunks > 0)
        windows = MIN(windows, (size_t)o->chunks);
    if (!rc)
        rc = irori_session_new(&s, m, NULL, error);
    if (!rc)
        rc = gather_init(&g, m, api_err(error));
    if (!rc)
        rc = read_windows(s, ids, windows, ctx, o, error);
    if (!rc)
        rc = quantize_imatrix_save(g.sums, gather_reached(&g), source, (uint32_t)windows, (uint32_t)ctx, out,
                                   api_err(error));
    gather_done(&g);
    irori_session_free(s);
    irori_free(ids);
    return rc;
}

int irori_imatrix(const char *path, const char *text, size_t bytes, const char *source, const char *out,
                  const irori_imatrix_options *options, irori_error *error)
{
    static const irori_imatrix_options defaults;
    const irori_imatrix_options *o = options ? options : &defaults;
    int ctx = o->context > 0 ? o->context : 512;
    // Weights as the file holds them: inputs of all products are floats then.
    irori_model_options mo = {
        .threads = o->threads, .context = ctx, .cpu = o->cpu, .no_repack = true, .no_pin = true};
    irori_model *m;
    int rc = irori_model_open(&m, path, &mo, error);
    if (rc)
        return rc;
    rc = measure(m, text, bytes, source, out, (size_t)ctx, o, error);
    irori_model_close(m);
    return rc;
}

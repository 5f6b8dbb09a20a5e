// Types under a bound: each tensor's error is measured under each type, and bits go, one step after another, to where a
// byte takes away the most error. That is the exact answer on the lower convex hull of each tensor's (bytes, error) points,
// up to the last step.
#include <stdio.h>
#include <string.h>

#include "quantize/own.h"

enum {
    SAMPLE =
        96,  // rows measured of a tensor: 25,000 squares and more, whose mean is known to about a percent
    STEPS = 16,
};

// Rising in size. Those below Q3_K are slow to run, so they are offered only where the target needs them.
static const int ladder[] = {QT_IQ2_XXS, QT_IQ2_XS, QT_IQ2_S, QT_Q2_K, QT_IQ3_XXS, QT_Q3_K, QT_IQ4_XS,
                             QT_IQ4_NL,  QT_Q4_K,   QT_Q5_0,  QT_Q5_K, QT_Q5_1,    QT_Q6_K, QT_Q8_0};
static const double slow_below = 3.6;  // bits

typedef struct point {
    int type;
    uint64_t bytes;
    double error;
} point;

// The hull of one tensor, and where on it the choice stands.
typedef struct hull {
    point p[STEPS];
    int n, at;
} hull;

// Keeps the lower convex hull: points that come with rising bytes.
static void add_point(hull *h, point p)
{
    if (h->n && p.error >= h->p[h->n - 1].error)
        return;
    while (h->n >= 2) {
        const point *a = &h->p[h->n - 2], *b = &h->p[h->n - 1];
        double before = (a->error - b->error) / (double)(b->bytes - a->bytes);
        double after = (b->error - p.error) / (double)(p.bytes - b->bytes);
        if (before > after)
            break;
        h->n--;
    }
    h->p[h->n++] = p;
}

// What an error counts. Values and the last step of a block go straight into the residual stream. The head's error reaches
// the logits whole, beside which that of one matrix is one of many: counted as 0.7 of all matrices together, the demo model
// at 4.92 bits comes to a KL divergence of 0.0095, counted as 2 or 8 to 0.0133 (Q4_K_S, of the same size: 0.0116).
static double weight_of(const gguf *g, const gguf_tensor *t, size_t matrices)
{
    if (quantize_is_head(g, t))
        return 0.7 * (double)matrices;
    return strstr(t->name, "attn_v.weight") || strstr(t->name, "ffn_down") ? 2 : 1;
}

static int measure(const gguf_tensor *t, const quantize_imatrix *m, quantize_rows *rows, double target,
                   double weight, hull *h, err *e)
{
    float *means;
    int rc = quantize_imatrix_get(m, t, &means, e);
    for (size_t k = 0; !rc && k < COUNT_OF(ladder); k++) {
        int type = ladder[k];
        uint64_t row = quant_row_bytes(type, t->dims[0]);
        const quant_info *info = quant_type_info(type);
        bool slow = 8.0 * info->block_bytes / info->block_elems < 3.4;
        if (!row || (slow && target > slow_below))
            continue;
        double error = quantize_rows_error(rows, t, means, type, SAMPLE);
        if (error < 0)
            rc = err_set(e, ST_NOMEM, "%s: no memory to measure it", t->name);
        else
            add_point(h, (point){type, row * quantize_row_count(t), error * weight});
    }
    mem_free(means);
    if (!rc && h->n == 0)  // rows that divide into nothing stay
        add_point(h, (point){QT_F16, 2 * t->dims[0] * quantize_row_count(t), 0});
    return rc;
}

// Spends `left` bytes on the steps that pay most.
static void spend(hull *hulls, size_t n, uint64_t left)
{
    for (;;) {
        hull *best = NULL;
        double best_gain = 0;
        for (size_t i = 0; i < n; i++) {
            hull *h = &hulls[i];
            if (h->at + 1 >= h->n || h->p[h->at + 1].bytes - h->p[h->at].bytes > left)
                continue;
            const point *p = &h->p[h->at];
            double gain = (p[0].error - p[1].error) / (double)(p[1].bytes - p[0].bytes);
            if (gain > best_gain) {
                best_gain = gain;
                best = h;
            }
        }
        if (!best)
            return;
        left -= best->p[best->at + 1].bytes - best->p[best->at].bytes;
        best->at++;
    }
}

static int choose(const gguf *g, const quantize_imatrix *m, quantize_rows *rows, const quantize_options *o,
                  hull *hulls, int *types, err *e)
{
    uint64_t least = 0, values = 0;
    size_t n = gguf_tensor_count(g), matrices = 0;
    for (size_t i = 0; i < n; i++)
        matrices += quantize_takes(gguf_tensor_at(g, i));
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        values += t->dims[0] * quantize_row_count(t);
        types[i] = t->type;
        if (!quantize_takes(t)) {
            least += t->size;
            continue;
        }
        int rc = measure(t, m, rows, o->target_bpw, weight_of(g, t, matrices), &hulls[i], e);
        if (rc)
            return rc;
        least += hulls[i].p[0].bytes;
        if (o->progress && !o->progress(o->ctx, 0, 1))
            return err_set(e, ST_CANCELED, "stopped while measuring");
    }
    double bound = o->target_bpw * (double)values / 8;
    if ((double)least > bound)
        return err_set(e, ST_LIMIT, "%s: %.2f bits a weight are not reachable, the least is %.2f",
                       gguf_path(g), o->target_bpw, 8 * (double)least / (double)values);
    spend(hulls, n, (uint64_t)(bound - (double)least));
    for (size_t i = 0; i < n; i++)
        if (hulls[i].n)
            types[i] = hulls[i].p[hulls[i].at].type;
    return ST_OK;
}

int quantize_budget(const gguf *g, const quantize_imatrix *m, quantize_rows *rows, const quantize_options *o,
                    int *types, err *e)
{
    hull *hulls = mem_calloc(MEM_OTHER, gguf_tensor_count(g), sizeof *hulls);
    if (!hulls)
        return err_set(e, ST_NOMEM, "%s: no memory to choose types", gguf_path(g));
    int rc = choose(g, m, rows, o, hulls, types, e);
    mem_free(hulls);
    return rc;
}

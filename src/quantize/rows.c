// Rows shared out among threads: decoded, encoded, compared.
#include <math.h>
#include <string.h>

#include "quantize/own.h"

int quantize_rows_new(quantize_rows *r, int threads, uint64_t columns, err *e)
{
    *r = (quantize_rows){.columns = columns};
    int n = threads > 0 ? threads : os_cpu_count();
    int rc = pool_new(&r->threads, n, false, e);
    if (rc)
        return rc;
    r->row = mem_calloc(MEM_BUFFERS, (size_t)n, sizeof *r->row);
    r->back = mem_calloc(MEM_BUFFERS, (size_t)n, sizeof *r->back);
    bool ok = r->row && r->back;
    for (int i = 0; ok && i < n; i++) {
        r->row[i] = mem_alloc(MEM_BUFFERS, columns * sizeof(float));
        // An encoded row, or a decoded one, and an encoded one after it.
        r->back[i] = mem_alloc(MEM_BUFFERS, 3 * columns * sizeof(float));
        ok = r->row[i] && r->back[i];
    }
    if (ok)
        return ST_OK;
    quantize_rows_free(r);
    return err_set(e, ST_NOMEM, "no memory for rows of %llu values in %d threads",
                   (unsigned long long)columns, n);
}

void quantize_rows_free(quantize_rows *r)
{
    for (int i = 0; r->threads && i < pool_threads(r->threads); i++) {
        if (r->row)
            mem_free(r->row[i]);
        if (r->back)
            mem_free(r->back[i]);
    }
    mem_free(r->row);
    mem_free(r->back);
    pool_free(r->threads);
    *r = (quantize_rows){0};
}

typedef struct encode_job {
    quantize_rows *r;
    const gguf_tensor *t;
    const float *means;
    int type;
    uint64_t first;
    int n;
    uint8_t *dst;
    atomic_int next;
} encode_job;

static const float *decoded(quantize_rows *r, const gguf_tensor *t, uint64_t row, int ith)
{
    const uint8_t *src = t->data + row * quant_row_bytes(t->type, t->dims[0]);
    quant_type_info(t->type)->decode(src, r->row[ith], (size_t)t->dims[0]);
    return r->row[ith];
}

static const float *means_of(const gguf_tensor *t, const float *means, uint64_t row)
{
    return means ? means + row / t->dims[1] * t->dims[0] : NULL;
}

static void encode_one(const gguf_tensor *t, const float *x, const float *means, int type, uint64_t row,
                       void *dst)
{
    const quant_info *info = quant_type_info(type);
    if (info->fit)
        info->fit(x, dst, (size_t)t->dims[0], means_of(t, means, row));
    else
        info->encode(x, dst, (size_t)t->dims[0]);
}

static void encode_rows(void *ctx, int ith, int nth)
{
    (void)nth;
    encode_job *j = ctx;
    size_t bytes = quant_row_bytes(j->type, j->t->dims[0]);
    int from, to;
    while (pool_next(&j->next, j->n, 4, &from, &to))
        for (int i = from; i < to; i++) {
            uint64_t row = j->first + (uint64_t)i;
            encode_one(j->t, decoded(j->r, j->t, row, ith), j->means, j->type, row,
                       j->dst + (size_t)i * bytes);
        }
}

void quantize_rows_encode(quantize_rows *r, const gguf_tensor *t, const float *means, int type,
                          uint64_t first, uint64_t n, uint8_t *dst)
{
    if (type == t->type) {
        size_t bytes = quant_row_bytes(type, t->dims[0]);
        memcpy(dst, t->data + first * bytes, n * bytes);
        return;
    }
    encode_job j = {.r = r, .t = t, .means = means, .type = type, .first = first, .n = (int)n, .dst = dst};
    pool_run(r->threads, encode_rows, &j);
}

typedef struct error_job {
    quantize_rows *r;
    const gguf_tensor *t;
    const float *means;
    int type, n;
    uint64_t rows;
    double *lost,
        *power;  // [n] of each sampled row: summed in order, so that threads do not change the result
    atomic_int next;
} error_job;

static void measure_row(error_job *j, int i, int ith)
{
    const gguf_tensor *t = j->t;
    uint64_t row = (uint64_t)i * j->rows / (uint64_t)j->n;
    size_t n = (size_t)t->dims[0];
    const float *x = decoded(j->r, t, row, ith), *m = means_of(t, j->means, row);
    float *back = j->r->back[ith], *codes = back + n;
    encode_one(t, x, j->means, j->type, row, codes);
    quant_type_info(j->type)->decode(codes, back, n);
    double lost = 0, power = 0;
    for (size_t k = 0; k < n; k++) {
        double w = m ? (double)m[k] : 1, miss = (double)back[k] - (double)x[k];
        lost += w * miss * miss;
        power += w * (double)x[k] * (double)x[k];
    }
    j->lost[i] = lost;
    j->power[i] = power;
}

static void measure_rows(void *ctx, int ith, int nth)
{
    (void)nth;
    error_job *j = ctx;
    int from, to;
    while (pool_next(&j->next, j->n, 1, &from, &to))
        for (int i = from; i < to; i++)
            measure_row(j, i, ith);
}

double quantize_rows_error(quantize_rows *r, const gguf_tensor *t, const float *means, int type,
                           uint64_t sample)
{
    uint64_t rows = quantize_row_count(t), n = MIN(rows, sample);
    double *sums = mem_calloc(MEM_BUFFERS, 2 * (size_t)n, sizeof *sums);
    if (!sums)
        return -1;
    error_job j = {.r = r,
                   .t = t,
                   .means = means,
                   .type = type,
                   .n = (int)n,
                   .rows = rows,
                   .lost = sums,
                   .power = sums + n};
    pool_run(r->threads, measure_rows, &j);
    double lost = 0, power = 0;
    for (uint64_t i = 0; i < n; i++) {
        lost += j.lost[i];
        power += j.power[i];
    }
    mem_free(sums);
    return power > 0 ? lost / power : 0;
}

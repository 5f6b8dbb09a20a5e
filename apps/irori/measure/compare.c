// See compare.h. The models take turns by a few tokens, so that only so many distributions are kept.
#include "measure/compare.h"

#include <math.h>
#include <string.h>

enum { TURN = 16 };

double compare_mean(double sum, size_t n)
{
    return n ? sum / (double)n : 0;
}

double compare_error(double sum, double squares, size_t n)
{
    double mean = compare_mean(sum, n), spread = compare_mean(squares, n) - mean * mean;
    return n > 1 && spread > 0 ? sqrt(spread / (double)(n - 1)) : 0;
}

typedef struct turn {
    const int32_t *next;  // the tokens that follow
    int vocabulary;
    float *base;  // [TURN][vocabulary] logits
    compare_sums *sums;
} turn;

static void keep(void *ctx, size_t i, const float *logits)
{
    const turn *t = ctx;
    memcpy(t->base + i * (size_t)t->vocabulary, logits, (size_t)t->vocabulary * sizeof *logits);
}

static int likeliest(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static double log_sum(const float *x, int n, float top)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)(x[i] - top));
    return (double)top + log(sum);
}

double compare_logits(const float *p, const float *q, int n, int32_t next, compare_sums *s)
{
    int best_p = likeliest(p, n), best_q = likeliest(q, n);
    double lp = log_sum(p, n, p[best_p]), lq = log_sum(q, n, q[best_q]), kl = 0;
    for (int k = 0; k < n; k++) {
        double a = (double)p[k] - lp, b = (double)q[k] - lq;
        kl += exp(a) * (a - b);
    }
    double nll_base = lp - (double)p[next], nll = lq - (double)q[next], worse = nll - nll_base;
    s->n++;
    s->agree += best_p == best_q;
    s->nll += nll;
    s->nll_base += nll_base;
    s->worse += worse;
    s->worse_squares += worse * worse;
    s->kl += kl;
    s->kl_squares += kl * kl;
    return kl;
}

static void compare(void *ctx, size_t i, const float *q)
{
    const turn *t = ctx;
    compare_logits(t->base + i * (size_t)t->vocabulary, q, t->vocabulary, t->next[i], t->sums);
}

int compare_window(irori_session *base, irori_session *s, const int32_t *ids, size_t ctx, int vocabulary,
                   compare_sums *sums, irori_error *e)
{
    size_t at = ctx / 2;
    turn t = {.vocabulary = vocabulary, .sums = sums};
    t.base = mem_alloc(MEM_OTHER, TURN * (size_t)vocabulary * sizeof *t.base);
    if (!t.base)
        return err_set((err *)(void *)e, ST_NOMEM, "out of memory for %d distributions", TURN);
    irori_session *both[2] = {base, s};
    int rc = IRORI_OK;
    for (int i = 0; !rc && i < 2; i++) {
        rc = irori_session_truncate(both[i], 0, e);
        if (!rc)
            rc = irori_session_add(both[i], ids, at, e);
    }
    while (!rc && at + 1 < ctx) {
        size_t n = MIN(ctx - 1 - at, (size_t)TURN);
        t.next = ids + at + 1;
        rc = irori_session_add_each(base, ids + at, n, 0, keep, &t, e);
        if (!rc)
            rc = irori_session_add_each(s, ids + at, n, 0, compare, &t, e);
        at += n;
    }
    mem_free(t.base);
    return rc;
}

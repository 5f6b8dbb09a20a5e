// The rows of irori eval kv, and their curve.
#ifndef IRORI_EVAL_KV_H
#define IRORI_EVAL_KV_H

#include <irori.h>

#include "base/base.h"

typedef struct eval_kv_row {
    char name[96], policy[80], budget[16];  // "staged@25%": "staged", "25%"
    double bits, resident, spilled,
        f16;                      // mean bits of a value, and bytes, while tokens are fed one by one
    double ppl, ppl_error;        // its standard error against F16, whose tokens are the same
    double kl, kl_error, kl_p95;  // kl_error: standard error of the mean
    double speed[3];              // tokens a second: quartiles
    uint64_t rss;
} eval_kv_row;

// eval_kv_plot.c: KL against mean bits, a line for each family of policies, as an SVG file.
int eval_kv_plot(const char *path, const eval_kv_row *rows, size_t n, size_t ctx, err *e);

#endif

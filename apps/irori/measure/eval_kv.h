// The rows of irori eval kv, and their curve.
#ifndef IRORI_EVAL_KV_H
#define IRORI_EVAL_KV_H

#include <irori.h>

#include "base/base.h"

typedef struct eval_kv_row {
    char name[64];        // "staged@25%"
    bool have_reference;  // the F16 distributions of a single window are there
    irori_kv_stats kv;
    double ppl, kl, kl_p95;
    double speed[3];  // tokens a second: quartiles
    uint64_t rss;
} eval_kv_row;

// eval_kv_plot.c: KL against mean bits, a line for each family of policies, as an SVG file.
int eval_kv_plot(const char *path, const eval_kv_row *rows, size_t n, size_t ctx, err *e);

#endif

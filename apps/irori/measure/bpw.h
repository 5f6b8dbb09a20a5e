// The table of `irori eval bpw`: measured in eval_bpw.c, shown in bpw_report.c.
#ifndef IRORI_BPW_H
#define IRORI_BPW_H

#include "cli.h"

enum { BPW_METHODS = 8 };

typedef struct bpw_row {
    const char *method;
    double bpw;                    // bits a weight of the whole file
    uint64_t bytes;                // of the file
    double nll, nll_original, kl;  // nats a token
    size_t scored;
    double pp, tg;  // tokens a second
    double ttft_ms, rss_mb;
    double joules;  // a token generated; negative: not available
} bpw_row;

int bpw_report(const cli_options *o, const bpw_row rows[BPW_METHODS]);

#endif

// One report format for everything that is measured: what ran on which machine, then a row for each figure.
//
// As JSON lines (a head, then rows: to keep and to compare), Markdown, and a page with plots. docs/BENCH.md describes it.
#ifndef IRORI_REPORT_H
#define IRORI_REPORT_H

#include <irori.h>

#include "base/base.h"
#include "measure/stats.h"

typedef struct report_row {
    char test[64];    // "tg128@d4096"
    char metric[32];  // with its unit: "tokens_per_second", "ttft_ms"
    bool more_is_better;
    stats s;  // of a share or another single value: median, its interval and n; the others are NAN
} report_row;

// Texts are empty where they are not known.
typedef struct report {
    char date[32];  // "2026-12-01T04:30:00Z"
    char version[32], model[128], model_hash[20], quantization[32], device[128], url[256];
    char cpu[128], cpu_flags[128], kv[64], prompt_hash[20], energy[32];  // energy: "rapl" or "not available"
    int threads;
    uint64_t seed, parameters, file_bytes;
    double temperature;
    report_row *rows;
    size_t n, cap;
    bool failed;  // a row was lost for want of memory
} report;

void report_init(report *r);  // fills in the machine, the time and irori's version
void report_set_model(report *r, const irori_model *m);
void report_done(report *r);
// Takes the samples' figures (they are sorted by it); nothing is added without samples.
void report_add(report *r, const char *test, const char *metric, bool more_is_better, samples *s);

// A value that has its interval already: a share of n, say.
void report_add_value(report *r, const char *test, const char *metric, bool more_is_better, double value,
                      double low, double high, size_t n);

// To a file, in the form its name ends in: .jsonl, .md, .html. ST_INVALID: another ending; ST_IO, ST_NOMEM.
int report_write(const report *r, const char *path, err *e);
// A .jsonl file. ST_NOTFOUND, ST_IO, ST_FORMAT (says the line), ST_NOMEM.
int report_read(report *r, const char *path, err *e);

// On standard output: a table, or a JSON array of rows. CLI_OK or CLI_FAILED.
int report_print(const report *r, bool json);

// "8.1..9.2", and "8.1" when both are the same; "" when they are NAN.
typedef char report_text[48];
const char *report_range(report_text out, double low, double high);

void report_jsonl(const report *r, buf *out);
void report_markdown(const report *r, buf *out);
void report_page(const report *r, buf *out);  // report_page.c: self-contained HTML

#endif

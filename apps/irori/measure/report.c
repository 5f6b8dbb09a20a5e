// The record of a run, and its two plain forms.
#include "measure/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "put.h"

enum { MOST_FILE = 1 << 28 };

// ---- Filling ---------------------------------------------------------------------------------------------------
void report_init(report *r)
{
    *r = (report){0};
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        strftime(r->date, sizeof r->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(r->version, sizeof r->version, "%s", irori_version());
    snprintf(r->cpu_flags, sizeof r->cpu_flags, "%s", irori_cpu_flags());
    snprintf(r->energy, sizeof r->energy, "not available");
    irori_machine machine;
    if (!irori_machine_get(&machine, NULL, 0, NULL))
        snprintf(r->cpu, sizeof r->cpu, "%s", machine.cpu);
}

void report_set_model(report *r, const irori_model *m)
{
    irori_model_info info;
    irori_model_get_info(m, &info);
    snprintf(r->model, sizeof r->model, "%s", info.name);
    snprintf(r->model_hash, sizeof r->model_hash, "%016" PRIx64, info.hash);
    snprintf(r->quantization, sizeof r->quantization, "%s", info.quantization);
    snprintf(r->device, sizeof r->device, "%s", info.device);
    r->threads = info.threads;
    r->parameters = info.parameters;
    r->file_bytes = info.file_bytes;
}

void report_done(report *r)
{
    mem_free(r->rows);
    *r = (report){0};
}

static report_row *new_row(report *r)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 32;
        report_row *rows = mem_realloc(MEM_OTHER, r->rows, cap * sizeof *rows);
        if (!rows) {
            r->failed = true;
            return NULL;
        }
        r->rows = rows;
        r->cap = cap;
    }
    r->rows[r->n] = (report_row){0};
    return &r->rows[r->n++];
}

void report_add(report *r, const char *test, const char *metric, bool more_is_better, samples *s)
{
    r->failed |= s->failed;
    report_row *row = s->n ? new_row(r) : NULL;
    if (!row)
        return;
    snprintf(row->test, sizeof row->test, "%s", test);
    snprintf(row->metric, sizeof row->metric, "%s", metric);
    row->more_is_better = more_is_better;
    row->s = stats_of(s);
}

void report_add_value(report *r, const char *test, const char *metric, bool more_is_better, double value,
                      double low, double high, size_t n)
{
    report_row *row = new_row(r);
    if (!row)
        return;
    snprintf(row->test, sizeof row->test, "%s", test);
    snprintf(row->metric, sizeof row->metric, "%s", metric);
    row->more_is_better = more_is_better;
    row->s = (stats){.n = n,
                     .median = value,
                     .low = low,
                     .high = high,
                     .p95 = NAN,
                     .least = NAN,
                     .most = NAN,
                     .mean = value};
}

// ---- The fields, once for writing and reading -------------------------------------------------------------------
enum kind { TEXT, INT, U64, NUMBER };
typedef struct field {
    const char *name;
    enum kind kind;
    size_t offset, size;
} field;
#define OF_REPORT(name, kind)                                            \
    {                                                                    \
#name, kind, offsetof(report, name), sizeof(((report *)0)->name) \
    }
#define OF_STATS(name)                                       \
    {                                                        \
#name, NUMBER, offsetof(stats, name), sizeof(double) \
    }
static const field head_fields[] = {
    OF_REPORT(date, TEXT),         OF_REPORT(version, TEXT),
    OF_REPORT(model, TEXT),        OF_REPORT(model_hash, TEXT),
    OF_REPORT(parameters, U64),    OF_REPORT(file_bytes, U64),
    OF_REPORT(quantization, TEXT), OF_REPORT(device, TEXT),
    OF_REPORT(url, TEXT),          OF_REPORT(cpu, TEXT),
    OF_REPORT(cpu_flags, TEXT),    OF_REPORT(threads, INT),
    OF_REPORT(kv, TEXT),           OF_REPORT(prompt_hash, TEXT),
    OF_REPORT(seed, U64),          OF_REPORT(temperature, NUMBER),
    OF_REPORT(energy, TEXT),
};
static const field stats_fields[] = {
    OF_STATS(median), OF_STATS(low),  OF_STATS(high), OF_STATS(p95),
    OF_STATS(least),  OF_STATS(most), OF_STATS(mean),
};

static void put_field(json_writer *w, const field *f, const void *base)
{
    const char *at = (const char *)base + f->offset;
    switch (f->kind) {
    case TEXT: put_str(w, f->name, at); break;
    case INT: put_int(w, f->name, *(const int *)(const void *)at); break;
    case U64: put_int(w, f->name, (int64_t) * (const uint64_t *)(const void *)at); break;
    case NUMBER: put_num(w, f->name, *(const double *)(const void *)at); break;
    }
}

// What is missing or of another kind stays as it is: a later version may write other fields.
static void get_field(const json_t *from, const field *f, void *base)
{
    char *at = (char *)base + f->offset;
    const json_t *v = json_object_get(from, f->name);
    switch (f->kind) {
    case TEXT:
        if (json_is_string(v))
            snprintf(at, f->size, "%s", json_string_value(v));
        break;
    case INT: *(int *)(void *)at = (int)json_integer_value(v); break;
    case U64: *(uint64_t *)(void *)at = (uint64_t)json_integer_value(v); break;
    case NUMBER: *(double *)(void *)at = json_is_number(v) ? json_number_value(v) : (double)NAN; break;
    }
}

// ---- JSON lines ------------------------------------------------------------------------------------------------
static void put_row(json_writer *w, const report_row *row)
{
    json_obj(w);
    put_str(w, "test", row->test);
    put_str(w, "metric", row->metric);
    put_str(w, "better", row->more_is_better ? "more" : "less");
    put_int(w, "n", (int64_t)row->s.n);
    for (size_t k = 0; k < COUNT_OF(stats_fields); k++)
        put_field(w, &stats_fields[k], &row->s);
    json_end(w);
}

void report_jsonl(const report *r, buf *out)
{
    json_writer w;
    json_begin(&w, out);
    json_obj(&w);
    put_int(&w, "irori_report", 1);  // version of the format
    for (size_t i = 0; i < COUNT_OF(head_fields); i++)
        put_field(&w, &head_fields[i], r);
    json_end(&w);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < r->n; i++) {
        json_begin(&w, out);
        put_row(&w, &r->rows[i]);
        buf_add_char(out, '\n');
    }
}

static int read_head(report *r, const json_t *line, const char *path, err *e)
{
    if (json_integer_value(json_object_get(line, "irori_report")) != 1)
        return err_set(e, ST_FORMAT, "%s: line 1 is not the head of a report (\"irori_report\": 1)", path);
    for (size_t i = 0; i < COUNT_OF(head_fields); i++)
        get_field(line, &head_fields[i], r);
    return ST_OK;
}

static int read_row(report *r, const json_t *line, const char *path, size_t number, err *e)
{
    const char *test = json_string_value(json_object_get(line, "test"));
    const char *metric = json_string_value(json_object_get(line, "metric"));
    const char *better = json_string_value(json_object_get(line, "better"));
    if (!test || !metric || !better)
        return err_set(e, ST_FORMAT, "%s: line %zu is no row: test, metric or better is missing", path,
                       number);
    report_row *row = new_row(r);
    if (!row)
        return err_set(e, ST_NOMEM, "%s: no memory for row %zu", path, number);
    snprintf(row->test, sizeof row->test, "%s", test);
    snprintf(row->metric, sizeof row->metric, "%s", metric);
    row->more_is_better = strcmp(better, "more") == 0;
    row->s.n = (size_t)json_integer_value(json_object_get(line, "n"));
    for (size_t k = 0; k < COUNT_OF(stats_fields); k++)
        get_field(line, &stats_fields[k], &row->s);
    return ST_OK;
}

int report_read(report *r, const char *path, err *e)
{
    char *text;
    size_t n, number = 0;
    *r = (report){0};
    int rc = os_read_file(path, MOST_FILE, &text, &n, e);
    if (rc)
        return rc;
    for (char *at = text, *end; !rc && at < text + n; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + n - at));
        end = end ? end : text + n;
        number++;
        if (end == at)
            continue;
        json_error_t why;
        json_t *line = json_loadb(at, (size_t)(end - at), 0, &why);
        if (!json_is_object(line))
            rc = err_set(e, ST_FORMAT, "%s: line %zu is not a JSON object: %s", path, number,
                         line ? "another value" : why.text);
        else
            rc = number == 1 ? read_head(r, line, path, e) : read_row(r, line, path, number, e);
        json_decref(line);
    }
    if (!rc && number == 0)
        rc = err_set(e, ST_FORMAT, "%s: the file is empty; irori bench --report makes one", path);
    mem_free(text);
    if (rc)
        report_done(r);
    return rc;
}

// ---- Markdown --------------------------------------------------------------------------------------------------
const char *report_range(report_text out, double low, double high)
{
    out[0] = 0;
    if (low == high)
        snprintf(out, sizeof(report_text), "%.4g", low);
    else if (!isnan(low))
        snprintf(out, sizeof(report_text), "%.4g..%.4g", low, high);
    return out;
}

void report_markdown(const report *r, buf *out)
{
    buf_printf(out, "# %s %s\n\n", r->model, r->quantization);
    if (r->url[0])
        buf_printf(out, "Server %s, measured by irori %s, %s.\n", r->url, r->version, r->date);
    else
        buf_printf(out,
                   "irori %s, %s, on %s (%s), KV %s, %s.\nModel %s, %.0f MB; prompts %s, seed %" PRIu64
                   ", temperature %g; energy %s.\n",
                   r->version, r->device, r->cpu, r->cpu_flags, r->kv[0] ? r->kv : "f16", r->date,
                   r->model_hash, (double)r->file_bytes / 1e6, r->prompt_hash, r->seed, r->temperature,
                   r->energy);
    buf_add_str(
        out,
        "\n| test | metric | median | 95 % of it | p95 | least..most | n |\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < r->n; i++) {
        const report_row *row = &r->rows[i];
        const stats *s = &row->s;
        report_text interval, p95, reach;
        buf_printf(out, "| %s | %s | %.4g | %s | %s | %s | %zu |\n", row->test, row->metric, s->median,
                   report_range(interval, s->low, s->high), report_range(p95, s->p95, s->p95),
                   report_range(reach, s->least, s->most), s->n);
    }
}

// ---- Standard output -------------------------------------------------------------------------------------------
static int print_json(const report *r)
{
    buf out;
    json_writer w;
    buf_init(&out);
    json_begin(&w, &out);
    json_arr(&w);
    for (size_t i = 0; i < r->n; i++)
        put_row(&w, &r->rows[i]);
    json_end(&w);
    return cli_print_json(&out);
}

int report_print(const report *r, bool json)
{
    if (json)
        return print_json(r);
    printf("%-24s %-24s %10s %22s %6s\n", "test", "metric", "value", "95 %", "n");
    for (size_t i = 0; i < r->n; i++) {
        const stats *s = &r->rows[i].s;
        report_text interval;
        printf("%-24s %-24s %10.4g %22s %6zu\n", r->rows[i].test, r->rows[i].metric, s->median,
               report_range(interval, s->low, s->high), s->n);
    }
    return CLI_OK;
}

// ---- Files -----------------------------------------------------------------------------------------------------
static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

int report_write(const report *r, const char *path, err *e)
{
    buf out;
    buf_init(&out);
    if (ends_in(path, ".jsonl"))
        report_jsonl(r, &out);
    else if (ends_in(path, ".md"))
        report_markdown(r, &out);
    else if (ends_in(path, ".html"))
        report_page(r, &out);
    else
        return err_set(e, ST_INVALID, "%s: reports are written to names that end in .jsonl, .md or .html",
                       path);
    int rc = ST_OK;
    if (out.failed || r->failed) {
        rc = err_set(e, ST_NOMEM, "%s: no memory for the report", path);
    } else {
        FILE *f = fopen(path, "wb");
        bool written = f && fwrite(out.data, 1, out.len, f) == out.len;
        if ((f && fclose(f)) || !written)
            rc = err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    }
    buf_done(&out);
    return rc;
}

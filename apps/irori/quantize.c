// irori quantize: a model file with fewer bits a weight.
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "put.h"

static bool progress(void *bar, uint64_t done, uint64_t total)
{
    cli_progress_step(bar, done, total);
    return true;
}

static void note(void *bar, const char *line)
{
    cli_progress_end(bar);
    fprintf(stderr, "irori: %s\n", line);
}

static int report(const cli_options *o, const irori_quantize_report *r)
{
    if (!o->json) {
        printf("%s: %.1f MB of %.1f MB, %.2f bits a weight\n", o->output, (double)r->bytes_out / 1e6,
               (double)r->bytes_in / 1e6, r->bpw);
        return CLI_OK;
    }
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    put_int(&w, "bytes_in", (int64_t)r->bytes_in);
    put_int(&w, "bytes_out", (int64_t)r->bytes_out);
    put_num(&w, "bpw", r->bpw);
    put_int(&w, "fallbacks", r->fallbacks);
    put_int(&w, "resumed", r->resumed);
    json_end(&w);
    return cli_print_json(&out);
}

int cmd_quantize(const cli_options *o)
{
    if (!o->type == !(o->target_bpw > 0)) {
        fprintf(stderr, "irori quantize: one of --type and --target-bpw is needed\n");
        return CLI_USAGE;
    }
    cli_progress bar;
    cli_progress_start(&bar, "quantizing");
    irori_quantize_options qo = {.type = o->type,
                                 .target_bpw = (double)o->target_bpw,
                                 .imatrix = o->imatrix,
                                 .threads = o->threads,
                                 .progress = progress,
                                 .note = note,
                                 .ctx = &bar};
    irori_quantize_report r;
    irori_error e;
    int rc = irori_quantize(o->model, o->output, &qo, &r, &e);
    cli_progress_end(&bar);
    return rc ? cli_fail(&e) : report(o, &r);
}

// irori imatrix: which columns of the weights matter.
#include <stdio.h>

#include "cli.h"

static bool progress(void *bar, uint64_t done, uint64_t total)
{
    cli_progress_step(bar, done, total);
    return true;
}

int cmd_imatrix(const cli_options *o)
{
    if (!o->file || !o->output) {
        fprintf(stderr, "irori imatrix: --file and --output are needed\n");
        return CLI_USAGE;
    }
    char *text;
    size_t n;
    if (cli_read_text(o->file, &text, &n))
        return CLI_FAILED;
    cli_progress bar;
    cli_progress_start(&bar, "reading");
    irori_imatrix_options io = {.threads = o->threads,
                                .context = o->ctx,
                                .chunks = o->chunks,
                                .cpu = o->cpu,
                                .progress = progress,
                                .ctx = &bar};
    irori_error e;
    int rc = irori_imatrix(o->model, text, n, o->file, o->output, &io, &e);
    cli_progress_end(&bar);
    mem_free(text);
    return rc ? cli_fail(&e) : CLI_OK;
}

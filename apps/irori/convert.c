// irori convert: a model file from a folder of a Hugging Face model.
#include <stdio.h>

#include "cli.h"

static bool progress(void *bar, uint64_t done, uint64_t total)
{
    cli_progress_step(bar, done, total);
    return true;
}

int cmd_convert(const cli_options *o)
{
    cli_progress bar;
    cli_progress_start(&bar, "converting");
    irori_convert_options co = {.type = o->type, .progress = progress, .ctx = &bar};
    irori_error e;
    int rc = irori_convert(o->model, o->output, &co, &e);
    cli_progress_end(&bar);
    return rc ? cli_fail(&e) : CLI_OK;
}

// irori pull: a model into the store.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "put.h"
#include "store/store.h"

static bool step(void *bar, uint64_t done, uint64_t total)
{
    cli_progress_step(bar, done, total);
    return true;
}

static int import(const store *s, const cli_options *o, store_manifest *m, err *e)
{
    store_name name;
    int rc = o->as ? store_name_parse(o->as, strlen(o->as), &name, e)
                   : store_name_from_file(o->model, &name, e);
    if (rc)
        return rc;
    cli_progress bar;
    cli_progress_start(&bar, "copying");
    rc = store_import(s, o->model, &name, step, &bar, m, e);
    cli_progress_end(&bar);
    return rc;
}

int cmd_pull(const cli_options *o)
{
    store s;
    store_manifest m;
    irori_error e;
    if (store_open(&s, NULL, (err *)(void *)&e) || import(&s, o, &m, (err *)(void *)&e))
        return cli_fail(&e);
    printf("%s\n", m.name.text);
    store_manifest_done(&m);
    return CLI_OK;
}

// irori pull: a model into the store, from a file or from the network.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "pull/pull.h"
#include "put.h"

typedef struct pulling {
    const cli_options *o;
    cli_progress bar;
} pulling;

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

static bool on_progress(void *ctx, const char *digest, uint64_t done, uint64_t total)
{
    (void)digest;
    cli_progress_step(&((pulling *)ctx)->bar, done, total);
    return true;
}

static bool accepts(void *ctx, const char *license, store_license kind, const char *base_models)
{
    pulling *p = ctx;
    char answer[16] = "";
    if (p->o->accept_license)
        return true;
    cli_progress_end(&p->bar);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fprintf(stderr, "The licence of %s is %s: %s.\n", p->o->model, *license ? license : "not named",
            store_license_text(kind));
    if (base_models && *base_models)
        fprintf(stderr, "It is made from %s, whose licences hold too.\n", base_models);
    fprintf(stderr, "Have you read and do you accept it? [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int fetch(const store *s, const cli_options *o, store_manifest *m, err *e)
{
    pulling p = {.o = o};
    pull_options po = {.net = {.allow_private = o->allow_private,
                               .allow_http = o->allow_http,
                               .proxy = o->proxy,
                               .patience = o->patience},
                       .as = o->as,
                       .digest = o->sha256,
                       .piece = (size_t)o->piece_kb << 10,
                       .progress = on_progress,
                       .accepts = accepts,
                       .how = o->accept_license ? "--accept-license" : "terminal",
                       .ctx = &p};
    int rc = o->token_file ? pull_read_token(o->token_file, &po.net.token, e) : ST_OK;
    if (rc)
        return rc;
    cli_progress_start(&p.bar, "fetching");
    rc = pull_model(s, o->model, &po, m, e);
    cli_progress_end(&p.bar);
    return rc;
}

int cmd_pull(const cli_options *o)
{
    store s;
    store_manifest m;
    irori_error error;
    err *e = (err *)(void *)&error;
    bool file = access(o->model, F_OK) == 0 || o->model[0] == '/' || o->model[0] == '.';
    int rc = store_open(&s, NULL, e);
    if (!rc)
        rc = file ? import(&s, o, &m, e) : fetch(&s, o, &m, e);
    if (rc)
        return cli_fail(&error);
    printf("%s\n", m.name.text);
    store_manifest_done(&m);
    return CLI_OK;
}

// irori serve: the server, from the command line's options.
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "server/serve.h"

int cmd_serve(const cli_options *o)
{
    serve_options so = {
        .models = {.open = cli_model_options(o),
                   .folder = o->models_dir,
                   .budget = (uint64_t)o->memory_budget << 20,
                   .keep_alive = (double)o->keep_alive,
                   .queue = o->queue,
                   .no_guess = o->no_guess},
        .paths = o->models,
        .n_paths = o->n_models,
        .all_stay = o->always_on,
        .upstream = o->upstream,
        .upstream_model = o->upstream_model,
        .upstream_key = getenv("IRORI_UPSTREAM_KEY"),
        .host = o->host,
        .port = o->port,
        .connections = o->connections,
        .api_key = o->api_key,
        .origins = o->origins,
        .cert_file = o->tls_cert,
        .key_file = o->tls_key,
        .ui_dir = o->ui_dir,
        .no_ui = o->no_ui,
        .log_prompts = o->log_prompts,
        .quiet = o->quiet,
        .audit = o->audit,
        .allow_private = o->allow_private,
        .allow_http = o->allow_http,
        .accept_license = o->accept_license,
        .proxy = o->proxy,
    };
    so.models.open.sessions = o->slots;
    irori_error e;
    return serve(&so, (err *)(void *)&e) ? cli_fail(&e) : CLI_OK;
}

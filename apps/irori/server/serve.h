// The server as a whole, for the command `serve`.
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/models.h"

typedef struct serve_options {
    models_options models;
    const char *const *paths;  // models given by path: the first of them is the default, and stays open
    int n_paths;
    bool all_stay;                                         // not only the first
    const char *upstream, *upstream_model, *upstream_key;  // another server for candidates; NULL: none
    const char *host;                                      // NULL: loopback
    int port, connections;
    const char *api_key, *origins, *cert_file, *key_file;
    const char *ui_dir;  // the page from this folder; NULL: from within the program
    bool log_prompts, quiet, no_ui;
    const char *audit;                               // record_level_of
    bool allow_private, allow_http, accept_license;  // for pulls
    const char *proxy;
} serve_options;

// Serves until SIGINT or SIGTERM. The library's status, with *e filled.
int serve(const serve_options *o, err *e);

#endif

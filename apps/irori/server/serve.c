// Starting and stopping the server; its log.
#include "server/serve.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#include "put.h"
#include "server/sessions.h"
#include "server/talks.h"
#include "server/upstream.h"

// One line of JSON on stderr for each request. Prompts are in it only when that was asked for.
static void log_request(void *ctx, http_request *r)
{
    server *s = ctx;
    char when[40];
    struct timespec now;
    int status = http_status(r);
    atomic_fetch_add(&s->answered[status >= 100 && status < 600 ? status / 100 : 0], 1);
    if (s->o.quiet)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    time_text(when, now.tv_sec, now.tv_nsec);
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "time", when);
    put_int(&w, "id", (int64_t)http_id(r));
    put_str(&w, "method", http_method(r));
    put_str(&w, "path", http_path(r));
    put_int(&w, "status", status);
    put_num(&w, "ms", (double)(int64_t)((os_seconds() - http_received(r)) * 1e4) / 10);
    if (http_gone(r)) {
        put_bool(&w, "gone", true);
    }
    size_t n;
    const char *body = http_body(r, &n);
    if (s->o.log_prompts && n) {
        json_key(&w, "body");
        json_strn(&w, body, n);
    }
    json_end(&w);
    if (!b.failed)
        fprintf(stderr, "%s\n", b.data);
    buf_done(&b);
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (!host || strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_options(const serve_options *o, err *e)
{
    if (!is_loopback(o->host) && (!o->api_key || strlen(o->api_key) < 16))
        return err_set(e, ST_INVALID,
                       "listening on %s lets other machines in: give --api-key with at least 16 characters",
                       o->host);
    if (!o->cert_file != !o->key_file)
        return err_set(e, ST_INVALID, "--tls-cert and --tls-key go together");
    return ST_OK;
}

// As many open files as the system allows: each client is one.
static void raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int start(server *s, const serve_options *o, const http_options *h, err *e)
{
    char folder[900], path[1024], pages[1024];
    bool has = os_state_dir("irori", folder, sizeof folder) && os_make_dirs(folder);
    snprintf(path, sizeof path, "%s/server.sqlite", folder);
    snprintf(pages, sizeof pages, "%s/sessions", folder);
    int rc = shelf_open(&s->shelf, has ? path : NULL, e);
    if (!rc)
        rc = models_new(&s->models, &o->models, e);
    if (!rc)
        rc = sessions_new(&s->sessions, s->models, s->shelf, has && os_make_dirs(pages) ? pages : NULL, e);
    if (!rc)
        rc = talks_new(&s->talks, s->models, s->shelf, e);
    if (!rc && o->upstream)
        rc = upstream_new(&s->upstream, o->upstream, o->upstream_model, o->upstream_key, e);
    if (s->upstream)
        fprintf(
            stderr,
            "irori: %s may be asked for candidates: the profile's \"about\" and the conversation leave this machine "
            "with each round whose cascade names \"upstream\", and with no other request\n",
            upstream_url(s->upstream));
    for (int i = 0; !rc && i < o->n_paths; i++)
        rc = models_add(s->models, o->paths[i], i == 0 || o->all_stay, e);
    if (!rc)
        models_look(s->models);
    if (!rc && !models_default(s->models))
        fprintf(
            stderr,
            "irori: no models yet: name one, give --models-dir, or pull one (irori pull, POST /api/pull)\n");
    return rc ? rc : http_start(&s->http, h, e);
}

int serve(const serve_options *o, err *e)
{
    int rc = check_options(o, e), caught;
    char *cert = NULL, *key = NULL;
    size_t n;
    if (rc)
        return rc;
    if (o->cert_file)
        rc = os_read_file(o->cert_file, 1 << 20, &cert, &n, e);
    if (!rc && o->key_file)
        rc = os_read_file(o->key_file, 1 << 20, &key, &n, e);
    server s = {.o = {.host = o->host,
                      .api_key = o->api_key,
                      .origins = o->origins,
                      .ui_dir = o->ui_dir,
                      .no_ui = o->no_ui,
                      .log_prompts = o->log_prompts,
                      .quiet = o->quiet,
                      .allow_private = o->allow_private,
                      .allow_http = o->allow_http,
                      .accept_license = o->accept_license,
                      .proxy = o->proxy},
                .started = os_seconds(),
                .started_at = (int64_t)time(NULL)};
    http_options h = {.host = o->host,
                      .port = o->port,
                      .cert = cert,
                      .key = key,
                      .connections = o->connections,
                      .handle = route_request,
                      .over = log_request,
                      .ctx = &s};
    // Blocked here and so in every thread: sigwait below is the one place where they arrive.
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    raise_file_limit();
    if (!rc)
        rc = record_level_of(o->audit, &s.o.audit, e);
    if (!rc)
        rc = start(&s, o, &h, e);
    if (!rc) {
        fprintf(stderr, "irori: serving on %s://%s:%d\n", cert ? "https" : "http",
                o->host ? o->host : "127.0.0.1", http_port(s.http));
        sigwait(&stop, &caught);
        atomic_store(&s.stopping, true);
        talks_halt(s.talks);
        http_quiet(s.http);
        talks_free(s.talks);
        s.talks = NULL;
        sessions_stop(s.sessions);
        models_stop(s.models);  // ends what still streams
    }
    http_stop(s.http);
    talks_free(s.talks);
    upstream_free(s.upstream);
    sessions_free(s.sessions);
    models_free(s.models);
    shelf_close(s.shelf);
    mem_free(cert);
    mem_free(key);
    return rc;
}

// The seam over libmicrohttpd: see http.h. A connection is suspended while its request is worked on and while its
// stream has nothing to send, and resumed by whoever brings something.
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "server/own.h"

enum {
    STALL_SECONDS = 120,     // of a client that neither sends nor reads; then it is gone
    UPLOAD_SECONDS = 300,    // for a whole body
    LAST_SECONDS = 2,        // for clients to read their answers when the server stops
    SLOW_BYTES = 64 * 1024,  // unread bytes of a stream from which its client is slow, down to a quarter
    BLOCK_BYTES = 4096,      // of a stream to a client that knows no chunks, at once
    MOST_HEADERS = 8
};

// A header or an argument of the query, copied: the library's own are gone when its connection is.
typedef struct named {
    struct named *next;
    const char *value;
    bool query;
    char name[];
} named;

struct http_request {
    http_server *server;
    struct MHD_Connection *connection;
    atomic_int refs;  // libmicrohttpd's, and whom it was handed to
    uint64_t id, client;
    double received;
    bool loopback;
    char *method, *path;
    named *given;
    int hosts, lengths, encodings;
    buf body;
    bool too_large, failed;
    struct http_request *next;  // in the workers' queue
    // Guarded by lock:
    pthread_mutex_t lock;
    bool suspended, closed, gone;  // closed: the connection is no more; gone: the client is
    bool answered, streaming, ended, slow;
    int status;
    char *type;
    buf out;      // answer, or what of the stream is not sent
    size_t sent;  // of out
    int n_headers;
    char *header[MOST_HEADERS][2];
    http_watch watch;
};

struct http_server {
    http_options o;
    struct MHD_Daemon *daemon;
    gate *gate;
    pthread_t *worker;
    int n_workers;
    // Guarded by lock:
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    http_request *first, *last;
    uint64_t next_id;
    int alive;   // requests not freed
    int handed;  // of these, not given back
    bool quit;
};

static void unref(http_request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    http_server *s = r->server;
    pthread_mutex_destroy(&r->lock);
    buf_done(&r->body);
    buf_done(&r->out);
    mem_free(r->method);
    mem_free(r->path);
    mem_free(r->type);
    for (named *x = r->given, *next; x; x = next) {
        next = x->next;
        mem_free(x);
    }
    for (int i = 0; i < r->n_headers; i++) {
        mem_free(r->header[i][0]);
        mem_free(r->header[i][1]);
    }
    mem_free(r);
    pthread_mutex_lock(&s->lock);
    s->alive--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

// Under r->lock.
static void resume(http_request *r)
{
    if (r->suspended && !r->closed)
        MHD_resume_connection(r->connection);
    r->suspended = false;
}

static void note_gone(http_request *r)
{
    if (!r->gone && r->watch.gone)
        r->watch.gone(r->watch.ctx);
    r->gone = true;
}

void http_hung_up(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    note_gone(r);
    resume(r);  // libmicrohttpd then finds out, and closes
    pthread_mutex_unlock(&r->lock);
}

// ---- On libmicrohttpd's thread ----

static uint64_t address_number(const struct sockaddr *a, bool *loopback)
{
    *loopback = false;
    if (a && a->sa_family == AF_INET) {
        uint32_t v4 = ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr);
        *loopback = v4 >> 24 == 127;
        return v4;
    }
    if (a && a->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
        *loopback = IN6_IS_ADDR_LOOPBACK(v6);
        return hash_bytes(v6, sizeof *v6);
    }
    return 0;
}

static enum MHD_Result copy_named(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    http_request *r = cls;
    size_t n = strlen(name) + 1, v = value ? strlen(value) + 1 : 1;
    named *x = mem_calloc(MEM_OTHER, 1, sizeof *x + n + v);
    if (!x) {
        r->failed = true;
        return MHD_NO;
    }
    memcpy(x->name, name, n);
    if (value)
        memcpy(x->name + n, value, v);
    x->value = x->name + n;
    x->query = kind == MHD_GET_ARGUMENT_KIND;
    x->next = r->given;
    r->given = x;
    if (!x->query) {
        r->hosts += strcasecmp(name, "host") == 0;
        r->lengths += strcasecmp(name, "content-length") == 0;
        r->encodings += strcasecmp(name, "transfer-encoding") == 0;
    }
    return MHD_YES;
}

static http_request *request_new(http_server *s, struct MHD_Connection *c, const char *url,
                                 const char *method)
{
    http_request *r = mem_calloc(MEM_OTHER, 1, sizeof *r);
    if (!r)
        return NULL;
    r->server = s;
    r->connection = c;
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    buf_init(&r->body);
    buf_init(&r->out);
    r->received = os_seconds();
    r->method = mem_strndup(MEM_OTHER, method, strlen(method));
    r->path = mem_strndup(MEM_OTHER, url, strlen(url));
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    r->client = address_number(info ? info->client_addr : NULL, &r->loopback);
    MHD_get_connection_values(c, MHD_HEADER_KIND, copy_named, r);
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, copy_named, r);
    pthread_mutex_lock(&s->lock);
    r->id = ++s->next_id;
    s->alive++;
    pthread_mutex_unlock(&s->lock);
    return r;
}

static void add_body(http_request *r, const char *p, size_t n)
{
    if (r->too_large || n > r->server->o.body - r->body.len) {
        r->too_large = true;  // the rest is read and dropped, so that the refusal reaches the client
        buf_done(&r->body);
        buf_init(&r->body);
    } else {
        buf_add(&r->body, p, n);
    }
}

// False when the server stops and no worker will come any more.
static bool give_to_worker(http_server *s, http_request *r)
{
    pthread_mutex_lock(&s->lock);
    bool taken = !s->quit;
    if (taken) {
        s->handed++;
        r->next = NULL;
        if (s->last)
            s->last->next = r;
        else
            s->first = r;
        s->last = r;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    return taken;
}

// Gives bytes of the stream, or suspends until there are some.
static ssize_t read_stream(void *cls, uint64_t at, char *p, size_t cap)
{
    http_request *r = cls;
    (void)at;
    pthread_mutex_lock(&r->lock);
    ssize_t n = (ssize_t)MIN(cap, r->out.len - r->sent);
    if (n > 0) {
        memcpy(p, r->out.data + r->sent, (size_t)n);
        r->sent += (size_t)n;
        if (r->sent == r->out.len) {
            buf_clear(&r->out);
            r->sent = 0;
        }
        if (r->slow && r->out.len - r->sent < SLOW_BYTES / 4) {
            r->slow = false;
            if (r->watch.slow)
                r->watch.slow(r->watch.ctx, false);
        }
    } else if (r->gone || r->out.failed) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (r->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void drop_stream(void *cls)
{
    unref(cls);
}

static bool has_header(const http_request *r, const char *name)
{
    for (int i = 0; i < r->n_headers; i++)
        if (strcmp(r->header[i][0], name) == 0)
            return true;
    return false;
}

// Without r->lock, which the stream's reader takes under the library's own: what is read here does not change any more.
static enum MHD_Result send_answer(http_request *r)
{
    struct MHD_Response *response;
    if (r->streaming) {
        atomic_fetch_add(&r->refs, 1);
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, r,
                                                     drop_stream);
        if (!response)
            atomic_fetch_sub(&r->refs, 1);
    } else {  // the bytes live as long as the request, which outlives its connection
        response = MHD_create_response_from_buffer(r->out.len, r->out.data ? (void *)r->out.data : (void *)"",
                                                   MHD_RESPMEM_PERSISTENT);
    }
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Connection", "close");
    if (!has_header(r, "Cache-Control"))
        MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (r->type)
        MHD_add_response_header(response, "Content-Type", r->type);
    for (int i = 0; i < r->n_headers; i++)
        MHD_add_response_header(response, r->header[i][0], r->header[i][1]);
    enum MHD_Result rc = MHD_queue_response(r->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result whole_request(http_server *s, http_request *r)
{
    pthread_mutex_lock(&r->lock);
    enum MHD_Result rc = MHD_YES;
    if (r->answered || r->streaming) {
        pthread_mutex_unlock(&r->lock);
        return send_answer(r);
    } else if (r->gone) {
        rc = MHD_NO;
    } else {
        atomic_fetch_add(&r->refs, 1);  // of whom it is handed to
        r->suspended = true;
        MHD_suspend_connection(r->connection);
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection,
                                                                       MHD_CONNECTION_INFO_CONNECTION_FD);
        pthread_mutex_unlock(&r->lock);
        if (info)
            gate_watch(s->gate, info->connect_fd, r);
        if (!give_to_worker(s, r)) {
            http_hung_up(r);
            unref(r);
        }
        return MHD_YES;
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **slot)
{
    http_server *s = cls;
    http_request *r = *slot;
    (void)version;
    if (!r) {
        r = *slot = request_new(s, c, url, method);
        bool one_way = r && r->hosts <= 1 &&
                       r->lengths + r->encodings <= 1;  // over TLS the guard saw nothing
        return one_way && r->method && r->path && !r->failed ? MHD_YES : MHD_NO;
    }
    if (*n == 0)
        return whole_request(s, r);
    if (os_seconds() - r->received > UPLOAD_SECONDS)
        return MHD_NO;
    add_body(r, data, *n);
    *n = 0;
    return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    http_server *s = cls;
    http_request *r = *slot;
    (void)c;
    *slot = NULL;
    if (!r)
        return;
    gate_unwatch(s->gate, r);
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        note_gone(r);
    pthread_mutex_unlock(&r->lock);
    if (s->o.over)
        s->o.over(s->o.ctx, r);
    unref(r);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    http_server *s = cls;
    (void)slot;
    if (code != MHD_CONNECTION_NOTIFY_CLOSED)
        return;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    gate_left(s->gate, info ? info->connect_fd : -1);
}

// ---- On the gate's thread ----

static void take_connection(void *ctx, int fd, const struct sockaddr *from, socklen_t n)
{
    http_server *s = ctx;
    if (MHD_add_connection(s->daemon, fd, from, n) != MHD_YES)
        gate_left(s->gate, fd);  // it closed the socket
}

// ---- Workers ----

static void *work(void *ctx)
{
    http_server *s = ctx;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->first && !s->quit)
            pthread_cond_wait(&s->work, &s->lock);
        http_request *r = s->first;
        if (r) {
            s->first = r->next;
            if (!s->first)
                s->last = NULL;
        }
        pthread_mutex_unlock(&s->lock);
        if (!r)
            return NULL;
        if (r->too_large) {
            static const char text[] = "{\"error\":{\"message\":\"the body is larger than the server takes\","
                                       "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";
            http_answer(r, 413, "application/json", text, sizeof text - 1);
        } else {
            s->o.handle(s->o.ctx, r);
        }
    }
}

// ---- From outside ----

static void ignore_log(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    (void)fmt;
    (void)ap;
}

static int start_daemon(http_server *s, err *e)
{
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_ERROR_LOG | (s->o.cert ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)s->o.cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)s->o.key},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->o.connections + 16, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)STALL_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)24 * 1024,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, s->o.cert ? tls : tls + 2, MHD_OPTION_END);
    return s->daemon ? ST_OK
                     : err_set(e, ST_IO, "the HTTP library could not start%s",
                               s->o.cert ? "; are certificate and key right?" : "");
}

int http_start(http_server **out, const http_options *o, err *e)
{
    *out = NULL;
    http_server *s = mem_calloc(MEM_OTHER, 1, sizeof *s);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for the server");
    s->o = *o;
    s->o.connections = o->connections ? o->connections : 2048;
    s->o.body = o->body ? o->body : (size_t)32 << 20;
    s->o.workers = o->workers ? o->workers : 8;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->idle, NULL);
    gate_options g = {.host = o->host,
                      .port = o->port,
                      .connections = s->o.connections,
                      .look = !o->cert,
                      .pass = take_connection,
                      .ctx = s};
    int rc = gate_open(&s->gate, &g, e);
    if (!rc)
        rc = start_daemon(s, e);
    s->worker = rc ? NULL : mem_calloc(MEM_OTHER, (size_t)s->o.workers, sizeof *s->worker);
    if (!rc && !s->worker)
        rc = err_set(e, ST_NOMEM, "no memory for the server");
    while (!rc && s->n_workers < s->o.workers) {
        if (pthread_create(&s->worker[s->n_workers], NULL, work, s) != 0)
            rc = err_set(e, ST_IO, "the server's threads could not be started");
        else
            s->n_workers++;
    }
    if (!rc) {
        *out = s;  // before the first request, which may look at the server
        rc = gate_run(s->gate, e);
    }
    if (rc) {
        *out = NULL;
        http_stop(s);
    }
    return rc;
}

void http_quiet(http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_workers; i++)
        pthread_join(s->worker[i], NULL);
    s->n_workers = 0;
}

void http_stop(http_server *s)
{
    if (!s)
        return;
    // Workers first: they still answer what has come. Then what streams on, and a moment for clients to read it; then
    // the library, and the gate last, which both of them call.
    http_quiet(s);
    pthread_mutex_lock(&s->lock);
    while (s->handed > 0)
        pthread_cond_wait(&s->idle, &s->lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_SECONDS;
    while (s->alive > 0 && pthread_cond_timedwait(&s->idle, &s->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&s->lock);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    gate_close(s->gate);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->idle);
    mem_free(s->worker);
    mem_free(s);
}

int http_port(const http_server *s)
{
    return gate_port(s->gate);
}

int http_connections(http_server *s)
{
    return gate_connections(s->gate);
}

uint64_t http_id(const http_request *r)
{
    return r->id;
}

double http_received(const http_request *r)
{
    return r->received;
}

uint64_t http_client(const http_request *r)
{
    return r->client;
}

bool http_is_loopback(const http_request *r)
{
    return r->loopback;
}

const char *http_method(const http_request *r)
{
    return r->method;
}

const char *http_path(const http_request *r)
{
    return r->path;
}

static const char *find_named(const http_request *r, const char *name, bool query)
{
    for (const named *x = r->given; x; x = x->next)
        if (x->query == query && (query ? strcmp(x->name, name) : strcasecmp(x->name, name)) == 0)
            return x->value;
    return NULL;
}

const char *http_query(const http_request *r, const char *name)
{
    return find_named(r, name, true);
}

const char *http_header(const http_request *r, const char *name)
{
    return find_named(r, name, false);
}

const char *http_body(const http_request *r, size_t *n)
{
    *n = r->body.len;
    return r->body.len ? r->body.data : "";
}

int http_status(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    int status = r->status;
    pthread_mutex_unlock(&r->lock);
    return status;
}

bool http_gone(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    bool gone = r->gone;
    pthread_mutex_unlock(&r->lock);
    return gone;
}

void http_add_header(http_request *r, const char *name, const char *value)
{
    if (r->n_headers == MOST_HEADERS)
        return;
    char *n = mem_strndup(MEM_OTHER, name, strlen(name)), *v = mem_strndup(MEM_OTHER, value, strlen(value));
    if (n && v) {
        r->header[r->n_headers][0] = n;
        r->header[r->n_headers++][1] = v;
    } else {
        mem_free(n);
        mem_free(v);
    }
}

static void set_head(http_request *r, int status, const char *type)
{
    r->status = status;
    r->type = mem_strndup(MEM_OTHER, type, strlen(type));
}

// The last call of whom the request was handed to.
static void give_back(http_request *r)
{
    r->watch = (http_watch){0};
    resume(r);
    pthread_mutex_unlock(&r->lock);
    http_server *s = r->server;
    unref(r);
    pthread_mutex_lock(&s->lock);
    s->handed--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

void http_answer(http_request *r, int status, const char *type, const char *p, size_t n)
{
    pthread_mutex_lock(&r->lock);
    set_head(r, status, type);
    buf_add(&r->out, p, n);
    if (r->out.failed)
        r->status = 500;
    r->answered = true;
    give_back(r);
}

void http_begin(http_request *r, int status, const char *type)
{
    pthread_mutex_lock(&r->lock);
    set_head(r, status, type);
    r->streaming = true;
    resume(r);
    pthread_mutex_unlock(&r->lock);
}

void http_write(http_request *r, const char *p, size_t n)
{
    pthread_mutex_lock(&r->lock);
    if (!r->gone && !r->closed) {
        if (r->sent > r->out.len / 2 && r->sent > 4096) {  // what was sent makes room
            memmove(r->out.data, r->out.data + r->sent, r->out.len - r->sent);
            r->out.len -= r->sent;
            r->sent = 0;
        }
        buf_add(&r->out, p, n);
        if (!r->slow && r->out.len - r->sent > SLOW_BYTES) {
            r->slow = true;
            if (r->watch.slow)
                r->watch.slow(r->watch.ctx, true);
        }
        resume(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void http_end(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    give_back(r);
}

void http_watch_client(http_request *r, const http_watch *w)
{
    pthread_mutex_lock(&r->lock);
    r->watch = *w;
    if (r->gone && w->gone)
        w->gone(w->ctx);
    if (r->slow && w->slow)
        w->slow(w->ctx, true);
    pthread_mutex_unlock(&r->lock);
}

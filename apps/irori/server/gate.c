// The gate: listening sockets, the guard's look at each new connection, and the watch for clients that hang up.
//
// A new connection is peeked at until its head is whole: nothing is taken from the socket, so the library behind
// reads everything anew. SO_RCVLOWAT keeps poll from waking for bytes already seen.
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/guard.h"
#include "server/own.h"

enum { LISTENERS = 4, HEAD_SECONDS = 10 };

#ifndef POLLRDHUP
#define POLLRDHUP 0  // only Linux tells a half-closed connection; elsewhere it shows when writing
#endif

typedef struct newcomer {
    int fd;
    double deadline;
    struct sockaddr_storage from;
    socklen_t from_len;
} newcomer;

// A connection that was passed on.
typedef struct watched {
    int fd;
    bool hung_up;
    http_request *r;  // whose it is; NULL: not whole yet, or over
} watched;

struct gate {
    gate_options o;
    int listener[LISTENERS], n_listeners, port;
    int wake[2];  // a pipe
    pthread_t thread;
    bool running;
    // Guarded by lock:
    pthread_mutex_t lock;
    bool quit;
    int open;  // connections passed on and not left
    watched *watch;
    int n_watch, cap_watch;
    // The thread's own:
    newcomer *fresh;  // [connections]
    int n_fresh;
    struct pollfd *polls;
    int cap_polls;
};

static void wake(gate *g)
{
    char c = 0;
    ssize_t n = write(g->wake[1], &c, 1);  // a full pipe wakes as well
    (void)n;
}

static bool set_flags(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

static int listen_on(gate *g, const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM, 0), on = 1;
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    struct sockaddr_storage at = {0};
    memcpy(&at, a->ai_addr, a->ai_addrlen);
    if (g->port && a->ai_family == AF_INET)  // the second address takes the port the first one got
        ((struct sockaddr_in *)&at)->sin_port = htons((uint16_t)g->port);
    if (g->port && a->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)&at)->sin6_port = htons((uint16_t)g->port);
    socklen_t n = sizeof at;
    if (bind(fd, (struct sockaddr *)&at, a->ai_addrlen) || listen(fd, 511) || !set_flags(fd) ||
        getsockname(fd, (struct sockaddr *)&at, &n)) {
        int why = errno;
        close(fd);
        return why;
    }
    g->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                             : ((struct sockaddr_in *)&at)->sin_port);
    g->listener[g->n_listeners++] = fd;
    return 0;
}

static int listen_all(gate *g, err *e)
{
    char port[16];
    snprintf(port, sizeof port, "%d", g->o.port);
    const char *hosts[] = {g->o.host ? g->o.host : "127.0.0.1", g->o.host ? NULL : "::1"};
    int why = 0;
    for (size_t h = 0; h < COUNT_OF(hosts) && hosts[h]; h++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
        int rc = getaddrinfo(hosts[h], port, &hints, &list);
        if (rc)
            return err_set(e, ST_INVALID, "host \"%s\": %s", hosts[h], gai_strerror(rc));
        for (struct addrinfo *a = list; a && g->n_listeners < LISTENERS; a = a->ai_next) {
            rc = listen_on(g, a);
            why = h == 0 && rc ? rc : why;  // a machine without IPv6 is served on IPv4
        }
        freeaddrinfo(list);
        if (g->n_listeners == 0)
            return err_set(e, ST_IO, "%s port %d: %s", hosts[h], g->o.port, strerror(why));
    }
    return ST_OK;
}

int gate_open(gate **out, const gate_options *o, err *e)
{
    *out = NULL;
    gate *g = mem_calloc(MEM_OTHER, 1, sizeof *g);
    if (!g)
        return err_set(e, ST_NOMEM, "no memory for the server's sockets");
    g->o = *o;
    g->wake[0] = g->wake[1] = -1;
    pthread_mutex_init(&g->lock, NULL);
    g->fresh = mem_calloc(MEM_OTHER, (size_t)o->connections, sizeof *g->fresh);
    int rc = g->fresh ? ST_OK : err_set(e, ST_NOMEM, "no memory for %d connections", o->connections);
    if (!rc && (pipe(g->wake) || !set_flags(g->wake[0]) || !set_flags(g->wake[1])))
        rc = err_set(e, ST_IO, "pipe: %s", strerror(errno));
    if (!rc)
        rc = listen_all(g, e);
    if (rc) {
        gate_close(g);
        return rc;
    }
    *out = g;
    return ST_OK;
}

static void shut(int fd)
{
    if (fd >= 0)
        close(fd);
}

void gate_close(gate *g)
{
    if (!g)
        return;
    if (g->running) {
        pthread_mutex_lock(&g->lock);
        g->quit = true;
        pthread_mutex_unlock(&g->lock);
        wake(g);
        pthread_join(g->thread, NULL);
    }
    for (int i = 0; i < g->n_listeners; i++)
        shut(g->listener[i]);
    for (int i = 0; i < g->n_fresh; i++)
        shut(g->fresh[i].fd);
    shut(g->wake[0]);
    shut(g->wake[1]);
    pthread_mutex_destroy(&g->lock);
    mem_free(g->fresh);
    mem_free(g->watch);
    mem_free(g->polls);
    mem_free(g);
}

int gate_port(const gate *g)
{
    return g->port;
}

int gate_connections(gate *g)
{
    pthread_mutex_lock(&g->lock);
    int n = g->open;
    pthread_mutex_unlock(&g->lock);
    return n;
}

// Under the lock.
static watched *find_watch(gate *g, int fd)
{
    for (int i = 0; i < g->n_watch; i++)
        if (g->watch[i].fd == fd)
            return &g->watch[i];
    return NULL;
}

// Under the lock. Without memory a hang-up is noticed when writing.
static void add_watch(gate *g, int fd)
{
    if (g->n_watch == g->cap_watch) {
        int cap = MAX(64, g->cap_watch * 2);
        watched *more = mem_realloc(MEM_OTHER, g->watch, (size_t)cap * sizeof *more);
        if (!more)
            return;
        g->watch = more;
        g->cap_watch = cap;
    }
    g->watch[g->n_watch++] = (watched){.fd = fd};
}

void gate_left(gate *g, int fd)
{
    pthread_mutex_lock(&g->lock);
    watched *w = find_watch(g, fd);
    if (w)
        *w = g->watch[--g->n_watch];
    g->open--;
    pthread_mutex_unlock(&g->lock);
    wake(g);  // there may be room to accept again
}

void gate_watch(gate *g, int fd, http_request *r)
{
    pthread_mutex_lock(&g->lock);
    watched *w = find_watch(g, fd);
    if (w && w->hung_up)
        http_hung_up(r);
    else if (w)
        w->r = r;
    pthread_mutex_unlock(&g->lock);
}

void gate_unwatch(gate *g, http_request *r)
{
    pthread_mutex_lock(&g->lock);
    for (int i = 0; i < g->n_watch; i++)
        if (g->watch[i].r == r)
            g->watch[i].r = NULL;
    pthread_mutex_unlock(&g->lock);
}

// A short answer to a head that does not pass; what the socket does not take at once is not worth waiting for.
static void turn_away(int fd, int status, const char *why)
{
    char text[512], body[256];
    int n = snprintf(body, sizeof body,
                     "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":null,"
                     "\"code\":null}}",
                     why);
    int all = snprintf(text, sizeof text,
                       "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                       "Connection: close\r\n\r\n%s",
                       status,
                       status == 400   ? "Bad Request"
                       : status == 408 ? "Request Timeout"
                                       : "Refused",
                       n, body);
    char rest[GUARD_MOST];
    while (recv(fd, rest, sizeof rest, 0) >
           0)  // what is left unread would reset the connection under the answer
        ;
    ssize_t sent = send(fd, text, (size_t)all, MSG_NOSIGNAL);
    (void)sent;
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void hand_over(gate *g, newcomer *c)
{
    int one = 1;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    pthread_mutex_lock(&g->lock);
    g->open++;
    add_watch(g, c->fd);
    pthread_mutex_unlock(&g->lock);
    g->o.pass(g->o.ctx, c->fd, (struct sockaddr *)&c->from, c->from_len);
}

// Looks at a newcomer; true when it is settled one way or the other.
static bool settle(gate *g, newcomer *c, bool readable, double now)
{
    if (!readable) {
        if (now < c->deadline)
            return false;
        turn_away(c->fd, 408, "the header did not come within 10 seconds");
        return true;
    }
    char head[GUARD_MOST];
    ssize_t n = recv(c->fd, head, sizeof head, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        close(c->fd);
        return true;
    }
    int status = 400;
    const char *why = "";
    switch (guard_look(head, (size_t)n, &status, &why)) {
    case GUARD_PASS: hand_over(g, c); return true;
    case GUARD_REFUSE: turn_away(c->fd, status, why); return true;
    case GUARD_MORE: break;
    }
    if (now >= c->deadline) {
        turn_away(c->fd, 408, "the header did not come within 10 seconds");
        return true;
    }
    int more = (int)n + 1;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
    return false;
}

// At most `room`; gives how many came.
static int accept_some(gate *g, int listener, int room)
{
    int n = 0;
    for (; n < room; n++) {
        newcomer c = {.from_len = sizeof c.from};
        c.fd = accept(listener, (struct sockaddr *)&c.from, &c.from_len);
        if (c.fd < 0)
            break;
        int on = 1;
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c.deadline = os_seconds() + HEAD_SECONDS;
        if (!set_flags(c.fd))
            close(c.fd);
        else if (!g->o.look)
            hand_over(g, &c);
        else
            g->fresh[g->n_fresh++] = c;
    }
    return n;
}

// The descriptors to wait for: the pipe, the listeners while there is room, newcomers, watched clients.
static int list_polls(gate *g, int room)
{
    int need = 1 + g->n_listeners + g->n_fresh + g->n_watch;
    if (need > g->cap_polls) {
        struct pollfd *polls = mem_realloc(MEM_OTHER, g->polls, (size_t)need * 2 * sizeof *polls);
        if (!polls)
            return 0;
        g->polls = polls;
        g->cap_polls = need * 2;
    }
    int n = 0;
    g->polls[n++] = (struct pollfd){g->wake[0], POLLIN, 0};
    for (int i = 0; i < g->n_listeners; i++)
        g->polls[n++] = (struct pollfd){room > 0 ? g->listener[i] : -1, POLLIN, 0};
    for (int i = 0; i < g->n_fresh; i++)
        g->polls[n++] = (struct pollfd){g->fresh[i].fd, POLLIN, 0};
    for (int i = 0; i < g->n_watch; i++)
        g->polls[n++] = (struct pollfd){g->watch[i].hung_up ? -1 : g->watch[i].fd, POLLRDHUP, 0};
    return n;
}

// Clients that hung up while poll waited, if their connections are still there: a descriptor that was polled is not
// that of a newer connection, which only this thread passes on.
static void tell_gone(gate *g, int from, int n)
{
    pthread_mutex_lock(&g->lock);
    for (int i = from; i < n; i++) {
        watched *w = g->polls[i].revents ? find_watch(g, g->polls[i].fd) : NULL;
        if (!w)
            continue;
        w->hung_up = true;
        // libmicrohttpd misses an end that comes right behind the first bytes of a body; this it does not miss. The
        // descriptor is open: gate_left comes before it is closed.
        if (!w->r)
            shutdown(w->fd, SHUT_RDWR);
        else
            http_hung_up(w->r);
        w->r = NULL;
    }
    pthread_mutex_unlock(&g->lock);
}

static void drain(int fd)
{
    char some[64];
    while (read(fd, some, sizeof some) > 0)
        ;
}

static void *run(void *ctx)
{
    gate *g = ctx;
    for (;;) {
        pthread_mutex_lock(&g->lock);
        bool quit = g->quit;
        int room = g->o.connections - g->open - g->n_fresh, n = list_polls(g, room);
        pthread_mutex_unlock(&g->lock);
        if (quit)
            return NULL;
        poll(g->polls, (nfds_t)n, g->n_fresh || n == 0 ? 250 : -1);  // newcomers have deadlines
        if (n == 0)
            continue;
        if (g->polls[0].revents)
            drain(g->wake[0]);
        double now = os_seconds();
        int at = 1 + g->n_listeners, kept = 0, fresh = g->n_fresh;
        for (int i = 0; i < fresh; i++) {
            newcomer c = g->fresh[i];
            if (!settle(g, &c, g->polls[at + i].revents != 0, now))
                g->fresh[kept++] = c;
        }
        g->n_fresh = kept;
        tell_gone(g, at + fresh, n);
        for (int i = 0; i < g->n_listeners; i++)
            if (g->polls[1 + i].revents & POLLIN)
                room -= accept_some(g, g->listener[i], room);
    }
}

int gate_run(gate *g, err *e)
{
    if (pthread_create(&g->thread, NULL, run, g) != 0)
        return err_set(e, ST_IO, "the thread of the server's sockets could not be started");
    g->running = true;
    return ST_OK;
}

// See net.h.
#include "pull/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "pull/address.h"

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

// ---- URLs ----

static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
    char *text = NULL;
    return curl_url_get(u, part, &text, flags) ? NULL : text;
}

int net_origin(const net *n, const char *url, char out[NET_URL], err *e)
{
    CURLU *u = curl_url();
    int rc = ST_OK;
    if (!u)
        return err_set(e, ST_NOMEM, "no memory for a URL");
    bool parsed = strlen(url) < NET_URL &&
                  curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK;
    char *scheme = url_part(u, CURLUPART_SCHEME, 0), *host = url_part(u, CURLUPART_HOST, 0);
    char *port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    bool secure = scheme && strcasecmp(scheme, "https") == 0,
         plain = scheme && strcasecmp(scheme, "http") == 0;
    if (!parsed || !host || !port || (!secure && !plain))
        rc = err_set(e, ST_INVALID, "%.200s: not an https URL of at most %d bytes without a password", url,
                     NET_URL - 1);
    else if (plain && !n->allow_http)
        rc = err_set(e, ST_INVALID,
                     "%.200s: plain HTTP can be read and changed on its way; --allow-http permits it", url);
    else if (snprintf(out, NET_URL, "%s://%s:%s", secure ? "https" : "http", host, port) >= NET_URL)
        rc = err_set(e, ST_INVALID, "a host of over %d bytes", NET_URL);
    if (!rc)
        for (char *c = out; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return rc;
}

// The host between "://" and the port of an origin.
static void host_of(const char *origin, char out[NET_URL])
{
    const char *from = strstr(origin, "://") + 3, *colon = strrchr(from, ':');
    snprintf(out, NET_URL, "%.*s", (int)(colon - from), from);
}

// no_proxy: names separated by commas or spaces, each for itself and all below it; "*" for every host.
static bool is_exempt(const char *host, const char *list)
{
    size_t n = strlen(host);
    while (list && *list) {
        list += strspn(list, ", ");
        size_t len = strcspn(list, ", ");
        const char *name = list + (len && *list == '.');
        size_t k = len - (size_t)(name - list);
        if (len == 1 && *list == '*')
            return true;
        if (k && k <= n && strncasecmp(host + n - k, name, k) == 0 && (k == n || host[n - k - 1] == '.'))
            return true;
        list += len;
    }
    return false;
}

static const char *either(const char *lower, const char *upper)
{
    const char *v = getenv(lower);
    return v && *v ? v : upper && getenv(upper) && *getenv(upper) ? getenv(upper) : NULL;
}

// The proxy for a URL, "" for none. http_proxy has no upper-case form: web servers let clients set HTTP_PROXY.
static const char *proxy_for(const net *n, const char *origin, const char *host)
{
    const char *p = n->proxy;
    if (!p && !is_exempt(host, either("no_proxy", "NO_PROXY"))) {
        p = strncmp(origin, "https:", 6) == 0 ? either("https_proxy", "HTTPS_PROXY")
                                              : either("http_proxy", NULL);
        if (!p)
            p = either("all_proxy", "ALL_PROXY");
    }
    return p ? p : "";
}

// ---- A transfer ----

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    net_call *c = ctx;
    (void)purpose;
    if (!c->proxied && !c->n->allow_private && address_is_private(&a->addr)) {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        c->refused = true;
        memcpy(&v4, &a->addr, sizeof v4);
        memcpy(&v6, &a->addr, a->family == AF_INET6 ? sizeof v6 : sizeof v4);
        if (a->family == AF_INET6)
            inet_ntop(AF_INET6, &v6.sin6_addr, c->address, sizeof c->address);
        else
            inet_ntop(AF_INET, &v4.sin_addr, c->address, sizeof c->address);
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void add_header(net_call *c, const char *name, const char *value)
{
    char line[8192];
    if (snprintf(line, sizeof line, "%s: %s", name, value) >= (int)sizeof line)
        return;
    struct curl_slist *more = curl_slist_append(c->headers, line);
    if (more)
        c->headers = more;
}

static int on_tick(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    const net *n = ctx;
    return n->stop && atomic_load(n->stop);
}

static void set_options(CURL *h, net_call *c, const char *proxy)
{
    const net *n = c->n;
    long patience = n->patience ? n->patience : 30;
    curl_easy_setopt(h, CURLOPT_URL, c->url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, n->allow_http ? "https,http" : "https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "irori/" IRORI_VERSION);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, patience);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, patience);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, (void *)(uintptr_t)n);
    curl_easy_setopt(h, CURLOPT_PROXY, proxy);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "");  // judged in proxy_for
    curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(h, CURLOPT_MAXCONNECTS, 8L);
    const char *certificates = getenv("SSL_CERT_FILE");
    if (certificates && *certificates)
        curl_easy_setopt(h, CURLOPT_CAINFO, certificates);
}

int net_prepare(CURL *h, net_call *c, const net *n, const char *url, const char *accept, const char *range,
                err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char origin[NET_URL], host[NET_URL];
    pthread_once(&once, start_curl);
    *c = (net_call){.n = n};
    int rc = net_origin(n, url, origin, e);
    if (rc)
        return rc;
    snprintf(c->url, sizeof c->url, "%s", url);
    host_of(origin, host);
    const char *proxy = proxy_for(n, origin, host);
    c->proxied = *proxy;
    if (!n->allow_private && address_text_is_private(host))
        return err_set(e, ST_INVALID, "%.200s is a private address; --allow-private permits it", host);
    if (accept)
        add_header(c, "Accept", accept);
    if (n->token && *n->token && strcmp(origin, n->token_origin) == 0) {
        char bearer[4200];
        snprintf(bearer, sizeof bearer, "Bearer %.4096s", n->token);
        add_header(c, "Authorization", bearer);
    }
    if (range) {
        char bytes[64];
        snprintf(bytes, sizeof bytes, "bytes=%s", range);
        add_header(c, "Range", bytes);
    }
    set_options(h, c, proxy);
    return ST_OK;
}

void net_call_done(net_call *c)
{
    curl_slist_free_all(c->headers);
    c->headers = NULL;
}

bool net_redirect(CURL *h, const net_call *c, int hop, char next[NET_URL], int *rc, err *e)
{
    long status = 0;
    char *to = NULL, from_origin[NET_URL], to_origin[NET_URL];
    *rc = ST_OK;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h, CURLINFO_REDIRECT_URL, &to);
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        return false;
    if (!to)
        *rc = err_set(e, ST_FORMAT, "%.200s: a redirect to nowhere", c->url);
    else if (hop >= NET_HOPS)
        *rc = err_set(e, ST_LIMIT, "%.200s: redirected more than %d times", c->url, NET_HOPS);
    else if (net_origin(c->n, c->url, from_origin, e) || net_origin(c->n, to, to_origin, e))
        *rc = e ? e->code : ST_INVALID;
    else if (strncmp(from_origin, "https:", 6) == 0 && strncmp(to_origin, "https:", 6) != 0)
        *rc = err_set(e, ST_INVALID, "%.200s: redirected from HTTPS to plain HTTP", c->url);
    else
        snprintf(next, NET_URL, "%s", to);
    return !*rc;
}

int net_failure(CURLcode code, const net_call *c, err *e)
{
    if (c->refused)
        return err_set(e, ST_INVALID,
                       "%.200s: its host has the private address %s; --allow-private permits it", c->url,
                       c->address);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(e, ST_CANCELED, "stopped");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ST_IO, "%.200s: nothing came for %d s", c->url,
                       c->n->patience ? c->n->patience : 30);
    return err_set(e, ST_IO, "%.200s: %s", c->url, c->why[0] ? c->why : curl_easy_strerror(code));
}

int net_status_failure(long status, const char *url, err *e)
{
    if (status == 404 || status == 410)
        return err_set(e, ST_NOTFOUND, "%.200s: not there (HTTP %ld)", url, status);
    if (status == 401 || status == 403)
        return err_set(e, ST_INVALID,
                       "%.200s: not allowed (HTTP %ld); a gated model needs a token: --token-file", url,
                       status);
    return err_set(e, ST_IO, "%.200s: the server answers HTTP %ld", url, status);
}

// ---- Small answers ----

typedef struct gather {
    buf *b;
    size_t max;
    bool over;
} gather;

static size_t take(char *p, size_t size, size_t n, void *ctx)
{
    gather *g = ctx;
    g->over = g->over || size * n > g->max - g->b->len;
    if (g->over)
        return 0;
    buf_add(g->b, p, size * n);
    return g->b->failed ? 0 : n;
}

static int get_once(CURL *h, const net *n, const char *url, const char *accept, size_t max, buf *body,
                    int hop, char next[NET_URL], err *e)
{
    net_call c;
    long status = 0;
    gather g = {.b = body, .max = max};
    buf_clear(body);
    next[0] = 0;
    int rc = net_prepare(h, &c, n, url, accept, NULL, e);
    if (!rc) {
        curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(h, CURLOPT_WRITEDATA, &g);
        CURLcode code = curl_easy_perform(h);
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
        if (g.over)
            rc = err_set(e, ST_LIMIT, "%.200s: an answer of over %zu bytes", url, max);
        else if (body->failed)
            rc = err_set(e, ST_NOMEM, "no memory for an answer");
        else if (code)
            rc = net_failure(code, &c, e);
        else if (!net_redirect(h, &c, hop, next, &rc, e) && !rc && status != 200)
            rc = net_status_failure(status, url, e);
    }
    net_call_done(&c);
    return rc;
}

int net_get(const net *n, const char *url, const char *accept, size_t max, buf *body, err *e)
{
    char at[NET_URL], next[NET_URL];
    CURL *h = curl_easy_init();
    int rc = h ? ST_OK : err_set(e, ST_NOMEM, "no memory for a transfer");
    if (!rc && snprintf(at, sizeof at, "%s", url) >= (int)sizeof at)
        rc = err_set(e, ST_INVALID, "a URL of over %d bytes", NET_URL - 1);
    for (int hop = 0; !rc; hop++) {
        rc = get_once(h, n, at, accept, max, body, hop, next, e);
        if (rc || !next[0])
            break;
        memcpy(at, next, sizeof at);
    }
    curl_easy_cleanup(h);
    return rc;
}

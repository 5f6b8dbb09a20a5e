// Who may call. A page in a browser must not reach a server on this machine by a name that was rebound to 127.0.0.1,
// nor from a site that was not let in: Host must be a loopback name or an address, Origin one of this machine's or
// one that was named. Off loopback a key is needed.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/server.h"

// The host of "host", "host:port", "[v6]:port" into out; false when it is none.
static bool split_host(const char *text, size_t n, char *out, size_t cap)
{
    size_t len = n, rest = n;
    if (n && text[0] == '[') {
        const char *close = memchr(text, ']', n);
        if (!close)
            return false;
        text++;
        len = (size_t)(close - text);
        rest = len + 2;
    } else {
        const char *colon = memchr(text, ':', n);
        if (colon)
            rest = len = (size_t)(colon - text);
    }
    const char *port = text - (rest > len) + rest;
    size_t port_n = n - rest;
    if (port_n && (port[0] != ':' || port_n > 6 || strspn(port + 1, "0123456789") < port_n - 1))
        return false;
    if (len == 0 || len >= cap)
        return false;
    memcpy(out, text, len);
    out[len] = 0;
    return true;
}

static bool is_address(const char *host, bool *loopback)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        *loopback = ntohl(v4.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        *loopback = IN6_IS_ADDR_LOOPBACK(&v6);
        return true;
    }
    return false;
}

static bool is_local_name(const char *host)
{
    size_t n = strlen(host);
    bool loopback = false;
    if (strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0))
        return true;  // RFC 6761: names under localhost never leave the machine
    return is_address(host, &loopback) && loopback;
}

static bool host_allowed(const server *s, const char *host)
{
    bool loopback = false;
    if (is_local_name(host) || (s->o.host && strcasecmp(host, s->o.host) == 0))
        return true;
    return s->o.host && is_address(host, &loopback);  // no name, so nothing to rebind
}

// Whether the list has the origin, or "*".
static bool is_listed(const char *list, const char *origin)
{
    size_t n = strlen(origin);
    for (const char *at = list; at && *at;) {
        size_t len = strcspn(at, ",");
        if ((len == n && strncasecmp(at, origin, n) == 0) || (len == 1 && *at == '*'))
            return true;
        at += len + (at[len] == ',');
    }
    return false;
}

// host_header has passed: a page that this server itself serves is let in.
static bool origin_allowed(const server *s, const char *origin, const char *host_header)
{
    static const char *const apps[] = {"app://", "tauri://",
                                       "vscode-webview://"};  // pages of programs, not of sites
    char host[256];
    const char *at = strstr(origin, "://");
    if (is_listed(s->o.origins, origin))
        return true;
    for (size_t i = 0; i < COUNT_OF(apps); i++)
        if (strncasecmp(origin, apps[i], strlen(apps[i])) == 0)
            return true;
    if (!at || (strncasecmp(origin, "http://", 7) != 0 && strncasecmp(origin, "https://", 8) != 0))
        return false;
    if (strcasecmp(at + 3, host_header) == 0)
        return true;
    if (!split_host(at + 3, strlen(at + 3), host, sizeof host))
        return false;
    return is_local_name(host) || (s->o.host && strcasecmp(host, s->o.host) == 0);
}

// Takes as long for every wrong key of one length.
static bool same_key(const char *a, const char *b)
{
    size_t n = strlen(a);
    unsigned char differ = strlen(b) != n;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)(a[i] ^ b[differ ? 0 : i]);
    return !differ;
}

static bool has_key(const server *s, const http_request *r)
{
    const char *bearer = http_header(r, "Authorization"), *key = http_header(r, "X-Api-Key");
    if (!s->o.api_key)
        return true;
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0 && same_key(s->o.api_key, bearer + 7))
        return true;
    return key && same_key(s->o.api_key, key);
}

bool access_check(server *s, http_request *r)
{
    family f = family_of(http_path(r));
    const char *host = http_header(r, "Host"), *origin = http_header(r, "Origin");
    char name[256];
    if (!host || !split_host(host, strlen(host), name, sizeof name) || !host_allowed(s, name)) {
        answer_error(r, f, 403, "forbidden_host", NULL,
                     "the Host header names \"%.100s\"; this server answers to localhost and its own address",
                     host ? host : "");
        return false;
    }
    if (origin && !origin_allowed(s, origin, host)) {
        answer_error(r, f, 403, "forbidden_origin", NULL,
                     "pages of \"%.100s\" may not call this server; --origins lets them in", origin);
        return false;
    }
    bool open = strcmp(http_path(r), "/health") == 0 || page_is_path(http_path(r)) ||
                strcmp(http_method(r), "OPTIONS") == 0;
    if (!open && !has_key(s, r)) {
        http_add_header(r, "WWW-Authenticate", "Bearer");
        answer_error(r, f, 401, "invalid_api_key", NULL, "an API key is needed: Authorization: Bearer KEY");
        return false;
    }
    return true;
}

void access_cors(http_request *r)
{
    const char *origin = http_header(r, "Origin"), *asked = http_header(r, "Access-Control-Request-Headers");
    if (!origin)
        return;
    http_add_header(r, "Access-Control-Allow-Origin", origin);
    http_add_header(r, "Vary", "Origin");
    if (strcmp(http_method(r), "OPTIONS") != 0)
        return;
    http_add_header(r, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, HEAD, OPTIONS");
    http_add_header(r, "Access-Control-Allow-Headers", asked ? asked : "Authorization, Content-Type");
    http_add_header(r, "Access-Control-Max-Age", "600");
}

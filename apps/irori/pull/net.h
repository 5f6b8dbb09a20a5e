// The one seam over libcurl: what may be connected to, and what is sent along.
//
// HTTPS unless plain HTTP is allowed; addresses are judged when the socket is opened, after the name was resolved, so that
// no name can be rebound in between; redirects are followed here, each judged anew; a token goes to the one origin it is
// for and to no other, also not after a redirect. Nothing else is told about the machine or the person.
#ifndef PULL_NET_H
#define PULL_NET_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/base.h"

enum { NET_URL = 4096, NET_HOPS = 5 };  // most bytes of a URL; redirects followed

typedef struct net {
    bool allow_private, allow_http;
    const char *proxy;  // NULL: as the environment says (https_proxy, http_proxy, all_proxy, no_proxy)
    char *token;        // "": none
    char token_origin[NET_URL];  // "https://host:443"
    const atomic_bool *stop;     // transfers end when it becomes true; NULL: by themselves
    int patience;                // seconds without a byte after which a connection is given up; 0: 30
} net;

// One transfer: lives as long as its handle works.
typedef struct net_call {
    const net *n;
    char url[NET_URL];
    bool proxied, refused;  // refused: the address was private
    char address[64];
    char why[CURL_ERROR_SIZE];
    struct curl_slist *headers;
} net_call;

// scheme://host:port of a URL; ST_INVALID: not a URL that may be fetched (other schemes, a password inside, plain HTTP).
int net_origin(const net *n, const char *url, char out[NET_URL], err *e);
// Makes a handle ready for a GET. accept and range may be NULL. The handle's private pointer is left alone.
int net_prepare(CURL *h, net_call *c, const net *n, const char *url, const char *accept, const char *range,
                err *e);
void net_call_done(net_call *c);
// After a transfer: the next URL when the answer is a redirect that may be followed (true), else false; *rc != 0: it may
// not.
bool net_redirect(CURL *h, const net_call *c, int hop, char next[NET_URL], int *rc, err *e);
// What a failed transfer is for the person who waits.
int net_failure(CURLcode code, const net_call *c, err *e);
// The same for an HTTP status.
int net_status_failure(long status, const char *url, err *e);
// A small answer, redirects followed; 200 only. ST_LIMIT past `max` bytes; ST_NOTFOUND for 404.
int net_get(const net *n, const char *url, const char *accept, size_t max, buf *body, err *e);

#endif

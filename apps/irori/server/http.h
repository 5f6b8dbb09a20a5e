// The one seam over libmicrohttpd: requests come whole, answers go out whole or as a stream.
//
// Threads. The gate accepts connections, lets the guard look at the raw head of each, and hands what passes to
// libmicrohttpd; it also watches for clients that hang up. One thread of libmicrohttpd moves bytes and never works.
// Worker threads call `handle`, which may take its time. Every connection carries one request: what the guard saw is
// all there is. (Over TLS only libmicrohttpd sees the head; the same rules are then applied to the parsed headers, as
// far as it shows them.)
//
// A request belongs to whom it was handed to until http_answer or http_end gives it back; between those, its
// functions may be called from any thread, by one at a time.
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "base/base.h"

typedef struct http_server http_server;
typedef struct http_request http_request;

typedef struct http_options {
    const char *host;        // address or name to listen on; NULL: 127.0.0.1 and ::1
    int port;                // 0: any free one
    const char *cert, *key;  // PEM text for TLS; NULL: plain HTTP
    int connections;         // at most; 0: 2048
    size_t body;             // most bytes of a body; 0: 32 MiB
    int workers;             // 0: 8
    void (*handle)(void *ctx, http_request *r);
    void (*over)(void *ctx, http_request *r);  // answered or gone; on the library's thread
    void *ctx;
} http_options;

int http_start(http_server **out, const http_options *o, err *e);
int http_port(const http_server *s);
int http_connections(http_server *s);
// Takes no more requests; returns when no worker runs any more. Streams may still go on.
void http_quiet(http_server *s);
// The same, then waits until all requests have been given back and their clients are served or gone.
void http_stop(http_server *s);

uint64_t http_id(const http_request *r);       // counts from 1
double http_received(const http_request *r);   // os_seconds when the head came
uint64_t http_client(const http_request *r);   // a number for the client's address
bool http_is_loopback(const http_request *r);  // the client is on this machine
const char *http_method(const http_request *r);
const char *http_path(const http_request *r);                      // decoded, without the query
const char *http_query(const http_request *r, const char *name);   // NULL: not given
const char *http_header(const http_request *r, const char *name);  // NULL: not given
const char *http_body(const http_request *r, size_t *n);           // NUL-terminated
int http_status(http_request *r);                                  // of the answer; 0: none yet
bool http_gone(http_request *r);  // in `over`: the client did not read all of it

// For an answer's head; before http_answer or http_begin. At most 8.
void http_add_header(http_request *r, const char *name, const char *value);
// The whole answer; the bytes are copied. The request is given back.
void http_answer(http_request *r, int status, const char *type, const char *p, size_t n);
// A streamed answer: its head, then bytes, then the end, which gives the request back. http_write copies and never
// blocks; after the client is gone it does nothing.
void http_begin(http_request *r, int status, const char *type);
void http_write(http_request *r, const char *p, size_t n);
void http_end(http_request *r);

// What happens on the way, until the request is given back. gone: the client hung up or does not read for too long
// (also at once, when it already has). slow: more (true) or less (false) waits to be read than should; it then
// reads too slowly. Called on other threads; they must not block nor call functions of the request.
typedef struct http_watch {
    void (*gone)(void *ctx);
    void (*slow)(void *ctx, bool slow);
    void *ctx;
} http_watch;
void http_watch_client(http_request *r, const http_watch *w);

#endif

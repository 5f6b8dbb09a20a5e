// Inside of the seam: http.c over libmicrohttpd, gate.c over the sockets.
#ifndef SERVER_OWN_H
#define SERVER_OWN_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "server/http.h"

typedef struct gate gate;

typedef struct gate_options {
    const char *host;
    int port, connections;
    bool look;  // the guard sees plain HTTP
    // Takes over a connection whose head has passed; true: taken (and gate_left when it has ended), else closed.
    void (*pass)(void *ctx, int fd, const struct sockaddr *from, socklen_t n);
    void *ctx;
} gate_options;

int gate_open(gate **out, const gate_options *o, err *e);  // listens, accepts nothing yet
int gate_run(gate *g, err *e);                             // starts its thread
void gate_close(gate *g);                                  // stops listening and the thread
int gate_port(const gate *g);
int gate_connections(gate *g);    // open now
void gate_left(gate *g, int fd);  // a connection that was passed on is about to be closed
// Whose the connection is: http_hung_up(r) is called when the other end hangs up, once, between these two calls only.
// A connection that is nobody's then is shut down.
void gate_watch(gate *g, int fd, http_request *r);
void gate_unwatch(gate *g, http_request *r);

// http.c: what the gate calls.
void http_hung_up(http_request *r);

#endif

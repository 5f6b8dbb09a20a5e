// Which network addresses are not for the public: loopback, private, link-local, and forms that hide one of these.
#ifndef PULL_ADDRESS_H
#define PULL_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

// True also for families other than IP.
bool address_is_private(const struct sockaddr *a);
// The same for a host that is written as an address; false for names.
bool address_text_is_private(const char *host);

#endif

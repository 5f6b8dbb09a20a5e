// By the special-purpose registries of IANA (RFC 6890 and its successors).
#include "pull/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool v4_is_private(uint32_t a)
{
    static const struct range {
        uint32_t first;
        int bits;
    } ranges[] = {
        {0x00000000, 8},   // this network
        {0x0a000000, 8},   // private
        {0x64400000, 10},  // carriers' own
        {0x7f000000, 8},   // loopback
        {0xa9fe0000, 16},  // link-local; clouds keep their secrets there
        {0xac100000, 12},  // private
        {0xc0000000, 24},  // protocol assignments
        {0xc0000200, 24},  // documentation
        {0xc0a80000, 16},  // private
        {0xc6120000, 15},  // benchmarks
        {0xc6336400, 24},  // documentation
        {0xcb007100, 24},  // documentation
        {0xe0000000, 3},   // multicast, reserved, broadcast
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if ((a ^ ranges[i].first) >> (32 - ranges[i].bits) == 0)
            return true;
    return false;
}

static uint32_t v4_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// Only 2000::/3 is handed out; inside it, 6to4 and Teredo carry an IPv4 address, and documentation is nobody's. Of the
// rest, NAT64's prefix leads to the IPv4 address at its end.
static bool v6_is_private(const uint8_t p[16])
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(p, nat64, sizeof nat64) == 0)
        return v4_is_private(v4_at(p + 12));
    if (p[0] >> 5 != 1)
        return true;  // loopback, mapped IPv4, unique local, link-local, multicast, unassigned
    if (p[0] == 0x20 && p[1] == 0x02)
        return v4_is_private(v4_at(p + 2));
    return p[0] == 0x20 && p[1] == 0x01 && (p[2] < 2 || (p[2] == 0x0d && p[3] == 0xb8));
}

bool address_is_private(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, a, sizeof v4);
        return v4_is_private(ntohl(v4.sin_addr.s_addr));
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        memcpy(&v6, a, sizeof v6);
        const uint8_t *p = v6.sin6_addr.s6_addr;
        return memcmp(p, mapped, sizeof mapped) == 0 ? v4_is_private(v4_at(p + 12)) : v6_is_private(p);
    }
    return true;
}

bool address_text_is_private(const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char text[64];
    size_t n = strlen(host);
    if (inet_aton(host, &v4.sin_addr))  // also 127.1 and 0x7f000001, as resolvers read them
        return address_is_private((const struct sockaddr *)&v4);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']' && n - 2 < sizeof text) {
        snprintf(text, sizeof text, "%.*s", (int)(n - 2), host + 1);
        host = text;
    }
    return inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 && address_is_private((const struct sockaddr *)&v6);
}

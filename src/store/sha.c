// See sha.h.
#include "store/sha.h"

#include <string.h>

void store_sha_init(store_sha *s)
{
    sha256_init(&s->ctx);
}

void store_sha_add(store_sha *s, const void *p, size_t n)
{
    sha256_update(&s->ctx, n, p);
}

void store_sha_end(store_sha *s, char hex[STORE_HEX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum[SHA256_DIGEST_SIZE];
    sha256_digest(&s->ctx, sizeof sum, sum);
    for (size_t i = 0; i < sizeof sum; i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    hex[2 * sizeof sum] = 0;
}

void store_sha_bytes(const void *p, size_t n, char hex[STORE_HEX])
{
    store_sha s;
    store_sha_init(&s);
    store_sha_add(&s, p, n);
    store_sha_end(&s, hex);
}

bool store_digest_parse(const char *text, char hex[STORE_HEX])
{
    if (strncmp(text, "sha256:", 7) == 0 || strncmp(text, "sha256-", 7) == 0)
        text += 7;
    if (strlen(text) != STORE_HEX - 1 || strspn(text, "0123456789abcdefABCDEF") != STORE_HEX - 1)
        return false;
    for (size_t i = 0; i < STORE_HEX; i++)
        hex[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] + ('a' - 'A') : text[i]);
    return true;
}

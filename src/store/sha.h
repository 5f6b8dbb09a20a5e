// SHA-256 (FIPS 180-4), by Nettle, which uses the processor's instructions for it.
#ifndef STORE_SHA_H
#define STORE_SHA_H

#include <nettle/sha2.h>

#include "base/base.h"

enum { STORE_HEX = 65 };  // 64 lower-case hex digits and a NUL

typedef struct store_sha {
    struct sha256_ctx ctx;
} store_sha;

void store_sha_init(store_sha *s);
void store_sha_add(store_sha *s, const void *p, size_t n);
void store_sha_end(store_sha *s, char hex[STORE_HEX]);  // and begins anew
void store_sha_bytes(const void *p, size_t n, char hex[STORE_HEX]);

// Copies a digest in lower case, with or without "sha256:" or "sha256-" before it; false when it is none.
bool store_digest_parse(const char *text, char hex[STORE_HEX]);

#endif

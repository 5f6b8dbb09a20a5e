// Arithmetic on sizes that says when it would wrap; for everything computed from a file's numbers.
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

// *out = a * b; false (and *out untouched) when the product does not fit.
static inline bool check_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a != 0 && b > UINT64_MAX / a)
        return false;
    *out = a * b;
    return true;
}

// *out = a + b; false (and *out untouched) when the sum does not fit.
static inline bool check_add(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > UINT64_MAX - a)
        return false;
    *out = a + b;
    return true;
}

// n rounded up to a multiple of `align` (a power of two, or any value > 0); the caller knows it cannot wrap.
static inline uint64_t round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

#endif

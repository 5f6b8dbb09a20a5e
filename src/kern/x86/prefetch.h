// Asking for weights before their turn. The processor's own prefetchers lag behind a stream this fast.
#ifndef KERN_X86_PREFETCH_H
#define KERN_X86_PREFETCH_H

#include <xmmintrin.h>

#include "kern/types.h"

// Asks for the n bytes that a stream of weights now at p will reach a little later. Decoding a 0.6B Q4_K_M with
// AVX-512 went from 33 to 48 tokens a second on two threads; distances from 1 KiB to 8 KiB measured alike.
// Must be inlined: gcc takes a call that only prefetches for one without effect and drops it.
KERN_INLINE void kern_prefetch_stream(const uint8_t *p, size_t n)
{
    enum { AHEAD = 2048 };
    for (size_t i = 0; i < n; i += 64)
        _mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T0);
}

// Keeps what reads memory on its side of this place. Without it gcc 12 gathers the parts of a block at its beginning, more
// lines than a processor has buffers for: Q6_K on a Zen 2 went from 5 to 13 GB/s with it.
#if defined(__GNUC__)
#define KERN_HERE() __asm__ volatile("" ::: "memory")
#else
#define KERN_HERE() (void)0
#endif

// Part `part` of n of the same for a large packed block at p, to be spread over the work on it where two streams are
// read at once: then 2 to 4 KiB ahead measured alike, 1 KiB a tenth slower.
KERN_INLINE void kern_prefetch_part(const uint8_t *p, size_t bytes, int part, int n)
{
    enum { AHEAD = 3072 };
    size_t lines = (bytes + 63) / 64, end = lines * (size_t)(part + 1) / (size_t)n;
    for (size_t i = lines * (size_t)part / (size_t)n; i < end; i++)
        _mm_prefetch((const char *)p + AHEAD + 64 * i, _MM_HINT_T0);
}

#endif

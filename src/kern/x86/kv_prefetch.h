// Asking for the side of a page that is read next while another is multiplied: each plane of a head is a page of memory or
// less of its own, at whose end the processor's own prefetchers stop.
#ifndef KERN_X86_KV_PREFETCH_H
#define KERN_X86_KV_PREFETCH_H

#include <xmmintrin.h>

#include "kern/types.h"

// The planes of a side, the same twice where there is one.
typedef struct kern_kv_stream {
    const uint8_t *a, *b;
} kern_kv_stream;

KERN_INLINE kern_kv_stream kern_kv_stream_of(const kern_kv *x)
{
    const uint8_t *a = x->level == KERN_KV_F16  ? (const uint8_t *)x->f16
                       : x->level == KERN_KV_Q2 ? x->two
                                                : x->high;
    return (kern_kv_stream){a, x->level == KERN_KV_Q8 ? x->low : a};
}

KERN_INLINE void kern_kv_prefetch(kern_kv_stream s, size_t at, int n)
{
    for (int i = 0; i < n; i += 64) {
        _mm_prefetch((const char *)s.a + at + i, _MM_HINT_T0);
        if (s.b != s.a)
            _mm_prefetch((const char *)s.b + at + i, _MM_HINT_T0);
    }
}

#endif

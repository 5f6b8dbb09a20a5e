// The AVX-512 overlay: which kernels it brings.
#include "kern/x86/avx512.h"
#include "kern/overlay.h"

void kern_overlay_avx512(kern_table *t)
{
    kern_avx512_b32(t);
    kern_avx512_b256(t);
    kern_avx512_float(t);
    kern_avx512_attn(t);
    kern_avx512_kv(t);
    kern_avx512_ops(t);
}

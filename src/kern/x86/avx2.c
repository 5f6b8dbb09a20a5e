// The AVX2 + FMA + F16C overlay: everything, for processors without AVX-512.
#include "kern/x86/avx2.h"
#include "kern/overlay.h"

void kern_overlay_avx2(kern_table *t)
{
    kern_avx2_fill_b32(t);
    kern_avx2_fill_b256(t);
    kern_avx2_fill_float(t);
    kern_avx2_fill_ops(t);
    kern_avx2_fill_attn(t);
    kern_avx2_fill_kv(t);
    kern_avx2_fill_kv_encode(t);
}

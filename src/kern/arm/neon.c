// The NEON overlay, for processors with the dot-product instructions (ARMv8.2 and later): everything.
#include "kern/arm/neon.h"
#include "kern/overlay.h"

void kern_overlay_neon(kern_table *t)
{
    kern_neon_fill_b32(t);
    kern_neon_fill_b256(t);
    kern_neon_fill_float(t);
    kern_neon_fill_ops(t);
    kern_neon_fill_attn(t);
    kern_neon_fill_kv(t);
    kern_neon_fill_kv_encode(t);
}

// What the instruction sets offer to kern.c: each writes its kernels over those already in the table. Which
// of them are compiled is a matter of the build; whether one may run is cpu.c's.
#ifndef KERN_OVERLAY_H
#define KERN_OVERLAY_H

#include "kern/kern.h"

void kern_fill_scalar(kern_table *t);
void kern_fill_scalar_ops(kern_table *t);  // all but the matrix products
void kern_overlay_avx2(kern_table *t);
void kern_overlay_avx512(kern_table *t);
void kern_overlay_amx(kern_table *t);
void kern_overlay_neon(kern_table *t);

// Whether processor and operating system offer all that this overlay uses. Scalar: always.
bool kern_cpu_has(enum kern_isa isa);

// Rows [row0, row0 + rows) of a KERN_DECODE weight, columns [c0, c0 + cols), cols <= KERN_SUPER, as
// dst[column][16]; rows missing from the last panel are zero.
void kern_decode_panel(const kern_weight *w, int panel, int c0, int cols, float *dst);

#endif

// Rewriting blocks of codebook types before they are woven into panels; see recode.c.
#ifndef KERN_RECODE_H
#define KERN_RECODE_H

#include "kern/kern.h"

bool kern_recodes(int type);
// One block of such a type -> a block of kern_layout(kern_packed_type(type)), as GGUF would hold it.
void kern_recode(int type, const uint8_t *block, uint8_t *out);

#endif

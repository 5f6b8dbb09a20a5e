// What the files of `irori plan` share.
#ifndef IRORI_PLAN_H
#define IRORI_PLAN_H

#include "cli.h"

// What is planned for: a file, or a shape.
typedef struct plan_subject {
    const char *name;
    const char *path;  // NULL: the shape
    const irori_shape *shape;
    const char *quantization;  // NULL: a file as it is, a shape as Q4_K_M
    uint64_t memory_bytes;     // 0: what is available
} plan_subject;

int plan_show(const cli_options *o, const plan_subject *s);
int plan_verify(const cli_options *o);  // plan_verify.c

#endif

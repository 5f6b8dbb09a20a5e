// Multiple-choice items of the public sets, read into one shape.
#ifndef IRORI_CHOICE_H
#define IRORI_CHOICE_H

#include "base/base.h"

enum { CHOICE_MOST = 10 };

typedef struct choice_item {
    char *context;  // what stands before each option; "": the options are compared as whole texts
    char *option[CHOICE_MOST];
    int n, right;
} choice_item;

typedef struct choice_set {
    const char *format;  // "JCommonsenseQA"
    choice_item *item;
    size_t n;
} choice_set;

// JSON lines of JCommonsenseQA, JNLI, BLiMP, HellaSwag or MMLU's shape, or MMLU's CSV; the first item tells which. Prompts are
// those of docs/BENCH.md. ST_NOTFOUND, ST_IO; ST_FORMAT says the line and what is missing; ST_NOMEM.
int choice_read(choice_set *s, const char *path, err *e);
void choice_done(choice_set *s);

#endif

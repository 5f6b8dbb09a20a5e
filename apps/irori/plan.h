// What the files of `irori plan` share.
#ifndef IRORI_PLAN_H
#define IRORI_PLAN_H

#include <jansson.h>

#include "cli.h"

// A model of the catalogue; the shape's texts are the entry's.
typedef struct catalogue_entry {
    json_t *items;
    const json_t *entry;
    irori_shape shape;
} catalogue_entry;

// What is planned for: a file, or a shape.
typedef struct plan_subject {
    const char *name;
    const char *path;  // NULL: the shape
    const irori_shape *shape;
    const char *quantization;      // NULL: a file as it is, a shape as Q4_K_M
    const catalogue_entry *entry;  // that the shape is from
} plan_subject;

int catalogue_find(const cli_options *o, const char *name, catalogue_entry *out);  // says why not
void catalogue_done(catalogue_entry *e);
double catalogue_active_share(const catalogue_entry *e);  // of the parameters that a token reads
void catalogue_print(const catalogue_entry *e);

// Another machine, known by its published figures.
typedef struct plan_tier {
    char name[16], what[96];
    double memory, usable, bandwidth;  // bytes, bytes a second
} plan_tier;
int catalogue_tier(const char *name, plan_tier *out);
int catalogue_use_case(const cli_options *o);

int plan_show(const cli_options *o, const plan_subject *s);
int plan_verify(const cli_options *o);  // plan_verify.c

#endif

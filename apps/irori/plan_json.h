// Plans as data: what `irori plan --json` prints and the server's /v1/plan answers.
#ifndef IRORI_PLAN_JSON_H
#define IRORI_PLAN_JSON_H

#include <irori.h>
#include <jansson.h>

#include "base/base.h"

// The models of share/catalogue.json, an array: json_decref it. NULL: no memory.
json_t *plan_catalogue(void);
irori_shape plan_shape(const json_t *entry);  // of an entry, whose texts it borrows

// The mixes that are tried, widest first; NULL past the last.
const char *plan_mix(int i);
// Of a file, or of a shape when path is NULL.
int plan_of(const char *path, const irori_shape *shape, const irori_model_options *mo,
            const irori_plan_options *po, irori_plan *out, irori_error *e);
// The widest mix that fits, and its plan; NULL: none does.
const char *plan_best_mix(const char *path, const irori_shape *shape, const irori_model_options *mo,
                          const irori_plan_options *po, irori_plan *out);

void plan_put_machine(json_writer *w, const irori_machine *m);  // an object
void plan_put(json_writer *w, const irori_plan *p);             // opens an object, which stays open
void plan_put_speed(json_writer *w, const irori_plan *p, int prompt, int depth);

#endif

// Reading a request's JSON: typed, ranged, with the first mistake noted by field. null is as good as absent.
#ifndef SERVER_FIELDS_H
#define SERVER_FIELDS_H

#include <jansson.h>

#include "base/base.h"

typedef struct fields {
    json_t *object;    // borrowed; NULL: all absent
    json_t *defaults;  // borrowed; what is absent is looked up here; NULL: nowhere
    bool wrong;
    char param[96];  // the field that is wrong
    char message[256];
} fields;

fields fields_of(json_t *object);
json_t *fields_get(const fields *f, const char *name);  // borrowed; NULL when absent or null
bool fields_bool(fields *f, const char *name, bool otherwise);
double fields_number(fields *f, const char *name, double otherwise, double least, double most);
int64_t fields_int(fields *f, const char *name, int64_t otherwise, int64_t least, int64_t most);
const char *fields_text(fields *f, const char *name, const char *otherwise);  // borrowed
json_t *fields_object(fields *f, const char *name);                           // borrowed, or NULL
json_t *fields_array(fields *f, const char *name);
// Notes a mistake, unless one is noted already.
void fields_wrong(fields *f, const char *name, const char *fmt, ...) ERR_PRINTF(3, 4);
// Takes over the mistake of a part, as "name.part".
void fields_join(fields *f, const char *name, const fields *part);

#endif

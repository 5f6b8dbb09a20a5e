// What a model of the store brings into requests: a system message and parameters, of which only known ones count.
#ifndef SERVER_STORED_H
#define SERVER_STORED_H

#include "server/fields.h"

// The parameters of a manifest that are known and in range, as a new object; NULL when there are none.
json_t *stored_parameters(const char *json);
// Notes the first parameter that is not known or not in range.
void stored_check(fields *parameters);

#endif

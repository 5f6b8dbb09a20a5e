// Tables of methods. A NULL function is a method Python has and irori does not: it is there, but calling it fails.
#ifndef TMPL_METHODS_H
#define TMPL_METHODS_H

#include "tmpl/rt.h"

typedef struct method {
    const char *name;
    native_fn *fn;
} method;

value tmpl_method_find(rt *r, const method *table, size_t n, value self, const str *name);
seq *tmpl_dict_items(heap *h, const dict *d);  // of (key, value) tuples

#endif

// What the model tests share; test_model.c runs both groups.
#ifndef TESTS_MODEL_TESTS_H
#define TESTS_MODEL_TESTS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"
#include "model/toy.h"

typedef struct loaded {
    make made;
    gguf *file;
} loaded;

int load_toy(const toy *t, model *m, loaded *l, err *e);
void unload(model *m, loaded *l);

int run_rope_tests(void);

#endif

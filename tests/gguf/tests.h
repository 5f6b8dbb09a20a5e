// What the gguf tests share; test_gguf.c runs all groups.
#ifndef TESTS_GGUF_TESTS_H
#define TESTS_GGUF_TESTS_H

#include "gguf/make.h"

// A small good file that has every value type and several tensor types (sample.c).
void sample_build(make *m);
// A folder of this process's own, made on first use and removed by sample_clean; sample_path puts a name into
// it (one of four buffers in turn).
const char *sample_path(const char *name);
void sample_clean(void);

int run_read_tests(void);
int run_bad_tests(void);
int run_split_tests(void);
int run_write_tests(void);
int run_mutate_tests(void);

#endif

// What the samp tests share; test_samp.c runs both groups.
#ifndef TESTS_SAMP_TESTS_H
#define TESTS_SAMP_TESTS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "samp/samp.h"

samp *sampler(int vocab, const samp_params *p);
void random_logits(uint64_t seed, float *logits, int n);

int run_chain_tests(void);

#endif

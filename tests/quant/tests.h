// The groups of the quant tests; test_quant.c runs them all.
#ifndef TESTS_QUANT_TESTS_H
#define TESTS_QUANT_TESTS_H

int run_decode_tests(void);
int run_encode_tests(void);
int run_float_tests(void);

#endif

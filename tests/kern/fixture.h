// What the kernel tests share: memory that ends at a page no one may touch, random numbers, and random weights
// of every type together with activations.
#ifndef TESTS_KERN_FIXTURE_H
#define TESTS_KERN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h wants the four above.
#include <cmocka.h>

#include "kern/kern.h"

// Bytes that end exactly at a protected page (up to `align` - 1 bytes earlier when n is no multiple of it).
typedef struct guarded {
    void *p;
    void *base;
    size_t mapped;
} guarded;
guarded guarded_new(size_t n, size_t align);
void guarded_free(guarded *g);

// xorshift; the same numbers on every run.
uint32_t rnd(void);
void rnd_seed(uint32_t seed);
float rnd_float(float magnitude);  // in (-magnitude, magnitude)
int rnd_int(int below);

// A random matrix in GGUF form and packed. Every bit pattern of codes and scales occurs; the f16 scales are
// finite.
typedef struct weights {
    kern_weight w;
    int type;  // of the GGUF form
    guarded gguf, packed;
} weights;
weights weights_new(int type, int n, int k);
void weights_free(weights *w);

// Random activations of the kind the family takes, quantized by the table's own kernels.
typedef struct acts {
    kern_act a;
    guarded x, q, d, sum;
} acts;
acts acts_new(const kern_table *t, enum kern_family family, int tokens, int k);
void acts_free(acts *a);

// Types the packed families hold, and some of KERN_DECODE.
extern const int test_types[];
extern const int test_type_count;

// Runs `body` for every instruction set this processor offers.
void for_each_isa(void (*body)(const kern_table *t));

#endif

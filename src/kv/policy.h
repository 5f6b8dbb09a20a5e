// What the policy needs: a pass over the pages, and counting by size in bins.
#ifndef KV_POLICY_H
#define KV_POLICY_H

#include "kv/own.h"

// policy.c: writes into kv_block_state.want of every page that a sequence holds.
void kv_policy_pass(kv *s);

// Weights by power of two, four bins each: a threshold without sorting or memory.
enum { KV_BINS = 320, KV_BINS_EACH = 4, KV_BINS_LOW = -40 };  // 2^-40 .. 2^40
typedef struct kv_bins {
    int count[KV_BINS];
} kv_bins;
int kv_bin_of(float x);
double kv_bin_value(int bin);  // of its middle
void kv_bins_add(kv_bins *b, float x);
// The bin in which the n-th largest lies; KV_BINS when n is 0.
int kv_bins_top(const kv_bins *b, int n);

#endif

// Counting weights by size.
#include <math.h>

#include "kv/policy.h"

int kv_bin_of(float x)
{
    if (!(x > 0))
        return 0;
    int bin = (int)floorf((log2f(x) - KV_BINS_LOW) * KV_BINS_EACH);
    return MAX(0, MIN(KV_BINS - 1, bin));
}

void kv_bins_add(kv_bins *b, float x)
{
    b->count[kv_bin_of(x)]++;
}

int kv_bins_top(const kv_bins *b, int n)
{
    int bin = KV_BINS;
    for (int sum = 0; sum < n && bin > 0;)
        sum += b->count[--bin];
    return bin;
}

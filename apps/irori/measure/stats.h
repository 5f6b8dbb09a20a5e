// Figures from samples: what a report quotes, and how sure it may be.
#ifndef IRORI_STATS_H
#define IRORI_STATS_H

#include <stdbool.h>
#include <stddef.h>

// Samples of one quantity, in the order they were taken. After a failed growth `failed` is set and further ones are lost.
typedef struct samples {
    double *x;
    size_t n, cap;
    bool failed;
} samples;
void samples_add(samples *s, double x);
void samples_done(samples *s);

typedef struct stats {
    size_t n;
    double median, low, high;  // low..high: 95 % bootstrap interval of the median
    double p95, least, most, mean;
} stats;
// Sorts the samples. The interval is the percentile bootstrap's (Efron 1979) over 1,000 draws from a fixed seed, so that the
// same samples give the same report. One sample has no interval (NAN); no samples: all NAN.
stats stats_of(samples *s);
// Of sorted values, n >= 1; q in 0..1; linear between neighbours.
double stats_quantile(const double *sorted, size_t n, double q);

// 95 % interval of a share of which `right` of n, n >= 1, were seen (Wilson 1927).
void stats_share(size_t right, size_t n, double *low, double *high);

#endif

// What a run costs by the number of its rows. Reading the weights dominates, so a few rows cost little more than one;
// how much more is measured on this machine with this model, and followed as the context grows.
#include <math.h>

#include "spec/own.h"

enum { ROWS = SPEC_MOST + 1 };

// Until it is measured, a further row is taken to cost this part of the first: about what the quantized kernels of
// an AVX-512 machine need (docs/SPEED.md, tokens a second by rows).
static const double unmeasured = .06;

double spec_cost_of(const spec_cost *c, int rows)
{
    if (rows <= 1)
        return c->scale;
    if (c->shape[rows] > 0)
        return c->scale * c->shape[rows];
    int below = rows - 1, above = rows + 1;
    while (below > 1 && c->shape[below] == 0)
        below--;
    while (above <= ROWS && c->shape[above] == 0)
        above++;
    double low = below > 1 ? c->shape[below] : 1;
    if (above > ROWS)
        return c->scale * (low + (rows - below) * (below > 1 ? (low - 1) / (below - 1) : unmeasured));
    return c->scale * (low + (c->shape[above] - low) * (rows - below) / (above - below));
}

void spec_cost_learn(spec_cost *c, int rows, double seconds)
{
    if (rows < 1 || rows > ROWS || seconds <= 0)
        return;
    if (c->scale == 0) {
        c->scale = seconds / (rows > 1 ? 1 + unmeasured * (rows - 1) : 1);
        return;
    }
    // A run that somebody disturbed says little: at most twice, at least half of what was expected.
    double off = fmax(.5, fmin(2, seconds / spec_cost_of(c, rows)));
    if (rows == 1) {
        c->scale *= 1 + .2 * (off - 1);
    } else if (c->shape[rows] == 0) {
        c->shape[rows] = spec_cost_of(c, rows) * off / c->scale;
    } else {
        c->scale *= 1 + .1 * (off - 1);  // the context grows for all alike
        c->shape[rows] *= 1 + .1 * (off - 1);
    }
}

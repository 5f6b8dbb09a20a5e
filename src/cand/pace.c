// How many rows take steps together. All of them at once read the weights and the shared past once, so that is what makes the
// most tokens a second; but where not all can end in time, a few replies that are whole are worth more than many that are
// cut off. So the first rows go on alone until what is left of the time is enough for more of them.
#include "cand/own.h"

enum { LIKELY_TOKENS = 8 };  // of a short reply, until some have been seen

static double learn(double known, double now)
{
    return known > 0 ? .75 * known + .25 * now : now;
}

// A step of a number of rows never seen costs in between: reading the weights counts like another row.
double cand_pace_step(const cand_pace *p, int rows)
{
    for (int apart = 0; apart <= CAND_MOST; apart++)
        for (int side = -1; side <= 1; side += 2) {
            const int k = rows + side * apart;
            if (k >= 1 && k <= CAND_MOST && p->seconds[k] > 0)
                return p->seconds[k] * (1 + rows) / (1 + k);
        }
    return 0;
}

void cand_pace_stepped(cand_pace *p, int rows, double seconds)
{
    p->seconds[rows] = learn(p->seconds[rows], seconds);
}

void cand_pace_ended(cand_pace *p, int tokens)
{
    p->tokens = learn(p->tokens, tokens);
}

int cand_pace_fit(const cand_pace *p, int rows, int made, double left)
{
    const double wanted = p->tokens > 0 ? p->tokens : LIKELY_TOKENS, more = MAX(wanted - made, 1);
    while (rows > 1 && cand_pace_step(p, rows) * more > left)
        rows--;
    return rows;
}

// Penalties on what was said before.
#include <math.h>

#include "samp/own.h"

void samp_penalize(samp *s, const int32_t *history, size_t n)
{
    const samp_params *p = &s->p;
    if (p->repeat_penalty == 1 && p->frequency_penalty == 0 && p->presence_penalty == 0)
        return;
    size_t window = p->penalty_window < 0 ? n : MIN(n, (size_t)p->penalty_window);
    const int32_t *from = history + (n - window);
    for (size_t i = 0; i < window; i++)
        s->count[from[i]]++;
    for (size_t i = 0; i < window; i++) {
        int32_t id = from[i], times = s->count[id];
        if (times == 0)
            continue;  // done at its first occurrence
        s->count[id] = 0;
        float *l = &s->logits[id];
        *l = *l > 0 ? *l / p->repeat_penalty : *l * p->repeat_penalty;
        *l -= (float)times * p->frequency_penalty + p->presence_penalty;
    }
}

// match[i]: how many tokens before (and at) n-1-i equal those before (and at) the end; the Z function of the
// history read backwards, cut at breakers.
static void match_lengths(const int32_t *end, size_t n, int32_t *match)
{
    size_t left = 0, right = 0;
    for (size_t i = 1; i < n; i++) {
        size_t z = i < right ? MIN(right - i, (size_t)match[i - left]) : 0;
        while (i + z < n && *(end - z) == *(end - i - z))
            z++;
        match[i] = (int32_t)z;
        if (i + z > right) {
            left = i;
            right = i + z;
        }
    }
}

void samp_dry(samp *s, const int32_t *history, size_t n)
{
    const samp_params *p = &s->p;
    if (p->dry_multiplier == 0 || n < 2)
        return;
    size_t window = MIN(n, s->dry_cap);
    if (p->dry_window > 0)
        window = MIN(window, (size_t)p->dry_window);
    const int32_t *end = history + n - 1;
    size_t usable = 0;  // a repetition that began before a breaker does not count
    while (usable < window && !(p->breaker && p->breaker[*(end - usable)]))
        usable++;
    if (usable < (size_t)p->dry_allowed_length)
        return;
    match_lengths(end, window, s->match);
    // s->count holds, for the token that once followed, the longest match that led to it.
    for (size_t i = 1; i < window; i++) {
        int32_t length = (int32_t)MIN((size_t)s->match[i], usable), next = *(end - i + 1);
        if (length >= p->dry_allowed_length && length > s->count[next])
            s->count[next] = length;
    }
    for (size_t i = 1; i < window; i++) {
        int32_t next = *(end - i + 1), length = s->count[next];
        if (length == 0)
            continue;
        s->count[next] = 0;
        s->logits[next] -= p->dry_multiplier * powf(p->dry_base, (float)(length - p->dry_allowed_length));
    }
}

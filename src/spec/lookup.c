// Guesses from the text itself: quotations, lists, code under edit and JSON repeat what stood before (prompt lookup,
// Saxena 2023). An index by the hash of the last RUN tokens gives earlier places; the one whose past agrees for the
// longest, the latest among equals, goes on.
#include <string.h>

#include "spec/own.h"

enum {
    RUN = 2,       // tokens that must agree at least: one alone says little
    PLACES = 64,   // looked at for a guess; the latest are the likeliest
    LONGEST = 32,  // agreement beyond this says no more
    FIRST_CAP = 512
};

// Where runs that end before token[end] hang. cap is a power of two.
static int32_t *bucket(const spec_lookup *l, size_t end)
{
    uint32_t h = 0;
    for (size_t i = end - RUN; i < end; i++)
        h = (h ^ (uint32_t)l->token[i]) * 0x9E3779B1u;  // 2^32 / golden ratio: Knuth's multiplicative hashing
    return &l->head[(h ^ h >> 15) & (l->cap - 1)];
}

bool spec_lookup_reserve(spec_lookup *l, size_t n)
{
    size_t cap = FIRST_CAP;
    if (n <= l->cap)
        return true;
    while (cap < n)
        cap *= 2;
    int32_t *all = mem_calloc(MEM_SAMPLER, 3 * cap, sizeof *all);
    if (!all)
        return false;
    spec_lookup_done(l);  // what was indexed is indexed again
    *l = (spec_lookup){.token = all, .next = all + cap, .head = all + 2 * cap, .cap = cap};
    return true;
}

static size_t same_start(const int32_t *a, const int32_t *b, size_t n)
{
    size_t i = 0;
    if (memcmp(a, b, n * sizeof *a) == 0)
        return n;
    while (a[i] == b[i])
        i++;
    return i;
}

// Brings the index up to history[n]: takes back what is no longer so, latest first, then adds what is new.
static bool update(spec_lookup *l, const int32_t *history, size_t n)
{
    if (!spec_lookup_reserve(l, n))
        return false;
    size_t same = same_start(l->token, history, MIN(l->n, n));
    for (; l->n > same; l->n--)
        if (l->n >= RUN)
            *bucket(l, l->n) = l->next[l->n - 1];
    memcpy(l->token + same, history + same, (n - same) * sizeof *history);
    while (l->n < n)
        if (++l->n >= RUN) {
            int32_t *head = bucket(l, l->n);
            l->next[l->n - 1] = *head;
            *head = (int32_t)l->n;
        }
    return true;
}

size_t spec_lookup_find(spec_lookup *l, const int32_t *history, size_t n, int *match)
{
    size_t best = 0;
    *match = 0;
    if (n <= RUN || n > INT32_MAX || !update(l, history, n))
        return 0;
    size_t at = (size_t)l->next[n - 1];
    for (int i = 0; i < PLACES && at > 0 && *match < LONGEST; i++) {
        size_t same = 0;
        while (same < LONGEST && same < at && history[at - 1 - same] == history[n - 1 - same])
            same++;
        if (same >= RUN && (int)same > *match) {
            *match = (int)same;
            best = at;
        }
        at = (size_t)l->next[at - 1];
    }
    return best;
}

int spec_lookup_level(int match)
{
    static const int least[SPEC_LEVELS] = {0, 3, 4, 5, 7, 10, 16, LONGEST};
    int level = 0;
    while (level + 1 < SPEC_LEVELS && match >= least[level + 1])
        level++;
    return level;
}

void spec_lookup_done(spec_lookup *l)
{
    mem_free(l->token);  // the block of all three
    *l = (spec_lookup){0};
}

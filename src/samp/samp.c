// The sampler chain.
#include "samp/samp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samp/own.h"

enum { DRY_TOKENS = 4096 };  // most history DRY looks at

samp_params samp_greedy(void)
{
    return (samp_params){.top_p = 1,
                         .typical_p = 1,
                         .repeat_penalty = 1,
                         .penalty_window = 64,
                         .dry_base = 1.75f,
                         .dry_allowed_length = 2};
}

static int out_of_range(const char *what, double v, const char *allowed, err *e)
{
    return err_set(e, ST_INVALID, "%s is %g, allowed %s", what, v, allowed);
}

static int check(const samp_params *p, int vocab, err *e)
{
    if (!(p->temperature >= 0 && p->temperature <= 100))
        return out_of_range("temperature", p->temperature, "0..100", e);
    if (p->top_k < 0)
        return out_of_range("top_k", p->top_k, "0 (all) or more", e);
    if (!(p->top_p > 0 && p->top_p <= 1))
        return out_of_range("top_p", p->top_p, "above 0, up to 1", e);
    if (!(p->min_p >= 0 && p->min_p <= 1))
        return out_of_range("min_p", p->min_p, "0..1", e);
    if (!(p->typical_p > 0 && p->typical_p <= 1))
        return out_of_range("typical_p", p->typical_p, "above 0, up to 1", e);
    if (!(p->repeat_penalty > 0 && p->repeat_penalty <= 100))
        return out_of_range("repeat_penalty", p->repeat_penalty, "above 0, up to 100", e);
    if (!(fabsf(p->frequency_penalty) <= 2))
        return out_of_range("frequency_penalty", p->frequency_penalty, "-2..2", e);
    if (!(fabsf(p->presence_penalty) <= 2))
        return out_of_range("presence_penalty", p->presence_penalty, "-2..2", e);
    if (p->penalty_window < -1)
        return out_of_range("penalty_window", p->penalty_window, "-1 (all) or more", e);
    if (!(p->dry_multiplier >= 0 && p->dry_multiplier <= 100))
        return out_of_range("dry_multiplier", p->dry_multiplier, "0..100", e);
    if (!(p->dry_base >= 1 && p->dry_base <= 100))
        return out_of_range("dry_base", p->dry_base, "1..100", e);
    if (p->dry_allowed_length < 1)
        return out_of_range("dry_allowed_length", p->dry_allowed_length, "1 or more", e);
    if (p->dry_window < 0)
        return out_of_range("dry_window", p->dry_window, "0 (all) or more", e);
    if (p->n_bias && !p->bias)
        return err_set(e, ST_INVALID, "%zu logit biases are announced but none is given", p->n_bias);
    for (size_t i = 0; i < p->n_bias; i++)
        if (p->bias[i].token < 0 || p->bias[i].token >= vocab)
            return err_set(e, ST_INVALID, "logit bias for token %d, allowed 0..%d", p->bias[i].token,
                           vocab - 1);
        else if (isnan(p->bias[i].bias))
            return err_set(e, ST_INVALID, "logit bias for token %d is not a number", p->bias[i].token);
    return ST_OK;
}

int samp_new(samp **out, int vocab, const samp_params *p, err *e)
{
    *out = NULL;
    int rc = check(p, vocab, e);
    if (rc)
        return rc;
    size_t v = (size_t)vocab, dry = p->dry_multiplier != 0 ? DRY_TOKENS : 0;
    size_t bytes = sizeof(samp) + v * (sizeof(float) * 2 + sizeof(candidate) + sizeof(int32_t)) +
                   dry * sizeof(int32_t) + p->n_bias * sizeof(samp_bias);
    samp *s = mem_calloc(MEM_SAMPLER, 1, bytes);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for a sampler over %d tokens", vocab);
    *s = (samp){.vocab = vocab, .p = *p, .random = p->seed, .dry_cap = dry, .bytes = bytes};
    s->cand = (candidate *)(void *)(s + 1);
    s->logits = (float *)(void *)(s->cand + v);
    s->prob = s->logits + v;
    s->count = (int32_t *)(void *)(s->prob + v);
    s->match = s->count + v;
    samp_bias *bias = (samp_bias *)(void *)(s->match + dry);
    if (p->n_bias)
        memcpy(bias, p->bias, p->n_bias * sizeof *bias);
    s->p.bias = bias;
    *out = s;
    return ST_OK;
}

int samp_clone(const samp *s, samp **out, err *e)
{
    int rc = samp_new(out, s->vocab, &s->p, e);
    if (!rc)
        (*out)->random = s->random;
    return rc;
}

void samp_free(samp *s)
{
    mem_free(s);
}

// SplitMix64 (Steele, Lea & Flood 2014): one addition of state a draw; uniform in [0, 1).
static double draw_uniform(samp *s)
{
    uint64_t z = s->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int32_t argmax(const float *logits, int n)
{
    int best = 0;
    float top = -INFINITY;
    for (int i = 0; i < n; i++)
        if (logits[i] > top) {
            top = logits[i];
            best = i;
        }
    return best;
}

// Higher logit first; equal ones by id, so that the order is the same everywhere.
static bool before(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static int compare(const void *a, const void *b)
{
    candidate x = *(const candidate *)a, y = *(const candidate *)b;
    return before(x, y) ? -1 : before(y, x) ? 1 : 0;
}

// The k best of all tokens into s->cand, best first: a heap with the worst of them on top, then sorted.
static int select_top(samp *s, int k)
{
    candidate *heap = s->cand;
    int n = 0;
    for (int id = 0; id < s->vocab; id++) {
        candidate c = {id, s->logits[id]};
        if (!(c.logit > -INFINITY) || (n == k && !before(c, heap[0])))
            continue;
        int at;
        if (n < k) {  // sift up from a new leaf
            for (at = n++; at > 0 && before(heap[(at - 1) / 2], c); at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
        } else {  // replace the worst, sift down
            for (at = 0;;) {
                int child = 2 * at + 1;
                if (child + 1 < n && before(heap[child], heap[child + 1]))
                    child++;
                if (child >= n || !before(c, heap[child]))
                    break;
                heap[at] = heap[child];
                at = child;
            }
        }
        heap[at] = c;
    }
    qsort(heap, (size_t)n, sizeof *heap, compare);
    return n;
}

// Probabilities of the n candidates (best first) at the given temperature, into s->prob.
static void softmax(samp *s, int n, float temperature)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        float gap = s->cand[i].logit - s->cand[0].logit;
        // Infinite ones, as a bias makes them, are level.
        s->prob[i] = isnan(gap) ? 1 : expf(gap / temperature);
        sum += s->prob[i];
    }
    for (int i = 0; i < n; i++)
        s->prob[i] = (float)(s->prob[i] / sum);
}

// Keeps the tokens whose surprise is nearest to the distribution's entropy, until their mass reaches p.
static int keep_typical(samp *s, int n)
{
    softmax(s, n, 1);
    double entropy = 0;
    for (int i = 0; i < n; i++)
        if (s->prob[i] > 0)
            entropy -= s->prob[i] * log(s->prob[i]);
    // Candidates fall in probability, so the nearest to e^-entropy lie around one place: grow outwards from it.
    int high = 0;  // [low, high) is kept
    while (high < n && s->prob[high] > 0 && -log(s->prob[high]) < entropy)
        high++;
    int low = high;
    double mass = 0;
    while (mass < s->p.typical_p && (low > 0 || high < n)) {
        double up = low > 0 ? entropy + log(s->prob[low - 1]) : INFINITY;
        double down = high < n && s->prob[high] > 0 ? -log(s->prob[high]) - entropy : INFINITY;
        if (up == INFINITY && down == INFINITY)
            break;
        mass += up <= down ? s->prob[--low] : s->prob[high++];
    }
    if (high == low)
        return n;
    memmove(s->cand, s->cand + low, (size_t)(high - low) * sizeof *s->cand);
    return high - low;
}

static int keep_top_p(samp *s, int n)
{
    softmax(s, n, 1);
    double mass = 0;
    for (int i = 0; i < n; i++)
        if ((mass += s->prob[i]) >= s->p.top_p)
            return i + 1;
    return n;
}

static int keep_min_p(samp *s, int n)
{
    float least = s->cand[0].logit + logf(s->p.min_p);
    int keep = 1;
    while (keep < n && s->cand[keep].logit >= least)
        keep++;
    return keep;
}

static int32_t draw(samp *s, int n)
{
    softmax(s, n, s->p.temperature);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += s->prob[i];
    double u = draw_uniform(s) * sum;  // the rounded ones need not sum to 1
    for (int i = 0; i < n; i++)
        if ((u -= s->prob[i]) < 0)
            return s->cand[i].id;
    return s->cand[n - 1].id;
}

static bool is_allowed(const uint32_t *allowed, int id)
{
    return !allowed || (allowed[id / 32] >> (id % 32) & 1);
}

// A logit of what must not be chosen counts as none.
static void forbid(samp *s, const uint32_t *allowed)
{
    for (int i = 0; i < s->vocab; i++)
        if (!is_allowed(allowed, i))
            s->logits[i] = -INFINITY;
}

// The best token; when not even one has a logit (all that is allowed is biased away), the first allowed one.
static int32_t best(const samp *s, const uint32_t *allowed)
{
    int32_t id = argmax(s->logits, s->vocab);
    while (!is_allowed(allowed, id) && id + 1 < s->vocab)
        id++;
    return id;
}

int32_t samp_choose(samp *s, const float *logits, const int32_t *history, size_t n)
{
    return samp_choose_in(s, logits, NULL, history, n);
}

int32_t samp_choose_in(samp *s, const float *logits, const uint32_t *allowed, const int32_t *history,
                       size_t n)
{
    const samp_params *p = &s->p;
    for (int i = 0; i < s->vocab; i++)
        s->logits[i] = isnan(logits[i]) ? -INFINITY : logits[i];
    for (size_t i = 0; i < p->n_bias; i++)
        s->logits[p->bias[i].token] += p->bias[i].bias;
    samp_penalize(s, history, n);
    samp_dry(s, history, n);
    if (allowed)
        forbid(s, allowed);
    if (p->temperature == 0)
        return best(s, allowed);

    int k = p->top_k > 0 ? MIN(p->top_k, s->vocab) : s->vocab;
    int left = select_top(s, k);
    if (left == 0)
        return best(s, allowed);
    if (p->typical_p < 1)
        left = keep_typical(s, left);
    if (p->top_p < 1)
        left = keep_top_p(s, left);
    if (p->min_p > 0)
        left = keep_min_p(s, left);
    return draw(s, left);
}

double samp_logprob(const float *logits, int vocab, int32_t token)
{
    return samp_logprob_in(logits, vocab, NULL, token);
}

double samp_logprob_in(const float *logits, int vocab, const uint32_t *allowed, int32_t token)
{
    float top = -INFINITY;
    for (int i = 0; i < vocab; i++)
        if (is_allowed(allowed, i))
            top = fmaxf(top, logits[i]);
    if (isnan(logits[token]) || !is_allowed(allowed, token))
        return -INFINITY;
    double sum = 0;
    for (int i = 0; i < vocab; i++)
        if (!isnan(logits[i]) && is_allowed(allowed, i))
            sum += exp((double)logits[i] - top);
    return (double)logits[token] - top - log(sum);
}

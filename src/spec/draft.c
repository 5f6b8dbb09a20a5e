// Guesses of a smaller model. Its sequence follows the history lazily: what was cut off is forgotten, what is new is
// read when a guess is next wanted.
#include <math.h>
#include <string.h>

#include "spec/own.h"

int spec_draft_init(spec_draft *d, engine *x, int vocab, spec_memory *memory, err *e)
{
    *d = (spec_draft){.x = x,
                      .memory = memory,
                      .vocab = vocab > 0 ? MIN(vocab, x->model.params.vocab) : x->model.params.vocab};
    d->held = mem_alloc(MEM_SAMPLER, (size_t)x->context * sizeof *d->held);
    if (!d->held)
        return err_set(e, ST_NOMEM, "no memory for a draft of %d tokens", x->context);
    return kv_seq_new(x->kv, &d->seq, e);
}

void spec_draft_done(spec_draft *d)
{
    kv_seq_free(d->seq);
    mem_free(d->held);
    *d = (spec_draft){0};
}

static size_t same(const spec_draft *d, const int32_t *history, size_t n)
{
    size_t i = 0;
    while (i < n && i < d->n_held && d->held[i] == history[i])
        i++;
    return i;
}

size_t spec_draft_missing(const spec_draft *d, const int32_t *history, size_t n)
{
    return n - same(d, history, n - 1);
}

// Runs tokens; true with *logits after the last one.
static bool run(spec_draft *d, const int32_t *tokens, size_t n, const float **logits)
{
    size_t batch = (size_t)d->x->batch;
    for (size_t at = 0; at < n; at += batch) {
        err e = {0};
        int part = (int)MIN(batch, n - at);
        engine_row row = {d->seq, tokens + at, part, 1};
        if (engine_step(d->x, &row, 1, logits, NULL, NULL, &e)) {
            d->broken = true;
            return false;
        }
    }
    memcpy(d->held + d->n_held, tokens, n * sizeof *tokens);
    d->n_held += n;
    return true;
}

static bool follow(spec_draft *d, const int32_t *history, size_t n, const float **logits)
{
    if (d->broken || n + SPEC_MOST > (size_t)d->x->context)
        return false;
    size_t at = same(d, history, n - 1);
    kv_seq_truncate(d->seq, (int)at);
    d->n_held = at;
    double began = os_seconds();
    if (!run(d, history + at, n - at, logits))
        return false;
    if (n - at >= 32)  // fewer cost like one
        d->memory->prompt_seconds = (os_seconds() - began) / (double)(n - at);
    return true;
}

int32_t spec_draft_next(spec_draft *d, const int32_t *history, size_t n, const int32_t *guess, int at,
                        float *probability)
{
    const float *logits;
    double began = os_seconds();
    bool bulk = at == 0 && spec_draft_missing(d, history, n) >= 32;
    if (at == 0 ? !follow(d, history, n, &logits) : !run(d, &guess[at - 1], 1, &logits))
        return -1;
    int32_t best = -1;
    float most = -INFINITY, sum = 0;
    for (int i = 0; i < d->vocab; i++)
        if (logits[i] > most) {
            most = logits[i];
            best = i;
        }
    for (int i = 0; i < d->vocab; i++)
        sum += expf(logits[i] - most);
    *probability = 1 / sum;
    double took = os_seconds() - began;
    double *each = &d->memory->token_seconds;
    if (!bulk)
        *each = *each > 0 ? *each * .9 + took * .1 : took;
    return best;
}

int spec_draft_level(float probability)
{
    static const float least[SPEC_LEVELS] = {0, .2f, .4f, .6f, .75f, .87f, .95f, .99f};
    int level = 0;
    while (level + 1 < SPEC_LEVELS && probability >= least[level + 1])
        level++;
    return level;
}

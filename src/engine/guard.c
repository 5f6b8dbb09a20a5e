// The guard: what coarser keys and values do to the model's answer, measured while it runs, and mended.
//
// The last tokens of a sequence are run again behind a fork, first with the pages as they are, then with all of them at
// F16, and the divergence KL(F16 || as they are) of the next tokens' distributions is the measure. Above the bound, the
// part of the blocks with the most attention stays F16; when that does not help, the whole sequence does. The check is
// a step's work of a few tokens and reading what was dropped, and it takes the memory of F16 for that time. Keys and
// values that are written in it are thrown away, so a check by itself changes nothing.
#include <math.h>
#include <string.h>

#include "engine/own.h"

enum { LAST = 8 };                // tokens that are run again
static const float held = 0.25f;  // of the blocks that were coarser

static double log_sum(const float *x, int n)
{
    float most = x[0];
    double sum = 0;
    for (int i = 1; i < n; i++)
        most = MAX(most, x[i]);
    for (int i = 0; i < n; i++)
        sum += (double)expf(x[i] - most);
    return (double)most + log(sum);
}

// Mean of KL(want || have) over rows of logits.
static double divergence(const float *want, const float *have, int rows, int width)
{
    double kl = 0;
    for (int r = 0; r < rows; r++, want += width, have += width) {
        double a = log_sum(want, width), b = log_sum(have, width);
        for (int i = 0; i < width; i++) {
            double lp = (double)want[i] - a;
            kl += (double)expf((float)lp) * (lp - ((double)have[i] - b));
        }
    }
    return MAX(0, kl / rows);
}

// The last n tokens of a sequence once more, with its pages as they are now.
static int score(engine *x, const kv_seq *q, int n, const float **logits, err *e)
{
    kv_seq *f;
    int32_t tokens[LAST];
    int rc = kv_seq_fork(q, &f, e), length = kv_seq_length(q) - n;
    if (rc)
        return rc;
    kv_seq_last_tokens(q, tokens, n);
    if (kv_seq_truncate(f, length) != length)
        rc = err_set(e, ST_NOTFOUND, "the newest page cannot be written again");
    if (!rc)
        rc = engine_forward(x, &(engine_row){f, tokens, n, n}, 1, logits, NULL, NULL, e);
    kv_seq_free(f);
    return rc;
}

// Above the bound: `kept` holds the logits at F16, and the sequence is at F16.
static int mend(engine *x, kv_seq *q, int n, const float *kept, uint8_t **levels, err *e)
{
    const float *logits;
    kv_count_guard(x->kv)->promotions += (uint64_t)kv_seq_lower(q, *levels, held);
    int rc = score(x, q, n, &logits, e);
    if (rc || divergence(kept, logits, n, x->model.result_width) <= (double)kv_seq_policy(q)->guard_bound)
        return rc;
    mem_free(*levels);
    if ((rc = kv_seq_raise(q, levels, e)))
        return rc;
    kv_policy f16 = kv_policy_default(KV_F16);
    kv_count_guard(x->kv)->fall_backs++;
    return kv_seq_set_policy(q, &f16, e);
}

static int check(engine *x, kv_seq *q, int n, float *kept, err *e)
{
    const int width = x->model.result_width;
    const size_t bytes = (size_t)n * (size_t)width * sizeof *kept;
    const float *logits;
    uint8_t *levels;
    int rc = score(x, q, n, &logits, e);
    if (rc)
        return rc;
    memcpy(kept, logits, bytes);
    if ((rc = kv_seq_raise(q, &levels, e)))
        return rc;
    rc = score(x, q, n, &logits, e);
    double kl = rc ? 0 : divergence(logits, kept, n, width);
    if (!rc)
        kv_guard_saw(x->kv, (float)kl);
    if (rc || kl <= (double)kv_seq_policy(q)->guard_bound) {
        kv_seq_lower(q, levels, 0);
    } else {
        memcpy(kept, logits, bytes);
        rc = mend(x, q, n, kept, &levels, e);
    }
    mem_free(levels);
    return rc;
}

void engine_guard_check(engine *x, kv_seq *q)
{
    int n = MIN(LAST, MIN(x->batch, x->outputs));
    if (!kv_seq_guard_due(q, n))
        return;
    err e = {0};
    float *kept = mem_alloc(MEM_KV, (size_t)n * (size_t)x->model.result_width * sizeof *kept);
    int rc = kept ? check(x, q, n, kept, &e) : err_set(&e, ST_NOMEM, "no memory for logits");
    mem_free(kept);
    if (!rc)
        return;
    if (kv_count_guard(x->kv)->skipped++ == 0)
        log_msg(LOG_WARN, "a check of keys and values was left out: %s", e.msg);
}

// irori eval choice: multiple choice by log-likelihood. The model answers with the option it finds likeliest behind the
// context: by the sum over its tokens (accuracy), and by that sum divided by its bytes (accuracy_by_length), which does not
// favour short options.
#include "measure/choice.h"

#include <string.h>

#include "measure/eval.h"

typedef struct ids {
    int32_t *p;
    size_t n;
} ids;

static double sum_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

// log p(option | context). What the context shares with the option before stays run; without a context, or with one of a
// single token, all but the first token of the whole is scored.
static int score(irori_session *s, const ids *context, const ids *option, double *out, irori_error *e)
{
    size_t kept = context->n ? context->n - 1 : 0, have;
    irori_session_tokens(s, &have);
    int rc = IRORI_OK;
    if (have > kept)
        rc = irori_session_truncate(s, kept, e);
    else if (have < kept)
        rc = irori_session_add(s, context->p + have, kept - have, e);
    if (rc)
        return rc;
    size_t lead = context->n ? 1 : 0, n = lead + option->n, first = MAX(lead, (size_t)1);
    int32_t *all = mem_alloc(MEM_OTHER, n * sizeof *all);
    double *logprob = mem_alloc(MEM_OTHER, n * sizeof *logprob);
    if (!all || !logprob) {
        rc = err_set((err *)(void *)e, ST_NOMEM, "out of memory for an option of %zu tokens", n);
    } else if (n > first) {
        if (lead)
            all[0] = context->p[kept];
        memcpy(all + lead, option->p, option->n * sizeof *all);
        rc = irori_session_score(s, all, n, first, logprob, e);
    }
    *out = !rc && n > first ? sum_of(logprob, n - first) : 0;
    mem_free(all);
    mem_free(logprob);
    return rc;
}

static int best_of(const double *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

typedef struct counts {
    size_t right, right_by_length;
} counts;

static int answer_item(irori_model *m, irori_session *s, const choice_item *x, counts *c, irori_error *e)
{
    ids context = {0};
    double sum[CHOICE_MOST], mean[CHOICE_MOST];
    int rc = irori_session_truncate(s, 0, e);
    bool whole = x->context[0] == 0;
    if (!rc && !whole)
        rc = irori_tokenize(m, x->context, strlen(x->context), IRORI_TOKENIZE_BOS, &context.p, &context.n, e);
    for (int i = 0; !rc && i < x->n; i++) {
        ids option = {0};
        size_t bytes = strlen(x->option[i]);
        rc = irori_tokenize(m, x->option[i], bytes, whole ? IRORI_TOKENIZE_BOS : 0, &option.p, &option.n, e);
        if (!rc)
            rc = score(s, &context, &option, &sum[i], e);
        mean[i] = sum[i] / (double)MAX(bytes, (size_t)1);
        irori_free(option.p);
    }
    irori_free(context.p);
    if (rc)
        return rc;
    c->right += best_of(sum, x->n) == x->right;
    c->right_by_length += best_of(mean, x->n) == x->right;
    return IRORI_OK;
}

int eval_choice(const cli_options *o, irori_model *m, report *r, irori_error *e)
{
    choice_set set;
    irori_session *s = NULL;
    counts c = {0};
    int rc = choice_read(&set, o->file, (err *)(void *)e);
    if (rc)
        return rc;
    size_t n = o->chunks && (size_t)o->chunks < set.n ? (size_t)o->chunks : set.n;
    cli_progress bar;
    cli_progress_start(&bar, "answering");
    rc = irori_session_new(&s, m, NULL, e);
    for (size_t i = 0; !rc && i < n; i++) {
        cli_progress_step(&bar, i, n);
        rc = answer_item(m, s, &set.item[i], &c, e);
    }
    cli_progress_end(&bar);
    if (!rc) {
        eval_add_share(r, set.format, "accuracy", c.right, n);
        eval_add_share(r, set.format, "accuracy_by_length", c.right_by_length, n);
    }
    irori_session_free(s);
    choice_done(&set);
    return rc;
}

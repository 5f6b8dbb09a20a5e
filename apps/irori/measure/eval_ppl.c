// irori eval ppl: how well a model predicts a text.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "put.h"

typedef struct score {
    double nll;  // sum over scored tokens
    size_t scored, used;
} score;

// Windows of ctx tokens, each on its own; predictions made at positions ctx/2 .. ctx-2 are scored.
static int score_windows(irori_session *s, const int32_t *ids, size_t count, size_t ctx, score *out,
                         irori_error *e)
{
    cli_progress bar;
    cli_progress_start(&bar, "scoring");
    double *logprob = mem_alloc(MEM_OTHER, ctx * sizeof *logprob);
    if (!logprob)
        return err_set((err *)(void *)e, ST_NOMEM, "out of memory for %zu scores", ctx);
    int rc = IRORI_OK;
    size_t first = ctx / 2 + 1;
    for (size_t at = 0; !rc && at + ctx <= count; at += ctx) {
        cli_progress_step(&bar, at, count);
        rc = irori_session_truncate(s, 0, e);
        if (!rc)
            rc = irori_session_score(s, ids + at, ctx, first, logprob, e);
        for (size_t i = 0; !rc && i < ctx - first; i++)
            out->nll -= logprob[i];
        out->scored += ctx - first;
        out->used += ctx;
    }
    cli_progress_end(&bar);
    mem_free(logprob);
    return rc;
}

static int report(const cli_options *o, const score *r)
{
    double nll = r->nll / (double)r->scored;
    if (!o->json) {
        printf("perplexity %.4f (nll %.6f a token) over %zu scored tokens of %zu\n", exp(nll), nll, r->scored,
               r->used);
        return CLI_OK;
    }
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    put_num(&w, "ppl", exp(nll));
    put_int(&w, "tokens", (int64_t)r->used);
    put_int(&w, "scored", (int64_t)r->scored);
    put_num(&w, "nll", nll);
    json_end(&w);
    return cli_print_json(&out);
}

int cli_eval_ppl(const cli_options *o, irori_model *m, const char *text, size_t n, size_t ctx)
{
    irori_session *s = NULL;
    irori_error e;
    int32_t *ids = NULL;
    size_t count = 0;
    score r = {0};
    int rc = irori_tokenize(m, text, n, IRORI_TOKENIZE_BOS, &ids, &count, &e);
    if (!rc && count < ctx)
        rc = err_set((err *)(void *)&e, ST_INVALID,
                     "the text has %zu tokens, a window needs %zu; use a smaller --ctx", count, ctx);
    if (!rc)
        rc = irori_session_new(&s, m, NULL, &e);
    if (!rc)
        rc = score_windows(s, ids, count, ctx, &r, &e);
    rc = rc ? cli_fail(&e) : report(o, &r);
    irori_session_free(s);
    irori_free(ids);
    return rc;
}

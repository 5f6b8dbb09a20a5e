// irori eval: how well a model predicts a text (bpw, kl, kv: eval_*.c).
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

static int perplexity(const cli_options *o, irori_model *m, const char *text, size_t n, size_t ctx)
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

int cmd_eval(const cli_options *o)
{
    if (o->command && strcmp(o->command, "bpw") == 0)
        return cli_eval_bpw(o);
    bool kv = o->command && strcmp(o->command, "kv") == 0, kl = o->command && strcmp(o->command, "kl") == 0;
    if (!kv && !kl && (!o->command || strcmp(o->command, "ppl") != 0)) {
        fprintf(stderr, "irori eval: measure is \"%s\", allowed ppl, kl, bpw, kv\n",
                o->command ? o->command : "");
        return CLI_USAGE;
    }
    if (kl && !o->base) {
        fprintf(stderr, "irori eval: --base is missing: the model to compare with\n");
        return CLI_USAGE;
    }
    if (!o->file) {
        fprintf(stderr, "irori eval: --file is missing: the text to score\n");
        return CLI_USAGE;
    }
    int ctx = o->ctx ? o->ctx : 512;
    if (ctx < 8) {
        fprintf(stderr, "irori eval: --ctx is %d, allowed 8 and more\n", ctx);
        return CLI_USAGE;
    }
    char *text;
    size_t n;
    if (cli_read_text(o->file, &text, &n))
        return CLI_FAILED;
    if (kv) {
        int done = eval_kv(o, text, n);
        mem_free(text);
        return done;
    }
    irori_model *m = NULL;
    int rc = cli_open(o, ctx, 0, &m);
    if (!rc)
        rc = kl ? cli_eval_kl(o, m, text, n, (size_t)ctx) : perplexity(o, m, text, n, (size_t)ctx);
    irori_model_close(m);
    mem_free(text);
    return rc;
}

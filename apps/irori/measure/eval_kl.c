// irori eval kl: what a model lost against the one it was made from. Both read the same windows; perplexities are compared
// token by token, so that a difference of a tenth of a percent can be told from chance.
#include <math.h>
#include <stdio.h>

#include "measure/compare.h"
#include "put.h"

typedef struct pair {
    irori_model *base;
    irori_session *s[2];  // the base's, the model's
    int vocabulary;
} pair;

static void close_pair(pair *p)
{
    irori_session_free(p->s[0]);
    irori_session_free(p->s[1]);
    irori_model_close(p->base);
}

// Adapters and KV policies are the model's; the base is run as it is.
static int open_base(const cli_options *o, size_t ctx, pair *p, irori_error *e)
{
    cli_options plain = *o;
    plain.kv = plain.kv_budget = NULL;
    irori_model_options mo = cli_model_options(&plain);
    mo.context = (int)ctx;
    return irori_model_open(&p->base, o->base, &mo, e);
}

static int open_pair(const cli_options *o, irori_model *m, size_t ctx, pair *p, irori_error *e)
{
    irori_model_info info, base;
    int rc = open_base(o, ctx, p, e);
    if (!rc)
        rc = irori_session_new(&p->s[0], p->base, NULL, e);
    if (!rc)
        rc = irori_session_new(&p->s[1], m, NULL, e);
    if (rc)
        return rc;
    irori_model_get_info(m, &info);
    irori_model_get_info(p->base, &base);
    p->vocabulary = info.vocabulary;
    if (info.vocabulary == base.vocabulary)
        return IRORI_OK;
    return err_set((err *)(void *)e, ST_INVALID,
                   "%s has a vocabulary of %d tokens, %s of %d; they must be the same", o->model,
                   info.vocabulary, o->base, base.vocabulary);
}

static int compare_text(const cli_options *o, pair *p, const int32_t *ids, size_t count, size_t ctx,
                        compare_sums *sums, irori_error *e)
{
    size_t windows = count / ctx;
    if (windows == 0)
        return err_set((err *)(void *)e, ST_INVALID,
                       "the text has %zu tokens, a window needs %zu; use a smaller --ctx", count, ctx);
    if (o->chunks && (size_t)o->chunks < windows)
        windows = (size_t)o->chunks;
    cli_progress bar;
    cli_progress_start(&bar, "comparing");
    int rc = IRORI_OK;
    for (size_t w = 0; !rc && w < windows; w++) {
        cli_progress_step(&bar, w, windows);
        rc = compare_window(p->s[0], p->s[1], ids + w * ctx, ctx, p->vocabulary, sums, e);
    }
    cli_progress_end(&bar);
    return rc;
}

static int report(const cli_options *o, const compare_sums *r)
{
    double nll = compare_mean(r->nll, r->n), base = compare_mean(r->nll_base, r->n);
    double worse = compare_mean(r->worse, r->n),
           worse_error = compare_error(r->worse, r->worse_squares, r->n);
    double kl = compare_mean(r->kl, r->n), kl_error = compare_error(r->kl, r->kl_squares, r->n);
    double agree = compare_mean((double)r->agree, r->n);
    if (!o->json) {
        // A difference of means of logarithms is the logarithm of the ratio of perplexities.
        printf("perplexity   %.4f, base %.4f: %+.3f %% +- %.3f\n"
               "KL           %.6f +- %.6f nats a token\n"
               "same token   %.2f %% of %zu predictions have the same likeliest token\n",
               exp(nll), exp(base), 100 * expm1(worse), 100 * worse_error, kl, kl_error, 100 * agree, r->n);
        return CLI_OK;
    }
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    put_num(&w, "ppl", exp(nll));
    put_num(&w, "ppl_base", exp(base));
    put_num(&w, "nll_difference", worse);
    put_num(&w, "nll_difference_error", worse_error);
    put_num(&w, "kl", kl);
    put_num(&w, "kl_error", kl_error);
    put_num(&w, "same_token", agree);
    put_int(&w, "scored", (int64_t)r->n);
    json_end(&w);
    return cli_print_json(&out);
}

int cli_eval_kl(const cli_options *o, irori_model *m, const char *text, size_t n, size_t ctx)
{
    pair p = {0};
    compare_sums sums = {0};
    int32_t *ids = NULL;
    size_t count = 0;
    irori_error e;
    int rc = open_pair(o, m, ctx, &p, &e);
    if (!rc)
        rc = irori_tokenize(m, text, n, IRORI_TOKENIZE_BOS, &ids, &count, &e);
    if (!rc)
        rc = compare_text(o, &p, ids, count, ctx, &sums, &e);
    irori_free(ids);
    close_pair(&p);
    return rc ? cli_fail(&e) : report(o, &sums);
}

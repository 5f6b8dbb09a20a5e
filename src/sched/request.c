// A request: checked and copied when it is submitted, all its memory taken then.
#include <string.h>

#include "sched/own.h"

static int check_params(const sched *s, const sched_params *p, err *e)
{
    int vocab = s->x->model.params.vocab, context = s->x->context;
    if (p->n_prompt < 1)
        return err_set(e, ST_INVALID, "the prompt is empty; it needs at least one token");
    if (p->n_prompt > (size_t)context || (p->max_tokens > 0 && p->n_prompt == (size_t)context))
        return err_set(e, ST_LIMIT, "the prompt has %zu tokens, the context is %d; shorten it or raise --ctx",
                       p->n_prompt, context);
    for (size_t i = 0; i < p->n_prompt; i++)
        if (p->prompt[i] < 0 || p->prompt[i] >= vocab)
            return err_set(e, ST_INVALID, "token %zu of the prompt is %d, allowed 0..%d", i, p->prompt[i],
                           vocab - 1);
    if (p->choices < 1 || p->choices > s->slots)
        return err_set(e, ST_INVALID, "%d choices, allowed 1..%d", p->choices, s->slots);
    if (p->n_stops < 0 || p->n_stops > SCHED_STOPS)
        return err_set(e, ST_INVALID, "%d stop texts, allowed 0..%d", p->n_stops, SCHED_STOPS);
    for (int i = 0; i < p->n_stops; i++)
        if (!p->stops[i][0] || strlen(p->stops[i]) > 1024)
            return err_set(e, ST_INVALID, "stop text %d has %zu bytes, allowed 1..1024", i,
                           strlen(p->stops[i]));
    if (p->top < 0 || p->top > SCHED_TOP)
        return err_set(e, ST_INVALID, "%d likeliest tokens asked, allowed 0..%d", p->top, SCHED_TOP);
    if (!(p->deadline >= 0 && p->deadline <= 1e9))
        return err_set(e, ST_INVALID, "deadline of %g seconds, allowed 0..1e9", p->deadline);
    return ST_OK;
}

// KV pages of the longest course: the first choice's own, and for each other what it does not share of the prompt.
static int count_pages(sched_request *r, const sched *s, err *e)
{
    size_t longest = r->n_prompt + r->max_tokens;
    size_t whole = (longest + DEV_PAGE - 1) / DEV_PAGE, shared = r->n_prompt / DEV_PAGE;
    size_t pages = whole + (size_t)(r->n_choices - 1) * (whole - shared);
    if (pages > (size_t)s->pages)
        return err_set(
            e, ST_LIMIT,
            "%zu prompt tokens and %d answers of up to %zu need %zu pages of keys and values, there "
            "are %d; ask for fewer or raise the number of sessions",
            r->n_prompt, r->n_choices, r->max_tokens, pages, s->pages);
    r->pages = (int)pages;
    return ST_OK;
}

static int make_stops(sched_request *r, const sched_params *p, err *e)
{
    for (int i = 0; i < p->n_stops; i++) {
        size_t n = strlen(p->stops[i]);
        r->stop[i] = mem_strndup(MEM_OTHER, p->stops[i], n);
        if (!r->stop[i])
            return err_set(e, ST_NOMEM, "no memory for a request");
        r->stop_len[i] = n;
        r->longest_stop = MAX(r->longest_stop, n);
        r->n_stops = i + 1;
    }
    return ST_OK;
}

static int make_choice(sched_request *r, int index, const sched_params *p, err *e)
{
    sched_choice *c = &r->choice[index];
    samp_params sampling = p->samp;
    sampling.seed += (uint64_t)index;
    c->r = r;
    c->index = index;
    int rc = samp_new(&c->samp, r->s->x->model.params.vocab, &sampling, e);
    if (!rc && p->grammar)
        rc = gram_state_new(&c->grammar, p->grammar, e);
    if (rc)
        return rc;
    c->tokens = mem_alloc(MEM_OTHER, (r->n_prompt + r->max_tokens) * sizeof *c->tokens);
    buf_init(&c->held);
    if (!c->tokens || !buf_reserve(&c->held, r->longest_stop + 512))  // 512: the longest tokens and more
        return err_set(e, ST_NOMEM, "no memory for a request of %zu tokens", r->n_prompt + r->max_tokens);
    if (atomic_load(&r->s->guesses) && r->n_choices == 1) {
        spec_options guess = {
            .memory = r->s->guessing, .lookup = true, .tokens = r->n_prompt + r->max_tokens};
        rc = spec_new(&c->spec, &guess, e);
        if (rc)
            return rc;
    }
    memcpy(c->tokens, p->prompt, r->n_prompt * sizeof *c->tokens);
    c->n_tokens = r->n_prompt;
    tok_stream_init(&c->stream, r->s->tok, r->special ? TOK_SPECIAL : 0);
    return ST_OK;
}

int sched_request_make(sched_request **out, sched *s, const sched_params *p, err *e)
{
    *out = NULL;
    int rc = check_params(s, p, e);
    if (rc)
        return rc;
    sched_request *r = mem_calloc(MEM_OTHER, 1, sizeof *r);
    if (!r)
        return err_set(e, ST_NOMEM, "no memory for a request");
    r->s = s;
    atomic_init(&r->refs, 1);
    r->n_prompt = p->n_prompt;
    r->max_tokens = MIN(p->max_tokens, (size_t)s->x->context - p->n_prompt);
    r->special = p->special;
    r->logprobs = p->logprobs;
    r->top = p->logprobs ? p->top : 0;
    r->client = p->client;
    r->event = p->event;
    r->ctx = p->ctx;
    r->submitted = os_seconds();
    r->deadline = p->deadline > 0 ? r->submitted + p->deadline : 0;
    r->n_choices = p->choices;
    rc = count_pages(r, s, e);
    if (!rc)
        rc = make_stops(r, p, e);
    if (!rc && !(r->choice = mem_calloc(MEM_OTHER, (size_t)p->choices, sizeof *r->choice)))
        rc = err_set(e, ST_NOMEM, "no memory for %d choices", p->choices);
    for (int i = 0; !rc && i < p->choices; i++)
        rc = make_choice(r, i, p, e);
    if (rc) {
        sched_request_unref(r);
        return rc;
    }
    *out = r;
    return ST_OK;
}

void sched_request_unref(sched_request *r)
{
    if (atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    for (int i = 0; r->choice && i < r->n_choices; i++) {
        samp_free(r->choice[i].samp);
        spec_free(r->choice[i].spec);
        gram_state_free(r->choice[i].grammar);
        mem_free(r->choice[i].tokens);
        buf_done(&r->choice[i].held);
    }
    for (int i = 0; i < r->n_stops; i++)
        mem_free(r->stop[i]);
    mem_free(r->choice);
    mem_free(r);
}

// Choosing tokens: one, one for each of several sessions, a whole answer, or the probability of a given text.
#include <math.h>
#include <string.h>

#include "api/own.h"

static int need_logits(const irori_session *s, err *e)
{
    if (s->logits)
        return ST_OK;
    return err_set(e, ST_INVALID,
                   "the session has no logits: add tokens first (also after a truncation or a stopped call)");
}

int irori_session_sample(irori_session *s, int32_t *id, float *logprob, irori_error *error)
{
    int rc = need_logits(s, api_err(error));
    if (rc)
        return rc;
    const uint32_t *allowed;
    rc = api_grammar_mask(s, &allowed, api_err(error));
    if (rc)
        return rc;
    *id = samp_choose_in(s->samp, s->logits, allowed, s->tokens, s->count);
    if (logprob)
        *logprob = (float)samp_logprob_in(s->logits, api_vocab(s->m), allowed, *id);
    return ST_OK;
}

int irori_sessions_step(irori_session *const *sessions, const int32_t *ids, size_t n, irori_error *error)
{
    err *e = api_err(error);
    api_row rows[API_MAX_ROWS];
    if (n < 1 || n > API_MAX_ROWS || n > (size_t)sessions[0]->m->engine.outputs)
        return err_set(e, ST_INVALID, "%zu sessions in one step, allowed 1..%d", n,
                       n ? MIN(API_MAX_ROWS, sessions[0]->m->engine.outputs) : API_MAX_ROWS);
    irori_model *m = sessions[0]->m;
    for (size_t i = 0; i < n; i++) {
        if (sessions[i]->m != m)
            return err_set(e, ST_INVALID, "session %zu belongs to another model", i);
        for (size_t j = 0; j < i; j++)
            if (sessions[j] == sessions[i])
                return err_set(e, ST_INVALID, "session %zu is given twice", i);
        if (ids[i] < 0 || ids[i] >= api_vocab(m))
            return err_set(e, ST_INVALID, "token %zu is %d, allowed 0..%d", i, ids[i], api_vocab(m) - 1);
        if (sessions[i]->count >= (size_t)m->engine.context)
            return err_set(e, ST_LIMIT, "context is full: %zu tokens held, %d allowed; raise --ctx",
                           sessions[i]->count, m->engine.context);
        rows[i] = (api_row){sessions[i], &ids[i], 1, 1};
    }
    for (size_t i = 0; i < n; i++)
        atomic_store(&sessions[i]->cancel, false);
    // Every grammar takes its token before anything is run; when one does not, the others give theirs back.
    size_t taken = 0;
    int rc = ST_OK;
    for (; taken < n && !rc; taken++)
        rc = api_grammar_accept(sessions[taken], ids[taken], e);
    if (rc)
        taken--;
    const float *logits;
    if (!rc)
        rc = api_run(m, rows, n, &logits, e);
    for (size_t i = 0; i < taken && rc; i++)
        api_grammar_take_back(sessions[i], 1);
    return rc;
}

int irori_session_add_each(irori_session *s, const int32_t *ids, size_t count, size_t first,
                           irori_logits_fn *take, void *ctx, irori_error *error)
{
    err *e = api_err(error);
    atomic_store(&s->cancel, false);
    int rc = api_check_fits(s, ids, count, e);
    if (rc)
        return rc;
    size_t vocab = (size_t)api_vocab(s->m);
    for (size_t at = 0; at < count;) {
        bool wanted = at >= first;
        size_t n = wanted ? (size_t)s->m->engine.outputs : MIN(first - at, (size_t)s->m->engine.batch);
        n = MIN(n, count - at);
        // The logits after the last token are the session's, wanted or not.
        const float *logits;
        api_row row = {s, ids + at, (int)n, wanted ? (int)n : at + n == count};
        rc = api_run(s->m, &row, 1, &logits, e);
        if (rc)
            return rc;
        for (size_t i = 0; wanted && i < n; i++)
            take(ctx, at + i, logits + i * vocab);
        at += n;
    }
    api_grammar_restart(s);
    return ST_OK;
}

typedef struct scoring {
    const int32_t *ids;
    size_t count, first;
    int vocab;
    double *logprob;
} scoring;

// The logits after ids[i] give the probability of ids[i + 1].
static void score_next(void *ctx, size_t i, const float *logits)
{
    const scoring *w = ctx;
    if (i + 1 < w->count)
        w->logprob[i + 1 - w->first] = samp_logprob(logits, w->vocab, w->ids[i + 1]);
}

int irori_session_score(irori_session *s, const int32_t *ids, size_t count, size_t first, double *logprob,
                        irori_error *error)
{
    err *e = api_err(error);
    if (first == 0 && s->count == 0)
        return err_set(e, ST_INVALID,
                       "the first token of an empty session has no probability; first must be 1");
    if (first == 0 && count && need_logits(s, e))
        return ST_INVALID;
    int rc = api_check_fits(s, ids, count, e);
    if (rc)
        return rc;
    scoring w = {ids, count, first, api_vocab(s->m), logprob};
    if (first == 0 && count)
        logprob[0] = samp_logprob(s->logits, w.vocab, ids[0]);
    return irori_session_add_each(s, ids, count, first ? first - 1 : 0, score_next, &w, error);
}

// Gives the text that token `id` completes to the callback; false to stop.
static bool show(irori_session *s, tok_stream *stream, int32_t id, irori_piece_fn *piece, void *ctx)
{
    buf_clear(&s->text);
    if (id >= 0)
        tok_stream_feed(stream, id, &s->text);
    else
        tok_stream_end(stream, &s->text);
    if (!piece || (s->text.len == 0 && id < 0))
        return true;
    return piece(ctx, id, s->text.len ? s->text.data : "", s->text.len);
}

// One answer in the making.
typedef struct answer {
    irori_session *s;
    irori_piece_fn *piece;
    void *ctx;
    tok_stream stream;
    size_t max_tokens;
    irori_generation g;
    double first, last;  // when tokens were chosen
    bool stop;           // the callback wants no more
} answer;

// Takes a chosen token: counts, shows, and keeps it for the next run.
static int take_token(answer *a, int32_t id, err *e)
{
    irori_session *s = a->s;
    int rc = api_grammar_accept(s, id, e);
    if (rc)
        return rc;
    if (tok_ids_add(&s->next, &id, 1)) {
        api_grammar_take_back(s, 1);
        return err_set(e, ST_NOMEM, "no memory for the tokens of an answer");
    }
    a->last = os_seconds();
    if (a->g.completion_tokens++ == 0)
        a->first = a->last;
    bool end = tok_is_eog(s->m->tok, id);
    a->stop = !end && !show(s, &a->stream, id, a->piece, a->ctx);
    if (end || a->stop)
        a->g.finish = IRORI_FINISH_STOP;
    return s->text.failed ? err_set(e, ST_NOMEM, "no memory for the text of a token") : ST_OK;
}

// Chooses a token, and takes those that its grammar then forces: they are run in one pass.
static int choose(answer *a, err *e)
{
    irori_session *s = a->s;
    const uint32_t *allowed;
    s->next.count = 0;
    int rc = api_grammar_mask(s, &allowed, e);
    if (rc)
        return rc;
    rc = take_token(a, samp_choose_in(s->samp, s->logits, allowed, s->tokens, s->count), e);
    if (rc || a->g.finish != IRORI_FINISH_LENGTH)
        return rc;
    size_t held = s->count + s->next.count, context = (size_t)s->m->engine.context;
    size_t room = MIN(a->max_tokens - a->g.completion_tokens, context > held ? context - held : 0);
    tok_ids forced = {0};
    rc = api_grammar_forced(s, &forced, MIN(room, (size_t)s->m->engine.batch - 1), e);
    for (size_t i = 0; i < forced.count && !rc && a->g.finish == IRORI_FINISH_LENGTH; i++)
        rc = take_token(a, forced.data[i], e);
    tok_ids_done(&forced);
    return rc;
}

// Chooses and runs until the answer ends.
static int answer_run(answer *a, err *e)
{
    irori_session *s = a->s;
    while (a->g.completion_tokens < a->max_tokens && a->g.finish == IRORI_FINISH_LENGTH) {
        int rc = choose(a, e);
        if (rc || s->count >= (size_t)s->m->engine.context) {
            api_grammar_take_back(s, s->next.count);
            return rc;  // a full context: the token was chosen and shown, but there is no room to run it
        }
        rc = api_advance(s, s->next.data, s->next.count, a->max_tokens - a->g.completion_tokens, e);
        if (rc)
            api_grammar_take_back(s, s->next.count);
        if (rc == ST_CANCELED) {
            a->g.finish = IRORI_FINISH_CANCELED;
            return ST_OK;
        }
        if (rc)
            return rc;
    }
    return ST_OK;
}

int irori_session_generate(irori_session *s, size_t max_tokens, irori_piece_fn *piece, void *ctx,
                           irori_generation *out, irori_error *error)
{
    err *e = api_err(error);
    int rc = need_logits(s, e);
    if (rc)
        return rc;
    answer a = {.s = s,
                .piece = piece,
                .ctx = ctx,
                .max_tokens = max_tokens,
                .g = {.finish = IRORI_FINISH_LENGTH,
                      .prompt_tokens = s->prompt_tokens,
                      .cached_tokens = s->cached_tokens,
                      .prompt_seconds = s->prompt_seconds}};
    double started = s->prompt_tokens ? s->prompt_started : os_seconds();
    a.first = a.last = started;
    atomic_store(&s->cancel, false);
    tok_stream_init(&a.stream, s->m->tok, 0);
    rc = answer_run(&a, e);
    api_settle(s);
    if (!a.stop)
        show(s, &a.stream, -1, piece, ctx);
    s->prompt_tokens = s->cached_tokens = 0;
    a.g.first_token_seconds = a.first - started;
    a.g.decode_seconds = a.last - a.first;
    if (out)
        *out = a.g;
    return rc;
}

// Speculation of a session: guessed tokens are run behind chosen ones; those that are chosen next need no run.
#include <string.h>

#include "api/own.h"

// Whether the tokens of both models mean the same bytes, as far as both have them. *common: so many.
static int same_vocabulary(const irori_model *m, const irori_model *draft, int *common, err *e)
{
    *common = MIN(api_vocab(m), api_vocab(draft));
    for (int32_t id = 0; id < *common; id++) {
        size_t n, k;
        const char *a = tok_piece(m->tok, id, TOK_SPECIAL, &n),
                   *b = tok_piece(draft->tok, id, TOK_SPECIAL, &k);
        if (a && b && (n != k || memcmp(a, b, n) != 0))
            return err_set(
                e, ST_UNSUPPORTED,
                "the draft model %s has another vocabulary: token %d is \"%.*s\" there, \"%.*s\" in %s",
                gguf_path(draft->file), id, (int)MIN(k, (size_t)32), b, (int)MIN(n, (size_t)32), a,
                gguf_path(m->file));
    }
    return ST_OK;
}

int irori_session_set_speculation(irori_session *s, const irori_speculation *o, irori_error *error)
{
    err *e = api_err(error);
    spec *fresh = NULL;
    if (o) {
        int rc = s->m->guessing ? ST_OK : spec_memory_new(&s->m->guessing, e);
        spec_options p = {.memory = s->m->guessing,
                          .lookup = o->lookup,
                          .tokens = (size_t)s->m->engine.context,
                          .propose = o->propose,
                          .propose_ctx = o->propose_ctx,
                          .most = o->most,
                          .always = o->always};
        if (o->draft == s->m)
            return err_set(e, ST_INVALID, "a model cannot draft for itself; open a smaller one");
        if (!rc && o->draft) {
            rc = api_need_engine(o->draft, e);
            if (!rc)
                rc = same_vocabulary(s->m, o->draft, &p.draft_vocab, e);
            p.draft = &o->draft->engine;
        }
        if (!rc)
            rc = spec_new(&fresh, &p, e);
        if (rc)
            return rc;
    }
    api_settle(s);
    spec_free(s->spec);
    s->spec = fresh;
    return ST_OK;
}

void api_settle(irori_session *s)
{
    if (s->n_ahead > s->at_ahead)
        kv_seq_truncate(s->seq, (int)s->count);
    s->n_ahead = s->at_ahead = 0;
}

// Takes over those of ids[n] that were guessed and run; the number.
static size_t take_ahead(irori_session *s, const int32_t *ids, size_t n)
{
    size_t taken = 0;
    while (taken < n && s->at_ahead < s->n_ahead) {
        spec_chosen(s->spec, s->at_ahead, ids[taken]);
        if (ids[taken] != s->ahead[s->at_ahead])
            break;
        s->tokens[s->count++] = ids[taken++];
        s->logits = s->ahead_rows + (size_t)s->at_ahead++ * (size_t)api_vocab(s->m);
    }
    return taken;
}

int api_advance(irori_session *s, const int32_t *ids, size_t n, size_t room, err *e)
{
    const engine *x = &s->m->engine;
    size_t taken = 0;
    int guessed = 0;
    if (s->spec) {
        if (s->n_ahead == 0)
            spec_chosen(s->spec, 0, ids[0]);
        taken = take_ahead(s, ids, n);
        if (taken == n)
            return ST_OK;
        ids += taken;
        n -= taken;
        api_settle(s);
        size_t held = s->count + n, context = (size_t)x->context;
        int most = (int)MIN(MIN((size_t)SPEC_MOST, context - held),
                            MIN((size_t)x->batch - n, (size_t)x->outputs - 1));
        memcpy(s->tokens + s->count, ids, n * sizeof *ids);
        ids = s->tokens + s->count;
        guessed = spec_guess(s->spec, s->tokens, held, s->ahead, most, room);
        memcpy(s->tokens + held, s->ahead, (size_t)guessed * sizeof *s->ahead);
    }
    const float *logits;
    api_row row = {s, ids, (int)n + guessed, 1 + guessed};
    double began = os_seconds();
    int rc = api_run(s->m, &row, 1, &logits, e);
    if (rc && taken > 0) {
        s->count -= taken;
        kv_seq_truncate(s->seq, (int)s->count);
    }
    if (rc || !s->spec)
        return rc;
    spec_ran(s->spec, (int)n + guessed, os_seconds() - began);
    s->count -= (size_t)guessed;
    s->logits = logits;
    s->n_ahead = guessed;
    s->ahead_rows = logits + api_vocab(s->m);
    return ST_OK;
}

void irori_session_get_speculation(const irori_session *s, irori_speculation_stats *out)
{
    *out = (irori_speculation_stats){0};
    spec_stats st;
    if (!s->spec)
        return;
    spec_get_stats(s->spec, &st);
    *out = (irori_speculation_stats){.runs = st.runs,
                                     .guesses = st.guesses,
                                     .guessed_tokens = st.guessed,
                                     .accepted_tokens = st.accepted,
                                     .guess_seconds = st.guess_seconds,
                                     .saved_seconds = st.saved_seconds};
}

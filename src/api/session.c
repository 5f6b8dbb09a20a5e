// Sessions: tokens, their keys and values, and where the logits after the last one lie.
#include <math.h>
#include <string.h>

#include "api/own.h"

// Marks the tokens a DRY match does not cross: those with a line end, colon, quote or star in them.
int api_need_breakers(irori_model *m, err *e)
{
    if (m->breaker)
        return ST_OK;
    int vocab = api_vocab(m);
    m->breaker = mem_calloc(MEM_SAMPLER, (size_t)vocab, 1);
    if (!m->breaker)
        return err_set(e, ST_NOMEM, "no memory for the sampler");
    for (int id = 0; id < vocab; id++) {
        size_t n;
        const char *s = tok_piece(m->tok, id, TOK_SPECIAL, &n);
        for (size_t i = 0; i < n; i++)
            if (strchr("\n:\"*", s[i]) && s[i])
                m->breaker[id] = 1;
    }
    return ST_OK;
}

int api_sampling(irori_model *m, const irori_sampling *o, samp_params *out, err *e)
{
    samp_params p = samp_greedy();
    *out = p;
    if (!o) {
        out->temperature = 0.8f;
        out->top_k = 40;
        out->top_p = 0.95f;
        out->min_p = 0.05f;
        out->seed = os_random_seed();
        return ST_OK;
    }
    int rc = o->dry_multiplier != 0 ? api_need_breakers(m, e) : ST_OK;
    if (rc)
        return rc;
    p.temperature = o->temperature;
    p.top_k = o->top_k;
    p.min_p = o->min_p;
    p.frequency_penalty = o->frequency_penalty;
    p.presence_penalty = o->presence_penalty;
    p.dry_multiplier = o->dry_multiplier;
    p.dry_window = o->dry_window;
    // Fields whose 0 means the default:
    p.top_p = o->top_p != 0 ? o->top_p : 1;
    p.typical_p = o->typical_p != 0 ? o->typical_p : 1;
    p.repeat_penalty = o->repeat_penalty != 0 ? o->repeat_penalty : 1;
    p.penalty_window = o->penalty_window != 0 ? o->penalty_window : p.penalty_window;
    p.dry_base = o->dry_base != 0 ? o->dry_base : p.dry_base;
    p.dry_allowed_length = o->dry_allowed_length != 0 ? o->dry_allowed_length : p.dry_allowed_length;
    p.seed = o->seed ? o->seed : os_random_seed();
    // One layout, two names: the public struct must not show the inner one.
    _Static_assert(sizeof(irori_logit_bias) == sizeof(samp_bias), "a logit bias is a samp_bias");
    p.bias = (const samp_bias *)(const void *)o->logit_bias;
    p.n_bias = o->logit_bias_count;
    p.breaker = m->breaker;
    *out = p;
    return ST_OK;
}

int irori_session_set_sampling(irori_session *s, const irori_sampling *sampling, irori_error *error)
{
    err *e = api_err(error);
    samp_params p;
    samp *fresh;
    int rc = api_sampling(s->m, sampling, &p, e);
    if (!rc)
        rc = samp_new(&fresh, api_vocab(s->m), &p, e);
    if (rc)
        return rc;
    samp_free(s->samp);
    s->samp = fresh;
    return ST_OK;
}

// A session without sequence and sampler.
static int session_alloc(irori_session **out, irori_model *m, err *e)
{
    *out = NULL;
    irori_session *s = mem_calloc(MEM_OTHER, 1, sizeof *s);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for a session");
    s->m = m;
    s->tokens = mem_calloc(MEM_OTHER, (size_t)m->engine.context, sizeof *s->tokens);
    // The list of next tokens has its memory from the start: decoding takes none.
    if (!s->tokens || tok_ids_add(&s->next, &(int32_t){0}, 1)) {
        mem_free(s->tokens);
        mem_free(s);
        return err_set(e, ST_NOMEM, "no memory for a session of %d tokens", m->engine.context);
    }
    *out = s;
    return ST_OK;
}

int irori_session_new(irori_session **out, irori_model *m, const irori_sampling *sampling, irori_error *error)
{
    err *e = api_err(error);
    irori_session *s = NULL;
    *out = NULL;
    int rc = api_need_text(m, e);
    if (!rc)
        rc = session_alloc(&s, m, e);
    if (!rc)
        rc = kv_seq_new(m->engine.kv, &s->seq, e);
    if (!rc)
        rc = irori_session_set_sampling(s, sampling, error);
    if (rc) {
        irori_session_free(s);
        return rc;
    }
    *out = s;
    return ST_OK;
}

// Copies the logits out of the engine's buffer, where the next run will overwrite them.
static int keep_logits(irori_session *s, err *e)
{
    size_t n = (size_t)api_vocab(s->m);
    if (!s->kept && !(s->kept = mem_alloc(MEM_BUFFERS, n * sizeof *s->kept)))
        return err_set(e, ST_NOMEM, "no memory to keep the logits of a session");
    memcpy(s->kept, s->logits, n * sizeof *s->kept);
    s->logits = s->kept;
    return ST_OK;
}

static void live_remove(irori_session *s)
{
    for (irori_session **at = &s->m->live; *at; at = &(*at)->next_live)
        if (*at == s) {
            *at = s->next_live;
            break;
        }
    s->is_live = false;
}

static void drop_logits(irori_session *s)
{
    s->logits = NULL;
    if (s->is_live)
        live_remove(s);
}

int irori_session_fork(irori_session **out, const irori_session *s, irori_error *error)
{
    err *e = api_err(error);
    irori_session *f = NULL;
    *out = NULL;
    int rc = session_alloc(&f, s->m, e);
    if (!rc)
        rc = kv_seq_fork(s->seq, &f->seq, e);
    if (!rc)
        rc = samp_clone(s->samp, &f->samp, e);
    if (!rc)
        kv_seq_truncate(f->seq, (int)s->count);  // s may be ahead
    if (!rc && s->logits) {
        f->logits = s->logits;
        rc = keep_logits(f, e);
    }
    if (!rc && s->grammar)
        rc = gram_state_fork(&f->grammar, s->grammar, e);
    if (!rc && s->grammar)
        rc = api_grammar_room(f, e);
    if (rc) {
        irori_session_free(f);
        return rc;
    }
    memcpy(f->tokens, s->tokens, s->count * sizeof *s->tokens);
    f->count = s->count;
    f->grammar_from = s->grammar_from;
    *out = f;
    return ST_OK;
}

void irori_session_free(irori_session *s)
{
    if (!s)
        return;
    if (s->is_live)
        live_remove(s);
    kv_seq_free(s->seq);
    spec_free(s->spec);
    samp_free(s->samp);
    gram_state_free(s->grammar);
    tok_ids_done(&s->next);
    mem_free(s->mask);
    buf_done(&s->text);
    mem_free(s->kept);
    mem_free(s->tokens);
    mem_free(s);
}

typedef struct running {
    const api_row *rows;
    size_t n;
} running;

// Whether somebody asked one of the running sessions to stop.
static bool canceled(void *ctx)
{
    const running *r = ctx;
    for (size_t i = 0; i < r->n; i++) {
        const irori_session *s = r->rows[i].s;
        if (atomic_load_explicit(&s->cancel, memory_order_relaxed) ||
            (s->until > 0 && os_seconds() > s->until))
            return true;
    }
    return false;
}

// Sessions that do not take part in a run save their logits from it.
int api_keep_logits(irori_model *m, err *e)
{
    while (m->live) {
        irori_session *s = m->live;
        int rc = s->logits ? keep_logits(s, e) : ST_OK;
        if (rc)
            return rc;
        api_settle(s);
        live_remove(s);
    }
    return ST_OK;
}

int api_run(irori_model *m, const api_row *rows, size_t n, const float **logits, err *e)
{
    engine_row row[API_MAX_ROWS];
    running run = {rows, n};
    for (size_t i = 0; i < n; i++) {  // while a failure still leaves every session as it was
        api_settle(rows[i].s);
        int rc = kv_seq_reserve(rows[i].s->seq, rows[i].n, e);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < n; i++) {
        row[i] = (engine_row){rows[i].s->seq, rows[i].ids, rows[i].n, rows[i].outputs};
        rows[i].s->logits = NULL;  // they will be replaced, or belong to a past that is over
        if (rows[i].s->is_live)
            live_remove(rows[i].s);
    }
    int rc = api_keep_logits(m, e);
    if (!rc)
        rc = engine_step(&m->engine, row, (int)n, logits, canceled, &run, e);
    if (rc)
        return rc;
    const float *at = *logits;
    for (size_t i = 0; i < n; i++) {
        irori_session *s = rows[i].s;
        memmove(s->tokens + s->count, rows[i].ids, (size_t)rows[i].n * sizeof *s->tokens);
        s->count += (size_t)rows[i].n;
        at += (size_t)rows[i].outputs * (size_t)api_vocab(m);
        if (rows[i].outputs == 0)
            continue;
        s->logits = at - api_vocab(m);
        s->is_live = true;
        s->next_live = m->live;
        m->live = s;
    }
    return ST_OK;
}

static int check_ids(const irori_session *s, const int32_t *ids, size_t count, err *e)
{
    int vocab = api_vocab(s->m), context = s->m->engine.context;
    if (count > (size_t)context - s->count)
        return err_set(e, ST_LIMIT,
                       "context is full: %zu tokens held, %zu more asked, %d allowed; raise --ctx", s->count,
                       count, context);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return err_set(e, ST_INVALID, "token %zu is %d, allowed 0..%d", i, ids[i], vocab - 1);
    return ST_OK;
}

int api_check_fits(irori_session *s, const int32_t *ids, size_t count, err *e)
{
    int rc = check_ids(s, ids, count, e);
    return rc ? rc : kv_seq_reserve(s->seq, (int)count, e);
}

// Starts from the pages that earlier prompts left, all but the last token at most: its logits are needed. *known: the
// tokens that need not be run.
static int take_prefix(irori_session *s, const int32_t *ids, size_t count, size_t *known, err *e)
{
    api_settle(s);
    int n = count ? kv_seq_match(s->seq, ids, (int)count - 1, e) : 0;
    *known = 0;
    if (n < 0)
        return n;
    if (count)
        n += api_load_prompt(s, ids + n, count - 1 - (size_t)n);
    if (n > 0) {
        memcpy(s->tokens + s->count, ids, (size_t)n * sizeof *ids);
        s->count += (size_t)n;
        drop_logits(s);
        *known = (size_t)n;
    }
    s->cached_tokens += *known;
    s->prompt_tokens += *known;
    return ST_OK;
}

// Before tokens are added: a turn begins with its first.
static int begin_add(irori_session *s, const int32_t *ids, size_t count, size_t *known, err *e)
{
    atomic_store(&s->cancel, false);
    if (s->prompt_tokens == 0)
        s->prompt_started = os_seconds();
    *known = 0;
    int rc = check_ids(s, ids, count, e);
    return rc ? rc : take_prefix(s, ids, count, known, e);
}

int irori_session_add_known(irori_session *s, const int32_t *ids, size_t count, size_t *known,
                            irori_error *error)
{
    int rc = begin_add(s, ids, count, known, api_err(error));
    if (*known > 0)
        api_grammar_restart(s);
    s->prompt_seconds = os_seconds() - s->prompt_started;
    return rc;
}

int irori_session_add(irori_session *s, const int32_t *ids, size_t count, irori_error *error)
{
    err *e = api_err(error);
    size_t batch = (size_t)s->m->engine.batch, known, start = s->count;
    int rc = begin_add(s, ids, count, &known, e);
    if (!rc)
        rc = kv_seq_reserve(s->seq, (int)(count - known), e);
    for (size_t at = known; !rc && at < count; at += batch) {
        int n = (int)MIN(batch, count - at);
        const float *logits;
        api_row row = {s, ids + at, n, at + (size_t)n == count};
        rc = api_run(s->m, &row, 1, &logits, e);
        if (!rc)
            s->prompt_tokens += (size_t)n;
    }
    api_save_prompt(s, start);
    api_grammar_restart(s);
    s->prompt_seconds = os_seconds() - s->prompt_started;
    return rc;
}

int irori_session_add_text(irori_session *s, const char *text, size_t bytes, unsigned flags,
                           irori_error *error)
{
    int32_t *ids;
    size_t count;
    int rc = irori_tokenize(s->m, text, bytes, flags, &ids, &count, error);
    if (rc)
        return rc;
    rc = irori_session_add(s, ids, count, error);
    irori_free(ids);
    return rc;
}

int irori_session_add_chat(irori_session *s, const char *messages, const char *tools, const char *variables,
                           irori_error *error)
{
    int32_t *ids;
    size_t count, same = 0;
    int rc = irori_chat_tokens(s->m, messages, tools, variables, true, &ids, &count, error);
    if (rc)
        return rc;
    while (same + 1 < count && same < s->count && s->tokens[same] == ids[same])
        same++;  // at least one token is run again: its logits are needed
    rc = irori_session_truncate(s, same, error);
    if (!rc)
        rc = irori_session_add(s, ids + same, count - same, error);
    irori_free(ids);
    return rc;
}

// Runs tokens that the session had up to `count`; its sequence holds fewer.
static int run_again(irori_session *s, size_t count, irori_error *error)
{
    int rc = ST_OK;
    while (!rc && s->count < count) {
        const float *logits;
        int n = (int)MIN(count - s->count, (size_t)s->m->engine.batch);
        api_row row = {s, s->tokens + s->count, n, 0};
        rc = api_run(s->m, &row, 1, &logits, api_err(error));
    }
    if (rc)
        api_grammar_restart(s);
    return rc;
}

int irori_session_truncate(irori_session *s, size_t count, irori_error *error)
{
    if (count > s->count)
        return err_set(api_err(error), ST_INVALID, "cannot keep %zu tokens of %zu", count, s->count);
    api_settle(s);
    if (count == s->count)
        return ST_OK;
    int kept = kv_seq_truncate(s->seq, (int)count);
    api_grammar_truncate(s, count);
    s->count = (size_t)kept;
    drop_logits(s);
    // The rest of a page that lost precision for good is run again.
    return run_again(s, count, error);
}

int irori_session_set_kv(irori_session *s, const char *policy, const char *budget, irori_error *error)
{
    kv_policy p;
    const enum kv_mode old = kv_seq_policy(s->seq)->mode;
    int rc = kv_policy_parse(&p, policy, budget, api_err(error));
    if (!rc)
        rc = kv_seq_set_policy(s->seq, &p, api_err(error));
    if (rc)
        return rc;
    kv_adapt(s->m->engine.kv, -1);
    if (p.kind != KV_F16 || old != KV_RECOMPUTE)
        return ST_OK;
    api_settle(s);
    const size_t count = s->count, lost = (size_t)kv_seq_lost(s->seq);
    if (lost >= count)
        return ST_OK;
    s->count = (size_t)kv_seq_truncate(s->seq, (int)lost);
    drop_logits(s);
    return run_again(s, count, error);
}

const int32_t *irori_session_tokens(const irori_session *s, size_t *count)
{
    *count = s->count;
    return s->tokens;
}

const float *irori_session_logits(const irori_session *s)
{
    return s->logits;
}

void irori_session_cancel(irori_session *s)
{
    atomic_store(&s->cancel, true);
}

// Candidates: a talk is a session that always ends where the person's reply would begin.
#include <string.h>

#include "api/own.h"
#include "cand/cand.h"

struct irori_talk {
    const cand_profile *profile;
    irori_session *s;  // NULL: no model
    cand_ahead *ahead;
    int32_t *ids;  // what the session is to hold: the conversation up to where a reply begins
    size_t n_ids;
    buf messages;  // JSON array of the conversation
    char *heard;   // what was said to the person last
    cand_cache cache;
    cand_reply last[CAND_MOST];  // of the last round
    int n_last;
};

// The public name stands for the inner type.
static cand_profile *inner(const irori_profile *p)
{
    return (cand_profile *)(void *)(uintptr_t)p;
}

int irori_profile_new(irori_profile **out, const char *json, size_t bytes, irori_error *error)
{
    cand_profile *p;
    int rc = cand_profile_new(&p, json, bytes, api_err(error));
    *out = (irori_profile *)(void *)p;
    return rc;
}

void irori_profile_free(irori_profile *p)
{
    cand_profile_free(inner(p));
}

static void add_message(buf *messages, const char *role, const char *text)
{
    if (messages->len)
        messages->data[messages->len - 1] = ',';  // reopen the array
    else
        buf_add_char(messages, '[');
    json_writer w;
    json_begin(&w, messages);
    json_obj(&w);
    json_key(&w, "role");
    json_str(&w, role);
    json_key(&w, "content");
    json_str(&w, text);
    json_end(&w);
    buf_add_char(messages, ']');
}

// The tokens the session is to hold from now on; what it shares with them stays.
static int plan(irori_talk *t, irori_error *error)
{
    if (t->messages.failed)
        return err_set(api_err(error), ST_NOMEM, "no memory for the conversation");
    irori_free(t->ids);
    t->ids = NULL;
    t->n_ids = 0;
    if (!t->s || !t->messages.len)
        return ST_OK;
    cand_ahead_reset(t->ahead);
    int rc = irori_chat_tokens(t->s->m, t->messages.data, NULL, NULL, true, &t->ids, &t->n_ids, error);
    size_t same = 0;
    while (same + 1 < t->n_ids && same < t->s->count && t->s->tokens[same] == t->ids[same])
        same++;  // at least one token is run again: its logits are needed
    int cut = irori_session_truncate(t->s, same, error);
    if (!rc && !cut && t->n_ids > (size_t)t->s->m->engine.context)
        rc = err_set(api_err(error), ST_LIMIT, "the conversation is %zu tokens, %d allowed; raise --ctx",
                     t->n_ids, t->s->m->engine.context);
    if (rc || cut) {
        irori_free(t->ids);
        t->ids = NULL;
        t->n_ids = 0;
    }
    return rc ? rc : cut;
}

static bool all_run(const irori_talk *t)
{
    return t->ids && t->s->count == t->n_ids && irori_session_logits(t->s);
}

// Runs the next `most` tokens of the conversation; 0: all.
static int run_some(irori_talk *t, size_t most, irori_error *error)
{
    const int32_t *ids = t->ids + t->s->count;
    size_t n = t->n_ids - t->s->count, known;
    int rc = irori_session_add_known(t->s, ids, n, &known, error);
    n -= known;
    return rc ? rc : irori_session_add(t->s, ids + known, most ? MIN(most, n) : n, error);
}

int irori_talk_run(irori_talk *t, size_t most, size_t *left, irori_error *error)
{
    int axes[CAND_AXES], rc = ST_OK;
    *left = 0;
    if (!t->ids)
        return ST_OK;
    if (!all_run(t)) {
        rc = run_some(t, most, error);
        // The tags come with the next call.
        *left = t->n_ids - t->s->count + (most > 0);
        if (rc || *left)
            return rc;
    }
    for (int i = 0; i < t->profile->n_axes; i++)
        axes[i] = i;
    // Without room for all tags a round runs those it needs.
    if (!api_keep_logits(t->s->m, NULL))
        cand_ahead_run(t->ahead, t->s->seq, axes, t->profile->n_axes, NULL, NULL, NULL);
    return ST_OK;
}

// Runs what is left before the deadline. False: there is no model, or it was not ready in time.
static bool catch_up(irori_talk *t, double deadline, err *why)
{
    int rc = ST_OK;
    if (!t->ids)
        return false;
    t->s->until = deadline;
    if (!all_run(t))
        rc = run_some(t, 0, (irori_error *)(void *)why);
    t->s->until = 0;
    if (!rc)
        rc = api_keep_logits(t->s->m, why);
    if (rc == ST_CANCELED)
        err_set(why, rc, "what was said last was not read within the budget");
    return !rc;
}

int irori_talk_new(irori_talk **out, irori_model *m, const irori_profile *p, irori_error *error)
{
    *out = NULL;
    irori_talk *t = mem_calloc(MEM_OTHER, 1, sizeof *t);
    if (!t)
        return err_set(api_err(error), ST_NOMEM, "no memory for a talk");
    t->profile = inner(p);
    buf_init(&t->messages);
    int rc = m ? irori_session_new(&t->s, m, NULL, error) : ST_OK;
    if (m && !rc)
        rc = cand_ahead_new(&t->ahead, &m->engine, m->tok, t->profile, api_err(error));
    if (!rc && *t->profile->about) {
        add_message(&t->messages, "system", t->profile->about);
        if (t->messages.failed)
            rc = err_set(api_err(error), ST_NOMEM, "no memory for the profile");
        else
            plan(t, NULL);  // some templates want a first question; the profile is read with it then
    }
    if (rc) {
        irori_talk_free(t);
        return rc;
    }
    *out = t;
    return ST_OK;
}

void irori_talk_free(irori_talk *t)
{
    if (!t)
        return;
    cand_ahead_free(t->ahead);
    irori_session_free(t->s);
    irori_free(t->ids);
    buf_done(&t->messages);
    cand_cache_done(&t->cache);
    mem_free(t->heard);
    mem_free(t);
}

int irori_talk_note(irori_talk *t, bool me, const char *text, irori_error *error)
{
    if (!me) {
        char *heard = mem_strndup(MEM_OTHER, text, strlen(text));
        if (!heard)
            return err_set(api_err(error), ST_NOMEM, "no memory for what was said");
        mem_free(t->heard);
        t->heard = heard;
    }
    add_message(&t->messages, me ? "assistant" : "user", text);
    return plan(t, error);
}

int irori_talk_append(irori_talk *t, bool me, const char *text, irori_error *error)
{
    size_t left;
    int rc = irori_talk_note(t, me, text, error);
    return rc ? rc : irori_talk_run(t, 0, &left, error);
}

static const char *source_name(cand_source s)
{
    static const char *const names[] = {"model", "cache", "scene", "default"};
    return names[s];
}

static irori_candidate shown(const irori_talk *t, const cand_reply *r)
{
    return (irori_candidate){r->text, t->profile->axes[r->axis].id, source_name(r->source), r->seconds * 1e3};
}

typedef struct teller {
    const irori_talk *t;
    const irori_round *r;
} teller;

static void tell(void *ctx, int index, const cand_reply *reply, bool final)
{
    const teller *x = ctx;
    irori_candidate c = shown(x->t, reply);
    x->r->event(x->r->ctx, index, &c, final);
}

// Fills in defaults and finds the axes. axes and avoid_axes have room for all.
static int check(const irori_talk *t, const irori_round *r, cand_round *c, int *axes, err *e)
{
    if (c->n < 1 || c->n > CAND_MOST)
        return err_set(e, ST_INVALID, "%d replies asked, allowed 1..%d", c->n, CAND_MOST);
    if (c->max_tokens < 1 || c->max_tokens > CAND_MOST_TOKENS)
        return err_set(e, ST_INVALID, "replies of %d tokens asked, allowed 1..%d", c->max_tokens,
                       CAND_MOST_TOKENS);
    if (c->tries < 1 || c->tries > 8)
        return err_set(e, ST_INVALID, "%d tries asked, allowed 1..8", c->tries);
    if (!(r->budget_ms >= 0 && r->budget_ms <= 3.6e6))
        return err_set(e, ST_INVALID, "budget of %g ms, allowed 0 (200) to an hour", r->budget_ms);
    if (!(c->temperature >= 0 && c->temperature <= 100))
        return err_set(e, ST_INVALID, "temperature is %g, allowed 0..100", (double)c->temperature);
    if (r->axes_count > CAND_AXES)
        return err_set(e, ST_INVALID, "%zu axes asked, allowed up to %d", r->axes_count, CAND_AXES);
    for (size_t i = 0; i < r->axes_count; i++) {
        axes[i] = cand_axis_find(t->profile, r->axes[i]);
        if (axes[i] < 0)
            return err_set(e, ST_INVALID, "axis \"%.40s\" is none of the profile's", r->axes[i]);
    }
    c->axes = r->axes_count ? axes : NULL;
    c->n_axes = (int)r->axes_count;
    return ST_OK;
}

// The axes of replies of the last round that are to be avoided.
static void find_avoided(const irori_talk *t, const irori_round *r, int *axes)
{
    for (size_t i = 0; i < r->avoid_count; i++) {
        axes[i] = -1;
        for (int j = 0; j < t->n_last; j++)
            if (strcmp(t->last[j].text, r->avoid[i]) == 0)
                axes[i] = t->last[j].axis;
    }
}

int irori_talk_round(irori_talk *t, const irori_round *r, irori_candidate *out, int *count,
                     irori_error *error)
{
    static const irori_round usual = {0};
    double now = os_seconds();
    int axes[CAND_AXES], *avoid_axes;
    r = r ? r : &usual;
    double budget = r->budget_ms > 0 ? r->budget_ms : 200;
    *count = 0;
    teller told = {t, r};
    cand_round c = {.profile = t->profile,
                    .cache = &t->cache,
                    .heard = t->heard ? t->heard : "",
                    .n = r->n ? r->n : 4,
                    .max_tokens = r->max_tokens ? r->max_tokens : 16,
                    .started = now,
                    .deadline = now + (budget - MIN(2, budget / 10)) /
                                          1e3,  // judging and fall-backs come behind it
                    .avoid = r->avoid,
                    .n_avoid = r->avoid_count,
                    .temperature = r->temperature != 0 ? r->temperature : .7f,
                    .seed = r->seed ? r->seed : os_random_seed(),
                    .tries = r->tries ? r->tries : 3,
                    .event = r->event ? tell : NULL,
                    .ctx = &told};
    err why = {0};
    int rc = check(t, r, &c, axes, api_err(error));
    if (rc)
        return rc;
    avoid_axes = mem_calloc(MEM_OTHER, r->avoid_count + 1, sizeof *avoid_axes);
    if (!avoid_axes)
        return err_set(api_err(error), ST_NOMEM, "no memory for a round");
    find_avoided(t, r, avoid_axes);
    c.avoid_axes = avoid_axes;
    bool ready = !r->no_model && catch_up(t, c.deadline, &why);
    t->n_last = cand_round_run(&c, t->ahead, ready ? t->s->seq : NULL, t->last, &why);
    mem_free(avoid_axes);
    for (int i = 0; i < t->n_last; i++)
        out[i] = shown(t, &t->last[i]);
    *count = t->n_last;
    if (error) {
        *api_err(error) = why;
        error->code = IRORI_OK;
    }
    return ST_OK;
}

int irori_talk_choose(irori_talk *t, int index, irori_error *error)
{
    if (index < 0 || index >= t->n_last)
        return err_set(api_err(error), ST_INVALID, "reply %d chosen, the last round had %d", index,
                       t->n_last);
    const cand_reply *r = &t->last[index];
    if (cand_cache_add(&t->cache, t->heard ? t->heard : "", r->axis, r->text))
        return err_set(api_err(error), ST_NOMEM, "no memory to remember a choice");
    return irori_talk_append(t, true, r->text, error);
}

void irori_talk_stop(irori_talk *t)
{
    if (t->s)
        irori_session_cancel(t->s);
}

size_t irori_talk_tokens(const irori_talk *t, size_t *with_rows)
{
    // Each axis has a page of its own for its tag, and each row of a round may begin two more.
    size_t pages = (t->n_ids + DEV_PAGE - 1) / DEV_PAGE + 2 * (size_t)(t->profile->n_axes + CAND_MOST);
    *with_rows = pages * DEV_PAGE;
    return t->n_ids;
}

int irori_talk_remember(irori_talk *t, const char *heard, const char *axis, const char *text,
                        irori_error *error)
{
    int a = cand_axis_find(t->profile, axis);
    if (a < 0)
        return err_set(api_err(error), ST_INVALID, "axis \"%.40s\" is none of the profile's", axis);
    if (strlen(text) >= sizeof t->last[0].text || strchr(text, '\n') || !*text)
        return err_set(api_err(error), ST_INVALID, "a reply is one line of up to %zu bytes",
                       sizeof t->last[0].text - 1);
    if (cand_cache_add(&t->cache, heard, a, text))
        return err_set(api_err(error), ST_NOMEM, "no memory to remember a choice");
    return ST_OK;
}

const char *irori_talk_heard(const irori_talk *t)
{
    return t->heard ? t->heard : "";
}

bool irori_reply_clean(const irori_profile *p, const char *axis, const char *text, char *out, size_t cap)
{
    return cand_clean(irori_profile_tag(p, axis), text, out, cap);
}

bool irori_replies_alike(const char *a, const char *b)
{
    return cand_alike(a, b);
}

const char *irori_profile_tag(const irori_profile *p, const char *axis)
{
    int a = cand_axis_find(inner(p), axis);
    return a < 0 ? "" : inner(p)->axes[a].tag;
}

const char *irori_profile_about(const irori_profile *p)
{
    return inner(p)->about;
}

const char *irori_profile_axis(const irori_profile *p, int i)
{
    return i >= 0 && i < inner(p)->n_axes ? inner(p)->axes[i].id : NULL;
}

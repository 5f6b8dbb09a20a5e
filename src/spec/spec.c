// The controller: whom to ask, how far to guess, and what was learnt from it.
#include "spec/spec.h"

#include <string.h>

#include "spec/own.h"

enum {
    PRIOR = 4,    // tries that the first estimate of a rate weighs
    AHEAD = 256,  // tokens of the rest of an answer that reading a prompt into the draft may count on
    CREDIT = 4,   // runs' worth of saved time that later guesses may lose again
};
static const double fade = .97;       // a try counts half after some twenty more
static const double most_lost = .01;  // of the time spent, by a source

// How often guesses come true before anything was counted, by level of evidence; measured with the demo pair.
static const double prior[SPEC_SOURCES][SPEC_LEVELS] = {
    [SPEC_LOOKUP] = {.3, .45, .55, .65, .75, .85, .9, .95},
    [SPEC_DRAFT] = {.15, .3, .5, .65, .8, .9, .95, .98},
    [SPEC_OUTSIDE] = {.6, .6, .6, .6, .6, .6, .6, .6},
};

static double rate_of(const spec *s, enum spec_source_kind source, int level)
{
    const spec_rate *r = &s->m->rate[source][level];
    return (r->right + PRIOR * prior[source][level]) / (r->tries + PRIOR);
}

static void learn(spec *s, enum spec_source_kind source, int level, bool right)
{
    spec_rate *r = &s->m->rate[source][level];
    r->right = r->right * fade + right;
    r->tries = r->tries * fade + 1;
}

// The rate over all levels, each as often as it occurred.
static double mean_rate(const spec *s, enum spec_source_kind source)
{
    double right = 0, tries = 0;
    for (int i = 0; i < SPEC_LEVELS; i++) {
        right += s->m->rate[source][i].right;
        tries += s->m->rate[source][i].tries;
    }
    return (right + PRIOR * prior[source][SPEC_LEVELS / 2]) / (tries + PRIOR);
}

int spec_memory_new(spec_memory **out, err *e)
{
    *out = mem_calloc(MEM_SAMPLER, 1, sizeof **out);
    return *out ? ST_OK : err_set(e, ST_NOMEM, "no memory for speculation");
}

void spec_memory_free(spec_memory *m)
{
    mem_free(m);
}

int spec_new(spec **out, const spec_options *o, err *e)
{
    *out = NULL;
    if (o->most < 0 || o->most > SPEC_MOST)
        return err_set(e, ST_INVALID, "guesses of %d tokens, allowed 1..%d", o->most, SPEC_MOST);
    spec *s = mem_calloc(MEM_SAMPLER, 1, sizeof *s);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for speculation");
    s->o = *o;
    s->o.most = o->most ? o->most : SPEC_MOST;
    s->shadow_level = -1;
    s->m = o->memory;
    int rc = ST_OK;
    if (!s->m) {
        rc = spec_memory_new(&s->own, e);
        s->m = s->own;
    }
    if (!rc && o->lookup && !spec_lookup_reserve(&s->lookup, o->tokens))
        rc = err_set(e, ST_NOMEM, "no memory for speculation over %zu tokens", o->tokens);
    if (!rc && o->draft)
        rc = spec_draft_init(&s->draft, o->draft, o->draft_vocab, s->m, e);
    if (rc) {
        spec_free(s);
        return rc;
    }
    *out = s;
    return ST_OK;
}

void spec_free(spec *s)
{
    if (!s)
        return;
    spec_lookup_done(&s->lookup);
    spec_draft_done(&s->draft);
    spec_memory_free(s->own);
    mem_free(s);
}

// Tokens a second by guessing the best number of tokens, at most n with rates p[n], each taking `each` seconds to
// guess; *length is that number, 0 when plain decoding is best.
static double best_length(const spec *s, const double *p, int n, double each, int *length)
{
    double best = 1 / spec_cost_of(&s->m->cost, 1), reach = 1, made = 1;
    *length = 0;
    for (int i = 1; i <= n; i++) {
        reach *= p[i - 1];
        made += reach;
        double speed = made / (spec_cost_of(&s->m->cost, 1 + i) + i * each);
        if (speed > best) {
            best = speed;
            *length = i;
        }
    }
    return best;
}

// Whether a source may guess: not while it has lost too much. The others go on.
static bool trusted(const spec *s, enum spec_source_kind source)
{
    return s->o.always || s->m->lost[source] <= most_lost * s->m->spent + spec_cost_of(&s->m->cost, 1);
}

// What lookup has to say: up to `limit` tokens into guess and level. Remembers the first for learning.
static int look_up(spec *s, const int32_t *history, size_t n, int limit, int32_t *guess, int *level)
{
    int match, count = 0;
    size_t at = spec_lookup_find(&s->lookup, history, n, &match);
    s->shadow_level = match ? spec_lookup_level(match) : -1;
    if (!match)
        return 0;
    s->shadow = history[at];
    for (; count < limit; count++) {  // past the end the guess goes on with itself: repetitions
        guess[count] = at + (size_t)count < n ? history[at + (size_t)count] : guess[at + (size_t)count - n];
        level[count] = spec_lookup_level(match + count);
    }
    return count;
}

// Seconds the draft will take to read what it lacks, as far as that is more than a step.
static double reading_seconds(const spec *s, const int32_t *history, size_t n)
{
    size_t missing = spec_draft_missing(&s->draft, history, n);
    double each = s->m->prompt_seconds > 0 ? s->m->prompt_seconds : spec_cost_of(&s->m->cost, 1) / 32;
    return missing < 32 ? 0 : (double)missing * each;
}

// Tokens a second that the draft promises; 0 when it cannot or should not be asked.
static double draft_promise(const spec *s, const int32_t *history, size_t n, int limit, size_t room)
{
    if (!s->o.draft || s->draft.broken || limit < 1)
        return 0;
    double rate = mean_rate(s, SPEC_DRAFT), p[SPEC_MOST], plain = 1 / spec_cost_of(&s->m->cost, 1);
    for (int i = 0; i < limit; i++)
        p[i] = rate;
    double each = s->m->token_seconds > 0 ? s->m->token_seconds : spec_cost_of(&s->m->cost, 1) / 4;
    int length;
    double speed = best_length(s, p, limit, each, &length);
    if (length == 0)
        return 0;
    double gain = (double)MIN(room, (size_t)AHEAD) * (1 / plain - 1 / speed);
    return gain > reading_seconds(s, history, n) ? speed : 0;
}

// Lets the draft guess until one more token promises nothing.
static int ask_draft(spec *s, const int32_t *history, size_t n, int limit, double *p)
{
    double reach = 1, made = 1, mean = mean_rate(s, SPEC_DRAFT);
    int count = 0;
    while (count < limit) {
        float probability;
        int32_t id = spec_draft_next(&s->draft, history, n, s->guess, count, &probability);
        if (id < 0)
            break;
        s->guess[count] = id;
        s->level[count] = spec_draft_level(probability);
        p[count] = rate_of(s, SPEC_DRAFT, s->level[count]);
        reach *= p[count++];
        made += reach;
        double each = s->m->token_seconds;
        double now = made / (spec_cost_of(&s->m->cost, 1 + count) + count * each);
        double then = (made + reach * mean) / (spec_cost_of(&s->m->cost, 2 + count) + (count + 1) * each);
        if (!s->o.always && (then < now || count == SPEC_MOST))
            break;
    }
    return count;
}

static int ask_outside(spec *s, const int32_t *history, size_t n, int limit, double *p)
{
    int count = s->o.propose(s->o.propose_ctx, history, n, s->guess, limit);
    count = MAX(0, MIN(count, limit));
    for (int i = 0; i < count; i++) {
        s->level[i] = 0;
        p[i] = rate_of(s, SPEC_OUTSIDE, 0);
    }
    return count;
}

// Fills s->guess from the source that promises most; *p gets the rates.
static int choose_source(spec *s, const int32_t *history, size_t n, int limit, size_t room, double *p)
{
    int found[SPEC_MOST], n_found = 0, length = 0;
    int32_t tokens[SPEC_MOST];
    double speed = 0;
    s->source = SPEC_LOOKUP;
    if (s->o.lookup) {
        n_found = look_up(s, history, n, limit, tokens, found);
        if (!trusted(s, SPEC_LOOKUP))  // it has learnt something from it all the same
            n_found = 0;
        for (int i = 0; i < n_found; i++)
            p[i] = rate_of(s, SPEC_LOOKUP, found[i]);
        speed = best_length(s, p, n_found, 0, &length);
    }
    if (s->o.propose) {
        s->source = SPEC_OUTSIDE;
        return trusted(s, SPEC_OUTSIDE) ? ask_outside(s, history, n, limit, p) : 0;
    }
    double promised = trusted(s, SPEC_DRAFT) ? draft_promise(s, history, n, limit, room) : 0;
    if (s->o.draft && (s->o.always || promised > (length ? speed : 0))) {
        int count = ask_draft(s, history, n, limit, p);
        if (count) {
            s->source = SPEC_DRAFT;
            return count;
        }
    }
    memcpy(s->guess, tokens, (size_t)n_found * sizeof *tokens);
    memcpy(s->level, found, (size_t)n_found * sizeof *found);
    return n_found;
}

// The last source lost time (negative: saved it) against plain runs.
static void account(spec *s, double seconds)
{
    double *lost = &s->m->lost[s->source];
    s->stats.saved_seconds -= seconds;
    *lost = MAX(*lost + seconds, -CREDIT * spec_cost_of(&s->m->cost, 1));
}

int spec_guess(spec *s, const int32_t *history, size_t n, int32_t *guess, int most, size_t room)
{
    double p[SPEC_MOST], began = os_seconds(), plain = spec_cost_of(&s->m->cost, 1);
    int limit = MIN(MIN(s->o.most, most), room > SPEC_MOST ? SPEC_MOST : (int)room - 1), length = 0;
    s->n_guess = s->n_right = 0;
    s->open = false;
    s->shadow_level = -1;
    // The first run of all is plain: what the others are compared with.
    if (limit < 1 || n == 0 || (plain == 0 && !s->o.always))
        return 0;
    int count = choose_source(s, history, n, limit, room, p);
    best_length(s, p, count, 0, &length);  // what guessing took is spent already
    s->n_guess = s->o.always ? count : length;
    s->seconds = os_seconds() - began;
    s->stats.guess_seconds += s->seconds;
    s->m->spent += s->seconds;
    s->open = s->n_guess > 0;
    if (!s->open)
        account(s, s->seconds);
    s->stats.guesses += s->open;
    s->stats.guessed += (uint64_t)s->n_guess;
    memcpy(guess, s->guess, (size_t)s->n_guess * sizeof *guess);
    return s->n_guess;
}

void spec_ran(spec *s, int rows, double seconds)
{
    spec_cost_learn(&s->m->cost, rows, seconds);
    s->stats.runs++;
    s->m->spent += seconds;
    s->run_rows = rows;
    s->run_seconds = seconds;
}

void spec_chosen(spec *s, int i, int32_t token)
{
    if (i == 0 && s->shadow_level >= 0 && !(s->open && s->source == SPEC_LOOKUP))
        learn(s, SPEC_LOOKUP, s->shadow_level, token == s->shadow);
    if (!s->open || i >= s->n_guess)
        return;
    bool right = token == s->guess[i];
    learn(s, s->source, s->level[i], right);
    s->n_right += right;
    s->stats.accepted += right;
    if (right && i + 1 < s->n_guess)
        return;
    s->open = false;
    double plain = spec_cost_of(&s->m->cost, s->run_rows - s->n_guess) +
                   s->n_right * spec_cost_of(&s->m->cost, 1);
    account(s, s->seconds + s->run_seconds - plain);
}

void spec_get_stats(const spec *s, spec_stats *out)
{
    *out = s->stats;
}

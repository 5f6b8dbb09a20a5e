// A turn of the scheduler: who is admitted, which rows a step has, what becomes of its logits.
#include <stdio.h>
#include <string.h>

#include "sched/own.h"

bool sched_request_over(const sched_request *r, double now, sched_finish *why)
{
    if (atomic_load(&r->cancel)) {
        *why = SCHED_CANCELED;
        return true;
    }
    *why = SCHED_LATE;
    return r->deadline > 0 && now >= r->deadline;
}

// The request's last event; its place and promised pages become free.
static void finish(sched_request *r)
{
    sched *s = r->s;
    bool was_active = r->admitted > 0;
    if (was_active) {
        s->used_slots -= r->n_choices;
        s->promised -= r->pages;
        double took = os_seconds() - r->admitted;
        double *mean = &s->stats.seconds_per_request;
        *mean = *mean > 0 ? *mean * .9 + took * .1 : took;  // of about the last ten
    }
    sched_list_remove(was_active ? &s->active : &s->queue, r);
    s->stats.finished += r->worst <= SCHED_LENGTH;
    s->stats.canceled += r->worst == SCHED_CANCELED || r->worst == SCHED_LATE;
    s->stats.failed += r->worst == SCHED_FAILED;
    s->ended_some = true;
    if (!was_active) {
        pthread_mutex_lock(&s->lock);
        s->waiting--;
        pthread_mutex_unlock(&s->lock);
    }
    sched_event ev = {.kind = SCHED_DONE,
                      .token = -1,
                      .text = "",
                      .finish = r->worst,
                      .stop = -1,
                      .code = r->code,
                      .message = r->message};
    sched_tell(r, &ev);
    atomic_store(&r->ended, true);
    sched_request_unref(r);
}

void sched_request_end(sched_request *r, sched_finish why, int code, const char *message)
{
    if (r->n_ended == r->n_choices)
        return;
    r->code = code;
    snprintf(r->message, sizeof r->message, "%s", message);
    for (int i = 0; i < r->n_choices; i++)
        sched_choice_end(&r->choice[i], why, -1);
}

void sched_sweep(sched *s)
{
    sched_list *lists[] = {&s->queue, &s->active};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (sched_request *r = lists[i]->first, *next; r; r = next) {
            next = r->next;
            if (r->n_ended == r->n_choices)
                finish(r);
        }
}

static int slots_of_client(const sched *s, uint64_t client)
{
    int n = 0;
    for (const sched_request *r = s->active.first; r; r = r->next)
        n += r->client == client ? r->n_choices : 0;
    return n;
}

// Whose turn it is: of the clients with the least running, the one that waited longest.
static sched_request *next_waiting(const sched *s)
{
    sched_request *best = NULL;
    int least = 0;
    for (sched_request *r = s->queue.first; r; r = r->next) {
        int n = slots_of_client(s, r->client);
        if (!best || n < least) {
            best = r;
            least = n;
        }
    }
    return best;
}

// Goes on from the pages that others left, all but the prompt's last token at most: its logits are needed.
static int take_prefix(sched_request *r, err *e)
{
    int n = kv_seq_match(r->choice[0].seq, r->choice[0].tokens + r->n_read,
                         (int)(r->n_prompt - r->n_read) - 1, e);
    if (n < 0)
        return n;
    r->n_read += (size_t)n;
    r->n_cached += (size_t)n;
    return ST_OK;
}

// Moves a request from the queue to the active ones, with all pages the first choice may need.
static void admit(sched *s, sched_request *r)
{
    sched_choice *c = &r->choice[0];
    pthread_mutex_lock(&s->lock);
    s->waiting--;
    pthread_mutex_unlock(&s->lock);
    sched_list_remove(&s->queue, r);
    sched_list_add(&s->active, r);
    s->used_slots += r->n_choices;
    s->promised += r->pages;
    r->admitted = os_seconds();
    sched_count(&s->stats.queue, r->admitted - r->submitted);
    err e = {0};
    int rc = kv_seq_new(s->x->kv, &c->seq, &e);
    if (!rc)
        rc = take_prefix(r, &e);
    if (!rc)
        rc = kv_seq_reserve(c->seq, (int)(r->n_prompt + r->max_tokens - r->n_read), &e);
    if (rc)
        sched_request_end(r, SCHED_FAILED, rc, e.msg);
}

void sched_admit(sched *s)
{
    // The one whose turn it is waits for room even where a smaller one would fit: or it might wait for ever.
    for (sched_request *r; (r = next_waiting(s));) {
        if (s->used_slots + r->n_choices <= s->slots && s->promised + s->held + r->pages <= s->pages) {
            admit(s, r);
            continue;
        }
        if (s->active.first)
            return;
        // What is held may stay for long: it does not wait for that.
        sched_request_end(r, SCHED_FAILED, ST_LIMIT,
                          "held prompts leave too little memory for keys and values");
        sched_sweep(s);
    }
}

static void add_row(sched *s, sched_choice *c, const int32_t *tokens, int n, int outputs)
{
    s->row[s->n_rows] = c;
    s->rows[s->n_rows++] = (engine_row){c->seq, tokens, n, outputs};
}

// The prompts being read share `budget` tokens evenly, older ones first when shares would become too small.
static void add_prompts(sched *s, int budget)
{
    enum { LEAST = 16 };  // a kernel tile's rows
    int readers = 0;
    for (const sched_request *r = s->active.first; r; r = r->next)
        readers += r->read == 0 && r->n_ended == 0 && !atomic_load(&r->paused);
    for (sched_request *r = s->active.first; r && budget > 0; r = r->next) {
        if (r->read > 0 || r->n_ended > 0 || atomic_load(&r->paused))
            continue;
        err e = {0};
        int rc = take_prefix(r, &e);  // a neighbour may have run the same text meanwhile
        if (rc) {
            sched_request_end(r, SCHED_FAILED, rc, e.msg);
            continue;
        }
        int left = (int)(r->n_prompt - r->n_read), part = MAX(budget / MAX(readers--, 1), LEAST);
        int n = MIN(MIN(left, part), budget);
        add_row(s, &r->choice[0], r->choice[0].tokens + r->n_read, n, n == left);
        budget -= n;
    }
}

// A running choice's row has one token that is not run. What its grammar forced beside it, as far as there is room; gives
// how many.
static int fill_row(const sched_choice *c, engine_row *row, int room)
{
    int pending = (int)(c->n_tokens - c->n_run);
    row->n = MIN(pending, 1 + room);
    row->outputs = row->n == pending;
    return row->n - 1;
}

// A choice that runs alone guesses ahead: rows beside it would cost what a guess could gain. The guess stands behind
// its tokens, where there is room for as many as it may still make.
static void add_guess(sched *s)
{
    sched_choice *c = s->n_rows == 1 ? s->row[0] : NULL;
    if (!c || !c->running || !c->spec || !atomic_load_explicit(&s->guesses, memory_order_relaxed) ||
        s->rows[0].n > 1 || c->n_forced)
        return;
    size_t room = c->r->n_prompt + c->r->max_tokens - c->n_tokens;
    int most = MIN(MIN(s->x->outputs, s->x->batch) - 1, SPEC_MOST);
    s->n_guess = spec_guess(c->spec, c->tokens, c->n_tokens, s->guess, most, room);
    memcpy(c->tokens + c->n_tokens, s->guess, (size_t)s->n_guess * sizeof *s->guess);
    s->rows[0].n += s->n_guess;
    s->rows[0].outputs += s->n_guess;
    c->r->n_guessed += (size_t)s->n_guess;
    s->stats.guessed_tokens += (uint64_t)s->n_guess;
}

static void build(sched *s)
{
    s->n_rows = 0;
    s->n_guess = 0;
    int budget = s->x->batch;
    for (sched_request *r = s->active.first; r; r = r->next)
        for (int i = 0; r->read > 0 && !atomic_load(&r->paused) && i < r->n_choices; i++)
            if (r->choice[i].running) {
                add_row(s, &r->choice[i], r->choice[i].tokens + r->choice[i].n_run, 1, 0);
                budget--;
            }
    for (int i = 0; i < s->n_rows; i++)
        budget -= fill_row(s->row[i], &s->rows[i], budget);
    add_prompts(s, s->n_rows ? MIN(budget, s->chunk) : budget);
    add_guess(s);
}

// Whether nobody needs the step any more, or it reads prompts while somebody cannot wait: they are read again. A step
// that only makes tokens is short, and may have a guess in it.
static bool unneeded(void *ctx)
{
    const sched *s = ctx;
    if (atomic_load_explicit(&s->urgent, memory_order_relaxed) && s->n_guess == 0)
        for (int i = 0; i < s->n_rows; i++)
            if (s->rows[i].n > 1)
                return true;
    double now = os_seconds();
    sched_finish why;
    for (int i = 0; i < s->n_rows; i++)
        if (!sched_request_over(s->row[i]->r, now, &why))
            return false;
    return true;
}

// The prompt is run: the other choices fork off, and all choose from the same logits.
static void begin_choices(sched_request *r, const float *logits)
{
    r->read = os_seconds();
    r->s->stats.prompt_tokens += r->n_prompt;
    r->s->stats.cached_tokens += r->n_cached;
    sched_event ev = {.kind = SCHED_READ, .token = -1, .text = "", .stop = -1};
    sched_tell(r, &ev);
    for (int i = 0; i < r->n_choices; i++) {
        sched_choice *c = &r->choice[i];
        err e = {0};
        int rc = i ? kv_seq_fork(r->choice[0].seq, &c->seq, &e) : ST_OK;
        if (!rc && i)
            rc = kv_seq_reserve(c->seq, (int)r->max_tokens, &e);
        if (rc) {
            sched_request_end(r, SCHED_FAILED, rc, e.msg);
            return;
        }
    }
    for (int i = 0; i < r->n_choices; i++) {
        sched_choice *c = &r->choice[i];
        c->running = r->max_tokens > 0;
        c->n_run = r->n_prompt;
        if (!c->running)
            sched_choice_end(c, SCHED_LENGTH, -1);
        else
            sched_choice_take(c, logits);
        sched_choice_force(c);
    }
}

// Chooses from the row of a running choice, and from those of its guess while they come true.
static void take_row(sched *s, sched_choice *c, const float *logits)
{
    size_t vocab = (size_t)s->x->model.params.vocab;
    c->n_run = c->n_tokens;
    for (int i = 0; i <= s->n_guess; i++) {
        size_t held = c->n_tokens;
        sched_choice_take(c, logits + (size_t)i * vocab);
        if (c->n_tokens == held)
            return;  // the request failed
        int32_t id = c->tokens[held];
        if (c->spec)
            spec_chosen(c->spec, i, id);
        bool right = i < s->n_guess && id == s->guess[i];
        c->r->n_accepted += right;
        s->stats.accepted_tokens += right;
        if (c->ended)
            return;
        if (!right)
            break;
        c->n_run = c->n_tokens;
    }
    if (s->n_guess)  // the latest token is not run yet
        kv_seq_truncate(c->seq, (int)c->n_run);
    sched_choice_force(c);
}

static void use_results(sched *s, const float *logits)
{
    size_t vocab = (size_t)s->x->model.params.vocab;
    int n_rows = s->n_rows;
    for (int i = 0; i < n_rows; i++) {
        sched_choice *c = s->row[i];
        sched_request *r = c->r;
        const float *own = logits;
        logits += (size_t)s->rows[i].outputs * vocab;
        if (c->ended)
            continue;  // with its request, whose earlier row failed
        if (r->read > 0 && !s->rows[i].outputs) {
            c->n_run += (size_t)s->rows[i].n;
        } else if (r->read > 0) {
            take_row(s, c, own);
        } else {
            r->n_read += (size_t)s->rows[i].n;
            if (s->rows[i].outputs)
                begin_choices(r, own);
        }
    }
}

static void fail_rows(sched *s, int code, const char *message)
{
    for (int i = 0; i < s->n_rows; i++)
        sched_request_end(s->row[i]->r, SCHED_FAILED, code, message);
    sched_sweep(s);
}

bool sched_step(sched *s)
{
    build(s);
    if (s->n_rows == 0) {
        sched_sweep(s);
        return false;
    }
    const float *logits;
    err e = {0};
    spec *alone = s->n_rows == 1 && s->row[0]->running ? s->row[0]->spec : NULL;
    double began = os_seconds();
    int rc = engine_step(s->x, s->rows, s->n_rows, &logits, unneeded, s, &e);
    if (!rc && alone && s->rows[0].n == 1 + s->n_guess)
        spec_ran(alone, s->rows[0].n, os_seconds() - began);
    if (rc == ST_CANCELED)
        return true;  // the next turn drops them, or runs them again
    if (rc) {
        fail_rows(s, rc, e.msg);
        return true;
    }
    s->stats.steps++;
    for (int i = 0; i < s->n_rows; i++)
        s->stats.step_tokens += (uint64_t)s->rows[i].n;
    use_results(s, logits);
    sched_sweep(s);
    return true;
}

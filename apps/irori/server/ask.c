// From a question to the scheduler, and from its events to the format. See ask.h.
#include "server/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "put.h"
#include "server/chat.h"
#include "server/hold.h"

void random_id(char *out, size_t cap, const char *prefix)
{
    snprintf(out, cap, "%s%016llx%08llx", prefix, (unsigned long long)os_random_seed(),
             (unsigned long long)os_random_seed() & 0xffffffff);
}

ask *ask_new(incoming *c, const ask_format *format, const char *id_prefix)
{
    ask *a = mem_calloc(MEM_OTHER, 1, sizeof *a);
    if (!a) {
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
        return NULL;
    }
    a->s = c->s;
    a->r = c->r;
    a->family = c->family;
    a->format = format;
    a->body = json_incref(c->body);
    a->defaults = models_defaults(c->s->models, json_string_value(json_object_get(c->body, "model")));
    a->keep_alive = NAN;
    a->max_tokens = -1;
    a->choices = 1;
    a->parallel = a->split_reasoning = true;
    a->sampling = (irori_sampling){.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f};
    if (c->family !=
        FAMILY_OLLAMA)  // what the APIs document; min-p keeps a local model from the worst of the tail
        a->sampling = (irori_sampling){.temperature = 1, .min_p = 0.05f};
    a->created = (int64_t)time(NULL);
    random_id(a->id, sizeof a->id, id_prefix);
    buf_init(&a->out);
    pthread_mutex_init(&a->lock, NULL);
    atomic_init(&a->refs, 1);
    return a;
}

static void free_choice(ask_choice *c)
{
    for (int i = 0; i < c->n_calls; i++) {
        buf_done(&c->calls[i].name);
        buf_done(&c->calls[i].args);
    }
    mem_free(c->calls);
    buf_done(&c->text);
    buf_done(&c->reasoning);
    buf_done(&c->logprobs);
    calls_free(&c->parser);
}

void ask_free(ask *a)
{
    if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    irori_request_free(a->request);
    irori_grammar_free(a->grammar);
    if (a->m)
        models_release(a->s->models, a->m);
    for (int i = 0; a->choice && i < a->choices; i++)
        free_choice(&a->choice[i]);
    mem_free(a->choice);
    if (a->own_free)
        a->own_free(a->own);
    irori_free(a->ids);
    json_decref(a->messages);
    json_decref(a->tools);
    json_decref(a->variables);
    json_decref(a->defaults);
    json_decref(a->body);
    mem_free(a->model);
    mem_free(a->tool_name);
    mem_free(a->bias);
    mem_free(a->grammar_text);
    buf_done(&a->out);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

const char *ask_model_name(const ask *a)
{
    return a->m ? a->m->name : a->model ? a->model : "";
}

void ask_usage(const ask *a, size_t *prompt, size_t *completion, size_t *cached)
{
    *prompt = a->figures.prompt_tokens;
    *completion = a->figures.completion_tokens;
    *cached = a->figures.cached_tokens;
}

static void rate(json_writer *w, const char *what, size_t n, double seconds)
{
    char key[40];
    snprintf(key, sizeof key, "%s_n", what);
    put_int(w, key, (int64_t)n);
    snprintf(key, sizeof key, "%s_ms", what);
    put_num(w, key, seconds * 1e3);
    snprintf(key, sizeof key, "%s_per_second", what);
    json_key(w, key);
    if (n && seconds > 0)
        json_num(w, (double)n / seconds);
    else
        json_none(w);
}

void ask_timings(const ask *a, json_writer *w)
{
    const irori_event *f = &a->figures;
    json_key(w, "timings");
    json_obj(w);
    put_int(w, "cache_n", (int64_t)f->cached_tokens);
    rate(w, "prompt", f->prompt_tokens - f->cached_tokens, f->prompt_seconds);
    rate(w, "predicted", f->completion_tokens, f->decode_seconds);
    json_key(w, "draft_n");  // llama.cpp's names
    json_int(w, (int64_t)f->guessed_tokens);
    put_int(w, "draft_n_accepted", (int64_t)f->accepted_tokens);
    put_num(w, "queue_ms", f->queue_seconds * 1e3);
    if (a->n_cut) {
        put_int(w, "cut_messages", (int64_t)a->n_cut);
    }
    json_end(w);
}

void ask_cancel(ask *a)
{
    if (a->request)
        irori_request_cancel(a->request);
}

// ---- Events, on the scheduler's thread ----

static ask_call *add_call(ask_choice *c)
{
    ask_call *more = mem_realloc(MEM_OTHER, c->calls, (size_t)(c->n_calls + 1) * sizeof *more);
    if (!more)
        return NULL;
    c->calls = more;
    ask_call *call = &more[c->n_calls++];
    random_id(call->id, sizeof call->id, "call_");
    buf_init(&call->name);
    buf_init(&call->args);
    return call;
}

// A part of an answer: kept where it is needed later, and told by a stream.
static void on_part(void *ctx, calls_part part, const char *p, size_t n)
{
    ask_choice *c = ctx;
    ask *a = c->a;
    if (c->ended)
        return;
    bool keep = !a->stream || a->format->keeps;
    if (keep && part == CALLS_TEXT)
        buf_add(&c->text, p, n);
    else if (keep && part == CALLS_REASONING)
        buf_add(&c->reasoning, p, n);
    else if (part == CALLS_NAME && !add_call(c))
        c->text.failed = true;
    else if (part == CALLS_NAME)
        buf_add(&c->calls[c->n_calls - 1].name, p, n);
    else if (part == CALLS_ARGS)
        buf_add(&c->calls[c->n_calls - 1].args, p, n);
    if (a->stream)
        a->format->part(a, c, part, p, n);
    if (part == CALLS_END && !a->parallel)
        c->ended = true;
}

static void add_token_json(json_writer *w, const ask *a, int32_t id, float logprob)
{
    size_t n;
    const char *text = irori_token_text(a->m->m, id, &n);
    json_key(w, "token");
    json_strn(w, text ? text : "", n);
    put_num(w, "logprob", logprob > -9999 ? (double)logprob : -9999.0);
    json_key(w, "bytes");
    json_arr(w);
    for (size_t i = 0; i < n; i++)
        json_int(w, (unsigned char)text[i]);
    json_end(w);
}

static void add_logprob(ask_choice *c, const irori_event *ev)
{
    json_writer w;
    if (c->logprobs.len)
        buf_add_char(&c->logprobs, ',');
    json_begin(&w, &c->logprobs);
    json_obj(&w);
    add_token_json(&w, c->a, ev->token, ev->logprob);
    put_int(&w, "id", ev->token);
    json_key(&w, "top_logprobs");
    json_arr(&w);
    for (int i = 0; i < ev->top_count; i++) {
        json_obj(&w);
        add_token_json(&w, c->a, ev->top[i].token, ev->top[i].logprob);
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
}

static ask_finish finish_of(const ask_choice *c, irori_finish f)
{
    if (c->n_calls && (f == IRORI_FINISH_STOP || c->ended))
        return ASK_CALLS;
    if (f == IRORI_FINISH_STOP)
        return ASK_STOP;
    return f == IRORI_FINISH_LENGTH || f == IRORI_FINISH_DEADLINE ? ASK_LENGTH : ASK_CANCELED;
}

static void end_choice(ask_choice *c, const irori_event *ev)
{
    calls_feed(&c->parser, ev->text, ev->bytes);
    calls_end(&c->parser);
    c->finish = finish_of(c, ev->finish);
    c->stop = ev->stop;
    c->ended = true;
    if (c->a->stream && c->a->begun)
        c->a->format->end(c->a, c);
}

static bool lost_memory(const ask *a)
{
    bool lost = a->out.failed;
    for (int i = 0; i < a->choices; i++)
        lost = lost || a->choice[i].text.failed || a->choice[i].reasoning.failed ||
               a->choice[i].logprobs.failed || calls_failed(&a->choice[i].parser);
    return lost;
}

// The answer that cannot be given, by how far things have come.
static void fail(ask *a, int status, const char *message)
{
    if (a->begun)
        a->format->fail(a, status, message);
    else
        answer_error(a->r, a->family, status, NULL, NULL, "%s", message);
}

static void record_end(const ask *a, const irori_event *ev)
{
    static const char *const names[] = {"stop", "length", "calls", "canceled"};
    const ask_choice *c = &a->choice[0];
    const char *finish = ev->finish == IRORI_FINISH_FAILED ? "failed" : names[c->finish];
    err e;
    if (a->s->o.audit != RECORD_OFF && a->record[0] &&
        record_answer_line(a->s->o.audit, a->record, finish, ev->prompt_tokens, ev->completion_tokens,
                           c->text.len ? c->text.data : "", c->text.len, &e))
        log_msg(LOG_ERROR, "%s", e.msg);
}

static void end_ask(ask *a, const irori_event *ev)
{
    record_end(a, ev);
    if (ev->finish == IRORI_FINISH_FAILED)
        fail(a, ev->code == IRORI_LIMIT ? 503 : 500, ev->message);
    else if (lost_memory(a))
        fail(a, 503, "out of memory");
    else if (ev->finish == IRORI_FINISH_DEADLINE && ev->completion_tokens == 0)
        fail(a, 504, "the deadline passed before the first token");
    else if (ev->finish == IRORI_FINISH_CANCELED && !a->begun && !a->choice[0].n_calls)
        fail(a, 503, "the request was cancelled");
    else
        a->format->done(a);
}

// All choices have said what they may: the rest need not be made.
static void stop_when_all_ended(ask *a)
{
    for (int i = 0; i < a->choices; i++)
        if (!a->choice[i].ended)
            return;
    ask_cancel(a);
}

static void on_event(void *ctx, const irori_event *ev)
{
    ask *a = ctx;
    pthread_mutex_lock(&a->lock);
    a->figures = *ev;
    ask_choice *c = &a->choice[ev->choice];
    if (ev->kind == IRORI_EVENT_READ) {
        a->begun = a->stream;
        if (a->stream)
            a->format->begin(a);
    } else if (ev->kind == IRORI_EVENT_TOKEN) {
        if (a->logprobs && !c->ended)
            add_logprob(c, ev);
        c->n_reasoning += calls_reasoning(&c->parser);
        if (ev->bytes)
            calls_feed(&c->parser, ev->text, ev->bytes);
        if (c->ended)
            stop_when_all_ended(a);
    } else if (ev->kind == IRORI_EVENT_END) {
        end_choice(c, ev);
    } else if (ev->kind == IRORI_EVENT_DONE) {
        a->over = true;
        end_ask(a, ev);
    }
    pthread_mutex_unlock(&a->lock);
    if (ev->kind == IRORI_EVENT_DONE)
        ask_free(a);
}

// ---- Starting, on a worker's thread ----

static void on_gone(void *ctx)
{
    irori_request_cancel(ctx);
}

static void on_slow(void *ctx, bool slow)
{
    irori_request_pause(ctx, slow);
}

static int start_choices(ask *a, err *e)
{
    a->choice = mem_calloc(MEM_OTHER, (size_t)a->choices, sizeof *a->choice);
    if (!a->choice)
        return err_set(e, ST_NOMEM, "out of memory for %d choices", a->choices);
    bool inside = chat_prompt_thinks(a);
    for (int i = 0; i < a->choices; i++) {
        ask_choice *c = &a->choice[i];
        c->a = a;
        c->index = i;
        c->stop = -1;
        buf_init(&c->text);
        buf_init(&c->reasoning);
        buf_init(&c->logprobs);
        calls_style plain = {.syntax = CALLS_TAGS};
        const json_t *tools = a->tool_choice == ASK_NONE ? NULL : a->tools;
        calls_begin(&c->parser, a->messages ? &a->m->style : &plain, tools, a->messages && a->split_reasoning,
                    inside, on_part, c);
    }
    return ST_OK;
}

// The system message that the model brings, where the conversation has none.
static void add_system(ask *a)
{
    const char *role = json_string_value(json_object_get(json_array_get(a->messages, 0), "role"));
    if (a->m->system && !(role && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)))
        json_array_insert_new(a->messages, 0,
                              json_pack("{s:s,s:s}", "role", "system", "content", a->m->system));
}

static int make_prompt(ask *a, err *e)
{
    if (a->messages) {
        add_system(a);
        return chat_tokens(a, e);
    }
    if (json_is_array(a->prompt)) {
        a->n_ids = json_array_size(a->prompt);
        a->ids = mem_alloc(MEM_OTHER, (a->n_ids + 1) * sizeof *a->ids);
        if (!a->ids)
            return err_set(e, ST_NOMEM, "out of memory for %zu tokens", a->n_ids);
        for (size_t i = 0; i < a->n_ids; i++) {
            json_t *v = json_array_get(a->prompt, i);
            json_int_t id = json_integer_value(v);
            if (!json_is_integer(v) || id < 0 || id >= a->m->info.vocabulary)
                return err_set(e, ST_INVALID, "prompt: token %zu is not in 0..%d", i,
                               a->m->info.vocabulary - 1);
            a->ids[i] = (int32_t)id;
        }
        return ST_OK;
    }
    unsigned flags = IRORI_TOKENIZE_BOS | (a->raw_special ? IRORI_TOKENIZE_SPECIAL : 0u);
    return irori_tokenize(a->m->m, json_string_value(a->prompt), json_string_length(a->prompt), flags,
                          &a->ids, &a->n_ids, (irori_error *)(void *)e);
}

int ask_prepare(ask *a, err *e)
{
    int rc = models_use(a->s->models, a->model, a->keep_alive, &a->m, &a->load_seconds, e);
    return rc ? rc : make_prompt(a, e);
}

int ask_forbid_ends(const models_open *m, irori_logit_bias **bias, size_t *n, err *e)
{
    size_t most = *n;
    for (int32_t id = 0; id < m->info.vocabulary; id++)
        most += irori_token_ends_text(m->m, id);
    irori_logit_bias *all = mem_realloc(MEM_OTHER, *bias, (most + 1) * sizeof *all);
    if (!all)
        return err_set(e, ST_NOMEM, "out of memory for the logit bias");
    *bias = all;
    for (int32_t id = 0; id < m->info.vocabulary; id++)
        if (irori_token_ends_text(m->m, id))
            all[(*n)++] = (irori_logit_bias){id, -INFINITY};
    return ST_OK;
}

// The line of the audit log; without it nothing is run.
static int record_ask(ask *a, err *e)
{
    char client[24];
    if (a->s->o.audit == RECORD_OFF)
        return ST_OK;
    char *text = a->messages ? json_dumps(a->messages, JSON_COMPACT)
                             : json_dumps(a->prompt, JSON_COMPACT | JSON_ENCODE_ANY);
    snprintf(client, sizeof client, "%016llx", (unsigned long long)http_client(a->r));
    record_request r = {.event = "serve",
                        .model = a->m->name,
                        .path = a->m->path,
                        .hash = a->m->hash,
                        .hash_is_sha256 = a->m->stored,
                        .client = client,
                        .sampling = &a->sampling,
                        .max_tokens = a->max_tokens,
                        .text = text ? text : "",
                        .n = text ? strlen(text) : 0};
    int rc = record_request_line(a->s->o.audit, &r, a->record, e);
    free(text);
    return rc;
}

static int submit(ask *a, err *e)
{
    a->sampling.logit_bias = a->bias;
    a->sampling.logit_bias_count = a->n_bias;
    irori_request_options o = {
        .prompt = a->ids,
        .prompt_tokens = a->n_ids,
        .sampling = &a->sampling,
        .grammar = a->grammar,
        .max_tokens = a->max_tokens < 0 ? SIZE_MAX : (size_t)a->max_tokens,
        .choices = a->choices,
        .stop = a->stop,
        .stop_count = (size_t)a->n_stop,
        .special_text = a->messages && a->m->style.special,
        .logprobs = a->logprobs,
        .top_logprobs = a->top_logprobs,
        .deadline = a->deadline,
        .client = http_client(a->r),
    };
    return irori_request_submit(&a->request, a->m->scheduler, &o, on_event, a, (irori_error *)(void *)e);
}

void ask_start(ask *a)
{
    err e = {0};
    int rc = ask_prepare(a, &e);
    if (!rc)
        rc = hold_answer(a, &e);
    if (!rc && a->forbid_end)
        rc = ask_forbid_ends(a->m, &a->bias, &a->n_bias, &e);
    if (!rc)
        rc = start_choices(a, &e);
    if (!rc)
        rc = record_ask(a, &e);
    if (!rc) {
        atomic_fetch_add(&a->refs, 1);  // the events'
        pthread_mutex_lock(&a->lock);   // events wait until the request is known
        rc = submit(a, &e);
        if (!rc && !a->over) {
            http_watch w = {on_gone, on_slow, a->request};
            http_watch_client(a->r, &w);
        }
        pthread_mutex_unlock(&a->lock);
        if (rc)
            atomic_fetch_sub(&a->refs, 1);
    }
    if (rc) {
        incoming c = {.s = a->s, .r = a->r, .family = a->family};
        irori_scheduler_stats st = {0};
        if (rc == ST_BUSY && a->m) {
            irori_scheduler_get_stats(a->m->scheduler, &st);
            char seconds[24];
            snprintf(seconds, sizeof seconds, "%.0f", MIN(MAX(st.retry_seconds, 1), 3600));
            http_add_header(a->r, "Retry-After", seconds);
        }
        e.code = rc;
        answer_status(&c, &e);
    }
    ask_free(a);
}

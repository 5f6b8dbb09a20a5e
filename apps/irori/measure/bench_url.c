// irori bench MODEL --url URL: how fast a server of OpenAI's kind answers, as its users meet it.
//
// Each of --batch clients asks, waits for the whole answer, and asks again. A prompt is --pp made-up words that begin
// differently each time, so that no server finds it among what it has read; --tg tokens are asked for. Tokens are those that
// the server counts (usage), or the pieces that came where it does not.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "measure/bench.h"
#include "measure/client.h"

enum { MOST_CLIENTS = 64, ASKED_OF_EACH = 5, MOST_NUMBERS = 16 };

typedef struct answer {
    double asked, first, last;  // os_seconds
    size_t pieces, tokens, prompt_tokens;
} answer;

typedef struct asker {
    const cli_options *o;
    int words, tokens, times;
    uint64_t seed;
    pthread_t thread;
    client *c;
    samples ttft, each, whole;  // ms, tokens a second, ms
    size_t tokens_made, prompt_tokens;
    int rc;
    err e;
} asker;

static void on_event(void *ctx, const json_t *event)
{
    answer *a = ctx;
    const json_t *delta = json_object_get(json_array_get(json_object_get(event, "choices"), 0), "delta");
    const char *text = json_string_value(json_object_get(delta, "content"));
    text = text ? text : json_string_value(json_object_get(delta, "reasoning_content"));
    if (text && *text) {
        a->last = os_seconds();
        a->first = a->pieces++ ? a->first : a->last;
    }
    const json_t *usage = json_object_get(event, "usage");
    if (json_is_object(usage)) {
        a->tokens = (size_t)json_integer_value(json_object_get(usage, "completion_tokens"));
        a->prompt_tokens = (size_t)json_integer_value(json_object_get(usage, "prompt_tokens"));
    }
}

static void make_prompt(asker *a, buf *out)
{
    static const char *const words[] = {"boat",    "river",  "small",  "winter", "paper",  "seven",
                                        "garden",  "stone",  "letter", "quiet",  "market", "yellow",
                                        "morning", "engine", "window", "salt"};
    buf_clear(out);
    for (int i = 0; i < a->words; i++) {
        a->seed = a->seed * 6364136223846793005u + 1442695040888963407u;
        buf_printf(out, "%s%s", i ? " " : "", words[(a->seed >> 33) % COUNT_OF(words)]);
    }
}

static json_t *make_request(asker *a, const char *prompt)
{
    return json_pack("{s:s, s:[{s:s, s:s}], s:i, s:f, s:b, s:{s:b}}", "model", a->o->model, "messages",
                     "role", "user", "content", prompt, "max_tokens", a->tokens, "temperature", 0.0, "stream",
                     1, "stream_options", "include_usage", 1);
}

static void count(asker *a, const answer *got, double ended)
{
    size_t tokens = got->tokens ? got->tokens : got->pieces;
    samples_add(&a->ttft, 1e3 * (got->first - got->asked));
    samples_add(&a->whole, 1e3 * (ended - got->asked));
    if (tokens > 1 && got->last > got->first)
        samples_add(&a->each, (double)(tokens - 1) / (got->last - got->first));
    a->tokens_made += tokens;
    a->prompt_tokens = got->prompt_tokens;
}

static void *ask(void *ctx)
{
    asker *a = ctx;
    buf prompt;
    buf_init(&prompt);
    for (int i = 0; !a->rc && i < a->times; i++) {
        answer got = {0};
        make_prompt(a, &prompt);
        json_t *request = prompt.failed ? NULL : make_request(a, prompt.data);
        got.asked = os_seconds();
        a->rc = request ? client_stream(a->c, "/v1/chat/completions", request, on_event, &got, &a->e)
                        : err_set(&a->e, ST_NOMEM, "out of memory for a request");
        json_decref(request);
        if (!a->rc && got.pieces == 0)
            a->rc = err_set(&a->e, ST_IO, "%s: the answer is empty", a->o->url);
        if (!a->rc)
            count(a, &got, os_seconds());
    }
    buf_done(&prompt);
    return NULL;
}

static void move_samples(samples *to, samples *from)
{
    for (size_t i = 0; i < from->n; i++)
        samples_add(to, from->x[i]);
    to->failed |= from->failed;
    samples_done(from);
}

// All askers of one row, started together.
static int run_askers(asker *a, int n, double *seconds, err *e)
{
    int rc = ST_OK, started = 0;
    double began = os_seconds();
    for (; !rc && started < n; started++)
        if (pthread_create(&a[started].thread, NULL, ask, &a[started])) {
            rc = err_set(e, ST_NOMEM, "thread %d of %d could not be started", started + 1, n);
            break;
        }
    for (int i = 0; i < started; i++)
        pthread_join(a[i].thread, NULL);
    *seconds = os_seconds() - began;
    for (int i = 0; !rc && i < n; i++)
        if (a[i].rc) {
            rc = a[i].rc;
            *e = a[i].e;
        }
    return rc;
}

static int run_row(const cli_options *o, int words, int tokens, int clients, report *r, err *e)
{
    static asker a[MOST_CLIENTS];
    samples ttft = {0}, each = {0}, whole = {0}, all = {0};
    int rc = ST_OK, made = 0;
    double seconds = 0;
    for (; !rc && made < clients; made++) {
        a[made] = (asker){.o = o, .words = words, .tokens = tokens, .seed = os_random_seed()};
        a[made].times = o->repetitions ? o->repetitions : ASKED_OF_EACH;
        rc = client_new(&a[made].c, o->url, o->api_key, e);
    }
    if (!rc)
        rc = run_askers(a, clients, &seconds, e);
    size_t tokens_made = 0;
    for (int i = 0; i < made; i++) {
        move_samples(&ttft, &a[i].ttft);
        move_samples(&each, &a[i].each);
        move_samples(&whole, &a[i].whole);
        tokens_made += a[i].tokens_made;
        client_free(a[i].c);
    }
    char test[64];
    snprintf(test, sizeof test, "pp%zu+tg%d@c%d", a[0].prompt_tokens ? a[0].prompt_tokens : (size_t)words,
             tokens, clients);
    if (!rc) {
        samples_add(&all, (double)tokens_made / seconds);
        report_add(r, test, "ttft_ms", false, &ttft);
        report_add(r, test, "tokens_per_second", true, &each);
        report_add(r, test, "answer_ms", false, &whole);
        report_add(r, test, "all_tokens_per_second", true, &all);
    }
    samples_done(&ttft);
    samples_done(&each);
    samples_done(&whole);
    samples_done(&all);
    return rc;
}

typedef struct lengths {
    int words[MOST_NUMBERS], tokens[MOST_NUMBERS], clients[MOST_NUMBERS];
    int n_words, n_tokens, n_clients;
} lengths;

static int run_rows(const cli_options *o, const lengths *l, report *r, err *e)
{
    report warm = {0};
    cli_options once = *o;
    once.repetitions = 1;
    int rc = run_row(&once, 8, 8, 1, &warm, e);  // a server may have to load the model first
    report_done(&warm);
    for (int i = 0; i < l->n_words; i++)
        for (int k = 0; k < l->n_tokens; k++)
            for (int c = 0; !rc && c < l->n_clients; c++)
                rc = run_row(o, l->words[i], l->tokens[k], l->clients[c], r, e);
    return rc;
}

int bench_url(const cli_options *o)
{
    report r;
    irori_error e;
    lengths l;
    l.n_words = cli_numbers("pp", o->pp, 1, 1 << 20, l.words, MOST_NUMBERS);
    l.n_tokens = cli_numbers("tg", o->tg, 1, 1 << 20, l.tokens, MOST_NUMBERS);
    l.n_clients = cli_numbers("batch", o->batch, 1, MOST_CLIENTS, l.clients, MOST_NUMBERS);
    if (l.n_words < 0 || l.n_tokens < 0 || l.n_clients < 0)
        return CLI_USAGE;
    report_init(&r);
    snprintf(r.url, sizeof r.url, "%s", o->url);
    snprintf(r.model, sizeof r.model, "%s", o->model);
    int rc = run_rows(o, &l, &r, (err *)(void *)&e);
    if (!rc && o->report)
        rc = report_write(&r, o->report, (err *)(void *)&e);
    rc = rc ? cli_fail(&e) : report_print(&r, o->json);
    report_done(&r);
    return rc;
}

// What commands share: opening with a progress bar, messages, interruption, reading texts.
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "put.h"

int cli_fail(const irori_error *e)
{
    fprintf(stderr, "irori: %s\n", e->message);
    return CLI_FAILED;
}

// "FILE" or "FILE:SCALE".
static int set_adapter(irori_model *m, const char *lora, irori_error *e)
{
    const char *colon = strrchr(lora, ':');
    char path[4096], *end = NULL;
    double scale = colon && colon[1] ? strtod(colon + 1, &end) : 1;
    bool scaled = end && !*end;
    if ((size_t)snprintf(path, sizeof path, "%.*s", scaled ? (int)(colon - lora) : (int)strlen(lora), lora) >=
        sizeof path)
        return err_set((err *)(void *)e, ST_INVALID, "--lora: a name of over 4,095 bytes");
    irori_adapter *a;
    int rc = irori_adapter_open(&a, m, path, e);
    return rc ? rc : irori_model_set_adapter(m, a, scaled ? (float)scale : 1, e);
}

irori_model_options cli_model_options(const cli_options *o)
{
    return (irori_model_options){.threads = o->threads,
                                 .context = o->ctx,
                                 .batch = o->batch_size,
                                 .cpu = o->cpu,
                                 .no_pin = o->no_pin,
                                 .no_repack = o->no_repack,
                                 .no_prefixes = o->no_prefixes,
                                 .prompt_cache = o->prompt_cache,
                                 .kv = o->kv,
                                 .kv_budget = o->kv_budget,
                                 .kv_spill_dir = o->kv_dir,
                                 .cache_dir = o->cache_dir ? o->cache_dir
                                              : o->cache   ? ""
                                                           : NULL};  // "": the usual folder
}

int cli_open(const cli_options *o, int context, int sessions, irori_model **m)
{
    cli_progress bar;
    cli_progress_start(&bar, "loading");
    irori_model_options mo = cli_model_options(o);
    if (context)
        mo.context = context;
    mo.sessions = sessions;
    mo.progress = cli_progress_step;
    mo.progress_ctx = &bar;
    irori_error e;
    *m = NULL;
    if (plan_gate(o, o->model, &mo))
        return CLI_FAILED;
    int rc = irori_model_open(m, o->model, &mo, &e);
    cli_progress_end(&bar);
    if (!rc && o->lora && (rc = set_adapter(*m, o->lora, &e))) {
        irori_model_close(*m);
        *m = NULL;
    }
    return rc ? cli_fail(&e) : CLI_OK;
}

int cli_set_grammar(const cli_options *o, irori_model *m, irori_session *s, irori_error *e)
{
    int wanted = o->json_mode + !!o->json_schema + !!o->grammar + !!o->regex;
    const char *path = o->json_schema ? o->json_schema : o->grammar;
    irori_grammar_kind kind = o->json_schema ? IRORI_GRAMMAR_JSON_SCHEMA
                              : o->grammar   ? IRORI_GRAMMAR_GBNF
                              : o->regex     ? IRORI_GRAMMAR_REGEX
                                             : IRORI_GRAMMAR_JSON;
    char *text = NULL;
    size_t n = 0;
    if (!wanted)
        return IRORI_OK;
    if (wanted > 1)
        return err_set((err *)(void *)e, ST_INVALID,
                       "only one of --json-mode, --json-schema, --grammar and --regex can be given");
    int rc = path ? os_read_file(path, (size_t)1 << 28, &text, &n, (err *)(void *)e) : IRORI_OK;
    irori_grammar *g = NULL;
    if (!rc)
        rc = irori_grammar_new(&g, m, kind,
                               path       ? text
                               : o->regex ? o->regex
                                          : "",
                               path       ? n
                               : o->regex ? strlen(o->regex)
                                          : 0,
                               NULL, e);
    if (!rc)
        rc = irori_session_set_grammar(s, g, e);
    irori_grammar_free(g);
    mem_free(text);
    return rc;
}

irori_sampling cli_sampling(const cli_options *o)
{
    return (irori_sampling){
        .temperature = o->temperature,
        .top_k = o->top_k,
        .top_p = o->top_p,
        .min_p = o->min_p,
        .typical_p = o->typical,
        .repeat_penalty = o->repeat_penalty,
        .frequency_penalty = o->frequency_penalty,
        .presence_penalty = o->presence_penalty,
        .dry_multiplier = o->dry,
        .seed = o->seed,
    };
}

size_t cli_max_tokens(const cli_options *o)
{
    return o->max_tokens ? (size_t)o->max_tokens : 512;
}

int cli_open_draft(const cli_options *o, irori_model **draft)
{
    *draft = NULL;
    if (!o->draft)
        return CLI_OK;
    cli_options own = *o;
    own.model = o->draft;
    return cli_open(&own, 0, 0, draft);
}

int cli_speculate(const cli_options *o, irori_model *draft, irori_session *s, irori_error *e)
{
    irori_speculation how = {.lookup = true, .draft = draft};
    return irori_session_set_speculation(s, o->no_guess ? NULL : &how, e);
}

int cli_session(const cli_options *o, irori_model *m, irori_session **s, irori_error *e)
{
    irori_sampling sampling = cli_sampling(o);
    int rc = IRORI_NOTFOUND;
    if (o->session)
        rc = irori_session_load(s, m, &sampling, o->session, e);
    return rc == IRORI_NOTFOUND ? irori_session_new(s, m, &sampling, e) : rc;
}

int cli_save_session(const cli_options *o, irori_session *s)
{
    irori_error e;
    return o->session && irori_session_save(s, o->session, &e) ? cli_fail(&e) : CLI_OK;
}

int cli_add(irori_model *m, irori_session *s, const int32_t *ids, size_t count, irori_error *e)
{
    enum { SHORT = 512 };  // takes no second
    size_t have, same = 0, known = 0;
    const int32_t *held = irori_session_tokens(s, &have);
    while (same + 1 < count && same < have && held[same] == ids[same])
        same++;  // at least one token is run again: its logits are needed
    int rc = irori_session_truncate(s, same, e);
    irori_model_info info;
    irori_model_get_info(m, &info);
    if (!rc && count <= (size_t)info.context)  // offered whole: a piece would never take its own last page
        rc = irori_session_add_known(s, ids + same, count - same, &known, e);
    same += known;
    if (rc || count - same <= SHORT || count > (size_t)info.context)
        return rc ? rc : irori_session_add(s, ids + same, count - same, e);
    cli_progress bar;
    cli_progress_start(&bar, "reading");
    for (size_t at = same; !rc && at < count; at += (size_t)info.batch) {
        rc = irori_session_add(s, ids + at, MIN(count - at, (size_t)info.batch), e);
        cli_progress_step(&bar, at - same, count - same);
    }
    cli_progress_end(&bar);
    return rc;
}

int cli_add_chat(irori_model *m, irori_session *s, const buf *messages, const char *tools, irori_error *e)
{
    int32_t *ids;
    size_t count;
    if (messages->failed)
        return err_set((err *)(void *)e, ST_NOMEM, "out of memory for the conversation");
    int rc = irori_chat_tokens(m, messages->data, tools, NULL, true, &ids, &count, e);
    if (rc)
        return rc;
    rc = cli_add(m, s, ids, count, e);
    irori_free(ids);
    return rc;
}

static irori_session *volatile interrupted_session;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
    irori_session *s = interrupted_session;
    if (s)
        irori_session_cancel(s);
}

void cli_interrupt(irori_session *s)
{
    interrupted_session = s;
    if (s)
        interrupted = 0;
    struct sigaction a = {0};
    a.sa_handler = s ? on_interrupt : SIG_DFL;
    sigaction(SIGINT, &a, NULL);
}

bool cli_interrupted(void)
{
    return interrupted;
}

int cli_read_text(const char *path, char **text, size_t *n)
{
    irori_error e;
    if (strcmp(path, "-") != 0)
        return os_read_file(path, (size_t)1 << 31, text, n, (err *)(void *)&e) ? cli_fail(&e) : CLI_OK;
    buf b;
    buf_init(&b);
    char block[65536];
    size_t k;
    while ((k = fread(block, 1, sizeof block, stdin)) > 0)
        buf_add(&b, block, k);
    *n = b.len;
    *text = ferror(stdin) ? NULL : buf_take(&b);
    if (!*text) {
        fprintf(stderr, "irori: standard input: %s\n", ferror(stdin) ? strerror(errno) : "out of memory");
        buf_done(&b);
        return CLI_FAILED;
    }
    return CLI_OK;
}

int cli_print_json(buf *b)
{
    bool ok = !b->failed;
    if (ok)
        printf("%s\n", b->data);
    else
        fprintf(stderr, "irori: out of memory for the report\n");
    buf_done(b);
    return ok ? CLI_OK : CLI_FAILED;
}

int cli_end_output(int rc)
{
    int failed = fflush(stdout);
    if ((failed == 0 && !ferror(stdout)) || rc != CLI_OK)
        return rc;
    fprintf(stderr, "irori: standard output: %s\n", failed ? strerror(errno) : "could not be written");
    return CLI_FAILED;
}

void cli_message(buf *messages, const char *role, const char *text, size_t n)
{
    if (messages->len)
        messages->data[messages->len - 1] = ',';  // reopen the array
    else
        buf_add_char(messages, '[');
    json_writer w;
    json_begin(&w, messages);
    json_obj(&w);
    put_str(&w, "role", role);
    json_key(&w, "content");
    json_strn(&w, text, n);
    json_end(&w);
    buf_add_char(messages, ']');
}

// irori run: one prompt, one answer.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "put.h"
#include "reply.h"

static const char *finish_name(irori_finish f)
{
    return f == IRORI_FINISH_STOP ? "stop" : f == IRORI_FINISH_LENGTH ? "length" : "canceled";
}

static void report_kv(json_writer *w, const irori_model *m)
{
    irori_kv_stats st;
    irori_get_kv_stats(m, &st);
    json_key(w, "kv");
    json_obj(w);
    put_num(w, "bits", st.bits);
    put_int(w, "resident_bytes", (int64_t)st.resident_bytes);
    put_int(w, "f16_bytes", (int64_t)st.f16_bytes);
    put_int(w, "spilled_bytes", (int64_t)st.spilled_bytes);
    put_int(w, "shared_bytes", (int64_t)st.shared_bytes);
    put_int(w, "demotions", (int64_t)st.demotions);
    put_int(w, "promotions", (int64_t)st.promotions);
    put_int(w, "guard_checks", (int64_t)st.guard_checks);
    put_int(w, "guard_skipped", (int64_t)st.guard_skipped);
    put_int(w, "guard_promotions", (int64_t)st.guard_promotions);
    put_int(w, "guard_fall_backs", (int64_t)st.guard_fall_backs);
    put_num(w, "guard_kl_last", st.guard_kl_last);
    put_num(w, "guard_kl_p95", st.guard_kl_p95);
    json_end(w);
}

static int report(const cli_options *o, const irori_model *m, const irori_session *s, const reply *a,
                  const irori_generation *g)
{
    buf out;
    buf_init(&out);
    json_writer w;
    json_begin(&w, &out);
    json_obj(&w);
    json_key(&w, "text");
    json_strn(&w, a->text.len ? a->text.data : "", a->text.len);
    if (a->reasoning.len) {
        json_key(&w, "reasoning");
        json_strn(&w, a->reasoning.data, a->reasoning.len);
    }
    put_int(&w, "prompt_tokens", (int64_t)g->prompt_tokens);
    put_int(&w, "completion_tokens", (int64_t)g->completion_tokens);
    put_num(&w, "ttft_ms", g->first_token_seconds * 1e3);
    json_key(&w, "tokens_per_second");
    if (g->completion_tokens > 1 && g->decode_seconds > 0)
        json_num(&w, (double)(g->completion_tokens - 1) / g->decode_seconds);
    else
        json_none(&w);
    irori_speculation_stats guesses;
    irori_session_get_speculation(s, &guesses);
    put_int(&w, "guessed_tokens", (int64_t)guesses.guessed_tokens);
    put_int(&w, "accepted_tokens", (int64_t)guesses.accepted_tokens);
    put_str(&w, "finish_reason", finish_name(g->finish));
    if (o->kv)
        report_kv(&w, m);
    json_end(&w);
    return cli_print_json(&out);
}

// Ids go behind what a saved session holds; a new one holds nothing.
static int add_ids(irori_model *m, irori_session *s, const int32_t *ids, size_t count, irori_error *e)
{
    size_t held;
    irori_session_tokens(s, &held);
    return held ? irori_session_add(s, ids, count, e) : cli_add(m, s, ids, count, e);
}

static int add_prompt(const cli_options *o, irori_model *m, irori_session *s, const char *prompt, size_t n,
                      const char *tools, irori_error *e)
{
    irori_model_info info;
    irori_model_get_info(m, &info);
    if (o->raw || !info.has_chat_template) {
        int32_t *ids;
        size_t count;
        int rc = irori_tokenize(m, prompt, n, IRORI_TOKENIZE_SPECIAL | IRORI_TOKENIZE_BOS, &ids, &count, e);
        if (rc)
            return rc;
        rc = count ? add_ids(m, s, ids, count, e)
                   : err_set((err *)(void *)e, ST_INVALID, "the prompt is empty");
        irori_free(ids);
        return rc;
    }
    buf messages;
    buf_init(&messages);
    if (o->system)
        cli_message(&messages, "system", o->system, strlen(o->system));
    cli_message(&messages, "user", prompt, n);
    int32_t *ids;
    size_t count;
    int rc = messages.failed ? err_set((err *)(void *)e, ST_NOMEM, "out of memory for the prompt")
                             : irori_chat_tokens(m, messages.data, tools, NULL, true, &ids, &count, e);
    buf_done(&messages);
    if (rc)
        return rc;
    rc = add_ids(m, s, ids, count, e);
    irori_free(ids);
    return rc;
}

static int generate(const cli_options *o, irori_model *m, irori_model *draft, const char *prompt, size_t n,
                    const char *tools)
{
    irori_session *s;
    irori_error e;
    if (cli_session(o, m, &s, &e))
        return cli_fail(&e);
    if (cli_speculate(o, draft, s, &e) || cli_set_grammar(o, m, s, &e)) {
        irori_session_free(s);
        return cli_fail(&e);
    }
    reply a;
    irori_model_info info;
    irori_model_get_info(m, &info);
    reply_init(&a, m, o->model, !o->json);
    irori_generation g = {.finish = IRORI_FINISH_CANCELED};
    cli_interrupt(s);
    char record[17];
    int rc = cli_record_request(o, "run", prompt, n, record, &e);
    if (!rc)
        rc = add_prompt(o, m, s, prompt, n, tools, &e);
    reply_begin(&a, s, o->raw || !info.has_chat_template);
    if (!rc)
        rc = irori_session_generate(s, cli_max_tokens(o), reply_piece, &a, &g, &e);
    reply_end(&a);
    cli_interrupt(NULL);
    if (rc && rc != IRORI_CANCELED)
        cli_fail(&e);
    else if (cli_record_answer(o, record, finish_name(g.finish), &g, &a.text, &e))
        rc = cli_fail(&e);
    else if (o->json)
        rc = report(o, m, s, &a, &g);
    else if (a.text.len && a.text.data[a.text.len - 1] != '\n')
        putchar('\n');
    reply_free(&a);
    if (!rc)
        rc = cli_save_session(o, s);
    irori_session_free(s);
    return cli_interrupted() ? CLI_INTERRUPTED : rc ? CLI_FAILED : CLI_OK;
}

int cmd_run(const cli_options *o)
{
    char *read = NULL, *tools = NULL;
    const char *prompt = o->prompt;
    size_t n = prompt ? strlen(prompt) : 0, tools_n;
    if (!prompt || prompt[0] == '@') {
        if (!prompt && isatty(STDIN_FILENO))
            fprintf(stderr, "the prompt, up to Ctrl-D:\n");
        if (cli_read_text(prompt ? prompt + 1 : "-", &read, &n))
            return CLI_FAILED;
        prompt = read;
        if (!o->raw && n > 0 && read[n - 1] == '\n')
            n--;
    }
    irori_model *m = NULL, *draft = NULL;
    int rc = o->tools ? cli_read_text(o->tools, &tools, &tools_n) : CLI_OK;
    if (!rc)
        rc = cli_open(o, 0, 0, &m);
    if (!rc)
        rc = cli_open_draft(o, &draft);
    if (!rc)
        rc = generate(o, m, draft, prompt, n, tools);
    irori_model_close(draft);
    irori_model_close(m);
    mem_free(tools);
    mem_free(read);
    return rc;
}

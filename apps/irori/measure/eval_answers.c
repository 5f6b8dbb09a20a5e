// irori eval answers: what a model answers to prompts, held against what it should have answered.
//
// Items are lines of JSON: "prompt" (a text) or "messages", with "answer" (the text wanted), "schema" (that the answer must meet)
// and "kind" (items of one kind are counted together), each where it applies. Answers are greedy; with --seed they are drawn.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "measure/bleu.h"
#include "measure/eval.h"
#include "put.h"

enum { MOST_KINDS = 32, MOST_FILE = 1 << 28, USUAL_TOKENS = 256 };

typedef struct kind {
    char name[48];
    size_t items, wanted, exact;  // wanted: items that say what the answer is
    size_t schemas, broken,
        unmet;       // items with a schema; answers that are no JSON; that are, but do not meet it
    size_t changed;  // items whose repetitions differed
    bleu bleu;
} kind;

typedef struct work {
    const cli_options *o;
    irori_model *m;
    irori_session *s;
    kind kinds[MOST_KINDS];
    int n_kinds;
    FILE *answers;  // of --output; NULL: not kept
    buf text;       // of the answer under way
} work;

static kind *kind_of(work *w, const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "kind"));
    name = name ? name : "answers";
    for (int i = 0; i < w->n_kinds; i++)
        if (strcmp(w->kinds[i].name, name) == 0)
            return &w->kinds[i];
    if (w->n_kinds == MOST_KINDS)
        return &w->kinds[MOST_KINDS - 1];
    kind *k = &w->kinds[w->n_kinds++];
    snprintf(k->name, sizeof k->name, "%s", name);
    return k;
}

// ---- One answer ----------------------------------------------------------------------------------------------------
static int prompt_ids(const work *w, const json_t *item, int32_t **ids, size_t *count, irori_error *e)
{
    const json_t *messages = json_object_get(item, "messages");
    const char *prompt = json_string_value(json_object_get(item, "prompt"));
    irori_model_info info;
    irori_model_get_info(w->m, &info);
    if (!messages && !prompt)
        return err_set((err *)(void *)e, ST_FORMAT, "there is neither \"prompt\" nor \"messages\"");
    if (prompt && (w->o->raw || !info.has_chat_template))
        return irori_tokenize(w->m, prompt, strlen(prompt), IRORI_TOKENIZE_SPECIAL | IRORI_TOKENIZE_BOS, ids,
                              count, e);
    json_t *own = messages ? NULL : json_pack("[{s:s, s:s}]", "role", "user", "content", prompt);
    char *text = json_dumps(messages ? messages : own, JSON_COMPACT);
    int rc = text ? irori_chat_tokens(w->m, text, NULL, NULL, true, ids, count, e)
                  : err_set((err *)(void *)e, ST_NOMEM, "out of memory for a prompt");
    free(text);
    json_decref(own);
    return rc;
}

static int schema_of(const work *w, const json_t *item, irori_grammar **g, irori_error *e)
{
    const json_t *schema = json_object_get(item, "schema");
    *g = NULL;
    if (!schema)
        return IRORI_OK;
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    int rc = text ? irori_grammar_new(g, w->m, IRORI_GRAMMAR_JSON_SCHEMA, text, strlen(text), NULL, e)
                  : err_set((err *)(void *)e, ST_NOMEM, "out of memory for a schema");
    free(text);
    return rc;
}

// A new session each time: the same seed then draws the same answer.
static int new_session(work *w, irori_grammar *g, irori_error *e)
{
    irori_sampling drawn = cli_sampling(w->o), greedy = {0};
    irori_session_free(w->s);
    w->s = NULL;
    int rc = irori_session_new(&w->s, w->m, w->o->seed ? &drawn : &greedy, e);
    return !rc && w->o->hold && g ? irori_session_set_grammar(w->s, g, e) : rc;
}

static int answer(work *w, const json_t *item, irori_grammar *g, irori_error *e)
{
    int32_t *ids;
    size_t count;
    int rc = prompt_ids(w, item, &ids, &count, e);
    if (rc)
        return rc;
    rc = new_session(w, g, e);
    if (!rc)
        rc = eval_answer(w->s, ids, count, w->o->max_tokens ? (size_t)w->o->max_tokens : USUAL_TOKENS,
                         &w->text, e);
    irori_free(ids);
    return rc;
}

// ---- Counting ------------------------------------------------------------------------------------------------------
static size_t trimmed(const char **p, size_t n)
{
    while (n && (unsigned char)**p <= ' ') {
        ++*p;
        n--;
    }
    while (n && (unsigned char)(*p)[n - 1] <= ' ')
        n--;
    return n;
}

static int count_wanted(kind *k, const char *text, size_t n, const char *wanted, irori_error *e)
{
    size_t m = trimmed(&wanted, strlen(wanted));
    k->wanted++;
    k->exact += n == m && memcmp(text, wanted, n) == 0;
    return bleu_add(&k->bleu, text, n, wanted, m, (err *)(void *)e);
}

static int count_schema(kind *k, const char *text, size_t n, irori_grammar *g, irori_error *e)
{
    json_t *v = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool fits = true;
    int rc = v ? irori_grammar_check(g, text, n, &fits, e) : IRORI_OK;
    k->schemas++;
    k->broken += !v;
    k->unmet += v && !fits;
    json_decref(v);
    return rc;
}

static void keep(work *w, const json_t *item, const char *text, size_t n)
{
    buf line;
    json_writer j;
    const json_t *prompt = json_object_get(item, "prompt");
    char *asked = json_dumps(prompt ? prompt : json_object_get(item, "messages"),
                             JSON_COMPACT | JSON_ENCODE_ANY);
    buf_init(&line);
    json_begin(&j, &line);
    json_obj(&j);
    json_key(&j, "prompt");
    json_raw(&j, asked ? asked : "null", asked ? strlen(asked) : 4);
    json_key(&j, "given");
    json_strn(&j, text, n);
    json_end(&j);
    buf_add_char(&line, '\n');
    if (!line.failed)
        fwrite(line.data, 1, line.len, w->answers);
    buf_done(&line);
    free(asked);
}

static int run_item(work *w, const json_t *item, irori_error *e)
{
    kind *k = kind_of(w, item);
    irori_grammar *g;
    buf first;
    int rc = schema_of(w, item, &g, e), times = w->o->repetitions ? w->o->repetitions : 1;
    bool changed = false;
    buf_init(&first);
    for (int i = 0; !rc && i < times; i++) {
        rc = answer(w, item, g, e);
        if (i == 0)
            buf_add(&first, w->text.data, w->text.len);
        changed |= first.len != w->text.len ||
                   (first.len && memcmp(first.data, w->text.data, first.len) != 0);
    }
    const char *text = first.len ? first.data : "",
               *wanted = json_string_value(json_object_get(item, "answer"));
    size_t n = trimmed(&text, first.len);
    k->items++;
    k->changed += changed;
    if (!rc && wanted)
        rc = count_wanted(k, text, n, wanted, e);
    if (!rc && g)
        rc = count_schema(k, text, n, g, e);
    if (!rc && w->answers)
        keep(w, item, text, n);
    buf_done(&first);
    irori_grammar_free(g);
    return rc;
}

static void add_rows(const work *w, report *r)
{
    for (int i = 0; i < w->n_kinds; i++) {
        const kind *k = &w->kinds[i];
        if (k->wanted) {
            samples score = {0};
            eval_add_share(r, k->name, "exact", k->exact, k->wanted);
            samples_add(&score, bleu_score(&k->bleu));
            report_add(r, k->name, "bleu", true, &score);
            samples_done(&score);
        }
        if (k->schemas) {
            eval_add_share(r, k->name, "json_broken", k->broken, k->schemas);
            eval_add_share(r, k->name, "schema_unmet", k->unmet, k->schemas);
        }
        if (w->o->repetitions > 1)
            eval_add_share(r, k->name, "changed", k->changed, k->items);
    }
}

// ---- The file ------------------------------------------------------------------------------------------------------
static int run_line(work *w, const char *line, size_t n, size_t number, irori_error *e)
{
    json_error_t why;
    json_t *item = json_loadb(line, n, 0, &why);
    int rc = json_is_object(item) ? run_item(w, item, e)
                                  : err_set((err *)(void *)e, ST_FORMAT, "it is no JSON object");
    json_decref(item);
    if (rc)
        err_prefix((err *)(void *)e, "%s: line %zu", w->o->file, number);
    return rc;
}

static int run_lines(work *w, const char *text, size_t n, irori_error *e)
{
    int rc = IRORI_OK;
    size_t number = 0, done = 0;
    cli_progress bar;
    cli_progress_start(&bar, "answering");
    for (const char *at = text, *end; !rc && at < text + n; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + n - at));
        end = end ? end : text + n;
        number++;
        cli_progress_step(&bar, (uint64_t)(at - text), n);
        if (end == at)
            continue;
        if (w->o->chunks && done++ == (size_t)w->o->chunks)
            break;
        rc = run_line(w, at, (size_t)(end - at), number, e);
    }
    cli_progress_end(&bar);
    return rc;
}

int eval_answers(const cli_options *o, irori_model *m, report *r, irori_error *e)
{
    work w = {.o = o, .m = m};
    char *text;
    size_t n;
    int rc = os_read_file(o->file, MOST_FILE, &text, &n, (err *)(void *)e);
    if (rc)
        return rc;
    w.answers = o->output ? fopen(o->output, "wb") : NULL;
    if (o->output && !w.answers)
        rc = err_set((err *)(void *)e, ST_IO, "%s: %s", o->output, strerror(errno));
    if (!rc)
        rc = run_lines(&w, text, n, e);
    if (w.answers && (ferror(w.answers) | fclose(w.answers)) && !rc)
        rc = err_set((err *)(void *)e, ST_IO, "%s: the answers could not be written", o->output);
    if (!rc)
        add_rows(&w, r);
    irori_session_free(w.s);
    buf_done(&w.text);
    mem_free(text);
    return rc;
}

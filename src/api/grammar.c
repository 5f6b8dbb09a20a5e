// Grammars of sessions: compiling them, and moving them along with what is generated.
#include <pthread.h>
#include <string.h>

#include "api/own.h"

struct irori_grammar {
    gram *g;
};

// Any thread may compile a grammar while another runs the model.
static pthread_mutex_t vocab_lock = PTHREAD_MUTEX_INITIALIZER;

static int need_vocab(irori_model *m, err *e)
{
    pthread_mutex_lock(&vocab_lock);
    int rc = m->vocab ? ST_OK : gram_vocab_new(&m->vocab, m->tok, e);
    pthread_mutex_unlock(&vocab_lock);
    return rc;
}

static gram_word word_of(const irori_model *m, const char *text)
{
    gram_word w = {.word = text, .n = text ? strlen(text) : 0, .token = -1};
    int32_t token = w.n ? tok_find(m->tok, text, w.n) : -1;
    if (token >= 0 && tok_is_control(m->tok, token))
        w.token = token;
    return w;
}

static gram_harmony harmony_of(const irori_model *m)
{
    return (gram_harmony){word_of(m, "<|start|>"), word_of(m, "<|channel|>"), word_of(m, "<|constrain|>"),
                          word_of(m, "<|message|>"), word_of(m, "<|end|>")};
}

// What stands before the grammar; *harmony is its memory.
static gram_lead lead_of(const irori_model *m, const char *after, gram_harmony *harmony)
{
    if (!after || strcmp(after, IRORI_HARMONY_FINAL) != 0)
        return (gram_lead){.word = word_of(m, after)};
    *harmony = harmony_of(m);
    return (gram_lead){.harmony = harmony};
}

int irori_grammar_new(irori_grammar **out, irori_model *m, irori_grammar_kind kind, const char *text,
                      size_t bytes, const char *after, irori_error *error)
{
    err *e = api_err(error);
    *out = NULL;
    int rc = need_vocab(m, e);
    if (rc)
        return rc;
    irori_grammar *g = mem_calloc(MEM_GRAMMAR, 1, sizeof *g);
    if (!g)
        return err_set(e, ST_NOMEM, "no memory for a grammar");
    gram_harmony harmony;
    gram_lead lead = lead_of(m, after, &harmony);
    switch (kind) {
    case IRORI_GRAMMAR_JSON: rc = gram_compile_json(&g->g, m->vocab, lead, e); break;
    case IRORI_GRAMMAR_JSON_SCHEMA:
        rc = gram_compile_json_schema(&g->g, m->vocab, lead, text, bytes, e);
        break;
    case IRORI_GRAMMAR_REGEX: rc = gram_compile_regex(&g->g, m->vocab, lead, text, bytes, e); break;
    case IRORI_GRAMMAR_GBNF: rc = gram_compile_gbnf(&g->g, m->vocab, lead, text, bytes, e); break;
    default: rc = err_set(e, ST_INVALID, "grammar kind %d is not known", (int)kind);
    }
    if (rc) {
        mem_free(g);
        return rc;
    }
    *out = g;
    return ST_OK;
}

int irori_grammar_check(irori_grammar *g, const char *text, size_t bytes, bool *fits, irori_error *error)
{
    gram_state *s;
    err *e = api_err(error);
    *fits = false;
    int rc = gram_state_new(&s, g->g, e);
    if (rc)
        return rc;
    rc = bytes ? gram_state_accept_bytes(s, text, bytes, e) : ST_OK;
    if (!rc)
        *fits = gram_state_may_end(s);
    gram_state_free(s);
    return rc == ST_INVALID ? ST_OK : rc;  // a byte that fits nowhere is an answer
}

static int compile_calls(gram **out, irori_model *m, const irori_calls *c, const char *after, err *e)
{
    gram_tool *tools = mem_calloc(MEM_GRAMMAR, c->n_tools + 1, sizeof *tools);
    if (!tools)
        return err_set(e, ST_NOMEM, "no memory for a grammar");
    for (size_t i = 0; i < c->n_tools; i++)
        tools[i] = (gram_tool){c->tools[i].name, c->tools[i].schema,
                               c->tools[i].schema ? c->tools[i].schema_bytes : 0};
    gram_harmony harmony = harmony_of(m), before;
    gram_calls inner = {.open = word_of(m, c->open),
                        .harmony = c->harmony ? &harmony : NULL,
                        .begin = c->begin,
                        .before_name = c->before_name,
                        .before_arguments = word_of(m, c->before_arguments),
                        .close = c->close,
                        .next = c->next,
                        .end = c->end,
                        .think = c->think,
                        .unthink = c->unthink,
                        .raw = c->raw,
                        .bare = c->bare,
                        .text_after = c->text_after,
                        .must = c->must,
                        .many = c->many,
                        .tool = tools,
                        .n_tools = c->n_tools};
    int rc = gram_compile_calls(out, m->vocab, lead_of(m, after, &before), &inner, e);
    mem_free(tools);
    return rc;
}

int irori_grammar_new_calls(irori_grammar **out, irori_model *m, const irori_calls *calls, const char *after,
                            irori_error *error)
{
    err *e = api_err(error);
    *out = NULL;
    if (calls->n_tools == 0 || (!calls->harmony && !*calls->open))
        return err_set(e, ST_INVALID, "a grammar of calls needs a tool and a word that opens calls");
    int rc = need_vocab(m, e);
    if (rc)
        return rc;
    irori_grammar *g = mem_calloc(MEM_GRAMMAR, 1, sizeof *g);
    if (!g)
        return err_set(e, ST_NOMEM, "no memory for a grammar");
    rc = compile_calls(&g->g, m, calls, after, e);
    if (rc)
        mem_free(g);
    else
        *out = g;
    return rc;
}

void irori_grammar_free(irori_grammar *g)
{
    if (!g)
        return;
    gram_free(g->g);
    mem_free(g);
}

gram *api_grammar_inner(irori_grammar *g)
{
    return g->g;
}

int api_grammar_room(irori_session *s, err *e)
{
    size_t words = ((size_t)api_vocab(s->m) + 31) / 32;
    if (!s->mask && !(s->mask = mem_alloc(MEM_GRAMMAR, words * sizeof *s->mask)))
        return err_set(e, ST_NOMEM, "no memory for the mask of a grammar");
    return ST_OK;
}

int irori_session_set_grammar(irori_session *s, irori_grammar *g, irori_error *error)
{
    err *e = api_err(error);
    gram_state *fresh = NULL;
    int rc = g ? api_grammar_room(s, e) : ST_OK;
    if (!rc && g)
        rc = gram_state_new(&fresh, g->g, e);
    if (rc)
        return rc;
    gram_state_free(s->grammar);
    s->grammar = fresh;
    s->grammar_from = s->count;
    return ST_OK;
}

int api_grammar_mask(irori_session *s, const uint32_t **allowed, err *e)
{
    *allowed = NULL;
    if (!s->grammar)
        return ST_OK;
    size_t vocab = (size_t)api_vocab(s->m);
    int rc = gram_state_mask(s->grammar, s->mask, vocab, e);
    if (rc)
        return rc;
    uint32_t any = 0;
    for (size_t i = 0; i < (vocab + 31) / 32; i++)
        any |= s->mask[i];
    if (!any)
        return err_set(e, ST_INVALID, "no token of the vocabulary fits the grammar here%s",
                       gram_state_may_end(s->grammar) ? ", and it has no end token" : "");
    *allowed = s->mask;
    return ST_OK;
}

int api_grammar_accept(irori_session *s, int32_t id, err *e)
{
    return s->grammar ? gram_state_accept(s->grammar, id, e) : ST_OK;
}

void api_grammar_take_back(irori_session *s, size_t steps)
{
    if (s->grammar)
        gram_state_rollback(s->grammar, steps);
}

void api_grammar_restart(irori_session *s)
{
    if (s->grammar)
        gram_state_rollback(s->grammar, gram_state_steps(s->grammar));
    s->grammar_from = s->count;
}

void api_grammar_truncate(irori_session *s, size_t count)
{
    if (count <= s->grammar_from) {
        s->count = count;
        api_grammar_restart(s);
    } else {
        api_grammar_take_back(s, s->count - count);
    }
}

int api_grammar_forced(irori_session *s, tok_ids *ids, size_t room, err *e)
{
    return s->grammar && room ? gram_state_forced_tokens(s->grammar, s->m->tok, ids, room, e) : ST_OK;
}

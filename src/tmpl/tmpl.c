// The door: parse, render, free. A render gives its variables to the statements, then cuts what they printed
// into segments of one origin.
#include "tmpl/tmpl.h"

#include <jansson.h>
#include <string.h>

#include "tmpl/rt.h"

enum { SOURCE_MAX = 4 << 20 };

static const size_t PARSE_MEMORY = (size_t)1 << 30;     // far above what SOURCE_MAX can need
static const size_t RENDER_MEMORY = (size_t)256 << 20;  // plus RENDER_PER_BYTE times the input
enum { RENDER_PER_BYTE = 64 };

// Everything that may escape happens in here; the caller's variables are out of longjmp's way.
static int parse_guarded(heap *h, tmpl *t, const char *src, size_t n)
{
    int code = setjmp(h->escape);
    if (code == 0)
        t->body = tmpl_parse_source(h, t, src, n);
    return code;
}

int tmpl_parse(tmpl **out, const char *src, size_t n, err *e)
{
    *out = NULL;
    if (n > SOURCE_MAX)
        return err_set(e, ST_LIMIT, "a template of %zu bytes (at most %d)", n, SOURCE_MAX);
    heap *h = mem_calloc(MEM_TEMPLATE, 1, sizeof *h);
    tmpl *t = mem_calloc(MEM_TEMPLATE, 1, sizeof *t);
    int rc = h && t ? hash_map_init(&t->ids, MEM_TEMPLATE, 64) : ST_NOMEM;
    if (rc != ST_OK) {
        mem_free(h);
        mem_free(t);
        return err_set(e, rc, "no memory for a template");
    }
    arena_init(&h->arena, MEM_TEMPLATE);
    h->limit = PARSE_MEMORY;
    h->e = e;
    rc = parse_guarded(h, t, src, n);
    t->arena = h->arena;
    mem_free(h);
    if (rc != ST_OK)
        tmpl_free(t);
    else
        *out = t;
    return rc;
}

void tmpl_free(tmpl *t)
{
    if (!t)
        return;
    arena_done(&t->arena);
    hash_map_done(&t->ids);
    mem_free(t);
}

static void give(rt *r, const char *name, value v)
{
    int32_t id = hash_map_get(&r->t->ids, name, strlen(name));
    if (id >= 0)
        r->vars[id] = v;
}

static value trusted_text(rt *r, const char *s, const char *what)
{
    uint32_t cp;
    size_t n = strlen(s), k;
    for (size_t at = 0; at < n; at += k)
        if ((k = utf8_decode(s + at, n - at, &cp)) == 0)
            tmpl_fail(&r->h, ST_INVALID, "%s is not UTF-8 at byte %zu", what, at);
    return val_str(tmpl_str(&r->h, s, n, TMPL_TRUSTED));
}

static bool plain_word(const str *s)
{
    for (size_t i = 0; i < s->n; i++) {
        char c = s->p[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

// A role comes from the caller's program, not from a user; but only a plain word is believed.
static void trust_role(rt *r, value message)
{
    value *role = message.type == V_DICT ? tmpl_dict_name(&r->h, message.d, "role") : NULL;
    if (role && role->type == V_STR && plain_word(role->s))
        *role = val_str(tmpl_str(&r->h, role->s->p, role->s->n, TMPL_TRUSTED));
}

static value load(rt *r, const char *json, const char *what, int type, const char *shape)
{
    value v = tmpl_json_load(&r->h, json, strlen(json), ST_INVALID, what);
    if (v.type != type)
        tmpl_fail(&r->h, ST_INVALID, "%s must be a JSON %s, not %s", what, shape, tmpl_type_name(v));
    return v;
}

static void give_inputs(rt *r)
{
    const tmpl_input *in = r->in;
    give(r, "tools", VAL_NONE);
    give(r, "documents", VAL_NONE);
    if (in->extra_json) {
        const dict *d = load(r, in->extra_json, "extra_json", V_DICT, "object").d;
        for (size_t i = 0; i < d->n; i++) {
            const str *name = d->e[i].key.s;
            int32_t id = hash_map_get(&r->t->ids, name->n ? name->p : "", name->n);
            if (id >= 0)
                r->vars[id] = d->e[i].val;
        }
    }
    value messages = load(r, in->messages_json, "messages_json", V_LIST, "array");
    for (size_t i = 0; i < messages.l->n; i++)
        trust_role(r, messages.l->v[i]);
    give(r, "messages", messages);
    if (in->tools_json)
        give(r, "tools", load(r, in->tools_json, "tools_json", V_LIST, "array"));
    give(r, "add_generation_prompt", val_bool(in->add_generation_prompt));
    if (in->bos_token)
        give(r, "bos_token", trusted_text(r, in->bos_token, "bos_token"));
    if (in->eos_token)
        give(r, "eos_token", trusted_text(r, in->eos_token, "eos_token"));
}

static int32_t special(const tmpl *t, const char *name)
{
    return hash_map_get(&t->ids, name, strlen(name));
}

static int render_guarded(rt *r, strbuf *out)
{
    int code = setjmp(r->h.escape);
    if (code != 0)
        return code;
    *out = tmpl_sb(&r->h);
    r->out = out;
    r->vars = tmpl_array(&r->h, (size_t)r->t->n_names, sizeof *r->vars);
    r->id_loop = special(r->t, "loop");
    r->id_caller = special(r->t, "caller");
    r->id_kwargs = special(r->t, "kwargs");
    r->id_varargs = special(r->t, "varargs");
    tmpl_globals(r);
    give_inputs(r);
    tmpl_exec(r, &r->t->body);
    return ST_OK;
}

static int take_output(const strbuf *b, tmpl_output *out, err *e)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < b->n; i++)
        n += i == 0 || b->o[i] != b->o[i - 1];
    out->text = mem_strndup(MEM_TEMPLATE, b->n ? b->p : "", b->n);
    out->segments = mem_calloc(MEM_TEMPLATE, n, sizeof *out->segments);
    if (!out->text || !out->segments) {
        tmpl_output_done(out);
        return err_set(e, ST_NOMEM, "no memory for %zu bytes of rendered text", b->n);
    }
    out->len = b->n;
    out->n_segments = n;
    for (size_t k = 0; k < n; k++) {
        tmpl_segment *s = &out->segments[k];
        *s = (tmpl_segment){.from = at, .origin = b->o[at] == TMPL_DATA ? TMPL_DATA : TMPL_TRUSTED};
        while (at < b->n && b->o[at] == b->o[s->from])
            at++;
        s->len = at - s->from;
    }
    return ST_OK;
}

int tmpl_render(const tmpl *t, const tmpl_input *in, tmpl_output *out, err *e)
{
    *out = (tmpl_output){0};
    if (!in->messages_json)
        return err_set(e, ST_INVALID, "messages_json is missing");
    rt *r = mem_calloc(MEM_TEMPLATE, 1, sizeof *r);
    if (!r)
        return err_set(e, ST_NOMEM, "no memory to render a template");
    r->t = t;
    r->in = in;
    arena_init(&r->h.arena, MEM_TEMPLATE);
    size_t given = strlen(in->messages_json) + (in->tools_json ? strlen(in->tools_json) : 0) +
                   (in->extra_json ? strlen(in->extra_json) : 0);
    r->h.limit = RENDER_MEMORY + given * RENDER_PER_BYTE;
    r->h.e = e;
    strbuf text = {0};
    int rc = render_guarded(r, &text);
    if (rc == ST_OK)
        rc = take_output(&text, out, e);
    json_decref(r->h.json);
    arena_done(&r->h.arena);
    mem_free(r);
    return rc;
}

void tmpl_output_done(tmpl_output *out)
{
    mem_free(out->text);
    mem_free(out->segments);
    *out = (tmpl_output){0};
}

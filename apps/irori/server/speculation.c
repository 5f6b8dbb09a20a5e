// GET and POST /v1/speculation: whether a model guesses ahead (docs/SPECULATION.md) while one answer is made alone.
#include <math.h>

#include "put.h"
#include "server/server.h"

static void answer_state(incoming *c, const models_open *m)
{
    irori_scheduler_stats st;
    json_writer w;
    buf b;
    irori_scheduler_get_stats(m->scheduler, &st);
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "object", "speculation");
    put_str(&w, "model", m->name);
    put_bool(&w, "on", irori_scheduler_guesses(m->scheduler));
    put_int(&w, "guessed_tokens", (int64_t)st.guessed_tokens);
    put_int(&w, "accepted_tokens", (int64_t)st.accepted_tokens);
    json_end(&w);
    answer_json(c->r, 200, &b);
}

static const models_open *use(incoming *c, const char *name)
{
    const models_open *m;
    double took;
    err e;
    if (models_use(c->s->models, name, NAN, &m, &took, &e)) {
        answer_status(c, &e);
        return NULL;
    }
    return m;
}

void route_speculation(incoming *c)
{
    const models_open *m = use(c, http_query(c->r, "model"));
    if (!m)
        return;
    answer_state(c, m);
    models_release(c->s->models, m);
}

void route_speculation_set(incoming *c)
{
    fields f = fields_of(c->body);
    const char *name = fields_text(&f, "model", NULL);
    bool on = fields_bool(&f, "on", false);
    if (!fields_get(&f, "on"))
        fields_wrong(&f, "on", "on must be true or false");
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    const models_open *m = use(c, name);
    if (!m)
        return;
    models_set_guess(c->s->models, m, on);
    answer_state(c, m);
    models_release(c->s->models, m);
}

// GET and POST /v1/kv/policy: how a model keeps keys and values, and what that comes to.
#include <math.h>

#include "server/sse.h"

static void put_stats(json_writer *w, const irori_scheduler_stats *st)
{
    static const char *const level[] = {"f16", "q8", "q4", "q2", "absent"};
    const irori_kv_stats *k = &st->kv;
    json_key(w, "kv");
    json_obj(w);
    put_int(w, "resident_bytes", (int64_t)k->resident_bytes);
    put_int(w, "f16_bytes", (int64_t)k->f16_bytes);
    put_int(w, "spilled_bytes", (int64_t)k->spilled_bytes);
    put_int(w, "shared_bytes", (int64_t)k->shared_bytes);
    put_int(w, "idle_bytes", (int64_t)k->idle_bytes);
    put_int(w, "limit_bytes", (int64_t)st->kv_total_bytes);
    json_key(w, "bits");
    json_num(w, k->bits);
    json_key(w, "blocks");
    json_obj(w);
    for (size_t i = 0; i < COUNT_OF(level); i++)
        put_int(w, level[i], (int64_t)k->blocks[i]);
    json_end(w);
    put_int(w, "demotions", (int64_t)k->demotions);
    put_int(w, "promotions", (int64_t)k->promotions);
    json_key(w, "spill_full");
    json_bool(w, k->spill_full);
    json_end(w);
}

static void answer_policy(incoming *c, const models_open *m)
{
    char *text[2];
    err e;
    json_writer w;
    buf b;
    irori_scheduler_stats st;
    if (models_get_kv(c->s->models, m, text, &e)) {
        answer_status(c, &e);
        return;
    }
    irori_scheduler_get_stats(m->scheduler, &st);
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "object", "kv.policy");
    put_str(&w, "model", m->name);
    put_str(&w, "policy", text[0]);
    put_str(&w, "budget", text[1]);
    put_stats(&w, &st);
    json_end(&w);
    mem_free(text[0]);
    mem_free(text[1]);
    answer_json(c->r, 200, &b);
}

void route_kv_policy(incoming *c)
{
    const models_open *m;
    double took;
    err e;
    if (models_use(c->s->models, http_query(c->r, "model"), NAN, &m, &took, &e)) {
        answer_status(c, &e);
        return;
    }
    answer_policy(c, m);
    models_release(c->s->models, m);
}

void route_kv_policy_set(incoming *c)
{
    const models_open *m;
    double took;
    err e;
    fields f = fields_of(c->body);
    const char *model = fields_text(&f, "model", NULL), *policy = fields_text(&f, "policy", NULL);
    const char *budget = fields_text(&f, "budget", "");
    if (!policy)
        fields_wrong(&f, "policy", "policy must be a text: f16, uniform:q8, window:1024, h2o, staged, ...");
    if (f.wrong) {
        answer_field(c, &f);
        return;
    }
    if (models_use(c->s->models, model, NAN, &m, &took, &e)) {
        answer_status(c, &e);
        return;
    }
    if (models_set_kv(c->s->models, m, policy, budget, &e))
        answer_status(c, &e);
    else
        answer_policy(c, m);
    models_release(c->s->models, m);
}

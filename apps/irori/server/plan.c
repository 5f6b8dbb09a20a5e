// GET /v1/plan: this machine, and the models of the catalogue. ?catalogue=NAME: one of them in each mix, before it is
// pulled. ?model=NAME: a model that is there, before it is opened. Only headers are read, and nothing is measured where
// `irori plan` has not measured the machine.
#include "plan_json.h"

#include <string.h>

#include "put.h"
#include "server/server.h"
#include "store/store.h"

static void put_text_of(json_writer *w, const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    put_str(w, key, text ? text : "");
}

// Each mix of an entry of the catalogue: its bytes, and whether there is room.
static void put_mixes(json_writer *w, const irori_shape *shape, const irori_model_options *mo)
{
    json_key(w, "mixes");
    json_arr(w);
    for (int i = 0; plan_mix(i); i++) {
        irori_plan p;
        irori_plan_options po = {.memory_only = true, .quantization = plan_mix(i)};
        if (irori_plan_shape(&p, shape, mo, &po, NULL))
            continue;
        json_obj(w);
        put_str(w, "quantization", plan_mix(i));
        put_int(w, "model_bytes", (int64_t)p.model_bytes);
        put_int(w, "needs_bytes", (int64_t)p.needs_bytes);
        put_int(w, "has_bytes", (int64_t)p.has_bytes);
        put_bool(w, "fits", p.fits);
        json_end(w);
    }
    json_end(w);
}

static void put_entry(json_writer *w, const json_t *entry)
{
    put_text_of(w, entry, "name");
    put_text_of(w, entry, "licence");
    put_text_of(w, entry, "use");
    put_text_of(w, entry, "languages");
    put_num(w, "parameters", json_number_value(json_object_get(entry, "parameters")));
}

static void put_catalogue(json_writer *w)
{
    json_t *entries = plan_catalogue(), *entry;
    size_t i;
    json_key(w, "catalogue");
    json_arr(w);
    json_array_foreach(entries, i, entry)
    {
        json_obj(w);
        put_entry(w, entry);
        json_end(w);
    }
    json_end(w);
    json_decref(entries);
}

static const json_t *find_entry(const json_t *entries, const char *name)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *its = json_string_value(json_object_get(entry, "name"));
        if (its && strcmp(its, name) == 0)
            return entry;
    }
    return NULL;
}

static void answer_entry(incoming *c, const char *name)
{
    const irori_model_options mo = models_usual(c->s->models);
    json_t *entries = plan_catalogue();
    const json_t *entry = find_entry(entries, name);
    if (entry) {
        irori_shape shape = plan_shape(entry);
        json_writer w;
        buf b;
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_str(&w, "object", "plan.catalogue");
        put_entry(&w, entry);
        put_mixes(&w, &shape, &mo);
        json_end(&w);
        answer_json(c->r, 200, &b);
    } else {
        answer_error(c->r, c->family, 404, NULL, "catalogue", "the catalogue has no \"%.100s\"", name);
    }
    json_decref(entries);
}

static void answer_machine(incoming *c)
{
    const irori_model_options mo = models_usual(c->s->models);
    irori_machine machine;
    err e;
    json_writer w;
    buf b;
    if (irori_machine_get(&machine, &mo, 0, (irori_error *)(void *)&e)) {
        answer_status(c, &e);
        return;
    }
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    put_str(&w, "object", "plan.machine");
    put_int(&w, "memory_budget", (int64_t)models_budget(c->s->models));
    json_key(&w, "machine");
    plan_put_machine(&w, &machine);
    put_catalogue(&w);
    json_end(&w);
    answer_json(c->r, 200, &b);
}

void route_plan(incoming *c)
{
    const char *name = http_query(c->r, "model"), *entry = http_query(c->r, "catalogue");
    irori_plan p;
    irori_machine machine;
    json_t *file;
    err e;
    if (entry) {
        answer_entry(c, entry);
        return;
    }
    if (!name) {
        answer_machine(c);
        return;
    }
    const irori_model_options mo = models_usual(c->s->models);
    bool measured = !irori_machine_get(&machine, &mo, 0, NULL) && machine.probed[0];
    bool stored;
    if (models_describe(c->s->models, name, &file, &e)) {
        answer_status(c, &e);
        return;
    }
    if (models_plan(c->s->models, name, !measured, &p, &stored, &e)) {
        json_decref(file);
        answer_status(c, &e);
        return;
    }
    const char *license = json_string_value(json_object_get(file, "license"));
    json_writer w;
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    plan_put(&w, &p);
    put_str(&w, "object", "plan");
    put_str(&w, "model", name);
    put_bool(&w, "stored", stored);
    put_str(&w, "license", license ? license : "");
    put_str(&w, "use", store_license_text(store_license_of(license)));
    if (measured) {
        json_key(&w, "speed");
        plan_put_speed(&w, &p, MIN(512, p.context), MIN(512, p.context));
    }
    json_end(&w);
    json_decref(file);
    answer_json(c->r, 200, &b);
}

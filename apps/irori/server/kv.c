// GET and POST /v1/kv/policy: how a model keeps keys and values, and what that comes to. GET /v1/kv/pages: its pages.
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

// ---- Pages, to be drawn ----

enum { MOST_PAGES = 4096 };

typedef struct page_list {
    irori_kv_page *pages;  // [MOST_PAGES]
    size_t n;              // there are
} page_list;

// On the scheduler's thread, between two steps.
static void list_pages(void *ctx, irori_model *m)
{
    page_list *l = ctx;
    l->n = irori_model_kv_pages(m, l->pages, NULL, MOST_PAGES);
}

static void put_page(json_writer *w, const irori_kv_page *p)
{
    json_obj(w);
    put_int(w, "sequence", (int64_t)p->sequence);
    put_int(w, "position", p->position);
    put_int(w, "tokens", p->tokens);
    put_int(w, "page", p->page);
    put_bool(w, "shared", p->shared);
    put_num(w, "attention", (double)p->attention);
    json_key(w, "bits");
    json_arr(w);
    json_num(w, (double)p->bits[0]);
    json_num(w, (double)p->bits[1]);
    json_end(w);
    json_end(w);
}

void route_kv_pages(incoming *c)
{
    const models_open *m;
    err e;
    json_writer w;
    buf b;
    if (models_use_open(c->s->models, http_query(c->r, "model"), &m, &e)) {
        answer_status(c, &e);
        return;
    }
    page_list l = {.pages = mem_calloc(MEM_OTHER, MOST_PAGES, sizeof *l.pages)};
    if (!l.pages) {
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
    } else if (irori_scheduler_call(m->scheduler, list_pages, &l)) {
        answer_error(c->r, c->family, 503, NULL, NULL, "the server is stopping");
    } else {
        buf_init(&b);
        json_begin(&w, &b);
        json_obj(&w);
        put_str(&w, "object", "kv.pages");
        put_str(&w, "model", m->name);
        put_int(&w, "total", (int64_t)l.n);
        json_key(&w, "pages");
        json_arr(&w);
        for (size_t i = 0; i < MIN(l.n, (size_t)MOST_PAGES); i++)
            put_page(&w, &l.pages[i]);
        json_end(&w);
        json_end(&w);
        answer_json(c->r, 200, &b);
    }
    mem_free(l.pages);
    models_release(c->s->models, m);
}

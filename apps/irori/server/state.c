// What the server says of itself: health, models, metrics, slots, properties.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/sessions.h"
#include "server/sse.h"

void route_health(incoming *c)
{
    static const char text[] = "{\"status\":\"ok\"}";
    http_answer(c->r, 200, "application/json", text, sizeof text - 1);
}

static void put_model(json_writer *w, const models_item *m)
{
    json_obj(w);
    put_str(w, "id", m->name);
    put_str(w, "object", "model");
    put_int(w, "created", m->file_time);
    put_str(w, "owned_by", "local");
    put_bool(w, "loaded", m->is_open);
    put_bool(w, "stays", m->always);
    put_int(w, "bytes", (int64_t)(m->is_open ? m->bytes : m->file_bytes));
    json_end(w);
}

static void list_models(incoming *c, const char *only)
{
    models_item *list;
    size_t n;
    err e;
    json_writer w;
    buf b;
    bool found = false;
    if (models_list(c->s->models, &list, &n, &e)) {
        answer_status(c, &e);
        return;
    }
    buf_init(&b);
    json_begin(&w, &b);
    if (!only) {
        json_obj(&w);
        put_str(&w, "object", "list");
        json_key(&w, "data");
        json_arr(&w);
    }
    for (size_t i = 0; i < n; i++)
        if (!only || strcmp(list[i].name, only) == 0) {
            put_model(&w, &list[i]);
            found = true;
            if (only)
                break;
        }
    models_list_free(list, n);
    if (!only) {
        json_end(&w);
        json_end(&w);
    }
    if (only && !found) {
        buf_done(&b);
        answer_error(c->r, c->family, 404, "model_not_found", "model", "model \"%.200s\" not found", only);
        return;
    }
    answer_json(c->r, 200, &b);
}

void route_models(incoming *c)
{
    list_models(c, NULL);
}

void route_model(incoming *c)
{
    list_models(c, c->rest);
}

// ---- Metrics, in Prometheus' text format ----

typedef struct metric {
    const char *name, *kind, *help;
    double (*value)(const models_item *m);
} metric;

#define OF(name, expression)                      \
    static double of_##name(const models_item *m) \
    {                                             \
        return (double)(expression);              \
    }
OF(waiting, m->stats.waiting)
OF(reading, m->stats.reading)
OF(generating, m->stats.generating)
OF(slots, m->stats.slots)
OF(accepted, m->stats.accepted)
OF(refused, m->stats.refused)
OF(finished, m->stats.finished)
OF(canceled, m->stats.canceled)
OF(failed, m->stats.failed)
OF(prompt, m->stats.prompt_tokens)
OF(cached, m->stats.cached_tokens)
OF(completion, m->stats.completion_tokens)
OF(steps, m->stats.steps)
OF(step_tokens, m->stats.step_tokens)
OF(guessed, m->stats.guessed_tokens)
OF(accepted_guesses, m->stats.accepted_tokens)
OF(kv, m->stats.kv_bytes)
OF(kv_shared, m->stats.kv_shared_bytes)
OF(kv_idle, m->stats.kv_idle_bytes)
OF(kv_promised, m->stats.kv_promised_bytes)
OF(kv_total, m->stats.kv_total_bytes)
OF(kv_resident, m->stats.kv.resident_bytes)
OF(kv_f16, m->stats.kv.f16_bytes)
OF(kv_spilled, m->stats.kv.spilled_bytes)
OF(kv_bits, m->stats.kv.bits)
OF(kv_promotions, m->stats.kv.promotions)
OF(kv_demotions, m->stats.kv.demotions)
OF(bytes, m->bytes)

static const metric metrics[] = {
    {"requests_waiting", "gauge", "requests in the queue", of_waiting},
    {"requests_reading", "gauge", "requests whose prompts are being read", of_reading},
    {"answers_generating", "gauge", "answers being made", of_generating},
    {"slots", "gauge", "answers that can be made at once", of_slots},
    {"requests_accepted_total", "counter", "requests queued", of_accepted},
    {"requests_refused_total", "counter", "requests refused because the queue was full", of_refused},
    {"requests_finished_total", "counter", "requests answered", of_finished},
    {"requests_canceled_total", "counter", "requests cancelled or out of time", of_canceled},
    {"requests_failed_total", "counter", "requests that failed", of_failed},
    {"prompt_tokens_total", "counter", "tokens of prompts, known ones included", of_prompt},
    {"prompt_tokens_cached_total", "counter", "tokens of prompts that need not be run", of_cached},
    {"completion_tokens_total", "counter", "tokens generated", of_completion},
    {"steps_total", "counter", "passes through the model", of_steps},
    {"step_tokens_total", "counter", "tokens in them: over steps_total, the mean batch", of_step_tokens},
    {"guessed_tokens_total", "counter", "tokens run ahead of being chosen", of_guessed},
    {"guessed_tokens_accepted_total", "counter", "of these, chosen", of_accepted_guesses},
    {"kv_bytes", "gauge", "keys and values in use", of_kv},
    {"kv_shared_bytes", "gauge", "of these, held by several answers", of_kv_shared},
    {"kv_idle_bytes", "gauge", "kept for prompts that begin alike", of_kv_idle},
    {"kv_promised_bytes", "gauge", "promised to running requests", of_kv_promised},
    {"kv_limit_bytes", "gauge", "keys and values at most", of_kv_total},
    {"kv_resident_bytes", "gauge", "keys and values in memory, at the precision they have", of_kv_resident},
    {"kv_full_precision_bytes", "gauge", "what the same would take at full precision", of_kv_f16},
    {"kv_spilled_bytes", "gauge", "dropped precision in the spill file", of_kv_spilled},
    {"kv_bits", "gauge", "mean bits of a value in memory", of_kv_bits},
    {"kv_promotions_total", "counter", "blocks brought back to a finer level", of_kv_promotions},
    {"kv_demotions_total", "counter", "blocks taken to a coarser level", of_kv_demotions},
    {"model_bytes", "gauge", "memory counted against the budget", of_bytes},
};

static void label(buf *b, const char *name)
{
    buf_add_str(b, "{model=\"");
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            buf_add_char(b, '\\');
        buf_add_char(b, *name == '\n' ? ' ' : *name);
    }
    buf_add_char(b, '"');
}

static void add_histogram(buf *b, const char *name, const char *model, const irori_histogram *h)
{
    const double *bounds = irori_histogram_bounds();
    uint64_t sum = 0;
    for (int i = 0; i < IRORI_HISTOGRAM_BUCKETS; i++) {
        char bound[32] = "+Inf";
        sum += h->count[i];
        if (i + 1 < IRORI_HISTOGRAM_BUCKETS)
            snprintf(bound, sizeof bound, "%g", bounds[i]);
        buf_printf(b, "irori_%s_bucket", name);
        label(b, model);
        buf_printf(b, ",le=\"%s\"} %llu\n", bound, (unsigned long long)sum);
    }
    buf_printf(b, "irori_%s_sum", name);
    label(b, model);
    buf_printf(b, "} %.9g\nirori_%s_count", h->sum, name);
    label(b, model);
    buf_printf(b, "} %llu\n", (unsigned long long)sum);
}

static void add_histograms(buf *b, const char *name, const char *help, const models_item *list, size_t n,
                           size_t offset)
{
    buf_printf(b, "# HELP irori_%s %s\n# TYPE irori_%s histogram\n", name, help, name);
    for (size_t i = 0; i < n; i++)
        if (list[i].is_open)
            add_histogram(b, name, list[i].name,
                          (const irori_histogram *)(const void *)((const char *)&list[i].stats + offset));
}

static void add_levels(buf *b, const models_item *list, size_t n)
{
    static const char *const level[] = {"f16", "q8", "q4", "q2", "absent"};
    buf_add_str(b, "# HELP irori_kv_blocks blocks of 64 tokens of a layer's keys or values, by level\n"
                   "# TYPE irori_kv_blocks gauge\n");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; list[i].is_open && k < COUNT_OF(level); k++) {
            buf_add_str(b, "irori_kv_blocks");
            label(b, list[i].name);
            buf_printf(b, ",level=\"%s\"} %llu\n", level[k], (unsigned long long)list[i].stats.kv.blocks[k]);
        }
}

static void add_plain(buf *b, const char *name, const char *kind, const char *help, double value)
{
    buf_printf(b, "# HELP irori_%s %s\n# TYPE irori_%s %s\nirori_%s %.17g\n", name, help, name, kind, name,
               value);
}

static void add_server(buf *b, const server *s)
{
    irori_memory mem;
    uint64_t loads, unloads;
    irori_get_memory(NULL, &mem);
    models_counts(s->models, &loads, &unloads);
    add_plain(b, "uptime_seconds", "gauge", "since the server started", os_seconds() - s->started);
    add_plain(b, "connections", "gauge", "open connections", http_connections(s->http));
    add_plain(b, "resident_bytes", "gauge", "memory of the process", (double)mem.rss_bytes);
    add_plain(b, "sessions", "gauge", "sessions kept", (double)sessions_count(s->sessions));
    add_plain(b, "model_loads_total", "counter", "models opened", (double)loads);
    add_plain(b, "model_unloads_total", "counter", "models closed", (double)unloads);
    buf_add_str(
        b, "# HELP irori_http_answers_total answers by status\n# TYPE irori_http_answers_total counter\n");
    for (int i = 1; i < 6; i++)
        buf_printf(b, "irori_http_answers_total{status=\"%dxx\"} %llu\n", i,
                   (unsigned long long)atomic_load(&s->answered[i]));
}

void route_metrics(incoming *c)
{
    models_item *list;
    size_t n;
    err e;
    buf b;
    if (models_list(c->s->models, &list, &n, &e)) {
        answer_status(c, &e);
        return;
    }
    buf_init(&b);
    for (size_t k = 0; k < COUNT_OF(metrics); k++) {
        const metric *m = &metrics[k];
        buf_printf(&b, "# HELP irori_%s %s\n# TYPE irori_%s %s\n", m->name, m->help, m->name, m->kind);
        for (size_t i = 0; i < n; i++)
            if (list[i].is_open) {
                buf_printf(&b, "irori_%s", m->name);
                label(&b, list[i].name);
                buf_printf(&b, "} %.17g\n", m->value(&list[i]));
            }
    }
    add_levels(&b, list, n);
    add_histograms(&b, "first_token_seconds", "from arrival to the first token", list, n,
                   offsetof(irori_scheduler_stats, first_token));
    add_histograms(&b, "between_tokens_seconds", "from token to token of one answer", list, n,
                   offsetof(irori_scheduler_stats, between_tokens));
    add_histograms(&b, "queue_seconds", "from arrival to admission", list, n,
                   offsetof(irori_scheduler_stats, queue));
    models_list_free(list, n);
    add_server(&b, c->s);
    if (b.failed)
        answer_error(c->r, c->family, 503, NULL, NULL, "out of memory");
    else
        http_answer(c->r, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    buf_done(&b);
}

// ---- llama-server's views ----

void route_slots(incoming *c)
{
    models_item *list;
    size_t n;
    err e;
    json_writer w;
    buf b;
    if (models_list(c->s->models, &list, &n, &e)) {
        answer_status(c, &e);
        return;
    }
    buf_init(&b);
    json_begin(&w, &b);
    json_arr(&w);
    int id = 0;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; list[i].is_open && k < list[i].stats.slots; k++) {
            json_obj(&w);
            put_int(&w, "id", id++);
            put_str(&w, "model", list[i].name);
            put_bool(&w, "is_processing", k < list[i].stats.generating + list[i].stats.reading);
            json_end(&w);
        }
    json_end(&w);
    models_list_free(list, n);
    answer_json(c->r, 200, &b);
}

void route_props(incoming *c)
{
    const models_open *m;
    double took;
    err e;
    if (models_use(c->s->models, http_query(c->r, "model"), NAN, &m, &took, &e)) {
        answer_status(c, &e);
        return;
    }
    irori_scheduler_stats st;
    irori_scheduler_get_stats(m->scheduler, &st);
    json_writer w;
    buf b;
    buf_init(&b);
    json_begin(&w, &b);
    json_obj(&w);
    json_key(&w, "default_generation_settings");
    json_obj(&w);
    put_int(&w, "n_ctx", m->info.context);
    put_num(&w, "temperature", 1);
    put_num(&w, "min_p", 0.05);
    json_end(&w);
    put_int(&w, "total_slots", st.slots);
    put_str(&w, "model_alias", m->name);
    put_str(&w, "model_path", m->path);
    put_str(&w, "chat_template", m->chat_template);
    json_key(&w, "modalities");
    json_obj(&w);
    put_bool(&w, "vision", false);
    put_bool(&w, "audio", false);
    json_end(&w);
    put_str(&w, "build_info", "irori-" IRORI_VERSION);
    json_end(&w);
    models_release(c->s->models, m);
    answer_json(c->r, 200, &b);
}

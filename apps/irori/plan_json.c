// See plan_json.h.
#include "plan_json.h"

#include "put.h"
#include "share.h"

// ---- The catalogue ----

json_t *plan_catalogue(void)
{
    json_t *file = json_loadb(share_catalogue, share_catalogue_bytes, 0, NULL);
    json_t *models = json_incref(json_object_get(file, "models"));
    json_decref(file);
    return models;
}

static int number(const json_t *entry, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(entry, key));
    return v > 0 && v < 1 << 30 ? (int)v : 0;
}

irori_shape plan_shape(const json_t *entry)
{
    const char *architecture = json_string_value(json_object_get(entry, "architecture"));
    return (irori_shape){.architecture = architecture ? architecture : "?",
                         .layers = number(entry, "layers"),
                         .width = number(entry, "width"),
                         .heads = number(entry, "heads"),
                         .kv_heads = number(entry, "kv_heads"),
                         .head_dim = number(entry, "head_dim"),
                         .ff = number(entry, "ff"),
                         .vocabulary = number(entry, "vocabulary"),
                         .context = number(entry, "context"),
                         .window = number(entry, "window"),
                         .experts = number(entry, "experts"),
                         .experts_used = number(entry, "experts_used"),
                         .tied = json_is_true(json_object_get(entry, "tied"))};
}

// ---- Mixes ----

const char *plan_mix(int i)
{
    static const char *const mixes[] = {"F16",    "Q8_0",   "Q6_K",   "Q5_K_M",
                                        "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"};
    return i >= 0 && i < (int)COUNT_OF(mixes) ? mixes[i] : NULL;
}

int plan_of(const char *path, const irori_shape *shape, const irori_model_options *mo,
            const irori_plan_options *po, irori_plan *out, irori_error *e)
{
    return path ? irori_plan_file(out, path, mo, po, e) : irori_plan_shape(out, shape, mo, po, e);
}

const char *plan_best_mix(const char *path, const irori_shape *shape, const irori_model_options *mo,
                          const irori_plan_options *po, irori_plan *out)
{
    for (int i = 0; plan_mix(i); i++) {
        irori_plan_options own = *po;
        own.quantization = plan_mix(i);
        own.memory_only = true;
        if (!plan_of(path, shape, mo, &own, out, NULL) && out->fits)
            return plan_mix(i);
    }
    return NULL;
}

// ---- JSON ----

void plan_put_machine(json_writer *w, const irori_machine *m)
{
    json_obj(w);
    put_str(w, "cpu", m->cpu);
    put_str(w, "isa", m->isa);
    put_int(w, "processors", m->processors);
    put_int(w, "threads", m->threads);
    json_key(w, "cache_bytes");
    json_arr(w);
    for (int i = 0; i < 3; i++)
        json_int(w, (int64_t)m->cache_bytes[i]);
    json_end(w);
    put_int(w, "memory_bytes", (int64_t)m->memory_bytes);
    put_int(w, "available_bytes", (int64_t)m->available_bytes);
    put_str(w, "probed", m->probed);
    put_num(w, "read_bytes_per_second_one", m->read_one);
    put_num(w, "read_bytes_per_second", m->read_all);
    put_num(w, "int8_ops_per_second", m->int8_ops);
    put_num(w, "decode_q4k_bytes_per_second", m->decode_q4k);
    put_num(w, "decode_q8_bytes_per_second", m->decode_q8);
    put_num(w, "prompt_q4k_ops_per_second", m->prompt_q4k);
    put_num(w, "attention_keys_per_second", m->attention_keys);
    put_num(w, "step_seconds", m->step_seconds);
    json_key(w, "gpus");
    json_arr(w);
    for (int i = 0; i < m->gpu_count; i++)
        json_str(w, m->gpus[i]);
    json_end(w);
    json_end(w);
}

void plan_put(json_writer *w, const irori_plan *p)
{
    json_obj(w);
    put_str(w, "architecture", p->architecture);
    put_str(w, "quantization", p->quantization);
    put_int(w, "context", p->context);
    put_int(w, "trained_context", p->trained_context);
    put_int(w, "sessions", p->sessions);
    put_int(w, "model_bytes", (int64_t)p->model_bytes);
    put_bool(w, "fits", p->fits);
    put_int(w, "needs_bytes", (int64_t)p->needs_bytes);
    put_int(w, "has_bytes", (int64_t)p->has_bytes);
    json_key(w, "bytes");
    json_obj(w);
    put_int(w, "weights", (int64_t)p->weight_bytes);
    put_int(w, "kv", (int64_t)p->kv_bytes);
    put_int(w, "activations", (int64_t)p->activation_bytes);
    put_int(w, "file", (int64_t)p->file_bytes);
    put_int(w, "tables", (int64_t)p->table_bytes);
    put_int(w, "program", (int64_t)p->program_bytes);
    json_end(w);
    put_int(w, "at_once", p->at_once);
    put_bool(w, "resident", p->at_once > 0 && p->needs_bytes * 2 <= p->has_bytes);
    json_key(w, "context_fits");
    json_obj(w);
    for (int i = 0; irori_plan_policy(i); i++)
        put_int(w, irori_plan_policy(i), p->context_fits[i]);
    json_end(w);
}

void plan_put_speed(json_writer *w, const irori_plan *p, int prompt, int depth)
{
    static const char *const metric_names[] = {"rss_bytes", "tokens_per_second", "ttft_ms"};
    json_obj(w);
    put_int(w, "prompt", prompt);
    put_int(w, "depth", depth);
    put_int(w, "rss_bytes", (int64_t)p->rss_bytes);
    put_num(w, "tokens_per_second", p->tokens_per_second);
    put_num(w, "ttft_ms", p->ttft_ms);
    json_key(w, "raw");
    json_obj(w);
    put_int(w, "rss_bytes", (int64_t)p->rss_bytes_raw);
    put_num(w, "tokens_per_second", p->tokens_per_second_raw);
    put_num(w, "ttft_ms", p->ttft_ms_raw);
    json_end(w);
    json_key(w, "corrections");
    json_obj(w);
    for (int i = 0; i < 3; i++)
        put_int(w, metric_names[i], p->corrections[i]);
    json_end(w);
    json_end(w);
}

// Models: opening, what is known about them, memory figures.
#include <stdio.h>
#include <string.h>

#include "api/own.h"

_Static_assert(sizeof(irori_error) == sizeof(err) && offsetof(irori_error, message) == offsetof(err, msg),
               "irori_error is err");
_Static_assert((int)IRORI_NOTFOUND == (int)ST_NOTFOUND && (int)IRORI_INVALID == (int)ST_INVALID &&
                   (int)IRORI_CANCELED == (int)ST_CANCELED && (int)IRORI_LIMIT == (int)ST_LIMIT &&
                   (int)IRORI_BUSY == (int)ST_BUSY,
               "status codes agree");

const char *irori_version(void)
{
    return IRORI_VERSION;
}

const char *irori_cpu_flags(void)
{
    return kern_cpu_flags();
}

void irori_free(void *p)
{
    mem_free(p);
}

int api_need_engine(const irori_model *m, err *e)
{
    return m->has_engine ? ST_OK : err_set(e, ST_INVALID, "the model was opened for its vocabulary only");
}

int api_need_text(const irori_model *m, err *e)
{
    int rc = api_need_engine(m, e);
    if (!rc && m->engine.model.params.pooling != MODEL_POOL_NONE)
        rc = err_set(e, ST_UNSUPPORTED, "%s gives embeddings or scores of texts, it writes none",
                     gguf_path(m->file));
    return rc;
}

static void copy_str(const gguf *g, const char *key, char *out, size_t cap)
{
    gguf_str s;
    out[0] = 0;
    if (gguf_get_str(g, key, &s))
        snprintf(out, cap, "%.*s", (int)MIN(s.n, cap - 1), s.p);
}

int irori_model_open_vocabulary(irori_model **out, const char *path, irori_error *error)
{
    err *e = api_err(error);
    *out = NULL;
    irori_model *m = mem_calloc(MEM_OTHER, 1, sizeof *m);
    if (!m)
        return err_set(e, ST_NOMEM, "no memory for a model");
    int rc = gguf_open(&m->file, path, e);
    if (!rc)
        rc = tok_open(&m->tok, m->file, e);
    gguf_str source;
    if (!rc && gguf_get_str(m->file, "tokenizer.chat_template", &source)) {
        m->has_template = true;
        rc = tmpl_parse(&m->tmpl, source.p, source.n, &m->template_error);
        if (rc != ST_NOMEM)
            rc = ST_OK;  // the model can still take plain text; a conversation will be told why
        else
            err_set(e, rc, "%s: no memory for the chat template", path);
    }
    if (rc) {
        irori_model_close(m);
        return rc;
    }
    copy_str(m->file, "general.name", m->name, sizeof m->name);
    copy_str(m->file, "general.license", m->license, sizeof m->license);
    *out = m;
    return ST_OK;
}

static int open_prompt_cache(irori_model *m, const char *dir, err *e)
{
    char usual[1024];
    if (dir && !*dir)
        dir = os_cache_dir("irori", usual, sizeof usual) ? usual : NULL;
    if (!dir)
        return ST_OK;
    m->prompt_cache = mem_strndup(MEM_OTHER, dir, strlen(dir));
    if (!m->prompt_cache)
        return err_set(e, ST_NOMEM, "no memory for a model");
    return os_make_dirs(dir) ? ST_OK
                             : err_set(e, ST_IO, "%s: the folder of the prompt cache cannot be made", dir);
}

int irori_model_open(irori_model **out, const char *path, const irori_model_options *options,
                     irori_error *error)
{
    static const irori_model_options defaults;
    const irori_model_options *o = options ? options : &defaults;
    irori_model *m;
    int rc = irori_model_open_vocabulary(&m, path, error);
    *out = NULL;
    if (rc)
        return rc;
    char cache[1024];
    engine_options eo = {.threads = o->threads,
                         .context = o->context,
                         .sequences = o->sessions,
                         .batch = o->batch,
                         .cpu = o->cpu,
                         .no_pin = o->no_pin,
                         .no_repack = o->no_repack,
                         .no_prefixes = o->no_prefixes,
                         .kv_spill_dir = o->kv_spill_dir,
                         .kv_spill_bytes = o->kv_spill_bytes,
                         .cache_dir = o->cache_dir,
                         .progress = o->progress,
                         .progress_ctx = o->progress_ctx};
    if (o->cache_dir && !*o->cache_dir)
        eo.cache_dir = os_cache_dir("irori", cache, sizeof cache) ? cache : NULL;
    rc = kv_policy_parse(&eo.kv_policy, o->kv, o->kv_budget, api_err(error));
    if (!rc)
        rc = engine_open(&m->engine, m->file, &eo, api_err(error));
    if (rc) {
        irori_model_close(m);
        return rc;
    }
    m->has_engine = true;
    rc = open_prompt_cache(m, o->prompt_cache, api_err(error));
    if (rc) {
        irori_model_close(m);
        return rc;
    }
    *out = m;
    return ST_OK;
}

void irori_model_close(irori_model *m)
{
    if (!m)
        return;
    while (m->adapters)
        irori_adapter_close(m->adapters);
    if (m->has_engine)
        engine_close(&m->engine);
    tmpl_free(m->tmpl);
    tok_close(m->tok);
    gguf_close(m->file);
    gram_vocab_free(m->vocab);
    mem_free(m->breaker);
    spec_memory_free(m->guessing);
    mem_free(m->prompt_cache);
    mem_free(m);
}

// What the file says of itself; 0 when it does not.
static int file_context(const gguf *g)
{
    gguf_str arch;
    uint32_t context = 0;
    char key[128];
    if (gguf_get_str(g, "general.architecture", &arch) &&
        (size_t)snprintf(key, sizeof key, "%.*s.context_length", (int)MIN(arch.n, 64), arch.p) < sizeof key)
        gguf_get_u32(g, key, &context);
    return (int)MIN(context, (uint32_t)1 << 28);
}

void irori_model_get_info(const irori_model *m, irori_model_info *out)
{
    *out = (irori_model_info){
        .architecture = "",
        .name = m->name,
        .license = m->license,
        .device = "",
        .quantization = model_quantization_name(m->file),
        .hash = m->has_engine ? m->engine.hash : gguf_model_hash(m->file),
        .parameters = model_parameter_count(m->file),
        .file_bytes = gguf_file_bytes(m->file),
        .vocabulary = (int)tok_count(m->tok),
        .trained_context = file_context(m->file),
        .has_chat_template = m->has_template,
    };
    if (!m->has_engine)
        return;
    const engine *x = &m->engine;
    const model_params *p = &x->model.params;
    graph_layout layout = x->dev->ops->layout(x->plan);
    out->architecture = x->model.arch_name;
    out->device = x->dev->ops->describe(x->dev);
    dev_weight_bytes weights = x->dev->ops->weight_bytes(x->dev);
    out->weight_bytes = weights.packed;
    out->weight_cache_bytes = weights.mapped;
    out->layers = p->layers;
    out->width = p->width;
    out->heads = p->heads;
    out->kv_heads = p->kv_heads;
    out->head_dim = p->head_dim;
    out->vocabulary = p->vocab;
    out->trained_context = p->context;
    out->context = x->context;
    out->sessions = x->sequences;
    out->batch = x->batch;
    out->threads = x->threads;
    out->embedding_width = p->pooling == MODEL_POOL_NONE || p->pooling == MODEL_POOL_RANK
                               ? 0
                               : x->model.result_width;
    out->ranks = api_ranks(m);
    out->kv_bytes_per_token = dev_kv_page_bytes(&x->model.kv) / DEV_PAGE;
    out->activation_bytes = layout.bytes;
    out->activation_bytes_unshared = layout.unshared;
}

void irori_get_memory(const irori_model *m, irori_memory *out)
{
    mem_stats heap;
    mem_get_stats(&heap);
    *out = (irori_memory){.heap_bytes = heap.bytes,
                          .heap_peak_bytes = heap.peak,
                          .allocations = heap.calls,
                          .rss_bytes = os_rss_bytes(),
                          .rss_peak_bytes = os_peak_rss_bytes()};
    if (m && m->has_engine) {
        kv_stats pages;
        kv_get_stats(m->engine.kv, &pages);
        out->kv_bytes = (uint64_t)(pages.used - pages.idle) * pages.page_bytes;
        out->kv_idle_bytes = (uint64_t)pages.idle * pages.page_bytes;
        out->kv_shared_bytes = (uint64_t)pages.shared * pages.page_bytes;
    }
}

irori_kv_stats api_kv_stats(const kv_stats *s)
{
    irori_kv_stats out = {.resident_bytes = s->plane_bytes,
                          .f16_bytes = s->f16_bytes,
                          .spilled_bytes = s->spilled_bytes,
                          .shared_bytes = (uint64_t)s->shared * s->page_bytes,
                          .idle_bytes = (uint64_t)s->idle * s->page_bytes,
                          .bits = s->bits,
                          .demotions = s->demotions,
                          .promotions = s->promotions,
                          .spill_full = s->spill_full,
                          .guard_checks = s->guard.checks,
                          .guard_skipped = s->guard.skipped,
                          .guard_promotions = s->guard.promotions,
                          .guard_fall_backs = s->guard.fall_backs,
                          .guard_kl_last = s->guard_last,
                          .guard_kl_p95 = s->guard_p95};
    _Static_assert(COUNT_OF(out.blocks) == DEV_KV_LEVELS + 1, "one count a level");
    for (int i = 0; i <= DEV_KV_LEVELS; i++)
        out.blocks[i] = s->blocks[i];
    return out;
}

void irori_get_kv_stats(const irori_model *m, irori_kv_stats *out)
{
    *out = (irori_kv_stats){0};
    if (!m->has_engine)
        return;
    kv_stats s;
    kv_get_stats(m->engine.kv, &s);
    *out = api_kv_stats(&s);
}

size_t irori_model_kv_pages(const irori_model *m, irori_kv_page *out, uint8_t *levels, size_t room)
{
    _Static_assert(sizeof(irori_kv_page) == sizeof(kv_page_info) &&
                       offsetof(irori_kv_page, bits) == offsetof(kv_page_info, bits),
                   "the page of kv.h under the name of irori.h");
    return m->has_engine ? kv_list_pages(m->engine.kv, (kv_page_info *)(void *)out, levels, room) : 0;
}

int irori_model_set_kv(irori_model *m, const char *policy, const char *budget, irori_error *error)
{
    kv_policy p;
    int rc = api_need_text(m, api_err(error));
    if (!rc)
        rc = kv_policy_parse(&p, policy, budget, api_err(error));
    return rc ? rc : kv_set_policy(m->engine.kv, &p, api_err(error));
}

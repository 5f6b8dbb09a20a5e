// Plans: the machine's rates from the cache folder or from a probe, a model's graph without its weights, and the sums.
#include <stdio.h>
#include <string.h>

#include "api/own.h"
#include "plan/plan.h"

static const char *const policies[IRORI_PLAN_POLICIES][2] = {
    {"f16", ""}, {"uniform:q8", ""}, {"uniform:q4", ""}, {"staged", "25%"}};

const char *irori_plan_policy(int i)
{
    return i >= 0 && i < IRORI_PLAN_POLICIES ? policies[i][0] : NULL;
}

static bool folder(char *out, size_t cap)
{
    return os_cache_dir("irori", out, cap);
}

// What the device for these options is called and runs with.
static int device_of(const irori_model_options *o, dev_cpu_options *out, const char **isa, err *e)
{
    int most = o->cpu ? kern_isa_from_name(o->cpu) : KERN_ISA_COUNT;
    if (most < 0)
        return err_set(e, ST_INVALID, "cpu: \"%s\" is not known, use scalar, avx2, avx512, amx or neon",
                       o->cpu);
    if (o->threads < 0 || o->threads > 1024)
        return err_set(e, ST_INVALID, "%d threads, allowed 1..1024", o->threads);
    *isa = kern_isa_name(kern_get((enum kern_isa)most)->isa);
    *out = (dev_cpu_options){.threads = o->threads ? o->threads : os_cpu_count(),
                             .isa = o->cpu,
                             .pin = !o->no_pin,
                             .no_repack = o->no_repack};
    return ST_OK;
}

// The rates of this machine for these types; measure 0: only what is kept, 1: what is missing, 2: all anew.
static int rates_of(const irori_model_options *o, const char *cpu, uint64_t types, int measure, plan_rates *r,
                    err *e)
{
    char dir[1024];
    const char *isa = "";
    dev_cpu_options d;
    int rc = device_of(o, &d, &isa, e);
    if (rc)
        return rc;
    char kind[24];
    snprintf(kind, sizeof kind, "%s%s", isa, o->no_repack ? "-no-repack" : "");
    const bool kept = folder(dir, sizeof dir);
    plan_rates_load(r, kept ? dir : "", cpu, kind, d.threads);
    if (measure == 2) {
        plan_rates fresh = {.threads = d.threads};
        memcpy(fresh.cpu, r->cpu, sizeof fresh.cpu);
        memcpy(fresh.isa, r->isa, sizeof fresh.isa);
        *r = fresh;
    }
    uint64_t known = 0;
    for (int i = 0; i < QT_COUNT; i++)
        known |= (uint64_t)(r->matmul[i][0] > 0) << i;
    if (!measure || (r->read_all > 0 && !(types & ~known)))
        return ST_OK;
    rc = plan_probe(r, &d, types, e);
    if (!rc && kept)
        plan_rates_save(r, dir);  // it can be measured again where it could not be kept
    return rc;
}

int irori_machine_get(irori_machine *out, const irori_model_options *options, int measure, irori_error *error)
{
    static const irori_model_options defaults;
    plan_machine m;
    plan_rates r;
    plan_machine_read(&m, "");
    const uint64_t usual = 1ull << QT_Q4_K | 1ull << QT_Q6_K | 1ull << QT_Q8_0;
    int rc = rates_of(options ? options : &defaults, m.cpu, usual, measure, &r, api_err(error));
    if (rc)
        return rc;
    *out = (irori_machine){.processors = m.processors,
                           .threads = r.threads,
                           .memory_bytes = m.memory,
                           .available_bytes = m.available,
                           .gpu_count = m.n_gpus,
                           .read_one = r.read_one,
                           .read_all = r.read_all,
                           .step_seconds = r.step};
    memcpy(out->cache_bytes, m.cache, sizeof out->cache_bytes);
    memcpy(out->cpu, m.cpu, sizeof out->cpu);
    memcpy(out->isa, r.isa, sizeof out->isa);
    memcpy(out->probed, r.date, sizeof out->probed);
    _Static_assert(sizeof out->gpus == sizeof m.gpu, "as many");
    memcpy(out->gpus, m.gpu, sizeof out->gpus);
    const double *q8 = r.matmul[QT_Q8_0], *q4 = r.matmul[QT_Q4_K];
    const int last = PLAN_POINTS - 1;
    if (q8[0] > 0) {
        out->int8_ops = 2.0 * plan_batch[last] / q8[last];
        out->decode_q8 = 8.5 / 8 / q8[0];
    }
    if (q4[0] > 0) {
        out->prompt_q4k = 2.0 * plan_batch[last] / q4[last];
        out->decode_q4k = 4.5 / 8 / q4[0];
    }
    if (r.attend[0][0][1] > 0)
        out->attention_keys = 1 / r.attend[0][0][1];
    return ST_OK;
}

// ---- A model -------------------------------------------------------------------------------------------------------
// Bytes of the vocabulary in memory: as it is when opened, or about what one of this size takes (measured: 60 to 130
// bytes a token by family, docs/PLAN.md).
static uint64_t vocabulary_bytes(const gguf *file, int vocab, bool estimate)
{
    tok *t = NULL;
    mem_stats before, after;
    mem_get_stats(&before);
    if (estimate || tok_open(&t, file, NULL))
        return (uint64_t)vocab * 100;
    mem_get_stats(&after);
    tok_close(t);
    return after.bytes - before.bytes;
}

// Fills the use from the options as engine_open would.
static int use_of(const model *m, const irori_model_options *o, const irori_plan_options *p, plan_use *u,
                  err *e)
{
    *u = (plan_use){.threads = o->threads ? o->threads : os_cpu_count(),
                    .context = m->params.positions,
                    .sequences = o->sessions ? o->sessions : 1,
                    .batch = o->batch ? o->batch : 512,
                    .no_repack = o->no_repack,
                    .prompt = p->prompt > 0 ? p->prompt : 512};
    if (m->params.context < u->context)
        return err_set(e, ST_LIMIT, "%s: context of %d tokens asked, the model was trained for %d",
                       gguf_path(m->file), u->context, m->params.context);
    if (m->params.both_ways)
        u->batch = MAX(u->batch, u->context);
    u->outputs = MIN(64, u->batch);
    u->prompt = MIN(u->prompt, u->context);
    u->depth = MIN(p->depth > 0 ? p->depth : u->prompt, u->context);
    return kv_policy_parse(&u->kv, o->kv, o->kv_budget, e);
}

static void count_context(model *m, const plan_use *u, irori_plan *out)
{
    for (int i = 0; i < IRORI_PLAN_POLICIES; i++) {
        plan_use at = *u;
        if (!kv_policy_parse(&at.kv, policies[i][0], policies[i][1], NULL))
            out->context_fits[i] = plan_most_context(m, &at, out->has_bytes);
    }
}

static void count_memory(model *m, const plan_use *u, irori_plan *out)
{
    plan_use full = *u;
    full.depth = full.context;
    full.prompt = MAX(full.prompt, MIN(full.batch, full.context));
    plan_bytes b = plan_count(m, &full);
    out->weight_bytes = b.weights;
    out->file_bytes = b.file;
    out->kv_bytes = b.kv;
    out->activation_bytes = b.activations;
    out->table_bytes = b.tables;
    out->program_bytes = b.program;
    out->needs_bytes = b.total;
    out->fits = out->needs_bytes <= out->has_bytes;
    const uint64_t own = b.total - b.program;  // beside each other they share the program
    out->at_once = out->has_bytes > b.program && own ? (int)MIN((out->has_bytes - b.program) / own, 1u << 20)
                                                     : 0;
    out->rss_bytes_raw = plan_count(m, u).total;
}

static void correct(irori_plan *out)
{
    char dir[1024];
    double by[PLAN_METRICS] = {1, 1, 1};
    for (int i = 0; i < PLAN_METRICS && folder(dir, sizeof dir); i++)
        by[i] = plan_errors_median(dir, out->kind, (enum plan_metric)i, &out->corrections[i]);
    out->rss_bytes = (uint64_t)((double)out->rss_bytes_raw * by[PLAN_RSS]);
    out->tokens_per_second = out->tokens_per_second_raw * by[PLAN_SPEED];
    out->ttft_ms = out->ttft_ms_raw * by[PLAN_TTFT];
}

// The plan of an open file; with quantization NULL as it is.
static int plan_open(irori_plan *out, const gguf *file, const irori_model_options *o,
                     const irori_plan_options *p, err *e)
{
    model m = {0};
    plan_machine machine;
    plan_use u;
    plan_rates r = {0};
    dev *d = NULL;
    dev_cpu_options how = {.threads = 1, .isa = o->cpu, .no_repack = o->no_repack};
    plan_machine_read(&machine, "");
    const uint64_t program = os_rss_bytes();
    int rc = dev_cpu_new(&d, &how, e);  // for the form its matrices want
    if (!rc)
        rc = model_load(&m, file, o->context, d->form_of, e);
    const bool loaded = d && !rc;
    *out = (irori_plan){.model_bytes = gguf_file_bytes(file)};
    if (!rc && p->quantization)
        rc = plan_retype(&m, p->quantization, d->form_of, &out->model_bytes, e);
    if (!rc)
        rc = use_of(&m, o, p, &u, e);
    if (!rc && !p->memory_only)
        rc = rates_of(o, machine.cpu, plan_types(&m.graph), 1, &r, e);
    if (!rc) {
        const char *q = p->quantization ? p->quantization : model_quantization_name(file);
        u.huge = machine.huge;
        u.program = program;
        u.untouched = p->memory_only;
        u.tables = vocabulary_bytes(file, m.params.vocab, p->memory_only) + 64 * gguf_tensor_count(file);
        snprintf(out->architecture, sizeof out->architecture, "%s", m.arch_name);
        snprintf(out->quantization, sizeof out->quantization, "%s", q);
        snprintf(out->kind, sizeof out->kind, "%s/%s/%d", q, r.isa, u.threads);
        out->context = u.context;
        out->trained_context = m.params.context;
        out->sessions = u.sequences;
        out->has_bytes = p->memory_bytes ? p->memory_bytes : machine.available;
        count_memory(&m, &u, out);
        count_context(&m, &u, out);
        if (!p->memory_only) {
            out->tokens_per_second_raw = 1 / plan_step_seconds(&m, &u, &r);
            out->ttft_ms_raw = 1e3 * plan_prompt_seconds(&m, &u, &r);
        }
        correct(out);
    }
    if (loaded)
        model_done(&m);
    if (d)
        d->ops->free(d);
    return rc;
}

int irori_plan_file(irori_plan *out, const char *path, const irori_model_options *options,
                    const irori_plan_options *plan, irori_error *error)
{
    static const irori_model_options no_options;
    static const irori_plan_options no_plan;
    gguf *file;
    int rc = gguf_open(&file, path, api_err(error));
    if (rc)
        return rc;
    rc = plan_open(out, file, options ? options : &no_options, plan ? plan : &no_plan, api_err(error));
    gguf_close(file);
    return rc;
}

int irori_plan_shape(irori_plan *out, const irori_shape *s, const irori_model_options *options,
                     const irori_plan_options *plan, irori_error *error)
{
    static const irori_model_options no_options;
    irori_plan_options p = plan ? *plan : (irori_plan_options){0};
    plan_shape shape = {.arch = s->architecture,
                        .layers = s->layers,
                        .width = s->width,
                        .heads = s->heads,
                        .kv_heads = s->kv_heads,
                        .head_dim = s->head_dim,
                        .ff = s->ff,
                        .vocab = s->vocabulary,
                        .context = s->context,
                        .window = s->window,
                        .experts = s->experts,
                        .experts_used = s->experts_used,
                        .tied = s->tied};
    gguf *file;
    if (!p.quantization)
        p.quantization = "Q4_K_M";
    int rc = plan_sketch(&shape, &file, api_err(error));
    if (rc)
        return rc;
    rc = plan_open(out, file, options ? options : &no_options, &p, api_err(error));
    gguf_close(file);
    return rc;
}

int irori_plan_correct(const irori_plan *p, double rss_bytes, double tokens_per_second, double ttft_ms,
                       irori_error *error)
{
    const double measured[PLAN_METRICS] = {rss_bytes, tokens_per_second, ttft_ms};
    const double planned[PLAN_METRICS] = {(double)p->rss_bytes_raw, p->tokens_per_second_raw, p->ttft_ms_raw};
    char dir[1024];
    if (!folder(dir, sizeof dir))
        return err_set(api_err(error), ST_IO, "no cache folder: neither $XDG_CACHE_HOME nor $HOME is a path");
    for (int i = 0; i < PLAN_METRICS; i++)
        if (measured[i] > 0 && planned[i] > 0 &&
            !plan_errors_add(dir, p->kind, (enum plan_metric)i, measured[i] / planned[i]))
            return err_set(api_err(error), ST_IO, "%s: what was measured could not be kept there", dir);
    return ST_OK;
}

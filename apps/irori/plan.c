// irori plan: the machine, what a model will take on it and how fast it will be, and how right that was.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "plan.h"
#include "put.h"

static const char *const metric_names[] = {"rss_bytes", "tokens_per_second", "ttft_ms"};

// ---- The machine ---------------------------------------------------------------------------------------------------
static void machine_json(json_writer *w, const irori_machine *m)
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

static void machine_text(const irori_machine *m)
{
    printf("%s, %s, %d thread%s\n", *m->cpu ? m->cpu : "processor without a name", m->isa, m->threads,
           m->threads == 1 ? "" : "s");
    printf("caches        ");
    for (int i = 0; i < 3; i++)
        if (m->cache_bytes[i])
            printf("%s%llu KiB", i ? ", " : "", (unsigned long long)m->cache_bytes[i] >> 10);
    printf("\nmemory        %.1f GB, %.1f GB available\n", (double)m->memory_bytes / 1e9,
           (double)m->available_bytes / 1e9);
    printf("reading       %.1f GB/s, one thread %.1f\n", m->read_all / 1e9, m->read_one / 1e9);
    printf("a token reads %.1f GB/s of Q4_K weights, %.1f of Q8_0\n", m->decode_q4k / 1e9,
           m->decode_q8 / 1e9);
    printf("a prompt does %.0f Gop/s with Q4_K weights, %.0f with Q8_0 (int8)\n", m->prompt_q4k / 1e9,
           m->int8_ops / 1e9);
    printf("attention     %.1f million keys a second (a head of 128 values, F16)\n", m->attention_keys / 1e6);
    printf("a step takes  %.2f microseconds beside its work\n", m->step_seconds * 1e6);
    for (int i = 0; i < m->gpu_count; i++)
        printf("GPU           %s, not used\n", m->gpus[i]);
    printf("measured      %s; --probe measures again\n", m->probed);
}

static int show_machine(const cli_options *o)
{
    irori_machine m;
    irori_error e;
    irori_model_options mo = cli_model_options(o);
    if (irori_machine_get(&m, &mo, o->probe ? 2 : 1, &e))
        return cli_fail(&e);
    if (!o->json) {
        machine_text(&m);
        return CLI_OK;
    }
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    machine_json(&w, &m);
    return cli_print_json(&b);
}

// ---- A model -------------------------------------------------------------------------------------------------------
static const char *const mixes[] = {"F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"};

// The same subject at another depth or in another quantization.
static int plan_at(const plan_subject *s, const irori_model_options *mo, const irori_plan_options *po,
                   irori_plan *out, irori_error *e)
{
    return s->path ? irori_plan_file(out, s->path, mo, po, e) : irori_plan_shape(out, s->shape, mo, po, e);
}

// The widest mix that fits; NULL: none does.
static const char *best_mix(const plan_subject *s, const irori_model_options *mo,
                            const irori_plan_options *po, irori_plan *out)
{
    for (size_t i = 0; i < COUNT_OF(mixes); i++) {
        irori_plan_options own = *po;
        own.quantization = mixes[i];
        own.memory_only = true;
        if (!plan_at(s, mo, &own, out, NULL) && out->fits)
            return mixes[i];
    }
    return NULL;
}

static void plan_json(json_writer *w, const irori_plan *p)
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

static void speed_json(json_writer *w, const irori_plan *p, int prompt, int depth)
{
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

static double mb(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

static void plan_text(const char *name, const irori_plan *p, const char *best, const irori_plan *of_best)
{
    printf("%s: %s, %s, file %.0f MB\n", name, p->architecture, p->quantization, mb(p->model_bytes));
    printf("%-9s needs %.0f MB, has %.0f MB (context %d, %d session%s)\n", p->fits ? "fits" : "too big",
           mb(p->needs_bytes), mb(p->has_bytes), p->context, p->sessions, p->sessions == 1 ? "" : "s");
    printf(
        "          weights %.0f, keys and values %.0f, activations %.0f, file %.0f, tables %.0f, program %.0f\n",
        mb(p->weight_bytes), mb(p->kv_bytes), mb(p->activation_bytes), mb(p->file_bytes), mb(p->table_bytes),
        mb(p->program_bytes));
    if (p->fits)
        printf("at once   %d of it; %s\n", p->at_once,
               p->needs_bytes * 2 <= p->has_bytes ? "it can stay resident" : "better opened on demand");
    printf("context   ");
    for (int i = 0; irori_plan_policy(i); i++)
        printf("%s%s %d%s", i ? ", " : "", irori_plan_policy(i), p->context_fits[i],
               p->context_fits[i] >= p->trained_context ? " (all)" : "");
    putchar('\n');
    if (best)
        printf("best mix  %s that fits (%.0f MB)\n", best, mb(of_best->needs_bytes));
    else
        printf("best mix  none fits; take a smaller model\n");
}

static void speed_text(const irori_plan *p, int prompt, int depth)
{
    printf("prompt of %5d: first token after %.0f ms; at depth %5d: %.1f tokens a second, %.0f MB\n", prompt,
           p->ttft_ms, depth, p->tokens_per_second, mb(p->rss_bytes));
    if (p->corrections[1] || p->corrections[2])
        printf("                 (uncorrected %.0f ms, %.1f tokens a second; %d runs corrected it)\n",
               p->ttft_ms_raw, p->tokens_per_second_raw, p->corrections[1]);
}

int plan_show(const cli_options *o, const plan_subject *s)
{
    enum { MOST = 16 };
    int depths[MOST], n = cli_numbers("depth", o->depth, 0, 1 << 24, depths, MOST);
    if (n < 0)
        return CLI_USAGE;
    irori_model_options mo = cli_model_options(o);
    irori_plan_options po = {.quantization = s->quantization};
    irori_plan p, of_best;
    irori_error e;
    if (plan_at(s, &mo, &po, &p, &e))
        return cli_fail(&e);
    const char *best = best_mix(s, &mo, &po, &of_best);
    if (n == 0 || (n == 1 && depths[0] == 0)) {  // not asked for: a short prompt, and the whole context
        depths[0] = MIN(512, p.context);
        depths[1] = p.context;
        n = depths[1] > depths[0] ? 2 : 1;
    }
    buf b;
    json_writer w;
    buf_init(&b);
    json_begin(&w, &b);
    if (o->json) {
        plan_json(&w, &p);
        put_str(&w, "model", s->name);
        json_key(&w, "best_quantization");
        best ? json_str(&w, best) : json_none(&w);
        json_key(&w, "speed");
        json_arr(&w);
    } else {
        plan_text(s->name, &p, best, &of_best);
    }
    for (int i = 0; i < n; i++) {
        po.prompt = po.depth = MIN(depths[i], p.context);
        if (plan_at(s, &mo, &po, &p, &e)) {
            buf_done(&b);
            return cli_fail(&e);
        }
        if (o->json)
            speed_json(&w, &p, po.prompt, po.depth);
        else
            speed_text(&p, po.prompt, po.depth);
    }
    if (!o->json) {
        buf_done(&b);
        return CLI_OK;
    }
    json_end(&w);
    json_end(&w);
    return cli_print_json(&b);
}

// On another machine: what fits by its memory, and the most tokens a second that its bandwidth allows. Nothing of it is
// measured, and irori itself runs on processors only.
static int show_tier(const cli_options *o, const plan_subject *s)
{
    enum {
        READS = 70
    };  // percent of the published bandwidth that decoding reaches (docs/SPEED.md: 60 to 90)
    plan_tier t;
    irori_plan p, best_plan;
    irori_error e;
    int rc = catalogue_tier(o->tier, &t);
    if (rc)
        return rc;
    irori_model_options mo = cli_model_options(o);
    irori_plan_options po = {
        .memory_only = true, .quantization = s->quantization, .memory_bytes = (uint64_t)t.usable};
    if (plan_at(s, &mo, &po, &p, &e))
        return cli_fail(&e);
    const char *best = best_mix(s, &mo, &po, &best_plan);
    const double active = s->entry ? catalogue_active_share(s->entry) : 1;
    const double speed = t.bandwidth * READS / 100 / ((double)p.weight_bytes * active + (double)p.kv_bytes);
    if (o->json) {
        buf b;
        json_writer w;
        buf_init(&b);
        json_begin(&w, &b);
        plan_json(&w, &p);
        put_str(&w, "model", s->name);
        put_str(&w, "tier", t.name);
        put_bool(&w, "prediction", true);
        json_key(&w, "best_quantization");
        best ? json_str(&w, best) : json_none(&w);
        put_num(&w, "tokens_per_second", speed);
        json_end(&w);
        return cli_print_json(&b);
    }
    printf("%s (%s): prediction from published figures, nothing is measured; irori does not use GPUs yet\n",
           t.name, t.what);
    plan_text(s->name, &p, best, &best_plan);
    printf("at most about %.0f tokens a second with the whole context filled (%d %% of %.0f GB/s)\n", speed,
           READS, t.bandwidth / 1e9);
    return CLI_OK;
}

int cmd_plan(const cli_options *o)
{
    if (o->use_case)
        return catalogue_use_case(o);
    if (!o->model)
        return show_machine(o);
    plan_subject s = {.name = o->model, .path = o->model, .quantization = o->type};
    catalogue_entry entry = {0};
    if (access(o->model, F_OK) != 0 && !strchr(o->model, '/') && !strstr(o->model, ".gguf")) {
        if (catalogue_find(o, o->model, &entry))
            return CLI_FAILED;
        s.path = NULL;
        s.shape = &entry.shape;
        s.entry = &entry;
        if (!o->json)
            catalogue_print(&entry);
    }
    int rc;
    if (o->verify && !s.path) {
        fprintf(stderr, "irori plan: --verify needs a file; %s is a model of the catalogue\n", o->model);
        rc = CLI_USAGE;
    } else {
        rc = o->verify ? plan_verify(o) : o->tier ? show_tier(o, &s) : plan_show(o, &s);
    }
    catalogue_done(&entry);
    return rc;
}

// irori plan: the machine, what a model will take on it and how fast it will be, and how right that was.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "plan.h"
#include "plan_json.h"
#include "put.h"

// ---- The machine ---------------------------------------------------------------------------------------------------
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
    plan_put_machine(&w, &m);
    return cli_print_json(&b);
}

// ---- A model -------------------------------------------------------------------------------------------------------
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
    if (plan_of(s->path, s->shape, &mo, &po, &p, &e))
        return cli_fail(&e);
    const char *best = plan_best_mix(s->path, s->shape, &mo, &po, &of_best);
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
        plan_put(&w, &p);
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
        if (plan_of(s->path, s->shape, &mo, &po, &p, &e)) {
            buf_done(&b);
            return cli_fail(&e);
        }
        if (o->json)
            plan_put_speed(&w, &p, po.prompt, po.depth);
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
    if (plan_of(s->path, s->shape, &mo, &po, &p, &e))
        return cli_fail(&e);
    const char *best = plan_best_mix(s->path, s->shape, &mo, &po, &best_plan);
    const double active = s->entry ? catalogue_active_share(s->entry) : 1;
    const double speed = t.bandwidth * READS / 100 / ((double)p.weight_bytes * active + (double)p.kv_bytes);
    if (o->json) {
        buf b;
        json_writer w;
        buf_init(&b);
        json_begin(&w, &b);
        plan_put(&w, &p);
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

// The policy: which level each block of a full page should have.
//
// It looks at the pages when one has become full, and only writes down wishes; moving blocks (adapt.c) is spread over
// the steps that follow. A page that several sequences hold gets the finest level any of them wants.
#include <math.h>

#include "kv/policy.h"

static void wish_page(const kv_plan *v, int i, enum dev_kv_level k, enum dev_kv_level value)
{
    for (int l = 0; l < v->s->shape.layers; l++) {
        kv_plan_wish(v, i, l, DEV_KV_K, k);
        kv_plan_wish(v, i, l, DEV_KV_V, value);
    }
}

// ---- What attention the pages had ----------------------------------------------------------------------------------
// Queries since the last look that saw page i whole: of a page that has become full since, only those behind it. Of the newest
// page about half of its own.
static double queries_of(const kv_plan *v, int i)
{
    return MAX(DEV_PAGE / 2, v->q->length - MAX(v->q->looked, (i + 1) * DEV_PAGE));
}

// What page i has received a query since the last look.
static double received(const kv_plan *v, int i, int layer)
{
    const uint64_t mass = kv_plan_page(v, i)->at.mass[layer];
    return (double)(mass - kv_plan_heat(v, i, layer)->seen) / queries_of(v, i);
}

// Takes up what has been received since the last look. Part of the whole, so that a layer that looks at its first
// page alone asks for little elsewhere.
static void look(const kv_plan *v, int layer)
{
    enum { REMEMBER = 2 };  // looks that a running mean goes over
    double sum = 0;
    for (int i = 0; i < v->written; i++)
        sum += received(v, i, layer);
    if (sum <= 0)
        return;
    for (int i = 0; i < v->written; i++) {
        kv_heat *h = kv_plan_heat(v, i, layer);
        float share = (float)(received(v, i, layer) / sum);
        float often = share * (float)v->written > 1 ? 1 : 0;
        float part = h->looked ? 1.0f / REMEMBER : 1;
        h->share += (share - h->share) * part;
        h->frequency += (often - h->frequency) * part;
        h->seen = kv_plan_page(v, i)->at.mass[layer];
        h->looked = true;
    }
}

// The part of the attention that goes to the mean page among those whose level is open.
static float mean_share(const kv_plan *v, int layer)
{
    float sum = 0;
    for (int i = v->first; i < v->pinned; i++)
        sum += kv_plan_heat(v, i, layer)->share;
    return sum > 0 ? sum / (float)(v->pinned - v->first) : 1;
}

// The published measure, 0..1; `mean` is mean_share. A page with the mean attention counts 1/2.
static float importance(const kv_plan *v, int i, int layer, float mean)
{
    const kv_heat *h = kv_plan_heat(v, i, layer);
    float x = h->share / mean;
    float sum = v->o->attention * (x / (1 + x)) + v->o->frequency * h->frequency -
                v->o->age * kv_plan_age(v, i);
    return MAX(0, MIN(1, sum));
}

// ---- The policies --------------------------------------------------------------------------------------------------
static void plan_window(const kv_plan *v)
{
    double page = (double)dev_kv_page_bytes(&v->s->shape);
    int tokens = v->o->window ? v->o->window : isfinite(v->budget) ? (int)(v->budget / page) * DEV_PAGE : 0;
    int from = v->o->window || isfinite(v->budget) ? v->pinned - (tokens + DEV_PAGE - 1) / DEV_PAGE : 0;
    for (int i = v->first; i < v->pinned; i++) {
        enum dev_kv_level level = i < from ? DEV_KV_ABSENT : DEV_KV_F16;
        wish_page(v, i, level, level);
    }
}

static void plan_h2o(const kv_plan *v)
{
    const double page = kv_plan_layer_bytes(v->s, DEV_KV_F16, DEV_KV_F16) * v->s->shape.layers;
    const int open = v->pinned - v->first;
    const int keep = isfinite(v->budget) ? MIN(open, (int)(v->budget / page)) : open;
    const int recent = v->pinned - keep / 2;
    for (int l = 0; l < v->s->shape.layers; l++) {
        kv_bins bins = {0};
        for (int i = v->first; i < recent; i++)
            kv_bins_add(&bins, (float)kv_plan_page(v, i)->at.mass[l]);
        int left = keep - keep / 2, least = kv_bins_top(&bins, left), above = 0;
        for (int i = v->first; i < recent; i++)
            above += kv_bin_of((float)kv_plan_page(v, i)->at.mass[l]) > least;
        left -= above;  // places for pages of the last bin that has any
        for (int i = v->first; i < v->pinned; i++) {
            int bin = kv_bin_of((float)kv_plan_page(v, i)->at.mass[l]);
            bool stays = i >= recent || bin > least || (bin == least && left-- > 0);
            for (int side = 0; side < 2; side++)
                kv_plan_wish(v, i, l, side, stays ? DEV_KV_F16 : DEV_KV_ABSENT);
        }
    }
}

static enum dev_kv_level rule(const kv_plan *v, float x, int age)
{
    const kv_policy *o = v->o;
    if (v->pressure > o->absent_pressure && x < o->absent_importance)
        return DEV_KV_ABSENT;
    if (v->pressure > o->q4_pressure && x < o->q4_importance)
        return DEV_KV_Q4;
    return age > o->age_limit || x < o->q8_importance ? DEV_KV_Q8 : DEV_KV_F16;
}

static void plan_rule(const kv_plan *v)
{
    for (int l = 0; l < v->s->shape.layers; l++) {
        float mean = mean_share(v, l);
        for (int i = v->first; i < v->pinned; i++) {
            enum dev_kv_level level = rule(v, importance(v, i, l, mean), v->q->length - (i + 1) * DEV_PAGE);
            for (int side = 0; side < 2; side++) {
                // While memory is short nothing rises: it would only have to go down again.
                int now = kv_plan_page(v, i)->at.block[l][side].level;
                kv_plan_wish(v, i, l, side,
                             v->pressure > v->o->q4_pressure ? MAX(level, (enum dev_kv_level)now) : level);
            }
        }
    }
}

static void plan_uniform(const kv_plan *v)
{
    for (int i = v->first; i < v->pinned; i++)
        wish_page(v, i, v->o->level[DEV_KV_K], v->o->level[DEV_KV_V]);
}

// ---- A pass --------------------------------------------------------------------------------------------------------
static bool is_measured(const kv_policy *o)
{
    return o->kind == KV_RULE || o->kind == KV_FIT;
}

// Bytes of the sequence's part of the budget that its open pages may take.
static void find_budget(kv_plan *v, double all_f16, double all_bytes)
{
    const double page = (double)dev_kv_page_bytes(&v->s->shape), f16 = v->written * page;
    double budget = v->o->budget_part > 0 ? kv_policy_part(v->o, v->q->length, page) : INFINITY;
    if (v->o->budget_bytes > 0)
        budget = MIN(budget, (double)v->o->budget_bytes * f16 / all_f16);
    v->pressure = all_bytes * f16 / all_f16 / budget;
    v->budget = MAX(0, budget - (kv_policy_pages(v->q->length) - (v->pinned - v->first)) * page);
}

static void plan_seq(kv *s, kv_seq *q, double all_f16, double all_bytes)
{
    kv_plan v = {.s = s, .q = q, .o = &q->policy, .written = (q->length + DEV_PAGE - 1) / DEV_PAGE};
    const int full = q->length / DEV_PAGE;
    v.first = kv_policy_first(v.o, q->length);
    v.pinned = MAX(v.first, (q->length - MAX(v.o->recent, q->doubt)) / DEV_PAGE);
    if (is_measured(v.o))
        for (int l = 0; l < s->shape.layers; l++)
            look(&v, l);
    q->looked = q->length - q->doubt;
    for (int i = 0; i < v.written; i++)
        if (kv_plan_page(&v, i)->seen != s->pass) {  // the first sequence to look at it in this pass
            kv_plan_page(&v, i)->seen = s->pass;
            for (int l = 0; l < s->shape.layers; l++)
                for (int side = 0; side < 2; side++)
                    kv_state_of(s, kv_plan_page(&v, i), l, side)->want = DEV_KV_ABSENT;
        }
    if (v.o->kind == KV_F16)
        v.first = full;
    for (int i = 0; i < v.written; i++)
        if (i < v.first || i >= v.pinned)
            wish_page(&v, i, DEV_KV_F16, DEV_KV_F16);
    find_budget(&v, all_f16, all_bytes);
    static void (*const plans[])(const kv_plan *v) = {
        [KV_UNIFORM] = plan_uniform, [KV_WINDOW] = plan_window, [KV_H2O] = plan_h2o,
        [KV_RULE] = plan_rule,       [KV_FIT] = kv_fit,
    };
    if (v.o->kind != KV_F16 && v.first < v.pinned)
        plans[v.o->kind](&v);
    for (int i = v.first; i < v.pinned; i++)
        for (int b = 0; b < 2 * s->shape.layers; b++)
            if (kv_state_of(s, kv_plan_page(&v, i), b / 2, b % 2)->held)
                kv_plan_wish(&v, i, b / 2, b % 2, DEV_KV_F16);
}

void kv_policy_pass(kv *s)
{
    double f16 = 0, bytes = (double)kv_plane_bytes(s);
    s->pass++;
    for (const kv_seq *q = s->seqs; q; q = q->next)
        f16 += (q->length + DEV_PAGE - 1) / DEV_PAGE * (double)dev_kv_page_bytes(&s->shape);
    for (kv_seq *q = s->seqs; q; q = q->next)
        if (q->length > 0)
            plan_seq(s, q, f16, bytes);
}

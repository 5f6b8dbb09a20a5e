// The policy: which level each block of a full page should have.
//
// It looks at the pages when one has become full, and only writes down wishes; moving blocks (adapt.c) is spread over
// the steps that follow. A page that several sequences hold gets the finest level any of them wants.
#include <math.h>

#include "kv/policy.h"

// What a sequence looks like to its policy.
typedef struct view {
    kv *s;
    const kv_seq *q;
    const kv_policy *o;
    int written;      // pages with tokens
    int pinned;       // full pages [pinned, ..) are among the newest and stay at F16
    int first;        // pages [0, first) do too
    double budget;    // bytes that full, unpinned pages may take; infinite: no budget
    double pressure;  // bytes in use / budget
} view;

static kv_page *page_at(const view *v, int i)
{
    return kv_page_of(v->q->page[i]);
}

static kv_heat *heat_at(const view *v, int i, int layer)
{
    return &v->s->heat[(size_t)kv_page_index(v->s, page_at(v, i)) * (size_t)v->s->shape.layers +
                       (size_t)layer];
}

static double layer_bytes(const kv *s, enum dev_kv_level k, enum dev_kv_level v)
{
    return (double)(kv_level_bytes(s, k) + kv_level_bytes(s, v));
}

static void wish(const view *v, int i, int layer, int side, enum dev_kv_level level)
{
    kv_block_state *state = kv_state_of(v->s, page_at(v, i), layer, side);
    state->want = (uint8_t)MIN(state->want, level);
}

static void wish_page(const view *v, int i, enum dev_kv_level k, enum dev_kv_level value)
{
    for (int l = 0; l < v->s->shape.layers; l++) {
        wish(v, i, l, DEV_KV_K, k);
        wish(v, i, l, DEV_KV_V, value);
    }
}

// ---- What attention the pages had ----------------------------------------------------------------------------------
// Takes up what has been received since the last look. Part of the whole, so that a layer that looks at its first
// page alone asks for little elsewhere.
static void look(const view *v, int layer)
{
    enum { REMEMBER = 4 };  // looks that a running mean goes over
    double sum = 0;
    for (int i = 0; i < v->written; i++)
        sum += (double)(page_at(v, i)->at.mass[layer] - heat_at(v, i, layer)->seen);
    if (sum <= 0)
        return;
    for (int i = 0; i < v->written; i++) {
        kv_heat *h = heat_at(v, i, layer);
        uint64_t mass = page_at(v, i)->at.mass[layer];
        float share = (float)((double)(mass - h->seen) / sum);
        float often = share * (float)v->written > 1 ? 1 : 0;
        float part = h->looked ? 1.0f / REMEMBER : 1;
        h->share += (share - h->share) * part;
        h->frequency += (often - h->frequency) * part;
        h->seen = mass;
        h->looked = true;
    }
}

// The part of the attention that goes to the mean page among those whose level is open.
static float mean_share(const view *v, int layer)
{
    float sum = 0;
    for (int i = v->first; i < v->pinned; i++)
        sum += heat_at(v, i, layer)->share;
    return sum > 0 ? sum / (float)(v->pinned - v->first) : 1;
}

static float age_of(const view *v, int i)
{
    return 1 - (float)(i + 1) * DEV_PAGE / (float)(v->q->length + 1);
}

// The published measure, 0..1; `mean` is mean_share. A page with the mean attention counts 1/2.
static float importance(const view *v, int i, int layer, float mean)
{
    const kv_heat *h = heat_at(v, i, layer);
    float x = h->share / mean;
    float sum = v->o->attention * (x / (1 + x)) + v->o->frequency * h->frequency - v->o->age * age_of(v, i);
    return MAX(0, MIN(1, sum));
}

// ---- The policies --------------------------------------------------------------------------------------------------
static void plan_window(const view *v)
{
    double page = (double)dev_kv_page_bytes(&v->s->shape);
    int tokens = v->o->window ? v->o->window : isfinite(v->budget) ? (int)(v->budget / page) * DEV_PAGE : 0;
    int from = v->o->window || isfinite(v->budget) ? v->pinned - (tokens + DEV_PAGE - 1) / DEV_PAGE : 0;
    for (int i = v->first; i < v->pinned; i++) {
        enum dev_kv_level level = i < from ? DEV_KV_ABSENT : DEV_KV_F16;
        wish_page(v, i, level, level);
    }
}

static void plan_h2o(const view *v)
{
    const double page = layer_bytes(v->s, DEV_KV_F16, DEV_KV_F16) * v->s->shape.layers;
    const int open = v->pinned - v->first;
    const int keep = isfinite(v->budget) ? MIN(open, (int)(v->budget / page)) : open;
    const int recent = v->pinned - keep / 2;
    for (int l = 0; l < v->s->shape.layers; l++) {
        kv_bins bins = {0};
        for (int i = v->first; i < recent; i++)
            kv_bins_add(&bins, (float)page_at(v, i)->at.mass[l]);
        int left = keep - keep / 2, least = kv_bins_top(&bins, left), above = 0;
        for (int i = v->first; i < recent; i++)
            above += kv_bin_of((float)page_at(v, i)->at.mass[l]) > least;
        left -= above;  // places for pages of the last bin that has any
        for (int i = v->first; i < v->pinned; i++) {
            int bin = kv_bin_of((float)page_at(v, i)->at.mass[l]);
            bool stays = i >= recent || bin > least || (bin == least && left-- > 0);
            for (int side = 0; side < 2; side++)
                wish(v, i, l, side, stays ? DEV_KV_F16 : DEV_KV_ABSENT);
        }
    }
}

static enum dev_kv_level rule(const view *v, float x, int age)
{
    const kv_policy *o = v->o;
    if (v->pressure > o->absent_pressure && x < o->absent_importance)
        return DEV_KV_ABSENT;
    if (v->pressure > o->q4_pressure && x < o->q4_importance)
        return DEV_KV_Q4;
    return age > o->age_limit || x < o->q8_importance ? DEV_KV_Q8 : DEV_KV_F16;
}

static void plan_rule(const view *v)
{
    for (int l = 0; l < v->s->shape.layers; l++) {
        float mean = mean_share(v, l);
        for (int i = v->first; i < v->pinned; i++) {
            enum dev_kv_level level = rule(v, importance(v, i, l, mean), v->q->length - (i + 1) * DEV_PAGE);
            for (int side = 0; side < 2; side++) {
                // While memory is short nothing rises: it would only have to go down again.
                int now = page_at(v, i)->at.block[l][side].level;
                wish(v, i, l, side,
                     v->pressure > v->o->q4_pressure ? MAX(level, (enum dev_kv_level)now) : level);
            }
        }
    }
}

// Mean square error of a value at each level over the variance of the values, for 64 values of a normal distribution, whose
// range is 4.8 deviations: (4.8 / cells)^2 / 12. An absent value errs by more than itself, since the weights of the
// others change too.
static const double level_error[DEV_KV_LEVELS + 1] = {0, 2.9e-5, 7.5e-3, 0.12, 4};

// The level at which error * weight + price * bytes is least.
static enum dev_kv_level best_level(const kv *s, double weight, double price)
{
    enum dev_kv_level best = DEV_KV_F16;
    double least = INFINITY;
    for (int level = DEV_KV_F16; level <= DEV_KV_ABSENT; level++) {
        double cost = level_error[level] * weight +
                      price * (double)kv_level_bytes(s, (enum dev_kv_level)level);
        if (cost < least) {
            least = cost;
            best = (enum dev_kv_level)level;
        }
    }
    return best;
}

typedef struct pair {
    enum dev_kv_level level[2];
} pair;

static pair best_pair(const view *v, double weight, double price)
{
    pair p = {{best_level(v->s, weight * v->o->key_weight, price), best_level(v->s, weight, price)}};
    for (int side = 0; side < 2; side++)
        if (p.level[side] == DEV_KV_ABSENT && p.level[!side] != DEV_KV_ABSENT)
            p.level[side] = DEV_KV_Q2;  // absent only together
    return p;
}

static float fit_weight(const view *v, int i, int layer)
{
    const kv_heat *h = heat_at(v, i, layer);
    float x = v->o->attention * h->share * (float)v->written + v->o->frequency * h->frequency -
              v->o->age * age_of(v, i);
    return powf(MAX(x, 1e-4f), v->o->power);
}

// The price of a byte at which the pages take what the budget allows: cheaper bytes buy more precision.
static double find_price(const view *v, const kv_bins *bins)
{
    double low = -60, high = 20;  // powers of two
    for (int step = 0; step < 40; step++) {
        double middle = (low + high) / 2, bytes = 0;
        for (int b = 0; b < KV_BINS; b++)
            if (bins->count[b]) {
                pair p = best_pair(v, kv_bin_value(b), exp2(middle));
                bytes += bins->count[b] * layer_bytes(v->s, p.level[0], p.level[1]);
            }
        if (bytes > v->budget)
            low = middle;
        else
            high = middle;
    }
    return exp2(high);
}

static void plan_fit(const view *v)
{
    enum { HYSTERESIS = 4 };  // a block rises when it would still be worth it at a quarter of its weight
    kv_bins bins = {0};
    for (int l = 0; l < v->s->shape.layers; l++)
        for (int i = v->first; i < v->pinned; i++)
            kv_bins_add(&bins, fit_weight(v, i, l));
    double price = isfinite(v->budget) ? find_price(v, &bins) : 0;
    for (int l = 0; l < v->s->shape.layers; l++)
        for (int i = v->first; i < v->pinned; i++) {
            double weight = kv_bin_value(kv_bin_of(fit_weight(v, i, l)));
            pair now = best_pair(v, weight, price), sure = best_pair(v, weight / HYSTERESIS, price);
            for (int side = 0; side < 2; side++) {
                enum dev_kv_level is = (enum dev_kv_level)page_at(v, i)->at.block[l][side].level;
                wish(v, i, l, side, now.level[side] >= is ? now.level[side] : MIN(is, sure.level[side]));
            }
        }
}

static void plan_uniform(const view *v)
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
static void find_budget(view *v, double all_f16, double all_bytes)
{
    const double page = (double)dev_kv_page_bytes(&v->s->shape), f16 = v->written * page;
    double budget = INFINITY;
    if (v->o->budget_part > 0)
        budget = f16 * (double)v->o->budget_part;
    if (v->o->budget_bytes > 0)
        budget = MIN(budget, (double)v->o->budget_bytes * f16 / all_f16);
    v->pressure = all_bytes * f16 / all_f16 / budget;
    v->budget = MAX(0, budget - (v->first + v->written - v->pinned) * page);
}

static void plan_seq(kv *s, const kv_seq *q, double all_f16, double all_bytes)
{
    view v = {.s = s, .q = q, .o = &q->policy, .written = (q->length + DEV_PAGE - 1) / DEV_PAGE};
    const int full = q->length / DEV_PAGE;
    v.first = v.o->kind == KV_UNIFORM ? 0 : MIN(1, full);
    // The newest tokens may be taken back (what was guessed, a turn that is asked again) and written anew.
    v.pinned = MAX(v.first, (q->length - MAX(v.o->recent, DEV_PAGE)) / DEV_PAGE);
    if (is_measured(v.o))
        for (int l = 0; l < s->shape.layers; l++)
            look(&v, l);
    for (int i = 0; i < v.written; i++)
        if (page_at(&v, i)->seen != s->pass) {  // the first sequence to look at it in this pass
            page_at(&v, i)->seen = s->pass;
            for (int l = 0; l < s->shape.layers; l++)
                for (int side = 0; side < 2; side++)
                    kv_state_of(s, page_at(&v, i), l, side)->want = DEV_KV_ABSENT;
        }
    if (v.o->kind == KV_F16)
        v.first = full;
    for (int i = 0; i < v.written; i++)
        if (i < v.first || i >= v.pinned)
            wish_page(&v, i, DEV_KV_F16, DEV_KV_F16);
    find_budget(&v, all_f16, all_bytes);
    static void (*const plans[])(const view *v) = {
        [KV_UNIFORM] = plan_uniform, [KV_WINDOW] = plan_window, [KV_H2O] = plan_h2o,
        [KV_RULE] = plan_rule,       [KV_FIT] = plan_fit,
    };
    if (v.o->kind != KV_F16 && v.first < v.pinned)
        plans[v.o->kind](&v);
    for (int i = v.first; i < v.pinned; i++)
        for (int b = 0; b < 2 * s->shape.layers; b++)
            if (kv_state_of(s, page_at(&v, i), b / 2, b % 2)->held)
                wish(&v, i, b / 2, b % 2, DEV_KV_F16);
}

void kv_policy_pass(kv *s)
{
    double f16 = 0, bytes = (double)kv_plane_bytes(s);
    s->pass++;
    for (const kv_seq *q = s->seqs; q; q = q->next)
        f16 += (q->length + DEV_PAGE - 1) / DEV_PAGE * (double)dev_kv_page_bytes(&s->shape);
    for (const kv_seq *q = s->seqs; q; q = q->next)
        if (q->length > 0)
            plan_seq(s, q, f16, bytes);
}

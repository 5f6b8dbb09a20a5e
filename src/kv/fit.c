// "staged": precision where it is worth most, within the budget.
//
// What a block loses at each level is measured when its page has become full: the mean square error of its values, over
// the mean square of what its layer and side holds. That, times the attention it had, is what a level costs; a byte has a
// price; and every block takes the level at which both together are least. The price is found by bisection so that all
// fits the budget, which is a knapsack filled by gain a byte.
#include <math.h>

#include "kv/policy.h"

enum { PRICES = 32, HYSTERESIS = 4 };
// Blocks that could not be measured, since they came from a file at their level: as of normal values, a range of 4.8
// deviations in cells, (4.8 / cells)^2 / 12.
static const float usual[3] = {2.9e-5f, 7.5e-3f, 0.12f};
// An absent value errs by more than itself: the weights of the others change too.
static const float absent = 4;
// Least weight, in parts of the mean page's: what had no attention may still be asked for.
static const float least_weight = 0.1f;

static void measure(const kv_plan *v, int i, int layer, int side)
{
    kv *s = v->s;
    kv_page *p = kv_plan_page(v, i);
    kv_block_state *state = kv_state_of(s, p, layer, side);
    const dev_kv_block *b = &p->at.block[layer][side];
    kv_whole *mean = &s->whole[layer][side];
    float error[3], whole;
    if (state->measured || state->raw)
        return;
    state->measured = true;
    for (int k = 0; k < 3; k++)
        state->error[k] = usual[k];
    if (b->level != DEV_KV_F16 || !dev_kv_measure(&s->shape, (enum dev_kv_side)side, b, error, &whole))
        return;
    mean->sum += (double)whole;
    mean->blocks++;
    const double unit = mean->sum / (double)mean->blocks;
    for (int k = 0; k < 3; k++)
        state->error[k] = unit > 0 ? (float)((double)error[k] / unit) : 0;
}

static float weigh(const kv_plan *v, int i, int layer)
{
    const kv_heat *h = kv_plan_heat(v, i, layer);
    float x = v->o->attention * h->share * (float)v->written + v->o->frequency * h->frequency -
              v->o->age * kv_plan_age(v, i);
    return powf(MAX(x, least_weight), v->o->power);
}

typedef struct pair {
    enum dev_kv_level level[2];
} pair;

static float error_of(const kv_block_state *state, int level)
{
    return level == DEV_KV_F16 ? 0 : level == DEV_KV_ABSENT ? absent : state->error[level - 1];
}

// The levels at which error * weight + price * bytes is least; absent only together.
static pair best_pair(const kv_plan *v, int i, int layer, float part, double price)
{
    const kv_page *p = kv_plan_page(v, i);
    const double weight = (double)(kv_plan_heat(v, i, layer)->weight * part);
    pair best = {{DEV_KV_F16, DEV_KV_F16}};
    double sum = 0, gone = 0;
    for (int side = 0; side < 2; side++) {
        const kv_block_state *state = kv_state_of(v->s, p, layer, side);
        const double w = side == DEV_KV_K ? weight * (double)v->o->key_weight : weight;
        double least = INFINITY;
        for (int level = DEV_KV_F16; level < DEV_KV_LEVELS; level++) {
            double cost = (double)error_of(state, level) * w +
                          price * (double)kv_level_bytes(v->s, (enum dev_kv_level)level);
            if (cost < least) {
                least = cost;
                best.level[side] = (enum dev_kv_level)level;
            }
        }
        sum += least;
        gone += (double)absent * w;
    }
    return gone < sum ? (pair){{DEV_KV_ABSENT, DEV_KV_ABSENT}} : best;
}

static double bytes_at(const kv_plan *v, double price)
{
    double bytes = 0;
    for (int i = v->first; i < v->pinned; i++)
        for (int l = 0; l < v->s->shape.layers; l++) {
            pair p = best_pair(v, i, l, 1, price);
            bytes += kv_plan_layer_bytes(v->s, p.level[0], p.level[1]);
        }
    return bytes;
}

// The price of a byte at which the pages take what the budget allows: cheaper bytes buy more precision. 0 when all fits at F16.
static double find_price(const kv_plan *v, double budget)
{
    double low = -60, high = 20;  // powers of two
    if (bytes_at(v, 0) <= budget)
        return 0;
    for (int step = 0; step < PRICES; step++) {
        const double middle = (low + high) / 2;
        if (bytes_at(v, exp2(middle)) > budget)
            low = middle;
        else
            high = middle;
    }
    return exp2(high);
}

void kv_fit(const kv_plan *v)
{
    const int layers = v->s->shape.layers;
    double budget = v->budget;
    for (int i = v->first; i < v->pinned; i++)
        for (int l = 0; l < layers; l++) {
            measure(v, i, l, DEV_KV_K);
            measure(v, i, l, DEV_KV_V);
            kv_plan_heat(v, i, l)->weight = weigh(v, i, l);
        }
    // A percentage is for long sequences. In a short one the newest pages alone may take it; it keeps all tokens.
    if (v->o->budget_bytes == 0)
        budget = MAX(budget,
                     (v->pinned - v->first) * layers * kv_plan_layer_bytes(v->s, DEV_KV_Q2, DEV_KV_Q2));
    const double price = isfinite(budget) ? find_price(v, budget) : 0;
    for (int i = v->first; i < v->pinned; i++)
        for (int l = 0; l < layers; l++) {
            // A block rises when it would still be worth it at a part of its weight.
            pair now = best_pair(v, i, l, 1, price), sure = best_pair(v, i, l, 1.0f / HYSTERESIS, price);
            for (int side = 0; side < 2; side++) {
                enum dev_kv_level is = (enum dev_kv_level)kv_plan_page(v, i)->at.block[l][side].level;
                kv_plan_wish(v, i, l, side,
                             now.level[side] >= is ? now.level[side] : MIN(is, sure.level[side]));
            }
        }
}

// What policies share: a pass over the pages, and counting by size in bins.
#ifndef KV_POLICY_H
#define KV_POLICY_H

#include "kv/own.h"

// policy.c: writes into kv_block_state.want of every page that a sequence holds.
void kv_policy_pass(kv *s);

// What a sequence looks like to its policy in a pass.
typedef struct kv_plan {
    kv *s;
    const kv_seq *q;
    const kv_policy *o;
    int written;      // pages with tokens
    int pinned;       // full pages [pinned, ..) are among the newest and stay at F16
    int first;        // pages [0, first) do too
    double budget;    // bytes that full, unpinned pages may take; infinite: no budget
    double pressure;  // bytes in use / budget
} kv_plan;

static inline kv_page *kv_plan_page(const kv_plan *v, int i)
{
    return kv_page_of(v->q->page[i]);
}

static inline kv_heat *kv_plan_heat(const kv_plan *v, int i, int layer)
{
    return &v->s->heat[(size_t)kv_page_index(v->s, kv_plan_page(v, i)) * (size_t)v->s->shape.layers +
                       (size_t)layer];
}

static inline double kv_plan_layer_bytes(const kv *s, enum dev_kv_level k, enum dev_kv_level v)
{
    return (double)(kv_level_bytes(s, k) + kv_level_bytes(s, v));
}

static inline void kv_plan_wish(const kv_plan *v, int i, int layer, int side, enum dev_kv_level level)
{
    kv_block_state *state = kv_state_of(v->s, kv_plan_page(v, i), layer, side);
    state->want = (uint8_t)MIN(state->want, level);
}

static inline float kv_plan_age(const kv_plan *v, int i)
{
    return 1 - (float)(i + 1) * DEV_PAGE / (float)(v->q->length + 1);
}

// What a policy is for a sequence of `length` tokens; count.c foretells with the same.
// Full pages [0, first) stay at F16.
static inline int kv_policy_first(const kv_policy *o, int length)
{
    return o->kind == KV_UNIFORM || o->kind == KV_FIT ? 0 : MIN(1, length / DEV_PAGE);
}

// Pages that a budget is for: one more than are full is written until the next pass.
static inline int kv_policy_pages(int length)
{
    return length / DEV_PAGE + 1;
}

// Bytes of a budget that is a part of F16, `page` bytes a page.
static inline double kv_policy_part(const kv_policy *o, int length, double page)
{
    const int least = o->kind == KV_FIT ? o->least / DEV_PAGE : 0;
    return MAX(kv_policy_pages(length), least) * page * (double)o->budget_part;
}

// fit.c: the "staged" policy.
void kv_fit(const kv_plan *v);

// Weights by power of two, four bins each: a threshold without sorting or memory.
enum { KV_BINS = 320, KV_BINS_EACH = 4, KV_BINS_LOW = -40 };  // 2^-40 .. 2^40
typedef struct kv_bins {
    int count[KV_BINS];
} kv_bins;
int kv_bin_of(float x);
void kv_bins_add(kv_bins *b, float x);
// The bin in which the n-th largest lies; KV_BINS when n is 0.
int kv_bins_top(const kv_bins *b, int n);

#endif

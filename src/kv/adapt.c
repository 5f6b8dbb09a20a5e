// Moving blocks to the level they should have, a few a step.
#include "kv/policy.h"

// New tokens by which as many blocks have been moved as a page has. A page that becomes full where a budget ends makes room
// by what several others drop.
enum { TOKENS_A_PAGE = DEV_PAGE / 16 };

static bool is_staged(const kv *s)
{
    for (const kv_seq *q = s->seqs; q; q = q->next)
        if (q->policy.kind != KV_F16)
            return true;
    return false;
}

// Pages are shared, so the most careful sequence decides for all whether what is dropped is kept.
static enum kv_mode mode_of(const kv *s)
{
    for (const kv_seq *q = s->seqs; q; q = q->next)
        if (q->policy.kind != KV_F16 && q->policy.mode == KV_EXACT)
            return KV_EXACT;
    return KV_NONE;
}

// Both sides of a layer of a page; the number of blocks moved.
static int move_layer(kv *s, kv_page *p, int layer, enum kv_mode mode)
{
    kv_block_state *k = kv_state_of(s, p, layer, DEV_KV_K), *v = kv_state_of(s, p, layer, DEV_KV_V);
    const dev_kv_block *b = p->at.block[layer];
    int moved = 0;
    if (k->want == DEV_KV_ABSENT || v->want == DEV_KV_ABSENT)
        return b[0].level == DEV_KV_ABSENT ? 0 : 2 * kv_layer_absent(s, p, layer, mode);
    if (b[0].level == DEV_KV_ABSENT && (!k->spilled || !v->spilled))
        return 0;
    for (int side = 0; side < 2; side++) {
        enum dev_kv_level want = (enum dev_kv_level)(side ? v->want : k->want);
        if (want > b[side].level)
            moved += kv_block_down(s, p, layer, side, want, mode);
        else if (want < b[side].level && (side ? v : k)->spilled)
            moved += kv_block_up(s, p, layer, side, want, NULL) == ST_OK;
    }
    return moved;
}

// Looks at the next layer of the next page; false when all have been looked at since the last pass.
static bool move_next(kv *s, enum kv_mode mode)
{
    if (s->at_left <= 0)
        return false;
    kv_page *p = &s->page[s->at_page];
    bool skip = p->refs == 0 || !p->full || p->seen != s->pass;
    if (!skip)
        s->carried -= move_layer(s, p, s->at_layer, mode);
    if (skip || ++s->at_layer == s->shape.layers) {
        s->at_layer = 0;
        s->at_left--;
        s->at_page = s->at_page + 1 < s->at_end ? s->at_page + 1 : 0;
    }
    return true;
}

// Idle pages of the prefix tree go before anything in use loses precision to a budget in bytes.
static void evict_over_budget(kv *s)
{
    uint64_t budget = 0;
    for (const kv_seq *q = s->seqs; q; q = q->next)
        budget = MAX(budget, q->policy.budget_bytes);
    if (budget)
        while (kv_plane_bytes(s) > budget && kv_tree_evict(s))
            ;
}

// Whether a sequence has other full pages than when the policy looked at it.
static bool is_due(const kv *s)
{
    bool due = s->due;
    for (const kv_seq *q = s->seqs; q && !due; q = q->next)
        due = (q->length - q->doubt) / DEV_PAGE != q->looked / DEV_PAGE;
    return due;
}

void kv_adapt(kv *s, int tokens)
{
    const bool due = is_due(s);
    if ((!due && s->at_left == 0) || !(s->changed || is_staged(s)))
        return;
    if (due) {
        evict_over_budget(s);
        kv_policy_pass(s);
        s->due = false;
        s->spill.full = false;  // tried again, once a pass
        s->at_left = s->at_end = s->fresh;
        s->at_layer = 0;  // where moving was cut short, all of that page
        s->carried = 0;
    }
    const enum kv_mode mode = mode_of(s);
    const double page = 2.0 * s->shape.layers;
    uint64_t before = s->demotions + s->promotions;
    s->carried = tokens < 0 ? 1e18 : s->carried + page * tokens / TOKENS_A_PAGE;
    while (s->carried > 0 && move_next(s, mode))
        ;
    s->changed = s->changed && s->at_left > 0;
    if (s->demotions + s->promotions != before)
        for (int k = 0; k < DEV_KV_PLANES; k++)
            kv_slots_trim(&s->plane[k]);
}

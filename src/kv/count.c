// What a store will hold: the sums of slots.c and policy.c, without the memory.
#include <math.h>

#include "kv/policy.h"

static size_t slot_bytes(const dev_kv_shape *s, enum dev_kv_plane k)
{
    return (size_t)round_up(MAX(dev_kv_plane_bytes(s, DEV_KV_K, k), dev_kv_plane_bytes(s, DEV_KV_V, k)), 64);
}

static size_t level_bytes(const dev_kv_shape *s, enum dev_kv_level level)
{
    size_t n = 0;
    for (int k = 0; k < DEV_KV_PLANES; k++)
        if (kv_level_planes(level) >> k & 1)
            n += slot_bytes(s, (enum dev_kv_plane)k);
    return n;
}

// Resident bytes of `used` blocks of one level in a store of `all` blocks, plane by plane in whole slabs.
static size_t blocks_bytes(const dev_kv_shape *s, enum dev_kv_level level, int64_t used, int64_t all,
                           size_t huge)
{
    enum { SLAB = 2 << 20 };
    size_t n = 0;
    for (int k = 0; k < DEV_KV_PLANES && used > 0; k++) {
        const size_t slot = slot_bytes(s, (enum dev_kv_plane)k);
        if (!(kv_level_planes(level) >> k & 1))
            continue;
        if (huge < SLAB || slot * (size_t)all <= SLAB) {
            n += (size_t)round_up(slot * (size_t)used, 4096);
            continue;
        }
        const size_t each = MAX((size_t)1, SLAB / slot);
        n += ((size_t)used + each - 1) / each * (size_t)round_up(slot * each, SLAB);
    }
    return n;
}

// Pages of a sequence whose level is open to the policy.
static int open_count(const kv_policy *o, int tokens)
{
    const int first = kv_policy_first(o, tokens);
    return o->kind == KV_F16 ? 0 : MAX(first, (tokens - o->recent) / DEV_PAGE) - first;
}

// What the open pages of all sequences may take, and the mean bits of their values.
static kv_needs open_pages(const dev_kv_shape *s, const kv_policy *o, int64_t pages, int sequences,
                           int tokens, int64_t all, size_t huge)
{
    const int64_t blocks = pages * s->layers;  // of one side
    const double page = 2.0 * s->layers * (double)level_bytes(s, DEV_KV_F16), f16 = (double)pages * page;
    if (o->kind == KV_UNIFORM) {
        size_t bytes = 0;
        double bits = 0;
        for (int side = 0; side < 2; side++) {
            bytes += blocks_bytes(s, o->level[side], blocks, all, huge);
            bits += 8.0 * (double)level_bytes(s, o->level[side]) / (double)(dev_kv_block_bytes(s) / 2) / 2;
        }
        return (kv_needs){bytes, bits};
    }
    double part = 1;
    if (o->kind == KV_WINDOW && o->window > 0)
        part = (double)sequences * ((o->window + DEV_PAGE - 1) / DEV_PAGE) / (double)MAX(1, pages);
    if (o->kind != KV_F16 && pages > 0 && (o->budget_part > 0 || o->budget_bytes > 0)) {
        double budget = o->budget_part > 0 ? sequences * kv_policy_part(o, tokens, page) : INFINITY;
        if (o->budget_bytes > 0)
            budget = MIN(budget, (double)o->budget_bytes);
        part = (budget - (double)(sequences * (int64_t)kv_policy_pages(tokens) - pages) * page) / f16;
    }
    part = MAX(0, MIN(part, 1));
    return (kv_needs){blocks_bytes(s, DEV_KV_F16, (int64_t)ceil((double)blocks * 2 * part), all, huge),
                      16 * part};
}

kv_needs kv_count(const dev_kv_shape *s, const kv_policy *o, int pages, int sequences, int tokens,
                  size_t huge)
{
    const int64_t written = (tokens + DEV_PAGE - 1) / DEV_PAGE * (int64_t)sequences;
    const int64_t opened = (int64_t)open_count(o, tokens) * sequences, pinned = written - opened;
    const int64_t all = (int64_t)pages * s->layers * 2;
    kv_needs open = open_pages(s, o, opened, sequences, tokens, all, huge);
    kv_needs out = {.bits = opened > 0 ? open.bits : 16};
    out.bytes = open.bytes + blocks_bytes(s, DEV_KV_F16, pinned * s->layers * 2, all, huge);
    // Beside the planes (kv_new): what is known of each page and of each of its blocks.
    const size_t a_layer = sizeof(dev_kv_block[2]) + sizeof(uint64_t) + sizeof(kv_block_state[2]) +
                           sizeof(kv_heat);
    out.bytes += (size_t)written *
                 (sizeof(kv_page) + DEV_PAGE * sizeof(int32_t) + a_layer * (size_t)s->layers);
    return out;
}

// What the guard does to a sequence (engine/guard.c judges): all of it at F16 for a while, then back, or partly back.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kv/policy.h"

static int written_pages(const kv_seq *q)
{
    return (q->length + DEV_PAGE - 1) / DEV_PAGE;
}

static kv_page *page_at(const kv_seq *q, int i)
{
    return kv_page_of(q->page[i]);
}

bool kv_seq_guard_due(kv_seq *q, int last)
{
    const kv_policy *o = &q->policy;
    if (o->kind == KV_F16 || o->guard == 0 || q->length - q->checked < o->guard)
        return false;
    // The last tokens lie in the page that is written, which is at F16: running them again changes no other.
    if (q->length % DEV_PAGE < last)
        return false;
    q->checked = q->length;
    for (int i = 0; i < written_pages(q); i++)
        if (!kv_page_is_f16(q->store, page_at(q, i)))
            return true;
    return false;
}

void kv_seq_last_tokens(const kv_seq *q, int32_t *out, int n)
{
    for (int at = q->length - n; at < q->length; at++)
        *out++ = q->store->token[kv_page_index(q->store, page_at(q, at / DEV_PAGE))][at % DEV_PAGE];
}

// Both sides of a layer of a page back to the levels they had. They went down from these values before, so there is
// room for them in the spill file.
static void lower_layer(kv_seq *q, int i, int layer, const uint8_t level[2])
{
    kv *s = q->store;
    if (level[0] == DEV_KV_ABSENT) {
        kv_layer_absent(s, page_at(q, i), layer, KV_EXACT);
        return;
    }
    for (int side = 0; side < 2; side++)
        kv_block_down(s, page_at(q, i), layer, side, (enum dev_kv_level)level[side], KV_EXACT);
}

int kv_seq_raise(kv_seq *q, uint8_t **levels, err *e)
{
    kv *s = q->store;
    const int pages = written_pages(q), layers = s->shape.layers;
    uint64_t demotions = s->demotions, promotions = s->promotions;
    uint8_t *at = *levels = mem_alloc(MEM_KV, (size_t)pages * (size_t)layers * 2 + 1);
    if (!at)
        return err_set(e, ST_NOMEM, "no memory to check keys and values");
    for (int i = 0; i < pages; i++)
        for (int l = 0; l < layers; l++, at += 2)
            for (int side = 0; side < 2; side++)
                at[side] = page_at(q, i)->at.block[l][side].level;
    int rc = ST_OK;
    for (int i = 0; !rc && i < pages; i++)
        rc = kv_page_restore(s, page_at(q, i), e);
    if (rc) {
        kv_seq_lower(q, *levels, 0);
        mem_free(*levels);
        *levels = NULL;
    }
    s->demotions = demotions;  // nothing has moved for good
    s->promotions = promotions;
    return rc;
}

typedef struct most {
    int bin, left;  // layers of pages in bins above stay, and so many in this one
} most;

// Which of the layers of pages that were coarser have had the most attention.
static most find_most(const kv_seq *q, const uint8_t *levels, float hold)
{
    kv_bins bins = {0};
    int count = 0, above = 0;
    const int layers = q->store->shape.layers;
    for (int i = 0; i < written_pages(q) * layers; i++)
        if (levels[2 * i] | levels[2 * i + 1]) {
            kv_bins_add(&bins, (float)page_at(q, i / layers)->at.mass[i % layers]);
            count++;
        }
    most m = {.left = (int)ceilf((float)count * hold)};
    m.bin = kv_bins_top(&bins, m.left);
    for (int b = m.bin + 1; b < KV_BINS; b++)
        above += bins.count[b];
    m.left -= above;
    return m;
}

int kv_seq_lower(kv_seq *q, const uint8_t *levels, float hold)
{
    kv *s = q->store;
    const int layers = s->shape.layers;
    most m = find_most(q, levels, hold);
    int held = 0;
    uint64_t demotions = s->demotions;
    for (int i = 0; i < written_pages(q) * layers; i++) {
        kv_page *p = page_at(q, i / layers);
        const uint8_t *level = levels + (size_t)i * 2;
        if (!(level[0] | level[1]))
            continue;
        int bin = kv_bin_of((float)p->at.mass[i % layers]);
        bool stays = bin > m.bin || (bin == m.bin && m.left-- > 0);
        if (!stays)
            lower_layer(q, i / layers, i % layers, level);
        for (int side = 0; side < 2 && stays; side++) {
            kv_block_state *state = kv_state_of(s, p, i % layers, side);
            state->held = true;
            state->want = DEV_KV_F16;
            held += level[side] != DEV_KV_F16;
        }
    }
    s->demotions = demotions;
    s->promotions += (uint64_t)held;
    for (int k = 0; k < DEV_KV_PLANES; k++)
        kv_slots_trim(&s->plane[k]);
    return held;
}

kv_guard *kv_count_guard(kv *s)
{
    return &s->guard;
}

void kv_guard_saw(kv *s, float kl)
{
    s->diverged[s->guard.checks++ % KV_GUARD_LATEST] = kl;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

double kv_guard_p95(const kv *s)
{
    float kl[KV_GUARD_LATEST];
    size_t n = (size_t)MIN(s->guard.checks, KV_GUARD_LATEST);
    if (n == 0)
        return 0;
    memcpy(kl, s->diverged, n * sizeof *kl);
    qsort(kl, n, sizeof *kl, by_size);
    return (double)kl[(n - 1) * 95 / 100];
}

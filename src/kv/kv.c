// The store: its memory, and what it tells of itself.
#include "kv/kv.h"

#include "kv/own.h"

static int tree_init(kv *s)
{
    uint64_t buckets = 64;
    while (buckets < (uint64_t)s->pages)
        buckets *= 2;
    s->bucket = mem_alloc(MEM_KV, buckets * sizeof *s->bucket);
    for (uint64_t i = 0; s->bucket && i < buckets; i++)
        s->bucket[i] = -1;
    s->bucket_mask = buckets - 1;
    return s->bucket ? ST_OK : ST_NOMEM;
}

int kv_new(kv **out, const dev_kv_shape *shape, const kv_options *o, err *e)
{
    const int pages = o->pages;
    *out = NULL;
    size_t page_bytes = dev_kv_page_bytes(shape), layers = (size_t)shape->layers;
    uint64_t bytes;
    if (pages < 1 || !check_mul((uint64_t)pages, page_bytes, &bytes) || bytes > SIZE_MAX / 2)
        return err_set(e, ST_INVALID, "KV store of %d pages, allowed 1..%zu", pages,
                       SIZE_MAX / 2 / page_bytes);
    kv *s = mem_calloc(MEM_KV, 1, sizeof *s);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for the KV store");
    s->shape = *shape;
    s->pages = pages;
    s->root = o->root;
    s->policy = o->policy;
    s->spill_dir = o->spill_dir;
    s->spill_bytes = o->spill_bytes;
    s->spill.fd = -1;
    s->idle_oldest = s->idle_newest = -1;
    s->page = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->page);
    s->free_list = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->free_list);
    s->block = mem_calloc(MEM_KV, (size_t)pages * layers, sizeof *s->block);
    s->mass = mem_calloc(MEM_KV, (size_t)pages * layers, sizeof *s->mass);
    s->token = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->token);
    s->state = mem_calloc(MEM_KV, (size_t)pages * layers, sizeof *s->state);
    s->heat = mem_calloc(MEM_KV, (size_t)pages * layers, sizeof *s->heat);
    s->whole = mem_calloc(MEM_KV, layers, sizeof *s->whole);
    int rc = kv_slots_init(&s->plane[DEV_KV_PLANE_F16], (size_t)round_up(dev_kv_block_bytes(shape), 64),
                           (int64_t)pages * shape->layers * 2);
    if (!rc && o->prefix_tree)
        rc = tree_init(s);
    if (rc || !s->state || !s->heat || !s->whole || !s->page || !s->token || !s->free_list || !s->block ||
        !s->mass) {
        kv_free(s);
        return err_set(e, ST_NOMEM, "no memory for a KV store of %llu MB; use a smaller context",
                       (unsigned long long)bytes >> 20);
    }
    rc = kv_policy_prepare(s, &o->policy, e);
    if (rc) {
        kv_free(s);
        return rc;
    }
    *out = s;
    return ST_OK;
}

void kv_free(kv *s)
{
    if (!s)
        return;
    for (int k = 0; k < DEV_KV_PLANES; k++)
        kv_slots_done(&s->plane[k]);
    mem_free(s->page);
    mem_free(s->free_list);
    mem_free(s->block);
    mem_free(s->mass);
    mem_free(s->token);
    mem_free(s->state);
    mem_free(s->heat);
    mem_free(s->whole);
    kv_spill_done(&s->spill);
    mem_free(s->bucket);
    mem_free(s);
}

void kv_set_root(kv *s, uint64_t root)
{
    s->root = root;
}

void kv_get_stats(const kv *s, kv_stats *out)
{
    *out = (kv_stats){.pages = s->pages,
                      .used = s->fresh - s->n_free,
                      .idle = s->n_idle,
                      .page_bytes = dev_kv_page_bytes(&s->shape)};
    const double values = (double)dev_kv_block_bytes(&s->shape) / 2;
    double bits = 0, blocks = 0;
    for (int i = 0; i < s->fresh; i++) {
        const kv_page *p = &s->page[i];
        out->shared += p->refs - p->in_tree > 1;
        for (int b = 0; p->refs && b < 2 * s->shape.layers; b++) {
            int level = p->at.block[b / 2][b % 2].level;
            out->blocks[level]++;
            bits += 8 * (double)kv_level_bytes(s, (enum dev_kv_level)level) / values;
            blocks++;
        }
    }
    for (int k = 0; k < DEV_KV_PLANES; k++)
        out->resident_bytes += (size_t)s->plane[k].resident * s->plane[k].slab_bytes;
    out->bits = blocks > 0 ? bits / blocks : 0;
    out->plane_bytes = kv_plane_bytes(s);
    out->f16_bytes = (size_t)out->used * out->page_bytes;
    out->spilled_bytes = (size_t)s->spill.used * s->spill.slot_bytes;
    out->spill_full = s->spill.full;
    out->guard = s->guard;
    out->guard_last = s->guard.checks ? (double)s->diverged[(s->guard.checks - 1) % KV_GUARD_LATEST] : 0;
    out->guard_p95 = kv_guard_p95(s);
    out->demotions = s->demotions;
    out->promotions = s->promotions;
}

size_t kv_plane_bytes(const kv *s)
{
    size_t n = 0;
    for (int k = 0; k < DEV_KV_PLANES; k++)
        n += (size_t)s->plane[k].used * s->plane[k].slot_bytes;
    return n;
}

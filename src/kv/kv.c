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
    s->idle_oldest = s->idle_newest = -1;
    s->page = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->page);
    s->free_list = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->free_list);
    s->block = mem_calloc(MEM_KV, (size_t)pages * layers, sizeof *s->block);
    s->mass = mem_calloc(MEM_KV, (size_t)pages * layers, sizeof *s->mass);
    s->token = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->token);
    int rc = kv_slots_init(&s->plane[DEV_KV_PLANE_F16], (size_t)round_up(dev_kv_block_bytes(shape), 64),
                           (int64_t)pages * shape->layers * 2);
    if (!rc && o->prefix_tree)
        rc = tree_init(s);
    if (rc || !s->page || !s->token || !s->free_list || !s->block || !s->mass) {
        kv_free(s);
        return err_set(e, ST_NOMEM, "no memory for a KV store of %llu MB; use a smaller context",
                       (unsigned long long)bytes >> 20);
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
    for (int i = 0; i < s->fresh; i++)
        out->shared += s->page[i].refs - s->page[i].in_tree > 1;
    for (int k = 0; k < DEV_KV_PLANES; k++)
        out->resident_bytes += (size_t)s->plane[k].resident * s->plane[k].slab_bytes;
}

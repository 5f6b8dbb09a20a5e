// Pages: taking, counting, copying. A fresh page has an F16 plane for every block.
#include <string.h>

#include "kv/own.h"

kv_page *kv_page_take(kv *s)
{
    if (s->n_free == 0 && s->fresh == s->pages)
        kv_tree_evict(s);
    int i = s->n_free ? s->free_list[--s->n_free] : s->fresh++;
    size_t layers = (size_t)s->shape.layers;
    kv_page *p = &s->page[i];
    *p = (kv_page){.at = {.block = s->block + (size_t)i * layers, .mass = s->mass + (size_t)i * layers},
                   .refs = 1,
                   .spilled = {.extent = -1}};
    for (size_t l = 0; l < layers; l++) {
        for (int side = 0; side < 2; side++) {
            uint8_t *f16 = kv_slots_take(&s->plane[DEV_KV_PLANE_F16]);
            p->at.block[l][side] = (dev_kv_block){.plane = {[DEV_KV_PLANE_F16] = f16}};
            *kv_state_of(s, p, (int)l, side) = (kv_block_state){0};
        }
        p->at.mass[l] = 0;
        s->heat[(size_t)i * layers + l] = (kv_heat){0};
    }
    return p;
}

void kv_page_ref(kv *s, kv_page *p)
{
    if (p->refs++ == 1 && p->in_tree)
        kv_tree_busy(s, p);
}

void kv_page_unref(kv *s, kv_page *p)
{
    if (--p->refs > 0) {
        if (p->refs == 1 && p->in_tree)
            kv_tree_idle(s, p);
        return;
    }
    kv_page_forget_spilled(s, p);
    for (int l = 0; l < s->shape.layers; l++)
        for (int side = 0; side < 2; side++)
            for (int k = 0; k < DEV_KV_PLANES; k++)
                if (p->at.block[l][side].plane[k])
                    kv_slots_give(&s->plane[k], p->at.block[l][side].plane[k]);
    s->free_list[s->n_free++] = kv_page_index(s, p);
}

void kv_page_copy(const kv *s, kv_page *to, const kv_page *from)
{
    size_t n = dev_kv_block_bytes(&s->shape);
    for (int l = 0; l < s->shape.layers; l++) {
        for (int side = 0; side < 2; side++)
            memcpy(to->at.block[l][side].plane[DEV_KV_PLANE_F16],
                   from->at.block[l][side].plane[DEV_KV_PLANE_F16], n);
        to->at.mass[l] = from->at.mass[l];
        s->heat[(size_t)kv_page_index(s, to) * (size_t)s->shape.layers + (size_t)l] =
            s->heat[(size_t)kv_page_index(s, from) * (size_t)s->shape.layers + (size_t)l];
    }
    to->root = from->root;
    memcpy(s->token[kv_page_index(s, to)], s->token[kv_page_index(s, from)], sizeof *s->token);
}

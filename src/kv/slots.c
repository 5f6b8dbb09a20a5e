// Slots of one size in slabs that can go back to the system.
//
// A slab is about a huge page. Free slots of partly used slabs are taken first, so that others become empty.
#include "kv/own.h"

enum { SLAB_BYTES = 2 << 20 };  // a huge page: less would tear one when it goes back

int kv_slots_init(kv_slots *s, size_t slot_bytes, int64_t slots)
{
    *s = (kv_slots){.slot_bytes = slot_bytes};
    for (int i = 0; i < KV_SLAB_LISTS; i++)
        s->list[i] = -1;
    bool small = slot_bytes * (uint64_t)slots <= SLAB_BYTES;  // a small store stays on ordinary pages
    s->per_slab = (int)(small ? (size_t)slots : MAX(1, SLAB_BYTES / slot_bytes));
    int64_t slabs = (slots + s->per_slab - 1) / s->per_slab;
    uint64_t bytes;
    s->slab_bytes = (size_t)round_up(slot_bytes * (size_t)s->per_slab, small ? 4096 : SLAB_BYTES);
    slots = slabs * s->per_slab;  // the last slab is whole too
    if (slots > INT32_MAX || !check_mul((uint64_t)slabs, s->slab_bytes, &bytes) || bytes > SIZE_MAX / 2)
        return ST_NOMEM;
    s->slabs = (int)slabs;
    s->reserved = (size_t)bytes;
    s->memory = mem_pages_alloc(MEM_KV, s->reserved);
    s->slab = mem_calloc(MEM_KV, (size_t)slabs, sizeof *s->slab);
    s->next = mem_calloc(MEM_KV, (size_t)slots, sizeof *s->next);
    return s->memory && s->slab && s->next ? ST_OK : ST_NOMEM;
}

void kv_slots_done(kv_slots *s)
{
    mem_pages_free(MEM_KV, s->memory, s->reserved);
    mem_free(s->slab);
    mem_free(s->next);
    *s = (kv_slots){0};
}

static void list_put(kv_slots *s, enum kv_slab_list list, int i)
{
    s->slab[i].prev = -1;
    s->slab[i].next = s->list[list];
    if (s->list[list] >= 0)
        s->slab[s->list[list]].prev = i;
    s->list[list] = i;
}

static void list_remove(kv_slots *s, enum kv_slab_list list, int i)
{
    kv_slab *b = &s->slab[i];
    if (b->prev >= 0)
        s->slab[b->prev].next = b->next;
    else
        s->list[list] = b->next;
    if (b->next >= 0)
        s->slab[b->next].prev = b->prev;
}

// A slab with a free slot, in the list of partly used ones; -1: none.
static int slab_open(kv_slots *s)
{
    if (s->list[KV_SLABS_PARTLY] >= 0)
        return s->list[KV_SLABS_PARTLY];
    enum kv_slab_list from = s->list[KV_SLABS_WARM] >= 0 ? KV_SLABS_WARM : KV_SLABS_COLD;
    int i = s->list[from];
    if (i >= 0)
        list_remove(s, from, i);
    else if (s->fresh < s->slabs)
        i = s->fresh++;
    else
        return -1;
    s->resident += from == KV_SLABS_COLD;  // or fresh
    s->slab[i] = (kv_slab){.free = -1};
    list_put(s, KV_SLABS_PARTLY, i);
    return i;
}

uint8_t *kv_slots_take(kv_slots *s)
{
    int i = slab_open(s);
    if (i < 0)
        return NULL;
    kv_slab *b = &s->slab[i];
    int slot = b->free;
    if (slot >= 0)
        b->free = s->next[slot];
    else
        slot = i * s->per_slab + b->fresh++;
    s->used++;
    if (++b->used == s->per_slab)
        list_remove(s, KV_SLABS_PARTLY, i);
    return s->memory + (size_t)i * s->slab_bytes + (size_t)(slot - i * s->per_slab) * s->slot_bytes;
}

void kv_slots_give(kv_slots *s, uint8_t *at)
{
    size_t offset = (size_t)(at - s->memory);
    int i = (int)(offset / s->slab_bytes);
    int slot = i * s->per_slab + (int)(offset % s->slab_bytes / s->slot_bytes);
    kv_slab *b = &s->slab[i];
    if (b->used == s->per_slab)
        list_put(s, KV_SLABS_PARTLY, i);
    s->next[slot] = b->free;
    b->free = slot;
    s->used--;
    if (--b->used == 0) {
        list_remove(s, KV_SLABS_PARTLY, i);
        list_put(s, KV_SLABS_WARM, i);
    }
}

void kv_slots_trim(kv_slots *s)
{
    for (int i; (i = s->list[KV_SLABS_WARM]) >= 0;) {
        mem_pages_release(s->memory + (size_t)i * s->slab_bytes, s->slab_bytes);
        list_remove(s, KV_SLABS_WARM, i);
        list_put(s, KV_SLABS_COLD, i);
        s->resident--;
    }
}

// Inside of the kv room: shared by its files, seen by nobody else.
#ifndef KV_OWN_H
#define KV_OWN_H

#include "kv/kv.h"

// slots.c: memory for planes of one size. Slots lie in slabs; a slab that holds nothing any more can go back to the
// system, so that planes dropped from many pages really free memory. Address space for all is reserved at the start;
// taking and giving never allocates.
typedef struct kv_slab {
    int used;        // slots in use
    int fresh;       // slots [fresh, per_slab) were not used since the slab was last empty
    int free;        // first slot given back, linked by kv_slots.next; -1: none
    int prev, next;  // in the list it stands in; -1: none
} kv_slab;

enum kv_slab_list { KV_SLABS_PARTLY, KV_SLABS_WARM, KV_SLABS_COLD, KV_SLAB_LISTS };
typedef struct kv_slots {
    uint8_t *memory;
    size_t reserved;
    size_t slot_bytes, slab_bytes;
    int per_slab, slots, slabs;
    kv_slab *slab;            // [slabs]
    int32_t *next;            // [slots]
    int list[KV_SLAB_LISTS];  // partly used; empty but resident; empty and given back
    int fresh;                // slabs from here on were never used
    int used;                 // slots in use
    int resident;             // slabs that hold memory
} kv_slots;
int kv_slots_init(kv_slots *s, size_t slot_bytes, int64_t slots);  // ST_NOMEM; done it all the same
void kv_slots_done(kv_slots *s);
// NULL when all are taken. The contents are whatever lay there.
uint8_t *kv_slots_take(kv_slots *s);
void kv_slots_give(kv_slots *s, uint8_t *slot);
// Memory of empty slabs goes back to the system.
void kv_slots_trim(kv_slots *s);

// One page. `at` comes first: the device's pointer to it is a pointer to the page.
typedef struct kv_page {
    dev_kv_page at;
    int refs;
} kv_page;

struct kv {
    dev_kv_shape shape;
    int pages;
    int fresh;      // pages [fresh, pages) were never used
    kv_page *page;  // [pages]
    int *free_list;
    int n_free;
    dev_kv_block (*block)[2];  // [pages][layers][2]
    _Atomic uint64_t *mass;    // [pages][layers]
    kv_slots plane[DEV_KV_PLANES];
};

struct kv_seq {
    kv *store;
    int length;
    int n_pages, cap_pages;
    dev_kv_page **page;  // [cap_pages]
};

// pages.c: a page with F16 blocks; the caller made sure that there is one.
kv_page *kv_page_take(kv *s);
void kv_page_unref(kv *s, kv_page *p);
static inline kv_page *kv_page_of(dev_kv_page *p)
{
    return (kv_page *)(void *)p;
}
// Makes `to`, fresh from kv_page_take, hold what `from` holds.
void kv_page_copy(const kv *s, kv_page *to, const kv_page *from);
static inline int kv_pages_free(const kv *s)
{
    return s->n_free + s->pages - s->fresh;
}

#endif

// Inside of the kv room: shared by its files, seen by nobody else.
#ifndef KV_OWN_H
#define KV_OWN_H

#include "base/pool.h"
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
    int per_slab, slabs;
    kv_slab *slab;            // [slabs]
    int32_t *next;            // [slabs * per_slab]
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

// spill.c
enum { KV_SPILL_HEAD = 64 };
// What the file has of a page.
typedef struct kv_spilled {
    int32_t extent;  // -1: nothing
    int32_t count;   // blocks
} kv_spilled;
typedef struct kv_spill_read {
    int block;  // layer * 2 + side
    uint8_t *values;
    bool good;  // after reading: not damaged
} kv_spill_read;
typedef struct kv_spill {
    int fd;  // -1: not open
    size_t block_bytes, slot_bytes;
    int blocks;  // of a page
    int32_t extents, fresh;
    int64_t used;   // blocks
    int32_t *free;  // [extents] given back
    int32_t n_free;
    uint8_t *buffer;      // one slot
    kv_spill_read *list;  // [blocks] for whoever reads
    pool *readers;        // NULL: one thread reads
    bool full;            // a write failed since the last pass of the policy
    bool told;            // the log says so
} kv_spill;
int kv_spill_init(kv_spill *f, const char *dir, size_t block_bytes, int blocks, int extents, err *e);
void kv_spill_done(kv_spill *f);
bool kv_spill_put(kv_spill *f, kv_spilled *of, int block, const uint8_t *values);  // false: no room
// Blocks of one page, by rising number.
void kv_spill_get(const kv_spill *f, const kv_spilled *of, kv_spill_read *list, int n);
void kv_spill_drop(kv_spill *f, kv_spilled *of);  // all of a page

// What the store knows of a block beside its planes.
typedef struct kv_block_state {
    uint8_t want;   // level it should have
    bool spilled;   // the spill file has its F16 plane
    bool raw;       // holds infinities: it cannot be encoded
    bool held;      // the guard found that it must stay F16
    bool measured;  // error is known (fit.c)
    // Mean square error at Q8, Q4 and Q2, over the mean square of what its layer and side holds.
    float error[3];
} kv_block_state;

// One page. `at` comes first: the device's pointer to it is a pointer to the page.
typedef struct kv_page {
    dev_kv_page at;
    int refs;       // sequences that hold it, and the tree
    bool full;      // all its tokens are written, and it has joined the policy's pages
    uint32_t seen;  // kv.pass in which a sequence last counted it
    uint64_t born;  // kv.clock when it became full
    uint64_t root;  // kv.root when its tokens were written; 0: it changed between them
    kv_spilled spilled;
    // In the prefix tree (tree.c):
    bool in_tree;
    uint64_t key;      // hash of all tokens from the root
    int parent;        // page; -1: none
    int next_same;     // in its bucket; -1: none
    int older, newer;  // among the pages that only the tree holds; -1: none
} kv_page;

// Attention that a page has had in a layer.
typedef struct kv_heat {
    uint64_t seen;    // mass when last looked at
    float share;      // part of its sequence's attention, a running mean
    float frequency;  // part of the looks in which it had more than the mean
    float weight;     // of an error in it (fit.c)
    bool looked;
} kv_heat;

// Mean square of what blocks of a layer and side hold.
typedef struct kv_whole {
    double sum;
    uint64_t blocks;
} kv_whole;

enum { KV_GUARD_LATEST = 64 };
struct kv {
    dev_kv_shape shape;
    int pages;
    int fresh;      // pages [fresh, pages) were never used
    kv_page *page;  // [pages]
    int *free_list;
    int n_free;
    dev_kv_block (*block)[2];    // [pages][layers][2]
    _Atomic uint64_t *mass;      // [pages][layers]
    int32_t (*token)[DEV_PAGE];  // [pages] the tokens of each
    kv_block_state (*state)[2];  // [pages][layers][2]
    kv_seq *seqs;                // linked by next
    uint64_t sequences;          // made so far
    kv_spill spill;
    const char *spill_dir;
    uint64_t spill_bytes;
    uint64_t demotions, promotions;
    kv_guard guard;
    float diverged[KV_GUARD_LATEST];  // of check i at i % KV_GUARD_LATEST
    // The policy (policy.c):
    kv_policy policy;       // of new sequences
    kv_heat *heat;          // [pages][layers]
    kv_whole (*whole)[2];   // [layers][2]
    uint64_t clock;         // tokens appended, to all sequences
    uint32_t pass;          // of the policy over the pages
    bool due;               // a pass is to be made whether a page has become full or not
    bool changed;           // a sequence got another policy, perhaps F16
    int at_page, at_layer;  // where moving blocks stands
    int at_left, at_end;    // pages left to look at; of pages [0, at_end), which were there at the pass
    double carried;         // blocks that may still be moved for the tokens run so far
    kv_slots plane[DEV_KV_PLANES];
    // The prefix tree:
    uint64_t root;    // of model, tokenizer and adapter
    int32_t *bucket;  // [bucket_mask + 1] pages; NULL: no tree
    uint64_t bucket_mask;
    int idle_oldest, idle_newest, n_idle;  // pages that only the tree holds
};

struct kv_seq {
    kv *store;
    kv_seq *next;
    uint64_t number;  // since the store is open
    kv_policy policy;
    int length;
    int checked;  // length when the guard last looked
    int doubt;    // newest tokens that may be taken back
    int looked;   // length when the policy last looked, less what was in doubt
    int n_pages, cap_pages;
    dev_kv_page **page;  // [cap_pages]
};

static inline kv_page *kv_page_of(dev_kv_page *p)
{
    return (kv_page *)(void *)p;
}
static inline int kv_page_index(const kv *s, const kv_page *p)
{
    return (int)(p - s->page);
}

// pages.c
// A page with F16 blocks, held once; the caller made sure that kv_pages_free says there is one. May take the place of
// an idle page of the tree.
kv_page *kv_page_take(kv *s);
void kv_page_ref(kv *s, kv_page *p);
void kv_page_unref(kv *s, kv_page *p);
// Makes `to`, fresh from kv_page_take, hold what `from` holds.
void kv_page_copy(const kv *s, kv_page *to, const kv_page *from);
static inline kv_block_state *kv_state_of(const kv *s, const kv_page *p, int layer, int side)
{
    return &s->state[(size_t)kv_page_index(s, p) * (size_t)s->shape.layers + (size_t)layer][side];
}
static inline int kv_pages_free(const kv *s)
{
    return s->n_free + s->pages - s->fresh + s->n_idle;
}

// level.c
size_t kv_plane_bytes(const kv *s);                           // of all planes in use
int kv_prepare_levels(kv *s, err *e);                         // takes memory for planes other than F16, once
size_t kv_level_bytes(const kv *s, enum dev_kv_level level);  // of a block
unsigned kv_level_planes(enum dev_kv_level level);            // bits of enum dev_kv_plane
// Gives the block the planes of a level, with whatever lies in them; false: no memory.
bool kv_block_reshape(kv *s, dev_kv_block *b, enum dev_kv_level level);
// To a coarser level that is not absent; false when it stays: it is there already, cannot be encoded, or cannot be
// spilled.
bool kv_block_down(kv *s, kv_page *p, int layer, int side, enum dev_kv_level level, enum kv_mode mode);
bool kv_layer_absent(kv *s, kv_page *p, int layer, enum kv_mode mode);  // both sides; false: they stay
// To a finer level, from the spill file. ST_NOTFOUND: it was not spilled; ST_FORMAT: damaged; ST_LIMIT.
int kv_block_up(kv *s, kv_page *p, int layer, int side, enum dev_kv_level level, err *e);
bool kv_page_is_f16(const kv *s, const kv_page *p);
int kv_page_restore(kv *s, kv_page *p, err *e);  // all of it to F16
void kv_page_forget_spilled(kv *s, kv_page *p);

double kv_guard_p95(const kv *s);  // guard.c

// policy.c: takes what the policy needs (planes, spill file).
int kv_policy_prepare(kv *s, const kv_policy *policy, err *e);

// tree.c
// The page with these DEV_PAGE tokens after `parent` (NULL: at the start); NULL when the tree has none.
kv_page *kv_tree_child(const kv *s, const kv_page *parent, const int32_t *tokens);
uint64_t kv_tree_key(const kv *s, const kv_page *parent, const int32_t *tokens);
// Puts a full page into the tree, where its parent is in it too.
void kv_tree_add(kv *s, const kv_page *parent, kv_page *p);
void kv_tree_idle(kv *s, kv_page *p);  // only the tree holds it any more
void kv_tree_busy(kv *s, kv_page *p);  // somebody else does again
bool kv_tree_evict(kv *s);             // frees the page not used for longest; false: there is none

#endif

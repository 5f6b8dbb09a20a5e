// Blocks from level to level.
//
// A block that leaves F16 under KV_EXACT is first written to the spill file; what is between (the low plane of Q8) comes
// from there too, since encoding the same values gives the same bits. A slot of the spill file stays with its block
// until the page is written anew or freed: going down again then costs no writing.
#include <string.h>

#include "kv/own.h"

// The planes that hold a block at each level.
static const uint8_t planes_of[DEV_KV_LEVELS + 1] = {
    [DEV_KV_F16] = 1 << DEV_KV_PLANE_F16,
    [DEV_KV_Q8] = 1 << DEV_KV_PLANE_HIGH | 1 << DEV_KV_PLANE_LOW | 1 << DEV_KV_PLANE_SCALES,
    [DEV_KV_Q4] = 1 << DEV_KV_PLANE_HIGH | 1 << DEV_KV_PLANE_SCALES,
    [DEV_KV_Q2] = 1 << DEV_KV_PLANE_TWO | 1 << DEV_KV_PLANE_SCALES,
    [DEV_KV_ABSENT] = 0,
};

int kv_prepare_levels(kv *s, err *e)
{
    int64_t blocks = (int64_t)s->pages * s->shape.layers * 2;
    for (int k = 0; k < DEV_KV_PLANES; k++) {
        size_t bytes = MAX(dev_kv_plane_bytes(&s->shape, DEV_KV_K, (enum dev_kv_plane)k),
                           dev_kv_plane_bytes(&s->shape, DEV_KV_V, (enum dev_kv_plane)k));
        if (s->plane[k].memory)
            continue;
        if (kv_slots_init(&s->plane[k], (size_t)round_up(bytes, 64), blocks)) {
            kv_slots_done(&s->plane[k]);
            return err_set(e, ST_NOMEM, "no memory for quantized keys and values; use a smaller context");
        }
    }
    return ST_OK;
}

size_t kv_level_bytes(const kv *s, enum dev_kv_level level)
{
    size_t n = 0;
    for (int k = 0; k < DEV_KV_PLANES; k++)
        if (planes_of[level] >> k & 1)
            n += s->plane[k].slot_bytes;
    return n;
}

static bool take_planes(kv *s, dev_kv_block *b, unsigned wanted)
{
    for (int k = 0; k < DEV_KV_PLANES; k++)
        if ((wanted >> k & 1) && !b->plane[k] && !(b->plane[k] = kv_slots_take(&s->plane[k])))
            return false;
    return true;
}

// Gives the planes back that are not among `keep`.
static void give_planes(kv *s, dev_kv_block *b, unsigned keep)
{
    for (int k = 0; k < DEV_KV_PLANES; k++)
        if (!(keep >> k & 1) && b->plane[k]) {
            kv_slots_give(&s->plane[k], b->plane[k]);
            b->plane[k] = NULL;
        }
}

// From the F16 plane, which the block has, to the planes of a coarser level; `low` planes that are not needed stay NULL.
static bool encode(kv *s, dev_kv_block *b, int side, enum dev_kv_level level)
{
    unsigned need = planes_of[level] | 1u << DEV_KV_PLANE_HIGH;
    if (!take_planes(s, b, need) || !dev_kv_encode(&s->shape, (enum dev_kv_side)side, b))
        return false;
    if (level == DEV_KV_Q2)
        dev_kv_narrow(&s->shape, (enum dev_kv_side)side, b);
    return true;
}

static void settle(kv *s, dev_kv_block *b, enum dev_kv_level level)
{
    give_planes(s, b, planes_of[level]);
    b->level = (uint8_t)level;
}

// Keeps the F16 values where the mode asks for it; false when there is no room.
static bool keep(kv *s, kv_page *p, int layer, int side, enum kv_mode mode)
{
    const dev_kv_block *b = &p->at.block[layer][side];
    kv_block_state *state = kv_state_of(s, p, layer, side);
    if (b->level == DEV_KV_F16 && mode == KV_EXACT && !state->spilled)
        state->spilled = kv_spill_put(&s->spill, &p->spilled, layer * 2 + side, b->plane[DEV_KV_PLANE_F16]);
    return b->level != DEV_KV_F16 || mode != KV_EXACT || state->spilled;
}

bool kv_layer_absent(kv *s, kv_page *p, int layer, enum kv_mode mode)
{
    dev_kv_block *b = p->at.block[layer];
    for (int side = 0; side < 2; side++)
        if (!keep(s, p, layer, side, mode))
            return false;
    for (int side = 0; side < 2; side++)
        settle(s, &b[side], DEV_KV_ABSENT);
    s->demotions += 2;
    return true;
}

bool kv_block_down(kv *s, kv_page *p, int layer, int side, enum dev_kv_level level, enum kv_mode mode)
{
    dev_kv_block *b = &p->at.block[layer][side];
    kv_block_state *state = kv_state_of(s, p, layer, side);
    if (b->level >= level || state->raw || !keep(s, p, layer, side, mode))
        return false;
    if (b->level == DEV_KV_F16) {
        state->raw = !encode(s, b, side, level);
        settle(s, b, state->raw ? DEV_KV_F16 : level);
    } else {
        if (level == DEV_KV_Q2) {
            if (!take_planes(s, b, planes_of[level]))
                return false;
            dev_kv_narrow(&s->shape, (enum dev_kv_side)side, b);
        }
        settle(s, b, level);
    }
    s->demotions += b->level == level;
    return b->level == level;
}

static int not_kept(const kv *s, const kv_page *p, int layer, err *e)
{
    return err_set(e, ST_NOTFOUND, "what was dropped of page %d, layer %d was not kept", kv_page_index(s, p),
                   layer);
}

// The F16 planes of the blocks in spill.list, and their levels, where they could be read.
static int read_planes(kv *s, kv_page *p, int n, err *e)
{
    kv_spill_read *list = s->spill.list;
    int rc = ST_OK;
    kv_spill_get(&s->spill, &p->spilled, list, n);
    for (int i = 0; i < n; i++) {
        dev_kv_block *b = &p->at.block[list[i].block / 2][list[i].block % 2];
        if (list[i].good) {
            settle(s, b, DEV_KV_F16);
            s->promotions++;
        } else {
            give_planes(s, b, planes_of[b->level]);
            rc = err_set(
                e, ST_FORMAT,
                "page %d, layer %d of the spill file for keys and values is damaged or cannot be read",
                kv_page_index(s, p), list[i].block / 2);
        }
    }
    return rc;
}

// Puts a block on the list of those to be read.
static int list_block(kv *s, kv_page *p, int block, int *n, err *e)
{
    dev_kv_block *b = &p->at.block[block / 2][block % 2];
    if (!kv_state_of(s, p, block / 2, block % 2)->spilled)
        return not_kept(s, p, block / 2, e);
    if (!take_planes(s, b, 1u << DEV_KV_PLANE_F16))
        return err_set(e, ST_LIMIT, "no memory left to restore keys and values");
    s->spill.list[(*n)++] = (kv_spill_read){.block = block, .values = b->plane[DEV_KV_PLANE_F16]};
    return ST_OK;
}

int kv_block_up(kv *s, kv_page *p, int layer, int side, enum dev_kv_level level, err *e)
{
    dev_kv_block *b = &p->at.block[layer][side];
    int n = 0;
    if (b->level <= level)
        return ST_OK;
    int rc = list_block(s, p, layer * 2 + side, &n, e);
    if (!rc)
        rc = read_planes(s, p, n, e);
    if (!rc && level != DEV_KV_F16) {
        encode(s, b, side, level);  // it could be encoded before
        settle(s, b, level);
    }
    return rc;
}

unsigned kv_level_planes(enum dev_kv_level level)
{
    return planes_of[level];
}

bool kv_block_reshape(kv *s, dev_kv_block *b, enum dev_kv_level level)
{
    if (!take_planes(s, b, planes_of[level]))
        return false;
    settle(s, b, level);
    return true;
}

bool kv_page_is_f16(const kv *s, const kv_page *p)
{
    for (int l = 0; l < s->shape.layers; l++)
        if (p->at.block[l][0].level != DEV_KV_F16 || p->at.block[l][1].level != DEV_KV_F16)
            return false;
    return true;
}

int kv_page_restore(kv *s, kv_page *p, err *e)
{
    int rc = ST_OK, n = 0;
    for (int b = 0; !rc && b < 2 * s->shape.layers; b++)
        if (p->at.block[b / 2][b % 2].level != DEV_KV_F16)
            rc = list_block(s, p, b, &n, e);
    if (!rc)
        return n ? read_planes(s, p, n, e) : ST_OK;
    for (int i = 0; i < n; i++) {
        dev_kv_block *b = &p->at.block[s->spill.list[i].block / 2][s->spill.list[i].block % 2];
        give_planes(s, b, planes_of[b->level]);
    }
    return rc;
}

void kv_page_forget_spilled(kv *s, kv_page *p)
{
    kv_spill_drop(&s->spill, &p->spilled);
    for (int l = 0; l < s->shape.layers; l++)
        for (int side = 0; side < 2; side++)
            *kv_state_of(s, p, l, side) = (kv_block_state){0};
}

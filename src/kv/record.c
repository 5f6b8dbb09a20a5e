// A page as it lies in files: levels and planes behind a checksum (docs/formats/session.md).
#include <string.h>

#include "kv/file.h"

static size_t levels_bytes(const kv *s)
{
    return (size_t)round_up((uint64_t)s->shape.layers * 2, 8);
}

static size_t plane_bytes(const kv *s, int side, int plane)
{
    return dev_kv_plane_bytes(&s->shape, (enum dev_kv_side)side, (enum dev_kv_plane)plane);
}

size_t kv_record_bytes(const kv *s, const uint8_t *levels)
{
    size_t n = levels_bytes(s);
    for (int b = 0; b < s->shape.layers * 2; b++)
        for (int k = 0; k < DEV_KV_PLANES; k++)
            if (kv_level_planes((enum dev_kv_level)levels[b]) >> k & 1)
                n += plane_bytes(s, b % 2, k);
    return n;
}

// Tokens past `written` of an F16 block hold what lay there before: nobody's business.
static void blank(const kv *s, uint8_t *block, int side, int written)
{
    uint16_t *x = (uint16_t *)(void *)block;
    const int hd = s->shape.head_dim, rows = side == DEV_KV_K ? hd : DEV_PAGE, columns = hd * DEV_PAGE / rows;
    for (int h = 0; h < s->shape.kv_heads; h++, x += rows * columns)
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
                if ((side == DEV_KV_K ? c : r) >= written)
                    x[r * columns + c] = 0;
}

int kv_record_make(const kv *s, const kv_page *p, int written, buf *out)
{
    uint8_t levels[8] = {0};
    buf_clear(out);
    for (size_t b = 0; b < levels_bytes(s); b++) {
        levels[b % 8] = b < (size_t)s->shape.layers * 2 ? p->at.block[b / 2][b % 2].level : 0;
        if (b % 8 == 7)
            buf_add(out, levels, sizeof levels);
    }
    for (int b = 0; b < s->shape.layers * 2; b++)
        for (int k = 0; k < DEV_KV_PLANES; k++) {
            const uint8_t *plane = p->at.block[b / 2][b % 2].plane[k];
            size_t n = plane_bytes(s, b % 2, k);
            if (!plane)
                continue;
            buf_add(out, plane, n);
            if (k == DEV_KV_PLANE_F16 && written < DEV_PAGE && !out->failed)
                blank(s, (uint8_t *)out->data + out->len - n, b % 2, written);
        }
    return out->failed ? ST_NOMEM : ST_OK;
}

// Levels that a page may have: known ones, absent on both sides or on none, F16 where it will be written on.
static bool levels_fit(const kv *s, const uint8_t *levels, int written)
{
    for (int b = 0; b < s->shape.layers * 2; b++) {
        bool absent = levels[b] == DEV_KV_ABSENT;
        if (levels[b] > DEV_KV_ABSENT || (written < DEV_PAGE && levels[b] != DEV_KV_F16) ||
            absent != (levels[b ^ 1] == DEV_KV_ABSENT))
            return false;
    }
    return true;
}

bool kv_record_fits(const kv *s, const uint8_t *record, size_t n, int written)
{
    return n >= levels_bytes(s) && levels_fit(s, record, written) && kv_record_bytes(s, record) == n;
}

int kv_record_read(kv *s, kv_page *p, const uint8_t *record)
{
    const uint8_t *at = record + levels_bytes(s);
    for (int b = 0; b < s->shape.layers * 2; b++) {
        dev_kv_block *block = &p->at.block[b / 2][b % 2];
        if (!kv_block_reshape(s, block, (enum dev_kv_level)record[b]))
            return ST_NOMEM;
        for (int k = 0; k < DEV_KV_PLANES; k++)
            if (block->plane[k]) {
                memcpy(block->plane[k], at, plane_bytes(s, b % 2, k));
                at += plane_bytes(s, b % 2, k);
            }
    }
    return ST_OK;
}

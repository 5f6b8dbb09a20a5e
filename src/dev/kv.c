// Whole blocks of KV from one level to another: kern knows one head, a block holds all of a layer.
#include "dev/dev.h"
#include "kern/kern.h"

// Sides and levels are numbered alike in both rooms.
_Static_assert((int)DEV_KV_K == (int)KERN_KV_K && (int)DEV_KV_V == (int)KERN_KV_V, "sides");
_Static_assert((int)DEV_KV_F16 == (int)KERN_KV_F16 && (int)DEV_KV_Q8 == (int)KERN_KV_Q8 &&
                   (int)DEV_KV_Q4 == (int)KERN_KV_Q4 && (int)DEV_KV_Q2 == (int)KERN_KV_Q2,
               "levels");

enum { MOST_VALUES = 512 * DEV_PAGE };  // of a head, the largest that kern takes

size_t dev_kv_plane_bytes(const dev_kv_shape *s, enum dev_kv_side side, enum dev_kv_plane plane)
{
    size_t heads = (size_t)s->kv_heads;
    switch (plane) {
    case DEV_KV_PLANE_F16: return dev_kv_block_bytes(s);
    case DEV_KV_PLANE_HIGH:
    case DEV_KV_PLANE_LOW: return heads * kern_kv_code_bytes(s->head_dim, 4);
    case DEV_KV_PLANE_TWO: return heads * kern_kv_code_bytes(s->head_dim, 2);
    default: return heads * kern_kv_scale_bytes((enum kern_kv_side)side, s->head_dim);
    }
}

// Head h of the F16 plane as the encoder wants it, x[terms][outs].
static void load_head(const kern_table *t, const dev_kv_shape *s, enum dev_kv_side side,
                      const dev_kv_block *b, size_t h, float *x)
{
    const uint8_t *f16 = b->plane[DEV_KV_PLANE_F16] + h * dev_kv_head_bytes(s);
    t->f16_to_f32((const uint16_t *)(const void *)f16, s->head_dim * DEV_PAGE, x);
    if (side == DEV_KV_K)
        kern_kv_turn_keys(x, s->head_dim);
}

bool dev_kv_encode(const dev_kv_shape *s, enum dev_kv_side side, const dev_kv_block *b)
{
    _Alignas(64) float x[MOST_VALUES];
    const kern_table *t = kern_get(KERN_ISA_COUNT);
    int terms = kern_kv_terms((enum kern_kv_side)side, s->head_dim), outs = s->head_dim * KERN_PAGE / terms;
    size_t codes = kern_kv_code_bytes(s->head_dim, 4),
           scales = kern_kv_scale_bytes((enum kern_kv_side)side, s->head_dim);
    uint8_t *const *p = b->plane;
    for (size_t h = 0; h < (size_t)s->kv_heads; h++) {
        load_head(t, s, side, b, h, x);
        if (!t->kv_encode(x, terms, outs, p[DEV_KV_PLANE_HIGH] + h * codes,
                          p[DEV_KV_PLANE_LOW] ? p[DEV_KV_PLANE_LOW] + h * codes : NULL,
                          (uint16_t *)(void *)(p[DEV_KV_PLANE_SCALES] + h * scales)))
            return false;
    }
    return true;
}

bool dev_kv_measure(const dev_kv_shape *s, enum dev_kv_side side, const dev_kv_block *b, float error[3],
                    float *whole)
{
    _Alignas(64) float x[MOST_VALUES];
    const int terms = kern_kv_terms((enum kern_kv_side)side, s->head_dim);
    const double values = (double)s->kv_heads * s->head_dim * DEV_PAGE;
    const kern_table *t = kern_get(KERN_ISA_COUNT);
    double sums[4] = {0};
    for (size_t h = 0; h < (size_t)s->kv_heads; h++) {
        kern_kv_loss one;
        load_head(t, s, side, b, h, x);
        if (!t->kv_measure(x, (enum kern_kv_side)side, terms, s->head_dim * DEV_PAGE / terms, &one))
            return false;
        for (int i = 0; i < 3; i++)
            sums[i] += (double)one.error[i];
        sums[3] += (double)one.whole;
    }
    for (int i = 0; i < 3; i++)
        error[i] = (float)(sums[i] / values);
    *whole = (float)(sums[3] / values);
    return true;
}

void dev_kv_narrow(const dev_kv_shape *s, enum dev_kv_side side, const dev_kv_block *b)
{
    int terms = kern_kv_terms((enum kern_kv_side)side, s->head_dim), outs = s->head_dim * KERN_PAGE / terms;
    for (size_t h = 0; h < (size_t)s->kv_heads; h++)
        kern_kv_narrow(b->plane[DEV_KV_PLANE_HIGH] + h * kern_kv_code_bytes(s->head_dim, 4), terms, outs,
                       b->plane[DEV_KV_PLANE_TWO] + h * kern_kv_code_bytes(s->head_dim, 2));
}

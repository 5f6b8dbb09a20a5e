// Matrix products in plain C: the definition of the numbers every other instruction set must reproduce bit for
// bit. A panel block is taken apart once and then meets a tile of tokens, whose running sums stay in `acc`.
#include <math.h>
#include <string.h>

#include "kern/overlay.h"
#include "kern/types.h"

enum { TILE = 32 };  // tokens that share one taking apart; no tuning, this is the fallback

typedef float acc_row[KERN_PANEL];

static void store(const kern_weight *w, int panel, int t0, int tokens, const acc_row *acc, float *y,
                  size_t ldy)
{
    int rows = w->n - panel * KERN_PANEL;
    if (rows > KERN_PANEL)
        rows = KERN_PANEL;
    for (int t = 0; t < tokens; t++)
        memcpy(y + (size_t)(t0 + t) * ldy + (size_t)panel * KERN_PANEL, acc[t], (size_t)rows * sizeof(float));
}

// dot[r] = sum over `groups` vectors of code times q.
static void dot_groups(const uint8_t *u, const int8_t *q, int groups, int32_t dot[KERN_PANEL])
{
    memset(dot, 0, KERN_PANEL * sizeof dot[0]);
    for (int g = 0; g < groups; g++, u += 64, q += KERN_GROUP)
        for (int r = 0; r < KERN_PANEL; r++)
            for (int j = 0; j < KERN_GROUP; j++)
                dot[r] += u[r * KERN_GROUP + j] * q[j];
}

static void block_b32(int type, const kern_block *b, const int8_t *q, float da, int sum,
                      float acc[KERN_PANEL])
{
    int32_t dot[KERN_PANEL];
    dot_groups(b->u, q, 8, dot);
    for (int r = 0; r < KERN_PANEL; r++) {
        acc[r] = fmaf((float)(dot[r] - kern_code_offset(type) * sum), b->d[r] * da, acc[r]);
        if (kern_has_min(type))
            acc[r] = fmaf((float)sum, b->m[r] * da, acc[r]);
    }
}

static void block_b256(int type, const kern_block *b, const int8_t *q, float da, const int16_t *sum,
                       float acc[KERN_PANEL])
{
    int sub = kern_sub_columns(type), offset = kern_code_offset(type);
    int32_t dot[KERN_PANEL], total[KERN_PANEL] = {0}, mins[KERN_PANEL] = {0};
    for (int i = 0; i < KERN_SUPER / sub; i++) {
        int s = sub == 16 ? sum[i] : sum[2 * i] + sum[2 * i + 1];
        dot_groups(b->u + i * sub * KERN_PANEL, q + i * sub, sub / KERN_GROUP, dot);
        for (int r = 0; r < KERN_PANEL; r++) {
            total[r] += b->sc[i][r] * (dot[r] - offset * s);
            mins[r] += b->mn[i][r] * s;
        }
    }
    for (int r = 0; r < KERN_PANEL; r++) {
        acc[r] = fmaf((float)total[r], b->d[r] * da, acc[r]);
        if (kern_has_min(type))
            acc[r] = fmaf((float)mins[r], -(b->m[r] * da), acc[r]);
    }
}

static void matmul_quant(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                         size_t ldy)
{
    bool b32 = w->family == KERN_B32;
    int width = b32 ? 32 : KERN_SUPER, blocks = w->k / width, sums = b32 ? 1 : 16;
    size_t packed = (size_t)kern_packed_block_bytes(w->type);
    kern_block block;
    for (int p = p0; p < p1; p++)
        for (int t = t0; t < t1; t += TILE) {
            int tokens = t1 - t < TILE ? t1 - t : TILE;
            acc_row acc[TILE] = {{0}};
            for (int b = 0; b < blocks; b++) {
                kern_unpack_block(w->type, w->data + (size_t)p * w->panel_bytes + (size_t)b * packed, &block);
                for (int i = 0; i < tokens; i++) {
                    size_t at = (size_t)(t + i) * (size_t)blocks + (size_t)b;
                    const int8_t *q = a->q + (size_t)(t + i) * a->ldq + (size_t)b * (size_t)width;
                    const int16_t *sum = a->sum + at * (size_t)sums;
                    if (b32)
                        block_b32(w->type, &block, q, a->d[at], sum[0], acc[i]);
                    else
                        block_b256(w->type, &block, q, a->d[at], sum, acc[i]);
                }
            }
            store(w, p, t, tokens, acc, y, ldy);
        }
}

static float value_at(int type, const uint8_t *p, size_t i)
{
    if (type == QT_F32) {
        float f;
        memcpy(&f, p + 4 * i, 4);
        return f;
    }
    uint16_t h;
    memcpy(&h, p + 2 * i, 2);
    return type == QT_F16 ? quant_f16_to_f32(h) : quant_bf16_to_f32(h);
}

// `cols` columns of a panel as floats [column][16], from column c0 on.
static void load_columns(const kern_weight *w, int panel, int c0, int cols, float *dst)
{
    if (w->family == KERN_DECODE) {
        kern_decode_panel(w, panel, c0, cols, dst);
        return;
    }
    const uint8_t *p = w->data + (size_t)panel * w->panel_bytes;
    for (int i = 0; i < cols * KERN_PANEL; i++)
        dst[i] = value_at(w->type, p, (size_t)c0 * KERN_PANEL + (size_t)i);
}

static void matmul_float(const kern_weight *w, const kern_act *a, int t0, int t1, int p0, int p1, float *y,
                         size_t ldy)
{
    float columns[KERN_SUPER * KERN_PANEL];
    for (int p = p0; p < p1; p++)
        for (int t = t0; t < t1; t += TILE) {
            int tokens = t1 - t < TILE ? t1 - t : TILE;
            acc_row acc[TILE] = {{0}};
            for (int c0 = 0; c0 < w->k; c0 += KERN_SUPER) {
                int cols = w->k - c0 < KERN_SUPER ? w->k - c0 : KERN_SUPER;
                load_columns(w, p, c0, cols, columns);
                for (int i = 0; i < tokens; i++) {
                    const float *x = a->x + (size_t)(t + i) * a->ldx + c0;
                    for (int c = 0; c < cols; c++)
                        for (int r = 0; r < KERN_PANEL; r++)
                            acc[i][r] = fmaf(columns[c * KERN_PANEL + r], x[c], acc[i][r]);
                }
            }
            store(w, p, t, tokens, acc, y, ldy);
        }
}

void kern_decode_panel(const kern_weight *w, int panel, int c0, int cols, float *dst)
{
    const quant_info *info = quant_type_info(w->type);
    size_t row_bytes = quant_row_bytes(w->type, (uint64_t)w->k);
    size_t at = (size_t)c0 / info->block_elems * info->block_bytes;
    float line[KERN_SUPER];
    for (int r = 0; r < KERN_PANEL; r++) {
        int row = panel * KERN_PANEL + r;
        if (row < w->n)
            info->decode(w->data + (size_t)row * row_bytes + at, line, (size_t)cols);
        else
            memset(line, 0, sizeof line);
        for (int c = 0; c < cols; c++)
            dst[c * KERN_PANEL + r] = line[c];
    }
}

void kern_fill_scalar(kern_table *t)
{
    for (int type = 0; type < QT_COUNT; type++) {
        const quant_info *info = quant_type_info(type);
        if (!info || !info->decode || kern_packed_type(type) != type)
            continue;
        enum kern_family family = kern_family_of(type);
        t->matmul[type] = family == KERN_B32 || family == KERN_B256 ? matmul_quant : matmul_float;
    }
    t->matmul_decode = matmul_float;
    kern_fill_scalar_ops(t);
}

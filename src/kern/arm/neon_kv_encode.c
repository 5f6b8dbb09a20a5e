// Encoding KV in fewer bits, NEON: kv.c has the steps. Codes of four terms become the bytes of 32-bit lanes, one a out,
// which is how a group lies in memory.
#include "kern/arm/neon.h"
#include "kern/kv.h"

enum { LINE = 8 };  // terms of a line

// Of a term: the least value, and what to multiply the distance from it by.
typedef struct grid {
    float min, inverse;
} grid;

// False when a value is infinite or no number.
static bool grid_of(const float *x, int outs, uint16_t *min, uint16_t *step, grid *g)
{
    const uint32x4_t exponent = vdupq_n_u32(KERN_KV_NOT_FINITE);
    uint32x4_t bad = vdupq_n_u32(0);
    float32x4_t lo = vld1q_f32(x), hi = lo;
    for (int n = 0; n < outs; n += 4) {
        const float32x4_t v = vld1q_f32(x + n);
        bad = vorrq_u32(bad, vceqq_u32(vandq_u32(vreinterpretq_u32_f32(v), exponent), exponent));
        lo = vminq_f32(lo, v);
        hi = vmaxq_f32(hi, v);
    }
    if (vmaxvq_u32(bad) || !kern_kv_grid(vminvq_f32(lo), vmaxvq_f32(hi), min, step))
        return false;
    *g = (grid){quant_f16_to_f32(*min), kern_kv_inverse(*step)};
    return true;
}

// The codes of a group of four terms, 4 outs.
KERN_INLINE uint8x16_t group_codes(const float *x, int outs, const grid *g)
{
    uint32x4_t codes = vdupq_n_u32(0);
    KERN_UNROLL
    for (int j = 0; j < 4; j++) {
        const float32x4_t v = vsubq_f32(vld1q_f32(x + j * outs), vdupq_n_f32(g[j].min));
        const uint32x4_t c = vcvtq_u32_f32(vmulq_n_f32(v, g[j].inverse));
        codes = vorrq_u32(codes, vshlq_u32(vminq_u32(c, vdupq_n_u32(KERN_KV_CELLS - 1)), vdupq_n_s32(8 * j)));
    }
    return vreinterpretq_u8_u32(codes);
}

static void encode_line(const float *x, int outs, const grid *g, uint8_t *high, uint8_t *low)
{
    for (int n = 0; n < outs; n += 4) {
        const uint8x16_t a = group_codes(x + n, outs, g), b = group_codes(x + 4 * outs + n, outs, g + 4);
        vst1q_u8(high + 4 * n, vsriq_n_u8(b, a, 4));
        if (low)
            vst1q_u8(low + 4 * n, vsliq_n_u8(a, b, 4));
    }
}

static bool encode(const float *x, int terms, int outs, uint8_t *high, uint8_t *low, uint16_t *scales)
{
    for (int r = 0; r < terms; r += LINE, x += LINE * outs, high += 4 * outs) {
        grid g[LINE];
        for (int j = 0; j < LINE; j++)
            if (!grid_of(x + j * outs, outs, &scales[r + j], &scales[terms + r + j], &g[j]))
                return false;
        encode_line(x, outs, g, high, low);
        if (low)
            low += 4 * outs;
    }
    return true;
}

void kern_neon_fill_kv_encode(kern_table *t)
{
    t->kv_encode = encode;
}

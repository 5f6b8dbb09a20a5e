// Encoding KV in fewer bits, AVX2, and measuring what that loses: kv.c has the steps. Codes of four terms become the bytes
// of 32-bit lanes, one a out, which is how a group lies in memory.
#include "kern/kv.h"
#include "kern/x86/avx2.h"
#include "kern/x86/math_avx2.h"

enum { LINE = 8 };  // terms of a line

// Of a term: the least value, and what to multiply the distance from it by.
typedef struct grid {
    float min, inverse;
} grid;

// False when a value is infinite or no number.
static bool grid_of(const float *x, int outs, uint16_t *min, uint16_t *step, grid *g)
{
    const __m256i exponent = _mm256_set1_epi32(KERN_KV_NOT_FINITE);
    __m256i bad = _mm256_setzero_si256();
    __m256 lo = _mm256_loadu_ps(x), hi = lo;
    for (int n = 0; n < outs; n += 8) {
        const __m256 v = _mm256_loadu_ps(x + n);
        bad = _mm256_or_si256(
            bad, _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(v), exponent), exponent));
        lo = _mm256_min_ps(lo, v);
        hi = _mm256_max_ps(hi, v);
    }
    if (!_mm256_testz_si256(bad, bad) ||
        !kern_kv_grid(-kern_max_avx2(_mm256_xor_ps(lo, _mm256_set1_ps(-0.0f))), kern_max_avx2(hi), min, step))
        return false;
    *g = (grid){quant_f16_to_f32(*min), kern_kv_inverse(*step)};
    return true;
}

// The codes of a group of four terms, 8 outs.
KERN_INLINE __m256i group_codes(const float *x, int outs, const grid *g)
{
    __m256i codes = _mm256_setzero_si256();
    KERN_UNROLL
    for (int j = 0; j < 4; j++) {
        const __m256 v = _mm256_sub_ps(_mm256_loadu_ps(x + j * outs), _mm256_set1_ps(g[j].min));
        __m256i c = _mm256_cvttps_epi32(_mm256_mul_ps(v, _mm256_set1_ps(g[j].inverse)));
        c = _mm256_min_epi32(c, _mm256_set1_epi32(KERN_KV_CELLS - 1));
        codes = _mm256_or_si256(codes, _mm256_slli_epi32(c, 8 * j));
    }
    return codes;
}

static void encode_line(const float *x, int outs, const grid *g, uint8_t *high, uint8_t *low)
{
    const __m256i low4 = _mm256_set1_epi8(15), high4 = _mm256_set1_epi8((char)0xf0);
    for (int n = 0; n < outs; n += 8) {
        const __m256i a = group_codes(x + n, outs, g), b = group_codes(x + 4 * outs + n, outs, g + 4);
        _mm256_store_si256(
            (__m256i *)(high + 4 * n),
            _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), low4), _mm256_and_si256(b, high4)));
        if (low)
            _mm256_store_si256(
                (__m256i *)(low + 4 * n),
                _mm256_or_si256(_mm256_and_si256(a, low4), _mm256_and_si256(_mm256_slli_epi16(b, 4), high4)));
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

// ---- What it would lose --------------------------------------------------------------------------------------------
typedef struct losses {
    __m256 error[3][2], whole[2];  // 16 lanes each
} losses;

// In the order of kern_kv_sum16.
KERN_INLINE float sum16(__m256 a, __m256 b)
{
    a = _mm256_add_ps(a, b);
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

// Adds the square of what lies between v and the middle of a cell: `mask` keeps the bits of a code at the level, `half` is half
// a cell of it.
KERN_INLINE __m256 add_error(__m256 sum, __m256 v, __m256i code, int mask, float half, __m256 step)
{
    const __m256 cell = _mm256_cvtepi32_ps(_mm256_and_si256(code, _mm256_set1_epi32(mask)));
    const __m256 d = _mm256_sub_ps(v, _mm256_mul_ps(step, _mm256_add_ps(cell, _mm256_set1_ps(half))));
    return _mm256_add_ps(sum, _mm256_mul_ps(d, d));
}

KERN_INLINE float add_errors(const float *x, int outs, float min, float step, float inverse, losses *all)
{
    const __m256 steps = _mm256_set1_ps(step);
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int n = 0; n < outs; n += KERN_KV_LANES)
        KERN_UNROLL
    for (int i = 0; i < 2; i++) {
        const __m256 at = _mm256_loadu_ps(x + n + 8 * i), v = _mm256_sub_ps(at, _mm256_set1_ps(min));
        const __m256i code = _mm256_min_epi32(_mm256_cvttps_epi32(_mm256_mul_ps(v, _mm256_set1_ps(inverse))),
                                              _mm256_set1_epi32(KERN_KV_CELLS - 1));
        all->error[0][i] = add_error(all->error[0][i], v, code, ~0, 0.5f, steps);
        all->error[1][i] = add_error(all->error[1][i], v, code, ~15, 8.0f, steps);
        all->error[2][i] = add_error(all->error[2][i], v, code, ~63, 32.0f, steps);
        sum[i] = _mm256_add_ps(sum[i], at);
    }
    return sum16(sum[0], sum[1]);
}

KERN_INLINE void add_squares(const float *x, int outs, float mean, losses *all)
{
    for (int n = 0; n < outs; n += KERN_KV_LANES)
        KERN_UNROLL
    for (int i = 0; i < 2; i++) {
        const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + n + 8 * i), _mm256_set1_ps(mean));
        all->whole[i] = _mm256_add_ps(all->whole[i], _mm256_mul_ps(d, d));
    }
}

static bool measure(const float *x, enum kern_kv_side side, int terms, int outs, kern_kv_loss *out)
{
    losses all = {0};
    for (int r = 0; r < terms; r++, x += outs) {
        uint16_t min, step;
        grid g;
        if (!grid_of(x, outs, &min, &step, &g))
            return false;
        const float sum = add_errors(x, outs, g.min, quant_f16_to_f32(step), g.inverse, &all);
        add_squares(x, outs, side == KERN_KV_K ? sum / (float)outs : 0.0f, &all);
    }
    *out = (kern_kv_loss){.whole = sum16(all.whole[0], all.whole[1])};
    for (int i = 0; i < 3; i++)
        out->error[i] = sum16(all.error[i][0], all.error[i][1]);
    return true;
}

void kern_avx2_fill_kv_encode(kern_table *t)
{
    t->kv_encode = encode;
    t->kv_measure = measure;
}

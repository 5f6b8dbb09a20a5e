// Encoding KV in fewer bits, AVX2: kv.c has the steps. Codes of four terms become the bytes of 32-bit lanes, one a out,
// which is how a group lies in memory.
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

void kern_avx2_fill_kv_encode(kern_table *t)
{
    t->kv_encode = encode;
}

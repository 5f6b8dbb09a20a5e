// Quantization, norm, rotation, gate and conversions on AVX2. Tails are masked, so a value's result does not depend
// on where in a vector it stands.
#include <float.h>
#include <math.h>

#include "kern/x86/avx2.h"
#include "kern/x86/math_avx2.h"

KERN_INLINE __m256 size_of(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

// Runs of n values (32 or 256) become bytes; returns the scale. The arithmetic is that of the scalar kernel.
KERN_INLINE float quantize_run(const float *x, int n, int8_t *q)
{
    __m256 most = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8)
        most = _mm256_max_ps(most, size_of(_mm256_loadu_ps(x + i)));
    float max = kern_max_avx2(most), inverse = max > 0.0f ? 127.0f / max : 0.0f;
    if (!(inverse <= FLT_MAX))
        inverse = max = 0.0f;
    const __m256 scale = _mm256_set1_ps(inverse);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int i = 0; i < n; i += 32) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), scale));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), scale));
        __m256i c = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 16), scale));
        __m256i d = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 24), scale));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        _mm256_storeu_si256((void *)(q + i), _mm256_permutevar8x32_epi32(bytes, order));
    }
    return max / 127.0f;
}

// Sums of two runs of 16 bytes, in the low halves of the two 128-bit lanes.
KERN_INLINE __m256i sum_16(const int8_t *q)
{
    // Bytes biased to unsigned add up by vpsadbw, to 16 * 128 too much.
    __m256i u = _mm256_xor_si256(kern_load256(q), _mm256_set1_epi8((char)0x80));
    __m256i s = _mm256_sad_epu8(u, _mm256_setzero_si256());
    s = _mm256_add_epi64(s, _mm256_unpackhi_epi64(s, s));
    return _mm256_sub_epi64(s, _mm256_set1_epi64x(16 * 128));
}

static void quantize_q8_32(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += 32) {
        d[i / 32] = quantize_run(x + i, 32, q + i);
        __m256i s = sum_16(q + i);
        sum[i / 32] = (int16_t)(_mm256_extract_epi16(s, 0) + _mm256_extract_epi16(s, 8));
    }
}

static void quantize_q8_256(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += KERN_SUPER) {
        d[i / KERN_SUPER] = quantize_run(x + i, KERN_SUPER, q + i);
        for (int j = i; j < i + KERN_SUPER; j += 32) {
            __m256i s = sum_16(q + j);
            sum[j / 16] = (int16_t)_mm256_extract_epi16(s, 0);
            sum[j / 16 + 1] = (int16_t)_mm256_extract_epi16(s, 8);
        }
    }
}

KERN_INLINE double sum_pd(__m256d x)
{
    __m128d s = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

// Squares add up in doubles: the sum is then good to the last bit of a float at any length.
static float norm_scale(const float *x, int n, float eps)
{
    __m256d a = _mm256_setzero_pd(), b = a;
    for (int i = 0; i < n; i += 8) {
        __m256 v = _mm256_maskload_ps(x + i, kern_lanes_avx2(n - i));
        __m256d lo = _mm256_cvtps_pd(_mm256_castps256_ps128(v)),
                hi = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
        a = _mm256_fmadd_pd(lo, lo, a);
        b = _mm256_fmadd_pd(hi, hi, b);
    }
    return (float)(1.0 / sqrt(sum_pd(_mm256_add_pd(a, b)) / n + (double)eps));
}

static void rms_norm(const float *x, const float *w, int n, float eps, float *y)
{
    const __m256 scale = _mm256_set1_ps(norm_scale(x, n, eps));
    for (int i = 0; i < n; i += 8) {
        __m256i lanes = kern_lanes_avx2(n - i);
        __m256 v = _mm256_mul_ps(_mm256_maskload_ps(x + i, lanes), scale);
        if (w)
            v = _mm256_mul_ps(v, _mm256_maskload_ps(w + i, lanes));
        _mm256_maskstore_ps(y + i, lanes, v);
    }
}

static void rope_neox(float *x, const float *cos, const float *sin, int half)
{
    for (int i = 0; i < half; i += 8) {
        __m256i lanes = kern_lanes_avx2(half - i);
        __m256 a = _mm256_maskload_ps(x + i, lanes), b = _mm256_maskload_ps(x + half + i, lanes);
        __m256 c = _mm256_maskload_ps(cos + i, lanes), s = _mm256_maskload_ps(sin + i, lanes);
        _mm256_maskstore_ps(x + i, lanes, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
        _mm256_maskstore_ps(x + half + i, lanes, _mm256_add_ps(_mm256_mul_ps(a, s), _mm256_mul_ps(b, c)));
    }
}

// Four pairs in a vector: cos and sin are doubled, the pairs' halves exchanged.
static void rope_pairs(float *x, const float *cos, const float *sin, int half)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (int i = 0; i < half; i += 4) {
        __m256i lanes = kern_lanes_avx2(2 * (half - i));
        __m128i few = _mm256_castsi256_si128(kern_lanes_avx2(half - i));
        __m256 c = _mm256_castps128_ps256(_mm_maskload_ps(cos + i, few));
        __m256 s = _mm256_castps128_ps256(_mm_maskload_ps(sin + i, few));
        c = _mm256_permutevar8x32_ps(c, twice);
        s = _mm256_permutevar8x32_ps(s, twice);
        __m256 v = _mm256_maskload_ps(x + 2 * i, lanes);
        __m256 other = _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), s);
        _mm256_maskstore_ps(x + 2 * i, lanes, _mm256_addsub_ps(_mm256_mul_ps(v, c), other));
    }
}

static void rope(float *x, const float *cos, const float *sin, int half, bool neox)
{
    if (neox)
        rope_neox(x, cos, sin, half);
    else
        rope_pairs(x, cos, sin, half);
}

// Sums add up in doubles, as squares do.
static void center(const float *x, int n, float *y)
{
    __m256d a = _mm256_setzero_pd(), b = a;
    for (int i = 0; i < n; i += 8) {
        __m256 v = _mm256_maskload_ps(x + i, kern_lanes_avx2(n - i));
        a = _mm256_add_pd(a, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
        b = _mm256_add_pd(b, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
    }
    const __m256 mean = _mm256_set1_ps((float)(sum_pd(_mm256_add_pd(a, b)) / n));
    for (int i = 0; i < n; i += 8) {
        __m256i lanes = kern_lanes_avx2(n - i);
        _mm256_maskstore_ps(y + i, lanes, _mm256_sub_ps(_mm256_maskload_ps(x + i, lanes), mean));
    }
}

KERN_INLINE __m256 gate_of(enum kern_gate f, __m256 x)
{
    switch (f) {
    case KERN_GELU: return kern_gelu_avx2(x);
    case KERN_GELU_TANH: return kern_gelu_tanh_avx2(x);
    case KERN_TANH: return kern_tanh_avx2(x);
    case KERN_CLAMPED: {
        __m256 g = _mm256_min_ps(x, _mm256_set1_ps(KERN_CLAMP)), a = _mm256_set1_ps(KERN_STEEP);
        return _mm256_div_ps(kern_silu_avx2(_mm256_mul_ps(g, a)), a);
    }
    default: return kern_silu_avx2(x);
    }
}

KERN_INLINE __m256 up_of(enum kern_gate f, __m256 u)
{
    const __m256 most = _mm256_set1_ps(KERN_CLAMP), least = _mm256_set1_ps(-KERN_CLAMP);
    return f == KERN_CLAMPED
               ? _mm256_add_ps(_mm256_max_ps(least, _mm256_min_ps(u, most)), _mm256_set1_ps(1.0f))
               : u;
}

KERN_INLINE void glu_run(enum kern_gate f, const float *gate, const float *up, int n, float *y)
{
    for (int i = 0; i < n; i += 8) {
        __m256i lanes = kern_lanes_avx2(n - i);
        __m256 g = gate_of(f, _mm256_maskload_ps(gate + i, lanes));
        if (up)
            g = _mm256_mul_ps(g, up_of(f, _mm256_maskload_ps(up + i, lanes)));
        _mm256_maskstore_ps(y + i, lanes, g);
    }
}

static void glu(enum kern_gate f, const float *gate, const float *up, int n, float *y)
{
    switch (f) {
    case KERN_GELU: glu_run(KERN_GELU, gate, up, n, y); break;
    case KERN_GELU_TANH: glu_run(KERN_GELU_TANH, gate, up, n, y); break;
    case KERN_TANH: glu_run(KERN_TANH, gate, up, n, y); break;
    case KERN_CLAMPED: glu_run(KERN_CLAMPED, gate, up, n, y); break;
    default: glu_run(KERN_SILU, gate, up, n, y); break;
    }
}

static void softcap(const float *x, int n, float cap, float *y)
{
    const __m256 c = _mm256_set1_ps(cap);
    for (int i = 0; i < n; i += 8) {
        __m256i lanes = kern_lanes_avx2(n - i);
        __m256 v = _mm256_div_ps(_mm256_maskload_ps(x + i, lanes), c);
        _mm256_maskstore_ps(y + i, lanes, _mm256_mul_ps(c, kern_tanh_avx2(v)));
    }
}

static void add(const float *a, const float *b, int n, float *y)
{
    for (int i = 0; i < n; i += 8) {
        __m256i lanes = kern_lanes_avx2(n - i);
        __m256 v = _mm256_add_ps(_mm256_maskload_ps(a + i, lanes), _mm256_maskload_ps(b + i, lanes));
        _mm256_maskstore_ps(y + i, lanes, v);
    }
}

KERN_INLINE __m128i to_f16(__m256 x)
{
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static void f16_to_f32(const uint16_t *x, int n, float *y)
{
    for (int i = 0; i < n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(kern_load128(x + i)));
}

static void f32_to_f16(const float *x, int n, uint16_t *y)
{
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(y + i), to_f16(_mm256_loadu_ps(x + i)));
    if (i < n) {
        uint16_t line[8];
        _mm_storeu_si128((void *)line, to_f16(_mm256_maskload_ps(x + i, kern_lanes_avx2(n - i))));
        memcpy(y + i, line, (size_t)(n - i) * sizeof *y);
    }
}

static void put_k_f16(const float *x, int hd, uint16_t *page, int slot)
{
    for (int i = 0; i < hd; i += 8) {
        uint16_t line[8];
        _mm_storeu_si128((void *)line, to_f16(_mm256_loadu_ps(x + i)));
        for (int j = 0; j < 8; j++)
            page[(i + j) * KERN_PAGE + slot] = line[j];
    }
}

void kern_avx2_fill_ops(kern_table *t)
{
    t->quantize_q8_32 = quantize_q8_32;
    t->quantize_q8_256 = quantize_q8_256;
    t->rms_norm = rms_norm;
    t->rope = rope;
    t->center = center;
    t->glu = glu;
    t->softcap = softcap;
    t->add = add;
    t->f32_to_f16 = f32_to_f16;
    t->f16_to_f32 = f16_to_f32;
    t->put_k_f16 = put_k_f16;
}

// Everything between the matrix products: quantizing activations, norm, rotation, gate, sums, F16.
#include <float.h>
#include <math.h>

#include "kern/x86/avx512_math.h"

enum { TO_NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

// The first n lanes, or all.
static __mmask16 lanes(int n)
{
    return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

// What to multiply by before rounding, given the greatest magnitude; clears a maximum too small to divide by.
static float inverse_of(float *max)
{
    float inverse = *max > 0.0f ? 127.0f / *max : 0.0f;
    if (!(inverse <= FLT_MAX))
        inverse = *max = 0.0f;
    return inverse;
}

static float max_of(const float *x, int n)
{
    __m512 top = _mm512_abs_ps(_mm512_loadu_ps(x));
    for (int i = 16; i < n; i += 16)
        top = _mm512_max_ps(top, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    return _mm512_reduce_max_ps(top);
}

// Rounds 16 values.
static __m512i round_run(const float *x, float inverse, int8_t *q)
{
    __m512i v = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
    _mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(v));
    return v;
}

static void quantize_q8_32(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += 32) {
        float max = max_of(x + i, 32), inverse = inverse_of(&max);
        __m512i a = round_run(x + i, inverse, q + i), b = round_run(x + i + 16, inverse, q + i + 16);
        d[i / 32] = max / 127.0f;
        sum[i / 32] = (int16_t)_mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
    }
}

static void quantize_q8_256(const float *x, int n, int8_t *q, float *d, int16_t *sum)
{
    for (int i = 0; i < n; i += KERN_SUPER) {
        float max = max_of(x + i, KERN_SUPER), inverse = inverse_of(&max);
        for (int j = i; j < i + KERN_SUPER; j += 16)
            sum[j / 16] = (int16_t)_mm512_reduce_add_epi32(round_run(x + j, inverse, q + j));
        d[i / KERN_SUPER] = max / 127.0f;
    }
}

static void rms_norm(const float *x, const float *w, int n, float eps, float *y)
{
    __m512 part[4];
    for (int i = 0; i < 4; i++)
        part[i] = _mm512_setzero_ps();
    int i = 0;
    for (; i + 64 <= n; i += 64)
        for (int j = 0; j < 4; j++) {
            __m512 v = _mm512_loadu_ps(x + i + 16 * j);
            part[j] = _mm512_fmadd_ps(v, v, part[j]);
        }
    for (; i < n; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(lanes(n - i), x + i);
        part[0] = _mm512_fmadd_ps(v, v, part[0]);
    }
    float squares = _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(part[0], part[1]), _mm512_add_ps(part[2], part[3])));
    const __m512 scale = _mm512_set1_ps((float)(1.0 / sqrt((double)squares / n + (double)eps)));
    for (i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), scale);
        _mm512_mask_storeu_ps(y + i, m, w ? _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, w + i)) : v);
    }
}

static void rope_halves(float *x, const float *cos, const float *sin, int half)
{
    for (int i = 0; i < half; i += 16) {
        __mmask16 m = lanes(half - i);
        __m512 c = _mm512_maskz_loadu_ps(m, cos + i), s = _mm512_maskz_loadu_ps(m, sin + i);
        __m512 a = _mm512_maskz_loadu_ps(m, x + i), b = _mm512_maskz_loadu_ps(m, x + half + i);
        _mm512_mask_storeu_ps(x + i, m, _mm512_sub_ps(_mm512_mul_ps(a, c), _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(x + half + i, m, _mm512_add_ps(_mm512_mul_ps(a, s), _mm512_mul_ps(b, c)));
    }
}

// Pairs side by side: eight a register, each pair's cosine and sine doubled.
static void rope_pairs(float *x, const float *cos, const float *sin, int half)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    for (int i = 0; i < half; i += 8) {
        __mmask16 m = lanes(2 * (half - i)), h = lanes(half - i) & 0xff;
        __m512 c = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(h, cos + i));
        __m512 s = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(h, sin + i));
        __m512 v = _mm512_maskz_loadu_ps(m, x + 2 * i);
        __m512 straight = _mm512_mul_ps(v, c), across = _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), s);
        __m512 y = _mm512_mask_sub_ps(_mm512_add_ps(straight, across), 0x5555, straight, across);
        _mm512_mask_storeu_ps(x + 2 * i, m, y);
    }
}

static void rope(float *x, const float *cos, const float *sin, int half, bool neox)
{
    if (neox)
        rope_halves(x, cos, sin, half);
    else
        rope_pairs(x, cos, sin, half);
}

static void center(const float *x, int n, float *y)
{
    __m512d sum =
        _mm512_setzero_pd();  // in doubles: a mean far from 0 must not cost the differences their digits
    for (int i = 0; i < n; i += 8)
        sum = _mm512_add_pd(sum, _mm512_cvtps_pd(_mm256_maskz_loadu_ps((__mmask8)lanes(n - i), x + i)));
    const __m512 mean = _mm512_set1_ps((float)(_mm512_reduce_add_pd(sum) / n));
    for (int i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        _mm512_mask_storeu_ps(y + i, m, _mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), mean));
    }
}

KERN_INLINE __m512 gate_of(enum kern_gate f, __m512 x)
{
    switch (f) {
    case KERN_GELU: return avx512_gelu(x);
    case KERN_GELU_TANH: return avx512_gelu_tanh(x);
    case KERN_TANH: return avx512_tanh(x);
    case KERN_CLAMPED: {
        __m512 g = _mm512_min_ps(x, _mm512_set1_ps(KERN_CLAMP)), a = _mm512_set1_ps(KERN_STEEP);
        return _mm512_div_ps(avx512_silu(_mm512_mul_ps(g, a)), a);
    }
    default: return avx512_silu(x);
    }
}

KERN_INLINE __m512 up_of(enum kern_gate f, __m512 u)
{
    const __m512 most = _mm512_set1_ps(KERN_CLAMP), least = _mm512_set1_ps(-KERN_CLAMP);
    return f == KERN_CLAMPED
               ? _mm512_add_ps(_mm512_max_ps(least, _mm512_min_ps(u, most)), _mm512_set1_ps(1.0f))
               : u;
}

KERN_INLINE void glu_run(enum kern_gate f, const float *gate, const float *up, int n, float *y)
{
    for (int i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 g = gate_of(f, _mm512_maskz_loadu_ps(m, gate + i));
        if (up)
            g = _mm512_mul_ps(g, up_of(f, _mm512_maskz_loadu_ps(m, up + i)));
        _mm512_mask_storeu_ps(y + i, m, g);
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
    const __m512 c = _mm512_set1_ps(cap);
    for (int i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 v = _mm512_div_ps(_mm512_maskz_loadu_ps(m, x + i), c);
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(c, avx512_tanh(v)));
    }
}

static void add(const float *a, const float *b, int n, float *y)
{
    for (int i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        _mm512_mask_storeu_ps(
            y + i, m, _mm512_add_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i)));
    }
}

static void f32_to_f16(const float *x, int n, uint16_t *y)
{
    for (int i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m256i h = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(m, x + i), TO_NEAREST);
        _mm256_mask_storeu_epi16(y + i, m, h);
    }
}

static void put_k_f16(const float *x, int hd, uint16_t *page, int slot)
{
    for (int i = 0; i < hd; i += 16) {
        _Alignas(32) uint16_t h[16];
        _mm256_store_si256((__m256i *)h, _mm512_cvtps_ph(_mm512_loadu_ps(x + i), TO_NEAREST));
        for (int j = 0; j < 16; j++)
            page[(i + j) * KERN_PAGE + slot] = h[j];
    }
}

void kern_avx512_ops(kern_table *t)
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
    t->put_k_f16 = put_k_f16;
}

// The exponential and what stands on it, 8 floats at a time.
#ifndef KERN_X86_MATH_AVX2_H
#define KERN_X86_MATH_AVX2_H

#include <immintrin.h>

#include "kern/types.h"

// e^x within 1 unit in the last place (measured) for -87.3 <= x <= 88.3; below 0, above e^88.3.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, the product n ln 2 subtracted in two parts so that r is exact to the last
// bit (Cody & Waite 1980). e^r = 1 + r + r^2 P(r), where P of degree 4 is a least-maximum fit of ours (relative
// error 3e-9, found by reweighted least squares); then n goes into the exponent.
KERN_INLINE __m256 kern_exp_avx2(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.3f), high = _mm256_set1_ps(88.3f);
    __m256 tiny = _mm256_cmp_ps(x, low, _CMP_LT_OQ);
    x = _mm256_min_ps(high, x);
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(0.00138146128f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.00836871006f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.041668389f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.166665211f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.49999994f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
    __m256i scale = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(scale)));
}

// x / (1 + e^-x)
KERN_INLINE __m256 kern_silu_avx2(__m256 x)
{
    __m256 e = kern_exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), x));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

// x * (1 + erf(x / sqrt 2)) / 2, small where x is far below 0 without losing digits.
//
// erfc(a) = e^-a^2 t P(t), t = 1 / (1 + 0.4 a), for a >= 0: the form of Hastings 1955; P of degree 8 is a
// least-maximum fit of ours for a <= 9.5 (relative error 6e-8).
KERN_INLINE __m256 kern_gelu_avx2(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 a = _mm256_mul_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), x), _mm256_set1_ps(0.70710678f));
    __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(a, _mm256_set1_ps(0.4f), one));
    __m256 p = _mm256_set1_ps(0.0402630307f);
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-0.135450646f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.0738022998f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.0997727513f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.0714799091f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.19697462f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.200955719f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.226576105f));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.225626275f));
    __m256 e = kern_exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(a, a)));
    __m256 tail = _mm256_mul_ps(_mm256_mul_ps(p, t), _mm256_mul_ps(e, _mm256_set1_ps(0.5f)));
    return _mm256_mul_ps(x, _mm256_blendv_ps(_mm256_sub_ps(one, tail), tail, x));
}

// x / (1 + e^-2z) with z = sqrt(2 / pi) (x + 0.044715 x^3), which is x (1 + tanh z) / 2.
KERN_INLINE __m256 kern_gelu_tanh_avx2(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 z = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.044715f), one);
    z = _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(-1.59576912f)), z);
    return _mm256_div_ps(x, _mm256_add_ps(one, kern_exp_avx2(z)));
}

// tanh x = 1 - 2 / (e^2x + 1): absolute error below 2e-7, all that a soft cap of scores needs.
KERN_INLINE __m256 kern_tanh_avx2(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 e = kern_exp_avx2(_mm256_add_ps(x, x));
    return _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0f), _mm256_add_ps(e, one)));
}

// The sum of 8 lanes, always in the same order.
KERN_INLINE float kern_sum_avx2(__m256 x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

KERN_INLINE float kern_max_avx2(__m256 x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    s = _mm_max_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

// A mask for the first n of 8 lanes.
KERN_INLINE __m256i kern_lanes_avx2(int n)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), index);
}

#endif

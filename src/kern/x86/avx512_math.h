// exp and what stands on it, sixteen floats at a time.
#ifndef KERN_X86_AVX512_MATH_H
#define KERN_X86_AVX512_MATH_H

#include "kern/x86/avx512.h"

// exp(x), off by at most 1.3 units in the last place in the normal range; 0 from -104 down, infinity from 89
// up. x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by a polynomial (coefficients of Cephes expf, Moshier), 2^n
// by the scale instruction, which also makes the subnormals.
KERN_INLINE __m512 avx512_exp(__m512 x)
{
    x = _mm512_min_ps(_mm512_set1_ps(104.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), x));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);  // ln 2 in two parts, the first of
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);      // few bits: n times it is exact
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, n);
}

#define AVX512_LOG2_E 1.44269504f

// 2^x for x not far above 0, off by at most 2 units in the last place in the normal range; exactly 0 from -152 down,
// also for -infinity. 2^x = 2^n 2^f with |f| <= 1/2; coefficients by Remez' exchange, relative error 7.5e-8.
KERN_INLINE __m512 avx512_exp2_below(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-152.0f), x);
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 f = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(1.327647199e-3f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.675541334e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.550713273e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.402211972e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931469671e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.000000072f));
    return _mm512_scalef_ps(p, n);
}

// tanh(x), absolute error below 2e-7: what a soft cap on attention scores needs.
KERN_INLINE __m512 avx512_tanh(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
    __m512 e = avx512_exp(_mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(-2.0f)));
    return _mm512_or_ps(sign, _mm512_div_ps(_mm512_sub_ps(one, e), _mm512_add_ps(one, e)));
}

// x / (1 + e^-x)
KERN_INLINE __m512 avx512_silu(__m512 x)
{
    __m512 e = avx512_exp(_mm512_sub_ps(_mm512_setzero_ps(), x));
    return _mm512_div_ps(x, _mm512_add_ps(_mm512_set1_ps(1.0f), e));
}

// The two forms of GELU; math_avx2.h explains both.
KERN_INLINE __m512 avx512_gelu(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 a = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
    __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(a, _mm512_set1_ps(0.4f), one));
    __m512 p = _mm512_set1_ps(0.0402630307f);
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.135450646f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.0738022998f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.0997727513f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.0714799091f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.19697462f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.200955719f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.226576105f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.225626275f));
    __m512 e = avx512_exp(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(a, a)));
    __m512 tail = _mm512_mul_ps(_mm512_mul_ps(p, t), _mm512_mul_ps(e, _mm512_set1_ps(0.5f)));
    return _mm512_mul_ps(
        x, _mm512_mask_mov_ps(_mm512_sub_ps(one, tail), _mm512_movepi32_mask(_mm512_castps_si512(x)), tail));
}

KERN_INLINE __m512 avx512_gelu_tanh(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 z = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), one);
    z = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(-1.59576912f)), z);
    return _mm512_div_ps(x, _mm512_add_ps(one, avx512_exp(z)));
}

#endif

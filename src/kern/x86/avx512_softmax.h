// The step of attention between scores and values, for one row and one page: scores become weights.
#ifndef KERN_X86_AVX512_SOFTMAX_H
#define KERN_X86_AVX512_SOFTMAX_H

#include <math.h>

#include "kern/x86/avx512_math.h"

enum { AVX512_PAGE = KERN_PAGE / 16 };  // vectors of scores a page has

KERN_INLINE int avx512_first(const kern_attn *a, int row)
{
    return a->first ? a->first[row] : 0;
}

// As avx512_softmax, for the keys in `seen`; all: for every key.
KERN_INLINE void avx512_softmax_seen(const kern_attn *a, int row, bool all, uint64_t seen, const float *s,
                                     __m512 *e)
{
    const __m512 none = _mm512_set1_ps(-INFINITY);
    __m512 top = none;
    for (int v = 0; v < AVX512_PAGE; v++) {
        e[v] = _mm512_load_ps(s + 16 * v);
        if (a->softcap > 0.0f) {
            const __m512 cap = _mm512_set1_ps(a->softcap);
            e[v] = _mm512_mul_ps(cap, avx512_tanh(_mm512_div_ps(e[v], cap)));
        }
        if (!all)
            e[v] = _mm512_mask_mov_ps(none, (__mmask16)(seen >> 16 * v), e[v]);
        top = _mm512_max_ps(top, e[v]);
    }
    const float m = fmaxf(a->m[row], _mm512_reduce_max_ps(top));
    const __m512 most = _mm512_set1_ps(m * AVX512_LOG2_E);
    __m512 sum = _mm512_setzero_ps();
    for (int v = 0; v < AVX512_PAGE; v++) {
        e[v] = avx512_exp2_below(_mm512_fmsub_ps(e[v], _mm512_set1_ps(AVX512_LOG2_E), most));
        sum = _mm512_add_ps(sum, e[v]);
    }
    if (m == a->m[row]) {  // most pages after the first: nothing shrinks
        a->l[row] += _mm512_reduce_add_ps(sum);
        return;
    }
    const float shrink = _mm512_cvtss_f32(avx512_exp(_mm512_set1_ps(a->m[row] - m)));
    a->l[row] = fmaf(a->l[row], shrink, _mm512_reduce_add_ps(sum));
    a->m[row] = m;
    float *o = a->o + row * a->hd;
    for (int i = 0; i < a->hd; i += 16)
        _mm512_storeu_ps(o + i, _mm512_mul_ps(_mm512_loadu_ps(o + i), _mm512_set1_ps(shrink)));
}

// Scores s of the page (aligned) to weights e, 0 for keys the row does not see; the row's m and l move on, o shrinks
// to the new m. The row must see a key.
KERN_INLINE void avx512_softmax(const kern_attn *a, int row, const float *s, __m512 *e)
{
    const int from = avx512_first(a, row), to = a->visible[row];
    const uint64_t below = to >= KERN_PAGE ? ~0ull : (1ull << to) - 1;
    if (from == 0 && to >= KERN_PAGE)
        avx512_softmax_seen(a, row, true, ~0ull, s, e);
    else
        avx512_softmax_seen(a, row, false, below & (~0ull << from), s, e);
}

#endif

// The exponential and what stands on it, 4 floats at a time. The arithmetic and its errors are those of
// x86/math_avx2.h, which explains them.
#ifndef KERN_ARM_MATH_NEON_H
#define KERN_ARM_MATH_NEON_H

#include <arm_neon.h>

#include "kern/types.h"

KERN_INLINE float32x4_t kern_exp_neon(float32x4_t x)
{
    uint32x4_t tiny = vcltq_f32(x, vdupq_n_f32(-87.3f));
    x = vminq_f32(x, vdupq_n_f32(88.3f));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    float32x4_t p = vdupq_n_f32(0.00138146128f);
    p = vfmaq_f32(vdupq_n_f32(0.00836871006f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.041668389f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.166665211f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.49999994f), p, r);
    p = vfmaq_f32(r, vmulq_f32(r, r), p);
    p = vaddq_f32(p, vdupq_n_f32(1.0f));
    int32x4_t scale = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);
    p = vmulq_f32(p, vreinterpretq_f32_s32(scale));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), tiny));
}

KERN_INLINE float32x4_t kern_silu_neon(float32x4_t x)
{
    return vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0f), kern_exp_neon(vnegq_f32(x))));
}

KERN_INLINE float32x4_t kern_gelu_neon(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1.0f);
    float32x4_t a = vmulq_n_f32(vabsq_f32(x), 0.70710678f);
    float32x4_t t = vdivq_f32(one, vfmaq_f32(one, a, vdupq_n_f32(0.4f)));
    float32x4_t p = vdupq_n_f32(0.0402630307f);
    p = vfmaq_f32(vdupq_n_f32(-0.135450646f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.0738022998f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.0997727513f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.0714799091f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.19697462f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.200955719f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.226576105f), p, t);
    p = vfmaq_f32(vdupq_n_f32(0.225626275f), p, t);
    float32x4_t e = kern_exp_neon(vnegq_f32(vmulq_f32(a, a)));
    float32x4_t tail = vmulq_f32(vmulq_f32(p, t), vmulq_n_f32(e, 0.5f));
    return vmulq_f32(x, vbslq_f32(vcltzq_f32(x), tail, vsubq_f32(one, tail)));
}

KERN_INLINE float32x4_t kern_gelu_tanh_neon(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1.0f);
    float32x4_t z = vfmaq_f32(one, vmulq_f32(x, x), vdupq_n_f32(0.044715f));
    z = vmulq_f32(vmulq_n_f32(x, -1.59576912f), z);
    return vdivq_f32(x, vaddq_f32(one, kern_exp_neon(z)));
}

KERN_INLINE float32x4_t kern_tanh_neon(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1.0f);
    float32x4_t e = kern_exp_neon(vaddq_f32(x, x));
    return vsubq_f32(one, vdivq_f32(vdupq_n_f32(2.0f), vaddq_f32(e, one)));
}

#endif

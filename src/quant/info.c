// The table of types: names, sizes, codecs.
#include <ctype.h>

#include "base/check.h"
#include "quant/blocks.h"

// Encoders that weigh columns serve as plain ones too.
#define ALIKE(fit)                                                 \
    static void fit##_alike(const float *src, void *dst, size_t n) \
    {                                                              \
        quant_##fit##_fit(src, dst, n, NULL);                      \
    }
ALIKE(legacy_q4_0)
ALIKE(legacy_q4_1)
ALIKE(legacy_q5_0)
ALIKE(legacy_q5_1)
ALIKE(kquants_q2_k)
ALIKE(kquants_q3_k)
ALIKE(kquants_q4_k)
ALIKE(kquants_q5_k)
ALIKE(kquants_q6_k)
ALIKE(iquants_encode_iq1_s)
ALIKE(iquants_encode_iq1_m)
ALIKE(iquants_encode_iq2_xxs)
ALIKE(iquants_encode_iq2_xs)
ALIKE(iquants_encode_iq2_s)
ALIKE(iquants_encode_iq3_xxs)
ALIKE(iquants_encode_iq3_s)
ALIKE(fp4_iq4_nl)
ALIKE(fp4_iq4_xs)
ALIKE(fp4_mxfp4)

// Types that give integer levels are decoded from these.
static void decode_levels(int type, const uint8_t *src, float *dst, size_t n)
{
    const quant_info *info = quant_type_info(type);
    quant_levels x;
    for (size_t b = 0; b < n / QUANT_SUPER; b++, src += info->block_bytes) {
        info->levels(src, &x);
        const float d = quant_f16_to_f32(x.d) * info->factor;
        for (int i = 0; i < QUANT_SUPER; i++)
            *dst++ = d * (float)(x.scale[i / 16] * x.level[i]);
    }
}

#define LEVELS(t, type)                                           \
    static void t##_decode(const void *src, float *dst, size_t n) \
    {                                                             \
        decode_levels(type, src, dst, n);                         \
    }
LEVELS(iq1_s, QT_IQ1_S)
LEVELS(iq1_m, QT_IQ1_M)
LEVELS(iq2_xxs, QT_IQ2_XXS)
LEVELS(iq2_xs, QT_IQ2_XS)
LEVELS(iq2_s, QT_IQ2_S)
LEVELS(iq3_xxs, QT_IQ3_XXS)
LEVELS(iq3_s, QT_IQ3_S)
LEVELS(tq1_0, QT_TQ1_0)
LEVELS(tq2_0, QT_TQ2_0)

#define READ(family, t) quant_##family##_##t##_decode, NULL, NULL, NULL, 0
#define BOTH(family, t) quant_##family##_##t##_decode, quant_##family##_##t##_encode, NULL, NULL, 0
#define FIT(family, t) \
    quant_##family##_##t##_decode, family##_##t##_alike, quant_##family##_##t##_fit, NULL, 0
#define FIT_IQ(t, factor) \
    t##_decode, iquants_encode_##t##_alike, quant_iquants_encode_##t##_fit, quant_iquants_##t##_levels, factor
#define READ_TQ(t) t##_decode, NULL, NULL, quant_ternary_##t##_levels, 1

static const quant_info infos[QT_COUNT] = {
    [QT_F32] = {"F32", 1, 4, BOTH(float, f32)},
    [QT_F16] = {"F16", 1, 2, BOTH(float, f16)},
    [QT_BF16] = {"BF16", 1, 2, BOTH(float, bf16)},
    [QT_F64] = {"F64", 1, 8, READ(float, f64)},
    [QT_I8] = {"I8", 1, 1, READ(float, i8)},
    [QT_I16] = {"I16", 1, 2, READ(float, i16)},
    [QT_I32] = {"I32", 1, 4, READ(float, i32)},
    [QT_I64] = {"I64", 1, 8, READ(float, i64)},
    [QT_Q4_0] = {"Q4_0", 32, 18, FIT(legacy, q4_0)},
    [QT_Q4_1] = {"Q4_1", 32, 20, FIT(legacy, q4_1)},
    [QT_Q5_0] = {"Q5_0", 32, 22, FIT(legacy, q5_0)},
    [QT_Q5_1] = {"Q5_1", 32, 24, FIT(legacy, q5_1)},
    [QT_Q8_0] = {"Q8_0", 32, 34, BOTH(legacy, q8_0)},
    [QT_Q8_1] = {"Q8_1", 32, 36, BOTH(legacy, q8_1)},
    [QT_Q2_K] = {"Q2_K", 256, 84, FIT(kquants, q2_k)},
    [QT_Q3_K] = {"Q3_K", 256, 110, FIT(kquants, q3_k)},
    [QT_Q4_K] = {"Q4_K", 256, 144, FIT(kquants, q4_k)},
    [QT_Q5_K] = {"Q5_K", 256, 176, FIT(kquants, q5_k)},
    [QT_Q6_K] = {"Q6_K", 256, 210, FIT(kquants, q6_k)},
    [QT_Q8_K] = {"Q8_K", 256, 292, BOTH(kquants, q8_k)},
    [QT_IQ1_S] = {"IQ1_S", 256, 50, FIT_IQ(iq1_s, 0.125f)},
    [QT_IQ1_M] = {"IQ1_M", 256, 56, FIT_IQ(iq1_m, 0.125f)},
    [QT_IQ2_XXS] = {"IQ2_XXS", 256, 66, FIT_IQ(iq2_xxs, 0.125f)},
    [QT_IQ2_XS] = {"IQ2_XS", 256, 74, FIT_IQ(iq2_xs, 0.125f)},
    [QT_IQ2_S] = {"IQ2_S", 256, 82, FIT_IQ(iq2_s, 0.125f)},
    [QT_IQ3_XXS] = {"IQ3_XXS", 256, 98, FIT_IQ(iq3_xxs, 0.25f)},
    [QT_IQ3_S] = {"IQ3_S", 256, 110, FIT_IQ(iq3_s, 1)},
    [QT_IQ4_NL] = {"IQ4_NL", 32, 18, FIT(fp4, iq4_nl)},
    [QT_IQ4_XS] = {"IQ4_XS", 256, 136, FIT(fp4, iq4_xs)},
    [QT_MXFP4] = {"MXFP4", 32, 17, FIT(fp4, mxfp4)},
    [QT_TQ1_0] = {"TQ1_0", 256, 54, READ_TQ(tq1_0)},
    [QT_TQ2_0] = {"TQ2_0", 256, 66, READ_TQ(tq2_0)},
};

const quant_info *quant_type_info(int type)
{
    return type >= 0 && type < QT_COUNT && infos[type].name ? &infos[type] : NULL;
}

static bool same_name(const char *a, const char *b)
{
    while (*a && toupper((unsigned char)*a) == toupper((unsigned char)*b)) {
        a++;
        b++;
    }
    return !*a && !*b;
}

int quant_type_from_name(const char *name)
{
    for (int t = 0; t < QT_COUNT; t++)
        if (infos[t].name && same_name(name, infos[t].name))
            return t;
    return -1;
}

size_t quant_row_bytes(int type, uint64_t n)
{
    const quant_info *info = quant_type_info(type);
    uint64_t bytes;
    if (!info || n % info->block_elems != 0 || !check_mul(n / info->block_elems, info->block_bytes, &bytes))
        return 0;
    return bytes <= SIZE_MAX ? (size_t)bytes : 0;
}

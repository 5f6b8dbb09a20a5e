// The table of types: names, sizes, codecs.
#include <ctype.h>

#include "base/check.h"
#include "quant/blocks.h"

#define BOTH(family, t) quant_##family##_##t##_decode, quant_##family##_##t##_encode
#define READ(family, t) quant_##family##_##t##_decode, NULL

static const quant_info infos[QT_COUNT] = {
    [QT_F32] = {"F32", 1, 4, BOTH(float, f32)},
    [QT_F16] = {"F16", 1, 2, BOTH(float, f16)},
    [QT_BF16] = {"BF16", 1, 2, BOTH(float, bf16)},
    [QT_F64] = {"F64", 1, 8, READ(float, f64)},
    [QT_I8] = {"I8", 1, 1, READ(float, i8)},
    [QT_I16] = {"I16", 1, 2, READ(float, i16)},
    [QT_I32] = {"I32", 1, 4, READ(float, i32)},
    [QT_I64] = {"I64", 1, 8, READ(float, i64)},
    [QT_Q4_0] = {"Q4_0", 32, 18, BOTH(legacy, q4_0)},
    [QT_Q4_1] = {"Q4_1", 32, 20, BOTH(legacy, q4_1)},
    [QT_Q5_0] = {"Q5_0", 32, 22, BOTH(legacy, q5_0)},
    [QT_Q5_1] = {"Q5_1", 32, 24, BOTH(legacy, q5_1)},
    [QT_Q8_0] = {"Q8_0", 32, 34, BOTH(legacy, q8_0)},
    [QT_Q8_1] = {"Q8_1", 32, 36, BOTH(legacy, q8_1)},
    [QT_Q2_K] = {"Q2_K", 256, 84, BOTH(kquants, q2_k)},
    [QT_Q3_K] = {"Q3_K", 256, 110, BOTH(kquants, q3_k)},
    [QT_Q4_K] = {"Q4_K", 256, 144, BOTH(kquants, q4_k)},
    [QT_Q5_K] = {"Q5_K", 256, 176, BOTH(kquants, q5_k)},
    [QT_Q6_K] = {"Q6_K", 256, 210, BOTH(kquants, q6_k)},
    [QT_Q8_K] = {"Q8_K", 256, 292, BOTH(kquants, q8_k)},
    [QT_IQ1_S] = {"IQ1_S", 256, 50, READ(iquants, iq1_s)},
    [QT_IQ1_M] = {"IQ1_M", 256, 56, READ(iquants, iq1_m)},
    [QT_IQ2_XXS] = {"IQ2_XXS", 256, 66, READ(iquants, iq2_xxs)},
    [QT_IQ2_XS] = {"IQ2_XS", 256, 74, READ(iquants, iq2_xs)},
    [QT_IQ2_S] = {"IQ2_S", 256, 82, READ(iquants, iq2_s)},
    [QT_IQ3_XXS] = {"IQ3_XXS", 256, 98, READ(iquants, iq3_xxs)},
    [QT_IQ3_S] = {"IQ3_S", 256, 110, READ(iquants, iq3_s)},
    [QT_IQ4_NL] = {"IQ4_NL", 32, 18, BOTH(fp4, iq4_nl)},
    [QT_IQ4_XS] = {"IQ4_XS", 256, 136, BOTH(fp4, iq4_xs)},
    [QT_MXFP4] = {"MXFP4", 32, 17, BOTH(fp4, mxfp4)},
    [QT_TQ1_0] = {"TQ1_0", 256, 54, READ(ternary, tq1_0)},
    [QT_TQ2_0] = {"TQ2_0", 256, 66, READ(ternary, tq2_0)},
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

// Types by name: the common mixes, where the output matrix and some others get more bits, and single types.
#include <string.h>
#include <strings.h>

#include "random.h"

// The numbers are those of general.file_type.
static const mix mixes[] = {
    {"Q4_0", QT_Q4_0, QT_Q6_K, QT_Q4_0, 2},    {"Q4_1", QT_Q4_1, QT_Q6_K, QT_Q4_1, 3},
    {"Q5_0", QT_Q5_0, QT_Q6_K, QT_Q5_0, 8},    {"Q5_1", QT_Q5_1, QT_Q6_K, QT_Q5_1, 9},
    {"Q4_K_M", QT_Q4_K, QT_Q6_K, QT_Q6_K, 15}, {"Q5_K_M", QT_Q5_K, QT_Q6_K, QT_Q6_K, 17},
};

// What a file of one type is called.
static const struct {
    int type;
    uint32_t file_type;
} singles[] = {
    {QT_F32, 0},     {QT_F16, 1},    {QT_Q8_0, 7},     {QT_Q2_K, 10},   {QT_Q3_K, 11},    {QT_Q4_K, 14},
    {QT_Q5_K, 16},   {QT_Q6_K, 18},  {QT_IQ2_XXS, 19}, {QT_IQ2_XS, 20}, {QT_IQ3_XXS, 23}, {QT_IQ1_S, 24},
    {QT_IQ4_NL, 25}, {QT_IQ3_S, 26}, {QT_IQ2_S, 28},   {QT_IQ4_XS, 30}, {QT_IQ1_M, 31},   {QT_BF16, 32},
    {QT_TQ1_0, 36},  {QT_TQ2_0, 37}, {QT_MXFP4, 38},
};

const char *mix_name_at(size_t i)
{
    return i < COUNT_OF(mixes) ? mixes[i].name : NULL;
}

bool mix_find(const char *name, mix *out)
{
    for (size_t i = 0; i < COUNT_OF(mixes); i++)
        if (strcasecmp(mixes[i].name, name) == 0) {
            *out = mixes[i];
            return true;
        }
    int type = quant_type_from_name(name);
    for (size_t i = 0; i < COUNT_OF(singles); i++)
        if (singles[i].type == type) {
            *out = (mix){quant_type_info(type)->name, type, type, type, singles[i].file_type};
            return true;
        }
    return false;
}

// The layers that the mixes spend more on: the first and last eighth and every third between.
static bool gets_better(int layer, int layers)
{
    return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

int mix_type(const mix *m, const shape *s, int layer, const char *part)
{
    if (layer < 0)
        return strcmp(part, "output") == 0 || s->tied ? m->head : m->base;
    bool favoured = strcmp(part, "attn_v") == 0 || strncmp(part, "ffn_down", 8) == 0;
    return favoured && gets_better(layer, s->layers) ? m->better : m->base;
}

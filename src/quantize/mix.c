// Which tensor gets which type under a mix. The rules are those of the files people share under these names, so that a
// Q4_K_M of irori's is what a Q4_K_M is elsewhere: a base type, and more bits where experience found that they pay (values
// and down projections of the first and last layers, the output matrix) or, in the smallest mixes, fewer where they do not.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "quantize/own.h"

enum mix_id {
    ANY,  // one type for all
    Q2_K,
    Q2_K_S,
    Q3_K_S,
    Q3_K_M,
    Q3_K_L,
    Q4_K_S,
    Q4_K_M,
    Q5_K_S,
    Q5_K_M,
    Q4_0,
    Q5_0,
    IQ1,
    IQ2_XS,  // also IQ2_XXS
    IQ2_M,   // also IQ2_S
    IQ3_XXS,
    IQ3_XS,
    IQ3_S,
    IQ3_M,
    IQ4,
    MXFP4_MOE,
};

struct quantize_mix {
    const char *name;
    enum mix_id id;
    int type;            // of most matrices
    uint32_t file_type;  // general.file_type
};

static const quantize_mix mixes[] = {
    {"F32", ANY, QT_F32, 0},
    {"F16", ANY, QT_F16, 1},
    {"BF16", ANY, QT_BF16, 32},
    {"Q8_0", ANY, QT_Q8_0, 7},
    {"Q6_K", ANY, QT_Q6_K, 18},
    {"Q5_K_M", Q5_K_M, QT_Q5_K, 17},
    {"Q5_K_S", Q5_K_S, QT_Q5_K, 16},
    {"Q5_1", ANY, QT_Q5_1, 9},
    {"Q5_0", Q5_0, QT_Q5_0, 8},
    {"Q4_K_M", Q4_K_M, QT_Q4_K, 15},
    {"Q4_K_S", Q4_K_S, QT_Q4_K, 14},
    {"Q4_1", ANY, QT_Q4_1, 3},
    {"Q4_0", Q4_0, QT_Q4_0, 2},
    {"IQ4_NL", IQ4, QT_IQ4_NL, 25},
    {"IQ4_XS", IQ4, QT_IQ4_XS, 30},
    {"MXFP4", ANY, QT_MXFP4, 38},
    {"MXFP4_MOE", MXFP4_MOE, QT_MXFP4, 38},
    {"Q3_K_L", Q3_K_L, QT_Q3_K, 13},
    {"Q3_K_M", Q3_K_M, QT_Q3_K, 12},
    {"Q3_K_S", Q3_K_S, QT_Q3_K, 11},
    {"IQ3_M", IQ3_M, QT_IQ3_S, 27},
    {"IQ3_S", IQ3_S, QT_IQ3_S, 26},
    {"IQ3_XS", IQ3_XS, QT_IQ3_S, 22},
    {"IQ3_XXS", IQ3_XXS, QT_IQ3_XXS, 23},
    {"Q2_K", Q2_K, QT_Q2_K, 10},
    {"Q2_K_S", Q2_K_S, QT_Q2_K, 21},
    {"IQ2_M", IQ2_M, QT_IQ2_S, 29},
    {"IQ2_S", IQ2_M, QT_IQ2_XS, 28},
    {"IQ2_XS", IQ2_XS, QT_IQ2_XS, 20},
    {"IQ2_XXS", IQ2_XS, QT_IQ2_XXS, 19},
    {"IQ1_M", IQ1, QT_IQ1_M, 31},
    {"IQ1_S", IQ1, QT_IQ1_S, 24},
};

const quantize_mix *quantize_mix_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(mixes); i++)
        if (strcasecmp(mixes[i].name, name) == 0)
            return &mixes[i];
    if (strcasecmp(name, "Q4_K") == 0 || strcasecmp(name, "Q5_K") == 0 || strcasecmp(name, "Q3_K") == 0) {
        char medium[8];
        snprintf(medium, sizeof medium, "%s_M", name);
        return quantize_mix_find(medium);
    }
    return NULL;
}

const char *quantize_mix_name(const quantize_mix *m)
{
    return m->name;
}

uint32_t quantize_mix_file_type(const quantize_mix *m)
{
    return m->file_type;
}

void quantize_mix_names(buf *names)
{
    for (size_t i = 0; i < COUNT_OF(mixes); i++)
        buf_printf(names, "%s%s", i ? " " : "", mixes[i].name);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && memcmp(s + n - k, end, k) == 0;
}

bool quantize_takes(const gguf_tensor *t)
{
    // Small, and looked up by position or deciding about the rest; "cls" are the heads of rerankers.
    static const char *const kept[] = {"_norm.weight", "ffn_gate_inp.weight", "position_embd.weight",
                                       "token_types.weight"};
    if (t->n_dims < 2 || !ends_with(t->name, ".weight") || strncmp(t->name, "cls", 3) == 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (ends_with(t->name, kept[i]))
            return false;
    return true;
}

bool quantize_is_head(const gguf *g, const gguf_tensor *t)
{
    return strcmp(t->name, "output.weight") == 0 ||
           (strcmp(t->name, "token_embd.weight") == 0 && !gguf_tensor_find(g, "output.weight"));
}

// What the rules ask about a model and a tensor.
typedef struct place {
    const quantize_mix *m;
    int layers, layer;
    bool shares;  // four query heads or more share a key head
    int experts;
    bool large;  // the 70B shapes: 80 layers with shared keys
    bool has_importance;
} place;

static bool first_eighth(const place *p)
{
    return p->layer < p->layers / 8;
}

// The first and last eighth and every third layer between.
static bool favoured(const place *p)
{
    int eighth = p->layers / 8;
    return p->layer < eighth || p->layer >= 7 * p->layers / 8 || (p->layer - eighth) % 3 == 2;
}

static bool is_small_iq(enum mix_id id)
{
    return id == IQ1 || id == IQ2_XS || id == IQ2_M;
}

static int head_type(const place *p)
{
    if (p->m->id == MXFP4_MOE || p->m->type == QT_MXFP4)
        return QT_Q8_0;
    if (is_small_iq(p->m->id) || p->m->id == IQ3_XXS)
        return QT_Q5_K;
    return p->m->type == QT_Q8_0 ? QT_Q8_0 : QT_Q6_K;
}

static int table_type(const place *p)
{
    switch (p->m->id) {
    case IQ1:
    case IQ2_XS: return QT_Q2_K;
    case IQ2_M:
    case IQ3_XXS: return QT_IQ3_S;
    default: return p->m->type == QT_MXFP4 ? QT_Q8_0 : p->m->type;
    }
}

static int small_iq_type(const place *p, const char *part)
{
    bool better = p->m->id == IQ2_M;
    if (strstr(part, "attn_v.weight"))
        return p->shares || p->experts >= 4 ? QT_Q4_K : better ? QT_IQ3_S : QT_Q2_K;
    if (strstr(part, "attn_k.weight") && p->experts == 8)
        return QT_Q4_K;
    if (strstr(part, "ffn_down") && first_eighth(p))
        return better ? QT_IQ3_S : QT_Q2_K;
    if (strstr(part, "attn_output.weight")) {
        if (p->experts == 8)
            return QT_Q5_K;
        if (p->m->id != IQ2_XS)
            return better ? QT_IQ3_S : QT_IQ2_XXS;
    }
    return p->m->type;
}

static int value_type(const place *p)
{
    int type = p->m->type;
    switch (p->m->id) {
    case Q2_K: type = p->shares ? QT_Q4_K : QT_Q3_K; break;
    case Q2_K_S:
    case IQ3_XS:
    case IQ3_S: type = p->shares ? QT_Q4_K : type; break;
    case IQ3_XXS: type = p->shares ? QT_Q4_K : p->has_importance ? QT_IQ3_XXS : QT_IQ3_S; break;
    case IQ3_M: type = QT_Q4_K; break;
    case Q3_K_M: type = p->layer < 2 ? QT_Q5_K : QT_Q4_K; break;
    case Q3_K_L: type = QT_Q5_K; break;
    case IQ4: type = p->shares ? QT_Q5_K : type; break;
    case Q4_K_M:
    case Q5_K_M: type = favoured(p) ? QT_Q6_K : type; break;
    case Q4_K_S: type = p->layer < 4 ? QT_Q5_K : type; break;
    default: break;
    }
    if (p->large && (type == QT_Q3_K || type == QT_Q4_K))
        type = QT_Q5_K;
    return p->experts == 8 && p->m->id != ANY ? QT_Q8_0 : type;
}

static int down_type(const place *p)
{
    int type = p->m->type;
    bool first = first_eighth(p);
    switch (p->m->id) {
    case Q2_K: return QT_Q3_K;
    case Q2_K_S: return first ? QT_Q4_K : type;
    case IQ3_XXS: return p->has_importance ? type : first ? QT_Q4_K : QT_Q3_K;
    case Q3_K_M: return p->layer < p->layers / 16 ? QT_Q5_K : QT_Q4_K;
    case IQ3_M: return first || (p->experts == 8 && favoured(p)) ? QT_Q4_K : type;
    case Q3_K_L: return QT_Q5_K;
    case Q4_K_M:
    case Q5_K_M: return favoured(p) ? QT_Q6_K : type;
    case IQ4: return first && !p->has_importance ? QT_Q5_K : type;
    case Q4_K_S: return first ? QT_Q5_K : type;
    case Q4_0: return first && p->has_importance ? QT_Q4_1 : type;
    case Q5_0: return first && p->has_importance ? QT_Q5_1 : type;
    default: return type;
    }
}

static int out_type(const place *p)
{
    enum mix_id id = p->m->id;
    bool below_five = id == Q2_K || id == IQ3_XS || id == IQ3_XXS || id == Q3_K_S || id == Q3_K_M ||
                      id == IQ4 || id == Q4_K_S || id == Q4_K_M || id == IQ3_S || id == IQ3_M;
    if (p->experts == 8)
        return below_five ? QT_Q5_K : p->m->type;
    switch (id) {
    case Q2_K: return QT_Q3_K;
    case IQ3_XXS: return QT_IQ3_S;
    case Q3_K_M:
    case IQ3_M: return QT_Q4_K;
    case Q3_K_L: return QT_Q5_K;
    default: return p->m->type;
    }
}

static int layer_type(const place *p, const char *part)
{
    enum mix_id id = p->m->id;
    if (is_small_iq(id))
        return small_iq_type(p, part);
    if (strstr(part, "attn_v.weight"))
        return value_type(p);
    if (strstr(part, "attn_k.weight") && p->experts == 8 && id != ANY)
        return QT_Q8_0;
    if (strstr(part, "attn_k.weight") || strstr(part, "attn_q.weight"))
        return id == IQ3_XS ? QT_IQ3_XXS : id == IQ3_XXS ? QT_IQ2_S : p->m->type;
    if (strstr(part, "ffn_down"))
        return down_type(p);
    if (strstr(part, "attn_output.weight"))
        return out_type(p);
    if (strstr(part, "attn_qkv.weight"))
        return id == Q3_K_M || id == Q3_K_L || id == IQ3_M ? QT_Q4_K
               : id == Q4_K_M                              ? QT_Q5_K
               : id == Q5_K_M                              ? QT_Q6_K
                                                           : p->m->type;
    bool middle = !first_eighth(p) && p->layer < 7 * p->layers / 8;
    if (id == IQ3_XS && middle && (strstr(part, "ffn_gate") || strstr(part, "ffn_up")))
        return QT_IQ3_XXS;
    return p->m->type;
}

// A count among the model's keys, the largest where each layer has its own.
static uint32_t count_of(const gguf *g, const char *key)
{
    gguf_str arch;
    char name[128];
    uint32_t v = 0;
    uint64_t n = 0;
    enum gguf_value_type elem;
    if (!gguf_get_str(g, "general.architecture", &arch))
        return 0;
    snprintf(name, sizeof name, "%.*s.%s", (int)MIN(arch.n, 64u), arch.p, key);
    if (gguf_get_u32(g, name, &v) || !gguf_get_array(g, name, &elem, &n))
        return v;
    int32_t each;
    for (uint64_t i = 0; i < n; i++)
        if (gguf_array_i32(g, name, i, &each) && each > (int32_t)v)
            v = (uint32_t)each;
    return v;
}

static int tensor_type(place *p, const gguf *g, const gguf_tensor *t)
{
    if (!quantize_takes(t))
        return t->type;
    const quant_info *base = quant_type_info(p->m->type);
    if (base->block_elems == 1)
        return p->m->type;
    if (p->m->id == MXFP4_MOE)
        return t->n_dims > 2 && t->dims[2] > 1 ? QT_MXFP4 : QT_Q8_0;
    if (quantize_is_head(g, t))
        return head_type(p);
    if (strcmp(t->name, "token_embd.weight") == 0)
        return table_type(p);
    p->layer = 0;
    if (sscanf(t->name, "blk.%d.", &p->layer) != 1 || p->layer < 0)
        return p->m->type;
    return layer_type(p, t->name);
}

void quantize_mix_types(const quantize_mix *m, const gguf *g, bool has_importance, int *types)
{
    uint32_t layers = count_of(g, "block_count"), heads = count_of(g, "attention.head_count"),
             kv = count_of(g, "attention.head_count_kv");
    place p = {.m = m,
               .layers = (int)MIN(layers, 1u << 16),
               .shares = kv > 0 && heads / kv >= 4,
               .experts = (int)MIN(count_of(g, "expert_count"), 1u << 16),
               .has_importance = has_importance};
    p.large = layers == 80 && kv > 0 && heads > kv;
    for (size_t i = 0; i < gguf_tensor_count(g); i++)
        types[i] = tensor_type(&p, g, gguf_tensor_at(g, i));
}

int quantize_fallback(int type, uint64_t n)
{
    if (quant_row_bytes(type, n))
        return type;
    int next;
    switch (type) {
    case QT_Q4_K: next = QT_Q5_0; break;
    case QT_Q5_K: next = QT_Q5_1; break;
    case QT_Q6_K: next = QT_Q8_0; break;
    default: next = quant_type_info(type)->block_elems == QUANTIZE_SUPER ? QT_IQ4_NL : QT_F16;
    }
    return quant_row_bytes(next, n) ? next : QT_F16;
}

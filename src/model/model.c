// Loading: pick the architecture, read its parameters, build its graph.
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "model/build.h"

static const model_arch *arch_find(gguf_str name)
{
    for (int i = 0; model_archs[i]; i++)
        if (strlen(model_archs[i]->name) == name.n && memcmp(model_archs[i]->name, name.p, name.n) == 0)
            return model_archs[i];
    return NULL;
}

static int refuse_arch(build *b, gguf_str name)
{
    char known[256] = "";
    for (size_t i = 0, at = 0; model_arch_at(i) && at < sizeof known; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", model_arch_at(i));
    return build_fail(b, ST_UNSUPPORTED, "architecture \"%.*s\" is not supported; irori runs %s",
                      (int)MIN(name.n, (size_t)64), name.p, known);
}

// The vocabulary's size is the embedding table's row count; it must agree with the tokenizer's.
static void read_vocab(build *b)
{
    const gguf_tensor *t = gguf_tensor_find(b->g, "token_embd.weight");
    if (!t) {
        build_fail(b, ST_FORMAT, "tensor token_embd.weight is missing");
        return;
    }
    enum gguf_value_type type;
    uint64_t tokens;
    if (t->dims[1] < 1 || t->dims[1] > 1 << 24)
        build_fail(b, ST_FORMAT, "token_embd.weight has %llu rows, allowed 1..16777216",
                   (unsigned long long)t->dims[1]);
    else if (gguf_get_array(b->g, "tokenizer.ggml.tokens", &type, &tokens) && tokens > t->dims[1])
        build_fail(b, ST_FORMAT, "the tokenizer has %llu tokens but token_embd.weight only %llu rows",
                   (unsigned long long)tokens, (unsigned long long)t->dims[1]);
    else
        b->m->params.vocab = (int)t->dims[1];
}

int model_load(model *m, const gguf *file, int context, graph_form_fn *form_of, err *e)
{
    *m = (model){.file = file};
    graph_init(&m->graph);
    build b = {.m = m, .g = file, .e = e};
    gguf_str name;
    if (!gguf_get_str(file, "general.architecture", &name))
        return build_fail(&b, ST_FORMAT, "key general.architecture is missing; not a model file");
    m->arch = arch_find(name);
    if (!m->arch)
        return refuse_arch(&b, name);
    m->arch_name = m->arch->name;
    m->arch->params(&b);
    build_pooling_params(&b);
    int usual = m->params.both_ways ? DEV_MOST_BATCH : 4096;
    m->params.positions = context > 0 ? context : MIN(m->params.context, usual);
    read_vocab(&b);
    if (!b.rc)
        m->arch->graph(&b);
    if (!b.rc)
        b.rc = graph_finish(&m->graph, m->graph.logits, form_of, e);
    if (b.rc) {
        model_done(m);
        return b.rc;
    }
    m->result_width = m->graph.values[m->graph.logits].width;
    m->kv = (dev_kv_shape){m->params.both_ways ? 1 : m->params.layers, m->params.kv_heads,
                           m->params.head_dim};
    return ST_OK;
}

void model_done(model *m)
{
    graph_done(&m->graph);
}

uint64_t model_parameter_count(const gguf *file)
{
    uint64_t n = 0;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        n += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
    return n;
}

// Names of general.file_type, which alone tells the mixes apart.
static const char *const file_types[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S",  [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
    [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",  [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
    [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
    [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
    [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4",
};

const char *model_quantization_name(const gguf *file)
{
    uint32_t type;
    if (gguf_get_u32(file, "general.file_type", &type) && type < COUNT_OF(file_types) && file_types[type])
        return file_types[type];
    uint64_t bytes[QT_COUNT] = {0};
    int most = QT_F32;
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        if (t->type < 0 || t->type >= QT_COUNT)
            continue;
        bytes[t->type] += t->size;
        if (bytes[t->type] > bytes[most])
            most = t->type;
    }
    return quant_type_info(most)->name;
}

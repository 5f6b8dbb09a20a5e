// What to write: every tensor of the folder under its new name, with its shape checked and the way its rows are made.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/own.h"

static convert_out *add_out(convert_plan *p, err *e)
{
    convert_out blank = {.kind = CONVERT_PLAIN, .step = 1, .n_dims = 1, .dims = {1, 1, 1, 1}};
    buf_add(&p->outs, &blank, sizeof blank);
    if (p->outs.failed) {
        err_set(e, ST_NOMEM, "no memory to plan the file");
        return NULL;
    }
    return (convert_out *)(void *)(p->outs.data + p->outs.len) - 1;
}

static convert_out *find_out(const convert_plan *p, const char *name)
{
    convert_out *all = (convert_out *)(void *)p->outs.data;
    for (size_t i = 0; i < p->outs.len / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}

// What a name says: the layer (-1: none), the stem in it, and ".weight" or what else ends it.
typedef struct parts {
    int layer;
    char stem[128];
    const char *end;
} parts;

static const char *after(const char *s, const char *start)
{
    size_t n = strlen(start);
    return strncmp(s, start, n) == 0 ? s + n : s;
}

static bool take_apart(const char *name, parts *out)
{
    static const char *const wrappers[] = {"language_model.", "model.",   "language_model.", "transformer.",
                                           "bert.",           "roberta.", "encoder."};
    static const char *const layers[] = {"layers.", "layer.", "h."};
    for (size_t i = 0; i < COUNT_OF(wrappers); i++)
        name = after(name, wrappers[i]);
    out->layer = -1;
    for (size_t i = 0; i < COUNT_OF(layers); i++) {
        const char *digits = after(name, layers[i]);
        int layer, used = 0;
        if (digits != name && sscanf(digits, "%6d.%n", &layer, &used) == 1 && used > 0 && layer >= 0) {
            out->layer = layer;
            name = digits + used;
            break;
        }
    }
    const char *end = strrchr(name, '.');
    size_t n = end ? (size_t)(end - name) : strlen(name);
    if (n == 0 || n >= sizeof out->stem)
        return false;
    memcpy(out->stem, name, n);
    out->stem[n] = 0;
    out->end = end ? end + 1 : "";
    return true;
}

// Whether `stem` is `from`, whose "#" stands for an expert's number; *expert is -1 without one.
static bool matches(const char *from, const char *stem, int *expert)
{
    const char *hash = strchr(from, '#');
    int used = 0;
    *expert = -1;
    if (!hash)
        return strcmp(from, stem) == 0;
    size_t n = (size_t)(hash - from);
    return strncmp(from, stem, n) == 0 && sscanf(stem + n, "%6d%n", expert, &used) == 1 && *expert >= 0 &&
           strcmp(hash + 1, stem + n + used) == 0;
}

static const convert_rename *find_rename(const convert_rename *list, const char *stem, int *expert)
{
    for (; list->from; list++)
        if (matches(list->from, stem, expert))
            return list;
    return NULL;
}

// What lies in folders but not in model files: masks, positions that follow from the rest, parts for other tasks.
static bool is_ignored(const parts *n)
{
    static const char *const stems[] = {"rotary_emb",
                                        "self_attn.rotary_emb",
                                        "attn.masked_bias",
                                        "head",
                                        "decoder",
                                        "cls.predictions",
                                        "head.dense",
                                        "head.norm",
                                        "vision_tower",
                                        "pooler.dense",
                                        "multi_modal_projector",
                                        "lm_head.layer_norm",
                                        "lm_head.dense"};
    for (size_t i = 0; i < COUNT_OF(stems); i++)
        if (strncmp(n->stem, stems[i], strlen(stems[i])) == 0 && strcmp(n->stem, "head_dim") != 0)
            return true;
    return strcmp(n->end, "position_ids") == 0 || strcmp(n->end, "masked_bias") == 0 ||
           (strcmp(n->stem, "attn") == 0 && strcmp(n->end, "bias") == 0);
}

static int misshapen(const convert_tensor *t, const char *needed, err *e)
{
    return err_set(e, ST_FORMAT, "tensor %s is %llu x %llu x %llu (%d dims), needed %s", t->name,
                   (unsigned long long)t->dims[0], (unsigned long long)t->dims[1],
                   (unsigned long long)t->dims[2], t->n_dims, needed);
}

static bool is_number(enum convert_dtype d)
{
    return d == CONVERT_F32 || d == CONVERT_F16 || d == CONVERT_BF16 || d == CONVERT_F64;
}

static int shape_plain(convert_plan *p, convert_out *out, const convert_tensor *t, err *e)
{
    if (!is_number(t->dtype))
        return err_set(e, ST_UNSUPPORTED,
                       "tensor %s does not hold floats; irori reads GPTQ and AWQ of 4 bits", t->name);
    if (t->n_dims < 1 || t->n_dims > 2 || convert_elements(t) == 0)
        return misshapen(t, "one or two dimensions", e);
    bool turned = out->how == CONVERT_TURNED && t->n_dims == 2;
    out->columns = turned;
    out->n_dims = (uint32_t)t->n_dims;
    out->dims[0] = t->n_dims == 1 || turned ? t->dims[0] : t->dims[1];
    out->dims[1] = t->n_dims == 1 ? 1 : turned ? t->dims[1] : t->dims[0];
    if (out->how == CONVERT_TURNED && !turned)
        out->how = CONVERT_AS_IS;
    if (out->how == CONVERT_LINE && out->dims[1] == 1)
        out->n_dims = 1;
    if (out->how == CONVERT_SKIP_TWO) {
        if (out->dims[1] < 3)
            return misshapen(t, "three rows at least", e);
        out->first = 2;
        out->dims[1] -= 2;
    }
    if (out->how == CONVERT_Q_PAIRS || out->how == CONVERT_K_PAIRS) {
        out->heads = out->how == CONVERT_Q_PAIRS ? p->heads : p->kv_heads;
        uint64_t rows = t->n_dims == 1 ? out->dims[0] : out->dims[1];
        if (rows % ((uint64_t)out->heads * 2) != 0)
            return misshapen(t, "rows that divide into heads of even size", e);
    }
    return ST_OK;
}

// Codes of four bits eight to a word: GPTQ packs inputs, AWQ outputs. Scales are [groups][outputs].
static int shape_packed(convert_plan *p, convert_out *out, const char *prefix, const convert_tensor *t,
                        err *e)
{
    const json_t *q = json_object_get(p->s->config, "quantization_config");
    const char *method = convert_text(q, "quant_method");
    bool awq = method && strcmp(method, "awq") == 0;
    convert_row_source *r = out->sources;
    r->scales = convert_source_find(p->s, "%sscales", prefix);
    r->zeros = convert_source_find(p->s, "%sqzeros", prefix);
    r->groups = awq ? NULL : convert_source_find(p->s, "%sg_idx", prefix);
    if (!method || (!awq && strcmp(method, "gptq") != 0) || convert_number(q, "bits", 4) != 4)
        return err_set(e, ST_UNSUPPORTED,
                       "tensor %s is packed in a way irori does not read (\"%s\", %g bits), allowed "
                       "GPTQ and AWQ of 4 bits",
                       t->name, method ? method : "", convert_number(q, "bits", 4));
    if (!r->scales || !r->zeros)
        return err_set(e, ST_FORMAT, "tensor %s has no scales or zero points beside it", t->name);
    uint64_t inputs = t->dims[0] * (awq ? 1 : 8), outputs = t->dims[1] * (awq ? 8 : 1),
             groups = r->scales->dims[0];
    bool fits = t->dtype == CONVERT_I32 && t->n_dims == 2 && is_number(r->scales->dtype) &&
                r->scales->n_dims == 2 && r->scales->dims[1] == outputs && r->zeros->dtype == CONVERT_I32 &&
                r->zeros->dims[0] == groups && r->zeros->dims[1] * 8 == outputs && groups > 0 &&
                inputs % groups == 0 && outputs % 8 == 0;
    fits = fits && (!r->groups || (r->groups->dtype == CONVERT_I32 && convert_elements(r->groups) == inputs));
    if (!fits)
        return misshapen(t, "codes, scales and zero points that agree", e);
    for (uint64_t i = 0; r->groups && i < inputs; i++) {
        float g;
        convert_values(r->groups, i, 1, 1, &g);
        if (!(g >= 0 && g < (float)groups))
            return err_set(e, ST_FORMAT, "tensor %s names group %g of %llu", r->groups->name, (double)g,
                           (unsigned long long)groups);
    }
    const char *format = convert_text(q, "checkpoint_format");
    out->zero_shift = awq || (format && strcmp(format, "gptq_v2") == 0) ? 0 : 1;
    out->kind = awq ? CONVERT_AWQ : CONVERT_GPTQ;
    out->n_dims = 2;
    out->dims[0] = inputs;
    out->dims[1] = outputs;
    if (out->how == CONVERT_Q_PAIRS || out->how == CONVERT_K_PAIRS)
        out->heads = out->how == CONVERT_Q_PAIRS ? p->heads : p->kv_heads;
    if (out->heads && outputs % ((uint64_t)out->heads * 2) != 0)
        return misshapen(t, "outputs that divide into heads of even size", e);
    return ST_OK;
}

// Matrices in the type asked for; what is small or added stays exact.
static int type_of(const convert_plan *p, const convert_out *out)
{
    bool exact = out->n_dims < 2 || strstr(out->name, "norm") || strstr(out->name, "ffn_gate_inp") ||
                 strstr(out->name, ".bias") || strstr(out->name, "token_types") ||
                 strstr(out->name, "position_embd");
    return exact ? QT_F32 : p->o->type;
}

static int new_sources(convert_plan *p, convert_out *out, int n, err *e)
{
    out->n_sources = n;
    out->sources = arena_calloc(&p->s->mem, (size_t)n, sizeof *out->sources);
    return out->sources ? ST_OK : err_set(e, ST_NOMEM, "no memory to plan %s", out->name);
}

static bool same_shape(const convert_out *a, const convert_out *b)
{
    return a->kind == b->kind && a->dims[0] == b->dims[0] && a->dims[1] == b->dims[1];
}

// One expert's matrix: the first makes the entry, the others must look like it.
static int add_expert(convert_plan *p, convert_out one, int expert, const convert_tensor *t, err *e)
{
    if (expert >= p->experts)
        return err_set(e, ST_FORMAT, "tensor %s is of expert %d, config.json says there are %d", t->name,
                       expert, p->experts);
    convert_out *out = find_out(p, one.name);
    if (!out) {
        if (!(out = add_out(p, e)))
            return ST_NOMEM;
        convert_row_source first = one.sources[0];
        *out = one;
        int rc = new_sources(p, out, p->experts, e);
        if (rc)
            return rc;
        out->sources[expert] = first;
        out->n_dims = 3;
        out->dims[2] = (uint64_t)p->experts;
        return ST_OK;
    }
    if (!same_shape(out, &one))
        return misshapen(t, "the shape of the other experts", e);
    out->sources[expert] = one.sources[0];
    return ST_OK;
}

static int add_named(convert_plan *p, const convert_tensor *t, const parts *n, const convert_rename *r,
                     int expert, err *e)
{
    convert_out one = {.kind = CONVERT_PLAIN, .how = r->how, .step = 1, .dims = {1, 1, 1, 1}};
    bool packed = strcmp(n->end, "qweight") == 0;
    const char *end = packed ? "weight" : n->end;
    if (n->layer >= 0)
        snprintf(one.name, sizeof one.name, "blk.%d.%s.%s", n->layer, r->to, end);
    else
        snprintf(one.name, sizeof one.name, "%s.%s", r->to, end);
    if (n->layer >= p->layers)
        return err_set(e, ST_FORMAT, "tensor %s is of layer %d, config.json says there are %d", t->name,
                       n->layer, p->layers);
    int rc = new_sources(p, &one, 1, e);
    if (rc)
        return rc;
    one.sources[0].t = t;
    if (packed) {
        char prefix[256];
        snprintf(prefix, sizeof prefix, "%.*s", (int)(strlen(t->name) - strlen("qweight")), t->name);
        rc = shape_packed(p, &one, prefix, t, e);
    } else {
        rc = shape_plain(p, &one, t, e);
    }
    if (rc)
        return rc;
    one.type = type_of(p, &one);
    if (expert >= 0)
        return add_expert(p, one, expert, t, e);
    if (find_out(p, one.name))
        return err_set(e, ST_FORMAT, "two tensors become %s; the second is %s", one.name, t->name);
    convert_out *out = add_out(p, e);
    if (!out)
        return ST_NOMEM;
    *out = one;
    return ST_OK;
}

// gpt-oss: experts of one layer in one tensor, gate and up interleaved row by row, as MXFP4 blocks or as floats
// [experts][inputs][outputs]; biases; attention sinks.
static int add_oss(convert_plan *p, const convert_tensor *t, const parts *n, const char *to, uint64_t first,
                   uint64_t step, err *e)
{
    bool blocks = strstr(t->name, "_blocks") != NULL, bias = strstr(t->name, "_bias") != NULL;
    convert_out *out = add_out(p, e);
    if (!out)
        return ST_NOMEM;
    snprintf(out->name, sizeof out->name, "blk.%d.%s.%s", n->layer, to, bias ? "bias" : "weight");
    out->first = first;
    out->step = step;
    int rc = new_sources(p, out, 1, e);
    if (rc)
        return rc;
    out->sources[0].t = t;
    uint64_t experts = t->dims[0], rows = blocks || bias ? t->dims[1] : t->dims[2];
    if (n->layer >= p->layers || experts != (uint64_t)p->experts || rows % step || rows == 0)
        return misshapen(t, "as many experts and layers as config.json says", e);
    if (bias) {
        out->type = QT_F32;
        out->n_dims = 2;
        out->dims[0] = rows / step;
        out->dims[1] = experts;
        out->columns = true;  // values of one row, `step` apart
        return is_number(t->dtype) && t->n_dims == 2 ? ST_OK : misshapen(t, "experts x outputs", e);
    }
    out->n_dims = 3;
    out->dims[1] = rows / step;
    out->dims[2] = experts;
    if (!blocks) {
        out->dims[0] = t->dims[1];
        out->columns = true;
        out->type = p->o->type;
        return is_number(t->dtype) && t->n_dims == 3 ? ST_OK : misshapen(t, "experts x inputs x outputs", e);
    }
    char scales[256];
    snprintf(scales, sizeof scales, "%.*sscales", (int)(strlen(t->name) - strlen("blocks")), t->name);
    const convert_tensor *s = out->sources[0].scales = convert_source_find(p->s, "%s", scales);
    out->kind = CONVERT_MXFP4;
    out->type = QT_MXFP4;
    out->dims[0] = t->dims[2] * 32;
    bool fits = s && t->n_dims == 4 && t->dims[3] == 16 && t->dtype == CONVERT_U8 && s->dtype == CONVERT_U8 &&
                s->dims[0] == experts && s->dims[1] == rows && s->dims[2] == t->dims[2] && s->dims[3] == 1;
    return fits ? ST_OK : misshapen(t, "experts x outputs x blocks x 16 with scales beside it", e);
}

static int add_oss_part(convert_plan *p, const convert_tensor *t, const parts *n, bool *taken, err *e)
{
    *taken = true;
    if (strcmp(n->stem, "self_attn") == 0 && strcmp(n->end, "sinks") == 0) {
        convert_rename r = {"", "attn_sinks", CONVERT_AS_IS};
        parts as_weight = *n;
        as_weight.end = "weight";
        return add_named(p, t, &as_weight, &r, -1, e);
    }
    *taken = strcmp(n->stem, "mlp.experts") == 0;
    if (!*taken || strstr(n->end, "_scales"))
        return ST_OK;
    if (strncmp(n->end, "gate_up_proj", 12) != 0)
        return add_oss(p, t, n, "ffn_down_exps", 0, 1, e);
    int rc = add_oss(p, t, n, "ffn_gate_exps", 0, 2, e);
    return rc ? rc : add_oss(p, t, n, "ffn_up_exps", 1, 2, e);
}

static bool is_head(const char *stem)
{
    return strcmp(stem, "pooler.dense") == 0 || strcmp(stem, "head.dense") == 0 ||
           strcmp(stem, "head.norm") == 0;
}

static int add_tensor(convert_plan *p, const convert_tensor *t, err *e)
{
    parts n;
    int expert = -1;
    bool taken = false;
    if (!take_apart(t->name, &n))
        return err_set(e, ST_FORMAT, "tensor %s: its name is longer than any known", t->name);
    if (strcmp(p->f->arch, "gpt-oss") == 0) {
        int rc = add_oss_part(p, t, &n, &taken, e);
        if (rc || taken)
            return rc;
    }
    if (strcmp(n.end, "scales") == 0 || strcmp(n.end, "qzeros") == 0 || strcmp(n.end, "g_idx") == 0)
        return ST_OK;  // read beside their qweight
    const convert_rename *r = find_rename(n.layer >= 0 ? p->f->layer : p->f->top, n.stem, &expert);
    if (r && strcmp(r->to, "output") == 0 && convert_flag(p->s->config, "tie_word_embeddings", false))
        return ST_OK;  // a copy of the table
    // A pooler and a head that guesses masked words are written only where a classifier follows them.
    if (r && is_head(n.stem) && !convert_source_find(p->s, "classifier.weight"))
        return ST_OK;
    if (r && (strcmp(n.end, "weight") == 0 || strcmp(n.end, "bias") == 0 || strcmp(n.end, "qweight") == 0))
        return add_named(p, t, &n, r, expert, e);
    if (is_ignored(&n))
        return ST_OK;
    return err_set(e, ST_UNSUPPORTED, "tensor %s is no part of a %s model that irori knows", t->name,
                   p->f->arch);
}

static int check_complete(const convert_plan *p, err *e)
{
    const convert_out *table = find_out(p, "token_embd.weight");
    if (!table)
        return err_set(e, ST_FORMAT, "%s: the embedding table is missing", p->s->dir);
    for (int layer = 0; layer < p->layers; layer++)
        for (const char *const *stem = p->f->needed; *stem; stem++) {
            char name[80];
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, *stem);
            const convert_out *out = find_out(p, name);
            if (!out)
                return err_set(e, ST_FORMAT, "%s: layer %d has no tensor for %s", p->s->dir, layer, *stem);
            for (int i = 0; i < out->n_sources; i++)
                if (!out->sources[i].t)
                    return err_set(e, ST_FORMAT, "%s: expert %d of %s is missing", p->s->dir, i, name);
        }
    return ST_OK;
}

// Rotary factors that GGUF keeps as tensors: Llama 3's, by its published formula, and LongRoPE's two lists.
static int add_factors(convert_plan *p, const char *name, const float *v, uint64_t n, err *e)
{
    convert_out *out = add_out(p, e);
    if (!out)
        return ST_NOMEM;
    snprintf(out->name, sizeof out->name, "%s", name);
    out->kind = CONVERT_COMPUTED;
    out->type = QT_F32;
    out->dims[0] = n;
    out->computed = v;
    return ST_OK;
}

static int add_list(convert_plan *p, const json_t *list, const char *name, err *e)
{
    size_t n = json_array_size(list);
    float *v = arena_calloc(&p->s->mem, n + 1, sizeof *v);
    if (!v)
        return err_set(e, ST_NOMEM, "no memory for %s", name);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)json_number_value(json_array_get(list, i));
    return n ? add_factors(p, name, v, n, e)
             : err_set(e, ST_FORMAT, "config.json: the list for %s is empty", name);
}

static int add_llama3_factors(convert_plan *p, const json_t *rope, double base, int dims, err *e)
{
    double factor = convert_number(rope, "factor", 8), low = convert_number(rope, "low_freq_factor", 1),
           high = convert_number(rope, "high_freq_factor", 4),
           old = convert_number(rope, "original_max_position_embeddings", 8192);
    float *v = arena_calloc(&p->s->mem, (size_t)dims, sizeof *v);
    if (!v || dims < 2)
        return err_set(e, v ? ST_FORMAT : ST_NOMEM, "rope factors for heads of %d values", dims);
    for (int i = 0; i < dims / 2; i++) {
        double wave = 2 * acos(-1) * pow(base, 2.0 * i / dims), smooth = (old / wave - low) / (high - low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        v[i] = (float)(1 / ((1 - smooth) / factor + smooth));
    }
    return add_factors(p, "rope_freqs.weight", v, (uint64_t)dims / 2, e);
}

static int add_rope(convert_plan *p, err *e)
{
    const json_t *c = p->s->config, *rope = json_object_get(c, "rope_scaling");
    if (!json_is_object(rope))
        rope = json_object_get(c, "rope_parameters");
    const char *kind = convert_text(rope, "rope_type") ? convert_text(rope, "rope_type")
                                                       : convert_text(rope, "type");
    if (!kind)
        return ST_OK;
    int head = (int)convert_number(c, "head_dim", convert_number(c, "hidden_size|n_embd", 0) / p->heads);
    double base = convert_number(c, "rope_theta", convert_number(rope, "rope_theta", 10000));
    if (strcmp(kind, "llama3") == 0)
        return add_llama3_factors(p, rope, base, head, e);
    if (strcmp(kind, "longrope") != 0 && strcmp(kind, "su") != 0)
        return ST_OK;
    int rc = add_list(p, json_object_get(rope, "long_factor"), "rope_factors_long.weight", e);
    return rc ? rc : add_list(p, json_object_get(rope, "short_factor"), "rope_factors_short.weight", e);
}

int convert_plan_make(convert_plan *p, err *e)
{
    const json_t *c = p->s->config;
    double layers = convert_number(c, "num_hidden_layers|n_layer", 0),
           heads = convert_number(c, "num_attention_heads|n_head", 0),
           kv = convert_number(c, "num_key_value_heads", heads),
           experts = convert_number(c, "num_local_experts|num_experts", 0);
    if (!(layers >= 1 && layers <= 4096 && heads >= 1 && heads <= 4096 && kv >= 1 && kv <= heads &&
          experts >= 0 && experts <= 4096))
        return err_set(e, ST_FORMAT,
                       "%s/config.json: %g layers, %g heads, %g key heads, %g experts are no model's",
                       p->s->dir, layers, heads, kv, experts);
    p->layers = (int)layers;
    p->heads = (int)heads;
    p->kv_heads = (int)kv;
    p->experts = (int)experts;
    int rc = ST_OK;
    for (size_t i = 0; !rc && i < convert_source_count(p->s); i++)
        rc = add_tensor(p, convert_source_at(p->s, i), e);
    if (!rc)
        rc = add_rope(p, e);
    return rc ? rc : check_complete(p, e);
}

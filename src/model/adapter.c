// LoRA adapters in GGUF: read, and checked against the model they are for.
//
// Keys: general.type "adapter", adapter.type "lora", adapter.lora.alpha. For each adapted tensor NAME two more:
// NAME.lora_a, rank rows of the inputs, and NAME.lora_b, one row of rank an output. What is added to the matrix is
// alpha / rank * b * a.
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

enum { MOST_RANK = 4096 };

typedef struct reading {
    const model *m;
    const gguf *file;
    model_adapter *out;
    float alpha;
    err *e;  // never NULL
} reading;

static int fail(const reading *r, int code, const char *fmt, ...) ERR_PRINTF(3, 4);
static int fail(const reading *r, int code, const char *fmt, ...)
{
    char msg[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_set(r->e, code, "%s: %s", gguf_path(r->file), msg);
}

static bool key_is(const gguf *g, const char *key, const char *value)
{
    gguf_str s;
    return gguf_get_str(g, key, &s) && s.n == strlen(value) && memcmp(s.p, value, s.n) == 0;
}

static int check_keys(reading *r)
{
    gguf_str arch = {"", 0};
    if (!key_is(r->file, "general.type", "adapter") || !key_is(r->file, "adapter.type", "lora"))
        return fail(r, ST_FORMAT, "not a LoRA adapter: general.type and adapter.type do not say so");
    if (!gguf_get_str(r->file, "general.architecture", &arch) ||
        !key_is(r->file, "general.architecture", r->m->arch_name))
        return fail(r, ST_INVALID, "an adapter for \"%.*s\"; the model is \"%s\"",
                    (int)MIN(arch.n, (size_t)64), arch.p, r->m->arch_name);
    if (!gguf_get_f32(r->file, "adapter.lora.alpha", &r->alpha) || !isfinite(r->alpha))
        return fail(r, ST_FORMAT, "key adapter.lora.alpha is missing or no finite number");
    return ST_OK;
}

// All values of a matrix as `type`, its own or F32; NULL after a failure.
static const uint8_t *values_of(const reading *r, const gguf_tensor *t, int type)
{
    if (t->type == type)
        return t->data;
    const quant_info *info = quant_type_info(t->type);
    size_t k = (size_t)t->dims[0], n = (size_t)t->dims[1];
    if (!info || !info->decode) {
        fail(r, ST_UNSUPPORTED, "tensor %s has type %d, which irori does not read", t->name, t->type);
        return NULL;
    }
    float *x = arena_alloc(&r->out->mem, k * n * sizeof *x);
    for (size_t row = 0; x && row < n; row++)
        info->decode(t->data + row * quant_row_bytes(t->type, k), x + row * k, k);
    if (!x)
        fail(r, ST_NOMEM, "no memory for tensor %s", t->name);
    return (const uint8_t *)x;
}

static bool is_matrix(const gguf_tensor *t)
{
    return t->dims[2] == 1 && t->dims[3] == 1;
}

// Whether the model multiplies by the tensor NAME, and by nothing but plain matrices of it.
static int check_target(const reading *r, const char *name)
{
    const graph *g = &r->m->graph;
    bool found = false;
    for (int i = 0; i < g->n_weights; i++) {
        const graph_weight *w = &g->weights[i];
        if (strcmp(w->name, name) != 0)
            continue;
        if (w->lookup_only || w->parts != 1)
            return fail(r, ST_UNSUPPORTED, "adapts %s; irori adapts neither embedding tables nor experts",
                        name);
        found = true;
    }
    if (found)
        return ST_OK;
    return gguf_tensor_find(r->m->file, name)
               ? fail(r, ST_UNSUPPORTED, "adapts %s, which is no matrix the model multiplies by", name)
               : fail(r, ST_INVALID, "adapts %s, which the model does not have: an adapter of another model",
                      name);
}

static int check_shapes(const reading *r, const char *name, const gguf_tensor *a, const gguf_tensor *b)
{
    const gguf_tensor *t = gguf_tensor_find(r->m->file, name);
    if (!is_matrix(a) || !is_matrix(b) || a->dims[1] != b->dims[0] || a->dims[1] > MOST_RANK)
        return fail(r, ST_FORMAT,
                    "%s: lora_a is %llu x %llu and lora_b %llu x %llu; one rank of 1..%d must join them",
                    name, (unsigned long long)a->dims[0], (unsigned long long)a->dims[1],
                    (unsigned long long)b->dims[0], (unsigned long long)b->dims[1], MOST_RANK);
    if (a->dims[0] != t->dims[0] || b->dims[1] != t->dims[1])
        return fail(r, ST_INVALID,
                    "adapts %s as %llu x %llu, the model's is %llu x %llu: an adapter of another model", name,
                    (unsigned long long)a->dims[0], (unsigned long long)b->dims[1],
                    (unsigned long long)t->dims[0], (unsigned long long)t->dims[1]);
    return ST_OK;
}

// The pair whose first half is `a`; NAME is what stands before its ".lora_a".
static int read_pair(reading *r, const char *name, const gguf_tensor *a)
{
    char other[256];
    snprintf(other, sizeof other, "%s.lora_b", name);
    const gguf_tensor *b = gguf_tensor_find(r->file, other);
    if (!b)
        return fail(r, ST_FORMAT, "tensor %s is missing", other);
    int rc = check_target(r, name);
    if (!rc)
        rc = check_shapes(r, name, a, b);
    if (rc)
        return rc;
    const int type = a->type == b->type && a->type == QT_F16 ? QT_F16 : QT_F32;
    const uint8_t *down = values_of(r, a, type), *up = down ? values_of(r, b, type) : NULL;
    if (!up)
        return r->e->code;
    const graph *g = &r->m->graph;
    int rank = (int)a->dims[1];
    size_t row = quant_row_bytes(type, (uint64_t)rank);
    for (int i = 0; i < g->n_weights; i++)
        if (strcmp(g->weights[i].name, name) == 0)
            r->out->parts[i] = (dev_lowrank){.rank = rank,
                                             .scale = r->alpha != 0 ? r->alpha / (float)rank : 1,
                                             .type = type,
                                             .a = down,
                                             .b = up + (size_t)g->weights[i].row0 * row};
    return ST_OK;
}

static int read_pairs(reading *r)
{
    size_t pairs = 0, halves = gguf_tensor_count(r->file);
    for (size_t i = 0; i < halves; i++) {
        const gguf_tensor *t = gguf_tensor_at(r->file, i);
        const char *dot = strrchr(t->name, '.');
        char name[200];
        bool a = dot && strcmp(dot, ".lora_a") == 0, b = dot && strcmp(dot, ".lora_b") == 0;
        if ((!a && !b) || dot - t->name >= (ptrdiff_t)sizeof name)
            return fail(r, ST_UNSUPPORTED, "tensor %.200s is neither a lora_a nor a lora_b", t->name);
        snprintf(name, sizeof name, "%.*s", (int)(dot - t->name), t->name);
        int rc = a ? read_pair(r, name, t) : ST_OK;
        if (rc)
            return rc;
        pairs += a;
    }
    return pairs && pairs * 2 == halves
               ? ST_OK
               : fail(r, ST_FORMAT, "%zu tensors and %zu of them a lora_a; each needs its lora_b", halves,
                      pairs);
}

int model_adapter_load(model_adapter *out, const model *m, const gguf *file, err *e)
{
    *out = (model_adapter){0};
    arena_init(&out->mem, MEM_GRAPH);
    err own = {0};
    reading r = {.m = m, .file = file, .out = out, .e = e ? e : &own};
    int rc = check_keys(&r);
    if (!rc) {
        out->parts = arena_calloc(&out->mem, (size_t)m->graph.n_weights, sizeof *out->parts);
        rc = out->parts ? read_pairs(&r) : fail(&r, ST_NOMEM, "no memory for the adapter");
    }
    if (rc)
        model_adapter_done(out);
    return rc;
}

void model_adapter_done(model_adapter *a)
{
    arena_done(&a->mem);
    *a = (model_adapter){0};
}

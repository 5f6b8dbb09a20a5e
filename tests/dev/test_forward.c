// The CPU device against the forward pass written out in double precision: grouped heads of every shape, sliding
// windows, partial rotation, biases, head norms, contexts of several spans, experts.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "model/toy.h"

static float *tensor_values(const gguf *g, const char *format, int layer)
{
    char name[64];
    snprintf(name, sizeof name, format, layer);
    const gguf_tensor *t = gguf_tensor_find(g, name);
    if (!t)
        return NULL;
    size_t n = (size_t)(t->dims[0] * t->dims[1] * t->dims[2]);
    float *v = malloc(n * sizeof *v);
    for (size_t row = 0; row < t->dims[1] * t->dims[2]; row++)
        quant_type_info(t->type)->decode(t->data + row * quant_row_bytes(t->type, t->dims[0]),
                                         v + row * t->dims[0], (size_t)t->dims[0]);
    return v;
}

// y[tokens][n] = x[tokens][k] * w^T, plus a bias if the file has it; y is new.
static double *project(const gguf *g, const char *name, int layer, const double *x, int tokens, int n, int k)
{
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    float *w = tensor_values(g, weight, layer), *b = tensor_values(g, bias, layer);
    double *y = malloc((size_t)tokens * (size_t)n * sizeof *y);
    for (int t = 0; t < tokens; t++)
        for (int r = 0; r < n; r++) {
            double sum = b ? (double)b[r] : 0;
            for (int c = 0; c < k; c++)
                sum += (double)w[(size_t)r * (size_t)k + (size_t)c] * x[(size_t)t * (size_t)k + (size_t)c];
            y[(size_t)t * (size_t)n + (size_t)r] = sum;
        }
    free(w);
    free(b);
    return y;
}

// out = x / rms(x) * w, rows of n; without the tensor the rows are only copied.
static void rms(const gguf *g, const char *name, int layer, const double *x, int rows, int n, double *out)
{
    float *w = tensor_values(g, name, layer);
    for (int t = 0; t < rows; t++) {
        double sum = 0, scale = 1;
        for (int i = 0; i < n; i++)
            sum += x[t * n + i] * x[t * n + i];
        if (w)
            scale = 1 / sqrt(sum / n + 1e-5);
        for (int i = 0; i < n; i++)
            out[t * n + i] = x[t * n + i] * scale * (w ? (double)w[i] : 1);
    }
    free(w);
}

static void rotate(double *x, int tokens, int heads, int hd, int dims, bool neox)
{
    for (int t = 0; t < tokens; t++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < dims / 2; i++) {
                double angle = t * pow(10000, -2.0 * i / dims), c = cos(angle), s = sin(angle);
                double *v = x + (t * heads + h) * hd;
                int a = neox ? i : 2 * i, b = neox ? i + dims / 2 : 2 * i + 1;
                double p = v[a], q = v[b];
                v[a] = p * c - q * s;
                v[b] = p * s + q * c;
            }
}

static double *attend(const toy *t, const double *q, const double *k, const double *v, int tokens)
{
    int hd = t->head_dim, group = t->heads / t->kv_heads;
    double *out = calloc((size_t)(tokens * t->heads * hd), sizeof *out),
           *p = malloc((size_t)tokens * sizeof *p);
    for (int at = 0; at < tokens; at++)
        for (int h = 0; h < t->heads; h++) {
            int first = t->window && at + 1 > t->window ? at + 1 - t->window : 0;
            double sum = 0, top = -INFINITY, *o = out + (at * t->heads + h) * hd;
            for (int j = first; j <= at; j++) {
                p[j] = 0;
                for (int i = 0; i < hd; i++)
                    p[j] += q[(at * t->heads + h) * hd + i] * k[(j * t->kv_heads + h / group) * hd + i];
                p[j] /= sqrt(hd);
                top = fmax(top, p[j]);
            }
            for (int j = first; j <= at; j++)
                sum += p[j] = exp(p[j] - top);
            for (int j = first; j <= at; j++)
                for (int i = 0; i < hd; i++)
                    o[i] += p[j] / sum * v[(j * t->kv_heads + h / group) * hd + i];
        }
    free(p);
    return out;
}

static void add_to(double *x, double *y, int n)
{
    for (int i = 0; i < n; i++)
        x[i] += y[i];
    free(y);
}

// y = W x for row-major W of n x k.
static void times(const float *w, int n, int k, const double *x, double *y)
{
    for (int r = 0; r < n; r++) {
        y[r] = 0;
        for (int c = 0; c < k; c++)
            y[r] += (double)w[r * k + c] * x[c];
    }
}

static int used_before(const int *used, int n, int e)
{
    for (int i = 0; i < n; i++)
        if (used[i] == e)
            return 1;
    return 0;
}

// The answer of the experts for one token, added to x.
static void experts_of(const gguf *g, const toy *t, int l, const double *h, double *x)
{
    int w = t->width, used[16], n = t->experts;
    float *gate = tensor_values(g, "blk.%d.ffn_gate_exps.weight", l),
          *up = tensor_values(g, "blk.%d.ffn_up_exps.weight", l),
          *down = tensor_values(g, "blk.%d.ffn_down_exps.weight", l),
          *router = tensor_values(g, "blk.%d.ffn_gate_inp.weight", l);
    double score[64], all = 0, chosen = 0, a[512], b[512], y[256];
    times(router, n, w, h, score);
    for (int e = 0; e < n; e++)
        all += score[e] = exp(score[e]);
    for (int i = 0; i < t->used; i++) {
        used[i] = -1;
        for (int e = 0; e < n; e++)
            if (!used_before(used, i, e) && (used[i] < 0 || score[e] > score[used[i]]))
                used[i] = e;
        chosen += score[used[i]];
    }
    for (int i = 0; i < t->used; i++) {
        size_t at = (size_t)used[i] * (size_t)(t->ff * w);
        times(gate + at, t->ff, w, h, a);
        times(up + at, t->ff, w, h, b);
        for (int j = 0; j < t->ff; j++)
            a[j] = a[j] / (1 + exp(-a[j])) * b[j];
        times(down + at, w, t->ff, a, y);
        for (int j = 0; j < w; j++)
            x[j] += score[used[i]] / (t->over_all ? all : chosen) * y[j];
    }
    free(gate);
    free(up);
    free(down);
    free(router);
}

static void gated(const gguf *g, const toy *t, int l, const double *h, double *x, int tokens)
{
    int w = t->width;
    double *gate = project(g, "blk.%d.ffn_gate", l, h, tokens, t->ff, w),
           *up = project(g, "blk.%d.ffn_up", l, h, tokens, t->ff, w);
    for (int i = 0; i < tokens * t->ff; i++)
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    add_to(x, project(g, "blk.%d.ffn_down", l, gate, tokens, w, t->ff), tokens * w);
    free(gate);
    free(up);
}

static void layer_of(const gguf *g, const toy *t, int l, int rope_dims, double *x, int tokens)
{
    int w = t->width, qn = t->heads * t->head_dim, kn = t->kv_heads * t->head_dim;
    bool neox = strncmp(t->arch, "qwen3", 5) == 0;
    double *h = malloc((size_t)(tokens * w) * sizeof *h);
    rms(g, "blk.%d.attn_norm.weight", l, x, tokens, w, h);
    double *q = project(g, "blk.%d.attn_q", l, h, tokens, qn, w),
           *k = project(g, "blk.%d.attn_k", l, h, tokens, kn, w);
    double *v = project(g, "blk.%d.attn_v", l, h, tokens, kn, w);
    rms(g, "blk.%d.attn_q_norm.weight", l, q, tokens * t->heads, t->head_dim, q);
    rms(g, "blk.%d.attn_k_norm.weight", l, k, tokens * t->kv_heads, t->head_dim, k);
    rotate(q, tokens, t->heads, t->head_dim, rope_dims, neox);
    rotate(k, tokens, t->kv_heads, t->head_dim, rope_dims, neox);
    double *o = attend(t, q, k, v, tokens);
    add_to(x, project(g, "blk.%d.attn_output", l, o, tokens, w, qn), tokens * w);
    rms(g, "blk.%d.ffn_norm.weight", l, x, tokens, w, h);
    if (t->experts)
        for (int i = 0; i < tokens; i++)
            experts_of(g, t, l, h + i * w, x + i * w);
    else
        gated(g, t, l, h, x, tokens);
    free(h);
    free(q);
    free(k);
    free(v);
    free(o);
}

// Logits after the last token.
static double *forward(const gguf *g, const toy *t, int rope_dims, const int32_t *ids, int tokens)
{
    int w = t->width;
    float *table = tensor_values(g, "token_embd.weight", 0);
    double *x = malloc((size_t)(tokens * w) * sizeof *x);
    for (int i = 0; i < tokens * w; i++)
        x[i] = (double)table[ids[i / w] * w + i % w];
    free(table);
    for (int l = 0; l < t->layers; l++)
        layer_of(g, t, l, rope_dims, x, tokens);
    rms(g, "output_norm.weight", 0, x, tokens, w, x);
    const char *head = gguf_tensor_find(g, "output.weight") ? "output" : "token_embd";
    double *logits = project(g, head, 0, x + (tokens - 1) * w, 1, TOY_TOKENS, w);
    free(x);
    return logits;
}

static void compare(const char *what, const toy *t, int rope_dims, int tokens)
{
    gguf *g;
    engine x;
    err e = {0};
    kv_seq *q;
    static int32_t ids[4096];
    // From a file: the device gives the mapping's pages back to the system once it has its own copy.
    if (gguf_open(&g, toy_save(t, "forward.gguf"), &e))
        fail_msg("%s: %s", what, e.msg);
    engine_options o = {.threads = 2, .context = t->context, .no_pin = true};
    if (engine_open(&x, g, &o, &e))
        fail_msg("%s: %s", what, e.msg);
    assert_int_equal(kv_seq_new(x.kv, &q, NULL), ST_OK);
    for (int i = 0; i < tokens; i++)
        ids[i] = (int32_t)((unsigned)i * 2654435761u >> 9) % TOY_TOKENS;
    const float *logits = NULL;
    for (int at = 0; at < tokens; at += 500) {
        engine_row row = {q, ids + at, MIN(500, tokens - at), 1};
        assert_int_equal(engine_step(&x, &row, 1, &logits, NULL, NULL, NULL), ST_OK);
    }
    double *want = forward(g, t, rope_dims, ids, tokens), worst = 0, size = 0;
    for (int i = 0; i < TOY_TOKENS; i++) {
        worst = fmax(worst, fabs((double)logits[i] - want[i]));
        size = fmax(size, fabs(want[i]));
    }
    print_message("%s: largest logit %.3f, largest difference %.2g\n", what, size, worst);
    assert_true(size > 0.1);
    assert_true(worst < 3e-3 * size);  // keys and values are rounded to F16
    free(want);
    kv_seq_free(q);
    engine_close(&x);
    gguf_close(g);
}

static void shapes_of_heads(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.type = QT_F32;
    compare("llama", &t, 16, 150);
    t.arch = "qwen3";
    t.head_dim = 48;
    compare("qwen3, heads of 48", &t, 48, 150);
    t.arch = "llama";
    t.heads = 20;
    t.kv_heads = 1;
    t.head_dim = 16;
    compare("20 heads over one", &t, 16, 100);
    t.heads = 6;
    t.kv_heads = 6;
    t.head_type = QT_F16;
    compare("6 heads over 6", &t, 16, 65);
    t.heads = 9;
    t.kv_heads = 3;
    t.head_dim = 128;
    t.width = 96;
    compare("heads of 128", &t, 128, 64);
}

static void biases(make *m, const void *ctx)
{
    const toy *t = ctx;
    static const char *const names[] = {"q", "k", "v", "output"};
    int sizes[] = {t->heads * t->head_dim, t->kv_heads * t->head_dim, t->kv_heads * t->head_dim, t->width};
    uint64_t random = 77;
    for (int i = 0; i < 4; i++) {
        char name[64];
        float v[256];
        for (int k = 0; k < sizes[i]; k++)
            v[k] = 0.3f * toy_random(&random);
        snprintf(name, sizeof name, "blk.1.attn_%s.bias", names[i]);
        make_tensor(m, name, QT_F32, 1, (uint64_t[]){(uint64_t)sizes[i]}, v);
    }
}

static void biases_and_partial_rotation(void **state)
{
    (void)state;
    toy t = toy_llama(), shape = t;
    t.type = QT_F32;
    t.more = biases;
    t.more_ctx = &shape;
    compare("biases", &t, 16, 40);
    t.other_key = "llama.rope.dimension_count";
    t.other_value = 6;
    compare("6 of 16 values rotate", &t, 6, 80);
    t.other_value = 0;
    compare("nothing rotates", &t, 0, 40);
}

static void sliding_windows(void **state)
{
    (void)state;
    static const int windows[] = {1, 2, 63, 64, 65, 100};
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        toy t = toy_llama();
        t.layers = 2;
        t.type = QT_F32;
        t.window = windows[i];
        char what[32];
        snprintf(what, sizeof what, "window of %d", t.window);
        compare(what, &t, 16, 200);
    }
}

static void several_spans(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.layers = 2;
    t.heads = 2;
    t.kv_heads = 1;
    t.type = QT_F32;
    t.context = 4096;
    compare("2100 tokens", &t, 16, 2100);
    t.window = 1030;
    compare("2100 tokens, window of 1030", &t, 16, 2100);
}

static void choices_of_experts(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.type = QT_F32;
    t.experts = 8;
    t.used = 2;
    compare("2 of 8 experts", &t, 16, 120);
    t.over_all = true;
    compare("2 of 8 experts, weights of all", &t, 16, 33);
    t.over_all = false;
    t.used = 8;
    compare("8 of 8 experts", &t, 16, 20);
    t.arch = "qwen3moe";
    t.experts = 33;
    t.used = 5;
    t.ff = 40;  // no multiple of a panel
    compare("5 of 33 experts", &t, 16, 150);
    t.experts = t.used = 1;
    compare("one expert", &t, 16, 20);
}

static int clean(void **state)
{
    (void)state;
    toy_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_of_heads),    cmocka_unit_test(biases_and_partial_rotation),
        cmocka_unit_test(sliding_windows),    cmocka_unit_test(several_spans),
        cmocka_unit_test(choices_of_experts),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}

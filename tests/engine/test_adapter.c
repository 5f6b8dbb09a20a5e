// Adapters: a model with one gives the logits of a model whose weights hold the sum; for every decoder of the oracle,
// also where one file tensor is three matrices. Swapped between steps. Each way an adapter can be wrong.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/requant.h"
#include "engine/engine.h"
#include "gguf/make.h"
#include "model/toy.h"

#define DATA IRORI_SOURCE_DIR "/tests/engine/data/"

enum { TOKENS = 70, ALPHA = 6, MOST_VOCAB = 300 };

// Bytes of a file, in memory that gguf_open_memory takes.
static char *read_all(const char *path, size_t *n)
{
    char *p = NULL;
    assert_int_equal(os_read_file(path, 1 << 24, &p, n, NULL), ST_OK);
    return p;
}

static bool adaptable(const gguf_tensor *t)
{
    return t->n_dims == 2 && !strstr(t->name, "_embd") && !strstr(t->name, "output.weight");
}

static int rank_of(size_t tensor)
{
    return 1 + (int)(tensor * 7 % 20);  // some above a panel's 16
}

// Adds alpha / rank * b * a of the adapter's tensor to the F32 matrix of the model.
static void merge(const gguf_tensor *t, int rank, const float *a, const float *b, float scale)
{
    size_t k = (size_t)t->dims[0];
    float *w = (float *)(uintptr_t)t->data;
    for (size_t row = 0; row < t->dims[1]; row++)
        for (size_t c = 0; c < k; c++) {
            double sum = 0;
            for (int r = 0; r < rank; r++)
                sum += (double)b[row * (size_t)rank + (size_t)r] * (double)a[(size_t)r * k + c];
            w[row * k + c] += (float)(sum * (double)scale * ALPHA / rank);
        }
}

static float *random_values(size_t n, float size, uint64_t *state)
{
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = size * toy_random(state);
    return v;
}

static void put_half(make *m, const char *name, const char *half, int type, uint64_t k, uint64_t n,
                     const float *v)
{
    char full[128];
    uint16_t *h = malloc((size_t)(k * n) * sizeof *h);
    for (size_t i = 0; i < (size_t)(k * n); i++)
        h[i] = quant_f32_to_f16(v[i]);
    snprintf(full, sizeof full, "%s.%s", name, half);
    make_tensor(m, full, type, 2, (uint64_t[]){k, n}, type == QT_F16 ? (const void *)h : v);
    free(h);
}

static void put_keys(make *m, const char *arch)
{
    make_init(m);
    make_str(m, "general.type", "adapter");
    make_str(m, "general.architecture", arch);
    make_str(m, "adapter.type", "lora");
    make_f32(m, "adapter.lora.alpha", ALPHA);
}

// Values that F16 holds, so that a half in F16 is the same adapter.
static void round_to_half(float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = quant_f16_to_f32(quant_f32_to_f16(v[i]));
}

// Writes an adapter for every matrix of the model (some in F32, some in F16, some in both), and the model with `scale` times it added, if `merged` is a path.
static void make_adapter(const char *source, const char *arch, const char *path, const char *merged,
                         float scale)
{
    size_t n;
    char *bytes = read_all(source, &n);
    gguf *g;
    make m;
    uint64_t state = 5;
    assert_int_equal(gguf_open_memory(&g, bytes, n, NULL), ST_OK);
    put_keys(&m, arch);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        if (!adaptable(t))
            continue;
        int rank = rank_of(i);
        float *a = random_values((size_t)rank * (size_t)t->dims[0], 0.1f, &state);
        float *b = random_values((size_t)rank * (size_t)t->dims[1], 0.1f, &state);
        round_to_half(a, (size_t)rank * (size_t)t->dims[0]);
        round_to_half(b, (size_t)rank * (size_t)t->dims[1]);
        put_half(&m, t->name, "lora_a", i % 3 ? QT_F16 : QT_F32, t->dims[0], (uint64_t)rank, a);
        put_half(&m, t->name, "lora_b", i % 2 ? QT_F16 : QT_F32, (uint64_t)rank, t->dims[1], b);
        if (merged)
            merge(t, rank, a, b, scale);
        free(a);
        free(b);
    }
    assert_true(make_save(&m, path));
    make_done(&m);
    gguf_close(g);
    FILE *f = merged ? fopen(merged, "wb") : NULL;
    if (f) {
        assert_int_equal(fwrite(bytes, 1, n, f), n);
        fclose(f);
    }
    mem_free(bytes);
}

typedef struct opened {
    gguf *file;
    engine x;
} opened;

static void open_model(opened *m, const char *path)
{
    err e = {0};
    *m = (opened){0};
    engine_options options = {.threads = 2, .no_pin = true};
    if (gguf_open(&m->file, path, &e) || engine_open(&m->x, m->file, &options, &e))
        fail_msg("%s", e.msg);
    assert_true(m->x.model.params.vocab <= MOST_VOCAB);
}

static void close_model(opened *m)
{
    engine_close(&m->x);
    gguf_close(m->file);
}

// Logits after a made-up prompt, run in pieces of `step`.
static void run(opened *m, int step, float *out)
{
    kv_seq *q;
    int32_t ids[TOKENS];
    const float *logits = NULL;
    int vocab = m->x.model.params.vocab;
    assert_int_equal(kv_seq_new(m->x.kv, &q, NULL), ST_OK);
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)((unsigned)i * 2654435761u >> 9) % vocab;
    for (int at = 0; at < TOKENS; at += step) {
        engine_row row = {q, ids + at, MIN(step, TOKENS - at), 1};
        assert_int_equal(engine_step(&m->x, &row, 1, &logits, NULL, NULL, NULL), ST_OK);
    }
    memcpy(out, logits, (size_t)vocab * sizeof *out);
    kv_seq_free(q);
}

static double apart(const float *a, const float *b, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void expect_merged(const char *name, const char *arch, float scale)
{
    char source[256];
    float plain[MOST_VOCAB], with[MOST_VOCAB], pieces[MOST_VOCAB], sum[MOST_VOCAB], again[MOST_VOCAB];
    opened m, merged;
    engine_adapter a;
    err e = {0};
    snprintf(source, sizeof source, DATA "%s.gguf", name);
    const char *path = toy_path("adapter.gguf"), *merged_path = toy_path("merged.gguf");
    make_adapter(source, arch, path, merged_path, scale);
    open_model(&m, source);
    open_model(&merged, merged_path);
    run(&m, TOKENS, plain);
    if (engine_adapter_open(&m.x, path, &a, &e))
        fail_msg("%s", e.msg);
    engine_set_adapter(&m.x, &a, scale);
    run(&m, TOKENS, with);
    run(&m, 9, pieces);
    run(&merged, TOKENS, sum);
    engine_set_adapter(&m.x, NULL, 0);
    run(&m, TOKENS, again);
    int vocab = m.x.model.params.vocab;
    print_message("%s: the adapter moves a logit by %.2f, off by %.1e\n", name, apart(plain, with, vocab),
                  apart(with, sum, vocab));
    assert_true(apart(plain, with, vocab) > 0.3);
    assert_true(apart(with, sum, vocab) < 2e-3);  // keys and values are rounded to F16
    assert_memory_equal(with, pieces, (size_t)vocab * sizeof *with);
    assert_memory_equal(plain, again, (size_t)vocab * sizeof *plain);
    engine_adapter_close(&m.x, &a);
    close_model(&m);
    close_model(&merged);
}

static void equals_merged_weights(void **state)
{
    (void)state;
    expect_merged("llama3", "llama", 1);
    expect_merged("mistral", "llama", -0.5f);
    expect_merged("qwen2", "qwen2", 1);
    expect_merged("gemma3", "gemma3", 1);
    expect_merged("phi3", "phi3", 2);
    expect_merged("gpt2", "gpt2", 1);
    expect_merged("starcoder2", "starcoder2", 1);
}

// Beside quantized weights the adapter meets the quantized input; it moves the logits as it does in F32.
static void works_beside_quantized_weights(void **state)
{
    (void)state;
    static const int types[] = {QT_F16, QT_Q8_0, QT_Q4_0};
    const char *source = DATA "llama3.gguf", *path = toy_path("adapter.gguf"),
               *coded = toy_path("coded.gguf");
    float base[MOST_VOCAB], with[MOST_VOCAB], want[MOST_VOCAB];
    make_adapter(source, "llama", path, NULL, 1);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        opened m, plain;
        engine_adapter a, b;
        assert_int_equal(requant(source, coded, types[i], false), ST_OK);
        open_model(&m, coded);
        assert_int_equal(requant(source, coded, types[i], true), ST_OK);
        open_model(&plain, coded);  // the same weights as F32
        assert_int_equal(engine_adapter_open(&m.x, path, &a, NULL), ST_OK);
        assert_int_equal(engine_adapter_open(&plain.x, path, &b, NULL), ST_OK);
        run(&m, TOKENS, base);
        engine_set_adapter(&m.x, &a, 0);
        run(&m, TOKENS, with);
        assert_memory_equal(base, with, TOY_TOKENS * sizeof *base);  // scale 0 adds nothing
        engine_set_adapter(&m.x, &a, 1);
        engine_set_adapter(&plain.x, &b, 1);
        run(&m, 11, with);
        run(&plain, TOKENS, want);
        double off = apart(with, want, TOY_TOKENS), moved = apart(with, base, TOY_TOKENS);
        print_message("type %d: moves by %.2f, off by %.2f\n", types[i], moved, off);
        assert_true(moved > 0.3 && off < 0.2 * moved);
        engine_adapter_close(&m.x, &a);
        engine_adapter_close(&plain.x, &b);
        close_model(&m);
        close_model(&plain);
    }
}

// Pages made with one adapter are not taken for those of another, or of none.
static void pages_are_kept_apart(void **state)
{
    (void)state;
    const char *source = DATA "qwen3.gguf", *path = toy_path("adapter.gguf");
    opened m;
    engine_adapter a;
    kv_seq *q;
    int32_t ids[TOKENS] = {0};
    make_adapter(source, "qwen3", path, NULL, 1);
    open_model(&m, source);
    assert_int_equal(engine_adapter_open(&m.x, path, &a, NULL), ST_OK);
    const float *logits;
    for (int round = 0; round < 3; round++) {
        engine_set_adapter(&m.x, round == 1 ? &a : NULL, 1);
        assert_int_equal(kv_seq_new(m.x.kv, &q, NULL), ST_OK);
        int found = kv_seq_match(q, ids, TOKENS, NULL);
        assert_int_equal(found, round == 2 ? DEV_PAGE : 0);
        engine_row row = {q, ids + found, TOKENS - found, 1};
        assert_int_equal(engine_step(&m.x, &row, 1, &logits, NULL, NULL, NULL), ST_OK);
        kv_seq_free(q);
    }
    engine_adapter_close(&m.x, &a);
    close_model(&m);
}

enum wrong {
    OTHER_ARCH,
    NO_TYPE,
    NO_ALPHA,
    NO_TENSOR,
    NO_PAIRS,
    HALF_MISSING,
    OTHER_NAME,
    UNKNOWN_MATRIX,
    OTHER_WIDTH,
    OTHER_HEIGHT,
    NO_COMMON_RANK,
    TABLE,
    VECTOR,
    WRONGS
};

static void make_wrong(enum wrong w, const char *path)
{
    static const float zero[300 * 300];
    make m;
    make_init(&m);
    if (w != NO_TYPE)
        make_str(&m, "general.type", "adapter");
    make_str(&m, "general.architecture", w == OTHER_ARCH ? "qwen3" : "llama");
    make_str(&m, "adapter.type", "lora");
    if (w != NO_ALPHA)
        make_f32(&m, "adapter.lora.alpha", ALPHA);
    const char *name = w == UNKNOWN_MATRIX ? "blk.9.attn_q.weight"
                       : w == TABLE        ? "token_embd.weight"
                       : w == VECTOR       ? "blk.0.attn_norm.weight"
                                           : "blk.0.attn_q.weight";
    uint64_t k = w == OTHER_WIDTH ? 48 : 64, n = w == OTHER_HEIGHT ? 96 : w == TABLE ? 261 : 64;
    if (w == OTHER_NAME)
        make_tensor(&m, "blk.0.attn_q.weight.extra", QT_F32, 2, (uint64_t[]){64, 4}, zero);
    if (w != NO_PAIRS && w != HALF_MISSING)
        put_half(&m, name, "lora_a", QT_F32, k, 4, zero);
    if (w != NO_PAIRS)
        put_half(&m, name, "lora_b", QT_F32, w == NO_COMMON_RANK ? 5 : 4, w == VECTOR ? 1 : n, zero);
    if (w == NO_TENSOR)
        put_half(&m, "blk.0.attn_k.weight", "lora_a", QT_F32, k, 4, zero);
    assert_true(make_save(&m, path));
    make_done(&m);
}

static void wrong_adapters_are_refused(void **state)
{
    (void)state;
    static const char *const says[WRONGS] = {
        [OTHER_ARCH] = "for \"qwen3\"; the model is \"llama\"",
        [NO_TYPE] = "not a LoRA adapter",
        [NO_ALPHA] = "adapter.lora.alpha",
        [NO_TENSOR] = "blk.0.attn_k.weight.lora_b is missing",
        [NO_PAIRS] = "each needs its lora_b",
        [HALF_MISSING] = "each needs its lora_b",
        [OTHER_NAME] = "neither a lora_a nor a lora_b",
        [UNKNOWN_MATRIX] = "blk.9.attn_q.weight, which the model does not have",
        [OTHER_WIDTH] = "48 x 64, the model's is 64 x 64: an adapter of another model",
        [OTHER_HEIGHT] = "64 x 96, the model's is 64 x 64: an adapter of another model",
        [NO_COMMON_RANK] = "one rank",
        [TABLE] = "neither embedding tables nor experts",
        [VECTOR] = "no matrix the model multiplies by",
    };
    opened m;
    open_model(&m, DATA "llama3.gguf");
    for (int w = 0; w < WRONGS; w++) {
        const char *path = toy_path("wrong.gguf");
        engine_adapter a;
        err e = {0};
        make_wrong((enum wrong)w, path);
        assert_true(engine_adapter_open(&m.x, path, &a, &e) < 0);
        assert_null(a.dev);
        if (!strstr(e.msg, says[w]) || strchr(e.msg, '\n'))
            fail_msg("\"%s\" does not say \"%s\"", e.msg, says[w]);
    }
    close_model(&m);
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    const char *path = toy_path("adapter.gguf");
    opened m;
    mem_stats before, after;
    make_adapter(DATA "llm-jp.gguf", "llama", path, NULL, 1);
    open_model(&m, DATA "llm-jp.gguf");
    mem_get_stats(&before);
    for (uint64_t n = 1;; n++) {
        engine_adapter a;
        err e = {0};
        mem_fail_nth(n);
        int rc = engine_adapter_open(&m.x, path, &a, &e);
        mem_fail_nth(0);
        if (rc == ST_OK) {
            assert_true(n > 5);
            engine_adapter_close(&m.x, &a);
            break;
        }
        assert_int_equal(rc, ST_NOMEM);
        assert_true(e.msg[0]);
        mem_get_stats(&after);
        assert_int_equal(after.bytes, before.bytes);
    }
    close_model(&m);
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
        cmocka_unit_test(equals_merged_weights),
        cmocka_unit_test(works_beside_quantized_weights),
        cmocka_unit_test(pages_are_kept_apart),
        cmocka_unit_test(wrong_adapters_are_refused),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}

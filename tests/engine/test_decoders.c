// Every decoder architecture against Hugging Face transformers: tiny random models and their logits in double
// precision (but for keys and values, which are rounded to F16 as pages hold them), both made by
// tools/oracle/decoders.py. Prompts are longer than the models' windows. A prompt gives the
// same bits whole, cut at odd places, and beside other rows; encoded weights stay within stated bounds.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <cmocka.h>

#include "api/requant.h"
#include "engine/engine.h"
#include "model/toy.h"

#define DATA IRORI_SOURCE_DIR "/tests/engine/data/"

enum { MOST_TOKENS = 128 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { THOROUGH = 0 };  // one cut and one encoding: the rest takes minutes under a sanitizer
#else
enum { THOROUGH = 1 };
#endif

typedef struct oracle {
    const char *name;
    char file[256];
    int context, vocab, tokens, positions;
    int32_t token[MOST_TOKENS];
    int position[16];
    float *logits;  // [positions][vocab]
} oracle;

static int integers(const json_t *array, int32_t *out)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        out[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return (int)json_array_size(array);
}

static void read_oracle(const json_t *item, oracle *o)
{
    char path[256];
    *o = (oracle){.name = json_string_value(json_object_get(item, "name"))};
    snprintf(o->file, sizeof o->file, DATA "%s", json_string_value(json_object_get(item, "file")));
    o->context = (int)json_integer_value(json_object_get(item, "context"));
    assert_true(json_array_size(json_object_get(item, "tokens")) <= MOST_TOKENS);
    assert_true(json_array_size(json_object_get(item, "positions")) <= 16);
    o->tokens = integers(json_object_get(item, "tokens"), o->token);
    o->positions = integers(json_object_get(item, "positions"), o->position);
    assert_true(o->tokens > 0 && o->positions > 0);
    snprintf(path, sizeof path, DATA "%s.f32", o->name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t floats = (size_t)ftell(f) / sizeof(float);
    rewind(f);
    o->logits = malloc(floats * sizeof(float));
    assert_int_equal(fread(o->logits, sizeof(float), floats, f), floats);
    fclose(f);
    o->vocab = (int)(floats / (size_t)o->positions);
}

typedef struct opened {
    gguf *file;
    engine x;
    kv_seq *a, *b;
} opened;

static void open_model(opened *m, const oracle *o, const char *path, const char *cpu)
{
    err e = {0};
    *m = (opened){0};
    engine_options options = {.threads = 2,
                              .context = o->context,
                              .sequences = 2,
                              .outputs = 2 * MOST_TOKENS,
                              .cpu = cpu,
                              .no_pin = true};
    if (gguf_open(&m->file, path, &e) || engine_open(&m->x, m->file, &options, &e))
        fail_msg("%s: %s", o->name, e.msg);
    assert_int_equal(m->x.model.params.vocab, o->vocab);
    assert_int_equal(kv_seq_new(m->x.kv, &m->a, NULL), ST_OK);
    assert_int_equal(kv_seq_new(m->x.kv, &m->b, NULL), ST_OK);
}

static void close_model(opened *m)
{
    kv_seq_free(m->a);
    kv_seq_free(m->b);
    engine_close(&m->x);
    gguf_close(m->file);
}

// Logits after every token of the prompt, run in pieces of `step` tokens; [tokens][vocab], new. With `beside`, each piece
// shares its pass with one of another sequence, which comes first.
static float *run(opened *m, const oracle *o, int step, bool beside)
{
    size_t v = (size_t)o->vocab;
    float *out = malloc((size_t)o->tokens * v * sizeof *out);
    kv_seq_truncate(m->a, 0);
    kv_seq_truncate(m->b, 0);
    for (int at = 0; at < o->tokens; at += step) {
        int n = MIN(step, o->tokens - at), other = MAX(1, n / 2);
        engine_row rows[2] = {{m->b, o->token + 3, other, 1}, {m->a, o->token + at, n, n}};
        const float *logits;
        err e = {0};
        if (engine_step(&m->x, beside ? rows : rows + 1, beside ? 2 : 1, &logits, NULL, NULL, &e))
            fail_msg("%s: %s", o->name, e.msg);
        memcpy(out + (size_t)at * v, logits + (beside ? v : 0), (size_t)n * v * sizeof *out);
    }
    return out;
}

// The largest difference from the oracle.
static double worst_of(const oracle *o, const float *got)
{
    double worst = 0;
    for (int p = 0; p < o->positions; p++)
        for (int i = 0; i < o->vocab; i++)
            worst = fmax(worst, fabs((double)got[(size_t)o->position[p] * (size_t)o->vocab + (size_t)i] -
                                     (double)o->logits[p * o->vocab + i]));
    return worst;
}

static void expect_same(const oracle *o, const float *whole, float *again, const char *how)
{
    if (memcmp(whole, again, (size_t)o->tokens * (size_t)o->vocab * sizeof *whole) != 0)
        fail_msg("%s: other logits %s", o->name, how);
    free(again);
}

static double run_every_way(const oracle *o, const char *path, const char *cpu)
{
    opened m;
    open_model(&m, o, path, cpu);
    float *whole = run(&m, o, o->tokens, false);
    expect_same(o, whole, run(&m, o, 33, true), "in pieces of 33 beside another sequence");
    if (THOROUGH) {
        expect_same(o, whole, run(&m, o, 7, false), "in pieces of 7");
        expect_same(o, whole, run(&m, o, 1, true), "token by token beside another sequence");
    }
    double worst = worst_of(o, whole);
    free(whole);
    close_model(&m);
    return worst;
}

// Weights encoded as `type`: logits, whose spread is about 2, stay within `bound`.
static double run_encoded(const oracle *o, int type)
{
    const char *path = toy_path("encoded.gguf");
    assert_int_equal(requant(o->file, path, type, false), ST_OK);
    return run_every_way(o, path, NULL);
}

static void expect_within(const oracle *o, const char *type, double worst, double bound)
{
    if (!(worst <= bound))
        fail_msg("%s, %s: a logit is off by %.2g, allowed %.2g", o->name, type, worst, bound);
}

static void each_architecture_agrees(void **state)
{
    (void)state;
    json_t *index = json_load_file(DATA "decoders.json", 0, NULL);
    assert_true(json_array_size(index) > 0);
    for (size_t i = 0; i < json_array_size(index); i++) {
        oracle o;
        read_oracle(json_array_get(index, i), &o);
        double f32 = run_every_way(&o, o.file, NULL), f16 = 0, q8 = run_encoded(&o, QT_Q8_0);
        if (THOROUGH) {
            f32 = fmax(f32, run_every_way(&o, o.file, "scalar"));
            f16 = run_encoded(&o, QT_F16);
        }
        print_message("%-12s off by %.1e (F32), %.1e (F16), %.1e (Q8_0)\n", o.name, f32, f16, q8);
        expect_within(&o, "F32", f32, 1e-3);
        expect_within(&o, "F16", f16, 3e-2);
        expect_within(&o, "Q8_0", q8, 0.7);
        free(o.logits);
    }
    json_decref(index);
}

static int clean(void **state)
{
    (void)state;
    toy_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_architecture_agrees)};
    return cmocka_run_group_tests(tests, NULL, clean);
}

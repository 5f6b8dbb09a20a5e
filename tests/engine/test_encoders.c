// Text encoders, embedding decoders and rankers against Hugging Face transformers: tiny random models and what they make of
// some texts, both by tools/oracle/encoders.py. A text gives the same bits alone and beside others, on any number of
// threads.
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

enum { MOST_TEXTS = 16, MOST_TOKENS = 128, MOST_WIDTH = 64 };

typedef float results[MOST_TEXTS][MOST_WIDTH];

typedef struct oracle {
    const char *name;
    char file[256];
    engine_text text[MOST_TEXTS];
    int32_t token[MOST_TEXTS][MOST_TOKENS];
    int texts, width;
    results want;
} oracle;

static void read_oracle(const json_t *item, oracle *o)
{
    char path[256];
    const json_t *texts = json_object_get(item, "texts");
    memset(o, 0, sizeof *o);
    o->name = json_string_value(json_object_get(item, "name"));
    o->texts = (int)json_array_size(texts);
    assert_in_range(o->texts, 1, MOST_TEXTS);
    snprintf(o->file, sizeof o->file, DATA "%s", json_string_value(json_object_get(item, "file")));
    for (int i = 0; i < o->texts; i++) {
        const json_t *ids = json_array_get(texts, (size_t)i);
        o->text[i] = (engine_text){o->token[i], (int)json_array_size(ids)};
        assert_in_range(o->text[i].n, 1, MOST_TOKENS);
        for (int k = 0; k < o->text[i].n; k++)
            o->token[i][k] = (int32_t)json_integer_value(json_array_get(ids, (size_t)k));
    }
    snprintf(path, sizeof path, DATA "%s.f32", o->name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    static float all[MOST_TEXTS * MOST_WIDTH];
    size_t n = fread(all, sizeof *all, MOST_TEXTS * MOST_WIDTH, f);
    fclose(f);
    o->width = (int)n / o->texts;
    assert_int_equal((size_t)(o->width * o->texts), n);
    for (int i = 0; i < o->texts; i++)
        memcpy(o->want[i], all + i * o->width, (size_t)o->width * sizeof *all);
}

typedef struct taking {
    float (*to)[MOST_WIDTH];
    int width, calls;
} taking;

static void take(void *ctx, size_t i, const float *result)
{
    taking *t = ctx;
    assert_int_equal(i, t->calls++);
    memcpy(t->to[i], result, (size_t)t->width * sizeof *result);
}

// All texts by `threads` threads with a batch of so many tokens, so many texts a call.
static void run(const oracle *o, const char *path, int threads, int batch, int each, results out)
{
    gguf *file;
    engine x;
    err e = {0};
    engine_options options = {.threads = threads, .batch = batch, .no_pin = true};
    if (gguf_open(&file, path, &e) || engine_open(&x, file, &options, &e))
        fail_msg("%s: %s", o->name, e.msg);
    assert_int_equal(x.model.result_width, o->width);
    for (int i = 0; i < o->texts; i += each) {
        taking t = {.to = out + i, .width = o->width};
        int n = MIN(each, o->texts - i);
        if (engine_texts(&x, o->text + i, (size_t)n, take, &t, NULL, NULL, &e))
            fail_msg("%s: %s", o->name, e.msg);
        assert_int_equal(t.calls, n);
    }
    kv_stats pages;
    kv_get_stats(x.kv, &pages);
    assert_int_equal(pages.used - pages.idle, 0);
    if (x.model.params.both_ways)
        assert_int_equal(pages.idle, 0);
    engine_close(&x);
    gguf_close(file);
}

// The largest difference, as a part of the text's result where that is a vector.
static double worst_of(const oracle *o, results got)
{
    double worst = 0;
    for (int i = 0; i < o->texts; i++) {
        double square = 0, largest = 0;
        for (int k = 0; k < o->width; k++) {
            square += (double)o->want[i][k] * (double)o->want[i][k];
            largest = fmax(largest, fabs((double)got[i][k] - (double)o->want[i][k]));
        }
        worst = fmax(worst, largest / (o->width > 2 ? sqrt(square) : 1));
    }
    return worst;
}

static void expect_same(const oracle *o, results a, results b, const char *how)
{
    for (int i = 0; i < o->texts; i++)
        if (memcmp(a[i], b[i], (size_t)o->width * sizeof a[i][0]) != 0)
            fail_msg("%s: text %d gives something else %s", o->name, i, how);
}

static double run_every_way(const oracle *o, const char *path)
{
    static results first, again;
    run(o, path, 2, 0, o->texts, first);
    run(o, path, 2, 0, 1, again);
    expect_same(o, first, again, "alone");
    run(o, path, 3, 40, 3, again);
    expect_same(o, first, again, "in smaller steps, on 3 threads");
    run(o, path, 1, 0, o->texts, again);
    expect_same(o, first, again, "on one thread");
    return worst_of(o, first);
}

static void each_agrees(void **state)
{
    (void)state;
    static oracle o;
    json_t *index = json_load_file(DATA "encoders.json", 0, NULL);
    assert_true(json_array_size(index) > 0);
    for (size_t i = 0; i < json_array_size(index); i++) {
        read_oracle(json_array_get(index, i), &o);
        double f32 = run_every_way(&o, o.file);
        const char *path = toy_path("encoded.gguf");
        assert_int_equal(requant(o.file, path, QT_Q8_0, false), ST_OK);
        double q8 = run_every_way(&o, path);
        print_message("%-16s off by %.1e (F32), %.1e (Q8_0)\n", o.name, f32, q8);
        assert_true(f32 <= 1e-3);
        assert_true(q8 <= (o.width > 2 ? 6e-2 : 0.2));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_agrees)};
    return cmocka_run_group_tests(tests, NULL, clean);
}

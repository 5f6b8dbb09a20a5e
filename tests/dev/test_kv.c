// What the device reads of KV pages and writes to them: blocks at every level, absent ones, and the attention that
// pages receive.
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

enum { TEXT = 1300, MOST_PAGES = 32 };

typedef struct opened {
    gguf *file;
    engine x;
    kv_seq *q;
    int length;
    const float *logits;
} opened;

static void step(opened *o, int n)
{
    int32_t ids[512];
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((unsigned)(o->length + i) * 2654435761u >> 9) % TOY_TOKENS;
    engine_row row = {o->q, ids, n, 1};
    assert_int_equal(engine_step(&o->x, &row, 1, &o->logits, NULL, NULL, NULL), ST_OK);
    o->length += n;
}

// A model with TEXT tokens of context.
static void start(opened *o, const toy *t, int threads)
{
    err e = {0};
    *o = (opened){0};
    if (gguf_open(&o->file, toy_save(t, "kv.gguf"), &e))
        fail_msg("%s", e.msg);
    engine_options options = {.threads = threads, .context = 2048, .no_pin = true};
    if (engine_open(&o->x, o->file, &options, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(kv_seq_new(o->x.kv, &o->q, NULL), ST_OK);
    while (o->length < TEXT)
        step(o, MIN(300, TEXT - o->length));
}

static void stop(opened *o)
{
    kv_seq_free(o->q);
    engine_close(&o->x);
    gguf_close(o->file);
}

static toy two_layers(void)
{
    toy t = toy_llama();
    t.layers = 2;
    t.head_dim = 32;
    t.context = 2048;
    return t;
}

static uint64_t masses(const opened *o, int layer, uint64_t *of_page)
{
    uint64_t sum = 0;
    dev_kv_view view = kv_seq_view(o->q);
    for (int i = 0; i < (o->length + DEV_PAGE - 1) / DEV_PAGE; i++)
        sum += of_page[i] = atomic_load(&view.pages[i]->mass[layer]);
    return sum;
}

// A decoded token hands out 1 a head; a prompt's token too, on average.
static void mass_is_what_rows_give(void **state)
{
    (void)state;
    toy t = two_layers();
    opened o;
    uint64_t at[MOST_PAGES], want = (uint64_t)t.heads * DEV_KV_MASS_UNIT;
    start(&o, &t, 2);
    for (int layer = 0; layer < t.layers; layer++) {
        double tokens = (double)masses(&o, layer, at) / (double)want;
        assert_true(fabs(tokens - TEXT / 8 * 8) < 1.0);
    }
    for (int n = 1; n <= 8; n *= 2) {
        uint64_t before = masses(&o, 1, at);
        step(&o, n);
        uint64_t after = masses(&o, 1, at), given = (uint64_t)n * want;
        assert_true(after - before <= given + given / 1000 && after - before >= given - given / 1000);
    }
    stop(&o);
}

static void mass_does_not_depend_on_threads(void **state)
{
    (void)state;
    toy t = two_layers();
    uint64_t first[2][MOST_PAGES] = {{0}}, at[MOST_PAGES];
    for (int threads = 1; threads <= 3; threads++) {
        opened o;
        start(&o, &t, threads);
        step(&o, 1);
        step(&o, 3);
        for (int layer = 0; layer < 2; layer++) {
            masses(&o, layer, at);
            if (threads == 1)
                memcpy(first[layer], at, sizeof at);
            assert_memory_equal(first[layer], at, (TEXT + DEV_PAGE) / DEV_PAGE * sizeof at[0]);
        }
        stop(&o);
    }
}

// Pages [0, n) of the sequence at levels k and v, over memory of the test's own.
static uint8_t *narrow(opened *o, const dev_kv_shape *s, int n, enum dev_kv_level k, enum dev_kv_level v)
{
    const size_t most = dev_kv_block_bytes(s);
    uint8_t *memory = aligned_alloc(64, most * 4 * 2 * (size_t)(n * s->layers)), *to = memory;
    dev_kv_view view = kv_seq_view(o->q);
    for (int i = 0; i < n * s->layers * 2; i++) {
        const int side = i % 2;
        dev_kv_block *b = &view.pages[i / 2 / s->layers]->block[i / 2 % s->layers][side];
        for (int plane = DEV_KV_PLANE_HIGH; plane <= DEV_KV_PLANE_SCALES; plane++) {
            b->plane[plane] = to;
            to += dev_kv_plane_bytes(s, (enum dev_kv_side)side, (enum dev_kv_plane)plane);
        }
        assert_true(dev_kv_encode(s, (enum dev_kv_side)side, b));
        dev_kv_narrow(s, (enum dev_kv_side)side, b);
        b->level = (uint8_t)(side == DEV_KV_K ? k : v);
    }
    assert_true((size_t)(to - memory) <= most * 4 * 2 * (size_t)(n * s->layers));
    return memory;
}

static void widen(opened *o, const dev_kv_shape *s, int n)
{
    dev_kv_view view = kv_seq_view(o->q);
    for (int i = 0; i < n * s->layers * 2; i++) {
        dev_kv_block *b = &view.pages[i / 2 / s->layers]->block[i / 2 % s->layers][i % 2];
        for (int plane = DEV_KV_PLANE_HIGH; plane <= DEV_KV_PLANE_SCALES; plane++)
            b->plane[plane] = NULL;
        b->level = DEV_KV_F16;
    }
}

// Logits after one token with earlier pages at levels k and v; the sequence is as it was.
static void logits_at(opened *o, enum dev_kv_level k, enum dev_kv_level v, float *out)
{
    const dev_kv_shape s = {o->x.model.params.layers, o->x.model.params.kv_heads, o->x.model.params.head_dim};
    uint8_t *memory = narrow(o, &s, TEXT / DEV_PAGE, k, v);
    step(o, 1);
    memcpy(out, o->logits, TOY_TOKENS * sizeof *out);
    kv_seq_truncate(o->q, --o->length);
    widen(o, &s, TEXT / DEV_PAGE);
    free(memory);
}

static double distance(const float *a, const float *b)
{
    double sum = 0, size = 0;
    for (int i = 0; i < TOY_TOKENS; i++) {
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(sum / size);
}

static void coarser_levels_are_further_off(void **state)
{
    (void)state;
    static const double most[] = {0.01, 0.1, 0.6};
    float full[TOY_TOKENS], got[TOY_TOKENS];
    toy t = two_layers();
    opened o;
    start(&o, &t, 2);
    logits_at(&o, DEV_KV_F16, DEV_KV_F16, full);
    for (int side = 0; side < 3; side++) {
        double last = 0;
        for (int level = DEV_KV_Q8; level <= DEV_KV_Q2; level++) {
            logits_at(&o, side == 1 ? DEV_KV_F16 : (enum dev_kv_level)level,
                      side == 0 ? DEV_KV_F16 : (enum dev_kv_level)level, got);
            double d = distance(got, full);
            print_message("    %s Q%d: off by %.5f\n",
                          side == 0   ? "K"
                          : side == 1 ? "V"
                                      : "both",
                          16 >> level, d);
            assert_true(d > last && d < most[level - 1]);
            last = d;
        }
    }
    logits_at(&o, DEV_KV_F16, DEV_KV_F16, got);
    assert_memory_equal(got, full, sizeof full);
    stop(&o);
}

// Attention passes over absent pages, of which it needs no plane at all.
static void absent_pages_are_passed_over(void **state)
{
    (void)state;
    float got[2][TOY_TOKENS];
    toy t = two_layers();
    for (int way = 0; way < 2; way++) {
        opened o;
        start(&o, &t, 2);
        dev_kv_view view = kv_seq_view(o.q);
        for (int i = 1; i < 9; i++)
            for (int layer = 0; layer < t.layers; layer++)
                for (int side = 0; side < 2; side++) {
                    dev_kv_block *b = &view.pages[i]->block[layer][side];
                    if (way)
                        memset(b->plane[DEV_KV_PLANE_F16], 0x7e, 64);  // NaN, were it read
                    b->level = DEV_KV_ABSENT;
                }
        uint64_t at[MOST_PAGES], before = (masses(&o, 0, at), at[3]);
        step(&o, 1);
        masses(&o, 0, at);
        assert_true(at[3] == before);
        memcpy(got[way], o.logits, sizeof got[way]);
        for (int i = 1; i < 9; i++)
            for (int layer = 0; layer < t.layers; layer++)
                for (int side = 0; side < 2; side++)
                    view.pages[i]->block[layer][side].level = DEV_KV_F16;
        stop(&o);
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
    assert_true(isfinite(got[0][0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mass_is_what_rows_give),
        cmocka_unit_test(mass_does_not_depend_on_threads),
        cmocka_unit_test(coarser_levels_are_further_off),
        cmocka_unit_test(absent_pages_are_passed_over),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_clean();
    return failed;
}

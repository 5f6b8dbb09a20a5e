// The same logits whatever way the work is cut: batches of a prompt, threads, sequences side by side, forks and
// truncated sequences. For weights that are multiplied as integers also whatever the instruction set.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "kern/kern.h"
#include "model/toy.h"

typedef struct opened {
    gguf *file;
    engine x;
} opened;

static void open_engine(opened *o, const char *path, const engine_options *options)
{
    err e = {0};
    if (gguf_open(&o->file, path, &e) || engine_open(&o->x, o->file, options, &e))
        fail_msg("%s: %s", path, e.msg);
}

static void close_engine(opened *o)
{
    engine_close(&o->x);
    gguf_close(o->file);
}

static int32_t token_at(int i, int vocab)
{
    return (int32_t)((unsigned)i * 2654435761u >> 7) % vocab;
}

static kv_seq *new_seq(opened *o)
{
    kv_seq *q;
    assert_int_equal(kv_seq_new(o->x.kv, &q, NULL), ST_OK);
    return q;
}

// Runs tokens [from, to) of the made-up text in pieces of `step`; copies the last row of logits to `out`.
static void run_text(opened *o, kv_seq *q, int from, int to, int step, float *out)
{
    int vocab = o->x.model.params.vocab;
    int32_t ids[1024];
    const float *logits = NULL;
    err e;
    for (int at = from; at < to; at += step) {
        int n = MIN(step, to - at);
        for (int i = 0; i < n; i++)
            ids[i] = token_at(at + i, vocab);
        engine_row row = {q, ids, n, at + n == to};
        if (engine_step(&o->x, &row, 1, &logits, NULL, NULL, &e))
            fail_msg("%s", e.msg);
    }
    memcpy(out, logits, (size_t)vocab * sizeof *out);
}

static void expect_same(const char *what, const float *got, const float *want, int n)
{
    for (int i = 0; i < n; i++) {
        assert_true(isfinite(got[i]));
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s: logit %d is %.9g, not %.9g", what, i, (double)got[i], (double)want[i]);
    }
}

enum { MOST_VOCAB = 8192 };
static float first_result[MOST_VOCAB], result[MOST_VOCAB];

static const char *const isas[] = {"scalar", "avx2", "avx512", "amx", "neon"};

// All cuts of `length` tokens on one file and instruction set; the result is left in `want`.
static void compare_cuts(const char *path, const char *isa, int length, float *want)
{
    static const int threads[] = {1, 2, 3}, steps[] = {7, 64, 2, 1};
    for (size_t t = 0; t < COUNT_OF(threads); t++) {
        engine_options options = {.threads = threads[t], .context = 512, .cpu = isa, .no_pin = true};
        opened o;
        open_engine(&o, path, &options);
        int vocab = o.x.model.params.vocab;
        assert_true(vocab <= MOST_VOCAB);
        kv_seq *q = new_seq(&o);
        run_text(&o, q, 0, length, length, t ? result : want);
        if (t)
            expect_same(isa, result, want, vocab);
        for (size_t i = 0; i < (t == 0 ? COUNT_OF(steps) : t == 1); i++) {
            kv_seq_truncate(q, 0);
            run_text(&o, q, 0, length, steps[i], result);
            char what[96];
            snprintf(what, sizeof what, "%s, %d threads, steps of %d", isa, threads[t], steps[i]);
            expect_same(what, result, want, vocab);
        }
        kv_seq_free(q);
        close_engine(&o);
    }
}

static void compare_isas(const char *path, int length)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        if (kern_get_exactly((enum kern_isa)kern_isa_from_name(isas[i])))
            compare_cuts(path, isas[i], length, first_result);
}

static void any_cut_of_a_float_model(void **state)
{
    (void)state;
    toy t = toy_llama();
    compare_isas(toy_save(&t, "f16.gguf"), 131);
    t.type = QT_F32;
    t.window = 37;
    t.heads = 3;
    t.kv_heads = 1;
    compare_isas(toy_save(&t, "f32.gguf"), 70);
}

static void any_cut_of_quantized_models(void **state)
{
    (void)state;
    static const int types[] = {QT_Q8_0, QT_Q4_0, QT_Q5_1, QT_IQ4_NL, QT_MXFP4,
                                QT_Q4_K, QT_Q6_K, QT_Q2_K, QT_IQ4_XS};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        bool super = quant_type_info(types[i])->block_elems == 256;
        toy t = toy_llama();
        t.type = types[i];
        t.head_type = i % 2 ? QT_F16 : -1;
        t.layers = 2;
        if (super) {
            t.width = 256;
            t.ff = 512;
            t.head_dim = 64;
        }
        compare_isas(toy_save(&t, "quant.gguf"), 41);
    }
}

// Tokens go to their experts in every company, and alone.
static void any_cut_of_models_with_experts(void **state)
{
    (void)state;
    static const int types[] = {QT_F16, QT_Q8_0, QT_MXFP4, QT_Q4_K, QT_Q6_K};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        toy t = toy_llama();
        bool super = quant_type_info(types[i])->block_elems == 256;
        t.arch = i % 2 ? "llama" : "qwen3moe";
        t.type = types[i];
        t.layers = 2;
        t.experts = 12;
        t.used = 3;
        t.width = super ? 256 : 64;
        t.ff = super ? 256 : 96;
        t.head_dim = super ? 64 : 16;
        compare_isas(toy_save(&t, "experts.gguf"), 41);
    }
    // And when they are multiplied as they lie in the file.
    toy t = toy_llama();
    t.type = QT_Q8_0;
    t.experts = 5;
    t.used = 2;
    opened o;
    open_engine(&o, toy_save(&t, "rows.gguf"), &(engine_options){.threads = 2, .no_repack = true});
    kv_seq *q = new_seq(&o);
    run_text(&o, q, 0, 30, 30, first_result);
    kv_seq_truncate(q, 0);
    run_text(&o, q, 0, 30, 1, result);
    expect_same("not laid out anew", result, first_result, TOY_TOKENS);
    kv_seq_free(q);
    close_engine(&o);
}

// The whole of a small file in several spans of attention, where threads share out one token's context.
static void any_cut_of_a_long_context(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.layers = 2;
    t.context = 4096;
    for (int window = 0; window <= 1500; window += 1500) {
        t.window = window;
        const char *path = toy_save(&t, "long.gguf");
        for (int threads = 1; threads <= 3; threads++) {
            engine_options options = {.threads = threads, .context = 4096, .no_pin = true};
            opened o;
            open_engine(&o, path, &options);
            kv_seq *q = new_seq(&o), *f;
            run_text(&o, q, 0, 2500, 500, threads > 1 ? result : first_result);
            if (threads > 1)
                expect_same("threads", result, first_result, TOY_TOKENS);
            // The last tokens one by one, and in pieces that straddle a span's end.
            kv_seq_truncate(q, 2040);
            assert_int_equal(kv_seq_fork(q, &f, NULL), ST_OK);
            run_text(&o, q, 2040, 2060, 1, result);
            run_text(&o, q, 2060, 2500, 55, result);
            expect_same("pieces", result, first_result, TOY_TOKENS);
            run_text(&o, f, 2040, 2500, 3, result);
            expect_same("threes in a fork", result, first_result, TOY_TOKENS);
            kv_seq_free(f);
            kv_seq_free(q);
            close_engine(&o);
        }
    }
}

static void sequences_side_by_side_are_as_alone(void **state)
{
    (void)state;
    enum { SEQS = 5, LENGTH = 90 };
    toy t = toy_llama();
    t.type = QT_Q8_0;
    engine_options options = {.threads = 2, .context = 256, .sequences = SEQS, .no_pin = true};
    opened o;
    open_engine(&o, toy_save(&t, "many.gguf"), &options);
    kv_seq *q[SEQS];
    static float alone[SEQS][TOY_TOKENS];
    for (int i = 0; i < SEQS; i++) {  // sequence i holds the text from i * 10 on
        q[i] = new_seq(&o);
        run_text(&o, q[i], i * 10, i * 10 + LENGTH, 64, alone[i]);
        kv_seq_truncate(q[i], i * 15);
    }
    int32_t ids[SEQS][LENGTH];
    const float *logits = NULL;
    for (int done = 0; !done;) {  // each step takes i + 1 tokens of sequence i
        engine_row rows[SEQS];
        int n = 0, which[SEQS];
        for (int i = 0; i < SEQS; i++) {
            int at = kv_seq_length(q[i]), take = MIN(i + 1, LENGTH - at);
            for (int j = 0; j < take; j++)
                ids[i][j] = token_at(i * 10 + at + j, TOY_TOKENS);
            if (take > 0) {
                which[n] = i;
                rows[n++] = (engine_row){q[i], ids[i], take, 1};
            }
        }
        done = n == 0;
        if (done)
            break;
        assert_int_equal(engine_step(&o.x, rows, n, &logits, NULL, NULL, NULL), ST_OK);
        for (int r = 0; r < n; r++)
            if (kv_seq_length(q[which[r]]) == LENGTH)
                expect_same("side by side", logits + r * TOY_TOKENS, alone[which[r]], TOY_TOKENS);
    }
    for (int i = 0; i < SEQS; i++)
        kv_seq_free(q[i]);
    close_engine(&o);
}

// Forks of one text, one of them cut shorter, run a token each at once: what they share is attended to together.
static void forks_side_by_side_are_as_alone(void **state)
{
    (void)state;
    enum { FORKS = 4, LENGTH = 1100 };
    toy t = toy_llama();
    t.context = 2048;
    for (int window = 0; window <= 700; window += 700) {
        t.window = window;
        engine_options options = {.threads = 2, .context = 2048, .sequences = FORKS, .no_pin = true};
        opened o;
        open_engine(&o, toy_save(&t, "forks.gguf"), &options);
        kv_seq *q[FORKS] = {new_seq(&o)};
        static float alone[FORKS][TOY_TOKENS];
        int32_t ids[FORKS];
        engine_row rows[FORKS];
        const float *logits;
        run_text(&o, q[0], 0, LENGTH, 256, result);
        for (int i = 1; i < FORKS; i++)
            assert_int_equal(kv_seq_fork(q[0], &q[i], NULL), ST_OK);
        kv_seq_truncate(q[2], LENGTH - 100);
        for (int i = 0; i < FORKS; i++) {
            const int at = kv_seq_length(q[i]);
            ids[i] = token_at(i, TOY_TOKENS);
            rows[i] = (engine_row){q[i], &ids[i], 1, 1};
            assert_int_equal(engine_step(&o.x, &rows[i], 1, &logits, NULL, NULL, NULL), ST_OK);
            memcpy(alone[i], logits, sizeof alone[i]);
            kv_seq_truncate(q[i], at);
        }
        assert_int_equal(engine_step(&o.x, rows, FORKS, &logits, NULL, NULL, NULL), ST_OK);
        for (int i = 0; i < FORKS; i++)
            expect_same("fork", logits + i * TOY_TOKENS, alone[i], TOY_TOKENS);
        for (int i = 0; i < FORKS; i++)
            kv_seq_free(q[i]);
        close_engine(&o);
    }
}

static void rows_of_a_prompt_are_as_if_each_were_last(void **state)
{
    (void)state;
    toy t = toy_llama();
    opened o;
    engine_options options = {.threads = 2, .context = 256, .no_pin = true};
    open_engine(&o, toy_save(&t, "rows.gguf"), &options);
    kv_seq *q = new_seq(&o);
    int32_t ids[40];
    static float rows[40][TOY_TOKENS];
    for (int i = 0; i < 40; i++)
        ids[i] = token_at(i, TOY_TOKENS);
    const float *logits;
    engine_row row = {q, ids, 40, 40};
    assert_int_equal(engine_step(&o.x, &row, 1, &logits, NULL, NULL, NULL), ST_OK);
    memcpy(rows, logits, sizeof rows);
    for (int n = 1; n <= 40; n += 13) {
        kv_seq_truncate(q, 0);
        run_text(&o, q, 0, n, n, result);
        expect_same("row", rows[n - 1], result, TOY_TOKENS);
    }
    kv_seq_free(q);
    close_engine(&o);
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
        cmocka_unit_test(any_cut_of_a_float_model),
        cmocka_unit_test(any_cut_of_quantized_models),
        cmocka_unit_test(any_cut_of_models_with_experts),
        cmocka_unit_test(any_cut_of_a_long_context),
        cmocka_unit_test(sequences_side_by_side_are_as_alone),
        cmocka_unit_test(forks_side_by_side_are_as_alone),
        cmocka_unit_test(rows_of_a_prompt_are_as_if_each_were_last),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}

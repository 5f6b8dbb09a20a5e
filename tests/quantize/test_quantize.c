// Quantizing whole files: which types, what is in them, what an interruption or a failure leaves behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quantize/own.h"

enum { WIDTH = 256, ODD = 96, LAYERS = 8 };

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/irori-quantize-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"in", "out",       "other", "out.partial", "other.partial",
                                        "im", "im.partial"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        remove(in_folder(names[i]));
    return rmdir(folder);
}

// Bell-shaped values that depend on the tensor's name and the place.
static int fill(void *ctx, const char *name, uint64_t offset, void *dst, size_t n)
{
    (void)ctx;
    uint64_t seed = hash_bytes(name, strlen(name));
    float *v = dst;
    for (size_t i = 0; i < n / sizeof *v; i++) {
        uint64_t at = offset / sizeof *v + i, h = hash_combine(seed, &at, sizeof at);
        float sum = 0;
        for (int k = 0; k < 8; k++)
            sum += (float)(h >> 8 * k & 255) - 127.5f;
        v[i] = sum * 1e-4f;
    }
    return 0;
}

// A model's shape: layers of a few matrices; ffn_gate has rows that no block of 256 divides.
static void make_source(const char *path)
{
    gguf_writer *w;
    assert_int_equal(gguf_writer_new(&w), ST_OK);
    gguf_writer_str(w, "general.architecture", "llama", 5);
    gguf_writer_u32(w, "llama.block_count", LAYERS);
    gguf_writer_u32(w, "llama.attention.head_count", 8);
    gguf_writer_u32(w, "llama.attention.head_count_kv", 2);
    uint64_t square[2] = {WIDTH, 16}, odd[2] = {ODD, 16}, table[2] = {WIDTH, 64}, line[1] = {WIDTH};
    gguf_writer_tensor(w, "token_embd.weight", QT_F32, 2, table, fill, NULL);
    for (int i = 0; i < LAYERS; i++) {
        static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_down"};
        char name[64];
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, names[k]);
            gguf_writer_tensor(w, name, QT_F32, 2, square, fill, NULL);
        }
        snprintf(name, sizeof name, "blk.%d.ffn_gate.weight", i);
        gguf_writer_tensor(w, name, QT_F32, 2, odd, fill, NULL);
        snprintf(name, sizeof name, "blk.%d.attn_norm.weight", i);
        gguf_writer_tensor(w, name, QT_F32, 1, line, fill, NULL);
    }
    gguf_writer_tensor(w, "output.weight", QT_F32, 2, table, fill, NULL);
    assert_int_equal(gguf_writer_save(w, path, NULL), ST_OK);
    gguf_writer_free(w);
}

static quantize_options with(const char *mix)
{
    return (quantize_options){.mix = quantize_mix_find(mix), .threads = 1};
}

static int type_of(const char *path, const char *tensor)
{
    gguf *g;
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    const gguf_tensor *t = gguf_tensor_find(g, tensor);
    int type = t ? t->type : -1;
    gguf_close(g);
    return type;
}

static void assert_same_files(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    assert_int_equal(os_read_file(a, 1 << 24, &x, &n, NULL), ST_OK);
    assert_int_equal(os_read_file(b, 1 << 24, &y, &m, NULL), ST_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    mem_free(x);
    mem_free(y);
}

// Root of the share of its power that a tensor lost.
static double loss(const char *tensor)
{
    gguf *a, *b;
    assert_int_equal(gguf_open(&a, in_folder("in"), NULL), ST_OK);
    assert_int_equal(gguf_open(&b, in_folder("out"), NULL), ST_OK);
    const gguf_tensor *x = gguf_tensor_find(a, tensor), *y = gguf_tensor_find(b, tensor);
    float want[WIDTH], got[WIDTH];
    double miss = 0, power = 0;
    size_t n = (size_t)x->dims[0];
    for (uint64_t r = 0; r < x->dims[1]; r++) {
        memcpy(want, x->data + r * n * sizeof *want, n * sizeof *want);
        quant_type_info(y->type)->decode(y->data + r * quant_row_bytes(y->type, n), got, n);
        for (size_t i = 0; i < n; i++) {
            miss += ((double)want[i] - (double)got[i]) * ((double)want[i] - (double)got[i]);
            power += (double)want[i] * (double)want[i];
        }
    }
    gguf_close(a);
    gguf_close(b);
    return sqrt(miss / power);
}

static void every_mix_writes_a_model(void **state)
{
    (void)state;
    buf names;
    buf_init(&names);
    quantize_mix_names(&names);
    make_source(in_folder("in"));
    for (char *name = names.data, *end; name; name = end) {
        end = strchr(name, ' ');
        if (end)
            *end++ = 0;
        quantize_options o = with(name);
        assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, NULL), ST_OK);
        const quant_info *info = quant_type_info(type_of(in_folder("out"), "blk.0.attn_q.weight"));
        double bits = 8.0 * info->block_bytes / info->block_elems, most = bits < 3   ? 0.5
                                                                          : bits < 4 ? 0.25
                                                                                     : 0.12;
        for (int i = 0; i < LAYERS; i += LAYERS - 1) {
            char tensor[64];
            snprintf(tensor, sizeof tensor, "blk.%d.attn_q.weight", i);
            if (!(loss(tensor) < most))
                fail_msg("%s: %s lost %g of its power", name, tensor, loss(tensor));
        }
        assert_int_equal(type_of(in_folder("out"), "blk.0.attn_norm.weight"), QT_F32);
    }
    buf_done(&names);
}

// The types of the files that are shared under these names, for eight layers with four query heads a key head.
static void mixes_give_the_usual_types(void **state)
{
    (void)state;
    static const struct {
        const char *mix, *tensor;
        int type;
    } want[] = {
        {"Q4_K_M", "output.weight", QT_Q6_K},
        {"Q4_K_M", "token_embd.weight", QT_Q4_K},
        {"Q4_K_M", "blk.0.attn_v.weight", QT_Q6_K},
        {"Q4_K_M", "blk.1.attn_v.weight", QT_Q4_K},
        {"Q4_K_M", "blk.3.ffn_down.weight", QT_Q6_K},
        {"Q4_K_M", "blk.7.ffn_down.weight", QT_Q6_K},
        {"Q4_K_M", "blk.0.ffn_gate.weight", QT_Q5_0},
        {"Q4_K_S", "blk.3.attn_v.weight", QT_Q5_K},
        {"Q4_K_S", "blk.4.attn_v.weight", QT_Q4_K},
        {"Q5_K_M", "blk.0.ffn_gate.weight", QT_Q5_1},
        {"Q6_K", "blk.0.ffn_gate.weight", QT_Q8_0},
        {"Q3_K_M", "blk.0.attn_v.weight", QT_Q5_K},
        {"Q3_K_M", "blk.2.attn_v.weight", QT_Q4_K},
        {"Q3_K_M", "blk.2.attn_output.weight", QT_Q4_K},
        {"Q3_K_L", "blk.2.ffn_down.weight", QT_Q5_K},
        {"Q2_K", "blk.2.attn_v.weight", QT_Q4_K},
        {"Q2_K", "blk.2.ffn_down.weight", QT_Q3_K},
        {"Q2_K", "blk.2.ffn_gate.weight", QT_IQ4_NL},
        {"IQ4_XS", "blk.0.ffn_down.weight", QT_Q5_K},
        {"IQ4_XS", "blk.1.ffn_down.weight", QT_IQ4_XS},
        {"IQ3_XXS", "blk.1.attn_k.weight", QT_IQ2_S},
        {"IQ2_XXS", "token_embd.weight", QT_Q2_K},
        {"IQ2_M", "blk.5.attn_output.weight", QT_IQ3_S},
        {"IQ1_S", "blk.5.attn_output.weight", QT_IQ2_XXS},
        {"Q8_0", "output.weight", QT_Q8_0},
        {"F16", "output.weight", QT_F16},
        {"MXFP4", "token_embd.weight", QT_Q8_0},
        {"MXFP4_MOE", "blk.0.attn_q.weight", QT_Q8_0},
    };
    make_source(in_folder("in"));
    gguf *g;
    assert_int_equal(gguf_open(&g, in_folder("in"), NULL), ST_OK);
    int types[128];
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        quantize_mix_types(quantize_mix_find(want[i].mix), g, false, types);
        for (size_t k = 0; k < gguf_tensor_count(g); k++) {
            const gguf_tensor *t = gguf_tensor_at(g, k);
            if (strcmp(t->name, want[i].tensor) == 0 &&
                quantize_fallback(types[k], t->dims[0]) != want[i].type)
                fail_msg("%s: %s is %s", want[i].mix, t->name, quant_type_info(types[k])->name);
        }
    }
    gguf_close(g);
    assert_null(quantize_mix_find("Q9_K"));
    assert_string_equal(quantize_mix_name(quantize_mix_find("q4_k")), "Q4_K_M");
}

static void threads_change_nothing(void **state)
{
    (void)state;
    make_source(in_folder("in"));
    quantize_options o = with("IQ3_XXS");
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, NULL), ST_OK);
    o.threads = 3;
    assert_int_equal(quantize_file(in_folder("in"), in_folder("other"), &o, NULL, NULL), ST_OK);
    assert_same_files(in_folder("out"), in_folder("other"));
}

static bool stop_half_way(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done < total / 2;
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

static void an_interrupted_run_goes_on(void **state)
{
    (void)state;
    make_source(in_folder("in"));
    quantize_options o = with("Q4_K_M"), stopping = o;
    stopping.progress = stop_half_way;
    quantize_report r;
    err e;
    assert_int_equal(quantize_file(in_folder("in"), in_folder("other"), &o, &r, NULL), ST_OK);
    assert_int_equal(r.resumed, 0);
    for (int damaged = 0; damaged < 2; damaged++) {
        remove(in_folder("out"));
        assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &stopping, NULL, &e), ST_CANCELED);
        assert_int_equal(access(in_folder("out"), F_OK), -1);
        assert_int_equal(access(in_folder("out.partial"), F_OK), 0);
        if (damaged)  // in the first tensor's data: it must be noticed and made anew
            flip(in_folder("out.partial"), 8000);
        assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, &r, NULL), ST_OK);
        assert_true(r.resumed > 5);
        assert_same_files(in_folder("out"), in_folder("other"));
        assert_int_equal(access(in_folder("out.partial"), F_OK), -1);
    }
    // Another type begins anew.
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &stopping, NULL, NULL), ST_CANCELED);
    o = with("Q5_K_M");
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, &r, NULL), ST_OK);
    assert_int_equal(r.resumed, 0);
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    make_source(in_folder("in"));
    remove(in_folder("out"));
    quantize_options o = with("Q4_0");
    err e;
    int rc = ST_NOMEM;
    for (uint64_t n = 1; rc == ST_NOMEM; n++) {
        mem_fail_nth(n);
        rc = quantize_file(in_folder("in"), in_folder("out"), &o, NULL, &e);
        mem_fail_nth(0);
        assert_true(rc == ST_OK || rc == ST_NOMEM);
        assert_int_equal(access(in_folder("out.partial"), F_OK), -1);
        assert_int_equal(access(in_folder("out"), F_OK), rc ? -1 : 0);
        remove(in_folder("out"));
    }
    assert_int_equal(quantize_file(in_folder("in"), in_folder("in"), &o, NULL, &e), ST_INVALID);
    assert_int_equal(quantize_file(in_folder("none"), in_folder("out"), &o, NULL, &e), ST_NOTFOUND);
    assert_int_equal(quantize_file(in_folder("in"), in_folder("no/out"), &o, NULL, &e), ST_IO);
    assert_non_null(strstr(e.msg, "no/out"));
    o.mix = NULL;
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, &e), ST_INVALID);
    assert_int_equal(access(in_folder("out.partial"), F_OK), -1);
}

static void count_notes(void *ctx, const char *line)
{
    assert_non_null(strstr(line, "instead"));
    ++*(int *)ctx;
}

static void odd_rows_fall_back_and_say_so(void **state)
{
    (void)state;
    int notes = 0;
    make_source(in_folder("in"));
    quantize_options o = with("Q4_K_M");
    quantize_report r;
    o.note = count_notes;
    o.ctx = &notes;
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, &r, NULL), ST_OK);
    assert_int_equal(notes, LAYERS);
    assert_int_equal(r.fallbacks, LAYERS);
    assert_int_equal(quantize_fallback(QT_Q4_0, 33), QT_F16);
    assert_int_equal(quantize_fallback(QT_IQ2_S, 64), QT_IQ4_NL);
}

static void save_importance(int columns, double scale)
{
    double sum2[WIDTH], count[1] = {4};
    for (int i = 0; i < columns; i++)
        sum2[i] = scale * (i % 2 ? 4 : 4000);
    quantize_sums sums = {"blk.1.attn_q.weight", columns, 1, sum2, count};
    assert_int_equal(quantize_imatrix_save(&sums, 1, "test", 1, 4, in_folder("im"), NULL), ST_OK);
}

// Error of the even and the odd columns of blk.1.attn_q.
static void errors(double *even, double *odd)
{
    gguf *a, *b;
    assert_int_equal(gguf_open(&a, in_folder("in"), NULL), ST_OK);
    assert_int_equal(gguf_open(&b, in_folder("out"), NULL), ST_OK);
    const gguf_tensor *x = gguf_tensor_find(a, "blk.1.attn_q.weight"), *y = gguf_tensor_find(b, x->name);
    *even = *odd = 0;
    for (uint64_t r = 0; r < x->dims[1]; r++) {
        float want[WIDTH], got[WIDTH];
        memcpy(want, x->data + r * sizeof want, sizeof want);
        quant_type_info(y->type)->decode(y->data + r * quant_row_bytes(y->type, WIDTH), got, WIDTH);
        for (int i = 0; i < WIDTH; i++)
            *(i % 2 ? odd : even) += ((double)want[i] - (double)got[i]) * ((double)want[i] - (double)got[i]);
    }
    gguf_close(a);
    gguf_close(b);
}

static void importance_moves_the_error(void **state)
{
    (void)state;
    double before[2], after[2];
    err e;
    make_source(in_folder("in"));
    save_importance(WIDTH, 1);
    static const char *const mixes[] = {"Q4_K_S", "Q3_K_S", "Q2_K_S", "IQ2_XS"};
    for (size_t i = 0; i < COUNT_OF(mixes); i++) {
        quantize_options o = with(mixes[i]);
        assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, NULL), ST_OK);
        errors(&before[0], &before[1]);
        o.imatrix = in_folder("im");
        assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, NULL), ST_OK);
        errors(&after[0], &after[1]);
        assert_true(after[0] < before[0] && after[1] > before[1]);
    }
    quantize_options o = with("Q4_K_S");
    o.imatrix = in_folder("im");
    save_importance(ODD, 1);
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "blk.1.attn_q.weight"));
    save_importance(WIDTH, -1);
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, &e), ST_FORMAT);
    o.imatrix = in_folder("in");
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, NULL, &e), ST_FORMAT);
    assert_non_null(strstr(e.msg, "irori imatrix"));
    assert_int_equal(access(in_folder("out.partial"), F_OK), -1);
}

static void a_target_is_kept(void **state)
{
    (void)state;
    make_source(in_folder("in"));
    quantize_report r;
    err e;
    double last = 0;
    for (double bpw = 3; bpw <= 8; bpw += 1.25) {
        quantize_options o = {.target_bpw = bpw, .threads = 2};
        assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &o, &r, NULL), ST_OK);
        assert_true(r.bpw <= bpw && r.bpw > bpw - 0.5 && r.bpw > last);
        last = r.bpw;
    }
    quantize_options low = {.target_bpw = 1.5};
    assert_int_equal(quantize_file(in_folder("in"), in_folder("out"), &low, &r, &e), ST_LIMIT);
    assert_non_null(strstr(e.msg, "the least is"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mix_writes_a_model),   cmocka_unit_test(mixes_give_the_usual_types),
        cmocka_unit_test(threads_change_nothing),     cmocka_unit_test(an_interrupted_run_goes_on),
        cmocka_unit_test(failures_leave_nothing),     cmocka_unit_test(odd_rows_fall_back_and_say_so),
        cmocka_unit_test(importance_moves_the_error), cmocka_unit_test(a_target_is_kept),
    };
    return cmocka_run_group_tests_name("quantize", tests, make_folder, remove_folder);
}

// The weight cache: what a second start takes from it, and everything that can be wrong with the file. Also weights used
// as the model's file holds them.
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "model/toy.h"

static char folder[] = "/tmp/irori-cache-XXXXXX";
static char dir[64];        // a folder that is not there yet, below `folder`
static char entry[128];     // the cache file in it
static const char *source;  // the model

static int start(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(dir, sizeof dir, "%s/a/b", folder);
    return 0;
}

static int empty(void **state)
{
    (void)state;
    chmod(dir, 0700);
    os_trim_dir(dir, "", 0);
    return 0;
}

static int finish(void **state)
{
    empty(state);
    char path[64];
    rmdir(dir);
    snprintf(path, sizeof path, "%s/a", folder);
    rmdir(path);
    toy_clean();
    return rmdir(folder);
}

// A model with packed, plain and merely looked-up matrices, and several in one.
static void save_model(uint64_t seed)
{
    toy t = toy_llama();
    t.type = QT_Q4_K;
    t.head_type = QT_F16;
    t.layers = 2;
    t.width = 256;
    t.ff = 512;
    t.head_dim = 64;
    t.experts = 3;
    t.used = 2;
    t.seed = seed;
    source = toy_save(&t, "cached.gguf");
    assert_non_null(source);
}

// Opens, runs a few tokens, closes; gives the logits and where the weights lay.
static dev_weight_bytes run_with(const engine_options *o, float *logits)
{
    gguf *file;
    engine x;
    err e = {0};
    if (gguf_open(&file, source, &e) || engine_open(&x, file, o, &e))
        fail_msg("%s: %s", source, e.msg);
    dev_weight_bytes bytes = x.dev->ops->weight_bytes(x.dev);
    kv_seq *q;
    assert_int_equal(kv_seq_new(x.kv, &q, NULL), ST_OK);
    engine_row row = {q, (int32_t[]){1, 77, 150, 3, 3, 258, 20, 9, 80}, 9, 1};
    const float *out;
    assert_int_equal(engine_step(&x, &row, 1, &out, NULL, NULL, NULL), ST_OK);
    memcpy(logits, out, TOY_TOKENS * sizeof *out);
    kv_seq_free(q);
    engine_close(&x);
    gguf_close(file);
    return bytes;
}

static const engine_options plain = {.threads = 2, .context = 64, .no_pin = true};

static dev_weight_bytes run(float *logits)
{
    engine_options o = plain;
    o.cache_dir = dir;
    o.cache_least = 1;
    return run_with(&o, logits);
}

static float want[TOY_TOKENS], got[TOY_TOKENS];

static void expect_mapped(void)
{
    dev_weight_bytes b = run(got);
    assert_int_equal(b.packed, 0);
    assert_true(b.mapped > 0);
    assert_memory_equal(got, want, sizeof want);
}

static void expect_packed(void)
{
    dev_weight_bytes b = run(got);
    assert_int_equal(b.mapped, 0);
    assert_true(b.packed > 0);
    assert_memory_equal(got, want, sizeof want);
}

// The model, its logits without any cache, and a cache file written and used once.
static void fill(void)
{
    save_model(1);
    dev_weight_bytes b = run_with(&plain, want);
    assert_true(b.packed > 0 && b.mapped == 0);
    expect_packed();
    os_file_id id;
    assert_true(os_get_file_id(source, &id));
    uint64_t name = hash_combine(0, (uint64_t[]){id.device, id.inode}, 16);
    snprintf(entry, sizeof entry, "%s/%016llx.weights", dir, (unsigned long long)name);
    assert_int_equal(access(entry, R_OK), 0);
    expect_mapped();
}

// Changes a byte of the cache file.
static void spoil(uint64_t at)
{
    int fd = open(entry, O_RDWR);
    assert_true(fd >= 0);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static uint64_t entry_bytes(void)
{
    os_file_id id;
    assert_true(os_get_file_id(entry, &id));
    return id.size;
}

static int count_of_files(void)
{
    char command[128], line[16] = "";
    snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    pclose(f);
    return atoi(line);
}

// ---- Tests -----------------------------------------------------------------------------------------------------

static void a_second_start_maps(void **state)
{
    (void)state;
    fill();
    struct stat st;
    assert_int_equal(stat(entry, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(count_of_files(), 1);
    expect_mapped();
}

static void small_models_are_not_kept(void **state)
{
    (void)state;
    save_model(1);
    run_with(&plain, want);
    engine_options o = plain;
    o.cache_dir = dir;
    assert_true(run_with(&o, got).packed > 0);
    assert_true(run_with(&o, got).packed > 0);
    assert_memory_equal(got, want, sizeof want);
}

// Offsets of fields: magic 0, check 8, boot 16, order 24, count 28, key 32, layout 40, then entries of 48 bytes at 64.
static void a_damaged_file_is_made_anew(void **state)
{
    (void)state;
    static const uint64_t head[] = {0, 8, 24, 28, 32, 40, 48, 56, 64, 68, 80, 64 + 32, 64 + 48 + 40};
    fill();
    for (size_t i = 0; i < COUNT_OF(head); i++) {
        spoil(head[i]);
        expect_packed();
        expect_mapped();
    }
    uint64_t size = entry_bytes();
    spoil(2 << 20);  // first byte of the first matrix
    expect_packed();
    expect_mapped();
    for (uint64_t cut = 1; cut <= size; cut = cut * 37 + 3) {
        assert_int_equal(truncate(entry, (off_t)(size - MIN(cut, size))), 0);
        expect_packed();
        expect_mapped();
    }
    assert_int_equal(truncate(entry, 0), 0);
    expect_packed();
    expect_mapped();
    assert_int_equal(truncate(entry, (off_t)size + 1), 0);
    expect_packed();
    expect_mapped();
}

// After a restart of the system every byte is compared, once.
static void another_boot_compares_everything(void **state)
{
    (void)state;
    fill();
    uint64_t middle = (2 << 20) + 20000;  // of a matrix: away from what is sampled
    spoil(16);
    expect_mapped();
    spoil(16);
    spoil(middle);
    expect_packed();
    expect_mapped();
    // A file that may not be written is compared each time, and used.
    spoil(16);
    assert_int_equal(chmod(entry, 0400), 0);
    expect_mapped();
    expect_mapped();
}

static void a_changed_model_takes_the_file_over(void **state)
{
    (void)state;
    fill();
    save_model(2);
    run_with(&plain, got);
    assert_memory_not_equal(got, want, sizeof want);
    memcpy(want, got, sizeof want);
    expect_packed();
    expect_mapped();
    // The same bytes, written later.
    struct timespec t[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, source, t, 0), 0);
    expect_packed();
    expect_mapped();
}

static void a_stale_layout_is_made_anew(void **state)
{
    (void)state;
    fill();
    // A whole and well-formed file of a program that lays panels otherwise.
    char *data;
    size_t n;
    assert_int_equal(os_read_file(entry, (size_t)1 << 30, &data, &n, NULL), ST_OK);
    uint64_t zero[2] = {0}, boot, check, layout, count = 0;
    memcpy(&boot, data + 16, 8);
    memcpy(&layout, data + 40, 8);
    memcpy(&count, data + 28, 4);
    uint64_t had;
    memcpy(&had, data + 8, 8);
    for (int other = 0; other < 2; other++) {  // first the same layout, to show that the sum is made right
        layout ^= (uint64_t)other;
        memcpy(data + 40, &layout, 8);
        memcpy(data + 8, zero, 16);
        check = hash_combine(hash_bytes(data, 64), data + 64, (size_t)count * 48);
        memcpy(data + 8, &check, 8);
        memcpy(data + 16, &boot, 8);
        assert_true((check == had) == !other);
        FILE *f = fopen(entry, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
        if (!other)
            expect_mapped();
    }
    mem_free(data);
    expect_packed();
    expect_mapped();
}

static void folders_that_cannot_be_used(void **state)
{
    (void)state;
    fill();
    unlink(entry);
    char there[64];
    snprintf(there, sizeof there, "%s", dir);
    snprintf(dir, sizeof dir, "%s/cached.txt/x", folder);  // below a file
    char file[64];
    snprintf(file, sizeof file, "%s/cached.txt", folder);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    expect_packed();
    expect_packed();
    unlink(file);
    snprintf(dir, sizeof dir, "/proc/irori");  // nobody may write there
    expect_packed();
    expect_packed();
    snprintf(dir, sizeof dir, "%s", there);
    if (geteuid() == 0)
        return;  // may write anywhere
    assert_int_equal(chmod(dir, 0500), 0);
    expect_packed();
    expect_packed();
}

// A write that fails half-way: the limit on a file's size stands for the full disk.
static void a_write_that_fails_leaves_nothing(void **state)
{
    (void)state;
    fill();
    uint64_t size = entry_bytes();
    unlink(entry);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        small = old;
        small.rlim_cur = (rlim_t)(size - 1) / (rlim_t)(1 << i);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        expect_packed();
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(count_of_files(), 0);
    }
    signal(SIGXFSZ, handler);
    expect_packed();
    expect_mapped();
}

// Wherever memory runs out, opening fails with ST_NOMEM or goes on without the cache.
static void memory_that_runs_out(void **state)
{
    (void)state;
    fill();
    for (int kept = 0; kept < 2; kept++) {
        bool opened = false;
        int failures = 0;
        for (uint64_t nth = 1; !opened; nth++) {
            if (!kept)
                unlink(entry);
            gguf *file;
            engine x;
            err e = {0};
            assert_int_equal(gguf_open(&file, source, &e), ST_OK);
            engine_options o = plain;
            o.cache_dir = dir;
            o.cache_least = 1;
            mem_stats before, after;
            mem_get_stats(&before);
            mem_fail_nth(nth);
            int rc = engine_open(&x, file, &o, &e);
            mem_get_stats(&after);
            mem_fail_nth(0);
            opened = rc == ST_OK && after.calls - before.calls < nth;  // the failure was not reached
            if (rc)
                assert_int_equal(rc, ST_NOMEM);
            failures += rc != ST_OK;
            if (!rc)
                engine_close(&x);
            mem_get_stats(&after);
            assert_int_equal(after.bytes, before.bytes);
            gguf_close(file);
        }
        assert_true(failures > 5);
        expect_mapped();
    }
}

static void old_files_give_way(void **state)
{
    (void)state;
    assert_true(os_make_dirs(dir));
    for (int i = 0; i < 5; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%d.%s", dir, i, i == 4 ? "other" : "weights");
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f, "0123456789");
        fclose(f);
        struct timespec t[2] = {{.tv_sec = 1000 + (i ^ 1)}, {.tv_sec = 1000 + (i ^ 1)}};
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    }
    os_trim_dir(dir, ".weights", 40);
    assert_int_equal(count_of_files(), 5);
    os_trim_dir(dir, ".weights", 39);  // 1 is the oldest, then 0
    assert_int_equal(count_of_files(), 4);
    os_trim_dir(dir, ".weights", 20);
    assert_int_equal(count_of_files(), 3);
    char path[128];
    snprintf(path, sizeof path, "%s/2.weights", dir);
    assert_int_equal(access(path, F_OK), 0);
    os_trim_dir(dir, ".weights", 0);
    assert_int_equal(count_of_files(), 1);
}

// Without packing: nothing held, nothing written, and logits that differ only by how activations are rounded.
static void weights_as_they_lie(void **state)
{
    (void)state;
    static const int types[] = {QT_F32,  QT_F16,  QT_BF16,  QT_Q8_0,  QT_Q4_0,
                                QT_Q4_K, QT_Q6_K, QT_MXFP4, QT_IQ4_XS};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        save_model(1);
        toy t = toy_llama();
        t.type = types[i];
        t.width = 256;
        t.ff = 512;
        t.head_dim = 64;
        source = toy_save(&t, "direct.gguf");
        run_with(&plain, want);
        engine_options o = plain;
        o.no_repack = true;
        o.cache_dir = dir;
        o.cache_least = 1;
        dev_weight_bytes b = run_with(&o, got);
        assert_int_equal(b.packed + b.mapped, 0);
        double dot = 0, a = 0, c = 0;
        for (int j = 0; j < TOY_TOKENS; j++) {
            assert_true(isfinite(got[j]));
            dot += (double)got[j] * (double)want[j];
            a += (double)got[j] * (double)got[j];
            c += (double)want[j] * (double)want[j];
        }
        double least = quant_type_info(types[i])->block_elems == 1 ? 1 - 1e-9 : 0.999;
        if (!(dot / sqrt(a * c) >= least) || fabs(sqrt(a / c) - 1) > 0.01)
            fail_msg("%s: cosine %.9f, length %.6f", quant_type_info(types[i])->name, dot / sqrt(a * c),
                     sqrt(a / c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_second_start_maps, empty),
        cmocka_unit_test_teardown(small_models_are_not_kept, empty),
        cmocka_unit_test_teardown(a_damaged_file_is_made_anew, empty),
        cmocka_unit_test_teardown(another_boot_compares_everything, empty),
        cmocka_unit_test_teardown(a_changed_model_takes_the_file_over, empty),
        cmocka_unit_test_teardown(a_stale_layout_is_made_anew, empty),
        cmocka_unit_test_teardown(folders_that_cannot_be_used, empty),
        cmocka_unit_test_teardown(a_write_that_fails_leaves_nothing, empty),
        cmocka_unit_test_teardown(memory_that_runs_out, empty),
        cmocka_unit_test_teardown(old_files_give_way, empty),
        cmocka_unit_test_teardown(weights_as_they_lie, empty),
    };
    return cmocka_run_group_tests(tests, start, finish);
}

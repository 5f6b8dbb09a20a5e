// What is read of a machine that says little, the files of rates and errors, speeds that must follow from rates.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/toy.h"
#include "plan/plan.h"

static char folder[] = "/tmp/irori-plan-test-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", folder, path);
    for (char *at = full + strlen(folder) + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            mkdir(full, 0700);
            *at = '/';
        }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/irori-plan-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    toy_clean();
    return system(command);
}

static void test_nothing_to_read(void **state)
{
    (void)state;
    plan_machine m;
    plan_machine_read(&m, folder);
    assert_true(m.processors >= 1);
    assert_string_equal(m.cpu, "");
    assert_int_equal(m.memory, 0);
    assert_int_equal(m.available, 0);
    assert_int_equal(m.cache[0] + m.cache[1] + m.cache[2], 0);
    assert_int_equal(m.n_gpus, 0);
    assert_int_equal(m.huge, 4096);
}

static void test_machine(void **state)
{
    (void)state;
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Example \x1b[31m 9000\nmodel name\t: second\n");
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:   8000000 kB\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("/sys/devices/system/cpu/cpu0/cache/index0/level", "1\n");
    put("/sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n");
    put("/sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n");
    put("/sys/devices/system/cpu/cpu0/cache/index1/level", "1\n");
    put("/sys/devices/system/cpu/cpu0/cache/index1/type", "Instruction\n");
    put("/sys/devices/system/cpu/cpu0/cache/index1/size", "64K\n");
    put("/sys/devices/system/cpu/cpu0/cache/index2/level", "3\n");
    put("/sys/devices/system/cpu/cpu0/cache/index2/type", "Unified\n");
    put("/sys/devices/system/cpu/cpu0/cache/index2/size", "16M\n");
    put("/sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
    put("/sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
    put("/sys/bus/pci/devices/0000:01:00.0/device", "0x2330\n");
    put("/sys/bus/pci/devices/0000:02:00.0/class", "0x020000\n");
    put("/sys/bus/pci/devices/0000:03:00.0/class", "0x030000\n");  // and says no more
    plan_machine m;
    plan_machine_read(&m, folder);
    assert_string_equal(m.cpu, "Example ?[31m 9000");
    assert_int_equal(m.memory, 16000000ull << 10);
    assert_int_equal(m.available, 8000000ull << 10);
    assert_int_equal(m.cache[0], 32 << 10);
    assert_int_equal(m.cache[1], 0);
    assert_int_equal(m.cache[2], 16 << 20);
    assert_int_equal(m.huge, 2 << 20);
    assert_int_equal(m.n_gpus, 2);
    int first = strcmp(m.gpu[0], "GPU") == 0;
    assert_string_equal(m.gpu[first], "NVIDIA (10de:2330)");
    assert_string_equal(m.gpu[!first], "GPU");
}

static void test_container(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:   8000000 kB\n");
    put("/sys/fs/cgroup/memory.max", "max\n");
    plan_machine m;
    plan_machine_read(&m, folder);
    assert_int_equal(m.memory, 16000000ull << 10);
    put("/sys/fs/cgroup/memory.max", "1000000000\n");
    put("/sys/fs/cgroup/memory.current", "400000000\n");
    plan_machine_read(&m, folder);
    assert_int_equal(m.memory, 1000000000);
    assert_int_equal(m.available, 600000000);
    put("/sys/fs/cgroup/memory.current", "1400000000\n");
    plan_machine_read(&m, folder);
    assert_int_equal(m.available, 0);
}

static void test_broken_files(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: lots\nMemAvailable\nMemTotal\n\n::::\n");
    put("/proc/cpuinfo", "\xff\xfe\n:\nmodel name\n");
    put("/sys/devices/system/cpu/cpu0/cache/index0/level", "99999999999999999999\n");
    put("/sys/devices/system/cpu/cpu0/cache/index1/level", "");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "");
    plan_machine m;
    plan_machine_read(&m, folder);
    assert_int_equal(m.memory, 0);
    assert_string_equal(m.cpu, "");
    assert_int_equal(m.cache[0], 0);
}

// Rates as of a machine on which everything takes a power of ten.
static plan_rates rates(void)
{
    plan_rates r = {.cpu = "Example",
                    .isa = "scalar",
                    .date = "2026-12-01",
                    .threads = 2,
                    .read_one = 1e10,
                    .read_all = 2e10,
                    .step = 1e-6,
                    .norm = 1e-9,
                    .gate = 1e-9,
                    .store = 1e-9,
                    .embed = 1e-9};
    for (int l = 0; l < DEV_KV_LEVELS; l++)
        for (int i = 0; i < PLAN_TILES; i++)
            for (int k = 0; k < 2; k++)
                r.attend[l][i][k] = 1e-9 * plan_tile[i] * plan_head[k] / (l + 1);
    for (int i = 0; i < PLAN_POINTS; i++)
        r.matmul[QT_F16][i] = 1e-10 * plan_batch[i];
    r.spread[QT_F16] = 1e-6;
    return r;
}

static void test_rates_file(void **state)
{
    (void)state;
    plan_rates r = rates(), back;
    assert_int_equal(plan_rates_load(&back, folder, "Example", "scalar", 2), ST_NOTFOUND);
    assert_true(plan_rates_save(&r, folder));
    assert_int_equal(plan_rates_load(&back, folder, "Example", "scalar", 2), ST_OK);
    assert_string_equal(back.date, r.date);
    assert_true(back.step == r.step && back.read_all == r.read_all);
    for (int i = 0; i < PLAN_TILES; i++)
        assert_float_equal(back.attend[DEV_KV_Q4][i][1] / r.attend[DEV_KV_Q4][i][1], 1, 1e-4);
    for (int i = 0; i < PLAN_POINTS; i++)
        assert_float_equal(back.matmul[QT_F16][i] / r.matmul[QT_F16][i], 1, 1e-4);
    assert_float_equal(back.spread[QT_F16] / r.spread[QT_F16], 1, 1e-4);
    assert_int_equal(plan_rates_load(&back, folder, "Other", "scalar", 2), ST_NOTFOUND);  // another processor
    assert_true(back.read_all == 0);
    assert_string_equal(back.cpu, "Other");
    assert_int_equal(plan_rates_load(&back, folder, "Example", "scalar", 4), ST_NOTFOUND);
    static const char *const damaged[] = {
        "", "version 99\n", "version 1\ncpu Example\nstep -1\n",
        "version 1\ncpu Example\nread_one nan\nattend f16 1 2\nmatmul F16\n\xff"};
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        put("/machine-scalar-2.txt", damaged[i]);
        assert_int_equal(plan_rates_load(&back, folder, "Example", "scalar", 2), ST_NOTFOUND);
    }
    assert_false(plan_rates_save(&r, "/proc/no/such"));
}

static void test_errors_table(void **state)
{
    (void)state;
    int n;
    assert_true(plan_errors_median(folder, "Q4_K/avx2/2", PLAN_SPEED, &n) == 1);
    assert_int_equal(n, 0);
    static const double seen[] = {0.9, 0.8, 5, 0.85, 0.9};  // one bad moment among them
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        assert_true(plan_errors_add(folder, "Q4_K/avx2/2", PLAN_SPEED, seen[i]));
    assert_true(plan_errors_add(folder, "Q8_0/avx2/2", PLAN_SPEED, 2));
    assert_true(plan_errors_add(folder, "Q4_K/avx2/2", PLAN_TTFT, 3));
    assert_false(plan_errors_add(folder, "Q4_K/avx2/2", PLAN_SPEED, NAN));
    assert_false(plan_errors_add(folder, "Q4_K/avx2/2", PLAN_SPEED, 1e9));
    assert_float_equal(plan_errors_median(folder, "Q4_K/avx2/2", PLAN_SPEED, &n), 0.9, 1e-6);
    assert_int_equal(n, 5);
    for (int i = 0; i < 15; i++)  // the machine has changed: the latest count
        plan_errors_add(folder, "Q4_K/avx2/2", PLAN_SPEED, 1.5);
    assert_float_equal(plan_errors_median(folder, "Q4_K/avx2/2", PLAN_SPEED, &n), 1.5, 1e-6);
    put("/plan-errors.txt",
        "\xff\xfe garbage\ntokens_per_second Q4 x\ntokens_per_second Q4 -3\ntokens_per_second Q4 2");
    assert_float_equal(plan_errors_median(folder, "Q4", PLAN_SPEED, &n), 2, 1e-6);
    assert_int_equal(n, 1);
}

static plan_use use(int context)
{
    plan_use u = {.threads = 2,
                  .context = context,
                  .sequences = 1,
                  .batch = 512,
                  .outputs = 64,
                  .prompt = 64,
                  .depth = 64,
                  .huge = 4096};
    assert_int_equal(kv_policy_parse(&u.kv, "f16", NULL, NULL), 0);
    return u;
}

static enum graph_form form_of(int type)
{
    (void)type;
    return GRAPH_F32;
}

static void test_speed_follows_rates(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.context = 8192;
    gguf *g;
    model m;
    err e;
    assert_int_equal(gguf_open(&g, toy_save(&t, "speed.gguf"), &e), 0);
    assert_int_equal(model_load(&m, g, 8192, form_of, &e), 0);
    plan_rates r = rates(), fast = r;
    plan_use u = use(8192);
    double shallow = plan_step_seconds(&m, &u, &r), prompt = plan_prompt_seconds(&m, &u, &r);
    u.depth = 4096;
    double deep = plan_step_seconds(&m, &u, &r);
    assert_true(deep > shallow);
    // Attention alone grows with depth: 3 layers, 2 KV heads of 16 values, 2 rows a tile; the page of 64 is the unit.
    // A head's size is on the line through those measured, but not below a quarter of its share.
    double key = MAX(2e-9 * 64 + (2e-9 * 64) / 64 * (16 - 64), 0) + 0;
    assert_float_equal(deep - shallow, 3 * 2 * (4160 - 128) * key + 3 * r.step, 1e-7 + 0.02 * deep);
    u.prompt = 128;
    assert_true(plan_prompt_seconds(&m, &u, &r) > 1.5 * prompt);
    for (int i = 0; i < PLAN_POINTS; i++)
        fast.matmul[QT_F16][i] /= 2;
    assert_true(plan_prompt_seconds(&m, &u, &fast) < plan_prompt_seconds(&m, &u, &r));
    kv_policy_parse(&u.kv, "uniform:q4", NULL, NULL);
    assert_true(plan_step_seconds(&m, &u, &r) < deep);  // coarser keys are read faster
    model_done(&m);
    gguf_close(g);
}

static void test_probe(void **state)
{
    (void)state;
    plan_rates r = {.threads = 2};
    dev_cpu_options o = {.threads = 2};
    err e;
    assert_int_equal(plan_probe(&r, &o, 1ull << QT_Q8_0, &e), 0);
    assert_true(r.read_one > 0 && r.read_all > 0 && r.step > 0 && r.norm > 0 && r.gate > 0 && r.store > 0);
    for (int i = 0; i < DEV_KV_LEVELS; i++)
        for (int k = 0; k < PLAN_TILES; k++)
            assert_true(r.attend[i][k][0] > 0 && r.attend[i][k][1] > 0);
    for (int i = 0; i < PLAN_POINTS; i++)
        assert_true(r.matmul[QT_Q8_0][i] > 0);
    assert_true(r.matmul[QT_Q4_K][0] == 0);
    plan_rates before = r;
    assert_int_equal(plan_probe(&r, &o, 1ull << QT_Q8_0, &e), 0);  // all is known: nothing is measured
    assert_memory_equal(&before, &r, sizeof r);
    mem_stats stats;
    mem_get_stats(&stats);
    mem_fail_nth(3);
    plan_rates none = {.threads = 2};
    assert_int_equal(plan_probe(&none, &o, 0, &e), ST_NOMEM);
    mem_fail_nth(0);
}

static void test_sketches(void **state)
{
    (void)state;
    static const char *const archs[] = {"llama", "qwen2",      "qwen3",    "gemma2", "gemma3",
                                        "phi3",  "starcoder2", "qwen3moe", "gpt-oss"};
    for (size_t i = 0; i < COUNT_OF(archs); i++) {
        plan_shape s = {.arch = archs[i],
                        .layers = 3,
                        .width = 256,
                        .heads = 4,
                        .kv_heads = 2,
                        .head_dim = 64,
                        .ff = 512,
                        .vocab = 1000,
                        .context = 4096,
                        .tied = i % 2};
        if (i >= 7)
            s.experts = 8, s.experts_used = 2;
        if (strcmp(archs[i], "gpt-oss") == 0 || strncmp(archs[i], "gemma", 5) == 0)
            s.window = 128;
        gguf *g;
        model m;
        err e;
        assert_int_equal(plan_sketch(&s, &g, &e), 0);
        if (model_load(&m, g, 0, form_of, &e))
            fail_msg("%s: %s", archs[i], e.msg);
        plan_use u = use(4096);
        uint64_t wide = plan_count(&m, &u).weights, bytes, f16 = gguf_file_bytes(g);
        assert_int_equal(plan_retype(&m, "Q4_K_M", form_of, &bytes, &e), 0);
        assert_true(bytes < f16 / 2);
        assert_true(plan_count(&m, &u).weights < wide / 2);
        assert_int_equal(plan_retype(&m, "Q9", form_of, &bytes, &e), ST_INVALID);
        model_done(&m);
        gguf_close(g);
    }
    plan_shape wrong = {.arch = "llama", .layers = 3};
    gguf *g;
    err e;
    assert_int_equal(plan_sketch(&wrong, &g, &e), ST_INVALID);
    assert_null(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_to_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_machine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rates_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_speed_follows_rates, set_up, tear_down),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_sketches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

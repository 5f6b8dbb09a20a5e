// Files, clocks and figures of the machine.
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

#include "base/base.h"

static char dir[256], path[300];

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/irori-os-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/file", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void put(const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void a_file_is_mapped(void **state)
{
    (void)state;
    static char text[10001];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31);
    put(text, sizeof text);
    os_map m;
    err e = {0};
    assert_int_equal(os_map_file(&m, path, &e), ST_OK);
    assert_int_equal(m.size, sizeof text);
    assert_memory_equal(m.data, text, m.size);
    os_map_dontneed(m.data + 1, m.size - 1);
    os_map_dontneed(m.data, 0);
    assert_memory_equal(m.data, text, m.size);  // dropped pages come back
    os_unmap(&m);
    assert_null(m.data);
    os_unmap(&m);
}

static void a_file_is_read_within_its_limit(void **state)
{
    (void)state;
    put("0123456789", 10);
    char *data = NULL;
    size_t n = 0;
    err e = {0};
    assert_int_equal(os_read_file(path, 10, &data, &n, &e), ST_OK);
    assert_int_equal(n, 10);
    assert_string_equal(data, "0123456789");
    mem_free(data);
    assert_int_equal(os_read_file(path, 9, &data, &n, &e), ST_LIMIT);
    assert_non_null(strstr(e.msg, "10 bytes, at most 9"));
    mem_fail_nth(1);
    assert_int_equal(os_read_file(path, 100, &data, &n, &e), ST_NOMEM);
    assert_int_equal(os_read_file(path, SIZE_MAX, &data, &n, NULL), ST_OK);
    mem_free(data);
}

static void an_empty_file(void **state)
{
    (void)state;
    put("", 0);
    os_map m;
    assert_int_equal(os_map_file(&m, path, NULL), ST_OK);
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    os_unmap(&m);
    char *data = NULL;
    size_t n = 1;
    assert_int_equal(os_read_file(path, 0, &data, &n, NULL), ST_OK);
    assert_int_equal(n, 0);
    assert_string_equal(data, "");
    mem_free(data);
}

static void refuse(const char *what, int expect, const char *word)
{
    os_map m = {(const uint8_t *)"x", 1};
    err e = {0};
    assert_int_equal(os_map_file(&m, what, &e), expect);
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    assert_int_equal(e.code, expect);
    assert_non_null(strstr(e.msg, what));
    assert_non_null(strstr(e.msg, word));
    char *data;
    size_t n;
    assert_int_equal(os_read_file(what, 100, &data, &n, &e), expect);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    unlink(path);
    refuse(path, ST_NOTFOUND, "No such file");
    refuse(dir, ST_INVALID, "a directory");
    refuse("/dev/null", ST_INVALID, "not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(path, ST_INVALID, "not a regular file");  // and does not wait for a writer
    unlink(path);
    put("x", 1);
    char below[400];
    snprintf(below, sizeof below, "%s/below", path);
    refuse(below, ST_IO, "Not a directory");
}

static void a_file_without_permission(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip();  // root may read everything
    put("x", 1);
    chmod(path, 0);
    refuse(path, ST_IO, "Permission denied");
    unlink(path);
}

static void clocks_and_seeds(void **state)
{
    (void)state;
    uint64_t a = os_nanoseconds();
    usleep(2000);
    uint64_t b = os_nanoseconds();
    assert_true(b - a >= 2000000);
    double s = os_seconds();
    assert_true(s >= (double)b * 1e-9 && s < (double)b * 1e-9 + 60);
    assert_true(os_random_seed() != os_random_seed());
}

static void figures_of_the_machine(void **state)
{
    (void)state;
    int n = os_cpu_count();
    assert_in_range(n, 1, 100000);
    assert_true(os_memory_bytes() > 64u << 20);
#ifdef __linux__
    assert_true(os_rss_bytes() > 0);
    assert_true(os_peak_rss_bytes() >= 100 * 1024);
    assert_true(os_rss_bytes() < os_memory_bytes());
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_mapped),
        cmocka_unit_test(a_file_is_read_within_its_limit),
        cmocka_unit_test(an_empty_file),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_file_without_permission),
        cmocka_unit_test(clocks_and_seeds),
        cmocka_unit_test(figures_of_the_machine),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

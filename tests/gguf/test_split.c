// Models in several files: good ones, and every way in which the parts can disagree.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <unistd.h>

#include "gguf/tests.h"

static const char *part_path(const char *name, int no, int count)
{
    char file[64];
    snprintf(file, sizeof file, "%s-%05d-of-%05d.gguf", name, no, count);
    return sample_path(file);
}

// Writes part `no` (from 1) as file number `as`: two tensors of its own, split keys as claimed.
static void save_part(const char *name, int as, int count, int no, int claimed_count, int claimed_tensors)
{
    make m;
    make_init(&m);
    if (no == 1)
        make_str(&m, "general.architecture", "llama");
    make_int(make_key(&m, "split.no", GGUF_U16), (uint64_t)no - 1, 2);
    make_int(make_key(&m, "split.count", GGUF_U16), (uint64_t)claimed_count, 2);
    make_int(make_key(&m, "split.tensors.count", GGUF_I32), (uint64_t)claimed_tensors, 4);
    char tensor[32];
    float value = (float)no;
    for (int i = 0; i < 2; i++) {
        snprintf(tensor, sizeof tensor, "blk.%d.%c", no, 'a' + i);
        make_tensor(&m, tensor, QT_F32, 1, (uint64_t[]){1}, &value);
    }
    assert_true(make_save(&m, part_path(name, as, count)));
    make_done(&m);
}

static void save_all(const char *name, int count)
{
    for (int no = 1; no <= count; no++)
        save_part(name, no, count, no, count, 2 * count);
}

static void refused(const char *path, int status, const char *one, const char *two)
{
    gguf *g;
    err e = {0};
    mem_stats before, after;
    mem_get_stats(&before);
    int rc = gguf_open(&g, path, &e);
    if (rc != status)
        fail_msg("%s: status %d, %d wanted: %s", path, rc, status, rc ? e.msg : "opened");
    if (!strstr(e.msg, one) || !strstr(e.msg, two))
        fail_msg("no \"%s\" and \"%s\" in: %s", one, two, e.msg);
    assert_non_null(strstr(e.msg, ".gguf"));
    mem_get_stats(&after);
    assert_int_equal(before.bytes, after.bytes);
}

static void parts_open_as_one(void **state)
{
    (void)state;
    save_all("good", 3);
    gguf *g;
    err e;
    if (gguf_open(&g, part_path("good", 1, 3), &e))
        fail_msg("%s", e.msg);
    assert_int_equal(gguf_tensor_count(g), 6);
    for (int no = 1; no <= 3; no++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.b", no);
        const gguf_tensor *t = gguf_tensor_find(g, name);
        assert_ptr_equal(t, gguf_tensor_at(g, (size_t)no * 2 - 1));
        float value;
        memcpy(&value, t->data, sizeof value);
        assert_true(value == (float)no);
    }
    assert_true(gguf_has(g, "general.architecture"));
    gguf *first;
    assert_true(gguf_file_bytes(g) > 0);
    uint64_t hash = gguf_model_hash(g);
    gguf_close(g);
    save_part("good", 3, 3, 3, 3, 5);  // another header in the last part
    assert_int_equal(gguf_open(&first, part_path("good", 1, 3), NULL), ST_OK);
    assert_int_not_equal(gguf_model_hash(first), hash);
    gguf_close(first);
}

static void one_part_needs_no_keys(void **state)
{
    (void)state;
    make m;
    sample_build(&m);
    const char *path = part_path("lone", 1, 1);
    assert_true(make_save(&m, path));
    gguf *g;
    assert_int_equal(gguf_open(&g, path, NULL), ST_OK);
    gguf_close(g);
    path = part_path("keyless", 1, 2);
    assert_true(make_save(&m, path));
    refused(path, ST_FORMAT, "part 1 of 2", "split.count");
    make_done(&m);
}

static void not_the_first_part(void **state)
{
    (void)state;
    save_all("later", 2);
    refused(part_path("later", 2, 2), ST_INVALID, "part 2 of 2", "open part 1");
}

static void missing_part(void **state)
{
    (void)state;
    save_all("gone", 3);
    assert_int_equal(remove(part_path("gone", 2, 3)), 0);
    refused(part_path("gone", 1, 3), ST_NOTFOUND, "part 2 of 3", "No such file");
}

// Part 2 is part 1 again, as a copy and as a link: a circle.
static void cyclic_parts(void **state)
{
    (void)state;
    save_part("copy", 1, 2, 1, 2, 4);
    save_part("copy", 2, 2, 1, 2, 4);
    refused(part_path("copy", 1, 2), ST_FORMAT, "split.no is 0", "1 needed");
    save_part("link", 1, 2, 1, 2, 4);
    assert_int_equal(symlink(part_path("link", 1, 2), part_path("link", 2, 2)), 0);
    refused(part_path("link", 1, 2), ST_FORMAT, "split.no is 0", "1 needed");
}

static void swapped_parts(void **state)
{
    (void)state;
    save_part("swap", 1, 3, 1, 3, 6);
    save_part("swap", 2, 3, 3, 3, 6);
    save_part("swap", 3, 3, 2, 3, 6);
    refused(part_path("swap", 1, 3), ST_FORMAT, "split.no is 2", "1 needed");
}

static void counts_disagree(void **state)
{
    (void)state;
    save_part("count", 1, 2, 1, 2, 4);
    save_part("count", 2, 2, 2, 3, 4);
    refused(part_path("count", 1, 2), ST_FORMAT, "split.count is 3", "2 needed");
    save_part("name", 1, 2, 1, 3, 6);
    refused(part_path("name", 1, 2), ST_FORMAT, "part 1 of 3", "-00001-of-00003.gguf");
    save_part("zero", 1, 2, 1, 0, 6);
    refused(part_path("zero", 1, 2), ST_FORMAT, "split.count is 0", "1 to 9999");
    save_part("many", 1, 2, 1, 65535, 6);
    refused(part_path("many", 1, 2), ST_FORMAT, "split.count is 65535", "1 to 9999");
    save_part("absent", 1, 9999, 1, 9999, 6);
    refused(part_path("absent", 1, 9999), ST_NOTFOUND, "part 2 of 9999", "No such file");
    save_all("tensors", 2);
    save_part("tensors", 1, 2, 1, 2, 7);
    refused(part_path("tensors", 1, 2), ST_FORMAT, "split.tensors.count is 7", "have 4 tensors");
}

static void same_tensor_in_two_parts(void **state)
{
    (void)state;
    save_all("twice", 2);
    make m;
    make_init(&m);
    make_u32(&m, "split.no", 1);
    make_u32(&m, "split.count", 2);
    make_tensor(&m, "blk.1.b", QT_F32, 1, (uint64_t[]){1}, NULL);
    make_tensor(&m, "blk.2.b", QT_F32, 1, (uint64_t[]){1}, NULL);
    assert_true(make_save(&m, part_path("twice", 2, 2)));
    make_done(&m);
    refused(part_path("twice", 1, 2), ST_FORMAT, "blk.1.b", "tensors 2 and 3 of 4");
}

static void bad_second_part(void **state)
{
    (void)state;
    save_all("bad", 2);
    const char *second = part_path("bad", 2, 2);
    assert_int_equal(truncate(second, 100), 0);
    refused(part_path("bad", 1, 2), ST_FORMAT, second, "left");
    assert_int_equal(truncate(second, 0), 0);
    refused(part_path("bad", 1, 2), ST_FORMAT, second, "0 bytes");
}

static void split_name_is_needed(void **state)
{
    (void)state;
    save_part("renamed", 1, 2, 1, 2, 4);
    const char *plain = sample_path("renamed.gguf");
    assert_int_equal(rename(part_path("renamed", 1, 2), plain), 0);
    refused(plain, ST_FORMAT, "part 1 of 2", "-00001-of-00002.gguf");
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    save_all("alloc", 3);
    mem_stats before, after;
    mem_get_stats(&before);
    int rc = ST_NOMEM;
    for (uint64_t n = 1; rc; n++) {
        gguf *g;
        err e = {0};
        mem_fail_nth(n);
        rc = gguf_open(&g, part_path("alloc", 1, 3), &e);
        mem_fail_nth(0);
        if (rc)
            assert_int_equal(rc, ST_NOMEM);
        else
            assert_true(n > 10);
        gguf_close(g);
        mem_get_stats(&after);
        assert_int_equal(after.bytes, before.bytes);
    }
}

int run_split_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_open_as_one),
        cmocka_unit_test(one_part_needs_no_keys),
        cmocka_unit_test(not_the_first_part),
        cmocka_unit_test(missing_part),
        cmocka_unit_test(cyclic_parts),
        cmocka_unit_test(swapped_parts),
        cmocka_unit_test(counts_disagree),
        cmocka_unit_test(same_tensor_in_two_parts),
        cmocka_unit_test(bad_second_part),
        cmocka_unit_test(split_name_is_needed),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("gguf splits", tests, NULL, NULL);
}

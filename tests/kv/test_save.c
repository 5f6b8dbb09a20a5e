// Session files and kept prompts: what is saved comes back; what is damaged, foreign or half written is refused.
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kv/own.h"

static const dev_kv_shape shape = {.layers = 3, .kv_heads = 2, .head_dim = 16};
enum { LENGTH = 300 };
static char folder[64], path[128];

static kv *store_of(const char *policy, uint64_t root)
{
    kv *s = NULL;
    err e = {0};
    kv_options o = {.pages = 16, .prefix_tree = true, .root = root};
    if (kv_policy_parse(&o.policy, policy, NULL, &e) || kv_new(&s, &shape, &o, &e))
        fail_msg("%s", e.msg);
    return s;
}

// Sequences of finite values that differ from place to place.
static kv_seq *filled(kv *s, int n)
{
    kv_seq *q;
    int32_t tokens[LENGTH];
    assert_int_equal(kv_seq_new(s, &q, NULL), ST_OK);
    assert_int_equal(kv_seq_reserve(q, n, NULL), ST_OK);
    for (int i = 0; i < n; i++)
        tokens[i] = i * 3;
    for (int page = 0; page * DEV_PAGE < n; page++)
        for (int b = 0; b < shape.layers * 2; b++) {
            uint16_t *x = (uint16_t *)(void *)kv_seq_view(q).pages[page]->block[b / 2][b % 2].plane[0];
            for (size_t i = 0; i < dev_kv_block_bytes(&shape) / 2; i++)
                x[i] = (uint16_t)(0x3000 + (i * 37 + (size_t)b * 101 + (size_t)page * 13) % 4096);
        }
    kv_seq_append(q, tokens, n);
    kv_adapt(s, -1);
    return q;
}

static void expect_equal(const kv_seq *a, const kv_seq *b)
{
    int32_t x[LENGTH], y[LENGTH];
    int n = kv_seq_length(a);
    assert_int_equal(kv_seq_length(b), n);
    kv_seq_tokens(a, x);
    kv_seq_tokens(b, y);
    assert_memory_equal(x, y, (size_t)n * sizeof *x);
    for (int page = 0; page < n / DEV_PAGE; page++)
        for (int i = 0; i < shape.layers * 2; i++) {
            const dev_kv_block *p = &kv_seq_view(a).pages[page]->block[i / 2][i % 2],
                               *q = &kv_seq_view(b).pages[page]->block[i / 2][i % 2];
            assert_int_equal(p->level, q->level);
            for (int k = 0; k < DEV_KV_PLANES; k++)
                if (p->plane[k])
                    assert_memory_equal(
                        p->plane[k], q->plane[k],
                        dev_kv_plane_bytes(&shape, (enum dev_kv_side)(i % 2), (enum dev_kv_plane)k));
        }
    if (n % DEV_PAGE) {  // V of the last token
        size_t at = (size_t)(n % DEV_PAGE - 1) * 16;
        const uint16_t *p =
            (const uint16_t *)(const void *)kv_seq_view(a).pages[n / DEV_PAGE]->block[2][1].plane[0];
        const uint16_t *q =
            (const uint16_t *)(const void *)kv_seq_view(b).pages[n / DEV_PAGE]->block[2][1].plane[0];
        assert_memory_equal(p + at, q + at, 16 * sizeof *p);
        for (int i = n % DEV_PAGE * 16; i < DEV_PAGE * 16; i++)
            assert_int_equal(q[i], 0);  // what lay behind the last token is not in the file
    }
}

static void sequences_come_back_at_their_levels(void **state)
{
    (void)state;
    static const char *const policies[] = {"f16", "uniform:q8", "uniform:q4,k=q8", "uniform:q2", "window:64"};
    static const int lengths[] = {0, 1, 64, 130, 300};
    for (size_t i = 0; i < COUNT_OF(policies); i++)
        for (size_t j = 0; j < COUNT_OF(lengths); j++) {
            kv *s = store_of(policies[i], 7), *t = store_of("f16", 7);
            kv_seq *q = filled(s, lengths[j]), *r;
            err e = {0};
            assert_int_equal(kv_seq_save(q, path, &e), ST_OK);
            if (kv_seq_load(t, path, LENGTH, &r, &e))
                fail_msg("%s", e.msg);
            expect_equal(q, r);
            kv_seq_free(q);
            kv_seq_free(r);
            kv_forget_prefixes(t);
            assert_int_equal(kv_plane_bytes(t), 0);
            kv_free(s);
            kv_free(t);
        }
}

static void other_models_and_small_stores_refuse(void **state)
{
    (void)state;
    kv *s = store_of("uniform:q8", 7), *t = store_of("f16", 8);
    kv_seq *q = filled(s, 200), *r = q;
    err e;
    assert_int_equal(kv_seq_save(q, path, &e), ST_OK);
    assert_int_equal(kv_seq_load(t, path, LENGTH, &r, &e), ST_INVALID);
    assert_null(r);
    assert_non_null(strstr(e.msg, "another model"));
    assert_int_equal(kv_seq_load(s, path, 199, &r, &e), ST_LIMIT);
    assert_int_equal(kv_seq_load(s, "/nonexistent/file", LENGTH, &r, &e), ST_NOTFOUND);
    assert_int_equal(kv_seq_save(q, "/nonexistent/file", &e), ST_IO);
    kv_seq_free(q);
    kv_free(s);
    kv_free(t);
}

static char *read_all(size_t *n)
{
    char *data;
    assert_int_equal(os_read_file(path, 1 << 24, &data, n, NULL), ST_OK);
    return data;
}

static void write_all(const char *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

// Every byte matters, and so does every byte that is missing.
static void damaged_files_are_refused(void **state)
{
    (void)state;
    kv *s = store_of("uniform:q4", 7);
    kv_seq *q = filled(s, 130), *r;
    err e;
    assert_int_equal(kv_seq_save(q, path, &e), ST_OK);
    kv_seq_free(q);
    size_t n;
    char *data = read_all(&n);
    for (size_t i = 0; i < n; i += i < 700 ? 1 : 97) {
        data[i] ^= 0x10;
        write_all(data, n);
        assert_true(kv_seq_load(s, path, LENGTH, &r, &e) < 0);
        assert_null(r);
        data[i] ^= 0x10;
        write_all(data, i);
        assert_int_equal(kv_seq_load(s, path, LENGTH, &r, &e), ST_FORMAT);
    }
    write_all(data, n);
    assert_int_equal(kv_seq_load(s, path, LENGTH, &r, &e), ST_OK);
    kv_seq_free(r);
    mem_free(data);
    kv_free(s);
}

// A child that saves q is stopped whenever it enters or leaves the system, and killed at the n-th stop: between two stops
// it changes nothing that outlives it. 1: killed; 0: the save ended before; -1: children cannot be traced here.
static int save_killed_at(const kv_seq *q, int n)
{
    enum { NO_TRACE = 77 };
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(NO_TRACE);
        raise(SIGSTOP);
        _exit(kv_seq_save(q, path, NULL) ? 1 : 0);
    }
    assert_true(child > 0);
    for (int i = 0; i <= n; i++) {  // the first stop is the child's own
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NO_TRACE);
            return WEXITSTATUS(status) ? -1 : 0;
        }
        assert_true(WIFSTOPPED(status));
        if (i < n)
            assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return 1;
}

// The path of what lies in the folder beside the file: one thing at most.
static bool find_left_over(char *name, size_t cap)
{
    bool found = false;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d));)
        if (f->d_name[0] != '.' && strcmp(f->d_name, "session") != 0) {
            assert_false(found);
            found = true;
            snprintf(name, cap, "%s/%s", folder, f->d_name);
        }
    closedir(d);
    return found;
}

static kv_seq *loaded(kv *s, const char *from)
{
    kv_seq *r;
    err e = {0};
    if (kv_seq_load(s, from, LENGTH, &r, &e))
        fail_msg("%s", e.msg);
    return r;
}

// A process killed at any moment leaves the old file or the new one, and nothing that is not whole.
static void a_killed_save_leaves_a_whole_file(void **state)
{
    (void)state;
    kv *s = store_of("uniform:q8", 7);
    kv_seq *was = filled(s, 130), *now = filled(s, 300);
    int killed = 1, olds = 0, news = 0;
    int nameless = os_open_nameless(path);
    if (nameless >= 0)
        close(nameless);
    for (int n = 0; killed > 0; n++) {
        char left[sizeof folder + 256];
        assert_int_equal(kv_seq_save(was, path, NULL), ST_OK);
        killed = save_killed_at(now, n);
        assert_true(n < 1000);
        if (killed < 0)
            break;
        kv_seq *r = loaded(s, path);
        bool is_new = kv_seq_length(r) == 300;
        expect_equal(is_new ? now : was, r);
        kv_seq_free(r);
        assert_true(is_new || killed > 0);
        news += is_new;
        olds += !is_new;
        if (find_left_over(left, sizeof left)) {
            if (nameless >= 0) {
                r = loaded(s, left);
                expect_equal(now, r);
                kv_seq_free(r);
            }
            unlink(left);
        }
    }
    kv_seq_free(was);
    kv_seq_free(now);
    kv_free(s);
    if (killed < 0)
        skip();
    assert_true(olds > 20 && news > 1);  // writes of 4 KiB, and what is after the renaming
}

static void pages_of_prompts_outlive_the_store(void **state)
{
    (void)state;
    int32_t tokens[LENGTH];
    kv *s = store_of("f16", 7), *t = store_of("f16", 7), *other = store_of("f16", 9);
    kv_seq *q = filled(s, 300), *r;
    kv_seq_tokens(q, tokens);
    assert_int_equal(kv_seq_save_pages(q, 0, folder), 4);
    assert_int_equal(kv_seq_save_pages(q, 0, folder), 0);
    assert_int_equal(kv_seq_new(t, &r, NULL), ST_OK);
    assert_int_equal(kv_seq_load_pages(r, tokens, 200, folder), 192);
    kv_seq_truncate(q, 192);
    expect_equal(q, r);
    kv_seq_truncate(r, 64);
    kv_forget_prefixes(t);
    tokens[100]++;
    assert_int_equal(kv_seq_load_pages(r, tokens + 64, 200, folder), 0);  // another text from here on
    kv_seq_free(r);
    assert_int_equal(kv_seq_new(other, &r, NULL), ST_OK);
    tokens[100]--;
    assert_int_equal(kv_seq_load_pages(r, tokens, 200, folder), 0);  // another model
    kv_seq_free(r);
    kv_seq_free(q);
    kv_free(s);
    kv_free(t);
    kv_free(other);
}

// Also those that are done without, so that success does not say that all have been met.
static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    enum { MORE_THAN_ALL = 60 };
    kv *s = store_of("uniform:q8", 7);
    kv_seq *q = filled(s, 200), *r = NULL;
    uint64_t held = kv_plane_bytes(s);
    int failures = 0, rc = ST_NOMEM;
    for (uint64_t n = 1; n <= MORE_THAN_ALL; n++) {
        mem_fail_nth(n);
        rc = kv_seq_save(q, path, NULL);
        if (!rc)
            rc = kv_seq_load(s, path, LENGTH, &r, NULL);
        mem_fail_nth(0);
        failures += rc != 0;
        if (r)
            expect_equal(q, r);
        kv_seq_free(r);
        r = NULL;
        kv_forget_prefixes(s);
        assert_true(kv_plane_bytes(s) <= held);
    }
    assert_int_equal(rc, ST_OK);
    assert_true(failures > 6);  // tokens, path, name, record; tokens, record, sequence, its list
    kv_seq_free(q);
    kv_free(s);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/irori-kv-test-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/session", folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_come_back_at_their_levels),
        cmocka_unit_test(other_models_and_small_stores_refuse),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_killed_save_leaves_a_whole_file),
        cmocka_unit_test(pages_of_prompts_outlive_the_store),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    os_trim_dir(folder, "", 0);
    rmdir(folder);
    return failed;
}

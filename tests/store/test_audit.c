// The audit log: every change of it is found, kills and full disks leave it whole, and what looks personal is hidden.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/store.h"

static store_audit a;
static char folder[256];

static char *path_of(const char *file)
{
    static char path[1000];
    snprintf(path, sizeof path, "%s/%s", a.dir, file);
    return path;
}

static void write_lines(int n)
{
    err e = {0};
    for (int i = 0; i < n; i++)
        if (store_audit_write(&a, "\"event\":\"run\"", 13, &e))
            fail_msg("%s", e.msg);
}

static int verify(const char *known, err *e)
{
    store_audit_head h;
    return store_audit_verify(&a, known, &h, e);
}

static void found(const char *says)
{
    err e = {0};
    assert_int_equal(verify(NULL, &e), ST_FORMAT);
    if (!strstr(e.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, says);
}

static void put(const char *file, const char *text, size_t n)
{
    assert_int_equal(os_write_file(path_of(file), text, n, NULL), ST_OK);
}

static void get(const char *file, char **text, size_t *n)
{
    assert_int_equal(os_read_file(path_of(file), 1 << 20, text, n, NULL), ST_OK);
}

static int each_anew(void **state)
{
    (void)state;
    char command[1100];
    assert_int_equal(store_audit_open(&a, folder, NULL), ST_OK);
    snprintf(command, sizeof command, "rm -rf '%s'", a.dir);
    return system(command);
}

static void whole(void **state)
{
    (void)state;
    store_audit_head h;
    assert_int_equal(store_audit_verify(&a, NULL, &h, NULL), ST_OK);
    assert_int_equal(h.lines, 0);
    write_lines(5);
    assert_int_equal(store_audit_verify(&a, NULL, &h, NULL), ST_OK);
    assert_int_equal(h.lines, 5);
    char known[100];
    snprintf(known, sizeof known, "5:%s", h.hash);
    write_lines(2);
    assert_int_equal(verify(known, NULL), ST_OK);
    known[0] = '4';
    assert_int_equal(verify(known, NULL), ST_FORMAT);
    assert_int_equal(verify("x", NULL), ST_INVALID);
}

// Each byte of each line: any change is found.
static void any_change(void **state)
{
    (void)state;
    size_t n;
    write_lines(3);
    char *text;
    get("log.jsonl", &text, &n);
    for (size_t i = 0; i < n; i++) {
        char was = text[i];
        text[i] = (char)(was == 'x' ? 'y' : 'x');
        put("log.jsonl", text, n);
        if (verify(NULL, NULL) != ST_FORMAT)
            fail_msg("a change of byte %zu was not found", i);
        text[i] = was;
    }
    for (size_t cut = 1; cut <= n; cut++) {  // truncated anywhere
        put("log.jsonl", text, n - cut);
        assert_int_equal(verify(NULL, NULL), ST_FORMAT);
    }
    mem_free(text);
}

static void lines_removed_and_moved(void **state)
{
    (void)state;
    size_t n;
    write_lines(4);
    char *text, *line[5];
    get("log.jsonl", &text, &n);
    line[0] = text;
    for (int i = 1; i < 5; i++)
        line[i] = strchr(line[i - 1], '\n') + 1;
    buf b;
    buf_init(&b);
    static const int orders[][4] = {{0, 1, 3, -1}, {1, 2, 3, -1}, {0, 2, 1, 3}, {0, 1, 1, 2}, {0, 1, 2, -1}};
    for (size_t k = 0; k < COUNT_OF(orders); k++) {
        buf_clear(&b);
        for (int i = 0; i < 4 && orders[k][i] >= 0; i++)
            buf_add(&b, line[orders[k][i]], (size_t)(line[orders[k][i] + 1] - line[orders[k][i]]));
        put("log.jsonl", b.data, b.len);
        found(k == 4 ? "cut off" : "removed or moved");
    }
    assert_int_equal(unlink(path_of("log.jsonl")), 0);
    found("cut off");
    err e = {0};
    assert_int_equal(store_audit_write(&a, "", 0, &e),
                     ST_FORMAT);  // it is not gone on with as if nothing were
    buf_done(&b);
    mem_free(text);
}

static void rotated(void **state)
{
    (void)state;
    a.most = 600;
    write_lines(20);
    assert_int_equal(access(path_of("log-000003.jsonl"), F_OK), 0);
    assert_int_equal(verify(NULL, NULL), ST_OK);
    // A kill after a log was set aside and before the head said so:
    size_t n, k;
    char *head, *text;
    get("head.json", &head, &n);
    get("log.jsonl", &text, &k);
    const char *field = strstr(head, "\"log\":");
    assert_non_null(field);
    unsigned log = (unsigned)strtoul(field + 6, NULL, 10);
    char file[32];
    snprintf(file, sizeof file, "log-%06u.jsonl", log);
    put(file, text, k);
    assert_int_equal(unlink(path_of("log.jsonl")), 0);
    assert_int_equal(verify(NULL, NULL), ST_OK);
    write_lines(3);
    assert_int_equal(verify(NULL, NULL), ST_OK);
    assert_int_equal(unlink(path_of("log-000002.jsonl")), 0);
    found("is missing");
    mem_free(head);
    mem_free(text);
}

// A kill between a line and its head, and one in the middle of a line.
static void killed(void **state)
{
    (void)state;
    size_t n, k;
    write_lines(2);
    char *head, *text;
    get("head.json", &head, &n);
    write_lines(1);
    get("log.jsonl", &text, &k);
    put("head.json", head, n);
    assert_int_equal(verify(NULL, NULL), ST_OK);
    put("log.jsonl", text, k - 5);
    write_lines(1);  // the cut line was never acknowledged
    store_audit_head h;
    assert_int_equal(store_audit_verify(&a, NULL, &h, NULL), ST_OK);
    assert_int_equal(h.lines, 3);
    mem_free(head);
    mem_free(text);
}

static void full_disk(void **state)
{
    (void)state;
    write_lines(3);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit was, small = {.rlim_cur = 700};
    getrlimit(RLIMIT_FSIZE, &was);
    small.rlim_max = was.rlim_max;
    size_t n;
    char *text;
    get("log.jsonl", &text, &n);
    mem_free(text);
    small.rlim_cur = n + 20;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(store_audit_write(&a, "", 0, NULL), ST_IO);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(verify(NULL, NULL), ST_OK);
    write_lines(1);
    assert_int_equal(verify(NULL, NULL), ST_OK);
}

static void many_processes(void **state)
{
    (void)state;
    store_audit_head h;
    a.most = 2000;
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            int bad = 0;
            for (int k = 0; k < 25; k++)
                bad += store_audit_write(&a, "", 0, NULL) != ST_OK;
            _exit(bad ? 1 : 0);
        }
    for (int i = 0, status; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(store_audit_verify(&a, NULL, &h, NULL), ST_OK);
    assert_int_equal(h.lines, 100);
}

static void redaction(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"write to a.b+c@mail.example.org, please", "write to [e-mail], please"},
        {"me@host and @home", "me@host and @home"},
        {"call +81 90-1234-5678 now", "call [number] now"},
        {"\xe9\x9b\xbb\xe8\xa9\xb1"
         "090-1234-5678"
         "\xe3\x81\xa7\xe3\x81\x99",
         "\xe9\x9b\xbb\xe8\xa9\xb1[number]\xe3\x81\xa7\xe3\x81\x99"},
        {"card 4111 1111 1111 1111.", "card [card]."},
        {"card 4111-1111-1111-1111!", "card [card]!"},
        {"(03) 1234-5678 x", "[number] x"},
        {"on 2026-12-01 at 10:30, 1,234.5", "on 2026-12-01 at 10:30, 1,234.5"},
        {"v1234567890", "v1234567890"},
        {"", ""},
        {"a@b.c@d.e", "[e-mail]@d.e"},
    };
    buf b;
    buf_init(&b);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        buf_clear(&b);
        buf_add_str(&b, "");
        store_redact(pairs[i][0], strlen(pairs[i][0]), &b);
        buf_add_char(&b, 0);
        assert_string_equal(b.data, pairs[i][1]);
    }
    buf_done(&b);
}

static bool take_number(void *ctx, const char *p, size_t n)
{
    char **at = ctx;
    assert_int_equal(p[n - 1], '}');
    *at += sprintf(*at, "%d ", atoi(p + strlen("{\"n\":")));
    return true;
}

static void tail_is(uint64_t before, size_t most, const char *numbers)
{
    char got[200] = "", *at = got;
    uint64_t lines;
    assert_int_equal(store_audit_tail(&a, before, most, take_number, &at, &lines, NULL), ST_OK);
    assert_string_equal(got, numbers);
}

static void read_backwards(void **state)
{
    (void)state;
    tail_is(0, 9, "");
    a.most = 300;  // two lines a log
    write_lines(7);
    tail_is(0, 3, "7 6 5 ");
    tail_is(5, 9, "4 3 2 1 ");
    tail_is(1, 9, "");
    tail_is(100, 1, "7 ");
    char *text;
    size_t n;
    get("log.jsonl", &text, &n);
    put("log.jsonl", text, n - 1);  // a line that is being written
    mem_free(text);
    tail_is(0, 1, "6 ");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/irori-audit-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

int main(void)
{
#define ANEW(test) cmocka_unit_test_setup_teardown(test, each_anew, each_anew)
    const struct CMUnitTest tests[] = {
        ANEW(whole),          ANEW(any_change), ANEW(lines_removed_and_moved),
        ANEW(rotated),        ANEW(killed),     ANEW(full_disk),
        ANEW(many_processes), ANEW(redaction),  ANEW(read_backwards),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

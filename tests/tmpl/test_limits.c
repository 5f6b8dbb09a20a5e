// Hostile templates and inputs end by their limits with a clear error (one that did not would meet CTest's); failed
// allocations lose nothing; threads share a parsed template.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tmpl/support.h"

static const tmpl_input plain = {.messages_json = "[{\"role\":\"user\",\"content\":\"hello\"}]"};

static void expect(const char *src, size_t n, const tmpl_input *in, int code, const char *words)
{
    tmpl_output out;
    err e = {0};
    int rc = support_render(src, n, in, &out, &e);
    if (rc != code || !strstr(e.msg, words))
        fail_msg("%.60s: got %d %s, expected %d %s", src, rc, e.msg, code, words);
    assert_null(out.text);
    assert_int_equal(e.code, code);
}

static void test_work(void **state)
{
    (void)state;
    static const struct {
        const char *src, *words;
    } rows[] = {
        {"{% set r = range(100000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}", "steps"},
        {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", ""},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "levels deep"},
        {"{% set ns = namespace(s='xxxxxxxx') %}{% for a in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
         "bytes"},
        {"{% set s = ' ' * 1000000 %}{% for a in range(100000) %}{% set b = s.strip() %}{% endfor %}",
         "steps"},
        {"{% set s = ' ' * 1000000 %}{% for a in range(100000) %}{% set b = s.split() %}{% endfor %}",
         "steps"},
        {"{% set s = 'ab' * 500000 %}{% for a in range(100000) %}{% set b = s.count('b') %}{% endfor %}",
         "steps"},
        {"{% set s = 'a' * 1000000 %}{% for a in range(100000) %}{% set b = s.rfind('b' + s[:9000]) %}{% endfor %}",
         ""},
        {"{% set s = 'a' * 1000000 %}{% for a in range(100000) %}{% set b = s is upper %}{% set b = s.isalpha() %}{% endfor %}",
         "steps"},
        {"{% set l = range(100000) %}{% for a in l %}{% set b = l|sum %}{% endfor %}", "steps"},
        {"{% set l = range(100000) %}{% for a in l %}{% set b = -1 in l %}{% set b = l.count(1) %}{% endfor %}",
         "steps"},
        {"{% set l = range(100000) %}{% for a in l %}{% set b = l|sort|unique|max %}{% endfor %}", ""},
        {"{% set s = 'a' * 1000000 %}{% for a in range(100000) %}{% set b = s|upper|title|trim('ba') %}{% endfor %}",
         ""},
        {"{% set d = {} %}{% for a in range(100000) %}{% for k in range(100) %}{% set _ = d.update({a * 100 + k: a}) %}{% endfor %}{% endfor %}",
         ""},
        {"{{ 'x' * 9000000000000000000 }}", "bytes"},
        {"{{ [1] * 9000000000000000000 }}", ""},
        {"{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", "levels deep"},
        {"{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}", "levels deep"},
        {"{% set l = [1] %}{% for x in l %}{% set _ = l.append(1) %}{% endfor %}", ""},
        {"{% set l = [1] %}{% set _ = l.extend(l) %}{% for a in range(60) %}{% set _ = l.extend(l) %}{% endfor %}",
         ""},
        {"{{ 'x'.center(90000000000) }}", "bytes"},
        {"{{ '%999999d' % 1 }}", "10000"},
        {"{{ '{:999999}'.format(1) }}", "10000"},
        {"{{ range(100001) }}", "100000"},
        {"{{ 9223372036854775807 + 1 }}", "64 bits"},
        {"{{ 9223372036854775807 * 2 }}", "64 bits"},
        {"{{ -9223372036854775807 - 2 }}", "64 bits"},
        {"{{ 2 ** 64 }}", "64 bits"},
        {"{{ 99999999999999999999 }}", "64 bits"},
        {"{{ '99999999999999999999'|int }}", "64 bits"},
        {"{{ 1e300|int }}", "64 bits"},
        {"{% for n in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "levels deep"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect(rows[i].src, strlen(rows[i].src), &plain, ST_LIMIT, rows[i].words);
}

// `open` n times, then `close` n times.
static char *nested(const char *open, const char *middle, const char *close, size_t n)
{
    buf b;
    buf_init(&b);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&b, open);
    buf_add_str(&b, middle);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&b, close);
    return buf_take(&b);
}

static void test_nesting(void **state)
{
    (void)state;
    static const struct {
        const char *before, *open, *middle, *close, *after;
    } rows[] = {
        {"{{ ", "(", "1", ")", " }}"},
        {"{{ ", "[", "", "]", " }}"},
        {"{{ ", "{1:", "1", "}", " }}"},
        {"{{ ", "-", "1", "", " }}"},
        {"{{ ", "not ", "1", "", " }}"},
        {"", "{% if 1 %}", "", "{% endif %}", ""},
        {"", "{% for x in y %}", "", "{% endfor %}", ""},
        {"{{ x", ".a", "", "", " }}"},
        {"{{ 1", "+1", "", "", " }}"},
        {"{{ 1", "|abs", "", "", " }}"},
        {"{{ 1", " if 1 else 2", "", "", " }}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *core = nested(rows[i].open, rows[i].middle, rows[i].close, 100000), *src = NULL;
        assert_true(asprintf(&src, "%s%s%s", rows[i].before, core, rows[i].after) > 0);
        tmpl_output out;
        err e;
        int rc = support_render(src, strlen(src), &plain, &out, &e);
        if (rc != ST_LIMIT && rc != ST_FORMAT)
            fail_msg("%.20s...: %d", src, rc);
        free(src);
        mem_free(core);
    }
    char *deep = nested("[", "", "]", 1500);
    tmpl_input in = plain;
    in.messages_json = deep;
    expect("x", 1, &in, ST_LIMIT, "levels deep");
    mem_free(deep);
}

static void test_inputs(void **state)
{
    (void)state;
    static const struct {
        tmpl_input in;
        const char *words;
    } rows[] = {
        {{.messages_json = NULL}, "messages_json is missing"},
        {{.messages_json = ""}, "messages_json is not JSON"},
        {{.messages_json = "[{]"}, "line 1"},
        {{.messages_json = "{}"}, "must be a JSON array, not dict"},
        {{.messages_json = "[]", .tools_json = "5"}, "tools_json must be a JSON array"},
        {{.messages_json = "[]", .extra_json = "[]"}, "extra_json must be a JSON object"},
        {{.messages_json = "[123456789012345678901234567890]"}, "integer"},
        {{.messages_json = "[\"\xff\"]"}, "byte 0xff"},
        {{.messages_json = "[]", .bos_token = "\xc0"}, "bos_token is not UTF-8 at byte 0"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect("{{ bos_token }}", 15, &rows[i].in, ST_INVALID, rows[i].words);
    expect("a\xff", 2, &plain, ST_FORMAT, "not UTF-8 at byte 1");
    expect("{{ 'a\0' ", 8, &plain, ST_FORMAT, "ends inside a tag");
    expect("a\nb{% if x", 10, &plain, ST_FORMAT, "line 2: the template ends inside a tag; expected %}");
    expect("\n\n{% if x %}", 12, &plain, ST_FORMAT,
           "line 3: expected {% endif %}, found the end of the template");
    expect("{% do x %}", 10, &plain, ST_UNSUPPORTED, "{% do %}");
    expect("{{ 'a'.zfill(3) }}", 18, &plain, ST_UNSUPPORTED, "zfill");
    expect("{{ raise_exception('no\\nway') }}", 32, &plain, ST_INVALID, "no?way");
    tmpl *t;
    err e;
    char *big = mem_calloc(MEM_OTHER, 1, (4 << 20) + 1);
    assert_int_equal(tmpl_parse(&t, big, (4 << 20) + 1, &e), ST_LIMIT);
    assert_null(t);
    mem_free(big);
    assert_int_equal(tmpl_parse(&t, "{{", 2, NULL), ST_FORMAT);  // nobody asks why
    tmpl_free(NULL);
}

// Appending to one text in a loop takes memory in proportion to the text, not to its square.
static void test_appending(void **state)
{
    (void)state;
    static const char src[] =
        "{% set ns = namespace(s='') %}{% for a in range(50000) %}{% set ns.s = ns.s + 'twelve bytes' %}"
        "{% endfor %}{{ ns.s|length }}";
    tmpl_output out;
    err e = {0};
    int rc = support_render(src, strlen(src), &plain, &out, &e);
    if (rc != ST_OK)
        fail_msg("%s", e.msg);
    assert_string_equal(out.text, "600000");
    tmpl_output_done(&out);
}

static const char everything[] =
    "{%- macro m(a, b='x') -%}<{{ a|upper }}{{ b }}{{ varargs }}>{%- endmacro -%}\n"
    "{% set ns = namespace(n=0, s='') %}{% for m_ in messages if m_.content %}{% set ns.n = ns.n + 1 %}"
    "{% set ns.s = ns.s ~ m_.role ~ ': ' ~ m_.content|trim ~ '\n' %}{{ m(m_.content, 'y', 3) }}{% endfor %}"
    "{{ ns.s }}{{ messages|tojson(indent=2) }}{{ '%s-%05.1f' % ('a', 2.5) }}{{ 'a,b'.split(',')|join('|') }}"
    "{{ messages|map(attribute='role')|unique|sort|list }}{{ '{:>9}'.format(ns.n) }}{{ '[1, 2]'|from_json }}";

static void test_allocations(void **state)
{
    (void)state;
    tmpl_input in = plain;
    in.tools_json = "[{\"a\": [1, 2.5, null, true]}]";
    in.bos_token = "<s>";
    mem_stats before, after;
    mem_get_stats(&before);
    size_t failed = 0;
    for (uint64_t n = 1;; n++) {
        tmpl_output out;
        err e = {0};
        mem_fail_nth(n);
        int rc = support_render(everything, sizeof everything - 1, &in, &out, &e);
        mem_fail_nth(0);
        if (rc == ST_OK) {
            tmpl_output_done(&out);
            break;
        }
        assert_int_equal(rc, ST_NOMEM);
        assert_int_equal(e.code, ST_NOMEM);
        assert_null(out.text);
        failed++;
    }
    mem_get_stats(&after);
    assert_true(failed > 8);
    assert_true(before.bytes == after.bytes);
}

typedef struct job {
    const tmpl *t;
    char *text;
} job;

static void *render_often(void *arg)
{
    job *j = arg;
    for (int i = 0; i < 50; i++) {
        tmpl_output out;
        if (tmpl_render(j->t, &plain, &out, NULL) != ST_OK)
            return NULL;
        mem_free(j->text);
        j->text = mem_strndup(MEM_OTHER, out.text, out.len);
        tmpl_output_done(&out);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    tmpl *t;
    job jobs[4] = {{0}};
    pthread_t threads[4];
    assert_int_equal(tmpl_parse(&t, everything, sizeof everything - 1, NULL), ST_OK);
    for (int i = 0; i < 4; i++) {
        jobs[i].t = t;
        assert_int_equal(pthread_create(&threads[i], NULL, render_often, &jobs[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) {
        assert_non_null(jobs[i].text);
        assert_string_equal(jobs[i].text, jobs[0].text);
    }
    for (int i = 0; i < 4; i++)
        mem_free(jobs[i].text);
    tmpl_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work),      cmocka_unit_test(test_nesting),     cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_appending), cmocka_unit_test(test_allocations), cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

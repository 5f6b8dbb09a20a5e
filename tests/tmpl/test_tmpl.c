// The template engine against what Jinja2 gives (tools/oracle/tmpl_expected.py): language snippets, and every
// chat template of the data folder in every context.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tmpl/support.h"

static uint64_t fnv1a(const char *p, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001B3u;
    return h;
}

// True when the outcome is the one the row expects; says what differs otherwise.
static bool matches(const json_t *row, const char *label, int rc, const tmpl_output *out, const err *e)
{
    const json_t *text = json_object_get(row, "text"), *hash = json_object_get(row, "fnv1a");
    const char *raised = json_string_value(json_object_get(row, "raised"));
    const char *undefined = json_string_value(json_object_get(row, "undefined"));
    char got[20];
    if (text || hash) {
        if (rc != ST_OK) {
            print_error("%s: %s\n", label, e->msg);
            return false;
        }
        if (!support_segments_fit(out)) {
            print_error("%s: segments do not fit the text\n", label);
            return false;
        }
        snprintf(got, sizeof got, "%016llx", (unsigned long long)fnv1a(out->text, out->len));
        if (hash && strcmp(got, json_string_value(hash)) == 0)
            return true;
        if (text && json_string_length(text) == out->len &&
            memcmp(json_string_value(text), out->text, out->len) == 0)
            return true;
        print_error("%s: got\n%s|\nexpected\n%s|\n", label, out->text,
                    text ? json_string_value(text) : "another hash");
        return false;
    }
    bool ok = raised ? rc == ST_INVALID && strncmp(e->msg, raised, sizeof e->msg - 1) == 0
                     : (rc == ST_FORMAT || rc == ST_LIMIT) && (!undefined || strstr(e->msg, undefined));
    if (!ok)
        print_error("%s: got %d %s, expected %s\n", label, rc, rc ? e->msg : out->text,
                    raised      ? raised
                    : undefined ? undefined
                                : json_string_value(json_object_get(row, "error")));
    return ok;
}

static void test_language(void **state)
{
    (void)state;
    json_t *rows = support_load(DATA "language_expected.json"),
           *snippets = support_load(DATA "snippets.json"), *row;
    context c = context_open(snippets);
    size_t i, wrong = 0;
    assert_true(json_array_size(rows) > 100);
    json_array_foreach(rows, i, row)
    {
        const json_t *src = json_object_get(row, "source");
        tmpl_output out;
        err e = {0};
        int rc = support_render(json_string_value(src), json_string_length(src), &c.in, &out, &e);
        wrong += !matches(row, json_string_value(src), rc, &out, &e);
        tmpl_output_done(&out);
    }
    context_close(&c);
    json_decref(snippets);
    json_decref(rows);
    assert_int_equal(wrong, 0);
}

static void test_templates(void **state)
{
    (void)state;
    support_need_templates();
    json_t *contexts = support_load(DATA "contexts.json"),
           *rows = support_load(DATA "templates_expected.json"), *row;
    size_t i, wrong = 0;
    char last[256] = "";
    tmpl *t = NULL;
    assert_true(json_array_size(rows) >= 40 * json_array_size(contexts));
    json_array_foreach(rows, i, row)
    {
        const char *name = json_string_value(json_object_get(row, "template"));
        const char *in_context = json_string_value(json_object_get(row, "context"));
        if (strcmp(name, last) != 0) {
            tmpl_free(t);
            t = support_template(name);
            snprintf(last, sizeof last, "%s", name);
        }
        context c = context_open(support_context(contexts, in_context));
        tmpl_output out;
        err e = {0};
        char label[400];
        snprintf(label, sizeof label, "%s in %s", name, in_context);
        int rc = tmpl_render(t, &c.in, &out, &e);
        wrong += !matches(row, label, rc, &out, &e);
        tmpl_output_done(&out);
        context_close(&c);
    }
    tmpl_free(t);
    json_decref(rows);
    json_decref(contexts);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The template engine against what Jinja2 gives (tools/oracle/tmpl_expected.py): language snippets, and every
// chat template of the data folder in every context; origins; limits; failed allocations.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/base.h"
#include "tmpl/tmpl.h"

#define DATA IRORI_SOURCE_DIR "/tests/tmpl/data/"
#define TEMPLATES IRORI_DATA_DIR "/chat-templates"

enum { NOW = 1753600000 };  // also in the oracle

// A context of the JSON files as tmpl_input; owns its texts.
typedef struct context {
    tmpl_input in;
    char *messages, *tools, *extra;
} context;

static char *part(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

static context context_open(const json_t *o)
{
    context c = {.messages = part(o, "messages"), .tools = part(o, "tools"), .extra = part(o, "extra")};
    c.in = (tmpl_input){
        .messages_json = c.messages ? c.messages : "[]",
        .tools_json = c.tools,
        .extra_json = c.extra,
        .add_generation_prompt = json_is_true(json_object_get(o, "add_generation_prompt")),
        .bos_token = json_string_value(json_object_get(o, "bos_token")),
        .eos_token = json_string_value(json_object_get(o, "eos_token")),
        .now = NOW,
    };
    return c;
}

static void context_close(context *c)
{
    free(c->messages);
    free(c->tools);
    free(c->extra);
}

static json_t *load(const char *path)
{
    json_error_t e;
    json_t *j = json_load_file(path, JSON_ALLOW_NUL, &e);
    if (!j)
        fail_msg("%s: line %d: %s", path, e.line, e.text);
    return j;
}

static uint64_t fnv1a(const char *p, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001B3u;
    return h;
}

// Segments adjoin, alternate, and cover the text.
static bool segments_fit(const tmpl_output *out)
{
    size_t at = 0;
    for (size_t i = 0; i < out->n_segments; i++) {
        const tmpl_segment *s = &out->segments[i];
        if (s->from != at || s->len == 0 || (i > 0 && s->origin == s[-1].origin))
            return false;
        at += s->len;
    }
    return at == out->len && out->text[out->len] == 0;
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
        if (!segments_fit(out)) {
            print_error("%s: segments do not fit the text\n", label);
            return false;
        }
        snprintf(got, sizeof got, "%016llx", (unsigned long long)fnv1a(out->text, out->len));
        if (hash && strcmp(got, json_string_value(hash)) == 0)
            return true;
        if (text && json_string_length(text) == out->len && memcmp(json_string_value(text), out->text, out->len) == 0)
            return true;
        print_error("%s: got\n%s|\nexpected\n%s|\n", label, out->text, text ? json_string_value(text) : "another hash");
        return false;
    }
    bool ok = raised ? rc == ST_INVALID && strncmp(e->msg, raised, sizeof e->msg - 1) == 0
                     : (rc == ST_FORMAT || rc == ST_LIMIT) && (!undefined || strstr(e->msg, undefined));
    if (!ok)
        print_error("%s: got %d %s, expected %s\n", label, rc, rc ? e->msg : out->text,
                    raised ? raised : undefined ? undefined : json_string_value(json_object_get(row, "error")));
    return ok;
}

static int render_source(const char *src, size_t n, const tmpl_input *in, tmpl_output *out, err *e)
{
    tmpl *t;
    *out = (tmpl_output){0};
    int rc = tmpl_parse(&t, src, n, e);
    if (rc != ST_OK)
        return rc;
    rc = tmpl_render(t, in, out, e);
    tmpl_free(t);
    return rc;
}

static void test_language(void **state)
{
    (void)state;
    json_t *rows = load(DATA "language_expected.json"), *snippets = load(DATA "snippets.json"), *row;
    context c = context_open(snippets);
    size_t i, wrong = 0;
    assert_true(json_array_size(rows) > 100);
    json_array_foreach(rows, i, row) {
        const json_t *src = json_object_get(row, "source");
        tmpl_output out;
        err e = {0};
        int rc = render_source(json_string_value(src), json_string_length(src), &c.in, &out, &e);
        wrong += !matches(row, json_string_value(src), rc, &out, &e);
        tmpl_output_done(&out);
    }
    context_close(&c);
    json_decref(snippets);
    json_decref(rows);
    assert_int_equal(wrong, 0);
}

static const json_t *context_named(const json_t *all, const char *name)
{
    size_t i;
    json_t *c;
    json_array_foreach(all, i, c)
        if (strcmp(json_string_value(json_object_get(c, "name")), name) == 0)
            return c;
    fail_msg("no context %s", name);
    return NULL;
}

static tmpl *template_open(const char *name)
{
    char path[1024], *src;
    size_t n;
    err e;
    tmpl *t;
    snprintf(path, sizeof path, "%s/%s", TEMPLATES, name);
    if (os_read_file(path, 1 << 20, &src, &n, &e) != ST_OK)
        fail_msg("%s", e.msg);
    if (tmpl_parse(&t, src, n, &e) != ST_OK)
        fail_msg("%s: %s", name, e.msg);
    mem_free(src);
    return t;
}

static void need_templates(void)
{
    DIR *d = opendir(TEMPLATES);
    if (!d) {
        print_message("no chat templates in %s; skipped\n", TEMPLATES);
        skip();
    }
    closedir(d);
}

static void test_templates(void **state)
{
    (void)state;
    need_templates();
    json_t *contexts = load(DATA "contexts.json"), *rows = load(DATA "templates_expected.json"), *row;
    size_t i, wrong = 0;
    char last[256] = "";
    tmpl *t = NULL;
    assert_true(json_array_size(rows) >= 40 * json_array_size(contexts));
    json_array_foreach(rows, i, row) {
        const char *name = json_string_value(json_object_get(row, "template"));
        const char *in_context = json_string_value(json_object_get(row, "context"));
        if (strcmp(name, last) != 0) {
            tmpl_free(t);
            t = template_open(name);
            snprintf(last, sizeof last, "%s", name);
        }
        context c = context_open(context_named(contexts, in_context));
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

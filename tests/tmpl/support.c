// What the tests of the template engine share.
#include "tmpl/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *part(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

context context_open(const json_t *o)
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

void context_close(context *c)
{
    free(c->messages);
    free(c->tools);
    free(c->extra);
}

json_t *support_load(const char *path)
{
    json_error_t e;
    json_t *j = json_load_file(path, JSON_ALLOW_NUL, &e);
    if (!j)
        fail_msg("%s: line %d: %s", path, e.line, e.text);
    return j;
}

bool support_segments_fit(const tmpl_output *out)
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

int support_render(const char *src, size_t n, const tmpl_input *in, tmpl_output *out, err *e)
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

const json_t *support_context(const json_t *all, const char *name)
{
    size_t i;
    json_t *c;
    json_array_foreach(all, i,
                       c) if (strcmp(json_string_value(json_object_get(c, "name")), name) == 0) return c;
    fail_msg("no context %s", name);
    return NULL;
}

tmpl *support_template(const char *name)
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

void support_need_templates(void)
{
    DIR *d = opendir(TEMPLATES);
    if (!d) {
        print_message("no chat templates in %s; skipped\n", TEMPLATES);
        skip();
    }
    closedir(d);
}

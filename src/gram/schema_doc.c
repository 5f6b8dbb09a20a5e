// The document of a schema: reading, references, and places for messages.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gram/schema.h"

enum { LONGEST = 16 << 20, DEEPEST = 256 };

bool schema_push(schema_list *l, const json_t *v, bool negative)
{
    if (!v || !gram_grow(&l->at, &l->cap, l->n, sizeof *l->at))
        return false;
    l->at[l->n++] = (schema_literal){v, negative};
    return true;
}

const json_t *schema_keep(schema *s, json_t *v)
{
    return v && json_array_append_new(s->made, v) == 0 ? v : NULL;
}

// Writes the path of `what` below `at`; false when it is not there.
static bool find_path(const json_t *at, const json_t *what, buf *path)
{
    size_t n = path->len, i;
    const char *key;
    json_t *v;
    if (at == what)
        return true;
    if (json_is_object(at)) {
        json_object_foreach((json_t *)at, key, v)
        {
            buf_printf(path, "/%.60s", key);
            if (find_path(v, what, path))
                return true;
            path->len = n;
        }
    } else if (json_is_array(at)) {
        json_array_foreach((json_t *)at, i, v)
        {
            buf_printf(path, "/%zu", i);
            if (find_path(v, what, path))
                return true;
            path->len = n;
        }
    }
    return false;
}

int schema_fail(schema *s, int code, const json_t *at, const char *keyword, const char *why)
{
    buf path;
    buf_init(&path);
    buf_add_str(&path, "#");
    bool known = at && find_path(s->root, at, &path) && !path.failed;
    err_set(s->e, code, "JSON schema: \"%s\" at %.*s %s", keyword, known ? (int)MIN(path.len, 200) : 1,
            known ? path.data : "#", why);
    buf_done(&path);
    return code;
}

static int add_name(schema *s, const char *name, const json_t *v)
{
    if (json_object_get(s->ids, name))
        return ST_OK;  // the first one holds, as in the draft's own tests of duplicates
    if (!gram_grow(&s->named, &s->named_cap, s->n_named, sizeof *s->named))
        return ST_NOMEM;
    s->named[s->n_named] = v;
    return json_object_set_new(s->ids, name, json_integer((json_int_t)s->n_named++)) ? ST_NOMEM : ST_OK;
}

// Collects $id, id and $anchor; checks the depth.
static int collect(schema *s, const json_t *v, int depth)
{
    int rc = ST_OK;
    const char *key;
    size_t i;
    json_t *kid;
    if (depth > DEEPEST)
        return err_set(s->e, ST_LIMIT, "JSON schema: nested deeper than %d", DEEPEST);
    if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i, kid) if (!rc) rc = collect(s, kid, depth + 1);
        return rc;
    }
    if (!json_is_object(v))
        return ST_OK;
    static const char *const words[] = {"$id", "id", "$anchor"};
    for (size_t w = 0; w < COUNT_OF(words) && !rc; w++) {
        const char *name = json_string_value(json_object_get(v, words[w]));
        char anchor[256];
        if (!name)
            continue;
        if (w == 2) {
            snprintf(anchor, sizeof anchor, "#%s", name);
            name = anchor;
        }
        rc = add_name(s, name, v);
        size_t len = strlen(name);
        if (!rc && len > 1 && name[len - 1] == '#') {  // "http://x/y#" is "http://x/y"
            snprintf(anchor, sizeof anchor, "%.*s", (int)(len - 1), name);
            rc = add_name(s, anchor, v);
        }
    }
    if (rc)
        return err_set(s->e, rc, "no memory for a JSON schema");
    json_object_foreach((json_t *)v, key, kid) if (!rc && strcmp(key, "const") != 0 &&
                                                   strcmp(key, "enum") != 0) rc = collect(s, kid, depth + 1);
    return rc;
}

int schema_load(schema *s, const char *text, size_t n)
{
    json_error_t why;
    if (n > LONGEST)
        return err_set(s->e, ST_LIMIT, "a JSON schema of %zu bytes, allowed %d", n, LONGEST);
    s->root = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (!s->root)
        return err_set(s->e, ST_FORMAT, "JSON schema: line %d: %s", why.line, why.text);
    s->ids = json_object();
    s->made = json_array();
    if (!s->ids || !s->made)
        return err_set(s->e, ST_NOMEM, "no memory for a JSON schema");
    const char *draft = json_string_value(json_object_get(s->root, "$schema"));
    s->siblings = !draft || !(strstr(draft, "draft-03") || strstr(draft, "draft-04") ||
                              strstr(draft, "draft-06") || strstr(draft, "draft-07"));
    return collect(s, s->root, 0);
}

void schema_unload(schema *s)
{
    json_decref(s->root);
    json_decref(s->ids);
    json_decref(s->made);
    mem_free(s->named);
    mem_free(s->literals.at);
    mem_free(s->goal);
    mem_free(s->way);
    gram_index_done(&s->goals);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

// One step of a JSON pointer out of a URI fragment, decoded: "%25", "~1", "~0". Moves *p behind it.
static bool pointer_step(const char **p, char *out, size_t cap)
{
    size_t n = 0;
    const char *s = *p;
    while (*s && *s != '/') {
        char c = *s++;
        if (c == '%' && hex(s[0]) >= 0 && hex(s[1]) >= 0) {
            c = (char)(hex(s[0]) << 4 | hex(s[1]));
            s += 2;
        }
        if (c == '~') {
            if (*s != '0' && *s != '1')
                return false;
            c = *s++ == '1' ? '/' : '~';
        }
        if (n + 1 >= cap)
            return false;
        out[n++] = c;
    }
    out[n] = 0;
    *p = s;
    return true;
}

static const json_t *follow_pointer(const json_t *at, const char *p)
{
    char step[1024];
    while (at && *p == '/') {
        p++;
        if (!pointer_step(&p, step, sizeof step))
            return NULL;
        if (json_is_array(at)) {
            char *end;
            unsigned long i = strtoul(step, &end, 10);
            at = *step && !*end ? json_array_get(at, i) : NULL;
        } else {
            at = json_object_get(at, step);
        }
    }
    return *p ? NULL : at;
}

static const json_t *named(const schema *s, const char *name, size_t n)
{
    char key[1024];
    if (n >= sizeof key)
        return NULL;
    memcpy(key, name, n);
    key[n] = 0;
    const json_t *i = json_object_get(s->ids, key);
    return i ? s->named[json_integer_value(i)] : NULL;
}

int schema_follow(schema *s, const json_t *from, const json_t *ref, const json_t **out)
{
    const char *r = json_string_value(ref);
    *out = NULL;
    if (!r)
        return schema_fail(s, ST_FORMAT, from, "$ref", "is no text");
    const char *mark = strchr(r, '#');
    size_t base = mark ? (size_t)(mark - r) : strlen(r);
    const char *fragment = mark ? mark + 1 : "";
    *out = named(s, r, strlen(r));
    const json_t *document = base == 0 ? s->root : named(s, r, base);
    // Within a document, "file.json#..." of its own name is written in many ways: by the last part alone, too.
    const char *own = json_string_value(json_object_get(s->root, "$id"));
    if (!own)
        own = json_string_value(json_object_get(s->root, "id"));
    if (!document && own) {
        const char *slash = strrchr(own, '/');
        size_t n = strlen(own);
        n -= n && own[n - 1] == '#';
        if (slash && (size_t)(own + n - slash) == base + 1 && memcmp(slash + 1, r, base) == 0)
            document = s->root;
    }
    if (!*out && document)
        *out = *fragment == 0 ? document : *fragment == '/' ? follow_pointer(document, fragment) : NULL;
    if (!*out)
        return schema_fail(s, document ? ST_FORMAT : ST_UNSUPPORTED, from, "$ref",
                           document ? "names nothing that is there"
                                    : "names another document, which is not fetched");
    if (!json_is_object(*out) && !json_is_boolean(*out))
        return schema_fail(s, ST_FORMAT, from, "$ref", "names what is no schema");
    return ST_OK;
}

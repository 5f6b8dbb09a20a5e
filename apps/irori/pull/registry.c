// Where names lead: the well-known public registries, and those of the person's own file.
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pull/source.h"

static const registry known[] = {
    {"hf.co", REGISTRY_HUB, "https://huggingface.co", "HF_TOKEN", false},
    {"huggingface.co", REGISTRY_HUB, "https://huggingface.co", "HF_TOKEN", false},
    {"registry.ollama.ai", REGISTRY_OLLAMA, "https://registry.ollama.ai", "", true},
    {"ollama.com", REGISTRY_OLLAMA, "https://registry.ollama.ai", "", false},
};

static bool fits(const registry *r, const char *host)
{
    return *host ? strcasecmp(r->name, host) == 0 : r->is_default;
}

static bool read_text(const json_t *o, const char *key, char *out, size_t cap)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && snprintf(out, cap, "%s", s) < (int)cap;
}

static bool read_line(const json_t *o, registry *out)
{
    char kind[16] = "";
    *out = (registry){.is_default = json_is_true(json_object_get(o, "default"))};
    bool good = read_text(o, "name", out->name, sizeof out->name) &&
                read_text(o, "url", out->url, sizeof out->url) && read_text(o, "kind", kind, sizeof kind);
    read_text(o, "token_env", out->token_env, sizeof out->token_env);
    size_t n = strlen(out->url);
    if (n && out->url[n - 1] == '/')
        out->url[n - 1] = 0;
    out->kind = strcmp(kind, "hub") == 0 ? REGISTRY_HUB : REGISTRY_OLLAMA;
    return good && (strcmp(kind, "hub") == 0 || strcmp(kind, "ollama") == 0);
}

// ST_NOTFOUND: the person has no such line.
static int find_own(const char *host, registry *out, err *e)
{
    char path[1024], *text;
    size_t n;
    if (!os_config_dir("irori/registries.json", path, sizeof path))
        return ST_NOTFOUND;
    int rc = os_read_file(path, 1 << 20, &text, &n, e);
    if (rc)
        return rc;
    json_error_t why;
    json_t *all = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why), *line;
    size_t i;
    mem_free(text);
    if (!json_is_array(all)) {
        json_decref(all);
        return err_set(e, ST_FORMAT, "%s: must be a JSON array of registries (docs/STORE.md)", path);
    }
    rc = ST_NOTFOUND;
    json_array_foreach(all, i, line)
    {
        registry r;
        if (!read_line(line, &r))
            rc = err_set(e, ST_FORMAT, "%s: entry %zu needs \"name\", \"url\", and \"kind\" hub or ollama",
                         path, i + 1);
        else if (rc == ST_NOTFOUND && fits(&r, host)) {
            *out = r;
            rc = ST_OK;
        }
        if (rc == ST_FORMAT)
            break;
    }
    json_decref(all);
    return rc;
}

int registry_find(const char *host, registry *out, err *e)
{
    int rc = find_own(host, out, e);
    if (rc != ST_NOTFOUND)
        return rc;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (fits(&known[i], host)) {
            *out = known[i];
            return ST_OK;
        }
    *out = (registry){.kind = REGISTRY_OLLAMA};
    snprintf(out->name, sizeof out->name, "%.127s", host);
    snprintf(out->url, sizeof out->url, "https://%.127s", host);
    return ST_OK;
}

// See source.h.
#include "pull/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int source_add(source *s, const char *url, const char *name, const char *digest, uint64_t bytes, err *e)
{
    source_file *more = s->n_files < STORE_FILES
                            ? mem_realloc(MEM_OTHER, s->files, (s->n_files + 1) * sizeof *more)
                            : NULL;
    if (!more)
        return err_set(e, ST_NOMEM, "no memory for a list of files, or over %d files", STORE_FILES);
    s->files = more;
    source_file *f = &s->files[s->n_files++];
    *f = (source_file){.bytes = bytes};
    f->url = mem_strndup(MEM_OTHER, url, strlen(url));
    f->name = mem_strndup(MEM_OTHER, name, strlen(name));
    snprintf(f->digest, sizeof f->digest, "%s", digest);
    return f->url && f->name ? ST_OK : err_set(e, ST_NOMEM, "no memory for a list of files");
}

void source_done(source *s)
{
    for (size_t i = 0; i < s->n_files; i++) {
        mem_free(s->files[i].url);
        mem_free(s->files[i].name);
    }
    mem_free(s->files);
    mem_free(s->license);
    mem_free(s->system);
    mem_free(s->parameters);
    *s = (source){0};
}

// Any URL: one file, about which nothing is known.
static int find_url(const net *n, const char *url, source *out, err *e)
{
    char origin[NET_URL], name[256];
    size_t len = strcspn(url, "?#");
    int rc = net_origin(n, url, origin, e);
    if (rc)
        return rc;
    snprintf(out->shown, sizeof out->shown, "%.*s", (int)MIN(len, 500),
             url);  // what is behind '?' may be a secret
    const char *slash = out->shown;
    for (const char *c = slash; *c; c++)
        slash = *c == '/' ? c + 1 : slash;
    size_t k = 0;
    for (const char *c = slash; *c && k + 1 < sizeof name; c++)
        name[k++] = (char)((unsigned char)*c < 33 || *c == 127 ? '-' : *c);
    name[k] = 0;
    if (k == 0 || name[0] == '.')
        return err_set(e, ST_INVALID, "%.200s: the URL must end in the name of a model file", url);
    rc = store_name_from_file(name, &out->name, e);
    return rc ? rc : source_add(out, url, name, "", 0, e);
}

// The token for a registry, from the variable that its line names, when none was given.
static int give_token(net *n, const registry *r, err *e)
{
    const char *token = *r->token_env ? getenv(r->token_env) : NULL;
    if (!n->token && token && *token &&
        !(n->token = mem_strndup(MEM_OTHER, token, strcspn(token, "\r\n \t"))))
        return err_set(e, ST_NOMEM, "no memory for a token");
    return n->token ? net_origin(n, r->url, n->token_origin, e) : ST_OK;
}

int source_find(net *n, const char *text, source *out, err *e)
{
    *out = (source){0};
    const char *scheme = strstr(text, "://");
    int rc;
    if (scheme) {
        rc = n->token ? net_origin(n, text, n->token_origin, e) : ST_OK;
        rc = rc ? rc : find_url(n, text, out, e);
        if (rc)
            source_done(out);
        return rc;
    }
    rc = store_name_parse(text, strlen(text), &out->name, e);
    if (rc)
        return rc;
    // The first of several parts is a host when it looks like one.
    char host[128] = "", path[STORE_NAME], tag[STORE_NAME] = "";
    const char *slash = strchr(text, '/');
    size_t first = slash ? (size_t)(slash - text) : 0;
    bool has_host = slash && (memchr(text, '.', first) || memchr(text, ':', first) ||
                              strncmp(text, "localhost/", 10) == 0);
    if (has_host)
        snprintf(host, sizeof host, "%.*s", (int)MIN(first, sizeof host - 1), text);
    snprintf(path, sizeof path, "%s", has_host ? slash + 1 : text);
    char *colon = strrchr(path, ':');
    if (colon) {
        snprintf(tag, sizeof tag, "%s", colon + 1);
        *colon = 0;
    }
    registry r;
    rc = registry_find(host, &r, e);
    if (!rc)
        rc = give_token(n, &r, e);
    snprintf(out->shown, sizeof out->shown, "%s/%s%s%s", r.name, path, *tag ? ":" : "", tag);
    if (!rc)
        rc = r.kind == REGISTRY_HUB ? source_hub(n, &r, path, tag, out, e)
                                    : source_ollama(n, &r, path, tag, out, e);
    if (rc)
        source_done(out);
    return rc;
}

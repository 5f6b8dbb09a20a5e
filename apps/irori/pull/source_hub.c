// Hugging Face's kind of hub: a repository of files, told by its API with sizes and hashes, given by its resolve endpoint.
// https://huggingface.co/docs/hub/api
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pull/source.h"

enum { ANSWER = 16 << 20 };

static bool good_path(const char *s)
{
    size_t n = strlen(s);
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127 || *c == '\\')
            return false;
    return n > 5 && n < 200 && s[0] != '/' && s[0] != '.' && !strstr(s, "..") && !strstr(s, "//") &&
           !strstr(s, "/.") && strcasecmp(s + n - 5, ".gguf") == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_';
}

// Whether `word` stands in the name as a whole: "Q4_K" is not in "m-Q4_K_M.gguf".
static bool has_word(const char *name, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = name; *at; at++)
        if (strncasecmp(at, word, n) == 0 && (at == name || !is_word(at[-1])) && !is_word(at[n]))
            return true;
    return false;
}

// Whether the name is that of a first part, or of a file that is not split; files beside the model are none.
static bool is_candidate(const char *path)
{
    const char *name = base_name(path), *of = strstr(name, "-of-");
    return strncasecmp(name, "mmproj", 6) != 0 && strncasecmp(name, "imatrix", 7) != 0 &&
           (!of || strstr(name, "-00001-of-"));
}

// The file that a tag means: by name, by quantization; without a tag the usual one.
static const char *choose(const json_t *siblings, const char *tag, err *e)
{
    static const char *const usual[] = {"Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0"};
    char there[300] = "";
    const char *only = NULL, *found = NULL, *preferred = NULL;
    size_t i, n = 0, rank = COUNT_OF(usual);
    json_t *one;
    bool any = !*tag || strcmp(tag, "latest") == 0;
    json_array_foreach(siblings, i, one)
    {
        const char *path = json_string_value(json_object_get(one, "rfilename"));
        if (!path || !good_path(path) || !is_candidate(path))
            continue;
        only = path;
        n++;
        size_t used = strlen(there);
        snprintf(there + used, sizeof there - used, "%s%s", n > 1 ? ", " : "", base_name(path));
        if (!any && !found && (strcasecmp(base_name(path), tag) == 0 || has_word(base_name(path), tag)))
            found = path;
        for (size_t k = 0; any && k < rank; k++)
            if (has_word(base_name(path), usual[k])) {
                preferred = path;
                rank = k;
            }
    }
    if (any)
        found = preferred ? preferred : n == 1 ? only : NULL;
    if (!found && n == 0)
        err_set(e, ST_NOTFOUND, "the repository has no .gguf file");
    else if (!found)
        err_set(e, ST_NOTFOUND, "no file %s%s; there are: %s", any ? "is the usual one" : "for ",
                any ? "" : tag, there);
    return found;
}

static int add_file(const registry *r, const char *repo, const char *revision, const json_t *one, source *out,
                    err *e)
{
    const char *path = json_string_value(json_object_get(one, "rfilename"));
    const json_t *lfs = json_object_get(one, "lfs"), *size = json_object_get(lfs ? lfs : one, "size");
    const char *sha = json_string_value(json_object_get(lfs, "sha256"));
    char digest[STORE_HEX] = "", url[NET_URL];
    if (sha && !store_digest_parse(sha, digest))
        return err_set(e, ST_FORMAT, "%.100s: its hash is no SHA-256", path);
    size_t at = (size_t)snprintf(url, sizeof url, "%s/%s/resolve/%s/", r->url, repo, revision);
    for (const char *c = path; *c && at + 4 < sizeof url; c++) {
        if (is_word(*c) || strchr("-./~", *c))
            url[at++] = *c;
        else
            at += (size_t)snprintf(url + at, 4, "%%%02X", (unsigned char)*c);
    }
    url[at] = 0;
    int64_t bytes = (int64_t)json_integer_value(size);
    return source_add(out, url, base_name(path), digest, bytes > 0 ? (uint64_t)bytes : 0, e);
}

static const json_t *find_path(const json_t *siblings, const char *path)
{
    size_t i;
    json_t *one;
    json_array_foreach(siblings, i, one)
    {
        const char *its = json_string_value(json_object_get(one, "rfilename"));
        if (its && strcmp(its, path) == 0)
            return one;
    }
    return NULL;
}

// The chosen file, or all parts of a split one.
static int add_parts(const registry *r, const char *repo, const char *revision, const json_t *siblings,
                     const char *path, source *out, err *e)
{
    const char *mark = strstr(path, "-00001-of-");
    unsigned parts = 1;
    if (mark && (sscanf(mark, "-00001-of-%5u", &parts) != 1 || parts < 1 || parts > STORE_FILES))
        return err_set(e, ST_FORMAT, "%.100s: a split file of more than %d parts", path, STORE_FILES);
    for (unsigned i = 0; i < parts; i++) {
        char part[256];
        snprintf(part, sizeof part, "%s", path);
        if (mark) {
            char number[16];
            snprintf(number, sizeof number, "%05u", i + 1);
            memcpy(part + (mark - path) + 1, number, 5);
        }
        const json_t *one = find_path(siblings, part);
        int rc = one ? add_file(r, repo, revision, one, out, e)
                     : err_set(e, ST_NOTFOUND, "the repository lacks %.100s", part);
        if (rc)
            return rc;
    }
    return ST_OK;
}

static int read_repository(const registry *r, const char *repo, const char *tag, const json_t *about,
                           source *out, err *e)
{
    const json_t *siblings = json_object_get(about, "siblings");
    const char *revision = json_string_value(json_object_get(about, "sha"));
    const char *license = json_string_value(json_object_get(json_object_get(about, "cardData"), "license"));
    if (!json_is_array(siblings))
        return err_set(e, ST_FORMAT, "the hub's answer has no list of files");
    if (!revision || strspn(revision, "0123456789abcdef") != strlen(revision) || strlen(revision) > 64)
        revision = "main";
    if (license && !(out->license = mem_strndup(MEM_OTHER, license, MIN(strlen(license), 100))))
        return err_set(e, ST_NOMEM, "no memory for a licence's name");
    if (out->license)
        utf8_make_printable(out->license);
    const char *path = choose(siblings, tag, e);
    return path ? add_parts(r, repo, revision, siblings, path, out, e) : e ? e->code : ST_NOTFOUND;
}

int source_hub(const net *n, const registry *r, const char *path, const char *tag, source *out, err *e)
{
    char url[NET_URL];
    const char *slash = strchr(path, '/');
    if (!slash || strchr(slash + 1, '/'))
        return err_set(e, ST_INVALID,
                       "%s/%s: a hub's models are named %s/ORGANIZATION/REPOSITORY[:QUANTIZATION]", r->name,
                       path, r->name);
    snprintf(url, sizeof url, "%s/api/models/%s/revision/main?blobs=true", r->url, path);
    buf body;
    buf_init(&body);
    int rc = net_get(n, url, "application/json", ANSWER, &body, e);
    json_t *about = rc ? NULL : json_loadb(body.len ? body.data : "", body.len, 0, NULL);
    if (!rc && !about)
        rc = err_set(e, ST_FORMAT, "%.200s: the answer is not JSON", url);
    if (!rc) {
        rc = read_repository(r, path, tag, about, out, e);
        if (rc)
            err_prefix(e, "%s/%s", r->name, path);
    }
    json_decref(about);
    buf_done(&body);
    return rc;
}

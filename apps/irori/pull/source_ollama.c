// Ollama's kind of registry: a manifest of layers by digest, as container registries have it
// (https://github.com/opencontainers/distribution-spec), with Ollama's media types for what a layer is.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "pull/source.h"

#define MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"
#define LAYER "application/vnd.ollama.image."

enum { MANIFEST = 4 << 20, TEXT = 1 << 20, LAYERS = 64 };

typedef struct place {
    const net *n;
    char blobs[NET_URL - 100];  // URL up to the digest
} place;

// A small layer, compared with its digest.
static int get_text(const place *p, const char *digest, char **out, err *e)
{
    char url[NET_URL], hex[STORE_HEX];
    buf body;
    buf_init(&body);
    snprintf(url, sizeof url, "%ssha256:%s", p->blobs, digest);
    int rc = net_get(p->n, url, "*/*", TEXT, &body, e);
    store_sha_bytes(body.len ? body.data : "", body.len, hex);
    if (!rc && strcmp(hex, digest) != 0)
        rc = err_set(e, ST_FORMAT, "%.200s: came with another SHA-256", url);
    if (!rc && (memchr(body.len ? body.data : "", 0, body.len) || !(*out = buf_take(&body))))
        rc = err_set(e, ST_FORMAT, "%.200s: not a text", url);
    buf_done(&body);
    return rc;
}

static int read_parameters(const place *p, const char *digest, source *out, err *e)
{
    int rc = out->parameters ? ST_OK : get_text(p, digest, &out->parameters, e);
    json_t *o = rc ? NULL : json_loads(out->parameters, JSON_REJECT_DUPLICATES, NULL);
    if (!rc && !json_is_object(o))
        rc = err_set(e, ST_FORMAT, "the model's parameters are not a JSON object");
    json_decref(o);
    return rc;
}

static int read_layer(const place *p, const json_t *layer, source *out, err *e)
{
    const char *type = json_string_value(json_object_get(layer, "mediaType"));
    const char *text = json_string_value(json_object_get(layer, "digest"));
    const json_t *size = json_object_get(layer, "size");
    char digest[STORE_HEX], url[NET_URL];
    if (!type || !text || strncmp(text, "sha256:", 7) != 0 || !store_digest_parse(text, digest) ||
        !json_is_integer(size) || json_integer_value(size) < 0)
        return err_set(e, ST_FORMAT, "a layer without a type, a SHA-256 or a size");
    if (strcmp(type, LAYER "adapter") == 0)
        return err_set(e, ST_UNSUPPORTED,
                       "the model is an adapter over another; pull that, and use the adapter with --lora");
    if (strcmp(type, LAYER "system") == 0)
        return out->system ? ST_OK : get_text(p, digest, &out->system, e);
    if (strcmp(type, LAYER "params") == 0)
        return read_parameters(p, digest, out, e);
    if (strcmp(type, LAYER "model") != 0)
        return ST_OK;  // a template in another language than the model file's own, a licence's text, a projector
    snprintf(url, sizeof url, "%ssha256:%s", p->blobs, digest);
    return source_add(out, url, "model.gguf", digest, (uint64_t)json_integer_value(size), e);
}

static int read_manifest(const place *p, const json_t *manifest, source *out, err *e)
{
    const json_t *layers = json_object_get(manifest, "layers"), *layer;
    size_t i;
    int rc = ST_OK;
    if (!json_is_array(layers) || json_array_size(layers) > LAYERS)
        return err_set(e, ST_FORMAT, "the manifest has no list of at most %d layers", LAYERS);
    json_array_foreach(layers, i, layer) if (!rc) rc = read_layer(p, layer, out, e);
    if (!rc && out->n_files != 1)
        rc = err_set(e, ST_UNSUPPORTED, "the manifest has %zu model files, allowed is one", out->n_files);
    return rc;
}

int source_ollama(const net *n, const registry *r, const char *path, const char *tag, source *out, err *e)
{
    char url[NET_URL];
    place p = {.n = n};
    const char *space = strchr(path, '/') ? "" : "library/";
    snprintf(p.blobs, sizeof p.blobs, "%s/v2/%s%s/blobs/", r->url, space, path);
    snprintf(url, sizeof url, "%s/v2/%s%s/manifests/%s", r->url, space, path, *tag ? tag : "latest");
    buf body;
    buf_init(&body);
    int rc = net_get(n, url, MANIFEST_TYPE, MANIFEST, &body, e);
    json_t *manifest = rc ? NULL
                          : json_loadb(body.len ? body.data : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    if (!rc && !json_is_object(manifest))
        rc = err_set(e, ST_FORMAT, "%.200s: the answer is not a manifest", url);
    else if (!rc && (rc = read_manifest(&p, manifest, out, e)))
        err_prefix(e, "%s/%s", r->name, path);
    json_decref(manifest);
    buf_done(&body);
    return rc;
}

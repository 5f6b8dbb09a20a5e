// From what a person writes to the files to fetch: hubs, registries, URLs.
#ifndef PULL_SOURCE_H
#define PULL_SOURCE_H

#include "pull/net.h"
#include "store/store.h"

typedef struct source_file {
    char *url, *name;
    char digest[STORE_HEX];  // "": the source does not say
    uint64_t bytes;          // 0: the same
} source_file;

typedef struct source {
    store_name name;
    char shown[512];     // where it comes from, for people
    source_file *files;  // one, or the parts of a split model in order
    size_t n_files;
    char *license;              // NULL: the source does not say
    char *system, *parameters;  // as in store_manifest
} source;

// text: "URL", "hf.co/org/repo[:file or quantization]", "[host/][namespace/]model[:tag]". Sets the net's token from the
// environment when the registry's line names a variable and none is set. Asks the network. ST_INVALID, ST_NOTFOUND (it
// lists what there is), ST_UNSUPPORTED, and what net_get says.
int source_find(net *n, const char *text, source *out, err *e);
void source_done(source *s);

// ---- Registries ----
typedef enum registry_kind { REGISTRY_HUB, REGISTRY_OLLAMA } registry_kind;
typedef struct registry {
    char name[128];  // as the first part of a model's name
    registry_kind kind;
    char url[512];
    char token_env[64];  // variable that holds a token for it; "": none
    bool is_default;     // for names without a host
} registry;

// The line for a host, or for "" the default one: first the person's own (irori/registries.json in the config folder),
// then the known ones; a host that is in neither is a registry of Ollama's kind. ST_FORMAT: the person's file.
int registry_find(const char *host, registry *out, err *e);

// source_hub.c, source_ollama.c: what follows the host, and the tag ("": none was written).
int source_hub(const net *n, const registry *r, const char *path, const char *tag, source *out, err *e);
int source_ollama(const net *n, const registry *r, const char *path, const char *tag, source *out, err *e);
int source_add(source *s, const char *url, const char *name, const char *digest, uint64_t bytes, err *e);

#endif

// The door of the store room: the models of this machine by name, and what is remembered about them.
//
// A store is a folder. blobs/sha256-<hex> are the bytes of model files under their own hash, manifests/ has a small JSON
// file a name that says which blobs a model is made of, partial/ what is not yet whole, splits/ folders of links that
// give the parts of a split model their names back. Everything is written elsewhere, made durable and renamed, under a
// lock on the folder: a kill or a second process at any moment leaves a store in order (docs/STORE.md).
//
// Threads: a `store` is only read after store_open; the functions may be called from any thread and process.
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/base.h"
#include "store/audit.h"
#include "store/license.h"
#include "store/sha.h"

enum {
    STORE_PATH = 1024,   // most bytes of the folder's path, with its NUL
    STORE_NAME = 200,    // of a name
    STORE_FILES = 1024,  // of files of one model
};

typedef struct store {
    char root[STORE_PATH];
} store;

// dir NULL: $IRORI_MODELS, else irori/models in the user's data folder. Touches nothing. ST_INVALID.
int store_open(store *s, const char *dir, err *e);

// ---- Names ----
// One to four parts separated by '/', then ":tag" (":latest" when absent): letters, digits, '.', '_', '-'; a part begins
// with a letter or digit and has no ".."; the first of several may end in ":port".
typedef struct store_name {
    char text[STORE_NAME];  // with its tag
} store_name;
int store_name_parse(const char *text, size_t n, store_name *out, err *e);  // ST_INVALID
void store_name_short(const store_name *name, char out[STORE_NAME]);        // without ":latest"
// A name from a file's: what is not allowed in one becomes '-', ".gguf" goes.
int store_name_from_file(const char *path, store_name *out, err *e);

// ---- Manifests ----
typedef struct store_file {
    char digest[STORE_HEX];  // SHA-256, lower-case hex
    uint64_t bytes;
    char *name;  // as it came: no '/', printable
} store_file;

typedef struct store_manifest {
    store_name name;
    char *source;       // where it came from; no secrets
    int64_t created;    // seconds since 1970
    store_file *files;  // the model: one GGUF file, or the parts of a split one in order
    size_t n_files;
    char *system;       // NULL: none
    char *parameters;   // a JSON object of Ollama's names ("temperature", "num_ctx", ...); NULL: none
    char *license;      // as the file names it ("apache-2.0"); "": it does not
    char *base_models;  // "org/name, ..." that it was made from; "": it does not say
} store_manifest;

// Reads what store_manifest_write wrote, and trusts nothing: ST_FORMAT, ST_NOMEM. The name is the caller's.
int store_manifest_read(const char *json, size_t n, store_manifest *out, err *e);
void store_manifest_write(const store_manifest *m, buf *out);
void store_manifest_done(store_manifest *m);
uint64_t store_manifest_bytes(const store_manifest *m);

// ---- Looking ----
int store_find(const store *s, const store_name *name, store_manifest *out,
               err *e);  // ST_NOTFOUND, ST_FORMAT
// The file to open for a model, whose blobs are all there: ST_NOTFOUND names one that is not.
int store_model_path(const store *s, const store_manifest *m, char *out, size_t cap, err *e);
// All manifests, by name; those that cannot be read are left out and counted. store_list_free it.
int store_list(const store *s, store_manifest **out, size_t *n, size_t *broken, err *e);
void store_list_free(store_manifest *list, size_t n);
bool store_has_blob(const store *s, const char *hex, uint64_t *bytes);
void store_blob_path(const store *s, const char *hex, char out[STORE_PATH + 96]);

// ---- Changing ----
// A file that is being made for the store: partial/KEY + suffix. Makes the folder. ST_IO.
int store_partial_path(const store *s, const char *key, const char *suffix, char out[STORE_PATH + 96],
                       err *e);
// Removes the partials of pulls and imports that nobody works on; *freed: what they took on the disk.
int store_clean_partials(const store *s, bool pulls, uint64_t *freed, err *e);
// Whether `bytes` more fit on the disk of the store, beside a reserve of 256 MiB: ST_LIMIT says both numbers.
int store_check_room(const store *s, uint64_t bytes, err *e);

// What a model file says of its licence and base models, into m; a licence that m has stays when the file names none. Also
// the proof that it is a model file: what gguf_open says.
int store_read_license(const char *path, store_manifest *m, err *e);
// Takes a finished model in: renames partials[i] to the blob of files[i] (NULL, or a blob that is there already: nothing
// to rename), reads the licence again, and writes the manifest, replacing one of that name.
// Whoever fetched the partials has compared their hashes.
int store_commit(const store *s, store_manifest *m, const char *const *partials, err *e);
// A local file (and the other parts of a split one) as a model: hashed while it is copied; the copy shares its blocks with
// the file where the file system can. progress may be NULL; false stops (ST_CANCELED).
typedef bool store_progress(void *ctx, uint64_t done, uint64_t total);
int store_import(const store *s, const char *path, const store_name *name, store_progress *progress,
                 void *ctx, store_manifest *out, err *e);
int store_copy(const store *s, const store_name *from, const store_name *to, err *e);
// A name, and the blobs that no other name has; *freed: their bytes. Programs that have them open keep them.
int store_remove(const store *s, const store_name *name, uint64_t *freed, err *e);
// Reads a model's blobs again. ST_FORMAT: one holds other bytes than its hash says; ST_NOTFOUND: one is gone.
int store_verify(const store *s, const store_manifest *m, store_progress *progress, void *ctx, err *e);
// Moves everything to another folder (made if need be, else empty or one where a move was interrupted) and leaves a
// link behind. Copies are compared with their hashes before anything is removed.
int store_move(const store *s, const char *dir, store_progress *progress, void *ctx, err *e);

// ---- The licence ledger: ledger.jsonl, a line for each licence that someone accepted ----
typedef struct store_acceptance {
    bool accepted;
    char when[40], how[32];
} store_acceptance;
int store_accept(const store *s, const store_manifest *m, const char *how, err *e);
void store_accepted(const store *s, const store_manifest *m, store_acceptance *out);

#endif

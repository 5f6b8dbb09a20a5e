// The models a server has: files by name, opened when first asked for, kept for a while, closed again.
//
// A model that is used is never closed. One that is not is closed when its time is over, or sooner when another needs
// its memory: the one that was used longest ago first. Models that were marked stay. All functions are called from any thread.
#ifndef SERVER_MODELS_H
#define SERVER_MODELS_H

#include <irori.h>
#include <jansson.h>

#include "base/base.h"
#include "server/calls.h"

typedef struct models models;

typedef struct models_options {
    irori_model_options open;  // of every model
    const char *folder;        // further models: each .gguf file in it; NULL: none
    uint64_t budget;           // bytes for all open models; 0: three quarters of the machine's memory
    double keep_alive;         // seconds an unused model stays open; negative: for ever
    int queue;                 // irori_scheduler_options
    bool no_guess;             // the same
} models_options;

// An open model in use. Valid from models_use to models_release.
typedef struct models_open {
    const char *name, *path;
    irori_model *m;
    irori_scheduler *scheduler;
    irori_model_info info;
    calls_style style;
    const char *chat_template;  // "": none
    uint64_t bytes;             // counted against the budget
    int64_t file_time;          // seconds since 1970
    const char *system;         // of a model of the store that brings one; NULL: none
    char hash[80];  // what names the file's content: SHA-256 of a model of the store, else gguf_model_hash
    bool stored;    // which of the two
} models_open;

// Models of the store (docs/STORE.md) are there beside those given.
int models_new(models **out, const models_options *o, err *e);
// A file under its name (its own without .gguf), or a model of the store; `always`: opened now and never closed.
int models_add(models *x, const char *path, bool always, err *e);
// Ends all requests and closes all models; models_use then answers ST_CANCELED.
void models_look(models *x);  // at what came into the store, or left it, since
void models_stop(models *x);
void models_free(models *x);

// Finds the model (NULL or "": the first one; ":latest" is dropped) and opens it if need be, which may take long.
// keep_alive: seconds from its release on; NAN: as it was. ST_NOTFOUND, ST_NOMEM (no room beside those in use),
// ST_FORMAT (the file cannot be used). *loaded: seconds it took.
int models_use(models *x, const char *name, double keep_alive, const models_open **out, double *loaded,
               err *e);
// The same for those who cannot wait: ST_BUSY when the model is not open.
int models_use_open(models *x, const char *name, const models_open **out, err *e);
// Parameters that the model brings into requests, a new object; NULL: none, or no such model.
json_t *models_defaults(models *x, const char *name);
void models_release(models *x, const models_open *m);
// How an open model keeps keys and values (irori_model_options): copies of the texts into out[0] (policy) and out[1]
// (budget), mem_free them; changing them, for requests to come and whenever the file is opened again. ST_INVALID, ST_NOMEM.
int models_get_kv(models *x, const models_open *m, char *out[2], err *e);
int models_set_kv(models *x, const models_open *m, const char *policy, const char *budget, err *e);
// Whether an open model guesses ahead, also whenever the file is opened again.
void models_set_guess(models *x, const models_open *m, bool on);
int models_unload(models *x, const char *name, err *e);  // when nobody uses it; ST_NOTFOUND, ST_BUSY

// What there is, for lists.
typedef struct models_item {
    char *name, *path;
    uint64_t file_bytes;
    int64_t file_time;
    char digest[65];  // SHA-256 of a model of the store; "": a file
    bool is_open, always;
    uint64_t bytes;               // in memory, when open
    double seconds_left;          // until it is closed; negative: for ever
    irori_scheduler_stats stats;  // when open
} models_item;
int models_list(models *x, models_item **out, size_t *n, err *e);  // models_list_free it
void models_list_free(models_item *list, size_t n);
// The whole description of a model's file as JSON; json_decref it. ST_NOTFOUND and what opening says.
int models_describe(models *x, const char *name, json_t **out, err *e);
irori_model_options models_usual(const models *x);  // how models are opened that say nothing else
uint64_t models_budget(const models *x);
// What a model would take as it would be opened now; its speeds too, unless memory_only. *stored: it is of the store.
int models_plan(models *x, const char *name, bool memory_only, irori_plan *out, bool *stored, err *e);
const char *models_default(models *x);  // name of the first one; NULL: there is none
void models_counts(models *x, uint64_t *loads, uint64_t *unloads);

#endif

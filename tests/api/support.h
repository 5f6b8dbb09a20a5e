// What the api tests share: the demo models, their reference figures, sessions that fail the test when they do not
// open.
#ifndef TESTS_API_SUPPORT_H
#define TESTS_API_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <irori.h>
#include <jansson.h>
#include <cmocka.h>

enum { DEMO_MODELS = 2 };
extern const char *const demo_names[DEMO_MODELS];  // "irori-tiny", "irori-tiny-draft"

// Path of a demo model's file; valid until the next call.
const char *demo_path(const char *name);
// models/NAME.reference.json, or another file below the source folder; json_decref it.
json_t *demo_reference(const char *name);
json_t *load_json(const char *path);
// A whole file below the source folder; free it.
char *load_text(const char *path, size_t *bytes);

irori_model *open_model(const char *path, const irori_model_options *options);
irori_model *open_demo(const char *name, int threads);
// Greedy for sampling NULL.
irori_session *open_session(irori_model *m, const irori_sampling *sampling);
int32_t *tokens_of(const irori_model *m, const char *text, size_t bytes, unsigned flags, size_t *count);

#endif

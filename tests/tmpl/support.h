// What the tests of the template engine share: contexts from JSON files, templates from the data folder.
#ifndef TESTS_TMPL_SUPPORT_H
#define TESTS_TMPL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <jansson.h>
#include <cmocka.h>

#include "base/base.h"
#include "tmpl/tmpl.h"

#define DATA IRORI_SOURCE_DIR "/tests/tmpl/data/"
#define TEMPLATES IRORI_DATA_DIR "/chat-templates"

enum { NOW = 1753600000 };  // also in the oracle

// A context of the JSON files as tmpl_input; owns its texts.
typedef struct context {
    tmpl_input in;
    char *messages, *tools, *extra;
} context;

context context_open(const json_t *o);
void context_close(context *c);

json_t *support_load(const char *path);  // or fails the test
const json_t *support_context(const json_t *all, const char *name);
tmpl *support_template(const char *name);           // of the data folder, parsed
void support_need_templates(void);                  // skips the test when there is no such folder
bool support_segments_fit(const tmpl_output *out);  // they adjoin, alternate, and cover the text
int support_render(const char *src, size_t n, const tmpl_input *in, tmpl_output *out, err *e);

#endif

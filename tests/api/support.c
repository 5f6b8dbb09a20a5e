// See support.h.
#include "api/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const demo_names[DEMO_MODELS] = {"irori-tiny", "irori-tiny-draft"};

const char *demo_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/models/%s-f16.gguf", IRORI_SOURCE_DIR, name);
    return path;
}

json_t *load_json(const char *path)
{
    char full[512];
    json_error_t error;
    snprintf(full, sizeof full, "%s/%s", IRORI_SOURCE_DIR, path);
    json_t *j = json_load_file(full, 0, &error);
    if (!j)
        fail_msg("%s: %s", full, error.text);
    return j;
}

json_t *demo_reference(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "models/%s.reference.json", name);
    return load_json(path);
}

char *load_text(const char *path, size_t *bytes)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", IRORI_SOURCE_DIR, path);
    FILE *f = fopen(full, "rb");
    if (!f)
        fail_msg("%s cannot be read", full);
    size_t cap = 1 << 21;
    char *text = malloc(cap);
    assert_non_null(text);
    *bytes = fread(text, 1, cap, f);
    fclose(f);
    assert_true(*bytes > 0 && *bytes < cap);
    return text;
}

irori_model *open_model(const char *path, const irori_model_options *options)
{
    irori_model *m;
    irori_error e;
    if (irori_model_open(&m, path, options, &e))
        fail_msg("%s", e.message);
    return m;
}

irori_model *open_demo(const char *name, int threads)
{
    irori_model_options o = {.threads = threads, .context = 1024, .sessions = 4, .no_pin = true};
    return open_model(demo_path(name), &o);
}

irori_session *open_session(irori_model *m, const irori_sampling *sampling)
{
    static const irori_sampling greedy;
    irori_session *s;
    irori_error e;
    if (irori_session_new(&s, m, sampling ? sampling : &greedy, &e))
        fail_msg("%s", e.message);
    return s;
}

int32_t *tokens_of(const irori_model *m, const char *text, size_t bytes, unsigned flags, size_t *count)
{
    int32_t *ids;
    irori_error e;
    if (irori_tokenize(m, text, bytes, flags, &ids, count, &e))
        fail_msg("%s", e.message);
    return ids;
}

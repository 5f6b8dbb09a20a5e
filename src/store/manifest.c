// Manifests as JSON text. What is read may have been changed by anyone, so every field is checked: digests become file
// names, and names of files become links.
#include <jansson.h>
#include <string.h>

#include "store/own.h"

enum { VERSION = 1, TEXT = 1 << 20 };  // most bytes of a text in a manifest

static char *copy_text(const char *s)
{
    return mem_strndup(MEM_OTHER, s, strlen(s));
}

// A text field; *out stays NULL when it is absent and may be.
static int read_text(const json_t *o, const char *key, bool needed, char **out, err *e)
{
    const json_t *v = json_object_get(o, key);
    if (!v && !needed)
        return ST_OK;
    if (!json_is_string(v) || json_string_length(v) > TEXT ||
        strlen(json_string_value(v)) != json_string_length(v))
        return err_set(e, ST_FORMAT, "\"%s\" must be a text of at most %d bytes", key, TEXT);
    *out = copy_text(json_string_value(v));
    return *out ? ST_OK : err_set(e, ST_NOMEM, "no memory for a manifest");
}

static bool good_file_name(const char *s)
{
    size_t n = strlen(s);
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127 || *c == '/')
            return false;
    return n > 0 && n < 256 && s[0] != '.';
}

static int read_file(const json_t *o, store_file *f, err *e)
{
    const char *digest = json_string_value(json_object_get(o, "digest"));
    const json_t *bytes = json_object_get(o, "bytes");
    if (!digest || strncmp(digest, "sha256:", 7) != 0 || !store_digest_parse(digest, f->digest))
        return err_set(e, ST_FORMAT, "\"digest\" must be \"sha256:\" and 64 hex digits");
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 0)
        return err_set(e, ST_FORMAT, "\"bytes\" must be a whole number >= 0");
    f->bytes = (uint64_t)json_integer_value(bytes);
    int rc = read_text(o, "name", true, &f->name, e);
    if (!rc && !good_file_name(f->name))
        rc = err_set(e, ST_FORMAT, "\"%.60s\" is no name of a file", f->name);
    return rc;
}

static int read_files(const json_t *files, store_manifest *m, err *e)
{
    size_t n = json_array_size(files);
    uint64_t sum = 0;
    if (n == 0 || n > STORE_FILES)
        return err_set(e, ST_FORMAT, "\"files\" must be an array of 1..%d", STORE_FILES);
    m->files = mem_calloc(MEM_OTHER, n, sizeof *m->files);
    if (!m->files)
        return err_set(e, ST_NOMEM, "no memory for a manifest");
    int rc = ST_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        m->n_files++;
        rc = read_file(json_array_get(files, i), &m->files[i], e);
        if (!rc && (!check_add(sum, m->files[i].bytes, &sum) || sum > INT64_MAX))
            rc = err_set(e, ST_FORMAT, "\"bytes\" add up to more than a file system holds");
    }
    return rc;
}

static int read_parameters(const json_t *o, store_manifest *m, err *e)
{
    const json_t *p = json_object_get(o, "parameters");
    if (!p)
        return ST_OK;
    if (!json_is_object(p))
        return err_set(e, ST_FORMAT, "\"parameters\" must be an object");
    size_t n = json_dumpb(p, NULL, 0, JSON_COMPACT);
    m->parameters = n > 0 && n <= TEXT ? mem_alloc(MEM_OTHER, n + 1) : NULL;
    if (!m->parameters)
        return err_set(e, ST_FORMAT, "\"parameters\" are too long");
    json_dumpb(p, m->parameters, n, JSON_COMPACT);
    m->parameters[n] = 0;
    return ST_OK;
}

int store_manifest_read(const char *json, size_t n, store_manifest *out, err *e)
{
    *out = (store_manifest){0};
    json_error_t why;
    json_t *o = json_loadb(json, n, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        return err_set(e, ST_FORMAT, "not JSON: %.100s (byte %d)", why.text, why.position);
    int rc = ST_OK;
    const json_t *version = json_object_get(o, "version"), *created = json_object_get(o, "created");
    if (!json_is_integer(version) || json_integer_value(version) != VERSION)
        rc = err_set(e, ST_UNSUPPORTED, "\"version\" must be %d", VERSION);
    if (!rc && !json_is_integer(created))
        rc = err_set(e, ST_FORMAT, "\"created\" must be a number of seconds");
    out->created = (int64_t)json_integer_value(created);
    if (!rc)
        rc = read_text(o, "source", true, &out->source, e);
    if (!rc)
        rc = read_text(o, "system", false, &out->system, e);
    if (!rc)
        rc = read_text(o, "license", true, &out->license, e);
    if (!rc)
        rc = read_text(o, "base_models", true, &out->base_models, e);
    if (!rc)
        rc = read_parameters(o, out, e);
    if (!rc)
        rc = read_files(json_object_get(o, "files"), out, e);
    json_decref(o);
    if (rc)
        store_manifest_done(out);
    return rc;
}

static void put(json_writer *w, const char *key, const char *value)
{
    if (!value)
        return;
    json_key(w, key);
    json_str(w, value);
}

void store_manifest_write(const store_manifest *m, buf *out)
{
    json_writer w;
    json_begin(&w, out);
    json_obj(&w);
    json_key(&w, "version");
    json_int(&w, VERSION);
    put(&w, "source", m->source ? m->source : "");
    json_key(&w, "created");
    json_int(&w, m->created);
    put(&w, "license", m->license ? m->license : "");
    put(&w, "base_models", m->base_models ? m->base_models : "");
    put(&w, "system", m->system);
    if (m->parameters) {
        json_key(&w, "parameters");
        json_raw(&w, m->parameters, strlen(m->parameters));
    }
    json_key(&w, "files");
    json_arr(&w);
    for (size_t i = 0; i < m->n_files; i++) {
        char digest[STORE_HEX + 8] = "sha256:";
        memcpy(digest + 7, m->files[i].digest, STORE_HEX);
        json_obj(&w);
        put(&w, "name", m->files[i].name);
        put(&w, "digest", digest);
        json_key(&w, "bytes");
        json_int(&w, (int64_t)m->files[i].bytes);
        json_end(&w);
    }
    json_end(&w);
    json_end(&w);
    buf_add_char(out, '\n');
}

void store_manifest_done(store_manifest *m)
{
    for (size_t i = 0; i < m->n_files; i++)
        mem_free(m->files[i].name);
    mem_free(m->files);
    mem_free(m->source);
    mem_free(m->system);
    mem_free(m->parameters);
    mem_free(m->license);
    mem_free(m->base_models);
    *m = (store_manifest){.name = m->name};
}

uint64_t store_manifest_bytes(const store_manifest *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_files; i++)
        sum += m->files[i].bytes;  // checked when it was read
    return sum;
}

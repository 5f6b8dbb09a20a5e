// The ledger of licences: one JSON line for each acceptance, found again by the model's first blob and its licence.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/own.h"

enum { LEDGER_BYTES = 64 << 20 };

static void ledger_path(const store *s, char out[PATH])
{
    snprintf(out, PATH, "%s/ledger.jsonl", s->root);
}

static void add_line(const store_manifest *m, const char *how, buf *b)
{
    char when[40];
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    const char *const pairs[][2] = {{"when", when},
                                    {"name", m->name.text},
                                    {"digest", m->files[0].digest},
                                    {"license", m->license},
                                    {"kind", store_license_text(store_license_of(m->license))},
                                    {"how", how}};
    json_writer w;
    json_begin(&w, b);
    json_obj(&w);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        json_key(&w, pairs[i][0]);
        json_str(&w, pairs[i][1] ? pairs[i][1] : "");
    }
    json_key(&w, "user");
    json_int(&w, (int64_t)getuid());
    json_end(&w);
    buf_add_char(b, '\n');
}

int store_accept(const store *s, const store_manifest *m, const char *how, err *e)
{
    char path[PATH];
    buf b;
    int lock, rc = lock_store(s, &lock, e);
    if (rc)
        return rc;
    buf_init(&b);
    add_line(m, how, &b);
    ledger_path(s, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (b.failed)
        rc = err_set(e, ST_NOMEM, "no memory for the ledger");
    else if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len || fsync(fd) != 0)
        rc = err_set(e, ST_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    buf_done(&b);
    unlock_store(lock);
    return rc;
}

static bool same(const json_t *line, const char *key, const char *value)
{
    const char *its = json_string_value(json_object_get(line, key));
    return its && value && strcmp(its, value) == 0;
}

void store_accepted(const store *s, const store_manifest *m, store_acceptance *out)
{
    char path[PATH], *text;
    size_t n;
    *out = (store_acceptance){0};
    ledger_path(s, path);
    if (os_read_file(path, LEDGER_BYTES, &text, &n, NULL))
        return;
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL);
        if (same(line, "digest", m->files[0].digest) && same(line, "license", m->license)) {
            const char *when = json_string_value(json_object_get(line, "when"));
            const char *how = json_string_value(json_object_get(line, "how"));
            out->accepted = true;
            snprintf(out->when, sizeof out->when, "%s", when ? when : "");
            snprintf(out->how, sizeof out->how, "%s", how ? how : "");
        }
        json_decref(line);
    }
    mem_free(text);
}

// See audit.h.
#include "store/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATHS = 1000, LOG_BYTES = 1 << 30, MOST = 16 << 20 };
static const char nothing[] = "0000000000000000000000000000000000000000000000000000000000000000";

int store_audit_open(store_audit *a, const char *dir, err *e)
{
    *a = (store_audit){.most = MOST};
    bool good = dir ? snprintf(a->dir, sizeof a->dir, "%s", dir) < (int)sizeof a->dir
                    : os_state_dir("irori/audit", a->dir, sizeof a->dir);
    return good ? ST_OK : err_set(e, ST_INVALID, "no folder for the audit log: set HOME or XDG_STATE_HOME");
}

static void file_path(const store_audit *a, const char *name, char out[PATHS])
{
    snprintf(out, PATHS, "%s/%s", a->dir, name);
}

static void filled_path(const store_audit *a, unsigned log, char out[PATHS])
{
    snprintf(out, PATHS, "%s/log-%06u.jsonl", a->dir, log);
}

// ---- The head ----

static int read_head(const store_audit *a, store_audit_head *h, err *e)
{
    char path[PATHS], *text;
    size_t n;
    *h = (store_audit_head){.log = 1};
    memcpy(h->hash, nothing, sizeof h->hash);
    file_path(a, "head.json", path);
    int rc = os_read_file(path, 4096, &text, &n, e);
    if (rc == ST_NOTFOUND)
        return ST_OK;
    if (rc)
        return rc;
    json_t *o = json_loadb(text, n, 0, NULL);
    const char *hash = json_string_value(json_object_get(o, "hash"));
    bool good = hash && store_digest_parse(hash, h->hash) && json_is_integer(json_object_get(o, "lines")) &&
                json_is_integer(json_object_get(o, "log")) && json_is_integer(json_object_get(o, "bytes"));
    h->lines = (uint64_t)json_integer_value(json_object_get(o, "lines"));
    h->log = (unsigned)json_integer_value(json_object_get(o, "log"));
    h->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
    json_decref(o);
    mem_free(text);
    return good && h->log >= 1 && h->log < 1000000
               ? ST_OK
               : err_set(e, ST_FORMAT, "%s: not a head record of an audit log", path);
}

static int write_head(const store_audit *a, const store_audit_head *h, err *e)
{
    char path[PATHS], text[256];
    file_path(a, "head.json", path);
    int n = snprintf(text, sizeof text,
                     "{\"lines\":%" PRIu64 ",\"hash\":\"%s\",\"log\":%u,\"bytes\":%" PRIu64 "}\n", h->lines,
                     h->hash, h->log, h->bytes);
    return os_write_file(path, text, (size_t)n, e);
}

// ---- The chain ----

// Whether the line [p, p + n) follows on the head, which it then becomes.
static bool follows(store_audit_head *h, const char *p, size_t n)
{
    json_t *o = json_loadb(p, n, JSON_REJECT_DUPLICATES, NULL);
    const char *prev = json_string_value(json_object_get(o, "prev"));
    const json_t *number = json_object_get(o, "n");
    bool good = prev && strcmp(prev, h->hash) == 0 && json_is_integer(number) &&
                (uint64_t)json_integer_value(number) == h->lines + 1;
    json_decref(o);
    if (good) {
        store_sha_bytes(p, n, h->hash);
        h->lines++;
        h->bytes += n + 1;
    }
    return good;
}

// Why a line does not follow, in words.
static int broken(const char *path, size_t line, const store_audit_head *h, const char *p, size_t n, err *e)
{
    json_t *o = json_loadb(p, n, 0, NULL);
    const json_t *number = json_object_get(o, "n");
    uint64_t is = (uint64_t)json_integer_value(number);
    int rc;
    if (!json_is_integer(number))
        rc = err_set(e, ST_FORMAT, "%s line %zu: not a line of an audit log", path, line);
    else if (is != h->lines + 1)
        rc = err_set(e, ST_FORMAT,
                     "%s line %zu: has number %" PRIu64 ", should be %" PRIu64
                     ": lines were removed or moved",
                     path, line, is, h->lines + 1);
    else
        rc = err_set(e, ST_FORMAT, "%s line %zu: does not fit the line before: that one or this was changed",
                     path, line);
    json_decref(o);
    return rc;
}

// ---- Writing ----

// After a kill between a line and its head: whole lines that follow are taken on, a cut one goes.
static int catch_up(const store_audit *a, store_audit_head *h, int fd, const char *path, err *e)
{
    struct stat st;
    char filled[PATHS];
    if (fstat(fd, &st) != 0)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    filled_path(a, h->log, filled);
    struct stat old;
    if (st.st_size == 0 && h->bytes > 0 && stat(filled, &old) == 0 && (uint64_t)old.st_size == h->bytes) {
        h->log++;  // it was set aside, and the head not yet written
        h->bytes = 0;
    }
    if ((uint64_t)st.st_size < h->bytes)
        return err_set(e, ST_FORMAT,
                       "%s: is shorter than its head record says; `irori audit verify` tells more", path);
    if ((uint64_t)st.st_size == h->bytes)
        return ST_OK;
    char *text;
    size_t n, at = (size_t)h->bytes;
    int rc = os_read_file(path, LOG_BYTES, &text, &n, e);
    if (rc)
        return rc;
    for (char *end; at < n && (end = memchr(text + at, '\n', n - at)); at = (size_t)h->bytes)
        if (!follows(h, text + at, (size_t)(end - text) - at)) {
            rc = err_set(e, ST_FORMAT, "%s: goes on behind its head record with lines that do not fit", path);
            break;
        }
    mem_free(text);
    if (!rc && ftruncate(fd, (off_t)h->bytes) != 0)
        rc = err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    return rc;
}

static void make_line(const store_audit_head *h, const char *fields, size_t n, buf *b)
{
    char when[40];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(b, "{\"n\":%" PRIu64 ",\"prev\":\"%s\",\"time\":\"%s.%03ldZ\",\"user\":%lu", h->lines + 1,
               h->hash, when, now.tv_nsec / 1000000, (unsigned long)getuid());
    if (n) {
        buf_add_char(b, ',');
        buf_add(b, fields, n);
    }
    buf_add_str(b, "}\n");
}

static int append(const store_audit *a, store_audit_head *h, int fd, const char *path, const buf *line,
                  err *e)
{
    store_audit_head before = *h;
    ssize_t k = write(fd, line->data, line->len);
    int why = k < 0 ? errno : ENOSPC, rc = ST_OK;
    if (k == (ssize_t)line->len && fsync(fd) == 0) {
        store_sha_bytes(line->data, line->len - 1, h->hash);
        h->lines++;
        h->bytes += line->len;
        rc = write_head(a, h, e);
    } else {
        rc = err_set(e, ST_IO, "%s: cannot be written: %s", path, strerror(why));
    }
    if (rc && ftruncate(fd, (off_t)before.bytes) == 0)
        *h = before;  // as if it had not been tried
    return rc;
}

// Under the lock.
static int add_line(const store_audit *a, const char *fields, size_t n, err *e)
{
    char path[PATHS], filled[PATHS];
    store_audit_head h;
    buf line;
    int rc = read_head(a, &h, e), fd = -1;
    file_path(a, "log.jsonl", path);
    buf_init(&line);
    if (!rc && (fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        rc = err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    if (!rc)
        rc = catch_up(a, &h, fd, path, e);
    if (!rc && h.bytes >= a->most) {
        filled_path(a, h.log, filled);
        close(fd);
        fd = rename(path, filled) == 0 ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        if (fd < 0)
            rc = err_set(e, ST_IO, "%s: cannot be set aside: %s", path, strerror(errno));
        h.log++;
        h.bytes = 0;
    }
    if (!rc) {
        make_line(&h, fields, n, &line);
        rc = line.failed ? err_set(e, ST_NOMEM, "no memory for a line of the audit log")
                         : append(a, &h, fd, path, &line, e);
    }
    if (fd >= 0)
        close(fd);
    buf_done(&line);
    return rc;
}

int store_audit_write(const store_audit *a, const char *fields, size_t n, err *e)
{
    char path[PATHS];
    if (!os_make_dirs(a->dir))
        return err_set(e, ST_IO, "%s: the folder of the audit log cannot be made: %s", a->dir,
                       strerror(errno));
    file_path(a, "lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), failed;
    if (fd < 0)
        return err_set(e, ST_IO, "%s: %s", path, strerror(errno));
    while ((failed = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
        ;
    int rc = failed ? err_set(e, ST_IO, "%s: cannot be locked: %s", path, strerror(errno))
                    : add_line(a, fields, n, e);
    close(fd);
    return rc;
}

// ---- Verifying ----

typedef struct known_head {
    uint64_t lines;
    char hash[STORE_HEX];
    bool seen;
} known_head;

static int read_log(const char *path, store_audit_head *h, known_head *known, err *e)
{
    char *text;
    size_t n, line = 1;
    int rc = os_read_file(path, LOG_BYTES, &text, &n, e);
    if (rc)
        return rc;
    h->bytes = 0;
    for (size_t at = 0; at < n && !rc; at = (size_t)h->bytes, line++) {
        const char *end = memchr(text + at, '\n', n - at);
        if (!end)
            rc = err_set(e, ST_FORMAT, "%s line %zu: is cut off", path, line);
        else if (!follows(h, text + at, (size_t)(end - text) - at))
            rc = broken(path, line, h, text + at, (size_t)(end - text) - at, e);
        else if (known && known->lines == h->lines)
            known->seen = strcmp(known->hash, h->hash) == 0;
    }
    mem_free(text);
    return rc;
}

// kept: the head before the logs were read. most: lines that there may be, counting what was written meanwhile.
static int compare(const store_audit *a, const store_audit_head *found, const store_audit_head *kept,
                   uint64_t most, const known_head *known, err *e)
{
    if (found->lines < kept->lines)
        return err_set(e, ST_FORMAT,
                       "%s: %" PRIu64 " lines, but the head record says %" PRIu64 ": the end was cut off",
                       a->dir, found->lines, kept->lines);
    if (found->lines == kept->lines && strcmp(found->hash, kept->hash) != 0)
        return err_set(e, ST_FORMAT, "%s: the last line, %" PRIu64 ", was changed", a->dir, found->lines);
    if (found->lines > most)
        return err_set(e, ST_FORMAT,
                       "%s: %" PRIu64 " lines, but the head record says %" PRIu64
                       ": lines were added, or the head is old",
                       a->dir, found->lines, kept->lines);
    if (known && !known->seen)
        return err_set(e, ST_FORMAT,
                       "%s: line %" PRIu64 " is not the one whose hash was kept: the log was made anew",
                       a->dir, known->lines);
    return ST_OK;
}

int store_audit_verify(const store_audit *a, const char *known, store_audit_head *head, err *e)
{
    char path[PATHS];
    store_audit_head kept;
    known_head k = {0};
    *head = (store_audit_head){.log = 1};
    memcpy(head->hash, nothing, sizeof head->hash);
    if (known && (sscanf(known, "%" SCNu64 ":", &k.lines) != 1 || !strchr(known, ':') || k.lines == 0 ||
                  !store_digest_parse(strchr(known, ':') + 1, k.hash)))
        return err_set(e, ST_INVALID, "\"%.90s\" is not LINES:HASH, as `irori audit head` prints it", known);
    int rc = read_head(a, &kept, e);
    for (unsigned log = 1; !rc && log < kept.log; log++) {
        filled_path(a, log, path);
        rc = read_log(path, head, known ? &k : NULL, e);
        if (rc == ST_NOTFOUND)
            rc = err_set(e, ST_FORMAT, "%s: is missing: lines from %" PRIu64 " on were removed", path,
                         head->lines + 1);
    }
    filled_path(a, kept.log, path);  // a kill while it was set aside
    bool aside = !rc && access(path, F_OK) == 0;
    if (aside)
        rc = read_log(path, head, known ? &k : NULL, e);
    head->log = kept.log + aside;
    file_path(a, "log.jsonl", path);
    if (!rc)
        rc = read_log(path, head, known ? &k : NULL, e);
    if (rc == ST_NOTFOUND)
        rc = ST_OK;  // the comparison says whether it should be there
    store_audit_head now;
    if (!rc)
        rc = read_head(a, &now, e);
    // One more: a kill, or this moment, between a line and its head.
    return rc ? rc : compare(a, head, &kept, MAX(kept.lines, now.lines) + 1, known ? &k : NULL, e);
}

// ---- Reading ----

typedef struct backwards {
    uint64_t before;
    size_t left;  // lines still wanted
    store_audit_line *line;
    void *ctx;
} backwards;

// The line's number; 0: it has none.
static uint64_t number_of(const char *p, size_t n)
{
    static const char head[] = "{\"n\":";
    return n > sizeof head && memcmp(p, head, sizeof head - 1) == 0 ? strtoull(p + sizeof head - 1, NULL, 10)
                                                                    : 0;
}

// A log's whole lines from its end on. A log that is not there has none.
static int read_back(const char *path, backwards *b, err *e)
{
    char *text;
    size_t n;
    int rc = os_read_file(path, LOG_BYTES, &text, &n, e);
    if (rc)
        return rc == ST_NOTFOUND ? ST_OK : rc;
    while (n && text[n - 1] != '\n')
        n--;  // a line that is being written
    while (n && b->left) {
        size_t end = n - 1, start = end;
        while (start && text[start - 1] != '\n')
            start--;
        n = start;
        uint64_t number = number_of(text + start, end - start);
        if (number == 0 || (b->before && number >= b->before))
            continue;
        b->left--;
        if (!b->line(b->ctx, text + start, end - start))
            b->left = 0;
    }
    mem_free(text);
    return ST_OK;
}

int store_audit_tail(const store_audit *a, uint64_t before, size_t most, store_audit_line *line, void *ctx,
                     uint64_t *lines, err *e)
{
    char path[PATHS];
    store_audit_head h;
    backwards b = {.before = before, .left = most, .line = line, .ctx = ctx};
    int rc = read_head(a, &h, e);
    *lines = h.lines;
    file_path(a, "log.jsonl", path);
    if (!rc)
        rc = read_back(path, &b, e);
    for (unsigned log = h.log; !rc && b.left && log > 1; log--) {
        filled_path(a, log - 1, path);
        rc = read_back(path, &b, e);
    }
    return rc;
}

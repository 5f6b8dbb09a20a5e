// The file that is being fetched: what the server says of it, its journal, its hash at the end.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pull/fetch_own.h"

enum { BLOCK = 1 << 20, MOST_PIECES = 1 << 20, JOURNAL_BYTES = 128 << 20 };

// ---- The probe ----

static size_t stop_here(char *p, size_t size, size_t n, void *ctx)
{
    (void)p;
    (void)ctx;
    return size * n <= 1 ? n : 0;  // the one byte that was asked for; of a whole file nothing more is read
}

// Length and identity from the answer's head.
static int read_head(fetch *f, CURL *h, long status, err *e)
{
    struct curl_header *v = NULL;
    uint64_t first, last, total = 0;
    curl_off_t length = -1;
    f->ranges = status == 206;
    if (f->ranges) {
        if (curl_easy_header(h, "Content-Range", 0, CURLH_HEADER, -1, &v) != CURLHE_OK ||
            sscanf(v->value, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &first, &last, &total) != 3 ||
            first != 0)
            return err_set(e, ST_FORMAT, "%.200s: the server does not say how long the file is", f->url);
    } else {
        curl_easy_getinfo(h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        total = length > 0 ? (uint64_t)length : 0;
    }
    if (total == 0 || total > INT64_MAX / 2)
        return err_set(e, ST_FORMAT, "%.200s: the server gives no length, or an empty file", f->url);
    if (f->job->bytes && total != f->job->bytes)
        return err_set(e, ST_FORMAT, "%.200s: has %llu bytes, but its registry says %llu", f->url,
                       (unsigned long long)total, (unsigned long long)f->job->bytes);
    if (f->bytes && total != f->bytes)
        return err_set(e, ST_FORMAT, "%.200s: the file changed on the server while it was fetched; try again",
                       f->url);
    f->bytes = total;  // without a hash to come, the entity tag is what tells a changed file
    if (!f->job->digest[0] && !f->etag[0] && f->ranges &&
        curl_easy_header(h, "ETag", 0, CURLH_HEADER, -1, &v) == CURLHE_OK)
        snprintf(f->etag, sizeof f->etag, "%s", strchr(v->value, ' ') ? "" : v->value);
    return ST_OK;
}

static int probe_once(fetch *f, CURL *h, int hop, char next[NET_URL], err *e)
{
    net_call c;
    long status = 0;
    int rc = net_prepare(h, &c, f->n, f->url, "*/*", "0-0", e);
    next[0] = 0;
    if (!rc) {
        curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, stop_here);
        CURLcode code = curl_easy_perform(h);
        curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
        bool head = status == 200 && code == CURLE_WRITE_ERROR;
        if (code && !head)
            rc = net_failure(code, &c, e);
        else if (!net_redirect(h, &c, hop, next, &rc, e) && !rc)
            rc = status == 200 || status == 206 ? read_head(f, h, status, e)
                                                : net_status_failure(status, f->url, e);
    }
    net_call_done(&c);
    return rc;
}

int fetch_probe(fetch *f, err *e)
{
    char next[NET_URL];
    int rc;
    for (int tries = 0;; tries++) {
        CURL *h = curl_easy_init();
        rc = h ? ST_OK : err_set(e, ST_NOMEM, "no memory for a transfer");
        snprintf(f->url, sizeof f->url, "%s", f->job->url);
        for (int hop = 0; !rc; hop++) {
            rc = probe_once(f, h, hop, next, e);
            if (rc || !next[0])
                break;
            memcpy(f->url, next, sizeof f->url);
            curl_easy_reset(h);
        }
        curl_easy_cleanup(h);
        if (rc != ST_IO || tries == 4)
            return rc;
        usleep(100000u << tries);  // a server that comes back soon
    }
}

// ---- The journal ----
// "irori-pull 1 BYTES PIECE DIGEST ETAG\n", then "INDEX SHA256\n" for each piece that is there. A last line without its
// end was cut by a kill and does not count.

static int journal_head(const fetch *f, char *out, size_t cap)
{
    return snprintf(out, cap, "irori-pull 1 %" PRIu64 " %zu %s %s\n", f->bytes, f->piece,
                    f->job->digest[0] ? f->job->digest : "-", f->etag[0] ? f->etag : "-");
}

static bool piece_is(fetch *f, size_t i, const char *hex, char *block)
{
    uint64_t from = (uint64_t)i * f->piece, n = MIN(f->piece, f->bytes - from);
    char found[STORE_HEX];
    store_sha sha;
    store_sha_init(&sha);
    for (uint64_t at = 0; at < n;) {
        ssize_t k = pread(f->fd, block, MIN(n - at, (uint64_t)BLOCK), (off_t)(from + at));
        if (k <= 0)
            return false;
        store_sha_add(&sha, block, (size_t)k);
        at += (uint64_t)k;
    }
    store_sha_end(&sha, found);
    return strcmp(found, hex) == 0;
}

static void read_lines(fetch *f, const char *at, char *block)
{
    for (const char *end; (end = strchr(at, '\n')); at = end + 1) {
        size_t i;
        char hex[STORE_HEX];
        if (sscanf(at, "%zu %64[0-9a-f]", &i, hex) != 2 || i >= f->n_pieces || f->done[i] ||
            !piece_is(f, i, hex, block))
            continue;
        f->done[i] = true;
        f->done_bytes += MIN(f->piece, f->bytes - (uint64_t)i * f->piece);
    }
}

static int start_anew(fetch *f, const char *head, err *e)
{
    size_t n = strlen(head);
    if (ftruncate(f->journal, 0) != 0 || ftruncate(f->fd, 0) != 0 || write(f->journal, head, n) != (ssize_t)n)
        return err_set(e, ST_IO, "%s: %s", f->paths->journal, strerror(errno));
    return ST_OK;
}

static int read_journal(fetch *f, err *e)
{
    char head[512], *text = NULL, *block = mem_alloc(MEM_OTHER, BLOCK);
    size_t n = 0;
    int rc = block ? os_read_file(f->paths->journal, JOURNAL_BYTES, &text, &n, e)
                   : err_set(e, ST_NOMEM, "no memory to read a journal");
    journal_head(f, head, sizeof head);
    size_t k = strlen(head);
    if (!rc && f->ranges && n >= k && memcmp(text, head, k) == 0) {
        read_lines(f, text + k, block);
        if (text[n - 1] != '\n' &&
            write(f->journal, "\n", 1) != 1)  // the cut line becomes a whole one, of no meaning
            rc = err_set(e, ST_IO, "%s: %s", f->paths->journal, strerror(errno));
    } else if (!rc) {
        rc = start_anew(f, head, e);
    }
    mem_free(text);
    mem_free(block);
    return rc;
}

// ---- The file ----

// Opens and locks; who waited for the lock of a journal that is gone tries again.
static int lock_journal(fetch *f, err *e)
{
    for (;;) {
        struct stat mine, its;
        f->journal = open(f->paths->journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (f->journal < 0)
            return err_set(e, ST_IO, "%s: %s", f->paths->journal, strerror(errno));
        if (flock(f->journal, LOCK_EX | LOCK_NB) != 0)
            return err_set(e, ST_BUSY, "%.200s: another irori is fetching this; wait for it", f->job->url);
        if (fstat(f->journal, &mine) == 0 && stat(f->paths->journal, &its) == 0 && mine.st_ino == its.st_ino)
            break;
        close(f->journal);
    }
    f->fd = open(f->paths->data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return f->fd >= 0 ? ST_OK : err_set(e, ST_IO, "%s: %s", f->paths->data, strerror(errno));
}

static int make_paths(const store *s, const fetch_job *job, fetched *out, err *e)
{
    char key[STORE_HEX + 16], hex[STORE_HEX];
    store_sha_bytes(job->url, strlen(job->url), hex);
    snprintf(key, sizeof key, "%s-%s", job->digest[0] ? "sha256" : "url", job->digest[0] ? job->digest : hex);
    int rc = store_partial_path(s, key, ".data", out->data, e);
    return rc ? rc : store_partial_path(s, key, ".journal", out->journal, e);
}

static int set_up(fetch *f, const store *s, err *e)
{
    f->piece = !f->ranges ? f->bytes : f->job->piece ? f->job->piece : FETCH_PIECE;
    uint64_t pieces = (f->bytes - 1) / f->piece + 1;
    if (pieces > MOST_PIECES)
        return err_set(e, ST_LIMIT, "%.200s: a file of over %d pieces", f->url, MOST_PIECES);
    f->n_pieces = (size_t)pieces;
    f->done = mem_calloc(MEM_OTHER, f->n_pieces, sizeof *f->done);
    f->multi = curl_multi_init();
    f->n_streams = f->ranges ? FETCH_STREAMS : 1;
    bool good = f->done && f->multi;
    for (int i = 0; i < f->n_streams && good; i++) {
        f->streams[i] = (stream){.f = f, .h = curl_easy_init()};
        good = f->streams[i].h;
    }
    int rc = good ? read_journal(f, e) : err_set(e, ST_NOMEM, "no memory for a transfer");
    return rc ? rc : store_check_room(s, f->bytes - f->done_bytes, e);
}

static void tear_down(fetch *f)
{
    for (int i = 0; i < f->n_streams; i++) {
        stream *x = &f->streams[i];
        if (x->running)
            curl_multi_remove_handle(f->multi, x->h);
        curl_easy_cleanup(x->h);
        net_call_done(&x->call);
    }
    curl_multi_cleanup(f->multi);
    mem_free(f->done);
}

static int check_whole(fetch *f, err *e)
{
    char *block = mem_alloc(MEM_OTHER, BLOCK), hex[STORE_HEX];
    uint64_t at = 0;
    ssize_t k = -1;
    store_sha sha;
    store_sha_init(&sha);
    while (block && (k = pread(f->fd, block, BLOCK, (off_t)at)) > 0) {
        store_sha_add(&sha, block, (size_t)k);
        at += (uint64_t)k;
    }
    mem_free(block);
    store_sha_end(&sha, hex);
    if (k < 0 || fsync(f->fd) != 0)
        return err_set(e, ST_IO, "%s: %s", f->paths->data, block ? strerror(errno) : "no memory to read it");
    if (at != f->bytes || (f->job->digest[0] && strcmp(hex, f->job->digest) != 0))
        return err_set(e, ST_FORMAT,
                       "%.200s: came with SHA-256 %.12s..., should be %.12s...; it is thrown away", f->url,
                       hex, f->job->digest[0] ? f->job->digest : "another");
    memcpy(f->job->digest, hex, sizeof hex);
    f->job->bytes = f->bytes;
    return ST_OK;
}

int fetch_file(const net *n, const store *s, fetch_job *job, fetched *out, err *e)
{
    fetch f = {.n = n, .job = job, .paths = out, .fd = -1, .journal = -1};
    err mine = {0};
    if (!e)
        e = &mine;
    int rc = make_paths(s, job, out, e);
    if (!rc)
        rc = lock_journal(&f, e);
    if (!rc)
        rc = fetch_probe(&f, e);
    if (!rc)
        rc = set_up(&f, s, e);
    if (!rc)
        rc = fetch_pieces(&f, e);
    if (!rc)
        rc = check_whole(&f, e);
    if (rc == ST_FORMAT && f.fd >= 0) {  // what came cannot be trusted
        (void)unlink(out->data);
        (void)unlink(out->journal);
    }
    tear_down(&f);
    if (f.fd >= 0)
        close(f.fd);
    if (rc && f.journal >= 0)
        close(f.journal);
    out->lock = rc ? -1 : f.journal;
    return rc;
}

void fetch_done(fetched *f)
{
    if (f->lock < 0)
        return;
    (void)unlink(f->journal);
    close(f->lock);
    f->lock = -1;
}

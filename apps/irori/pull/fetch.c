// See fetch.h. One thread: libcurl's multi interface moves the pieces, this file decides what is asked next.
#include "pull/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pull/fetch_own.h"

// ---- One piece ----

static void piece_range(const fetch *f, size_t i, uint64_t *from, uint64_t *n)
{
    *from = (uint64_t)i * f->piece;
    *n = MIN(f->piece, f->bytes - *from);
}

// The answer's head, once its first bytes come: is it the part that was asked for?
static bool right_part(stream *x)
{
    fetch *f = x->f;
    long status = 0;
    uint64_t first, last, total;
    struct curl_header *range = NULL, *tag = NULL;
    curl_easy_getinfo(x->h, CURLINFO_RESPONSE_CODE, &status);
    if (!f->ranges)
        return status == 200;
    if (status != 206)
        return false;
    if (curl_easy_header(x->h, "Content-Range", 0, CURLH_HEADER, -1, &range) != CURLHE_OK ||
        sscanf(range->value, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &first, &last, &total) != 3 ||
        first != x->from + x->got || last >= f->bytes || total != f->bytes)
        return x->lied = true, false;
    if (f->etag[0] && curl_easy_header(x->h, "ETag", 0, CURLH_HEADER, -1, &tag) == CURLHE_OK &&
        strcmp(tag->value, f->etag) != 0)
        return f->changed = true, false;
    return true;
}

static size_t on_data(char *p, size_t size, size_t count, void *ctx)
{
    stream *x = ctx;
    size_t n = size * count;
    if (!x->begun && !right_part(x))
        return 0;
    x->begun = true;
    if (n > x->want - x->got) {
        x->lied = true;  // more than it was asked for
        return 0;
    }
    for (size_t at = 0; at < n;) {
        ssize_t k = pwrite(x->f->fd, p + at, n - at, (off_t)(x->from + x->got + at));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            x->f->write_errno = k ? errno : ENOSPC;
            return 0;
        }
        at += (size_t)k;
    }
    store_sha_add(&x->sha, p, n);
    x->got += n;
    x->f->tries = 0;
    return n;
}

static int start_stream(stream *x, err *e)
{
    fetch *f = x->f;
    char range[64];
    if (!f->ranges) {  // all of it, from the start again
        x->got = 0;
        store_sha_init(&x->sha);
    }
    snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, x->from + x->got, x->from + x->want - 1);
    net_call_done(&x->call);
    curl_easy_reset(x->h);
    int rc = net_prepare(x->h, &x->call, f->n, f->url, "*/*", f->ranges ? range : NULL, e);
    if (rc)
        return rc;
    curl_easy_setopt(x->h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(x->h, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->h, CURLOPT_PRIVATE, x);
    x->begun = x->lied = false;
    x->running = curl_multi_add_handle(f->multi, x->h) == CURLM_OK;
    return x->running ? ST_OK : err_set(e, ST_NOMEM, "no memory for a transfer");
}

// The next piece nobody has taken; false when there is none.
static bool take_piece(fetch *f, stream *x)
{
    while (f->next < f->n_pieces && f->done[f->next])
        f->next++;
    if (f->next == f->n_pieces)
        return false;
    x->piece = f->next++;
    piece_range(f, x->piece, &x->from, &x->want);
    x->got = 0;
    x->busy = true;
    store_sha_init(&x->sha);
    return true;
}

static int finish_piece(fetch *f, stream *x, err *e)
{
    char line[STORE_HEX + 32], hex[STORE_HEX];
    store_sha_end(&x->sha, hex);
    int n = snprintf(line, sizeof line, "%zu %s\n", x->piece, hex);
    if (write(f->journal, line, (size_t)n) != n)
        return err_set(e, ST_IO, "%s: %s", f->paths->journal, strerror(errno));
    f->done[x->piece] = true;
    f->done_bytes += x->want;
    x->busy = false;
    x->got = 0;
    return ST_OK;
}

// ---- What went wrong, and whether it is worth another try ----

// Seconds before the next attempt: at once after a connection that brought something, then doubling.
static double delay_of(int tries)
{
    return tries < 2 ? 0 : MIN(0.05 * (double)(1 << MIN(tries, 8)), 8);
}

static int failed(fetch *f, stream *x, CURLcode code, long status, err *e)
{
    if (f->write_errno)
        return err_set(e, ST_IO, "%s: cannot be written: %s; what came is kept, the same command goes on",
                       f->paths->data, strerror(f->write_errno));
    if (f->changed)
        return err_set(e, ST_FORMAT, "%.200s: the file changed on the server while it was fetched; try again",
                       f->url);
    int rc = x->call.refused                            ? net_failure(code, &x->call, e)
             : x->lied                                  ? err_set(e, ST_UNSUPPORTED,
                                                                  "%.200s: the server sends other parts than it was asked for", f->url)
             : status != 200 && status != 206 && status ? net_status_failure(status, f->url, e)
             : code                                     ? net_failure(code, &x->call, e)
                    : err_set(e, ST_IO, "%.200s: the connection ended early", f->url);
    if (x->call.refused || x->lied || rc == ST_CANCELED)
        return rc;
    // An address that a redirect gave may have run out: ask the origin again, once in a while.
    if ((status == 401 || status == 403 || status == 404 || status == 410) &&
        strcmp(f->url, f->job->url) == 0)
        return rc;
    if (++f->tries > FETCH_TRIES)
        return err_prefix(e, "given up after %d attempts without a byte", FETCH_TRIES);
    x->again = os_seconds() + delay_of(f->tries);
    return status >= 400 && status < 500 ? fetch_probe(f, e) : ST_OK;
}

static int on_message(fetch *f, const CURLMsg *m, err *e)
{
    stream *x = NULL;
    long status = 0;
    CURLcode code = m->data.result;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
    curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(f->multi, m->easy_handle);
    x->running = false;
    if (!code && x->begun && x->got == x->want)
        return finish_piece(f, x, e);
    if (status >= 300 && status < 400) {  // the origin moved on since the probe
        if (++f->tries > FETCH_TRIES)
            return err_set(e, ST_IO, "%.200s: redirected again and again", f->url);
        return fetch_probe(f, e);
    }
    return failed(f, x, code, status, e);
}

// ---- All pieces ----

static bool tell(fetch *f)
{
    uint64_t now = f->done_bytes;
    for (int i = 0; i < f->n_streams; i++)
        now += f->streams[i].busy ? f->streams[i].got : 0;
    f->told = MAX(f->told, now);
    return !f->job->progress || f->job->progress(f->job->ctx, f->told, f->bytes);
}

static int feed(fetch *f, int *active, err *e)
{
    int rc = ST_OK;
    *active = 0;
    for (int i = 0; i < f->n_streams && !rc; i++) {
        stream *x = &f->streams[i];
        if (!x->busy && !take_piece(f, x))
            continue;
        (*active)++;
        if (!x->running && os_seconds() >= x->again)
            rc = start_stream(x, e);
    }
    return rc;
}

int fetch_pieces(fetch *f, err *e)
{
    int rc = ST_OK, active = 1, running, left;
    while (!rc) {
        rc = feed(f, &active, e);
        if (rc || !active)
            break;
        CURLMcode m = curl_multi_perform(f->multi, &running);
        if (!m)
            m = curl_multi_poll(f->multi, NULL, 0, 100, NULL);
        if (m)
            rc = err_set(e, ST_IO, "%.200s: %s", f->url, curl_multi_strerror(m));
        for (CURLMsg *msg; !rc && (msg = curl_multi_info_read(f->multi, &left));)
            if (msg->msg == CURLMSG_DONE)
                rc = on_message(f, msg, e);
        if (!rc && !tell(f))
            rc = err_set(e, ST_CANCELED, "stopped; what came is kept, the same command goes on");
    }
    return rc;
}

// Sequences in files, and pages of prompts in a folder for the next start (docs/formats/session.md).
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "kv/file.h"

static const char session_magic[8] = "IRORIKV2", page_magic[8] = "IRORIKP2";

typedef struct record_head {
    uint64_t check, bytes;
} record_head;

static int write_page(const kv *s, kv_writer *w, const kv_page *p, int written, buf *record)
{
    if (kv_record_make(s, p, written, record))
        return ST_NOMEM;
    record_head h = {hash_bytes(record->data, record->len), record->len};
    kv_writer_add(w, &h, sizeof h);
    kv_writer_add(w, record->data, record->len);
    return ST_OK;
}

int kv_seq_save(const kv_seq *q, const char *path, err *e)
{
    const kv *s = q->store;
    kv_writer w;
    buf record;
    buf_init(&record);
    int32_t *tokens = mem_alloc(MEM_KV, (size_t)q->length * sizeof *tokens + 1);
    int rc = tokens ? kv_writer_open(&w, path, e) : err_set(e, ST_NOMEM, "no memory to save a session");
    if (!rc) {
        kv_seq_tokens(q, tokens);
        kv_file_head h = kv_head_make(s, session_magic, 0, tokens, q->length);
        kv_writer_add(&w, &h, sizeof h);
        kv_writer_add(&w, tokens, (size_t)q->length * sizeof *tokens);
        for (int at = 0; !w.failed && at < q->length; at += DEV_PAGE)
            if (write_page(s, &w, kv_page_of(q->page[at / DEV_PAGE]), MIN(DEV_PAGE, q->length - at), &record))
                w.failed = ENOMEM;
        rc = kv_writer_close(&w, true, e);
    }
    buf_done(&record);
    mem_free(tokens);
    return rc;
}

static int damaged(const char *path, const char *what, err *e)
{
    return err_set(e, ST_FORMAT, "%s: damaged or cut short (%s); delete it", path, what);
}

// The next record of a file into `record`.
static int read_record(const kv *s, FILE *f, const char *path, int written, buf *record, err *e)
{
    record_head h;
    const size_t most = dev_kv_page_bytes(&s->shape) + (size_t)s->shape.layers * 2 + 8;
    if (fread(&h, sizeof h, 1, f) != 1 || h.bytes > most)
        return damaged(path, "head of a page", e);
    buf_clear(record);
    if (!buf_reserve(record, (size_t)h.bytes))
        return err_set(e, ST_NOMEM, "no memory to read keys and values");
    if (fread(record->data, 1, (size_t)h.bytes, f) != h.bytes)
        return damaged(path, "a page", e);
    if (hash_bytes(record->data, (size_t)h.bytes) != h.check ||
        !kv_record_fits(s, (const uint8_t *)record->data, (size_t)h.bytes, written))
        return damaged(path, "checksum of a page", e);
    return ST_OK;
}

// Appends a page from the record, with its tokens.
static int append_page(kv_seq *q, const buf *record, const int32_t *tokens, int n, err *e)
{
    int rc = kv_prepare_levels(q->store, e);
    if (!rc)
        rc = kv_seq_reserve(q, n, e);
    if (!rc &&
        kv_record_read(q->store, kv_page_of(q->page[q->length / DEV_PAGE]), (const uint8_t *)record->data))
        rc = err_set(e, ST_NOMEM, "no memory for keys and values");
    if (!rc)
        kv_seq_append(q, tokens, n);
    return rc;
}

static int read_tokens(const kv *s, FILE *f, const char *path, const char *magic, kv_file_head *h, int most,
                       int32_t **tokens, err *e)
{
    *tokens = NULL;
    if (fread(h, sizeof *h, 1, f) != 1)
        return damaged(path, "head", e);
    int rc = kv_head_check(s, h, magic, path, e);
    if (rc)
        return rc;
    if (h->length > most)
        return err_set(e, ST_LIMIT, "%s: holds %d tokens, %d fit the context; raise --ctx", path, h->length,
                       most);
    size_t n = (size_t)h->length;
    *tokens = mem_alloc(MEM_KV, n * sizeof **tokens + 1);
    if (!*tokens)
        return err_set(e, ST_NOMEM, "no memory for %zu tokens", n);
    if (fread(*tokens, sizeof **tokens, n, f) != n || !kv_head_tokens_fit(h, *tokens))
        rc = damaged(path, "tokens", e);
    if (rc) {
        mem_free(*tokens);
        *tokens = NULL;
    }
    return rc;
}

int kv_seq_load(kv *s, const char *path, int most, kv_seq **out, err *e)
{
    kv_file_head h;
    int32_t *tokens = NULL;
    buf record;
    buf_init(&record);
    *out = NULL;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(e, errno == ENOENT ? ST_NOTFOUND : ST_IO, "%s: %s", path, strerror(errno));
    int rc = read_tokens(s, f, path, session_magic, &h, most, &tokens, e);
    if (!rc)
        rc = kv_seq_new(s, out, e);
    for (int at = 0; !rc && at < h.length; at += DEV_PAGE) {
        int n = MIN(DEV_PAGE, h.length - at);
        rc = read_record(s, f, path, n, &record, e);
        if (!rc)
            rc = append_page(*out, &record, tokens + at, n, e);
    }
    fclose(f);
    buf_done(&record);
    mem_free(tokens);
    if (rc) {
        kv_seq_free(*out);
        *out = NULL;
    }
    return rc;
}

// ---- Pages of prompts ----------------------------------------------------------------------------------------------
static void page_path(char *out, size_t cap, const char *dir, uint64_t key)
{
    snprintf(out, cap, "%s/%016" PRIx64 KV_PAGE_SUFFIX, dir, key);
}

static kv_page *page_before(const kv_seq *q, int i)
{
    return i > 0 ? kv_page_of(q->page[i - 1]) : NULL;
}

// The page with this key from its file: into the record, when it holds these tokens. What is damaged or of another version
// is removed, or its name would be taken for good.
static bool read_page(const kv *s, const char *path, uint64_t key, const int32_t *tokens, buf *record)
{
    kv_file_head h;
    int32_t *held = NULL;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return false;
    int rc = read_tokens(s, f, path, page_magic, &h, DEV_PAGE, &held, NULL);
    bool good = !rc && h.length == DEV_PAGE && h.key == key &&
                memcmp(held, tokens, DEV_PAGE * sizeof *tokens) == 0;
    if (good)
        rc = read_record(s, f, path, DEV_PAGE, record, NULL);
    fclose(f);
    mem_free(held);
    if (rc == ST_FORMAT || rc == ST_UNSUPPORTED)
        unlink(path);
    return good && !rc;
}

int kv_seq_save_pages(const kv_seq *q, int from, const char *dir)
{
    kv_writer w;
    char path[4096];
    buf record;
    buf_init(&record);
    int saved = 0;
    for (int i = from / DEV_PAGE; i < q->length / DEV_PAGE; i++) {
        const kv_page *p = kv_page_of(q->page[i]);
        if (!p->in_tree)
            break;
        const int32_t *tokens = q->store->token[kv_page_index(q->store, p)];
        page_path(path, sizeof path, dir, p->key);
        if (read_page(q->store, path, p->key, tokens, &record)) {  // seldom there: it would have been loaded
            os_touch(path);
            continue;
        }
        if (kv_writer_open(&w, path, NULL))
            break;
        kv_file_head h = kv_head_make(q->store, page_magic, p->key, tokens, DEV_PAGE);
        kv_writer_add(&w, &h, sizeof h);
        kv_writer_add(&w, tokens, DEV_PAGE * sizeof *tokens);
        if (write_page(q->store, &w, p, DEV_PAGE, &record))
            w.failed = ENOMEM;
        if (kv_writer_close(&w, false, NULL))
            break;
        saved++;
    }
    buf_done(&record);
    return saved;
}

// The page with these tokens after the sequence's last, from the folder. False when it is not there or not good.
static bool load_page(kv_seq *q, const int32_t *tokens, const char *dir, buf *record)
{
    const kv *s = q->store;
    kv_page *parent = page_before(q, q->length / DEV_PAGE);
    if (parent && !parent->in_tree)
        return false;
    char path[4096];
    uint64_t key = kv_tree_key(s, parent, tokens);
    page_path(path, sizeof path, dir, key);
    return read_page(s, path, key, tokens, record) && append_page(q, record, tokens, DEV_PAGE, NULL) == ST_OK;
}

int kv_seq_load_pages(kv_seq *q, const int32_t *tokens, int n, const char *dir)
{
    buf record;
    buf_init(&record);
    int at = 0;
    if (q->length % DEV_PAGE == 0 && q->store->bucket)
        while (n - at >= DEV_PAGE && load_page(q, tokens + at, dir, &record))
            at += DEV_PAGE;
    buf_done(&record);
    return at;
}

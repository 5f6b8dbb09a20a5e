// Pages with counts, sequences as page lists, copy on write.
#include "kv/kv.h"

#include <string.h>

struct kv {
    dev_kv_shape shape;
    size_t page_bytes;
    uint8_t *memory;  // [pages][page_bytes], touched only as pages are first used
    int pages;
    int fresh;       // pages [fresh, pages) were never used
    int *free_list;  // pages given back
    int n_free;
    int *refs;  // [pages]
};

struct kv_seq {
    kv *store;
    int length;
    int n_pages, cap_pages;
    int *page;     // [cap_pages] page numbers
    uint8_t **at;  // [cap_pages] their addresses
};

int kv_new(kv **out, const dev_kv_shape *shape, int pages, err *e)
{
    *out = NULL;
    kv *s = mem_calloc(MEM_KV, 1, sizeof *s);
    if (!s)
        return err_set(e, ST_NOMEM, "no memory for the KV store");
    s->shape = *shape;
    s->pages = pages;
    s->page_bytes = dev_kv_page_bytes(shape);
    uint64_t bytes;
    if (pages < 1 || !check_mul((uint64_t)pages, s->page_bytes, &bytes) || bytes > SIZE_MAX / 2) {
        mem_free(s);
        return err_set(e, ST_INVALID, "KV store of %d pages, allowed 1..%zu", pages,
                       SIZE_MAX / 2 / dev_kv_page_bytes(shape));
    }
    s->memory = mem_pages_alloc(MEM_KV, (size_t)bytes);
    s->refs = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->refs);
    s->free_list = mem_calloc(MEM_KV, (size_t)pages, sizeof *s->free_list);
    if (!s->memory || !s->refs || !s->free_list) {
        kv_free(s);
        return err_set(e, ST_NOMEM, "no memory for a KV store of %llu MB; use a smaller context",
                       (unsigned long long)bytes >> 20);
    }
    *out = s;
    return ST_OK;
}

void kv_free(kv *s)
{
    if (!s)
        return;
    mem_pages_free(MEM_KV, s->memory, (size_t)s->pages * s->page_bytes);
    mem_free(s->refs);
    mem_free(s->free_list);
    mem_free(s);
}

static int page_take(kv *s)
{
    int page = s->n_free ? s->free_list[--s->n_free] : s->fresh < s->pages ? s->fresh++ : -1;
    if (page >= 0)
        s->refs[page] = 1;
    return page;
}

static void page_unref(kv *s, int page)
{
    if (--s->refs[page] == 0)
        s->free_list[s->n_free++] = page;
}

int kv_seq_new(kv *s, kv_seq **out, err *e)
{
    *out = mem_calloc(MEM_KV, 1, sizeof **out);
    if (!*out)
        return err_set(e, ST_NOMEM, "no memory for a sequence");
    (*out)->store = s;
    return ST_OK;
}

void kv_seq_free(kv_seq *q)
{
    if (!q)
        return;
    kv_seq_truncate(q, 0);
    mem_free(q->page);
    mem_free(q->at);
    mem_free(q);
}

// Room for n pages in the list.
static int list_grow(kv_seq *q, int n, err *e)
{
    if (n <= q->cap_pages)
        return ST_OK;
    int cap = MAX(n, MAX(16, q->cap_pages * 2));
    int *page = mem_realloc(MEM_KV, q->page, (size_t)cap * sizeof *page);
    if (page)
        q->page = page;
    uint8_t **at = mem_realloc(MEM_KV, q->at, (size_t)cap * sizeof *at);
    if (at)
        q->at = at;
    if (!page || !at)
        return err_set(e, ST_NOMEM, "no memory for a sequence of %d pages", n);
    q->cap_pages = cap;
    return ST_OK;
}

int kv_seq_fork(const kv_seq *q, kv_seq **out, err *e)
{
    int written = (q->length + DEV_PAGE - 1) / DEV_PAGE;  // pages reserved past these stay with q
    int rc = kv_seq_new(q->store, out, e);
    if (!rc)
        rc = list_grow(*out, written, e);
    if (rc) {
        kv_seq_free(*out);
        *out = NULL;
        return rc;
    }
    kv_seq *f = *out;
    f->length = q->length;
    f->n_pages = written;
    for (int i = 0; i < written; i++) {
        f->page[i] = q->page[i];
        f->at[i] = q->at[i];
        q->store->refs[q->page[i]]++;
    }
    return ST_OK;
}

int kv_seq_length(const kv_seq *q)
{
    return q->length;
}

void kv_seq_truncate(kv_seq *q, int length)
{
    if (length >= q->length && length > 0)
        return;
    int keep = (length + DEV_PAGE - 1) / DEV_PAGE;
    while (q->n_pages > keep)
        page_unref(q->store, q->page[--q->n_pages]);
    q->length = length;
}

static int no_page(const kv_seq *q, int n, err *e)
{
    return err_set(e, ST_LIMIT,
                   "context is full: %d tokens held, %d more asked, %d pages of %d tokens in all; "
                   "raise --ctx or start anew",
                   q->length, n, q->store->pages, DEV_PAGE);
}

int kv_seq_reserve(kv_seq *q, int n, err *e)
{
    kv *s = q->store;
    if (n > INT32_MAX - DEV_PAGE - q->length)
        return no_page(q, n, e);
    int need = (q->length + n + DEV_PAGE - 1) / DEV_PAGE, had = q->n_pages;
    int available = s->n_free + s->pages - s->fresh;
    int partial = q->length % DEV_PAGE ? q->length / DEV_PAGE : -1;  // the page that is half written
    bool copy = n > 0 && partial >= 0 && s->refs[q->page[partial]] > 1;
    if (need - had + copy > available)
        return no_page(q, n, e);
    int rc = list_grow(q, need, e);
    if (rc)
        return rc;
    if (copy) {
        int page = page_take(s);
        uint8_t *at = s->memory + (size_t)page * s->page_bytes;
        memcpy(at, q->at[partial], s->page_bytes);
        page_unref(s, q->page[partial]);
        q->page[partial] = page;
        q->at[partial] = at;
    }
    while (q->n_pages < need) {
        int page = page_take(s);
        q->page[q->n_pages] = page;
        q->at[q->n_pages++] = s->memory + (size_t)page * s->page_bytes;
    }
    return ST_OK;
}

void kv_seq_advance(kv_seq *q, int n)
{
    q->length += n;
}

dev_kv_view kv_seq_view(const kv_seq *q)
{
    return (dev_kv_view){q->at};
}

void kv_get_stats(const kv *s, kv_stats *out)
{
    *out = (kv_stats){.pages = s->pages, .used = s->fresh - s->n_free, .page_bytes = s->page_bytes};
    for (int i = 0; i < s->fresh; i++)
        out->shared += s->refs[i] > 1;
    out->resident_bytes = (size_t)s->fresh * s->page_bytes;
}

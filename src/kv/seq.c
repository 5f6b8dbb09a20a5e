// Sequences: lists of pages that others may hold too.
#include <string.h>

#include "kv/own.h"

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
    mem_free(q);
}

// Room for n pages in the list.
static int list_grow(kv_seq *q, int n, err *e)
{
    if (n <= q->cap_pages)
        return ST_OK;
    int cap = MAX(n, MAX(16, q->cap_pages * 2));
    dev_kv_page **page = mem_realloc(MEM_KV, q->page, (size_t)cap * sizeof *page);
    if (!page)
        return err_set(e, ST_NOMEM, "no memory for a sequence of %d pages", n);
    q->page = page;
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
        kv_page_of(q->page[i])->refs++;
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
        kv_page_unref(q->store, kv_page_of(q->page[--q->n_pages]));
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
    int partial = q->length % DEV_PAGE ? q->length / DEV_PAGE : -1;  // the page that is half written
    bool copy = n > 0 && partial >= 0 && kv_page_of(q->page[partial])->refs > 1;
    if (need - had + copy > kv_pages_free(s))
        return no_page(q, n, e);
    int rc = list_grow(q, need, e);
    if (rc)
        return rc;
    if (copy) {
        kv_page *shared = kv_page_of(q->page[partial]), *own = kv_page_take(s);
        kv_page_copy(s, own, shared);
        kv_page_unref(s, shared);
        q->page[partial] = &own->at;
    }
    while (q->n_pages < need)
        q->page[q->n_pages++] = &kv_page_take(s)->at;
    return ST_OK;
}

void kv_seq_advance(kv_seq *q, int n)
{
    q->length += n;
}

dev_kv_view kv_seq_view(const kv_seq *q)
{
    return (dev_kv_view){q->page};
}

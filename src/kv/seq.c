// Sequences: lists of pages that others may hold too.
#include <string.h>

#include "kv/own.h"

int kv_seq_new(kv *s, kv_seq **out, err *e)
{
    *out = mem_calloc(MEM_KV, 1, sizeof **out);
    if (!*out)
        return err_set(e, ST_NOMEM, "no memory for a sequence");
    (*out)->store = s;
    (*out)->policy = s->policy;
    (*out)->number = s->sequences++;
    (*out)->next = s->seqs;
    s->seqs = *out;
    return ST_OK;
}

void kv_seq_free(kv_seq *q)
{
    if (!q)
        return;
    kv_seq_truncate(q, 0);
    kv_seq **at = &q->store->seqs;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
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
    f->policy = q->policy;
    f->checked = q->checked;
    f->looked = q->looked;
    f->n_pages = written;
    for (int i = 0; i < written; i++) {
        f->page[i] = q->page[i];
        kv_page_ref(q->store, kv_page_of(q->page[i]));
    }
    return ST_OK;
}

int kv_seq_length(const kv_seq *q)
{
    return q->length;
}

// A page that is cut into comes back to F16, and stays: it may be written on.
static int cut_page(kv *s, kv_page *p)
{
    int rc = kv_page_restore(s, p, NULL);
    for (int b = 0; !rc && b < 2 * s->shape.layers; b++)
        kv_state_of(s, p, b / 2, b % 2)->want = DEV_KV_F16;
    return rc;
}

int kv_seq_truncate(kv_seq *q, int length)
{
    if (length >= q->length && length > 0)
        return q->length;
    if (length % DEV_PAGE && cut_page(q->store, kv_page_of(q->page[length / DEV_PAGE])))
        length -= length % DEV_PAGE;
    int keep = (length + DEV_PAGE - 1) / DEV_PAGE;
    while (q->n_pages > keep)
        kv_page_unref(q->store, kv_page_of(q->page[--q->n_pages]));
    q->length = length;
    q->checked = MIN(q->checked, length);
    q->doubt = 0;
    q->looked = MIN(q->looked, length);
    return length;
}

int kv_seq_set_policy(kv_seq *q, const kv_policy *policy, err *e)
{
    int rc = kv_policy_prepare(q->store, policy, e);
    if (rc)
        return rc;
    q->policy = *policy;
    q->checked = 0;
    for (int i = 0; i < q->n_pages; i++)
        for (int b = 0; b < 2 * q->store->shape.layers; b++)
            kv_state_of(q->store, kv_page_of(q->page[i]), b / 2, b % 2)->held = false;
    q->store->due = q->store->changed = true;
    return ST_OK;
}

int kv_seq_lost(const kv_seq *q)
{
    const kv *s = q->store;
    for (int at = 0; at < q->length; at += DEV_PAGE) {
        const kv_page *p = kv_page_of(q->page[at / DEV_PAGE]);
        for (int b = 0; b < 2 * s->shape.layers; b++)
            if (p->at.block[b / 2][b % 2].level != DEV_KV_F16 && !kv_state_of(s, p, b / 2, b % 2)->spilled)
                return at;
    }
    return q->length;
}

int kv_set_policy(kv *s, const kv_policy *policy, err *e)
{
    int rc = kv_policy_prepare(s, policy, e);
    if (!rc)
        s->policy = *policy;
    return rc;
}

const kv_policy *kv_seq_policy(const kv_seq *q)
{
    return &q->policy;
}

static int no_page(const kv_seq *q, int n, err *e)
{
    return err_set(e, ST_LIMIT,
                   "context is full: %d tokens held, %d more asked, %d pages of %d tokens in all; "
                   "raise --ctx or start anew",
                   q->length, n, q->store->pages, DEV_PAGE);
}

// A page that only this sequence holds is written again.
static void open_again(kv *s, kv_page *p)
{
    p->full = false;
    kv_page_forget_spilled(s, p);
}

int kv_seq_reserve(kv_seq *q, int n, err *e)
{
    kv *s = q->store;
    if (n > INT32_MAX - DEV_PAGE - q->length)
        return no_page(q, n, e);
    int need = (q->length + n + DEV_PAGE - 1) / DEV_PAGE, had = q->n_pages;
    int partial = q->length % DEV_PAGE ? q->length / DEV_PAGE : -1;  // the page that is half written
    // A full page in the tree that was cut back is shared too: the tree holds it.
    bool copy = n > 0 && partial >= 0 && kv_page_of(q->page[partial])->refs > 1;
    if (need - had + copy > kv_pages_free(s))
        return no_page(q, n, e);
    int rc = list_grow(q, need, e);
    if (rc)
        return rc;
    // Nothing to do but for a page that was cut back after it had been made coarser.
    if (n > 0 && partial >= 0 && (rc = kv_page_restore(s, kv_page_of(q->page[partial]), e)))
        return rc;
    if (copy) {
        kv_page *shared = kv_page_of(q->page[partial]), *own = kv_page_take(s);
        kv_page_copy(s, own, shared);
        kv_page_unref(s, shared);
        q->page[partial] = &own->at;
    }
    if (n > 0 && partial >= 0)
        open_again(s, kv_page_of(q->page[partial]));
    while (q->n_pages < need)
        q->page[q->n_pages++] = &kv_page_take(s)->at;
    return ST_OK;
}

// The page before page i.
static kv_page *page_before(const kv_seq *q, int i)
{
    return i > 0 ? kv_page_of(q->page[i - 1]) : NULL;
}

// Page i is full: another sequence with the same past may use it, or has made it already. Every page of one past has
// the same keys and values (engine.h), so one of them is enough.
static void offer(kv_seq *q, int i)
{
    kv *s = q->store;
    kv_page *p = kv_page_of(q->page[i]);
    p->full = true;
    p->born = s->clock;
    if (p->root != s->root)
        return;
    kv_page *same = kv_tree_child(s, page_before(q, i), s->token[kv_page_index(s, p)]);
    if (same && same != p && !kv_page_is_f16(s, same)) {
        return;  // ours is better: it stays, and stays alone
    } else if (same && same != p) {
        kv_page_ref(s, same);
        q->page[i] = &same->at;
        kv_page_unref(s, p);
    } else {
        kv_tree_add(s, page_before(q, i), p);
    }
}

void kv_seq_append(kv_seq *q, const int32_t *tokens, int n)
{
    kv *s = q->store;
    q->doubt = 0;
    for (int i = 0; i < n; i++) {
        int at = q->length / DEV_PAGE, slot = q->length % DEV_PAGE;
        kv_page *p = kv_page_of(q->page[at]);
        if (slot == 0)
            p->root = s->root;
        else if (p->root != s->root)
            p->root = 0;
        s->token[kv_page_index(s, p)][slot] = tokens[i];
        q->length++;
        s->clock++;
        if (slot == DEV_PAGE - 1)
            offer(q, at);
    }
}

void kv_seq_doubt(kv_seq *q, int n)
{
    q->doubt = MIN(n, q->length);
}

int kv_seq_match(kv_seq *q, const int32_t *tokens, int n, err *e)
{
    int start = q->length, at = start / DEV_PAGE;
    if (start % DEV_PAGE)
        return 0;
    for (; start + n - q->length >= DEV_PAGE; at++) {
        kv_page *p = kv_tree_child(q->store, page_before(q, at), tokens + (q->length - start));
        if (!p)
            break;
        int rc = list_grow(q, at + 1, e);
        if (rc)
            return rc;
        kv_page_ref(q->store, p);
        if (at < q->n_pages)  // one that was reserved
            kv_page_unref(q->store, kv_page_of(q->page[at]));
        else
            q->n_pages++;
        q->page[at] = &p->at;
        q->length += DEV_PAGE;
    }
    return q->length - start;
}

int kv_seq_tokens(const kv_seq *q, int32_t *out)
{
    for (int i = 0; i < q->length; i += DEV_PAGE)
        memcpy(out + i, q->store->token[kv_page_index(q->store, kv_page_of(q->page[i / DEV_PAGE]))],
               (size_t)MIN(DEV_PAGE, q->length - i) * sizeof *out);
    return q->length;
}

dev_kv_view kv_seq_view(const kv_seq *q)
{
    return (dev_kv_view){q->page};
}

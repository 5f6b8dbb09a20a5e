// The door of the kv room: keys and values of past tokens, in pages that sequences share.
//
// A page holds DEV_PAGE tokens of all layers, in blocks and planes (dev.h). A sequence is a list of pages and a
// length; pages are counted, so a fork copies only the list, and a page that two sequences hold is copied before one
// of them writes into it. Address space is reserved for all pages at the start and becomes resident as it is first
// used. Used from one thread at a time.
#ifndef KV_KV_H
#define KV_KV_H

#include "base/base.h"
#include "dev/dev.h"

typedef struct kv kv;
typedef struct kv_seq kv_seq;

typedef struct kv_options {
    int pages;         // at most
    bool prefix_tree;  // keep full pages for sequences that begin with the same tokens
    uint64_t root;     // names what makes keys and values of tokens: model, tokenizer, adapter; not 0
} kv_options;
// ST_NOMEM when the address space cannot be reserved.
int kv_new(kv **out, const dev_kv_shape *shape, const kv_options *o, err *e);
void kv_free(kv *s);  // every sequence must be freed before

int kv_seq_new(kv *s, kv_seq **out, err *e);
void kv_seq_free(kv_seq *q);  // NULL is allowed
// A second sequence with the same past; costs a page list.
int kv_seq_fork(const kv_seq *q, kv_seq **out, err *e);
int kv_seq_length(const kv_seq *q);
// Forgets positions from `length` on.
void kv_seq_truncate(kv_seq *q, int length);

// Makes the next n positions writable: takes pages, copies a shared last one. ST_LIMIT when no page is free (the
// sequence keeps what it had), ST_NOMEM.
int kv_seq_reserve(kv_seq *q, int n, err *e);
// These n tokens are written; n at most what was reserved. Full pages join the prefix tree.
void kv_seq_append(kv_seq *q, const int32_t *tokens, int n);
// Appends the pages that the prefix tree has of tokens[n], whole pages only and only after whole pages. The number of
// tokens appended, which need not be run; ST_NOMEM.
int kv_seq_match(kv_seq *q, const int32_t *tokens, int n, err *e);
// Copies the sequence's tokens; gives their number.
int kv_seq_tokens(const kv_seq *q, int32_t *out);
// Valid until the next call that changes the sequence.
dev_kv_view kv_seq_view(const kv_seq *q);

// From now on keys and values are made by something else (an adapter was changed): pages written before are not
// found while this root holds.
void kv_set_root(kv *s, uint64_t root);
void kv_forget_prefixes(kv *s);  // drops the idle pages of the prefix tree

typedef struct kv_stats {
    int pages, used;
    int shared;  // of these, held by more than one sequence
    int idle;    // held by the prefix tree alone: they give way when a page is needed
    size_t page_bytes;
    size_t resident_bytes;  // memory that planes took and did not give back
} kv_stats;
void kv_get_stats(const kv *s, kv_stats *out);

#endif

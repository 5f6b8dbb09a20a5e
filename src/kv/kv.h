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

// How sequences keep what they know, and for how long at which level (policy.c; docs/KV.md).
enum kv_kind {
    KV_F16,      // all at F16
    KV_UNIFORM,  // full pages at one level
    KV_WINDOW,   // the first page and the newest; the others absent (attention sinks, arXiv 2309.17453)
    KV_H2O,  // half of the budget for the newest pages, half for those with the most attention (arXiv 2306.14048)
    KV_RULE,  // "staged-rule": by importance, age and pressure, as published
    KV_FIT    // "staged": where precision is worth most, within the budget
};
// What becomes of values that a coarser level drops.
enum kv_mode {
    KV_EXACT,      // kept in the spill file: they come back to the bit
    KV_RECOMPUTE,  // not kept; the engine can run the tokens again
    KV_NONE        // gone
};
typedef struct kv_policy {
    enum kv_kind kind;
    enum kv_mode mode;
    enum dev_kv_level level[2];  // KV_UNIFORM: of K and V
    int window;                  // KV_WINDOW: tokens; 0: what the budget allows
    // Importance of a page in a layer = attention * share + frequency * how often it had a share above the mean
    // - age * how old it is; each of these is 0..1.
    float attention, frequency, age;
    // KV_RULE: above each pressure, pages below the importance go to the level.
    float absent_pressure, absent_importance, q4_pressure, q4_importance, q8_importance;
    int age_limit;  // tokens after which a page is Q8 at most
    // KV_FIT: how much an error in K weighs against the same error in V, and how importance weighs.
    float key_weight, power;
    int recent;  // newest tokens that stay F16, beside the page that is being written
    // The guard (engine/guard.c): tokens between two checks, 0: none; the divergence it bears. KV_EXACT only.
    int guard;
    float guard_bound;
    // Budget: bytes of all sequences together, or a part of what F16 takes; 0: none.
    uint64_t budget_bytes;
    float budget_part;
    int least;  // KV_FIT: tokens that a part counts where a sequence has fewer: what is short is small, and stays fine
} kv_policy;
kv_policy kv_policy_default(enum kv_kind kind);
// "f16", "uniform:q8", "window:1024", "h2o", "staged", "staged-rule", each with ",name=value" for a field: see
// docs/KV.md. budget: "25%", "1500M", NULL or "": none. ST_INVALID.
int kv_policy_parse(kv_policy *out, const char *text, const char *budget, err *e);

typedef struct kv_options {
    int pages;              // at most
    bool prefix_tree;       // keep full pages for sequences that begin with the same tokens
    uint64_t root;          // names what makes keys and values of tokens: model, tokenizer, adapter; not 0
    kv_policy policy;       // of sequences that get no other
    const char *spill_dir;  // NULL: $TMPDIR or /tmp
    uint64_t spill_bytes;   // most the spill file may take; 0: what all pages take at F16
} kv_options;
// ST_NOMEM when the address space cannot be reserved.
int kv_new(kv **out, const dev_kv_shape *shape, const kv_options *o, err *e);
void kv_free(kv *s);  // every sequence must be freed before

int kv_seq_new(kv *s, kv_seq **out, err *e);
void kv_seq_free(kv_seq *q);  // NULL is allowed
// A second sequence with the same past; costs a page list.
int kv_seq_fork(const kv_seq *q, kv_seq **out, err *e);
int kv_seq_length(const kv_seq *q);
// Forgets positions from `length` on. The length kept: it is less than `length` (down to the start of its page) where the
// page has to be written again and what was dropped of it cannot be brought back.
int kv_seq_truncate(kv_seq *q, int length);
// From now on the sequence follows another policy. ST_NOMEM, ST_IO: it keeps the old one.
int kv_seq_set_policy(kv_seq *q, const kv_policy *policy, err *e);
const kv_policy *kv_seq_policy(const kv_seq *q);
// The policy of sequences to come. ST_NOMEM, ST_IO: it stays the old one.
int kv_set_policy(kv *s, const kv_policy *policy, err *e);

// Makes the next n positions writable: takes pages, copies a shared last one. ST_LIMIT when no page is free (the
// sequence keeps what it had), ST_NOMEM.
int kv_seq_reserve(kv_seq *q, int n, err *e);
// These n tokens are written; n at most what was reserved. Full pages join the prefix tree.
void kv_seq_append(kv_seq *q, const int32_t *tokens, int n);
// The newest n tokens may be taken back by kv_seq_truncate, as guesses are: pages with them stay F16 until the next
// kv_seq_append or kv_seq_truncate.
void kv_seq_doubt(kv_seq *q, int n);
// Appends the pages that the prefix tree has of tokens[n], whole pages only and only after whole pages. The number of
// tokens appended, which need not be run; ST_NOMEM.
int kv_seq_match(kv_seq *q, const int32_t *tokens, int n, err *e);
// The first position of a page that cannot be brought back to F16, since what was dropped of it was not kept; the length,
// when there is none.
int kv_seq_lost(const kv_seq *q);
// Copies the sequence's tokens; gives their number.
int kv_seq_tokens(const kv_seq *q, int32_t *out);
// Valid until the next call that changes the sequence.
dev_kv_view kv_seq_view(const kv_seq *q);

// From now on keys and values are made by something else (an adapter was changed): pages written before are not
// found while this root holds.
void kv_set_root(kv *s, uint64_t root);
void kv_forget_prefixes(kv *s);  // drops the idle pages of the prefix tree

// Files (docs/formats/session.md): everything checked when read, written under another name until whole.
// The sequence with its tokens, at the levels its pages have. ST_IO, ST_NOMEM.
int kv_seq_save(const kv_seq *q, const char *path, err *e);
// A sequence of at most `most` tokens. ST_NOTFOUND, ST_IO, ST_FORMAT (damaged), ST_UNSUPPORTED (another version),
// ST_INVALID (another model), ST_LIMIT, ST_NOMEM. What was dropped of its pages before cannot come back from the spill file.
int kv_seq_load(kv *s, const char *path, int most, kv_seq **out, err *e);
// Full pages from position `from` on as files of a folder, named by all tokens up to their end; how many were new. What
// cannot be written is left out.
#define KV_PAGE_SUFFIX ".kvpage"
int kv_seq_save_pages(const kv_seq *q, int from, const char *dir);
// Appends the pages of tokens[n] that the folder has, as kv_seq_match does from memory.
int kv_seq_load_pages(kv_seq *q, const int32_t *tokens, int n, const char *dir);

// Between steps: looks at the pages when one has become full since the last time, and moves blocks to the level they
// have earned, about as many as `tokens` new ones call for (tokens < 0: all at once).
void kv_adapt(kv *s, int tokens);

// ---- For the guard (engine/guard.c) ----
// Whether a check is due, of the last `last` tokens, at most DEV_PAGE. It counts as made.
bool kv_seq_guard_due(kv_seq *q, int last);
void kv_seq_last_tokens(const kv_seq *q, int32_t *out, int n);
// All of the sequence at F16. *levels: what it was, for kv_seq_lower; freed with mem_free. When something cannot come
// back (ST_NOTFOUND: it was not kept, ST_FORMAT: damaged), or ST_LIMIT, ST_NOMEM, all is as before and *levels NULL.
int kv_seq_raise(kv_seq *q, uint8_t **levels, err *e);
// Back to those levels, but for a part (0..1) of what was coarser, that with the most attention: it stays F16 until the
// sequence gets another policy. The number of blocks that stay.
int kv_seq_lower(kv_seq *q, const uint8_t *levels, float hold);

// What guards have seen in all sequences.
typedef struct kv_guard {
    uint64_t checks, skipped;  // skipped: what was dropped could not be brought back, or there was no memory
    uint64_t promotions;       // blocks that stay F16 since
    uint64_t fall_backs;       // sequences that stay F16 since
} kv_guard;
kv_guard *kv_count_guard(kv *s);
void kv_guard_saw(kv *s, float kl);  // a check, and the divergence it found

typedef struct kv_stats {
    int pages, used;
    int shared;  // of these, held by more than one sequence
    int idle;    // held by the prefix tree alone: they give way when a page is needed
    size_t page_bytes;
    size_t resident_bytes;  // memory that planes took and did not give back
    size_t plane_bytes;     // of planes in use: what sequences and tree hold in memory
    size_t f16_bytes;       // what the same pages take at F16
    size_t spilled_bytes;   // in the spill file
    double bits;            // mean bits of a value in memory, scales included; absent ones have none
    uint64_t blocks[DEV_KV_LEVELS + 1];  // of full and half-written pages, by level
    uint64_t demotions, promotions;      // of blocks, since the start
    kv_guard guard;
    double guard_last, guard_p95;  // divergence of the last check; of the latest 64, 0 before the first
    bool spill_full;               // no further block is spilled for now
} kv_stats;
void kv_get_stats(const kv *s, kv_stats *out);

// A page of a sequence, for whoever draws it (list.c).
typedef struct kv_page_info {
    uint64_t sequence;  // number of the sequence since the store is open
    int position;       // of its first token
    int tokens;         // 1..DEV_PAGE
    int page;           // number in the store: one page that several sequences hold has one
    bool shared;        // another sequence holds it too
    float attention;    // part of its sequence's attention that it has received so far, mean over layers
    float bits[2];      // of a value of K and of V, mean over layers
} kv_page_info;
// All pages that sequences hold, sequence by sequence from its start on, at most `room` of them; the number there are.
// levels [room][layers][2] (enum dev_kv_level) may be NULL.
size_t kv_list_pages(const kv *s, kv_page_info *out, uint8_t *levels, size_t room);

// What a store of so many pages holds resident once each of its `sequences` has `tokens` tokens and the policy has had
// its way, known without making it (for plans); an estimate for policies that measure attention. bits: the mean of a
// value of full pages in memory. huge: as for dev_cpu_count.
typedef struct kv_needs {
    size_t bytes;
    double bits;
} kv_needs;
kv_needs kv_count(const dev_kv_shape *shape, const kv_policy *policy, int pages, int sequences, int tokens,
                  size_t huge);

#endif

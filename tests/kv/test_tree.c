// The prefix tree: what is found again, who holds it, what goes first when pages are needed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kv/kv.h"

static const dev_kv_shape small = {.layers = 2, .kv_heads = 1, .head_dim = 16};

static kv *store_of(int pages)
{
    kv *s;
    assert_int_equal(kv_new(&s, &small, &(kv_options){.pages = pages, .prefix_tree = true, .root = 5}, NULL),
                     ST_OK);
    return s;
}

static kv_seq *seq_of(kv *s)
{
    kv_seq *q;
    assert_int_equal(kv_seq_new(s, &q, NULL), ST_OK);
    return q;
}

// Text number t: its first `common` tokens are those of every text.
static int32_t token_of(int t, int i, int common)
{
    return i < common ? i : 1000 * (t + 1) + i;
}

enum { MOST = 1024 };
static const int32_t *text_of(int t, int common)
{
    static int32_t ids[MOST];
    for (int i = 0; i < MOST; i++)
        ids[i] = token_of(t, i, common);
    return ids;
}

// Brings q, which holds the start of the text, to n tokens, taking what the tree has; the number it had.
static int run(kv_seq *q, const int32_t *ids, int n)
{
    int at = kv_seq_length(q), known = kv_seq_match(q, ids + at, n - at, NULL);
    assert_true(known >= 0);
    assert_int_equal(kv_seq_length(q), at + known);
    assert_int_equal(kv_seq_reserve(q, n - at - known, NULL), ST_OK);
    kv_seq_append(q, ids + at + known, n - at - known);
    int32_t got[MOST];
    assert_int_equal(kv_seq_tokens(q, got), n);
    assert_memory_equal(got, ids, (size_t)n * sizeof *ids);
    return known;
}

static kv_stats stats_of(const kv *s)
{
    kv_stats st;
    kv_get_stats(s, &st);
    return st;
}

static void whole_pages_are_found_again(void **state)
{
    (void)state;
    kv *s = store_of(16);
    kv_seq *a = seq_of(s), *b = seq_of(s), *c = seq_of(s);
    assert_int_equal(run(a, text_of(0, 130), 200), 0);
    assert_int_equal(run(b, text_of(1, 130), 200), 128);  // two pages of 64, not the two tokens after
    assert_ptr_equal(kv_seq_view(a).pages[1], kv_seq_view(b).pages[1]);
    assert_ptr_not_equal(kv_seq_view(a).pages[2], kv_seq_view(b).pages[2]);
    assert_int_equal(stats_of(s).used, 6);
    assert_int_equal(stats_of(s).shared, 2);
    assert_int_equal(run(c, text_of(0, 130), 191), 128);
    assert_int_equal(kv_seq_match(c, text_of(0, 130) + 191, 64, NULL), 0);  // not after half a page
    kv_seq_free(a);
    kv_seq_free(b);
    kv_seq_free(c);
    assert_int_equal(stats_of(s).used, 4);  // two of all, the third of each text
    assert_int_equal(stats_of(s).idle, 4);
    a = seq_of(s);
    assert_int_equal(run(a, text_of(1, 130), 200), 192);
    assert_int_equal(stats_of(s).idle, 1);
    kv_forget_prefixes(s);
    assert_int_equal(stats_of(s).idle, 0);
    kv_seq_free(a);
    kv_forget_prefixes(s);
    assert_int_equal(stats_of(s).used, 0);
    kv_free(s);
}

// Two sequences that ran the same tokens side by side keep one copy.
static void equal_pages_become_one(void **state)
{
    (void)state;
    kv *s = store_of(8);
    kv_seq *a = seq_of(s), *b = seq_of(s);
    const int32_t *ids = text_of(0, 128);
    for (int i = 0; i < 128; i++) {
        assert_int_equal(kv_seq_reserve(a, 1, NULL), ST_OK);
        assert_int_equal(kv_seq_reserve(b, 1, NULL), ST_OK);
        kv_seq_append(a, ids + i, 1);
        kv_seq_append(b, ids + i, 1);
    }
    assert_int_equal(stats_of(s).used, 2);
    assert_int_equal(stats_of(s).shared, 2);
    kv_seq_truncate(b, 100);  // into a page that a and the tree hold: b copies it before it writes
    assert_int_equal(run(b, text_of(1, 100), 120), 0);
    int32_t got[MOST];
    assert_int_equal(kv_seq_tokens(a, got), 128);
    assert_memory_equal(got, text_of(0, 128), 128 * sizeof *got);
    kv_seq_free(a);
    kv_seq_free(b);
    kv_free(s);
}

static void what_was_used_last_stays_longest(void **state)
{
    (void)state;
    kv *s = store_of(8);
    for (int t = 0; t < 4; t++) {
        kv_seq *q = seq_of(s);
        assert_int_equal(run(q, text_of(t, 0), 128), 0);
        kv_seq_free(q);
    }
    kv_seq *q = seq_of(s);
    assert_int_equal(run(q, text_of(0, 0), 128), 128);  // text 0 is the newest now
    kv_seq_free(q);
    q = seq_of(s);
    assert_int_equal(run(q, text_of(9, 0), 192), 0);  // three pages: text 1 goes, and the end of text 2
    kv_seq_free(q);
    static const int left[] = {128, 0, 64, 128};
    for (int t = 0; t < 4; t++) {
        q = seq_of(s);
        assert_int_equal(kv_seq_match(q, text_of(t, 0), 128, NULL), left[t]);
        kv_seq_free(q);
    }
    kv_free(s);
}

static void a_page_in_use_never_goes(void **state)
{
    (void)state;
    kv *s = store_of(4);
    kv_seq *a = seq_of(s), *b = seq_of(s);
    run(a, text_of(0, 0), 192);
    assert_int_equal(kv_seq_reserve(b, 65, NULL), ST_LIMIT);
    run(b, text_of(1, 0), 64);
    assert_int_equal(kv_seq_reserve(b, 1, NULL), ST_LIMIT);
    kv_seq_truncate(a, 128);
    assert_int_equal(kv_seq_reserve(b, 1, NULL), ST_OK);
    int32_t got[MOST];
    assert_int_equal(kv_seq_tokens(a, got), 128);
    assert_memory_equal(got, text_of(0, 0), 128 * sizeof *got);
    kv_seq_free(a);
    kv_seq_free(b);
    kv_free(s);
}

// Another adapter makes other keys and values of the same tokens, also of those in a page half written before.
static void another_root_finds_nothing(void **state)
{
    (void)state;
    kv *s = store_of(16);
    kv_seq *a = seq_of(s), *b = seq_of(s);
    run(a, text_of(0, 0), 100);
    kv_set_root(s, 6);
    run(a, text_of(0, 0), 200);
    assert_int_equal(kv_seq_match(b, text_of(0, 0), 192, NULL), 0);
    kv_set_root(s, 5);
    assert_int_equal(kv_seq_match(b, text_of(0, 0), 192, NULL), 64);  // what the first root made
    kv_seq_free(a);
    kv_seq_free(b);
    kv_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_pages_are_found_again),      cmocka_unit_test(equal_pages_become_one),
        cmocka_unit_test(what_was_used_last_stays_longest), cmocka_unit_test(a_page_in_use_never_goes),
        cmocka_unit_test(another_root_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// Levels: random histories of sequences under all policies against what was written, spilling, full disks, damage.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "kv/own.h"
#include "quant/quant.h"

static const dev_kv_shape shape = {.layers = 2, .kv_heads = 1, .head_dim = 16};
enum { VALUES = 16 * DEV_PAGE, PAGES = 24, SEQS = 4, MOST = 5 * DEV_PAGE };

static uint64_t random_state = 88172645463325252u;
static uint32_t draw(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % n;
}

static kv *store_with(const char *policy, const char *budget, uint64_t spill_bytes)
{
    kv *s = NULL;
    err e = {0};
    kv_options o = {.pages = PAGES, .prefix_tree = true, .root = 3, .spill_bytes = spill_bytes};
    if (kv_policy_parse(&o.policy, policy, budget, &e) || kv_new(&s, &shape, &o, &e))
        fail_msg("%s", e.msg);
    return s;
}

static kv_seq *seq_of(kv *s)
{
    kv_seq *q;
    assert_int_equal(kv_seq_new(s, &q, NULL), ST_OK);
    return q;
}

// The value of one channel of a token at a position: a function of the token alone, as keys and values are one of the
// tokens so far.
static uint16_t value_of(int32_t token, int pos, int layer, int side, int channel)
{
    uint32_t x = (uint32_t)token * 2654435761u +
                 (uint32_t)(pos * 7919 + layer * 31 + side * 17 + channel * 101);
    x = (x ^ x >> 15) * 2246822519u;
    return quant_f32_to_f16((float)(int32_t)(x ^ x >> 13) / 1e9f);
}

static void write_token(const kv_seq *q, int pos, int32_t token)
{
    const dev_kv_page *p = kv_seq_view(q).pages[pos / DEV_PAGE];
    int slot = pos % DEV_PAGE;
    for (int l = 0; l < shape.layers; l++)
        for (int c = 0; c < shape.head_dim; c++) {
            uint16_t *k = (uint16_t *)(void *)p->block[l][DEV_KV_K].plane[DEV_KV_PLANE_F16];
            uint16_t *v = (uint16_t *)(void *)p->block[l][DEV_KV_V].plane[DEV_KV_PLANE_F16];
            k[c * DEV_PAGE + slot] = value_of(token, pos, l, DEV_KV_K, c);
            v[slot * shape.head_dim + c] = value_of(token, pos, l, DEV_KV_V, c);
        }
}

static int append(kv_seq *q, const int32_t *tokens, int n)
{
    int at = kv_seq_length(q), rc = kv_seq_reserve(q, n, NULL);
    for (int i = 0; !rc && i < n; i++) {
        write_token(q, at + i, tokens[i]);
        dev_kv_page *p = kv_seq_view(q).pages[draw((uint32_t)(at + i) / DEV_PAGE + 1)];
        p->mass[draw(2)] += draw(DEV_KV_MASS_UNIT);
    }
    if (!rc)
        kv_seq_append(q, tokens, n);
    return rc;
}

static void wanted_f16(const int32_t *tokens, int page, int layer, int side, uint16_t *out)
{
    for (int slot = 0; slot < DEV_PAGE; slot++)
        for (int c = 0; c < shape.head_dim; c++)
            out[side == DEV_KV_K ? c * DEV_PAGE + slot : slot * shape.head_dim + c] = value_of(
                tokens[page * DEV_PAGE + slot], page * DEV_PAGE + slot, layer, side, c);
}

// A full page's block holds what its tokens make, at whatever level it is.
static void check_block(const kv_seq *q, const int32_t *tokens, int page, int layer, int side)
{
    static _Alignas(64) uint16_t f16[VALUES];
    static _Alignas(64) uint8_t planes[DEV_KV_PLANES][VALUES];
    const dev_kv_block *b = &kv_seq_view(q).pages[page]->block[layer][side];
    dev_kv_block want = {.plane = {(uint8_t *)f16, planes[1], planes[2], planes[3], planes[4]}};
    wanted_f16(tokens, page, layer, side, f16);
    assert_true(dev_kv_encode(&shape, (enum dev_kv_side)side, &want));
    dev_kv_narrow(&shape, (enum dev_kv_side)side, &want);
    assert_int_equal(b->plane[DEV_KV_PLANE_F16] != NULL, b->level == DEV_KV_F16);
    assert_int_equal(b->plane[DEV_KV_PLANE_HIGH] != NULL, b->level == DEV_KV_Q8 || b->level == DEV_KV_Q4);
    assert_int_equal(b->plane[DEV_KV_PLANE_LOW] != NULL, b->level == DEV_KV_Q8);
    assert_int_equal(b->plane[DEV_KV_PLANE_TWO] != NULL, b->level == DEV_KV_Q2);
    for (int k = 0; k < DEV_KV_PLANES; k++)
        if (b->plane[k])
            assert_memory_equal(b->plane[k], want.plane[k],
                                dev_kv_plane_bytes(&shape, (enum dev_kv_side)side, (enum dev_kv_plane)k));
}

static void check_seq(const kv_seq *q, const int32_t *tokens, int length, bool all)
{
    assert_int_equal(kv_seq_length(q), length);
    for (int page = 0; page < length / DEV_PAGE; page++)
        for (int b = 0; b < 2 * shape.layers; b++)
            if (all || draw(8) == 0)
                check_block(q, tokens, page, b / 2, b % 2);
    if (length % DEV_PAGE) {  // the page that is written is at F16
        const dev_kv_page *p = kv_seq_view(q).pages[length / DEV_PAGE];
        for (int b = 0; b < 2 * shape.layers; b++)
            assert_int_equal(p->block[b / 2][b % 2].level, DEV_KV_F16);
        int slot = (int)draw((uint32_t)(length % DEV_PAGE)), pos = length / DEV_PAGE * DEV_PAGE + slot;
        const uint16_t *v = (const uint16_t *)(const void *)p->block[1][DEV_KV_V].plane[DEV_KV_PLANE_F16];
        assert_int_equal(v[slot * shape.head_dim + 3], value_of(tokens[pos], pos, 1, DEV_KV_V, 3));
    }
}

static const char *const policies[] = {
    "f16",
    "uniform:q8",
    "uniform:q4,k=q8",
    "uniform:q2",
    "window:70",
    "staged,least=0",
    "staged,least=256",
    "staged,mode=none,least=0",
    "staged-rule",
    "uniform:q4,mode=exact",
    "staged-rule,mode=none,age-limit=64",
};
static const char *const budgets[] = {"20%", "60%", "30K", "8K", "100%"};

typedef struct history {
    kv *s;
    kv_seq *q[SEQS];
    int32_t tokens[SEQS][MOST];
    int length[SEQS];
} history;

static void one_step(history *h)
{
    int i = (int)draw(SEQS), j = (int)draw(SEQS), n = (int)draw(100) + 1;
    kv_policy policy;
    switch (draw(9)) {
    default:
        n = MIN(n, MOST - h->length[i]);
        for (int k = 0; k < n; k++)  // few different texts, so that prefixes meet
            h->tokens[i][h->length[i] + k] = h->length[i] + k < 100 ? 5 : (int32_t)draw(2);
        int known = kv_seq_match(h->q[i], h->tokens[i] + h->length[i], n, NULL);
        assert_true(known >= 0);
        h->length[i] += known;
        if (append(h->q[i], h->tokens[i] + h->length[i], n - known) == ST_OK)
            h->length[i] += n - known;
        break;
    case 5:
        n = MAX(0, h->length[i] - n);
        int kept = kv_seq_truncate(h->q[i], n);
        assert_true(kept == n || (kept < n && kept == n / DEV_PAGE * DEV_PAGE));
        h->length[i] = kept;
        break;
    case 6:
        if (i == j)
            break;
        kv_seq_free(h->q[j]);
        assert_int_equal(kv_seq_fork(h->q[i], &h->q[j], NULL), ST_OK);
        memcpy(h->tokens[j], h->tokens[i], sizeof h->tokens[j]);
        h->length[j] = h->length[i];
        break;
    case 7:
        assert_int_equal(kv_policy_parse(&policy, policies[draw(COUNT_OF(policies))],
                                         budgets[draw(COUNT_OF(budgets))], NULL),
                         ST_OK);
        assert_int_equal(kv_seq_set_policy(h->q[i], &policy, NULL), ST_OK);
        break;
    case 8:
        kv_seq_free(h->q[i]);
        h->q[i] = seq_of(h->s);
        h->length[i] = 0;
        break;
    }
    kv_adapt(h->s, draw(4) ? (int)draw(64) : -1);
}

static void random_histories(void **state)
{
    (void)state;
    enum { STEPS = 100000 };
    static history h;
    h.s = store_with("staged,least=0", "40%",
                     40 * (VALUES * 2 + KV_SPILL_HEAD));  // room for some blocks only
    for (int i = 0; i < SEQS; i++)
        h.q[i] = seq_of(h.s);
    kv_stats st;
    uint64_t seen[DEV_KV_LEVELS + 1] = {0};
    for (int step = 0; step < STEPS; step++) {
        one_step(&h);
        int i = (int)draw(SEQS);
        check_seq(h.q[i], h.tokens[i], h.length[i], step % 1000 == 0);
        kv_get_stats(h.s, &st);
        for (int k = 0; k <= DEV_KV_LEVELS; k++)
            seen[k] += st.blocks[k];
        assert_true(st.used <= PAGES);
    }
    for (int k = 0; k <= DEV_KV_LEVELS; k++)
        assert_true(seen[k] > 1000);
    assert_true(st.demotions > 1000 && st.promotions > 100);
    for (int i = 0; i < SEQS; i++)
        kv_seq_free(h.q[i]);
    kv_forget_prefixes(h.s);
    kv_get_stats(h.s, &st);
    assert_int_equal(st.used, 0);
    assert_int_equal(st.plane_bytes, 0);
    assert_int_equal(st.spilled_bytes, 0);
    kv_free(h.s);
}

static void fill(kv_seq *q, int32_t *tokens, int n)
{
    for (int i = 0; i < n; i++)
        tokens[i] = i % 7;
    assert_int_equal(append(q, tokens, n), ST_OK);
}

static void all_comes_back_to_the_bit(void **state)
{
    (void)state;
    kv *s = store_with("uniform:q2,mode=exact", NULL, 0);
    kv_seq *q = seq_of(s);
    static int32_t tokens[MOST];
    kv_policy f16 = kv_policy_default(KV_F16), q8 = kv_policy_default(KV_UNIFORM);
    q8.mode = KV_EXACT;
    kv_stats st;
    fill(q, tokens, 300);
    kv_adapt(s, -1);
    kv_get_stats(s, &st);
    assert_int_equal(st.blocks[DEV_KV_Q2], 16);
    assert_true(st.bits < 9 && st.plane_bytes < st.f16_bytes * 6 / 10);
    assert_int_equal(st.spilled_bytes, 16 * (VALUES * 2 + KV_SPILL_HEAD));
    assert_int_equal(kv_seq_set_policy(q, &q8, NULL), ST_OK);
    kv_adapt(s, -1);
    check_seq(q, tokens, 300, true);
    kv_get_stats(s, &st);
    assert_int_equal(st.blocks[DEV_KV_Q8], 16);
    assert_int_equal(kv_seq_set_policy(q, &f16, NULL), ST_OK);
    kv_adapt(s, -1);
    check_seq(q, tokens, 300, true);
    kv_get_stats(s, &st);
    assert_int_equal(st.blocks[DEV_KV_F16], 20);
    assert_int_equal(st.bits, 16);
    kv_seq_free(q);
    kv_free(s);
}

// Few blocks a step while tokens come one at a time, all of them by the time the next page is full.
static void work_is_spread_over_the_steps(void **state)
{
    (void)state;
    kv *s = store_with("uniform:q8", NULL, 0);
    kv_seq *q = seq_of(s);
    kv_stats st;
    uint64_t before = 0, most = 0;
    static int32_t tokens[MOST];
    for (int i = 0; i < 200; i++) {
        assert_int_equal(append(q, &tokens[i], 1), ST_OK);
        kv_adapt(s, 1);
        kv_get_stats(s, &st);
        most = MAX(most, st.demotions - before);
        before = st.demotions;
        if (i % DEV_PAGE == DEV_PAGE - 2)
            assert_int_equal(st.blocks[DEV_KV_Q8], (i + 1) / DEV_PAGE * 4);
    }
    assert_true(most <= 2);
    check_seq(q, tokens, 200, true);
    kv_seq_free(q);
    kv_free(s);
}

// A disk without room: what cannot be kept is not dropped, and goes on when there is room again.
static void a_full_disk_stops_the_descent(void **state)
{
    (void)state;
    kv *s = store_with("uniform:q4,mode=exact", NULL, 0);
    kv_seq *q = seq_of(s);
    static int32_t tokens[MOST];
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 5 * (VALUES * 2 + KV_SPILL_HEAD) + 100;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    log_set(NULL, NULL, LOG_ERROR);
    fill(q, tokens, 300);
    kv_adapt(s, -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    kv_stats st;
    kv_get_stats(s, &st);
    assert_true(st.spill_full);
    assert_int_equal(st.blocks[DEV_KV_Q4], 5);
    assert_int_equal(st.blocks[DEV_KV_F16], 15);
    check_seq(q, tokens, 300, true);
    assert_int_equal(kv_seq_truncate(q, 10), 10);  // restores the first page, gives slots back
    check_seq(q, tokens, 10, true);
    fill(q, tokens + 10, 200);
    for (int i = 0; i < 210; i++)
        tokens[i] = i < 10 ? i % 7 : (i - 10) % 7;
    kv_adapt(s, -1);
    check_seq(q, tokens, 210, true);
    kv_get_stats(s, &st);
    assert_false(st.spill_full);
    assert_true(st.blocks[DEV_KV_Q4] >= 8);  // more: idle pages of the prefix tree
    kv_seq_free(q);
    kv_free(s);
}

// Damage and short files are noticed: the block stays as coarse as it is, and says so.
static void damage_is_never_taken_for_values(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        kv *s = store_with("uniform:q4,mode=exact", NULL, 0);
        kv_seq *q = seq_of(s);
        static int32_t tokens[MOST];
        err e;
        fill(q, tokens, 200);
        kv_adapt(s, -1);
        off_t at = kind == 0 ? 0 : kind == 1 ? KV_SPILL_HEAD + 5 : 0;
        if (kind == 2)
            assert_int_equal(ftruncate(s->spill.fd, 100), 0);
        else
            assert_int_equal(pwrite(s->spill.fd, "x", 1, at), 1);
        kv_page *p = kv_page_of(kv_seq_view(q).pages[0]);
        kv_stats before, after;
        uint8_t *levels;
        kv_get_stats(s, &before);
        assert_int_equal(kv_seq_raise(q, &levels, &e), ST_FORMAT);
        assert_null(levels);
        kv_get_stats(s, &after);
        assert_memory_equal(&before.blocks, &after.blocks, sizeof before.blocks);
        assert_true(kv_page_restore(s, p, &e) == ST_FORMAT);
        assert_non_null(strstr(e.msg, "spill file"));
        check_seq(q, tokens, 200, true);
        assert_int_equal(kv_seq_truncate(q, 20), 0);  // the caller runs these tokens again
        kv_seq_free(q);
        kv_free(s);
    }
}

static void values_that_cannot_be_coded_stay(void **state)
{
    (void)state;
    kv *s = store_with("uniform:q8", NULL, 0);
    kv_seq *q = seq_of(s);
    static int32_t tokens[MOST];
    assert_int_equal(kv_seq_reserve(q, 64, NULL), ST_OK);
    for (int i = 0; i < 64; i++)
        write_token(q, i, tokens[i]);
    uint16_t *v = (uint16_t *)(void *)kv_seq_view(q).pages[0]->block[1][DEV_KV_V].plane[DEV_KV_PLANE_F16];
    v[77] = 0x7c00;  // infinity
    kv_seq_append(q, tokens, 64);
    fill(q, tokens, 100);
    kv_adapt(s, -1);
    const dev_kv_page *p = kv_seq_view(q).pages[0];
    assert_int_equal(p->block[1][DEV_KV_V].level, DEV_KV_F16);
    assert_int_equal(p->block[1][DEV_KV_K].level, DEV_KV_Q8);
    kv_seq_free(q);
    kv_free(s);
}

// All at F16 and back: nothing has changed but what is held, and that stays until the policy changes.
static void what_the_guard_holds_stays(void **state)
{
    (void)state;
    kv *s = store_with("h2o,mode=exact,guard=64", "50%", 0);
    kv_seq *q = seq_of(s);
    static int32_t tokens[MOST];
    kv_stats before, raised, after;
    uint8_t *levels;
    fill(q, tokens, 310);
    kv_adapt(s, -1);
    kv_get_stats(s, &before);
    assert_true(before.blocks[DEV_KV_ABSENT] >= 4);
    assert_true(kv_seq_guard_due(q, 8));
    assert_false(kv_seq_guard_due(q, 8));
    for (int held = 0; held < 2; held++) {
        assert_int_equal(kv_seq_raise(q, &levels, NULL), ST_OK);
        kv_get_stats(s, &raised);
        assert_int_equal(raised.blocks[DEV_KV_F16], 10 * shape.layers);
        check_seq(q, tokens, 310, true);
        assert_int_equal(kv_seq_lower(q, levels, held ? 0.5f : 0),
                         held ? before.blocks[DEV_KV_ABSENT] / 2 : 0);
        mem_free(levels);
        kv_get_stats(s, &after);
        assert_int_equal(after.blocks[DEV_KV_ABSENT], before.blocks[DEV_KV_ABSENT] / (held ? 2 : 1));
        assert_int_equal(after.demotions, before.demotions);
    }
    s->due = true;
    kv_adapt(s, -1);
    kv_get_stats(s, &after);
    assert_int_equal(after.blocks[DEV_KV_ABSENT], before.blocks[DEV_KV_ABSENT] / 2);
    kv_policy same = *kv_seq_policy(q);
    assert_int_equal(kv_seq_set_policy(q, &same, NULL), ST_OK);
    kv_adapt(s, -1);
    kv_get_stats(s, &after);
    assert_int_equal(after.blocks[DEV_KV_ABSENT], before.blocks[DEV_KV_ABSENT]);
    kv_seq_free(q);
    kv_free(s);
}

static void budgets_are_kept(void **state)
{
    (void)state;
    static const char *const kinds[] = {"staged,least=0", "h2o", "window"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        kv_stats st;
        kv *s = store_with(kinds[i], "60%", 0);
        kv_seq *q = seq_of(s);
        static int32_t tokens[20 * DEV_PAGE];
        fill(q, tokens, 20 * DEV_PAGE);
        kv_adapt(s, -1);
        kv_get_stats(s, &st);
        assert_true((double)st.plane_bytes <= 0.61 * (double)st.f16_bytes);
        assert_true((double)st.plane_bytes >= 0.4 * (double)st.f16_bytes);
        const dev_kv_page *first = kv_seq_view(q).pages[0], *last = kv_seq_view(q).pages[19];
        assert_true(i == 0 || first->block[0][0].level == DEV_KV_F16);  // staged: by what they are worth
        assert_true(i == 0 || last->block[1][1].level == DEV_KV_F16);
        kv_seq_free(q);
        kv_free(s);
    }
}

// Token by token: over the budget by no more than a page, and only while blocks are still being moved.
static void a_budget_is_kept_between_the_passes(void **state)
{
    (void)state;
    enum { BUDGET = 40 * 1024, MOVING = 24 };  // tokens that moving the blocks may take
    kv *s = store_with("staged", "40K", 0);
    kv_seq *q = seq_of(s);
    kv_stats st;
    int over = 0;
    for (int i = 0; i < 20 * DEV_PAGE; i++) {
        assert_int_equal(append(q, &(int32_t){i % 7}, 1), ST_OK);
        kv_adapt(s, 1);
        kv_get_stats(s, &st);
        over = st.plane_bytes > BUDGET ? over + 1 : 0;
        assert_true(over <= MOVING && st.plane_bytes <= BUDGET + dev_kv_page_bytes(&shape));
    }
    assert_true(st.plane_bytes > BUDGET * 7 / 10);
    kv_seq_free(q);
    kv_free(s);
}

// A percentage is not paid in tokens: where the newest page alone takes it, the others keep two bits.
static void short_sequences_keep_all_tokens(void **state)
{
    (void)state;
    static int32_t tokens[MOST];
    kv_stats st;
    kv *s = store_with("staged", "25%", 0);  // of 2,048 tokens: there is room for eight pages
    kv_seq *q = seq_of(s);
    fill(q, tokens, 300);
    kv_adapt(s, -1);
    kv_get_stats(s, &st);
    assert_int_equal(st.blocks[DEV_KV_F16], 20);
    kv_seq_free(q);
    kv_free(s);
    s = store_with("staged,least=0", "25%", 0);
    q = seq_of(s);
    fill(q, tokens, 300);
    kv_adapt(s, -1);
    kv_get_stats(s, &st);
    assert_int_equal(st.blocks[DEV_KV_ABSENT], 0);
    assert_int_equal(st.blocks[DEV_KV_Q2], 16);
    kv_seq_free(q);
    kv_free(s);
    s = store_with("staged", "4K", 0);  // bytes are kept, whatever it costs
    q = seq_of(s);
    fill(q, tokens, 300);
    kv_adapt(s, -1);
    kv_get_stats(s, &st);
    assert_true(st.blocks[DEV_KV_ABSENT] > 0);
    kv_seq_free(q);
    kv_free(s);
}

// One layer's values spread evenly, the other's in two places that any grid hits: precision goes where it is lost.
static void precision_goes_where_it_is_lost(void **state)
{
    (void)state;
    kv *s = store_with("staged,least=0", "60%", 0);
    kv_seq *q = seq_of(s);
    static int32_t tokens[10 * DEV_PAGE];
    kv_stats st;
    fill(q, tokens, 600);
    for (int i = 0; i < 9; i++)
        for (int side = 0; side < 2; side++) {
            uint16_t *x = (uint16_t *)(void *)kv_seq_view(q).pages[i]->block[0][side].plane[DEV_KV_PLANE_F16];
            for (int j = 0; j < VALUES; j++)
                x[j] = quant_f32_to_f16(side == DEV_KV_V ? (j % 2 ? 1.0f : -1.0f) : (float)(side + 1));
        }
    kv_adapt(s, -1);
    kv_get_stats(s, &st);
    assert_true(st.blocks[DEV_KV_ABSENT] == 0);
    for (int i = 0; i < 9; i++) {
        const dev_kv_page *p = kv_seq_view(q).pages[i];
        assert_int_equal(p->block[0][DEV_KV_K].level, DEV_KV_Q2);
        assert_true(p->block[1][DEV_KV_K].level < DEV_KV_Q2 && p->block[1][DEV_KV_V].level < DEV_KV_Q2);
    }
    kv_seq_free(q);
    kv_free(s);
}

// What is listed is what the sequences hold.
static void pages_are_listed(void **state)
{
    (void)state;
    kv *s = store_with("uniform:q4,v=q2", NULL, 0);
    kv_seq *q = seq_of(s), *f;
    static int32_t tokens[MOST];
    kv_page_info list[12];
    uint8_t levels[12][4];
    fill(q, tokens, 300);
    kv_adapt(s, -1);
    for (int i = 0; i < 5; i++)
        for (int l = 0; l < shape.layers; l++)
            kv_seq_view(q).pages[i]->mass[l] = 0;
    kv_seq_view(q).pages[0]->mass[0] = 3;
    kv_seq_view(q).pages[4]->mass[0] = 1;
    kv_seq_view(q).pages[4]->mass[1] = 5;
    assert_int_equal(kv_list_pages(s, list, levels[0], 12), 5);
    for (int i = 0; i < 5; i++) {
        assert_true(list[i].sequence == list[0].sequence && list[i].position == i * DEV_PAGE &&
                    !list[i].shared);
        assert_int_equal(list[i].tokens, i < 4 ? DEV_PAGE : 300 - 4 * DEV_PAGE);
        assert_int_equal(levels[i][2], i < 4 ? DEV_KV_Q4 : DEV_KV_F16);
        assert_int_equal(levels[i][3], i < 4 ? DEV_KV_Q2 : DEV_KV_F16);
        assert_true(i < 4 ? list[i].bits[0] > 4 && list[i].bits[0] < 8 : list[i].bits[0] == 16);
    }
    assert_true(list[0].attention == 0.375f && list[1].attention == 0 && list[4].attention == 0.625f);
    assert_int_equal(kv_seq_fork(q, &f, NULL), ST_OK);
    assert_int_equal(kv_list_pages(s, list, NULL, 7), 10);  // no more than there is room for
    assert_true(list[0].shared && list[5].page == list[0].page && list[5].sequence != list[0].sequence);
    kv_seq_free(f);
    kv_seq_free(q);
    kv_free(s);
}

static void policies_are_read(void **state)
{
    (void)state;
    kv_policy p;
    err e;
    assert_int_equal(kv_policy_parse(&p, NULL, NULL, &e), ST_OK);
    assert_int_equal(p.kind, KV_F16);
    assert_int_equal(kv_policy_parse(&p, "uniform:q4,k=q8,mode=exact", "1.5M", &e), ST_OK);
    assert_true(p.kind == KV_UNIFORM && p.mode == KV_EXACT && p.budget_bytes == 1572864);
    assert_true(p.level[DEV_KV_K] == DEV_KV_Q8 && p.level[DEV_KV_V] == DEV_KV_Q4);
    assert_int_equal(kv_policy_parse(&p, "staged,key=2.5,recent=128", "25%", &e), ST_OK);
    assert_true(p.kind == KV_FIT && p.key_weight == 2.5f && p.recent == 128 && p.budget_part == 0.25f);
    static const char *const wrong[][3] = {
        {"none", NULL, "staged-rule"},
        {"uniform:q5", NULL, "q8"},
        {"staged:q4", NULL, "nothing"},
        {"staged,mode=x", NULL, "exact"},
        {"staged,kye=1", NULL, "key"},
        {"staged,key=", NULL, "key"},
        {"staged,key=1x", NULL, "key"},
        {"staged,recent=-3", NULL, "0"},
        {"staged,recent=70.5", NULL, "whole"},
        {"staged,mode=none,guard=64", NULL, "exact"},
        {"staged", "0", "budget"},
        {"staged", "101%", "budget"},
        {"staged", "5Q", "budget"},
        {"staged", "-3M", "budget"},
        {"h2o", NULL, "budget"},
        {"window", NULL, "window:1024"},
        {"window:0", NULL, "window"},
        {"", NULL, "f16"},
        {"staged,", NULL, "mode"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        p.kind = KV_H2O;
        assert_int_equal(kv_policy_parse(&p, wrong[i][0], wrong[i][1], &e), ST_INVALID);
        if (!strstr(e.msg, wrong[i][2]))
            fail_msg("\"%s\": %s", wrong[i][0], e.msg);
        assert_int_equal(p.kind, KV_H2O);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories),
        cmocka_unit_test(all_comes_back_to_the_bit),
        cmocka_unit_test(work_is_spread_over_the_steps),
        cmocka_unit_test(a_full_disk_stops_the_descent),
        cmocka_unit_test(damage_is_never_taken_for_values),
        cmocka_unit_test(values_that_cannot_be_coded_stay),
        cmocka_unit_test(what_the_guard_holds_stays),
        cmocka_unit_test(budgets_are_kept),
        cmocka_unit_test(a_budget_is_kept_between_the_passes),
        cmocka_unit_test(short_sequences_keep_all_tokens),
        cmocka_unit_test(precision_goes_where_it_is_lost),
        cmocka_unit_test(pages_are_listed),
        cmocka_unit_test(policies_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// The guard of coarser keys and values: it sees what they do, mends it, and by itself changes nothing.
#include <math.h>
#include <string.h>

#include "api/talk.h"
#include "base/mem.h"

enum { TOKENS = 190 };

static double log_sum(const float *x)
{
    double sum = 0;
    for (int i = 0; i < TOY_TOKENS; i++)
        sum += exp((double)x[i]);
    return log(sum);
}

static double divergence(const float *want, const float *have)
{
    double a = log_sum(want), b = log_sum(have), kl = 0;
    for (int i = 0; i < TOY_TOKENS; i++)
        kl += exp((double)want[i] - a) * ((double)want[i] - a - ((double)have[i] - b));
    return kl;
}

// The logits after the same tokens under a policy.
static irori_kv_stats run(irori_model *m, const char *policy, float *logits)
{
    irori_error e;
    irori_kv_stats st;
    irori_session *s = open_session(m, &endless);
    if (irori_session_set_kv(s, policy, NULL, &e))
        fail_msg("%s", e.message);
    add_tokens(s, TOKENS);
    memcpy(logits, irori_session_logits(s), TOY_TOKENS * sizeof *logits);
    irori_get_kv_stats(m, &st);
    irori_session_free(s);
    return st;
}

static void a_bad_policy_is_mended(void **state)
{
    (void)state;
    static float f16[TOY_TOKENS], bad[TOY_TOKENS], borne[TOY_TOKENS], mended[TOY_TOKENS];
    irori_model *m = open_toy(2);
    run(m, "f16", f16);
    irori_kv_stats st = run(m, "uniform:q2,mode=exact", bad);
    const uint64_t coarse = st.blocks[3];
    assert_true(coarse > 0 && st.guard_checks == 0);

    // Whoever bears all sees it, and the answer is as it was.
    st = run(m, "uniform:q2,mode=exact,guard=16,guard-kl=1000", borne);
    assert_true(st.guard_checks >= 3);
    assert_true(st.guard_kl_last > 0 && st.guard_kl_p95 > 0);
    assert_int_equal(st.guard_promotions + st.guard_fall_backs + st.guard_skipped, 0);
    assert_int_equal(st.blocks[3], coarse);
    assert_memory_equal(borne, bad, sizeof bad);

    // Whoever bears nothing ends at F16.
    st = run(m, "uniform:q2,mode=exact,guard=16,guard-kl=0", mended);
    assert_true(st.guard_promotions > 0);
    assert_int_equal(st.guard_fall_backs, 1);
    for (int level = 1; level < 5; level++)
        assert_int_equal(st.blocks[level], 0);
    assert_true(divergence(f16, mended) < divergence(f16, bad) / 2);
    irori_model_close(m);
}

// What is promoted is enough to come under the bound, and stays while the session goes on.
static void some_blocks_may_be_enough(void **state)
{
    (void)state;
    static float logits[TOY_TOKENS];
    char policy[80];
    irori_model *m = open_toy(2);
    // The only check comes late, so that there is much to choose from.
    irori_kv_stats first = run(m, "uniform:q2,mode=exact,guard=170,guard-kl=1000", logits);
    assert_int_equal(first.guard_checks, 1);
    snprintf(policy, sizeof policy, "uniform:q2,mode=exact,guard=170,guard-kl=%.9g",
             first.guard_kl_last * 0.98);
    irori_kv_stats st = run(m, policy, logits);
    assert_true(st.guard_kl_last == first.guard_kl_last);
    assert_true(st.guard_promotions > 0);
    assert_int_equal(st.guard_fall_backs, 0);
    assert_true(st.blocks[3] > 0);
    assert_int_equal(st.blocks[3] + st.guard_promotions, first.blocks[3]);
    irori_model_close(m);
}

// Without memory a check is left out; the tokens are the same.
static void a_check_without_memory_is_left_out(void **state)
{
    (void)state;
    static float want[TOY_TOKENS];
    irori_model *m = open_toy(2);
    const char *policy = "uniform:q2,mode=exact,guard=140,guard-kl=1000";
    uint64_t checks = run(m, policy, want).guard_checks, skipped = 0;
    assert_true(checks > 0);
    for (int64_t n = 1; n < 12; n++) {
        irori_error e;
        irori_kv_stats st;
        irori_session *s = open_session(m, &endless);
        assert_int_equal(irori_session_set_kv(s, policy, NULL, &e), IRORI_OK);
        add_tokens(s, 140);
        int32_t id = 3 + (140 * 37 + 11) % 250;
        mem_fail_nth(n);
        int rc = irori_session_add(s, &id, 1, &e);
        mem_fail_nth(0);
        assert_true(rc == IRORI_OK || rc == IRORI_NOMEM);
        irori_get_kv_stats(m, &st);
        skipped = MAX(skipped, st.guard_skipped);
        irori_session_free(s);
    }
    assert_true(skipped > 0);
    irori_model_close(m);
}

static void it_needs_what_was_dropped(void **state)
{
    (void)state;
    irori_model *m = open_toy(1);
    irori_session *s = open_session(m, NULL);
    irori_error e;
    assert_int_equal(irori_session_set_kv(s, "uniform:q4,guard=64", NULL, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "mode=exact"));
    irori_session_free(s);
    irori_model_close(m);
}

// What mode=recompute dropped is run again from its tokens: then all is as if nothing had been dropped.
static void what_was_not_kept_is_run_again(void **state)
{
    (void)state;
    float logits[2][TOY_TOKENS];
    static irori_kv_page pages[8];
    irori_model *m = open_toy(2);
    irori_error e;
    for (int i = 0; i < 2; i++) {
        irori_kv_stats st;
        irori_session *s = open_session(m, &endless);
        assert_int_equal(irori_session_set_kv(s, i ? "uniform:q2,mode=recompute" : "f16", NULL, &e),
                         IRORI_OK);
        add_tokens(s, TOKENS);
        irori_get_kv_stats(m, &st);
        assert_true(i == 0 || st.blocks[3] > 0);
        assert_int_equal(irori_model_kv_pages(m, pages, NULL, 8), (TOKENS + 63) / 64);
        assert_true(i == 0 || pages[0].bits[0] < 5);
        assert_int_equal(irori_session_set_kv(s, "f16", NULL, &e), IRORI_OK);
        irori_get_kv_stats(m, &st);
        assert_int_equal(st.blocks[3], 0);
        irori_model_kv_pages(m, pages, NULL, 8);
        assert_true(pages[0].bits[0] == 16);
        size_t count;
        irori_session_tokens(s, &count);
        assert_int_equal(count, TOKENS);
        int32_t id = 5;
        assert_int_equal(irori_session_add(s, &id, 1, &e), IRORI_OK);
        memcpy(logits[i], irori_session_logits(s), sizeof logits[i]);
        irori_session_free(s);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    irori_model_close(m);
}

static int clean(void **state)
{
    (void)state;
    toy_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_policy_is_mended),
        cmocka_unit_test(some_blocks_may_be_enough),
        cmocka_unit_test(a_check_without_memory_is_left_out),
        cmocka_unit_test(it_needs_what_was_dropped),
        cmocka_unit_test(what_was_not_kept_is_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}

// Planned bytes against those that a loaded model really takes: re-laid weights, activations, pages under each policy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "model/toy.h"
#include "plan/plan.h"

enum { CONTEXT = 1024 };

static toy wide(void)
{
    toy t = toy_llama();
    t.layers = 6;
    t.width = 256;
    t.heads = 8;
    t.kv_heads = 4;
    t.head_dim = 64;
    t.ff = 768;
    t.context = CONTEXT;
    return t;
}

static void fill(engine *x, int tokens, kv_stats *out)
{
    kv_seq *q;
    int32_t ids[64];
    const float *logits;
    err e;
    assert_int_equal(kv_seq_new(x->kv, &q, &e), 0);
    for (int i = 0; i < 64; i++)
        ids[i] = 3 + i;
    for (int at = 0; at < tokens; at += 64)
        assert_int_equal(engine_step(x, &(engine_row){q, ids, 64, 1}, 1, &logits, NULL, NULL, &e), 0);
    kv_adapt(x->kv, -1);
    kv_get_stats(x->kv, out);
    kv_seq_free(q);
}

static void check(const char *policy, const char *budget, double tolerance)
{
    toy t = wide();
    gguf *g;
    engine x;
    err e;
    kv_stats held;
    engine_options o = {.threads = 2, .context = CONTEXT, .no_pin = true, .no_prefixes = true};
    plan_machine machine;
    assert_int_equal(kv_policy_parse(&o.kv_policy, policy, budget, &e), 0);
    assert_int_equal(gguf_open(&g, toy_save(&t, "bytes.gguf"), &e), 0);
    assert_int_equal(engine_open(&x, g, &o, &e), 0);
    plan_machine_read(&machine, "");
    plan_use u = {.threads = 2,
                  .context = CONTEXT,
                  .sequences = 1,
                  .batch = x.batch,
                  .outputs = x.outputs,
                  .kv = o.kv_policy,
                  .prompt = x.batch,
                  .depth = CONTEXT,
                  .huge = machine.huge};
    graph_layout real = x.dev->ops->layout(x.plan);
    dev_weight_bytes weights = x.dev->ops->weight_bytes(x.dev);
    fill(&x, CONTEXT, &held);
    plan_bytes b = plan_count(&x.model, &u);  // lays the plan out anew: the engine is not run again
    assert_in_range(b.weights, weights.packed, weights.packed + machine.huge);
    assert_in_range(b.activations, real.bytes / 8, real.bytes + (8 << 20));
    double planned = (double)b.kv, took = (double)held.resident_bytes;
    if (planned < took * (1 - tolerance) || planned > took * (1 + tolerance) + (1 << 20))
        fail_msg("%s: planned %.0f, held %.0f", policy, planned, took);
    engine_close(&x);
    gguf_close(g);
}

static void test_f16(void **state)
{
    (void)state;
    check("f16", NULL, 0.03);
}

// Slabs of planes that were given up stay where a newer page still lies in them: a slab a plane.
static void test_uniform(void **state)
{
    (void)state;
    check("uniform:q8", NULL, 0.5);
    check("uniform:q4", NULL, 0.5);
}

static void test_staged(void **state)
{
    (void)state;
    static const dev_kv_shape shape = {.layers = 6, .kv_heads = 4, .head_dim = 64};
    kv_policy p;
    check("staged,least=0", "25%", 0.5);
    assert_int_equal(kv_policy_parse(&p, "staged", "1G", NULL), 0);
    assert_true(kv_count(&shape, &p, 80, 1, 64 * 64, 4096).bits == 16);  // there is room for all
    assert_int_equal(kv_policy_parse(&p, "staged,least=0", "25%", NULL), 0);
    // A quarter of the 64 pages and of the next, less the next: all 64 share it.
    assert_true(kv_count(&shape, &p, 80, 1, 64 * 64, 4096).bits == 16 * (65 * 0.25 - 1) / 64);
    assert_int_equal(kv_policy_parse(&p, "staged", "25%", NULL), 0);
    assert_true(kv_count(&shape, &p, 80, 1, 5 * 64, 4096).bits == 16);  // as part of 2,048 tokens
}

static void test_most_context(void **state)
{
    (void)state;
    toy t = wide();
    t.context = 100000;
    gguf *g;
    engine x;
    err e;
    engine_options o = {.threads = 1, .context = 64, .no_pin = true};
    assert_int_equal(gguf_open(&g, toy_save(&t, "most.gguf"), &e), 0);
    assert_int_equal(engine_open(&x, g, &o, &e), 0);
    plan_use u = {.threads = 1,
                  .context = 64,
                  .sequences = 1,
                  .batch = 512,
                  .outputs = 64,
                  .prompt = 64,
                  .depth = 64,
                  .huge = 4096};
    assert_int_equal(kv_policy_parse(&u.kv, "f16", NULL, NULL), 0);
    const uint64_t base = plan_count(&x.model, &u).total;
    assert_int_equal(plan_most_context(&x.model, &u, base / 2), 0);
    assert_int_equal(plan_most_context(&x.model, &u, UINT64_MAX), 100000);
    int last = 0;
    for (uint64_t more = 1 << 20; more < 1 << 28; more *= 4) {
        const int n = plan_most_context(&x.model, &u, base + more);
        assert_true(n >= last);
        last = n;
        plan_use at = u;
        at.context = at.depth = n;
        at.prompt = 64;
        assert_true(plan_count(&x.model, &at).kv <= base + more);
    }
    int f16 = plan_most_context(&x.model, &u, base + (64 << 20));
    assert_int_equal(kv_policy_parse(&u.kv, "uniform:q4", NULL, NULL), 0);
    assert_true(plan_most_context(&x.model, &u, base + (64 << 20)) > 2 * f16);
    engine_close(&x);
    gguf_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_staged),
        cmocka_unit_test(test_most_context),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    toy_clean();
    return rc;
}

// Building graphs, the forms values take, and the plan of their buffers over random graphs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "graph/graph.h"
#include "quant/quant.h"

static enum graph_form form_of(int type)
{
    return type == QT_F16 ? GRAPH_F32 : type == QT_Q8_0 ? GRAPH_Q8_32 : GRAPH_Q8_256;
}

static uint32_t state_of_random;

static int pick(int n)  // 0..n-1
{
    state_of_random = state_of_random * 1664525u + 1013904223u;
    return (int)((state_of_random >> 8) % (uint32_t)n);
}

static int weight(graph *g, int n, int k, int type)
{
    static char data[1 << 16];  // every address is another matrix
    return graph_add_weight(
        g, (graph_weight){.name = "w", .type = type, .n = n, .k = k, .data = data + g->n_weights + 1});
}

static const graph_addend none = {.value = GRAPH_NONE};

// A chain of random operations, as deep networks are: a residual stream, norms, products, gates.
static void random_graph(graph *g, uint32_t seed)
{
    static const int types[] = {QT_F16, QT_Q8_0, QT_Q4_K};
    static const float ones[4096];
    state_of_random = seed;
    graph_init(g);
    int width = 256 * (1 + pick(4)), x = graph_embed(g, weight(g, 100, width, QT_F16), GRAPH_NONE, NULL, 1);
    graph_addend add = none;
    const graph_rule rule = {.weight = ones, .eps = 1e-5f};
    graph_attention att = {.heads = width / 64, .kv_heads = width / 64, .head_dim = 64};
    bool picked = false;
    for (int i = 0, n = 2 + pick(12); i < n; i++) {
        int h = graph_norm(g, x, add, rule), out[3], w[3], many = 1 + pick(3), ff = 256 * (1 + pick(9));
        for (int j = 0; j < many; j++)
            w[j] = weight(g, pick(2) ? width : ff, width, types[pick(3)]);
        graph_matmul(g, h, w, NULL, many, out);
        int two[2] = {weight(g, ff, width, types[pick(3)]), weight(g, ff, width, types[pick(3)])}, gate[2];
        int last = h;
        if (!picked && pick(2)) {
            int qkv[3] = {weight(g, width, width, QT_Q4_K), weight(g, width, width, QT_Q4_K),
                          weight(g, width, width, QT_Q6_K)};
            graph_matmul(g, h, qkv, NULL, 3, out);
            graph_store(g, out[0], out[1], out[2], NULL, NULL, att);
            last = graph_attend(g, out[0], att);
        }
        graph_matmul(g, last, two, NULL, 2, gate);
        int down = weight(g, width, ff, types[pick(3)]);
        graph_matmul(g, graph_glu(g, GRAPH_SILU, gate[0], gate[1]), &down, NULL, 1, &add.value);
        if (!picked && pick(4) == 0) {
            x = graph_pick(g, x, add, 1e-5f);
            add = none;
            picked = true;
        }
    }
    if (!picked) {
        x = graph_pick(g, x, add, 1e-5f);
        add = none;
    }
    int logits = graph_head(g, graph_norm(g, x, add, rule), weight(g, 300, width, types[pick(3)]), 30);
    assert_int_equal(graph_finish(g, logits, form_of, NULL), ST_OK);
}

static int rows_of(const graph_value *v, int tokens, int outputs)
{
    return v->rows == GRAPH_TOKENS ? tokens : outputs;
}

// Who touches a value, found anew: lives from its first to its last mention; logits to the end.
static void life_of(const graph *g, int value, int *first, int *last)
{
    *first = *last = -1;
    for (int i = 0; i < g->n_ops; i++) {
        bool here = false;
        for (int j = 0; j < 3; j++)
            here |= g->ops[i].in[j] == value || g->ops[i].out[j] == value;
        if (here && *first < 0)
            *first = i;
        if (here)
            *last = i;
    }
    if (g->logits == value)
        *last = g->n_ops;
}

static void living_values_never_overlap(void **state)
{
    (void)state;
    bool shared = false;
    for (uint32_t seed = 1; seed <= 150; seed++) {
        graph g;
        random_graph(&g, seed * 7919);
        int tokens = 1 + pick(70), outputs = 1 + pick(tokens);
        graph_layout layout = graph_plan(&g, tokens, outputs);
        size_t sum = 0;
        for (int a = 0; a < g.n_values; a++)
            for (int fa = 0; fa < GRAPH_FORMS; fa++) {
                const graph_value *x = &g.values[a];
                if (!(x->forms >> fa & 1))
                    continue;
                size_t bytes = graph_form_bytes((enum graph_form)fa, x->width, rows_of(x, tokens, outputs));
                sum += bytes;
                assert_int_equal(x->offset[fa] % 64, 0);
                assert_true(x->offset[fa] + bytes <= layout.bytes);
                int first, last;
                life_of(&g, a, &first, &last);
                for (int b = 0; b <= a; b++)
                    for (int fb = 0; fb < GRAPH_FORMS; fb++) {
                        const graph_value *y = &g.values[b];
                        int first_b, last_b;
                        if (!(y->forms >> fb & 1) || (a == b && fa == fb))
                            continue;
                        life_of(&g, b, &first_b, &last_b);
                        size_t more = graph_form_bytes((enum graph_form)fb, y->width,
                                                       rows_of(y, tokens, outputs));
                        bool apart = x->offset[fa] + bytes <= y->offset[fb] ||
                                     y->offset[fb] + more <= x->offset[fa];
                        shared |= !apart;
                        if (!apart && first <= last_b && first_b <= last)
                            fail_msg("seed %u: values %d and %d live together and share bytes", seed, a, b);
                    }
            }
        assert_int_equal(layout.unshared, sum);
        assert_true(layout.bytes <= sum);
        graph_done(&g);
    }
    assert_true(shared);  // else nothing above was tested
}

static void every_value_that_is_read_has_its_form(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        graph g;
        random_graph(&g, seed);
        assert_true(g.values[g.logits].forms & 1u << GRAPH_F32);
        for (int i = 0; i < g.n_ops; i++) {
            const graph_op *op = &g.ops[i];
            for (int j = 0; j < 3; j++) {
                if (op->in[j] == GRAPH_NONE)
                    continue;
                unsigned forms = g.values[op->in[j]].forms;
                if (op->kind != GRAPH_MATMUL)
                    assert_true(forms & 1u << GRAPH_F32);
                for (int w = 0; w < op->n_weights && op->kind == GRAPH_MATMUL; w++)
                    assert_true(forms & 1u << form_of(g.weights[op->weight[w]].type));
            }
            if (op->kind == GRAPH_MATMUL || op->kind == GRAPH_ATTEND)  // written as floats by the device
                for (int j = 0; j < 3; j++)
                    assert_true(op->out[j] == GRAPH_NONE || g.values[op->out[j]].forms & 1u << GRAPH_F32);
        }
        graph_done(&g);
    }
}

// The input of experts is copied, not computed again: it must be there in the forms they read.
static void a_route_copies_the_forms_that_are_read(void **state)
{
    (void)state;
    static const float ones[512];
    graph g;
    graph_init(&g);
    int x = graph_norm(&g, graph_embed(&g, weight(&g, 10, 512, QT_F16), GRAPH_NONE, NULL, 1),
                       (graph_addend){.value = GRAPH_NONE}, (graph_rule){.weight = ones, .eps = 1e-5f});
    int router = weight(&g, 6, 512, QT_F16), up = weight(&g, 256, 512, QT_Q8_0),
        down = weight(&g, 512, 256, QT_Q4_K);
    int scores, sorted, h, y;
    graph_matmul(&g, x, &router, NULL, 1, &scores);
    int choice = graph_route(&g, scores, x, (graph_choice){.experts = 6, .used = 2}, &sorted);
    graph_expert_matmul(&g, sorted, choice, &up, NULL, 1, &h);
    graph_expert_matmul(&g, graph_glu(&g, GRAPH_SILU, h, h), choice, &down, NULL, 1, &y);
    int sum = graph_blend(&g, y, choice);
    assert_int_equal(graph_finish(&g, sum, form_of, NULL), ST_OK);
    assert_int_equal(g.values[x].forms, 1u << GRAPH_F32 | 1u << GRAPH_Q8_32);  // F32 for the router
    assert_int_equal(g.values[sorted].forms, 1u << GRAPH_Q8_32);
    assert_int_equal(g.values[sorted].each, 2);
    assert_int_equal(g.values[y].each, 2);
    assert_int_equal(g.values[sum].each, 1);
    assert_int_equal(g.values[sum].width, 512);
    assert_int_equal(g.values[choice].last, g.n_ops - 1);
    graph_layout layout = graph_plan(&g, 3, 1);
    assert_true(layout.unshared >=
                graph_form_bytes(GRAPH_F32, 512, 6) + graph_form_bytes(GRAPH_Q8_32, 512, 6));
    graph_done(&g);
}

static void the_same_matrix_is_one_weight(void **state)
{
    (void)state;
    static const char data[2];
    graph g;
    graph_init(&g);
    graph_weight w = {.name = "a", .type = QT_F16, .n = 4, .k = 32, .data = data};
    assert_int_equal(graph_add_weight(&g, w), 0);
    assert_int_equal(graph_add_weight(&g, w), 0);
    w.lookup_only = true;  // a tied table is looked up as it lies and multiplied packed
    assert_int_equal(graph_add_weight(&g, w), 1);
    w.data = data + 1;
    assert_int_equal(graph_add_weight(&g, w), 2);
    w.n = 2;  // the first rows of a matrix are a matrix of their own
    assert_int_equal(graph_add_weight(&g, w), 3);
    assert_int_equal(g.n_weights, 4);
    graph_done(&g);
}

static void parts_of_quantized_forms(void **state)
{
    (void)state;
    assert_int_equal(graph_q8_row_bytes(96), 128);
    assert_int_equal(graph_q8_scale_offset(96, 3), 384);
    assert_int_equal(graph_q8_sum_offset(GRAPH_Q8_32, 96, 3), 384 + 64);  // 3 x 3 floats, rounded up
    assert_int_equal(graph_form_bytes(GRAPH_Q8_32, 96, 3), 384 + 64 + 64);
    assert_int_equal(graph_form_bytes(GRAPH_Q8_256, 512, 5), 2560 + 64 + 320);  // 5 x 2 scales, 5 x 32 sums
    assert_int_equal(graph_form_bytes(GRAPH_F32, 7, 3), 128);
}

static void failed_allocations_are_reported_at_the_end(void **state)
{
    (void)state;
    mem_stats before, after;
    mem_get_stats(&before);
    static const float ones[64];
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        graph g;
        graph_init(&g);
        mem_fail_nth(n);
        int x = graph_embed(&g, weight(&g, 10, 64, QT_F16), GRAPH_NONE, NULL, 1), out;
        for (int i = 0; i < 50; i++) {
            int w = weight(&g, 64, 64, QT_F16), rope = graph_add_rope(&g, (graph_rope){.half = 0});
            graph_matmul(&g, graph_norm(&g, x, none, (graph_rule){.weight = ones}), &w, NULL, 1, &out);
            graph_attention att = {.heads = 1, .kv_heads = 1, .head_dim = 64, .rope = rope};
            graph_store(&g, out, out, out, NULL, NULL, att);
            x = graph_glu(&g, GRAPH_GELU, graph_attend(&g, out, att), out);
        }
        x = graph_pick(&g, x, none, 0);
        err e = {0};
        int rc = graph_finish(&g, x, form_of, &e);
        bool planned = !rc && graph_plan(&g, 3, 1).bytes > 0;
        mem_fail_nth(0);
        graph_done(&g);
        assert_true(rc == ST_OK || (rc == ST_NOMEM && e.msg[0]));
        if (planned)
            break;
        failures++;
    }
    assert_true(failures >= 6);
    mem_get_stats(&after);
    assert_int_equal(before.bytes, after.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(living_values_never_overlap),
        cmocka_unit_test(every_value_that_is_read_has_its_form),
        cmocka_unit_test(a_route_copies_the_forms_that_are_read),
        cmocka_unit_test(the_same_matrix_is_one_weight),
        cmocka_unit_test(parts_of_quantized_forms),
        cmocka_unit_test(failed_allocations_are_reported_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

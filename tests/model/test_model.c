// Loading: what a file must have, and that each lack is refused with its name and numbers.
#include "model/tests.h"

static enum graph_form form_of(int type)
{
    (void)type;
    return GRAPH_F32;
}

int load_toy(const toy *t, model *m, loaded *l, err *e)
{
    toy_build(&l->made, t);
    const buf *b = make_finish(&l->made);
    *e = (err){0};
    int rc = gguf_open_memory(&l->file, b->data, b->len, e);
    return rc ? rc : model_load(m, l->file, t->context, form_of, e);
}

void unload(model *m, loaded *l)
{
    model_done(m);
    gguf_close(l->file);
    make_done(&l->made);
}

static void expect_refused(const toy *t, int code, const char *one, const char *two)
{
    model m = {0};
    loaded l = {0};
    err e;
    int rc = load_toy(t, &m, &l, &e);
    if (rc != code)
        fail_msg("%s / %s: status %d, not %d (%s)", one, two, rc, code, e.msg);
    if (!strstr(e.msg, one) || !strstr(e.msg, two))
        fail_msg("\"%s\" names not both \"%s\" and \"%s\"", e.msg, one, two);
    assert_null(strchr(e.msg, '\n'));
    unload(&m, &l);
}

static void good_models_load(void **state)
{
    (void)state;
    toy t = toy_llama();
    for (int i = 0; i < 3; i++) {
        t.arch = i == 1 ? "qwen3" : "llama";
        t.head_type = i == 2 ? QT_Q8_0 : -1;
        model m;
        loaded l = {0};
        err e;
        assert_int_equal(load_toy(&t, &m, &l, &e), ST_OK);
        assert_string_equal(m.arch_name, t.arch);
        assert_int_equal(m.params.vocab, TOY_TOKENS);
        assert_int_equal(m.params.head_dim, 16);
        assert_int_equal(m.kv.layers, 3);
        assert_int_equal(m.params.rope_neox, i == 1);
        int attends = 0;
        for (int k = 0; k < m.graph.n_ops; k++)
            attends += m.graph.ops[k].kind == GRAPH_ATTEND;
        assert_int_equal(attends, 3);
        assert_int_equal(m.graph.n_weights, 3 * 7 + 2);  // the table is looked up, and the head multiplied
        assert_string_equal(model_quantization_name(l.file), "F16");
        assert_true(model_parameter_count(l.file) > 3 * 4 * 64 * 64);
        unload(&m, &l);
    }
    size_t n = 0;
    for (; model_arch_at(n); n++)
        for (size_t k = 0; k < n; k++)
            assert_string_not_equal(model_arch_at(k), model_arch_at(n));
    assert_true(n > 2);
}

static void bad_experts_are_named(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.experts = 8;
    t.used = 2;
    t.without = "llama.expert_used_count";
    expect_refused(&t, ST_FORMAT, "llama.expert_used_count", "missing");
    t.without = "blk.1.ffn_gate_inp.weight";
    expect_refused(&t, ST_FORMAT, "blk.1.ffn_gate_inp.weight", "missing");
    t.without = NULL;
    t.misshapen = "blk.2.ffn_down_exps.weight";
    expect_refused(&t, ST_FORMAT, "blk.2.ffn_down_exps.weight", "64 x 8");
    t.misshapen = NULL;
    t.other_key = "llama.expert_used_count";
    t.other_value = 9;
    expect_refused(&t, ST_FORMAT, "llama.expert_used_count", "1..8");
}

static void pooling_key(make *m, const void *ctx)
{
    make_u32(m, "llama.pooling_type", *(const uint32_t *)ctx);
}

static void not_causal(make *m, const void *ctx)
{
    (void)ctx;
    make_bool(m, "llama.attention.causal", false);
}

static void what_a_decoder_cannot_pool_is_refused(void **state)
{
    (void)state;
    toy t = toy_llama();
    uint32_t kind = 1;
    t.more = pooling_key;
    t.more_ctx = &kind;
    expect_refused(&t, ST_UNSUPPORTED, "llama.pooling_type", "1");
    kind = 4;
    expect_refused(&t, ST_FORMAT, "cls.output.weight", "ranks");
    kind = 5;
    expect_refused(&t, ST_FORMAT, "llama.pooling_type", "0..4");
    t.more = not_causal;
    expect_refused(&t, ST_UNSUPPORTED, "llama.attention.causal", "false");
    kind = 3;
    t.more = pooling_key;
    model m;
    loaded l = {0};
    err e;
    assert_int_equal(load_toy(&t, &m, &l, &e), ST_OK);
    assert_int_equal(m.result_width, 64);
    unload(&m, &l);
}

static void each_missing_key_is_named(void **state)
{
    (void)state;
    static const char *const needed[] = {
        "general.architecture",
        "llama.block_count",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.context_length",
        "llama.feed_forward_length",
        "llama.attention.layer_norm_rms_epsilon",
    };
    for (size_t i = 0; i < COUNT_OF(needed); i++) {
        toy t = toy_llama();
        t.without = needed[i];
        expect_refused(&t, ST_FORMAT, needed[i], "missing");
    }
    // What has a default.
    static const char *const optional[] = {"llama.attention.key_length", "llama.attention.value_length",
                                           "llama.rope.dimension_count", "llama.rope.freq_base"};
    for (size_t i = 0; i < COUNT_OF(optional); i++) {
        toy t = toy_llama();
        t.without = optional[i];
        model m;
        loaded l = {0};
        err e;
        assert_int_equal(load_toy(&t, &m, &l, &e), ST_OK);
        assert_int_equal(m.params.head_dim, 16);
        assert_int_equal(m.params.rope_dims, 16);
        unload(&m, &l);
    }
}

static void each_missing_or_misshapen_tensor_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {
        "token_embd.weight",        "output_norm.weight",    "blk.2.attn_q.weight",
        "blk.0.attn_k.weight",      "blk.1.attn_v.weight",   "blk.2.attn_norm.weight",
        "blk.2.attn_output.weight", "blk.1.ffn_norm.weight", "blk.0.ffn_gate.weight",
        "blk.1.ffn_up.weight",      "blk.2.ffn_down.weight", "blk.1.attn_q_norm.weight",
        "blk.2.attn_k_norm.weight",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        toy t = toy_llama();
        t.arch = "qwen3";
        t.without = names[i];
        expect_refused(&t, ST_FORMAT, names[i], "missing");
        t.without = NULL;
        if (i == 0)
            continue;  // one row more is a larger vocabulary
        t.misshapen = names[i];
        expect_refused(&t, ST_FORMAT, names[i], "needed");
    }
    toy t = toy_llama();
    t.misshapen = "blk.0.attn_k.weight";
    expect_refused(&t, ST_FORMAT, "64 x 33", "64 x 32");
    t = toy_llama();
    t.head_type = QT_F16;
    t.misshapen = "output.weight";
    expect_refused(&t, ST_FORMAT, "output.weight", "64 x 259");
    t = toy_llama();
    t.rows = TOY_TOKENS - 1;
    expect_refused(&t, ST_FORMAT, "259", "258");
}

static void fused(make *m, const void *ctx)
{
    const int *rows = ctx;
    static const float zero[512 * 64];
    for (int layer = 0; layer < 3; layer++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.attn_qkv.weight", layer);
        make_tensor(m, name, QT_F32, 2, (uint64_t[]){64, (uint64_t)rows[0]}, zero);
        snprintf(name, sizeof name, "blk.%d.attn_qkv.bias", layer);
        make_tensor(m, name, QT_F32, 1, (uint64_t[]){(uint64_t)rows[1]}, zero);
    }
}

static void fused_matrices_are_checked(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.more = fused;
    t.more_ctx = (int[]){128, 128};
    model m;
    loaded l = {0};
    err e;
    assert_int_equal(load_toy(&t, &m, &l, &e), ST_OK);  // attn_q, attn_k and attn_v are not looked at then
    for (int i = 0, next = 0; i < m.graph.n_weights; i++) {
        const graph_weight *w = &m.graph.weights[i];
        if (strcmp(w->name, "blk.1.attn_qkv.weight") != 0)
            continue;
        assert_int_equal(w->row0, next);
        next += w->n;
        assert_true(w->n == 64 || w->n == 32);
    }
    unload(&m, &l);
    t.more_ctx = (int[]){127, 128};
    expect_refused(&t, ST_FORMAT, "blk.0.attn_qkv.weight", "needed 64 x 128");
    t.more_ctx = (int[]){128, 129};
    expect_refused(&t, ST_FORMAT, "blk.0.attn_qkv.bias", "needed 128");
    t = toy_llama();
    t.arch = "qwen2";  // which cannot do without biases
    expect_refused(&t, ST_FORMAT, "blk.0.attn_q.bias", "missing");
    t.arch = "gpt2";
    expect_refused(&t, ST_FORMAT, "position_embd.weight", "missing");
    t.arch = "gemma2";
    expect_refused(&t, ST_FORMAT, "blk.0.post_attention_norm.weight", "missing");
}

static void pattern_of_one(make *m, const void *ctx)
{
    (void)ctx;
    make_i32s(m, "gemma3.attention.sliding_window_pattern", (const int32_t[]){1}, 1);
    for (int layer = 0; layer < 3; layer++) {
        static const char *const names[] = {"attn_q_norm", "attn_k_norm", "post_attention_norm",
                                            "post_ffw_norm"};
        static const float ones[64];
        for (int i = 0; i < 4; i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", layer, names[i]);
            make_tensor(m, name, QT_F32, 1, (uint64_t[]){i < 2 ? 16 : 64}, ones);
        }
    }
}

static void a_pattern_of_windows_names_each_layer(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.arch = "gemma3";
    t.layers = 1;
    t.window = 5;
    t.more = pattern_of_one;
    model m;
    loaded l = {0};
    err e;
    assert_int_equal(load_toy(&t, &m, &l, &e), ST_OK);
    for (int i = 0; i < m.graph.n_ops; i++)
        if (m.graph.ops[i].kind == GRAPH_ATTEND)
            assert_int_equal(m.graph.ops[i].att.window, 5);
    unload(&m, &l);
    t.layers = 3;
    expect_refused(&t, ST_FORMAT, "sliding_window_pattern", "layer 1");
}

static void absurd_numbers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t v;
        int code;
        const char *says;
    } cases[] = {
        {"llama.block_count", 0, ST_FORMAT, "allowed 1..4096"},
        {"llama.block_count", UINT32_MAX, ST_FORMAT, "4294967295"},
        {"llama.block_count", 4, ST_FORMAT, "blk.3."},
        {"llama.embedding_length", 0, ST_FORMAT, "is 0"},
        {"llama.embedding_length", 1u << 30, ST_FORMAT, "1073741824"},
        {"llama.attention.head_count", 0, ST_FORMAT, "is 0"},
        {"llama.attention.head_count", 3, ST_FORMAT, "3 heads"},
        {"llama.attention.head_count_kv", 0, ST_FORMAT, "is 0"},
        {"llama.attention.head_count_kv", 8, ST_FORMAT, "allowed 1..4"},
        {"llama.attention.head_count_kv", 3, ST_FORMAT, "3 KV heads"},
        {"llama.attention.key_length", 8, ST_FORMAT, "allowed 16..512"},
        {"llama.attention.key_length", 528, ST_FORMAT, "528"},
        {"llama.attention.key_length", 24, ST_FORMAT, "is 16, allowed 0..24"},
        {"llama.attention.value_length", 32, ST_UNSUPPORTED, "32"},
        {"llama.rope.dimension_count", 18, ST_FORMAT, "allowed 0..16"},
        {"llama.rope.dimension_count", 15, ST_UNSUPPORTED, "15"},
        {"llama.feed_forward_length", 1u << 31, ST_FORMAT, "2147483648"},
        {"llama.context_length", 0, ST_FORMAT, "is 0"},
        {"llama.attention.sliding_window", UINT32_MAX, ST_FORMAT, "4294967295"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        toy t = toy_llama();
        t.window = 8;
        t.other_key = cases[i].key;
        t.other_value = cases[i].v;
        if (strcmp(cases[i].says, "is 16, allowed 0..24") == 0) {
            expect_refused(&t, ST_UNSUPPORTED, "head size 24", "16");
            continue;
        }
        expect_refused(&t, cases[i].code, cases[i].says, "(memory)");
    }
    static const struct {
        const char *key;
        float v;
    } floats[] = {
        {"llama.attention.layer_norm_rms_epsilon", -1},
        {"llama.attention.layer_norm_rms_epsilon", NAN},
        {"llama.rope.freq_base", 0},
        {"llama.rope.freq_base", -5},
        {"llama.rope.freq_base", INFINITY},
    };
    for (size_t i = 0; i < COUNT_OF(floats); i++) {
        toy t = toy_llama();
        t.other_key = floats[i].key;
        t.other_float = floats[i].v;
        expect_refused(&t, ST_FORMAT, "(memory)", isfinite(floats[i].v) ? "out of range" : "finite");
    }
}

// A head's size that follows from the width is bounded like one that is written.
static void derived_head_sizes_are_bounded(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.without = "llama.attention.key_length";
    t.width = 1024;
    t.heads = t.kv_heads = 1;
    t.head_dim = 1024;
    t.layers = 1;
    expect_refused(&t, ST_UNSUPPORTED, "head size 1024", "16..512");
    t.width = 64;
    t.heads = t.kv_heads = 64;
    t.head_dim = 1;
    expect_refused(&t, ST_UNSUPPORTED, "head size 1", "16..512");
}

static void wrong_kinds(make *m, const void *ctx)
{
    make_str(m, ctx, "many");
}

static void negative(make *m, const void *ctx)
{
    make_int(make_key(m, ctx, GGUF_I32), UINT32_MAX, 4);
}

static void keys_of_another_kind_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"llama.block_count", "llama.attention.head_count_kv",
                                       "llama.rope.freq_base"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        toy t = toy_llama();
        t.without = t.more_ctx = keys[i];
        t.more = wrong_kinds;
        model m = {0};
        loaded l = {0};
        err e;
        assert_true(load_toy(&t, &m, &l, &e) < 0);  // by the gguf room or by this one
        assert_non_null(strstr(e.msg, keys[i]));
        unload(&m, &l);
        t.more = negative;
        if (i == 2)
            continue;
        assert_true(load_toy(&t, &m, &l, &e) < 0);
        assert_non_null(strstr(e.msg, keys[i]));
        unload(&m, &l);
    }
}

static void unknown_architectures_are_named(void **state)
{
    (void)state;
    toy t = toy_llama();
    t.arch = "gpt5";
    expect_refused(&t, ST_UNSUPPORTED, "\"gpt5\"", "llama, ");
    t.arch = "llam";
    expect_refused(&t, ST_UNSUPPORTED, "\"llam\"", "llama, ");
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    toy t = toy_llama();
    mem_stats before, after;
    loaded l = {0};
    toy_build(&l.made, &t);
    const buf *b = make_finish(&l.made);
    assert_int_equal(gguf_open_memory(&l.file, b->data, b->len, NULL), ST_OK);
    mem_get_stats(&before);
    for (uint64_t n = 1;; n++) {
        model m;
        err e = {0};
        mem_fail_nth(n);
        int rc = model_load(&m, l.file, 0, form_of, &e);
        mem_fail_nth(0);
        model_done(&m);
        mem_get_stats(&after);
        assert_int_equal(after.bytes, before.bytes);
        if (rc == ST_OK) {
            assert_true(n > 5);
            break;
        }
        assert_int_equal(rc, ST_NOMEM);
        assert_true(e.msg[0]);
    }
    gguf_close(l.file);
    make_done(&l.made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_models_load),
        cmocka_unit_test(bad_experts_are_named),
        cmocka_unit_test(what_a_decoder_cannot_pool_is_refused),
        cmocka_unit_test(each_missing_key_is_named),
        cmocka_unit_test(each_missing_or_misshapen_tensor_is_named),
        cmocka_unit_test(fused_matrices_are_checked),
        cmocka_unit_test(a_pattern_of_windows_names_each_layer),
        cmocka_unit_test(absurd_numbers_are_refused),
        cmocka_unit_test(derived_head_sizes_are_bounded),
        cmocka_unit_test(keys_of_another_kind_are_refused),
        cmocka_unit_test(unknown_architectures_are_named),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_rope_tests();
}

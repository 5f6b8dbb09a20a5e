// Rotary tables against figures of tools/oracle/rope.py.
#include <jansson.h>

#include "model/tests.h"

static void add_case(make *m, const void *ctx)
{
    const char *name;
    json_t *v;
    json_object_foreach(json_object_get(ctx, "keys"), name, v)
    {
        char key[96];
        snprintf(key, sizeof key, "llama.rope.%s", name);
        if (json_is_string(v))
            make_str(m, key, json_string_value(v));
        else if (json_is_integer(v))
            make_u32(m, key, (uint32_t)json_integer_value(v));
        else
            make_f32(m, key, (float)json_real_value(v));
    }
    json_object_foreach(json_object_get(ctx, "tensors"), name, v)
    {
        float values[64] = {0};
        for (size_t i = 0; i < json_array_size(v); i++)
            values[i] = (float)json_number_value(json_array_get(v, i));
        make_tensor(m, name, QT_F32, 1, (uint64_t[]){json_array_size(v)}, values);
    }
}

static toy rope_toy(const json_t *item)
{
    toy t = toy_llama();
    t.width = 128;
    t.heads = t.kv_heads = 2;
    t.head_dim = 64;
    t.layers = 1;
    t.without = "llama.rope.freq_base";
    t.more = add_case;
    t.more_ctx = item;
    t.context = (int)json_integer_value(json_object_get(item, "context"));
    return t;
}

static void tables_agree_with_the_oracle(void **state)
{
    (void)state;
    json_t *cases = json_load_file(IRORI_SOURCE_DIR "/tests/model/data/rope.json", 0, NULL);
    assert_true(json_array_size(cases) >= 10);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *item = json_array_get(cases, c), *want = json_object_get(item, "inv_freq");
        toy t = rope_toy(item);
        model m;
        loaded l = {0};
        err e;
        const char *name = json_string_value(json_object_get(item, "name"));
        if (load_toy(&t, &m, &l, &e))
            fail_msg("%s: %s", name, e.msg);
        const graph_rope *r = &m.graph.ropes[0];
        assert_int_equal(r->half, 32);
        for (int i = 0; i < r->half; i++) {
            double f = json_number_value(json_array_get(want, (size_t)i));
            if (fabs((double)r->inv_freq[i] - f) > 2e-6 * f)
                fail_msg("%s: pair %d turns %g a position, not %g", name, i, (double)r->inv_freq[i], f);
        }
        if (fabs((double)r->scale - json_number_value(json_object_get(item, "scale"))) > 1e-6)
            fail_msg("%s: scale %g", name, (double)r->scale);
        unload(&m, &l);
    }
    json_decref(cases);
}

static void bad_scalings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *says;
    } cases[] = {
        {"{\"context\": 512, \"keys\": {\"scaling.type\": \"warp\"}}", "rope.scaling.type"},
        {"{\"context\": 512, \"keys\": {\"scaling.type\": \"linear\", \"scaling.factor\": 0.5}}", "0.5"},
        {"{\"context\": 512, \"keys\": {\"scaling.original_context_length\": 0}}", "original_context_length"},
        {"{\"context\": 512, \"tensors\": {\"rope_freqs.weight\": [1, 2, 3]}}", "rope_freqs.weight"},
        {"{\"context\": 512, \"tensors\": {\"rope_freqs.weight\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
         "1,1,1,1,1,1,1,0,1]}}",
         "factor 30 is 0"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *item = json_loads(cases[i].json, 0, NULL);
        assert_non_null(item);
        toy t = rope_toy(item);
        model m = {0};
        loaded l = {0};
        err e;
        assert_true(load_toy(&t, &m, &l, &e) < 0);
        if (!strstr(e.msg, cases[i].says))
            fail_msg("\"%s\" does not say %s", e.msg, cases[i].says);
        unload(&m, &l);
        json_decref(item);
    }
}

int run_rope_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_agree_with_the_oracle),
        cmocka_unit_test(bad_scalings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

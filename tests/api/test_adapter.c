// Adapters through the public interface: set, swapped and taken off between calls, closed in any order, refused where
// they do not belong. What they compute is tested in tests/engine.
#include <math.h>
#include <string.h>

#include "api/support.h"
#include "gguf/make.h"
#include "model/toy.h"

enum { WIDTH = 64, RANK = 2 };

// Adapts the toy's first matrix of queries; every value is `size`.
static const char *save_adapter(const char *name, float size)
{
    float ones[RANK * WIDTH];
    make m;
    for (size_t i = 0; i < RANK * WIDTH; i++)
        ones[i] = size;
    make_init(&m);
    make_str(&m, "general.type", "adapter");
    make_str(&m, "general.architecture", "llama");
    make_str(&m, "adapter.type", "lora");
    make_f32(&m, "adapter.lora.alpha", 1);
    make_tensor(&m, "blk.0.attn_q.weight.lora_a", QT_F32, 2, (uint64_t[]){WIDTH, RANK}, ones);
    make_tensor(&m, "blk.0.attn_q.weight.lora_b", QT_F32, 2, (uint64_t[]){RANK, WIDTH}, ones);
    const char *path = toy_path(name);
    assert_true(make_save(&m, path));
    make_done(&m);
    return path;
}

static irori_model *open_toy(void)
{
    toy t = toy_llama();
    return open_model(toy_save(&t, "toy.gguf"), &(irori_model_options){.threads = 2, .no_pin = true});
}

static void logits_of(irori_model *m, float *out)
{
    static const int32_t ids[] = {5, 80, 200, 17, 41};
    irori_session *s = open_session(m, NULL);
    assert_int_equal(irori_session_add(s, ids, 5, NULL), IRORI_OK);
    memcpy(out, irori_session_logits(s), TOY_TOKENS * sizeof *out);
    irori_session_free(s);
}

static void expect_equal(irori_model *m, const float *want, bool equal)
{
    float got[TOY_TOKENS];
    logits_of(m, got);
    assert_int_equal(memcmp(got, want, sizeof got) == 0, equal);
}

static void swapped_between_calls(void **state)
{
    (void)state;
    irori_model *m = open_toy();
    irori_adapter *a, *b;
    float plain[TOY_TOKENS], first[TOY_TOKENS], second[TOY_TOKENS];
    assert_int_equal(irori_adapter_open(&a, m, save_adapter("a.gguf", 0.2f), NULL), IRORI_OK);
    assert_int_equal(irori_adapter_open(&b, m, save_adapter("b.gguf", -0.3f), NULL), IRORI_OK);
    logits_of(m, plain);
    assert_int_equal(irori_model_set_adapter(m, a, 1, NULL), IRORI_OK);
    logits_of(m, first);
    assert_int_equal(irori_model_set_adapter(m, b, 1, NULL), IRORI_OK);
    logits_of(m, second);
    assert_memory_not_equal(plain, first, sizeof plain);
    assert_memory_not_equal(first, second, sizeof first);
    assert_int_equal(irori_model_set_adapter(m, a, 1, NULL), IRORI_OK);
    expect_equal(m, first, true);
    irori_adapter_close(b);  // not the one that is set
    expect_equal(m, first, true);
    assert_int_equal(irori_model_set_adapter(m, a, 2, NULL), IRORI_OK);
    expect_equal(m, first, false);
    irori_adapter_close(a);  // taken off
    expect_equal(m, plain, true);
    assert_int_equal(irori_adapter_open(&a, m, save_adapter("a.gguf", 0.2f), NULL), IRORI_OK);
    assert_int_equal(irori_model_set_adapter(m, a, 1, NULL), IRORI_OK);
    assert_int_equal(irori_model_set_adapter(m, NULL, 0, NULL), IRORI_OK);
    expect_equal(m, plain, true);
    irori_model_close(m);  // with its adapter
    irori_adapter_close(NULL);
}

static void refused(void **state)
{
    (void)state;
    irori_model *m = open_toy(), *other = open_toy(), *words;
    irori_adapter *a, *none = (irori_adapter *)&none;
    irori_error e;
    toy t = toy_llama();
    assert_int_equal(irori_adapter_open(&a, m, save_adapter("a.gguf", 0.2f), NULL), IRORI_OK);
    assert_int_equal(irori_model_set_adapter(other, a, 1, &e), IRORI_INVALID);
    assert_non_null(strstr(e.message, "another model"));
    assert_int_equal(irori_model_set_adapter(m, a, NAN, &e), IRORI_INVALID);
    assert_int_equal(irori_adapter_open(&none, m, toy_path("none.gguf"), &e), IRORI_NOTFOUND);
    assert_null(none);
    assert_int_equal(irori_adapter_open(&none, m, toy_save(&t, "toy.gguf"), &e), IRORI_FORMAT);
    assert_int_equal(irori_model_open_vocabulary(&words, toy_save(&t, "toy.gguf"), &e), IRORI_OK);
    assert_int_equal(irori_adapter_open(&none, words, toy_path("a.gguf"), &e), IRORI_INVALID);
    assert_int_equal(irori_model_set_adapter(words, NULL, 0, &e), IRORI_INVALID);
    irori_model_close(words);
    irori_model_close(other);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(swapped_between_calls), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
